//! What whoever keeps it running relies on: start, stop, health, and the commands beside the running process.
use std::process::Command;

use ingestor::testing::{InfluxDouble, Trouble};
use tests::{
    CLINIC, Mqtt, SOON, Source, Stack, StackSpec, Store, TENANT, Version, Webhook, deliver_all, dermatel, wait_for,
};

#[test]
fn a_term_signal_drains_what_was_taken_and_the_exit_code_is_zero() {
    let webhook = Webhook::start();
    let mut stack = Stack::start(&StackSpec::plain(&webhook));
    let mut pen = Source::new("pen-1");
    let mut frames: Vec<Vec<u8>> = (0..300).map(|_| pen.good(20)).collect();
    frames.push(pen.hazard());
    deliver_all(&pen.login(stack.mqtt, Version::V5), &pen.topic(), &frames, |_| {});
    assert_eq!(stack.stop(), Some(0));
    // Nobody is there any more to do it later.
    assert_eq!(stack.number("SELECT count(*) FROM stroke_window"), Ok(301));
    assert_eq!(webhook.of_rule("depth-above-limit").len(), 1);
    assert!(!stack.folder().join("data/dermatel.sock").exists());
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(InfluxDouble::start()).unwrap();
    // A write that hangs is what a drain waits for.
    store.trouble("b-acme", Some(Trouble::Hangs));
    let webhook = Webhook::start();
    let mut stack = Stack::start(&StackSpec {
        store: Store::Influx {
            url: store.url().to_owned(),
            bucket: "b-{tenant}".to_owned(),
        },
        ..StackSpec::plain(&webhook)
    });
    let mut pen = Source::new("pen-1");
    let frame = pen.good(10);
    deliver_all(&pen.login(stack.mqtt, Version::V5), &pen.topic(), &[frame], |_| {});
    wait_for("a write under way", SOON, || {
        if store.requests("b-acme") > 0 { Ok(()) } else { Err(()) }
    });
    stack.signal("TERM");
    wait_for("the drain", SOON, || {
        if stack.log().contains("draining") {
            Ok(())
        } else {
            Err(stack.log())
        }
    });
    assert!(stack.is_running(), "it waits for the write");
    stack.signal("TERM");
    assert_eq!(stack.exit_code(SOON), Some(130));
}

#[test]
fn health_and_readiness_say_what_is_wrong() {
    let webhook = Webhook::start();
    let mut stack = Stack::prepare(&StackSpec::plain(&webhook));
    let text = std::fs::read_to_string(stack.folder().join("dermatel.toml")).unwrap();
    let receivers = &text[text.find("[[alerting.receivers]]").unwrap()..];
    stack.edit("dermatel.toml", receivers, "");
    stack.spawn();
    let why = wait_for("readiness to be red for want of a receiver", SOON, || {
        match stack.get("/readyz") {
            Ok((503, _)) => stack.red("alerting_pages").ok_or_else(|| "green".to_owned()),
            other => Err(format!("{other:?}")),
        }
    });
    assert!(why.contains("nobody") || why.contains("receiver"), "{why}");
    assert_eq!(stack.get("/healthz").unwrap().0, 200, "alive all the same");
    let mut pen = Source::new("pen-1");
    let frame = pen.good(10);
    deliver_all(&pen.login(stack.mqtt, Version::V5), &pen.topic(), &[frame], |_| {});
}

#[test]
fn writes_that_fail_stop_pubacks_and_turn_readiness_red_and_it_goes_on_by_itself() {
    let webhook = Webhook::start();
    let mut stack = Stack::prepare(&StackSpec::plain(&webhook));
    stack.up_with_failing_writes();
    let mut pen = Source::new("pen-1");
    let login = pen.login(stack.mqtt, Version::V5);
    let mut mqtt = Mqtt::connect(&login).unwrap();
    let frame = pen.good(10);
    assert_eq!(mqtt.put(&pen.topic(), &frame), Some(0));

    stack.limit_files("1");
    let hazard = pen.hazard();
    mqtt.publish(&pen.topic(), &hazard).unwrap();
    let why = wait_for("readiness to be red", SOON, || match stack.get("/readyz") {
        Ok((503, body)) => Ok(body),
        other => Err(format!("{other:?}")),
    });
    assert!(why.contains("log") || why.contains("write"), "{why}");
    assert!(stack.is_running());
    stack.limit_files("unlimited");
    // Whatever had no PUBACK is sent again, and is there once.
    deliver_all(&login, &pen.topic(), &[hazard], |_| {});
    stack.wait_number("SELECT count(*) FROM stroke_window", 2);
    wait_for("the page", SOON, || {
        webhook.of_rule("depth-above-limit").pop().ok_or(())
    });
    wait_for("readiness", SOON, || match stack.get("/readyz") {
        Ok((200, _)) => Ok(()),
        other => Err(other),
    });
    assert_eq!(stack.stop(), Some(0));
}

#[test]
fn commands_work_beside_the_running_process() {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec::plain(&webhook));
    let mut pen = Source::new("pen-1");
    let frames: Vec<Vec<u8>> = (0..20).map(|_| pen.good(20)).collect();
    deliver_all(&pen.login(stack.mqtt, Version::V5), &pen.topic(), &frames, |_| {});
    let spool = stack.folder().join("data/spool/telemetry");
    let (done, said) = stack.command(&["spool", "inspect", spool.to_str().unwrap()]);
    assert!(
        done && said.contains("cursor ingestor") && said.contains("cursor gateway-ledger"),
        "{said}"
    );

    let at = ["--tenant", TENANT, "--clinic", CLINIC, "--actor", "ann"];
    let wipe = ["record", "wipe", "--device", "pen-1", "--level", "intermediate"];
    let (done, said) = stack.command(&[&wipe[..], &at[..]].concat());
    assert!(done && said.contains("recorded"), "{said}");
    stack.wait_number(
        "SELECT count(*) FROM sterilization_event WHERE what = 'disinfection'",
        1,
    );
    let (done, said) = stack.command(&[&["record", "wipe", "--device", "nobody", "--level", "low"], &at[..]].concat());
    assert!(!done && said.contains("registry"), "{said}");
    let (done, said) = stack.command(&["quarantine", "ls"]);
    assert!(
        done && said.contains("unknown_device"),
        "a refused record is kept: {said}"
    );
    let (done, said) = stack.command(&["alert", "ls"]);
    assert!(done, "{said}");
    let (done, said) = stack.command(&["alert", "ls", "--state", "burning"]);
    assert!(
        !done && said.contains("firing"),
        "it says which states there are: {said}"
    );
}

#[test]
fn without_a_running_process_a_command_says_so() {
    let webhook = Webhook::start();
    let stack = Stack::prepare(&StackSpec::plain(&webhook));
    let (done, said) = stack.command(&["quarantine", "ls"]);
    assert!(!done && said.contains("dermatel up"), "{said}");
}

#[test]
fn a_configuration_with_three_mistakes_is_told_all_three_with_their_lines() {
    let webhook = Webhook::start();
    let stack = Stack::prepare(&StackSpec::plain(&webhook));
    stack.edit("dermatel.toml", "[node]\n", "[node]\ncolour = \"blue\"\n");
    stack.edit("dermatel.toml", "[ingestor]\n", "[ingestor]\nin_flight = 1000\n");
    stack.edit(
        "dermatel.toml",
        "summary_every = \"500ms\"",
        "summary_every = \"half a second\"",
    );
    let file = stack.folder().join("dermatel.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let line = |part: &str| text.lines().position(|line| line.contains(part)).unwrap() + 1;
    for command in [&["config", "check"][..], &["up", "--config"][..]] {
        let (done, said) = stack.command(&[command, &[file.to_str().unwrap()]].concat());
        assert!(!done && said.contains("3 mistakes"), "{said}");
        for (part, key) in [
            ("colour", "colour"),
            ("in_flight", "in_flight"),
            ("half a second", "summary_every"),
        ] {
            let place = format!("dermatel.toml:{}:", line(part));
            let told = said.lines().any(|said| said.contains(&place) && said.contains(key));
            assert!(told, "{place} {key} in:\n{said}");
        }
    }
}

#[test]
fn receivers_that_cannot_work_are_told_all_with_their_lines_and_nothing_starts() {
    let webhook = Webhook::start();
    let more = "[[alerting.receivers]]\nname = \"chat\"\nslack = { url = \"https://hooks.example/x\", ca = \"no-ca.pem\" }\n\
                [[alerting.receivers]]\nname = \"buzzer\"\nmqtt = { host = \"h\", topic = \"x\", ca = \"gone.pem\" }\n\
                [[alerting.receivers]]\nname = \"push\"\nntfy = { topic = \"x\" }\ntemplate = { text = { file = \"bad.j2\" } }\n";
    let mut stack = Stack::prepare(&StackSpec {
        more: more.to_owned(),
        ..StackSpec::plain(&webhook)
    });
    let write = |name: &str, text: &str| std::fs::write(stack.folder().join(name), text).unwrap();
    write("no-ca.pem", "no certificate");
    write("bad.j2", "{{ priority }}\n{{ patient }}\n");
    let file = stack.folder().join("dermatel.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    // A receiver begins one line above its name.
    let line = |name: &str| {
        text.lines()
            .position(|line| line == format!("name = \"{name}\""))
            .unwrap()
    };
    let (done, said) = stack.command(&["config", "check", file.to_str().unwrap()]);
    assert!(!done, "{said}");
    stack.spawn();
    assert_eq!(stack.exit_code(SOON), Some(1));
    for told in [said, stack.log()] {
        for (name, because) in [("chat", "no-ca.pem"), ("buzzer", "gone.pem"), ("push", "bad.j2")] {
            let place = format!("dermatel.toml:{}: alerting.receivers: receiver {name} ", line(name));
            let found = told.lines().find(|told| told.contains(&place));
            assert!(
                found.is_some_and(|told| told.contains(because)),
                "{place} {because} in:\n{told}"
            );
        }
        assert!(told.contains(":2)"), "the line of the template too: {told}");
    }
}

#[test]
fn the_printed_configuration_loads_back() {
    let webhook = Webhook::start();
    let stack = Stack::prepare(&StackSpec::plain(&webhook));
    let (done, printed) = stack.command(&["config", "print"]);
    assert!(done && printed.contains("[spool.telemetry]"), "{printed}");
    let file = stack.folder().join("printed.toml");
    std::fs::write(&file, printed).unwrap();
    let (done, said) = stack.command(&["config", "check", file.to_str().unwrap()]);
    assert!(done && said.contains("fine"), "{said}");
}

#[test]
fn a_registry_with_an_unknown_key_is_refused_at_start_with_file_and_line() {
    let webhook = Webhook::start();
    let mut stack = Stack::prepare(&StackSpec::plain(&webhook));
    let file = format!("registry/tenants/{TENANT}/tenant.toml");
    stack.edit(&file, "\n[[clinic]]", "\nfavourite_colour = \"blue\"\n[[clinic]]");
    let text = std::fs::read_to_string(stack.folder().join(&file)).unwrap();
    let line = text.lines().position(|line| line.contains("favourite")).unwrap() + 1;
    stack.spawn();
    assert_eq!(stack.exit_code(SOON), Some(1));
    let log = stack.log();
    assert!(
        log.contains(&format!("tenant.toml:{line}")) && log.contains("favourite_colour"),
        "{log}"
    );
}

#[test]
fn the_demo_shows_strokes_points_and_alerts_and_ends_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let out = Command::new(dermatel())
        .args(["demo", "--for", "20s", "--dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{said}");
    let mut columns = [0_u64; 5];
    let table = said.lines().skip_while(|line| !line.starts_with("tenant ")).skip(1);
    for row in table.take_while(|line| line.split_whitespace().count() == 6) {
        for (sum, cell) in columns.iter_mut().zip(row.split_whitespace().skip(1)) {
            *sum += cell.replace(',', "").parse::<u64>().unwrap();
        }
    }
    for (name, sum) in ["strokes", "windows", "pulses", "sessions", "alert steps"]
        .iter()
        .zip(columns)
    {
        assert!(sum > 0, "{name}: {said}");
    }
    assert!(said.contains("the console           http://127.0.0.1:"), "{said}");
    assert!(said.contains("0 were left without an acknowledgement"), "{said}");
    let pages = std::fs::read_to_string(folder.path().join("data/pages.jsonl")).unwrap();
    assert!(pages.lines().count() > 0, "{said}");
}
