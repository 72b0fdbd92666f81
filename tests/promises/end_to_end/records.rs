//! What people record on the command line: it reaches the store, raises what it should and clears what it should.
use std::process::Command;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tests::{CLINIC, Page, Stack, TENANT, Webhook, wait_for};

use super::treatment::{WITHIN, device, spec};

/// Two short and harmless sessions.
const SHORT: &[(&str, &str)] = &[("batches", "2"), ("pulses", "1"), ("deep-um", "0"), ("strong-mj", "0")];

/// A stack that waits two seconds for evidence from other connections, instead of two minutes.
fn impatient(webhook: &Webhook) -> Stack {
    let mut stack = Stack::prepare(&spec(webhook));
    let file = stack.folder().join(format!("registry/tenants/{TENANT}/tenant.toml"));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text + "\n[[override]]\npolicy = { evidence_grace_s = 2 }\n").unwrap();
    stack.up();
    stack
}

fn record(stack: &Stack, what: &[&str]) {
    let at = ["--tenant", TENANT, "--clinic", CLINIC, "--actor", "ann"];
    let (fine, text) = stack.command(&[&["record", what[0]], &at[..], &what[1..]].concat());
    assert!(fine && text.contains("recorded: stored"), "{what:?}: {text}");
}

fn page(webhook: &Webhook, rule: &str, device: &str) -> Page {
    let of = || webhook.of_rule(rule).into_iter().find(|page| page["device"] == device);
    wait_for(&format!("a page of {rule} for {device}"), WITHIN, || {
        of().ok_or_else(|| webhook.pages())
    })
}

fn wait_for_state(stack: &Stack, page: &Page, state: &str) {
    let id = page["alert_id"].as_str().unwrap();
    wait_for(&format!("the state {state}"), WITHIN, || {
        let (fine, text) = stack.command(&["alert", "show", id]);
        let alert: Value = serde_json::from_str(&text).map_err(|e| format!("{fine} {e}: {text}"))?;
        if alert["state"] == state { Ok(()) } else { Err(text) }
    });
}

/// The rows of `sterilization_event`: what, device, outcome, cycle, level, by time of receipt.
fn events(stack: &Stack) -> Vec<[Option<String>; 5]> {
    let db = Connection::open_with_flags(stack.store_file(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sql = "SELECT what, device, outcome, cycle, level FROM sterilization_event WHERE origin = 'recorded' ORDER BY received_at_us";
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement
        .query_map([], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?])
        })
        .unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// RFC 3339, `ago` as `date` understands it.
fn time(ago: &str) -> String {
    let out = Command::new("date")
        .args(["-u", "-d", ago, "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .unwrap();
    assert!(out.status.success());
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_next_client_without_a_recorded_wipe_pages_and_with_one_does_not() {
    let webhook = Webhook::start();
    let mut stack = impatient(&webhook);
    let first = [SHORT, &[("ended-s-ago", "300")]].concat();
    device(stack.folder(), stack.mqtt.port(), &first).report();
    // The pen is wiped as its policy demands. The tip of the IPL unit is not.
    record(
        &stack,
        &[
            "wipe",
            "--device",
            "pen-1",
            "--level",
            "intermediate",
            "--performed-at",
            &time("150 seconds ago"),
        ],
    );
    device(stack.folder(), stack.mqtt.port(), SHORT).report();
    let missing = page(&webhook, "disinfection-missing", "ipl-1");
    assert_eq!(missing["priority"], "high", "{missing:#}");
    // It was wiped after all, and somebody records it late: no news is left that would stop the treatment.
    record(
        &stack,
        &[
            "wipe",
            "--device",
            "ipl-1",
            "--level",
            "low",
            "--performed-at",
            &time("150 seconds ago"),
        ],
    );
    wait_for_state(&stack, &missing, "resolved");
    stack.wait_number("SELECT count(*) FROM sterilization_event", 2);
    assert_eq!(stack.stop(), Some(0), "{}", stack.log());
    let pages = webhook.of_rule("disinfection-missing");
    assert!(
        pages.iter().all(|page| page["device"] == "ipl-1"),
        "the pen was wiped: {pages:#?}"
    );
    let said = |device: &str, level: &str| {
        ["disinfection", device, "", "", level].map(|s| (!s.is_empty()).then(|| s.to_owned()))
    };
    assert_eq!(events(&stack), [said("pen-1", "intermediate"), said("ipl-1", "low")]);
}

#[test]
fn a_wipe_below_the_demanded_level_clears_nothing() {
    let webhook = Webhook::start();
    let stack = impatient(&webhook);
    let first = [SHORT, &[("ended-s-ago", "300")]].concat();
    device(stack.folder(), stack.mqtt.port(), &first).report();
    record(
        &stack,
        &[
            "wipe",
            "--device",
            "pen-1",
            "--level",
            "low",
            "--performed-at",
            &time("150 seconds ago"),
        ],
    );
    device(stack.folder(), stack.mqtt.port(), SHORT).report();
    page(&webhook, "disinfection-missing", "pen-1");
}

#[test]
fn a_recorded_cycle_that_failed_pages_at_the_next_use_and_an_indicator_clears_its_alert() {
    let webhook = Webhook::start();
    let mut stack = impatient(&webhook);
    let indicator = [
        "indicator",
        "--sterilizer",
        "autoclave-1",
        "--kind",
        "biological",
        "--outcome",
    ];
    // The policy of the model demands one a week.
    let old = time("240 hours ago");
    record(&stack, &[&indicator[..], &["pass", "--cycle-ended-at", &old]].concat());
    let cycle = [
        "cycle",
        "--sterilizer",
        "autoclave-1",
        "--cycle",
        "c-17",
        "--item",
        "pen-1",
        "--outcome",
        "fail",
        "--ended-at",
    ];
    record(&stack, &[&cycle[..], &[&time("600 seconds ago")]].concat());
    let overdue = page(&webhook, "indicator-overdue", "autoclave-1");
    device(stack.folder(), stack.mqtt.port(), SHORT).report();
    let used = page(&webhook, "failed-cycle-used", "pen-1");
    assert_eq!(used["priority"], "high", "{used:#}");
    assert!(used["what_happened"].as_str().unwrap().contains("c-17"), "{used:#}");
    record(&stack, &[&indicator[..], &["pass"]].concat());
    wait_for_state(&stack, &overdue, "resolved");
    record(&stack, &[&indicator[..], &["fail", "--cycle", "c-17"]].concat());
    let failed = page(&webhook, "indicator-failed", "autoclave-1");
    assert_eq!(failed["priority"], "medium", "{failed:#}");
    stack.wait_number("SELECT count(*) FROM sterilization_event", 4);
    assert_eq!(stack.stop(), Some(0), "{}", stack.log());
    let said = |what: &str, outcome: &str, cycle: &str| {
        [what, "autoclave-1", outcome, cycle, ""].map(|s| (!s.is_empty()).then(|| s.to_owned()))
    };
    assert_eq!(
        events(&stack),
        [
            said("indicator", "pass", ""),
            said("cycle", "fail", "c-17"),
            said("indicator", "pass", ""),
            said("indicator", "fail", "c-17")
        ]
    );
}
