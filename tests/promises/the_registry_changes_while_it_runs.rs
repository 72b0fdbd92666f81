//! The registry in daily life: devices are entered, moved and retired by command while everything runs, and what a command
//! answered holds, whatever happens to the process next.
use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tests::{
    CLINIC, IndependentDevice, Login, Mqtt, NotConnected, SOON, Source, Stack, StackSpec, TENANT, Version, Webhook,
    secret, wait_for,
};

/// A second clinic of the tenant.
const SOUTH: &str = "acme-south";
const RULE: &str = "depth-above-limit";
/// MQTT 5 reasons.
const NOT_AUTHORIZED: u8 = 0x87;
const ADMINISTRATIVE_ACTION: u8 = 0x98;

fn prepare(webhook: &Webhook) -> Stack {
    let stack = Stack::prepare(&StackSpec::plain(webhook));
    let file = stack.folder().join(format!("registry/tenants/{TENANT}/tenant.toml"));
    let text = std::fs::read_to_string(&file).unwrap();
    let south = format!("[[clinic]]\nid = \"{SOUTH}\"\nname = \"South\"\ntime_zone = \"Europe/Rome\"\n");
    std::fs::write(&file, text + &south).unwrap();
    stack
}

fn start(webhook: &Webhook) -> Stack {
    let mut stack = prepare(webhook);
    stack.up();
    stack
}

/// Runs `dermatel device …` with who and why.
fn change(stack: &Stack, args: &[&str]) -> (bool, String) {
    let args = [&["device"], args, &["--actor", "ana", "--why", "test"]].concat();
    stack.command(&args)
}

fn changed(stack: &Stack, args: &[&str]) -> String {
    let (done, text) = change(stack, args);
    assert!(done, "{text}");
    text
}

fn show(stack: &Stack, device: &str) -> Value {
    stack.json(&format!("/v1/devices/{TENANT}/{device}"))
}

fn alert(stack: &Stack, id: &str) -> Value {
    stack.json(&format!("/v1/alerts/{id}"))
}

fn south(device: &str) -> Source {
    Source::of(TENANT, SOUTH, device)
}

/// The file of secrets: by device.
fn secrets(path: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    rows.map(|row| (row[1].to_owned(), row[2].to_owned())).collect()
}

#[test]
fn a_device_that_is_entered_publishes_at_once_and_one_that_is_retired_is_sent_away_and_refused() {
    let webhook = Webhook::start();
    let stack = start(&webhook);
    let mut pen = south("pen-7");
    let out = stack.folder().join("secret.csv");
    let entered = [
        "add",
        "acme/pen-7",
        "--clinic",
        SOUTH,
        "--model",
        "np-25",
        "--serial",
        "S-7",
        "--secrets-out",
        out.to_str().unwrap(),
    ];
    let said = changed(&stack, &entered);
    let drawn = &secrets(&out)["pen-7"];
    assert!(
        !said.contains(drawn.as_str()),
        "the secret stands in its file and nowhere else: {said}"
    );
    let login = Login::new(stack.mqtt, Version::V5, "acme/pen-7", drawn);
    let mut mqtt = Mqtt::connect(&login).unwrap();
    assert_eq!(mqtt.put(&pen.topic(), &pen.start()), Some(0));
    assert_eq!(mqtt.put(&pen.topic(), &pen.hazard()), Some(0));
    let page = wait_for("its page", SOON, || {
        webhook.of_rule(RULE).pop().ok_or_else(|| webhook.pages())
    });
    assert_eq!(
        (page["device"].as_str(), page["clinic"].as_str()),
        (Some("pen-7"), Some(SOUTH))
    );
    assert_eq!(show(&stack, "pen-7")["connected"], true);
    // Again is refused, and another one with the same secret as well: nothing changes.
    let (done, text) = change(&stack, &entered[..entered.len() - 2]);
    assert!(!done && text.contains("is there already"), "{text}");

    changed(&stack, &["retire", "acme/pen-7"]);
    assert!(mqtt.puback().is_none(), "the connection ends");
    assert_eq!(mqtt.disconnected, Some(ADMINISTRATIVE_ACTION));
    for version in [Version::V5, Version::V311] {
        let login = Login::new(stack.mqtt, version, "acme/pen-7", drawn);
        let code = if version == Version::V5 { NOT_AUTHORIZED } else { 5 };
        assert!(matches!(Mqtt::connect(&login), Err(NotConnected::Refused(refused)) if refused == code));
    }
    // What needs a person still does; that the device is not heard is nobody's business any more.
    wait_for("the retired device in alerting", SOON, || {
        let journaled = configured_with(&stack, "retire");
        if journaled { Ok(()) } else { Err("not yet") }
    });
    assert_eq!(alert(&stack, page["alert_id"].as_str().unwrap())["state"], "firing");
    changed(&stack, &["restore", "acme/pen-7"]);
    assert_eq!(Mqtt::connect(&login).unwrap().put(&pen.topic(), &pen.good(10)), Some(0));
}

/// Whether alerting's journal has a change of this kind, with who, before and after.
fn configured_with(stack: &Stack, what: &str) -> bool {
    let file = stack.folder().join("data/alerting.sqlite");
    let db = rusqlite::Connection::open(file).unwrap();
    let mut rows = db
        .prepare("SELECT body FROM journal WHERE kind = 'registry' ORDER BY n")
        .unwrap();
    let rows = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|row| serde_json::from_str::<Value>(&row.unwrap()).unwrap())
        .any(|row| row["changes"][0]["what"] == what && row["actor"] == "ana" && !row["changes"][0]["after"].is_null())
}

#[test]
fn a_moved_device_takes_its_firing_alert_along_and_counts_under_its_new_clinic_only() {
    let webhook = Webhook::start();
    let stack = start(&webhook);
    let mut pen = Source::new("pen-1");
    let login = pen.login(stack.mqtt, Version::V5);
    let mut mqtt = Mqtt::connect(&login).unwrap();
    assert_eq!(mqtt.put(&pen.topic(), &pen.start()), Some(0));
    assert_eq!(mqtt.put(&pen.topic(), &pen.hazard()), Some(0));
    let page = wait_for("the page", SOON, || {
        webhook.of_rule(RULE).pop().ok_or_else(|| webhook.pages())
    });
    let id = page["alert_id"].as_str().unwrap().to_owned();
    assert_eq!(page["clinic"], CLINIC);

    changed(&stack, &["move", "acme/pen-1", "--to", SOUTH]);
    assert!(mqtt.puback().is_none());
    assert_eq!(mqtt.disconnected, Some(ADMINISTRATIVE_ACTION));
    let moved = wait_for("the alert at its new clinic", SOON, || {
        let alert = alert(&stack, &id);
        if alert["clinic"] == SOUTH {
            Ok(alert)
        } else {
            Err(alert)
        }
    });
    assert_eq!(
        (&moved["id"], &moved["state"]),
        (&page["alert_id"], &Value::from("firing"))
    );

    // Under the old clinic it is refused and kept aside; under the new one it counts, in the same boot and session.
    let mut mqtt = Mqtt::connect(&login).unwrap();
    let old = pen.topic();
    assert_eq!(mqtt.put(&old, &pen.good(10)), Some(NOT_AUTHORIZED));
    pen.clinic = SOUTH.to_owned();
    assert_eq!(mqtt.put(&pen.topic(), &pen.good(10)), Some(0));
    assert_eq!(mqtt.put(&pen.topic(), &pen.hazard()), Some(0));
    let windows = format!("SELECT count(*) FROM stroke_window WHERE device = 'pen-1' AND clinic = '{SOUTH}'");
    stack.wait_number(&windows, 2);
    wait_for("the second hazard with the first", SOON, || {
        let alert = alert(&stack, &id);
        if alert["violations"].as_u64() >= Some(2) {
            Ok(())
        } else {
            Err(alert)
        }
    });
    let kept = stack.json("/v1/quarantine?reason=wrong_clinic");
    assert_eq!(kept.as_array().map(Vec::len), Some(1), "{kept}");
    // Nobody was woken a second time: whatever else was told of it says that it moved, and where to.
    let update = wait_for("the update", SOON, || {
        let pages = webhook.of_rule(RULE);
        pages.iter().find(|page| page["why"] == "moved").cloned().ok_or(pages)
    });
    assert_eq!(
        (&update["alert_id"], &update["clinic"]),
        (&page["alert_id"], &Value::from(SOUTH))
    );
    let told: Vec<Value> = webhook.of_rule(RULE).iter().map(|page| page["why"].clone()).collect();
    assert_eq!(told.iter().filter(|why| *why != "moved").count(), 1, "{told:?}");
    assert!(configured_with(&stack, "move"));
}

#[test]
fn a_foreign_device_publishes_its_session_at_a_clinic_that_it_was_entered_at_and_moved_to_a_moment_ago() {
    let webhook = Webhook::start();
    let stack = start(&webhook);
    let digest: String = registry::sha256(secret(TENANT, "pen-8").as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    changed(
        &stack,
        &[
            "add",
            "acme/pen-8",
            "--clinic",
            SOUTH,
            "--model",
            "np-25",
            "--serial",
            "S-8",
            "--secret-sha256",
            &digest,
        ],
    );
    changed(&stack, &["move", "acme/ipl-1", "--to", SOUTH]);
    let args = [
        ("port", stack.mqtt.port().to_string()),
        ("tenant", TENANT.to_owned()),
        ("clinic", SOUTH.to_owned()),
        ("pen", "pen-8".to_owned()),
        ("pen-secret", secret(TENANT, "pen-8")),
        ("ipl", "ipl-1".to_owned()),
        ("ipl-secret", secret(TENANT, "ipl-1")),
    ];
    let report = IndependentDevice::start(stack.folder(), &args).report();
    for device in ["pen", "ipl"] {
        assert_eq!(report[device]["refused"].as_array().map(Vec::len), Some(0), "{report}");
    }
    stack.wait_number(
        &format!("SELECT count(*) FROM stroke_window WHERE device = 'pen-8' AND clinic = '{SOUTH}'"),
        report["pen"]["windows"].as_i64().unwrap(),
    );
    stack.wait_number(
        &format!("SELECT count(*) FROM pulse WHERE device = 'ipl-1' AND clinic = '{SOUTH}'"),
        report["ipl"]["pulses"].as_i64().unwrap(),
    );
}

#[test]
fn a_change_that_was_answered_survives_a_kill_at_that_moment_and_alerts_follow_after_the_start() {
    const ROUNDS: usize = 5;
    let webhook = Webhook::start();
    let mut stack = start(&webhook);
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    assert_eq!(mqtt.put(&pen.topic(), &pen.hazard()), Some(0));
    let page = wait_for("the page", SOON, || {
        webhook.of_rule(RULE).pop().ok_or_else(|| webhook.pages())
    });
    let id = page["alert_id"].as_str().unwrap().to_owned();
    // A page whose receipt is not on disk when the process is killed leaves again.
    stack.wait_delivered(&id, "hook");
    for round in 0..ROUNDS {
        let to = if round % 2 == 0 { SOUTH } else { CLINIC };
        let body = serde_json::json!({ "actor": "ana", "why": "test", "to": to });
        let (status, answer) = stack.post("/v1/devices/acme/pen-1/move", &body).unwrap();
        stack.kill();
        assert_eq!(status, 200, "{answer}");
        stack.up();
        assert_eq!(show(&stack, "pen-1")["clinic"], to);
        wait_for("the alert beside its device", SOON, || {
            let alert = alert(&stack, &id);
            if alert["clinic"] == to { Ok(()) } else { Err(alert) }
        });
    }
    let file = stack.folder().join("data/alerting.sqlite");
    let db = rusqlite::Connection::open(file).unwrap();
    let count: i64 = db
        .query_row("SELECT count(*) FROM journal WHERE kind = 'registry'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(count, ROUNDS as i64, "each change stands in alerting's journal once");
    let told: Vec<Value> = webhook.of_rule(RULE).iter().map(|page| page["why"].clone()).collect();
    assert_eq!(told.iter().filter(|why| *why != "moved").count(), 1, "{told:?}");
}

#[test]
fn ten_thousand_devices_are_imported_all_or_none_and_connect_with_the_secrets_that_were_drawn() {
    let webhook = Webhook::start();
    let stack = start(&webhook);
    let list = stack.folder().join("fleet.csv");
    let row = |n: usize| format!("{TENANT},p-{n},{SOUTH},np-25,X-{n}\n");
    let rows: String = (0..10_000).map(row).collect();
    let header = "tenant,id,clinic,model,serial\n";
    std::fs::write(&list, format!("{header}{rows}{TENANT},p-x,acme-west,np-25,X-x\n")).unwrap();
    let out = stack.folder().join("secrets.csv");
    let import = ["import", list.to_str().unwrap(), "--secrets-out", out.to_str().unwrap()];
    let before = stack.json("/v1/registry")["version"].clone();
    let (done, text) = change(&stack, &import);
    assert!(
        !done && text.contains("fleet.csv:10002: device.clinic: tenant acme has no clinic acme-west"),
        "{text}"
    );
    assert!(!out.exists(), "secrets of devices that do not exist");
    assert_eq!(stack.json("/v1/registry")["version"], before);

    std::fs::write(&list, format!("{header}{rows}")).unwrap();
    changed(&stack, &import);
    let (done, text) = stack.command(&["device", "ls", "--clinic", SOUTH]);
    assert!(
        done && text.contains("10000 device(s)"),
        "{}",
        &text[text.len().saturating_sub(200)..]
    );
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let drawn = secrets(&out);
    assert_eq!(drawn.len(), 10_000);
    let mut pen = south("p-9999");
    let login = Login::new(stack.mqtt, Version::V311, "acme/p-9999", &drawn["p-9999"]);
    assert_eq!(Mqtt::connect(&login).unwrap().put(&pen.topic(), &pen.good(10)), Some(0));
    assert!(stack.resident_bytes() < 512 * 1024 * 1024, "{}", stack.resident_bytes());
}

#[test]
fn edited_files_are_read_again_without_a_restart_a_fault_leaves_the_old_ones_and_the_journal_empties_into_them() {
    let webhook = Webhook::start();
    let mut stack = start(&webhook);
    changed(&stack, &["move", "acme/pen-1", "--to", SOUTH]);
    let file = format!("registry/tenants/{TENANT}/devices.toml");
    let pen_1 = |clinic: &str| format!("id = \"pen-1\", clinic = \"{clinic}\"");
    stack.edit(&file, &pen_1(CLINIC), &pen_1("acme-east"));
    let (done, text) = stack.command(&["device", "reload"]);
    assert!(!done && text.contains("was moved to acme-south by command"), "{text}");
    assert_eq!(show(&stack, "pen-1")["clinic"], SOUTH);
    assert_eq!(stack.metric("service_reloads_refused_total{what=\"registry\"}"), 1.0);
    // `config check` says so before a start does.
    let (done, text) = stack.command(&[
        "config",
        "check",
        stack.folder().join("dermatel.toml").to_str().unwrap(),
    ]);
    assert!(!done && text.contains("was moved to acme-south by command"), "{text}");
    let (_, text) = stack.command(&["device", "fold"]);
    assert!(text.contains(&format!("clinic = \"{SOUTH}\"")), "{text}");
    stack.edit(&file, &pen_1("acme-east"), &pen_1(SOUTH));
    let (done, text) = stack.command(&["device", "reload"]);
    assert!(done, "{text}");
    changed(&stack, &["fold"]);
    assert_eq!(
        stack.json("/v1/registry")["by_command"].as_array().map(Vec::len),
        Some(0)
    );
    assert_eq!(stack.stop(), Some(0), "{}", stack.log());
    stack.up();
    assert_eq!(show(&stack, "pen-1")["clinic"], SOUTH);
    let log = stack.log();
    assert!(!log.contains("was cut or replaced"), "{log}");
}

#[test]
fn a_damaged_journal_of_changes_is_named_with_its_line_and_a_torn_one_is_cut() {
    let webhook = Webhook::start();
    let mut stack = start(&webhook);
    changed(&stack, &["move", "acme/pen-1", "--to", SOUTH]);
    changed(&stack, &["retire", "acme/pen-2"]);
    stack.kill();
    let file = stack.folder().join("data/registry.journal");
    let whole = std::fs::read(&file).unwrap();
    // The beginning of a line that was being written.
    std::fs::write(&file, [&whole[..], b"0123"].concat()).unwrap();
    stack.up();
    assert!(stack.log().contains("cut a change of the registry"), "{}", stack.log());
    assert_eq!(show(&stack, "pen-2")["state"], "retired");
    stack.kill();
    // A whole line less: nothing in the file itself shows it, alerting's journal does.
    let second = whole[..whole.len() - 1]
        .iter()
        .rposition(|&byte| byte == b'\n')
        .unwrap()
        + 1;
    std::fs::write(&file, &whole[..second]).unwrap();
    stack.up();
    assert!(stack.log().contains("it was cut or replaced"), "{}", stack.log());
    stack.kill();
    let mut damaged = whole.clone();
    damaged[second + 80] ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    stack.spawn();
    assert_ne!(stack.exit_code(SOON), Some(0));
    assert!(
        stack.log().contains("registry.journal:2: is not as it was written"),
        "{}",
        stack.log()
    );
}
