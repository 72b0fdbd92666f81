//! A real process is killed at random moments while a receiver counts: no alert is lost, and what repeats says so.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use rand::Rng as _;
use spool::NewRecord;

use crate::desk::{Answer, Desk, Running, hasty_receiver, hazard, open_log, until};

const DIR: &str = "ALERTING_TEST_CHILD_DIR";
const DESK: &str = "ALERTING_TEST_CHILD_DESK";
/// Hazards in the log.
const HAZARDS: u64 = 60;
/// How often the process is killed.
const KILLS: usize = 8;

/// Not a test of its own: the process that is killed. Without its environment it has nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn the_process_that_is_killed() {
    let (Ok(dir), Ok(desk)) = (std::env::var(DIR), std::env::var(DESK)) else {
        return;
    };
    let hasty = hasty_receiver(desk.parse().unwrap(), Duration::from_secs(5));
    let running = Running::start(Path::new(&dir), vec![hasty]);
    // The parent kills it; should the parent be gone, it ends by itself.
    tokio::time::sleep(Duration::from_secs(60)).await;
    running.stop().await;
}

pub(crate) fn start(dir: &Path, desk: std::net::SocketAddr) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::the_process_that_is_killed", "--nocapture"])
        .env(DIR, dir)
        .env(DESK, desk.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

pub(crate) fn append(log: &spool::Spool, bytes: &[u8]) {
    let appended = log.append(&[NewRecord { lane: 1, bytes }], SystemTime::now()).unwrap();
    log.sync_appended(&appended).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_survives_a_kill_at_any_moment_and_stands_in_the_journal_once() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    let address = desk.listen().await;
    let mut child = start(dir.path(), address);
    let mut acknowledged = Vec::new();
    for n in 1..=6u64 {
        let said = hazard(&format!("pen-{n}"), 1);
        let mut world = crate::support::World::new();
        let fired = world.say(&said);
        let id = fired
            .iter()
            .find(|t| t.alert.rule == "depth-above-limit")
            .unwrap()
            .alert
            .id;
        // Both are durable before anything is applied, as a command is that was answered.
        child.kill().unwrap();
        child.wait().unwrap();
        {
            let log = open_log(dir.path());
            append(&log, &said.record());
            append(&log, &crate::support::acknowledge(id.0, n as u8, said.at_us + 1));
        }
        acknowledged.push(id);
        child = start(dir.path(), address);
        tokio::time::sleep(Duration::from_micros(rand::rng().random_range(0..60_000))).await;
    }
    let file = crate::desk::file(dir.path());
    let store = alerting::store::Store::open(&file).unwrap();
    until("every acknowledgement", || {
        let state = |id| store.alert(id).unwrap().map(|a| a.state());
        acknowledged
            .iter()
            .all(|id| state(*id) == Some(alerting::lifecycle::State::Acknowledged))
            .then_some(())
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(crate::journal::count(dir.path(), "acknowledge"), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_loses_no_alert_and_every_repeat_is_marked() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    // Some are taken without an answer: exactly what a kill in the middle of a delivery looks like to the sender.
    desk.script(&[
        Answer::Status(204),
        Answer::Take,
        Answer::Status(503),
        Answer::Status(204),
        Answer::Take,
    ]);
    let address = desk.listen().await;
    let mut expected = BTreeSet::new();
    {
        let log = open_log(dir.path());
        let mut world = crate::support::World::new();
        for n in 0..HAZARDS {
            let record = hazard(&format!("pen-{}", n % 6 + 1), n / 6 + 1).record();
            let appended = log
                .append(
                    &[NewRecord {
                        lane: 1,
                        bytes: &record,
                    }],
                    SystemTime::now(),
                )
                .unwrap();
            log.sync_appended(&appended).unwrap();
            let paged = world.apply(&record).into_iter().filter(|t| t.page);
            expected.extend(paged.map(|t| t.id.to_hex()));
        }
    }
    assert!(expected.len() as u64 >= HAZARDS);
    for _ in 0..KILLS {
        let mut child = start(dir.path(), address);
        let before = desk.got().len();
        let more = rand::rng().random_range(0..12);
        // Somewhere between its start and a few pages later, and a few milliseconds on.
        until("pages before the kill", || {
            (desk.got().len() >= (before + more).min(expected.len())).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_micros(rand::rng().random_range(0..20_000))).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut child = start(dir.path(), address);
    until("every page", || {
        let got: BTreeSet<_> = desk.accepted().into_iter().map(|g| g.key).collect();
        expected.is_subset(&got).then_some(())
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for got in desk.got() {
        let before = seen.entry(got.key.clone()).or_default();
        let marked = got.body["possible_repeat"].as_bool().unwrap();
        assert!(*before == 0 || marked, "a page came again without saying so");
        *before += 1;
    }
    let unknown: Vec<_> = seen.keys().filter(|key| !expected.contains(*key)).collect();
    assert!(unknown.is_empty(), "pages that no hazard caused: {unknown:?}");
    let store = alerting::store::Store::open(&crate::desk::file(dir.path())).unwrap();
    assert_eq!(store.verify_journal().unwrap().broken_at, None);
}

/// More than one transaction takes: what is behind the piece that was committed must be read again.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_that_is_killed_between_its_transactions_is_whole_after_the_next_start() {
    // As many as the devices of these tests may have open at a time; a transaction takes 256.
    const FLOOD: u64 = 360;
    let dir = tempfile::tempdir().unwrap();
    let address = Desk::default().listen().await;
    let mut expected = BTreeSet::new();
    {
        let log = open_log(dir.path());
        let mut world = crate::support::World::new();
        let records: Vec<Vec<u8>> = (0..FLOOD)
            .map(|n| hazard(&format!("pen-{}", n % 6 + 1), n / 6 + 1).record())
            .collect();
        for chunk in records.chunks(100) {
            let chunk: Vec<NewRecord<'_>> = chunk.iter().map(|bytes| NewRecord { lane: 1, bytes }).collect();
            let appended = log.append(&chunk, SystemTime::now()).unwrap();
            log.sync_appended(&appended).unwrap();
        }
        for record in &records {
            expected.extend(world.apply(record).into_iter().map(|t| t.id.to_hex()));
        }
    }
    assert!(expected.len() as u64 >= FLOOD);
    // A reader beside the process; until it has made its file there is none.
    let told = || {
        let read_only = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let db = rusqlite::Connection::open_with_flags(crate::desk::file(dir.path()), read_only).ok()?;
        let sql = "SELECT json_extract(body, '$.transition') FROM journal WHERE kind = 'transition'";
        let rows = db
            .prepare(sql)
            .ok()?
            .query_map([], |row| row.get(0))
            .ok()?
            .collect::<Result<Vec<String>, _>>();
        rows.ok()
    };
    // Between the first transaction and the second the file takes no more: however late we look, there is something between.
    let change = |sql: &str| {
        drop(alerting::store::Store::open(&crate::desk::file(dir.path())).unwrap());
        let db = rusqlite::Connection::open(crate::desk::file(dir.path())).unwrap();
        db.execute_batch(sql).unwrap();
    };
    change(
        "CREATE TRIGGER hold_back BEFORE INSERT ON journal WHEN NEW.kind = 'transition'
         AND (SELECT count(*) FROM journal WHERE kind = 'transition') >= 320
         BEGIN SELECT RAISE(ABORT, 'not yet'); END",
    );
    let mut child = start(dir.path(), address);
    let first = until("the first of them", || told().filter(|told| !told.is_empty())).await;
    child.kill().unwrap();
    child.wait().unwrap();
    change("DROP TRIGGER hold_back");
    assert!(first.len() < expected.len(), "all came in one transaction");
    let mut child = start(dir.path(), address);
    let all = until("all of them", || told().filter(|told| told.len() >= expected.len())).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let mut once = BTreeSet::new();
    assert!(
        all.iter().all(|id| once.insert(id.clone())),
        "a transition stands twice"
    );
    assert!(expected.is_subset(&once), "a transition is lost");
}
