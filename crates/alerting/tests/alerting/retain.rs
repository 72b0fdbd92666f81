//! Nothing in the file grows without bound, and what is cut off does not break the journal.
use std::path::Path;
use std::time::Duration;

use alerting::engine::{Changes, FactKey, Table};
use alerting::id::AlertId;
use alerting::store::journal::{Entry, EntryKind};
use alerting::store::retain::{Cut, MAX_OUTLET, MAX_ROWS};
use alerting::store::{Batch, Leaving, Store};
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::json;
use telemetry::UnixMicros;

use crate::desk::{Desk, Running, depth_pages, file, hazard, receiver, until};
use crate::support::World;

fn store(dir: &Path) -> Store {
    Store::open(&file(dir)).unwrap()
}

fn db(dir: &Path) -> Connection {
    Connection::open(file(dir)).unwrap()
}

fn number(dir: &Path, sql: &str) -> i64 {
    db(dir).query_row(sql, [], |row| row.get(0)).unwrap()
}

fn entry(at: i64) -> Entry {
    Entry::new(UnixMicros(at), EntryKind::Gap, &json!({"from": at}))
}

fn cut(journal: i64, resolved: i64) -> Cut {
    Cut {
        journal: UnixMicros(journal),
        resolved: UnixMicros(resolved),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_chain_holds_after_any_cuts_and_still_shows_what_was_touched(
        rows in 3i64..30,
        cuts in proptest::collection::vec(0i64..30, 1..4),
        touched in 0i64..30,
        how in 0usize..6,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        for n in 0..rows {
            store.journal(&entry(n)).unwrap();
        }
        let head = store.verify_journal().unwrap().head;
        let mut gone = 0;
        for at in &cuts {
            gone += store.forget(cut(*at, 0), UnixMicros(1_000)).unwrap().journal as i64;
        }
        let most = cuts.iter().max().unwrap().min(&rows);
        prop_assert_eq!(gone, *most);
        let whole = store.verify_journal().unwrap();
        prop_assert_eq!(whole.broken_at, None);
        if gone == 0 {
            prop_assert_eq!(whole.head, head);
            return Ok(());
        }
        store.journal(&entry(2_000)).unwrap();
        let whole = store.verify_journal().unwrap();
        prop_assert_eq!(whole.broken_at, None);
        let first = number(dir.path(), "SELECT min(n) FROM journal");
        let last = number(dir.path(), "SELECT max(n) FROM journal");
        let n = first + touched % (last - first + 1);
        let sql = match how {
            0 => format!("UPDATE journal SET body = body || ' ' WHERE n = {n}"),
            // Somebody cuts more of the head off, and moves the anchor there.
            1 => format!(
                "INSERT OR REPLACE INTO journal_anchor SELECT 1, n, hash FROM journal WHERE n = {first}; DELETE FROM journal WHERE n = {first}"
            ),
            2 => format!("DELETE FROM journal WHERE n = {first}"),
            3 => "DELETE FROM journal_anchor".to_owned(),
            4 => "UPDATE journal_anchor SET hash = zeroblob(32)".to_owned(),
            _ => "UPDATE journal_anchor SET n = n - 1".to_owned(),
        };
        db(dir.path()).execute_batch(&sql).unwrap();
        let after = store.verify_journal().unwrap();
        prop_assert!(after.broken_at.is_some(), "{}: {:?}", sql, after);
    }
}

#[test]
fn each_transaction_forgets_a_bounded_number_of_rows_and_says_that_there_is_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let entries: Vec<_> = (0..MAX_ROWS as i64 + 10).map(entry).collect();
    let batch = Batch {
        entries,
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    let first = store.forget(cut(1_000_000, 0), UnixMicros(1_000_000)).unwrap();
    assert_eq!((first.journal, first.more), (MAX_ROWS as u64, true));
    let second = store.forget(cut(1_000_000, 0), UnixMicros(1_000_000)).unwrap();
    assert_eq!((second.journal, second.more), (10, false));
    // Two rows say where it was cut; young ones stay.
    assert_eq!(number(dir.path(), "SELECT count(*) FROM journal"), 2);
    let third = store.forget(cut(1_000_000, 0), UnixMicros(1_000_000)).unwrap();
    assert_eq!(third.journal, 0);
    assert_eq!(store.verify_journal().unwrap().broken_at, None);
}

/// Commits a hazard with `size` bytes of evidence. Returns the transitions' ids and how much evidence went.
fn commit_hazard(
    store: &Store,
    world: &mut World,
    sequence: u64,
    size: usize,
    max: u64,
) -> (Vec<alerting::id::TransitionId>, u64) {
    let transitions = world.say(&hazard("pen-1", sequence));
    let leaving = transitions
        .iter()
        .map(|transition| Leaving {
            transition,
            advisory: None,
            outlet: None,
            evidence: vec![(sequence, Some(vec![7; size]))],
        })
        .collect();
    let batch = Batch {
        changes: world.engine.take_changes(),
        leaving,
        next: sequence,
        evidence_max: max,
        ..Batch::default()
    };
    let dropped = store.commit(&batch).unwrap();
    (transitions.iter().map(|t| t.id).collect(), dropped)
}

#[test]
fn evidence_never_exceeds_its_bytes_and_the_oldest_goes_first_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut world = World::new();
    let max = 10_000;
    let (mut all, mut dropped) = (Vec::new(), 0);
    for sequence in 1..=40 {
        let (ids, gone) = commit_hazard(&store, &mut world, sequence, 1_000, max);
        all.extend(ids);
        dropped += gone;
        let bytes = number(dir.path(), "SELECT sum(length(bytes) + 128) FROM evidence");
        assert!(bytes <= max as i64, "{bytes}");
        let kept = number(
            dir.path(),
            "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'evidence_bytes'",
        );
        assert_eq!(bytes, kept, "the sum that is kept is the sum that is there");
    }
    let there: Vec<_> = all.iter().map(|id| !store.evidence(*id).unwrap().is_empty()).collect();
    let first = there.iter().position(|there| *there).unwrap();
    assert!(there[first..].iter().all(|there| *there), "oldest first: {there:?}");
    assert_eq!(dropped, first as u64);
}

#[test]
fn evidence_and_comments_go_with_their_rows_of_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (ids, _) = commit_hazard(&store, &mut World::new(), 1, 100, 1_000_000);
    store
        .journal(&entry(0).with_text(AlertId([1; 16]), "called the clinic"))
        .unwrap();
    assert_eq!(number(dir.path(), "SELECT count(*) FROM free_text"), 1);
    store.forget(cut(1, 0), UnixMicros(5)).unwrap();
    assert!(store.evidence(ids[0]).unwrap().is_empty());
    assert_eq!(number(dir.path(), "SELECT count(*) FROM free_text"), 0);
    assert_eq!(
        number(
            dir.path(),
            "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'evidence_bytes'"
        ),
        0
    );
    assert_eq!(store.verify_journal().unwrap().broken_at, None);
}

#[test]
fn an_alert_that_ended_leaves_the_list_in_time_and_an_open_one_never_does() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut world = World::new();
    commit_hazard(&store, &mut world, 1, 10, 1_000_000);
    let open: Vec<_> = store.alerts(None, 100).unwrap();
    let deep = open.iter().find(|a| a.rule == "depth-above-limit").unwrap().id;
    world.apply(&crate::support::acknowledge(deep.0, 1, 2_000_000_000));
    // Another session: what was acknowledged is over.
    let transitions = world.say(&hazard("pen-1", 2));
    assert!(
        transitions
            .iter()
            .any(|t| t.alert.id == deep && t.to == alerting::lifecycle::State::Resolved)
    );
    let batch = Batch {
        changes: world.engine.take_changes(),
        now: UnixMicros(50),
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    let open = number(dir.path(), "SELECT count(*) FROM alert WHERE open = 1");
    let ended = number(dir.path(), "SELECT count(*) FROM alert WHERE open = 0");
    assert_eq!(store.forget(cut(0, 50), UnixMicros(60)).unwrap().alerts, 0, "not yet");
    assert_eq!(store.forget(cut(0, 51), UnixMicros(60)).unwrap().alerts as i64, ended);
    assert_eq!(store.alert(deep).unwrap(), None);
    assert_eq!(number(dir.path(), "SELECT count(*) FROM alert"), open);
    assert!(
        number(
            dir.path(),
            "SELECT count(*) FROM journal WHERE body LIKE '%depth-above-limit%'"
        ) > 0
    );
}

#[test]
fn facts_that_nobody_touched_go_and_those_in_use_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let put = |key: &str, now: i64| {
        let key = FactKey {
            table: Table::Cartridge,
            tenant: "acme".into(),
            key: key.into(),
        };
        let changes = Changes {
            facts: [(key, "{}".to_owned())].into(),
            ..Changes::default()
        };
        let batch = Batch {
            changes,
            now: UnixMicros(now),
            ..Batch::default()
        };
        store.commit(&batch).unwrap();
    };
    put("K1", 1);
    put("K2", 1);
    put("K2", 10);
    assert_eq!(store.forget(cut(5, 0), UnixMicros(20)).unwrap().facts, 1);
    assert_eq!(number(dir.path(), "SELECT count(*) FROM fact WHERE key = 'K2'"), 1);
}

#[test]
fn transitions_that_nobody_takes_are_bounded_oldest_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    db(dir.path())
        .execute_batch(&format!(
            "INSERT INTO outlet VALUES (1, x'01'), (2, x'02'), ({}, x'03')",
            MAX_OUTLET + 1
        ))
        .unwrap();
    assert_eq!(store.forget(cut(0, 0), UnixMicros(1)).unwrap().outlet, 1);
    let left: Vec<_> = store.outlet(0, 10).unwrap().into_iter().map(|(n, _)| n).collect();
    assert_eq!(left, [2, MAX_OUTLET + 1]);
}

#[test]
fn a_file_of_the_first_version_goes_on_with_what_stands_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let old = db(dir.path());
    old.execute_batch(include_str!("../../src/store/schema.sql")).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute_batch(
        "INSERT INTO fact VALUES ('cartridge', 'acme', 'K1', '{}');
         INSERT INTO outbox VALUES (1, 'desk', NULL, 't', 'a', '{}', 0, 0, 5);
         INSERT INTO meta VALUES ('next', '7'), ('clock', '9');",
    )
    .unwrap();
    drop(old);
    let store = store(dir.path());
    assert_eq!(store.position().unwrap(), (UnixMicros(9), Some(7)));
    assert_eq!(store.waiting_pages().unwrap(), 1);
    // What was there before counts as touched when it was taken over.
    assert_eq!(store.forget(cut(1_000, 1_000), UnixMicros(2_000)).unwrap().facts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_process_forgets_by_its_settings_and_pages_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    // Rows of 1970.
    let rows = 40;
    for n in 0..rows {
        store(dir.path()).journal(&entry(n)).unwrap();
    }
    let desk = Desk::default();
    let running = Running::start(dir.path(), vec![receiver(desk.listen().await)]);
    running.append(&[hazard("pen-1", 1).record()]);
    until("a page", || depth_pages(&desk).pop()).await;
    until("nothing of 1970", || {
        (number(dir.path(), &format!("SELECT count(*) FROM journal WHERE n <= {rows}")) == 0).then_some(())
    })
    .await;
    tokio::time::timeout(Duration::from_secs(30), running.stop())
        .await
        .unwrap();
    assert_eq!(crate::journal::count(dir.path(), "cut"), 1);
}
