//! From an alert back to its strokes and on to what came back, whole and in every part.
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use alerting::Config;
use alerting::id::AlertId;
use alerting::intake::Action;
use alerting::proof::{self, Explanation};
use alerting::store::Store;
use serde_json::{Value, json};

use crate::desk::{Answer, Desk, Running, depth_pages, file, hazard, nothing_waits, open_log, receiver, until};
use crate::support::{Said, T0, World, strokes};

const RULE: &str = "[[rule]]\nid = \"depth-above-limit\"\nkind = \"depth_above_limit\"\npriority = \"high\"\nwhat_to_do = \"Stop.\"\n\
    [rule.parameters]\nk_strokes = 3\nn_strokes = 5\nclear_after_strokes = 20\n";

fn explained(dir: &Path, id: AlertId) -> Explanation {
    let store = Store::open_to_read(&file(dir)).unwrap();
    proof::of(&store, id).unwrap().unwrap()
}

/// Replaces what differs between runs by what it is; the order of times is checked before.
fn still(mut said: Value, ids: &[(&str, &str)]) -> Value {
    fn walk(value: &mut Value, ids: &[(&str, &str)]) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut() {
                    let moves = [
                        "at",
                        "after_us",
                        "planned_at",
                        "failed_at",
                        "event_time",
                        "received_at",
                        "logged_at",
                        "decided_at",
                        "updated_at",
                        "n",
                        "rules",
                        "registry",
                        "again_us",
                        "at_us",
                        "offset",
                        "comment_digest",
                    ];
                    if moves.contains(&name.as_str()) && (value.is_number() || value.is_string()) {
                        *value = json!("*");
                    } else {
                        walk(value, ids);
                    }
                }
            }
            Value::Array(all) => all.iter_mut().for_each(|value| walk(value, ids)),
            Value::String(text) => {
                for (id, name) in ids {
                    *text = text.replace(id, name);
                }
            }
            _ => {}
        }
    }
    walk(&mut said, ids);
    said
}

/// A pen of which one stroke of five is far too deep, in a story of its own.
fn story() -> Said {
    let mut said = hazard("pen-1", 7);
    said.body = strokes(Some(6), Some(800), 100, said.at_us, vec![790, 810, 1_400, 805, 795]);
    said.received_us = said.at_us + 200_000;
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_tells_the_whole_story_from_the_stroke_to_the_receipt_and_the_person() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    let address = desk.listen().await;
    std::fs::create_dir(dir.path().join("rules")).unwrap();
    std::fs::write(dir.path().join("rules/rules.toml"), RULE).unwrap();
    let config = Config {
        receivers: vec![receiver(address)],
        rules: Some(dir.path().join("rules")),
        ..Config::new(file(dir.path()))
    };
    let running = Running::start_with(dir.path(), config);
    let said = story();
    let rules = alerting::rules::parse(&[("r.toml".to_owned(), RULE.to_owned())]).unwrap();
    let raised = World::with_rules(rules).say(&said);
    let [alert] = &raised[..] else { panic!("{raised:?}") };
    desk.script(&[Answer::Status(503)]);
    running.append(&[said.record()]);
    until("a page", || depth_pages(&desk).pop()).await;
    nothing_waits(&running).await;
    let id = alert.alert.id;
    running
        .handle
        .on_alert(Action::Acknowledge(id), "ann", "took the pen away")
        .await
        .unwrap();
    nothing_waits(&running).await;
    let told = explained(dir.path(), id);
    running.stop().await;

    let times: Vec<_> = told.delays.iter().map(|delay| delay.at).collect();
    // The tests' devices live by a clock of their own, so the two halves cannot be compared.
    assert!(times[..4].is_sorted() && times[4..7].is_sorted(), "{:?}", told.delays);
    let reached: Vec<_> = told.delays.iter().map(|delay| delay.reached.as_str()).collect();
    assert_eq!(
        reached,
        [
            "it happened",
            "the gateway received it",
            "it stood in alerting's log",
            "it was decided to raise the alert",
            "that was committed",
            "a page was sent first, to desk",
            "a receiver took it first, desk",
            "ann acknowledged it",
        ]
    );
    let acknowledged = told.steps[1].transition.clone();
    let ids = [
        (alert.id.to_hex(), "<raised>"),
        (acknowledged, "<acknowledged>"),
        (id.to_hex(), "<alert>"),
    ];
    let ids: Vec<_> = ids.iter().map(|(id, name)| (id.as_str(), *name)).collect();
    let said = still(serde_json::to_value(&told).unwrap(), &ids);
    assert_eq!(said, whole_story(), "{said:#}");
    let text = proof::text(&told);
    for words in [
        "     102  ",
        "1400 µm, set 800 µm  <- the first",
        "attempt 1 failed",
        ": receiver",
        "took the pen away",
        "parameters of the rule: ",
        "depth_max_um 1000",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

/// Read by a person once, whole.
fn whole_story() -> Value {
    serde_json::from_str(include_str!("../proof/story.json")).unwrap()
}

#[test]
fn evidence_that_was_trimmed_is_said_to_be_trimmed() {
    let mut world = World::new();
    let said = Said::new(
        "pen-1",
        7,
        1_000_000,
        strokes(Some(6), Some(800), 100, 1_000_000, vec![1_900]),
    );
    let all = world.say(&said);
    let step = all.iter().find(|t| t.alert.rule == "depth-above-limit").unwrap();
    let evidence = BTreeMap::from([(step.id, vec![(3, None), (4, Some(said.record()))])]);
    let told = proof::explain(&step.alert, &[], &evidence);
    assert_eq!(
        told.evidence[0].missing.as_deref(),
        Some("trimmed from the log before it could be kept")
    );
    let frame = told.evidence[1].frame.as_ref().unwrap();
    assert_eq!((frame.boot, frame.sequence, frame.event_time.0), (1, 7, T0 + 1_000_000));
    assert!(
        told.missing
            .iter()
            .any(|what| what.starts_with("1 frames of the evidence cannot be shown"))
    );
    assert!(
        told.missing
            .iter()
            .any(|what| what.starts_with("the journal begins after it was raised"))
    );
}

#[test]
fn an_explanation_names_no_session_and_no_visit() {
    let mut world = World::new();
    let mut said = Said::new(
        "pen-1",
        7,
        1_000_000,
        strokes(Some(6), Some(800), 100, 1_000_000, vec![1_900]),
    );
    (said.session, said.visit) = (Some(0xab), Some(0xcd));
    let all = world.say(&said);
    let step = all.iter().find(|t| t.alert.rule == "depth-above-limit").unwrap();
    let evidence = BTreeMap::from([(step.id, vec![(4, Some(said.record()))])]);
    let told = proof::explain(&step.alert, &[], &evidence);
    let all = format!("{}{}", serde_json::to_string(&told).unwrap(), proof::text(&told));
    assert!(!all.contains("abab") && !all.contains("cdcd"), "{all}");
}

#[test]
fn what_was_in_force_is_that_of_the_device_its_zone_and_the_override_for_it() {
    let text =
        format!("{RULE}[[rule.override]]\nclinic = \"north\"\nzone = \"cheek\"\nparameters = {{ limit_um = 900 }}\n");
    let rules = alerting::rules::parse(&[("r.toml".to_owned(), text)]).unwrap();
    let version = rules.version.clone();
    let all = World::with_rules(rules).say(&hazard("pen-1", 7));
    let raised = all[0].alert.raised.clone().unwrap();
    assert_eq!(raised.rules, version);
    assert_eq!(
        raised.parameters,
        json!({"k_strokes": 3, "n_strokes": 5, "clear_after_strokes": 20, "limit_um": 900})
    );
    assert_eq!(raised.parameters_of, "the override for clinic north, zone cheek");
    assert_eq!(raised.limits["depth_max_um"], 1_000);
    assert_eq!((all[0].alert.limit, raised.frame), (900.0, Some((1, 7))));
}

/// An export checked by a program that is not ours.
fn check(export: &str) -> (bool, String) {
    use std::io::Write as _;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proof/verify_journal.py");
    let mut child = Command::new("python3")
        .arg(script)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(export.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    (done.status.success(), String::from_utf8(done.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_checked_without_us_and_shows_what_was_touched() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    let running = Running::start(dir.path(), vec![receiver(desk.listen().await)]);
    running.append(&[story().record()]);
    let page = until("a page", || depth_pages(&desk).pop()).await;
    let id = page.body["alert_id"].as_str().unwrap().parse().unwrap();
    running
        .handle
        .on_alert(Action::Annotate(id), "ann", "grüße, \"quoted\"")
        .await
        .unwrap();
    nothing_waits(&running).await;
    let store = Store::open_to_read(&file(dir.path())).unwrap();
    let rows = store.journal_page(0, 1_000, true).unwrap();
    // The page took a head out of the house, which stands in the chain.
    let anchor = page.body["journal_head"].as_str().unwrap();
    let n = store.journal_row_of(anchor).unwrap().unwrap();
    assert_eq!(rows.iter().find(|row| row.n == n).unwrap().kind, "planned");
    assert_eq!(store.journal_row_of("0123456789abcdef").unwrap(), None);
    let jsonl: String = rows
        .iter()
        .map(|row| proof::line(row, proof::Format::Jsonl, false))
        .collect();
    assert!(!jsonl.contains("grüße"), "free text although nobody asked");
    let head: String = store
        .verify_journal()
        .unwrap()
        .head
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(
        check(&jsonl),
        (
            true,
            format!("whole up to row {}, head {head}\n", rows.last().unwrap().n)
        )
    );
    let tampered = jsonl.replacen("depth-above-limit", "depth-below-limit", 1);
    assert!(!check(&tampered).0);
    let shorter: String = jsonl
        .lines()
        .enumerate()
        .filter(|(n, _)| *n != 2)
        .map(|(_, line)| format!("{line}\n"))
        .collect();
    assert!(!check(&shorter).0);
    // What was written is erased for good, and the chain still holds.
    assert_eq!(running.handle.erase_text(id, "kim").await.unwrap(), 1);
    let rows = store.journal_page(0, 1_000, true).unwrap();
    assert!(rows.iter().all(|row| row.text.is_none()));
    let last = rows.iter().find(|row| row.kind == "erased").unwrap();
    assert_eq!(
        (&last.body["actor"], &last.body["comments"]),
        (&json!("kim"), &json!(1))
    );
    let with_text: String = rows
        .iter()
        .map(|row| proof::line(row, proof::Format::Jsonl, true))
        .collect();
    assert!(check(&with_text).0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_a_running_process_is_of_a_kind_in_the_list_with_the_fields_of_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    desk.script(&[Answer::Status(503), Answer::Status(400)]);
    let running = Running::start(dir.path(), vec![receiver(desk.listen().await)]);
    running.append(&[
        hazard("pen-1", 1).record(),
        hazard("pen-2", 2).record(),
        b"no input".to_vec(),
    ]);
    until("a page", || depth_pages(&desk).pop()).await;
    nothing_waits(&running).await;
    running.stop().await;
    let store = Store::open_to_read(&file(dir.path())).unwrap();
    for row in store.journal_page(0, 10_000, false).unwrap() {
        let kind = alerting::store::journal::EntryKind::from_name(&row.kind).expect(&row.kind);
        assert_eq!(kind.stranger(&row.body), None, "{}: {}", row.kind, row.raw);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_whose_page_was_cut_off_by_a_kill_is_explained_and_the_repeat_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    // Taken, and nothing said: then the process is killed.
    desk.script(&[Answer::Take, Answer::Take, Answer::Take, Answer::Take]);
    let address = desk.listen().await;
    let said = hazard("pen-1", 7);
    crate::crash::append(&open_log(dir.path()), &said.record());
    let mut child = crate::crash::start(dir.path(), address);
    let page = until("a page", || depth_pages(&desk).pop()).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let mut child = crate::crash::start(dir.path(), address);
    let id: AlertId = page.body["alert_id"].as_str().unwrap().parse().unwrap();
    let store = Store::open_to_read(&file(dir.path())).unwrap();
    let told = until("a receipt", || {
        let told = proof::of(&store, id).unwrap().unwrap();
        told.told
            .first()
            .is_some_and(|page| page.outcome.as_str() == "delivered")
            .then_some(told)
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    let page = &told.told[0];
    assert!(page.possible_repeat && page.attempts_in_all >= 2, "{page:?}");
    assert_eq!(told.evidence.len(), 1);
    assert!(told.raised.is_some());
}
