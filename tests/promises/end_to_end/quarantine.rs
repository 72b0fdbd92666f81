//! Frames that nobody can take: kept with their reason, shown, and let in after a fix.
use std::path::Path;

use serde_json::Value;
use tests::{CLINIC, Mosquitto, Stack, StackSpec, TENANT, Webhook, secret};

use super::treatment::{
    WITHIN, assert_paged_once, assert_stored, device, number, numbers, spec, wait_until_complete, wait_until_paged,
};
use tests::wait_for;

/// The numbers in the list of refused messages, with the reason of each, oldest first.
fn listed(stack: &Stack) -> Vec<(String, String)> {
    let (fine, text) = stack.command(&["quarantine", "ls", "--limit", "200"]);
    assert!(fine, "{text}");
    let mut rows: Vec<(String, String)> = text
        .lines()
        .skip(1)
        .map(|line| {
            let mut words = line.split_whitespace();
            (words.next().unwrap().to_owned(), words.nth(1).unwrap().to_owned())
        })
        .collect();
    rows.reverse();
    rows
}

fn show(stack: &Stack, number: &str) -> Value {
    json(stack, &["quarantine", "show", number])
}

fn json(stack: &Stack, args: &[&str]) -> Value {
    let (fine, text) = stack.command(args);
    assert!(fine, "{text}");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn frames_that_nobody_can_take_are_kept_with_their_reason_and_cost_the_session_nothing() {
    let webhook = Webhook::start();
    let mut stack = Stack::start(&spec(&webhook));
    let report = device(stack.folder(), stack.mqtt.port(), &[("garbage", "1")]).report();
    let codes: Vec<i64> = report["pen"]["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["code"].as_i64().unwrap())
        .collect();
    // Not authorized for somebody else's frame, payload format invalid for the others: docs/firmware.md says so.
    assert_eq!(codes, [0x87, 0x99, 0x99], "{report}");
    let rows = listed(&stack);
    let reasons: Vec<&str> = rows.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(reasons, ["identity_mismatch", "unknown_body", "malformed"]);
    let garbage = show(&stack, &rows[2].0);
    assert_eq!(garbage["payload_hex"], "ff".repeat(40), "{garbage:#}");
    assert_eq!(garbage["device"], format!("{TENANT}/pen-1"), "{garbage:#}");
    // Nothing was fixed: it is refused again, says why, and stays.
    let again = json(&stack, &["quarantine", "replay", &rows[0].0]);
    assert_eq!(
        (&again["stored"], again["refused"].as_array().map(Vec::len)),
        (&Value::from(0), Some(1)),
        "{again:#}"
    );
    assert_eq!(listed(&stack).len(), 3);
    wait_until_complete(&stack, &report);
    wait_until_paged(&webhook);
    assert_eq!(stack.stop(), Some(0), "{}", stack.log());
    assert_stored(&stack, &report);
    assert_paged_once(&webhook, &report);
}

#[test]
fn a_device_that_was_not_in_the_registry_is_stored_whole_after_a_replay_and_pages_nobody_by_it() {
    let webhook = Webhook::start();
    let scratch = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(scratch.path());
    let mut stack = Stack::start(&StackSpec {
        broker: Some(broker.port),
        ..spec(&webhook)
    });
    let report = device(stack.folder(), broker.port, &[("pen", "pen-9")]).report();
    // The IPL unit beside it is known, and is not touched by it.
    wait_for("the page of the known device", WITHIN, || {
        if webhook.of_rule("pulse-above-set").is_empty() {
            Err(webhook.pages())
        } else {
            Ok(())
        }
    });
    let frames = number(&report, "pen", "frames");
    wait_for("every frame of the unknown device in quarantine", WITHIN, || {
        let rows = listed(&stack);
        let unknown = rows.iter().filter(|(_, reason)| reason == "unknown_device").count() as i64;
        // And its two statuses: online, offline.
        if unknown == frames + 2 { Ok(()) } else { Err(rows) }
    });
    assert_eq!(stack.stop(), Some(0), "{}", stack.log());
    register_pen_9(stack.folder());
    stack.up();
    let done = json(&stack, &["quarantine", "replay", "--reason", "unknown_device"]);
    assert_eq!(done["refused"].as_array().map(Vec::len), Some(0), "{done:#}");
    assert_eq!(done["stored"].as_i64(), Some(frames + 2), "{done:#}");
    wait_until_complete(&stack, &report);
    let deep = "SELECT count(*) FROM alert_transition WHERE rule = 'depth-above-limit' AND device = ?1";
    wait_for("the hazard on record", WITHIN, || {
        if numbers(&stack, deep, "pen-9")[0] > 0 {
            Ok(())
        } else {
            Err(stack.command(&["alert", "ls"]))
        }
    });
    assert_eq!(stack.stop(), Some(0), "{}", stack.log());
    assert_stored(&stack, &report);
    let origin = "SELECT count(*) FROM stroke_window WHERE origin = 'replayed' AND device = ?1";
    assert_eq!(numbers(&stack, origin, "pen-9"), [number(&report, "pen", "windows")]);
    // The deep stroke is long over: it is on record, and wakes nobody.
    let pages = webhook.pages();
    assert!(pages.iter().all(|page| page["device"] != "pen-9"), "{pages:#?}");
}

fn register_pen_9(folder: &Path) {
    let file = folder.join(format!("registry/tenants/{TENANT}/devices.toml"));
    let text = std::fs::read_to_string(&file).unwrap();
    let digest: String = registry::sha256(secret(TENANT, "pen-9").as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let row = format!(
        "  {{ id = \"pen-9\", clinic = \"{CLINIC}\", model = \"np-25\", serial = \"s-9\", secret_sha256 = \"{digest}\" }},\n]\n"
    );
    let end = text.rfind(']').unwrap();
    std::fs::write(&file, text[..end].to_owned() + &row).unwrap();
}
