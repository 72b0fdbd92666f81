//! The journal shows every row that was touched.
use std::path::Path;

use alerting::store::Store;
use alerting::store::journal::{Entry, EntryKind};
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::json;
use telemetry::UnixMicros;

use crate::desk::file;

/// How many rows of a kind stand in the journal, which must be whole.
pub(crate) fn count(dir: &Path, kind: &str) -> i64 {
    let store = Store::open(&file(dir)).unwrap();
    assert_eq!(store.verify_journal().unwrap().broken_at, None);
    let db = Connection::open(file(dir)).unwrap();
    db.query_row("SELECT count(*) FROM journal WHERE kind = ?1", [kind], |row| row.get(0))
        .unwrap()
}

/// The latest time of a step in the journal, microseconds since 1970.
pub(crate) fn last_step(dir: &Path) -> i64 {
    let db = Connection::open(file(dir)).unwrap();
    let sql = "SELECT max(json_extract(body, '$.decided_us')) FROM journal WHERE kind = 'transition'";
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_row_that_is_changed_removed_or_moved_shows(rows in 2i64..12, at in 0i64..12, how in 0usize..7) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&file(dir.path())).unwrap();
        for n in 0..rows {
            store.journal(&Entry::new(UnixMicros(n), EntryKind::Gap, &json!({"from": n}))).unwrap();
        }
        let whole = store.verify_journal().unwrap();
        prop_assert_eq!((whole.rows as i64, whole.broken_at), (rows, None));
        let n = at % rows + 1;
        let db = Connection::open(file(dir.path())).unwrap();
        let sql = match how {
            0 => "UPDATE journal SET body = body || ' ' WHERE n = ?1",
            1 => "UPDATE journal SET at_us = at_us + 1 WHERE n = ?1",
            2 => "UPDATE journal SET kind = 'other' WHERE n = ?1",
            3 => "UPDATE journal SET hash = zeroblob(32) WHERE n = ?1",
            4 => "UPDATE journal SET previous = x'01' WHERE n = ?1",
            5 => "UPDATE journal SET n = 1000 WHERE n = ?1",
            _ => "DELETE FROM journal WHERE n = ?1",
        };
        db.execute(sql, [n]).unwrap();
        let after = store.verify_journal().unwrap();
        // A tail that was cut shows only against the head that was anchored elsewhere.
        prop_assert!(after.broken_at.is_some() || after.head != whole.head);
        prop_assert!(after.rows < whole.rows as u64);
    }
}

/// Whether a file, or what SQLite keeps beside it, holds these bytes.
fn holds(dir: &Path, text: &str) -> bool {
    let base = file(dir);
    ["", "-wal"].iter().any(|end| {
        let bytes = std::fs::read(format!("{}{end}", base.display())).unwrap_or_default();
        bytes.windows(text.len()).any(|part| part == text.as_bytes())
    })
}

#[test]
fn a_comment_can_be_erased_for_good_and_the_chain_still_holds() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&file(dir.path())).unwrap();
    let alert = alerting::id::AlertId([5; 16]);
    let text = "the client of room 3 has blisters";
    let entry = Entry::new(UnixMicros(1), EntryKind::Acknowledge, &json!({"alert": alert})).with_text(alert, text);
    store.journal(&entry).unwrap();
    store
        .journal(&Entry::new(UnixMicros(2), EntryKind::Gap, &json!({})))
        .unwrap();
    let before = store.verify_journal().unwrap();
    assert_eq!((before.rows, before.broken_at), (2, None));
    assert!(holds(dir.path(), text));
    let db = Connection::open(file(dir.path())).unwrap();
    let body: String = db
        .query_row("SELECT body FROM journal WHERE n = 1", [], |row| row.get(0))
        .unwrap();
    let digest = serde_json::from_str::<serde_json::Value>(&body).unwrap()["comment_digest"].clone();
    assert_eq!(digest.as_str().unwrap().len(), 64, "the chain holds a digest of it");
    drop(db);
    assert_eq!(store.erase_comments(alert, "ann", UnixMicros(3)).unwrap(), 1);
    assert!(!holds(dir.path(), text), "neither in the file nor in what is beside it");
    let after = store.verify_journal().unwrap();
    assert_eq!((after.rows, after.broken_at), (3, None));
    assert_eq!(count(dir.path(), "erased"), 1);
    assert_eq!(
        store.erase_comments(alert, "ann", UnixMicros(4)).unwrap(),
        0,
        "once is enough"
    );
}
