//! What whoever sets InfluxDB up relies on: one command makes it, one says what is wrong, and the process says the same.
use ingestor::testing::{Influx1, Influx2Double, OPERATOR, VictoriaMetrics};
use tests::{SOON, Source, Stack, StackSpec, Store, Version, Webhook, deliver_all, wait_for};

const CLOCKS_APART: &str = "the clocks of InfluxDB and this machine are apart";

fn stack(url: &str, webhook: &Webhook) -> Stack {
    let spec = StackSpec {
        store: Store::Influx {
            url: url.to_owned(),
            bucket: "dermatel-{tenant}".to_owned(),
        },
        ..StackSpec::plain(webhook)
    };
    let stack = Stack::prepare(&spec);
    std::fs::write(stack.folder().join("operator"), OPERATOR).unwrap();
    stack
}

fn setup(stack: &Stack, more: &[&str]) -> (bool, String) {
    let file = |name: &str| stack.folder().join(name).display().to_string();
    let (config, operator, tokens) = (file("dermatel.toml"), file("operator"), file("tokens"));
    let args = [
        "influx",
        "setup",
        "--config",
        &config,
        "--admin-token",
        &operator,
        "--tokens",
        &tokens,
    ];
    stack.command(&[&args, more].concat())
}

fn doctor(stack: &Stack) -> (bool, String) {
    let config = stack.folder().join("dermatel.toml").display().to_string();
    stack.command(&["influx", "doctor", "--config", &config])
}

fn speak(stack: &Stack) {
    let mut pen = Source::new("pen-1");
    let frame = pen.good(10);
    deliver_all(&pen.login(stack.mqtt, Version::V5), &pen.topic(), &[frame], |_| {});
}

#[test]
fn one_command_sets_influxdb_up_and_points_flow_with_the_token_that_it_wrote() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let double = runtime.block_on(Influx2Double::start()).unwrap();
    let webhook = Webhook::start();
    let mut stack = stack(double.url(), &webhook);
    let (ok, said) = setup(&stack, &["--dry-run"]);
    assert!(
        ok && said.contains("would make bucket dermatel-acme-rollup, kept for ever"),
        "{said}"
    );
    assert_eq!(double.state().changes, 0);
    let (ok, said) = setup(&stack, &[]);
    assert!(ok && said.contains("done: make organization clinics"), "{said}");
    assert!(!said.contains("secret-"), "a token was printed: {said}");
    let (ok, said) = setup(&stack, &[]);
    assert!(ok && said.contains("nothing to change"), "{said}");

    // The token of the configuration is not that one yet.
    let (ok, said) = doctor(&stack);
    assert!(!ok && said.contains("(wrong_token)"), "{said}");
    stack.edit(
        "dermatel.toml",
        "token = \"t\"",
        "token = { file = \"tokens/ingestor.token\" }",
    );
    let (ok, said) = doctor(&stack);
    assert!(ok && said.contains("nothing is wrong"), "{said}");
    stack.up();
    speak(&stack);
    wait_for("the window in its bucket", SOON, || {
        let lines = double.state().bucket("dermatel-acme").unwrap().lines.clone();
        if lines.iter().any(|line| line.starts_with("stroke_window")) {
            Ok(())
        } else {
            Err(lines)
        }
    });

    // The disk of InfluxDB fills: readiness and metrics name it, the device has its PUBACK, and nothing is lost.
    double.state().disk_full = true;
    speak(&stack);
    let why = wait_for("readiness to be red", SOON, || {
        stack.red("store").ok_or_else(|| stack.log())
    });
    assert!(
        why.contains("disk of InfluxDB is full") && why.contains("tenant acme"),
        "{why}"
    );
    assert!(stack.metric("ingestor_writes_failed_total{reason=\"disk_full\"}") >= 1.0);
    let (ok, said) = doctor(&stack);
    assert!(!ok && said.contains("(disk_full)"), "{said}");
    double.state().disk_full = false;
    wait_for("readiness to be green", SOON * 3, || {
        stack.red("store").map_or(Ok(()), Err)
    });
}

#[test]
fn a_server_of_version_1_is_named_by_doctor_and_by_the_running_process_which_keeps_everything() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let one = runtime.block_on(Influx1::start()).unwrap();
    let webhook = Webhook::start();
    let mut stack = stack(one.server_url(), &webhook);
    let (ok, said) = doctor(&stack);
    assert!(
        !ok && said.contains("InfluxDB 1.6.7") && said.contains("(no_v2_api)"),
        "{said}"
    );
    let (ok, said) = setup(&stack, &[]);
    assert!(!ok && said.contains("InfluxDB 1.6.7"), "{said}");
    stack.up();
    speak(&stack);
    let why = wait_for("readiness to be red", SOON, || {
        stack.red("store").ok_or_else(|| stack.log())
    });
    assert!(
        why.contains("has no v2 API") && why.contains("dermatel influx doctor"),
        "{why}"
    );
    assert!(stack.metric("ingestor_writes_failed_total{reason=\"no_v2_api\"}") >= 1.0);
    assert!(stack.metric("ingestor_backlog_records") >= 0.0 && stack.is_running());
}

#[test]
fn clocks_that_come_apart_are_told_once_by_the_running_process_and_again_when_they_do_so_again() {
    const AHEAD: &str = "ingestor_store_clock_ahead_seconds";
    const ASKED: &str = "ingestor_rollups_skipped_total{reason=\"empty\"}";
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let double = runtime.block_on(Influx2Double::start()).unwrap();
    let webhook = Webhook::start();
    let mut stack = stack(double.url(), &webhook);
    assert!(setup(&stack, &[]).0);
    stack.edit(
        "dermatel.toml",
        "token = \"t\"",
        "token = { file = \"tokens/ingestor.token\" }",
    );
    stack.edit("dermatel.toml", "[ingestor]", "[ingestor]\nrollup_after = \"1s\"");
    stack.up();
    let warnings = || stack.log().matches(CLOCKS_APART).count();
    // Each answer to a question of the roll-ups has a `Date`.
    let clock_is = |right: fn(f64) -> bool| {
        speak(&stack);
        wait_for("the server's clock to be seen", SOON, || match stack.metric(AHEAD) {
            ahead if right(ahead) => Ok(()),
            ahead => Err(ahead),
        });
    };
    for round in 1..=2 {
        clock_is(|ahead| ahead.abs() <= 5.0);
        assert_eq!(warnings(), round - 1);
        double.state().date = Some("Sun, 22 Nov 2020 12:00:00 GMT".to_owned());
        clock_is(|ahead| ahead < -86_400.0);
        wait_for("the warning", SOON, || {
            if warnings() == round { Ok(()) } else { Err(stack.log()) }
        });
        if round == 1 {
            // Another answer says the same again: the double's are empty, which is counted.
            let before = stack.metric(ASKED);
            speak(&stack);
            stack.wait_metric(ASKED, before + 1.0);
            assert_eq!(warnings(), 1);
        }
        double.state().date = None;
    }
    // It is a warning: points flow.
    assert!(stack.is_ready(), "{}", stack.log());
}

#[test]
fn without_roll_ups_the_running_process_sees_the_servers_clock_all_the_same_and_remarks_it_in_readiness() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let double = runtime.block_on(Influx2Double::start()).unwrap();
    let webhook = Webhook::start();
    let mut stack = stack(double.url(), &webhook);
    assert!(setup(&stack, &[]).0);
    stack.edit(
        "dermatel.toml",
        "token = \"t\"",
        "token = { file = \"tokens/ingestor.token\" }",
    );
    stack.edit("dermatel.toml", "[ingestor]", "[ingestor]\nrollups = false");
    let seen = |stack: &Stack, right: fn(f64) -> bool| {
        speak(stack);
        stack.wait_metric("ingestor_points_written_total{measurement=\"stroke_window\"}", 1.0);
        wait_for("the server's clock to be seen", SOON, || {
            let metrics = stack.get("/metrics").unwrap().1;
            let ahead = metrics
                .lines()
                .find_map(|line| line.strip_prefix("ingestor_store_clock_ahead_seconds "));
            match ahead.map(|ahead| ahead.parse().unwrap()) {
                Some(ahead) if right(ahead) => Ok(()),
                other => Err(other),
            }
        });
        stack.json("/readyz")["remarks"].clone()
    };
    let warnings = |stack: &Stack| stack.log().matches(CLOCKS_APART).count();
    stack.up();
    let remarks = seen(&stack, |ahead| ahead.abs() <= 5.0);
    assert_eq!(
        (warnings(&stack), remarks.as_array().unwrap().len()),
        (0, 0),
        "{remarks}"
    );
    assert_eq!(stack.stop(), Some(0));
    double.state().date = Some("Sun, 22 Nov 2020 12:00:00 GMT".to_owned());
    stack.up();
    seen(&stack, |ahead| ahead < -86_400.0);
    // The figure comes first, then the remark, then the warning.
    wait_for("the warning", SOON, || match warnings(&stack) {
        1 => Ok(()),
        other => Err(other),
    });
    let remarks = stack.json("/readyz")["remarks"].clone();
    assert_eq!(remarks[0]["name"], "store-clock", "{remarks}");
    assert!(
        remarks[0]["reason"].as_str().unwrap().contains("behind this machine's"),
        "{remarks}"
    );
    assert!(stack.is_ready(), "points flow");
}

/// A store that cannot be asked is told once in the log and in a metric, and is no trouble.
fn assert_left_in_peace(stack: &Stack, windows: impl Fn() -> usize) {
    speak(stack);
    stack.wait_metric("ingestor_rollups_unsupported", 1.0);
    let before = windows();
    speak(stack);
    wait_for("another window", SOON, || match windows() {
        now if now > before => Ok(()),
        now => Err(now),
    });
    assert!(stack.is_ready(), "{}", stack.log());
    let told = stack.log().matches("nothing is rolled up until the next start").count();
    assert_eq!(told, 1, "{}", stack.log());
}

#[test]
fn a_store_that_takes_points_and_cannot_be_asked_is_told_once_and_is_no_trouble() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let webhook = Webhook::start();
    let victoria = runtime.block_on(VictoriaMetrics::start()).unwrap();
    let mut with_victoria = stack(victoria.url(), &webhook);
    with_victoria.edit("dermatel.toml", "[ingestor]", "[ingestor]\nrollup_after = \"1s\"");
    with_victoria.up();
    assert_left_in_peace(&with_victoria, || {
        let series = runtime.block_on(victoria.export("stroke_window_count")).unwrap();
        series.iter().map(|one| one["values"].as_array().unwrap().len()).sum()
    });

    // Where it can be asked at the next start, what was owed is asked for.
    let double = runtime.block_on(Influx2Double::start()).unwrap();
    let mut stack = stack(double.url(), &webhook);
    assert!(setup(&stack, &[]).0);
    stack.edit(
        "dermatel.toml",
        "token = \"t\"",
        "token = { file = \"tokens/ingestor.token\" }",
    );
    stack.edit("dermatel.toml", "[ingestor]", "[ingestor]\nrollup_after = \"1s\"");
    double.state().no_influxql = true;
    stack.up();
    assert_left_in_peace(&stack, || {
        let lines = double.state().bucket("dermatel-acme").unwrap().lines.clone();
        lines.iter().filter(|line| line.starts_with("stroke_window")).count()
    });
    stack.stop();
    double.state().no_influxql = false;
    let asked = double.state().questions;
    stack.up();
    wait_for("the minute that was owed to be asked for", SOON, || {
        match double.state().questions {
            now if now > asked => Ok(()),
            now => Err(now),
        }
    });
    assert!(stack.metric("ingestor_rollups_unsupported") < 1.0);
}
