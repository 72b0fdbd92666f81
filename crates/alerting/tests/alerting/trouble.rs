//! A file that cannot be written, a log with a hole, receivers that do not let us in: pages wait, leave once, and it is seen.
use std::path::Path;
use std::time::Duration;

use alerting::Config;
use alerting::config::{LogFile, Receiver};
use rusqlite::Connection;
use serde_json::Value;

use crate::desk::{Answer, Desk, Running, depth_pages, file, hazard, nothing_waits, open_log, pulse, receiver, until};
use crate::support::watermark;

/// What of a page every version of the file has.
const OUTBOX: &str = "(n, receiver, transition_id, alert_id, body, attempts, sent, next_us, priority)";

fn sql(dir: &Path, sql: &str) {
    let db = Connection::open(file(dir)).unwrap();
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    db.execute_batch(sql).unwrap();
}

/// From now on SQLite refuses rows of the journal, as it does on a full disk, and rolls their transactions back.
fn refuse(dir: &Path, when: &str) {
    sql(
        dir,
        &format!(
            "CREATE TRIGGER refused BEFORE INSERT ON journal WHEN {when} BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        ),
    );
}

fn accept(dir: &Path) {
    sql(dir, "DROP TRIGGER refused");
}

fn is_red(running: &Running, name: &str) -> bool {
    running.health.report().into_iter().any(|c| c.name == name && !c.green)
}

async fn ready(running: &Running) {
    until("readiness", || running.health.is_ready().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_written_holds_pages_back_in_red_and_applies_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    let running = Running::start(dir.path(), vec![receiver(desk.listen().await)]);
    ready(&running).await;
    refuse(dir.path(), "NEW.kind = 'transition'");
    running.append(&[hazard("pen-1", 1).record()]);
    until("red", || is_red(&running, "alerting").then_some(())).await;
    assert!(desk.got().is_empty(), "nothing leaves before it is committed");
    accept(dir.path());
    let page = until("a page", || depth_pages(&desk).pop()).await;
    ready(&running).await;
    nothing_waits(&running).await;
    let id = page.body["alert_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(running.handle.alert(id).await.unwrap().unwrap().violations, 1);
    running.stop().await;
    let keys: Vec<_> = desk.got().into_iter().map(|g| g.key).collect();
    let once: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(keys.len(), once.len(), "no page twice");
    assert_eq!(crate::journal::count(dir.path(), "transition") as usize, keys.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_cannot_be_written_is_written_later_and_the_page_is_not_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    let running = Running::start(dir.path(), vec![receiver(desk.listen().await)]);
    ready(&running).await;
    refuse(dir.path(), "NEW.kind = 'delivered'");
    running.append(&[hazard("pen-1", 1).record()]);
    until("a page", || depth_pages(&desk).pop()).await;
    until("red", || is_red(&running, "alerting_pages").then_some(())).await;
    accept(dir.path());
    nothing_waits(&running).await;
    ready(&running).await;
    running.stop().await;
    let got = desk.got();
    assert!(got.iter().all(|g| g.body["possible_repeat"] == false));
    assert_eq!(crate::journal::count(dir.path(), "delivered") as usize, got.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_file_cannot_be_written_ends_all_the_same_and_pages_after_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    let address = desk.listen().await;
    let running = Running::start(dir.path(), vec![receiver(address)]);
    ready(&running).await;
    refuse(dir.path(), "NEW.kind = 'transition'");
    running.append(&[hazard("pen-1", 1).record()]);
    until("red", || is_red(&running, "alerting").then_some(())).await;
    tokio::time::timeout(Duration::from_secs(30), running.stop())
        .await
        .unwrap();
    accept(dir.path());
    let running = Running::start(dir.path(), vec![receiver(address)]);
    until("a page", || depth_pages(&desk).pop()).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_after_an_alert_that_could_not_be_committed_is_not_committed_before_it_when_the_process_ends() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    let address = desk.listen().await;
    let running = Running::start(dir.path(), vec![receiver(address)]);
    ready(&running).await;
    refuse(dir.path(), "NEW.kind = 'transition'");
    let said = hazard("pen-1", 1);
    running.append(&[said.record()]);
    until("red", || is_red(&running, "alerting").then_some(())).await;
    // These move no alert: the file would take them, with the place behind the hazard.
    let later: Vec<_> = (1..=50).map(|n| watermark("gw-1", said.at_us + n)).collect();
    running.append(&later);
    running.stop().await;
    accept(dir.path());
    let running = Running::start(dir.path(), vec![receiver(address)]);
    until("a page", || depth_pages(&desk).pop()).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_in_the_log_costs_what_stood_in_it_and_stands_in_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    {
        let log = open_log(dir.path());
        for n in 1..=3 {
            let record = hazard(&format!("pen-{n}"), 1).record();
            let records = [spool::NewRecord {
                lane: 1,
                bytes: &record,
            }];
            let appended = log.append(&records, std::time::SystemTime::now()).unwrap();
            log.sync_appended(&appended).unwrap();
        }
    }
    // A byte of the second record turns over.
    let find = |bytes: &[u8]| bytes.windows(5).position(|part| part == b"pen-2");
    let segment = std::fs::read_dir(dir.path().join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_file() && find(&std::fs::read(path).unwrap()).is_some())
        .unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = find(&bytes).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let desk = Desk::default();
    let running = Running::start(dir.path(), vec![receiver(desk.listen().await)]);
    until("both others", || (depth_pages(&desk).len() == 2).then_some(())).await;
    running.stop().await;
    let devices: std::collections::BTreeSet<_> = depth_pages(&desk)
        .iter()
        .map(|g| g.body["device"].to_string())
        .collect();
    assert_eq!(devices.len(), 2);
    assert!(!devices.contains("\"pen-2\""));
    assert_eq!(crate::journal::count(dir.path(), "gap"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_alerts_leave_together_in_a_digest_and_a_live_one_does_not_wait_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    let config = Config {
        receivers: vec![receiver(desk.listen().await)],
        digest_after: Duration::from_secs(10),
        ..Config::new(file(dir.path()))
    };
    let running = Running::start_with(dir.path(), config);
    let late = |device: &str, hours: i64| {
        let mut said = hazard(device, 1);
        said.body = pulse(said.at_us);
        said.received_us = said.at_us + hours * 3_600_000_000;
        said.record()
    };
    let mut live = hazard("ipl-1", 9);
    live.body = pulse(live.at_us);
    running.append(&[late("pen-1", 30), late("pen-2", 40), late("pen-3", 50), live.record()]);
    until("all", || {
        let got = desk.accepted();
        let told: usize = got
            .iter()
            .map(|g| {
                g.body["alerts"].as_array().map_or(0, |alerts| {
                    alerts.iter().filter(|a| a["rule"] == "pulse-above-limit").count()
                })
            })
            .sum();
        (told == 3).then_some(())
    })
    .await;
    let got = desk.accepted();
    let first_digest = got.iter().position(|g| g.body["digest"] == true).unwrap();
    let first_live = got.iter().position(|g| g.body["device"] == "ipl-1").unwrap();
    assert!(first_live < first_digest, "what is live does not wait");
    let digests = got.iter().filter(|g| g.body["digest"] == true).count();
    assert!(
        digests <= 2,
        "they leave together: two only where the time of a digest ended between them"
    );
    assert!(
        got.iter()
            .filter(|g| g.body["digest"] == true)
            .all(|g| g.body["tenant"] == "acme")
    );
    assert!(
        got.iter()
            .filter(|g| g.body["digest"] != true)
            .all(|g| g.body["class"] == "live")
    );
    nothing_waits(&running).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_receiver_keeps_a_line_of_json_for_each_page_also_after_a_torn_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pages.jsonl");
    // What a power cut in the middle of a line leaves.
    std::fs::write(&path, "{\"torn\": ").unwrap();
    let receivers = vec![Receiver {
        webhook: None,
        log: Some(LogFile { path: path.clone() }),
        ..receiver("127.0.0.1:9".parse().unwrap())
    }];
    let running = Running::start(dir.path(), receivers.clone());
    running.append(&[hazard("pen-1", 1).record()]);
    let lines = || {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().skip(1);
        lines
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .collect::<Vec<_>>()
    };
    until("a line", || {
        lines().into_iter().find(|page| page["rule"] == "depth-above-limit")
    })
    .await;
    nothing_waits(&running).await;
    running.stop().await;
    let before = lines().len();
    assert_eq!(crate::journal::count(dir.path(), "delivered") as usize, before);
    let running = Running::start(dir.path(), receivers);
    running.append(&[hazard("pen-2", 1).record()]);
    until("a line", || lines().into_iter().find(|page| page["device"] == "pen-2")).await;
    running.stop().await;
    let ids: std::collections::BTreeSet<_> = lines().iter().map(|p| p["transition_id"].to_string()).collect();
    assert_eq!(ids.len(), lines().len(), "no page twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_does_not_let_us_in_gets_its_page_when_somebody_has_set_that_right() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    desk.script(&[Answer::Status(401), Answer::Status(403), Answer::Status(404)]);
    let running = Running::start(dir.path(), vec![receiver(desk.listen().await)]);
    let mut said = hazard("ipl-1", 1);
    said.body = pulse(said.at_us);
    running.append(&[said.record()]);
    until("the page", || desk.accepted().pop()).await;
    nothing_waits(&running).await;
    ready(&running).await;
    assert!(
        desk.got().iter().all(|g| g.body["possible_repeat"] == false),
        "it was refused, not taken"
    );
    running.stop().await;
    assert_eq!(crate::journal::count(dir.path(), "undelivered"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_high_page_does_not_queue_behind_older_low_ones() {
    let dir = tempfile::tempdir().unwrap();
    drop(alerting::store::Store::open(&file(dir.path())).unwrap());
    for n in 0..40 {
        sql(
            dir.path(),
            &format!(
                "INSERT INTO outbox {OUTBOX} VALUES ({}, 'desk', 'low{n}', 'a{n}', '{{}}', 0, 0, {n}, 1)",
                n + 1
            ),
        );
    }
    sql(
        dir.path(),
        &format!("INSERT INTO outbox {OUTBOX} VALUES (99, 'desk', 'high', 'b', '{{}}', 0, 0, 50, 3)"),
    );
    let desk = Desk::default();
    let running = Running::start(dir.path(), vec![receiver(desk.listen().await)]);
    until("all", || (desk.got().len() == 41).then_some(())).await;
    running.stop().await;
    // As they left; the first four are under way together, and arrive as they like.
    let sent = crate::receivers::rows(dir.path(), "sent");
    let at = sent.iter().position(|row| row["transition"] == "high").unwrap();
    assert!(at < 4, "it went with the first: {at}");
}

#[test]
fn pages_of_a_receiver_that_is_not_configured_are_given_up_in_time_and_the_journal_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = alerting::store::Store::open(&file(dir.path())).unwrap();
    sql(
        dir.path(),
        &format!(
            "INSERT INTO outbox {OUTBOX} VALUES (1, 'desk', 't1', 'a1', '{{}}', 0, 0, 5, 3),
             (2, 'gone', 't2', 'a2', '{{}}', 0, 0, 5, 3), (3, 'gone', 't3', 'a3', '{{}}', 0, 0, 50, 3)"
        ),
    );
    let given_up = store.forget_orphans(
        &["desk".to_owned()],
        telemetry::UnixMicros(10),
        telemetry::UnixMicros(60),
    );
    assert_eq!(given_up.unwrap(), 1);
    assert_eq!(store.waiting_pages().unwrap(), 2);
    assert_eq!(crate::journal::count(dir.path(), "undelivered"), 1);
}
