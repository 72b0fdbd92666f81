//! The journal shows every row that was touched.
use std::path::Path;

use alerting::store::Store;
use alerting::store::journal::Entry;
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::json;
use telemetry::UnixMicros;

use crate::process::file;

/// How many rows of a kind stand in the journal, which must be whole.
pub(crate) fn count(dir: &Path, kind: &str) -> i64 {
    let store = Store::open(&file(dir)).unwrap();
    assert_eq!(store.verify_journal().unwrap().broken_at, None);
    let db = Connection::open(file(dir)).unwrap();
    db.query_row("SELECT count(*) FROM journal WHERE kind = ?1", [kind], |row| row.get(0))
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_row_that_is_changed_removed_or_moved_shows(rows in 2i64..12, at in 0i64..12, how in 0usize..7) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&file(dir.path())).unwrap();
        for n in 0..rows {
            store.journal(&Entry::new(UnixMicros(n), "test", &json!({"n": n}))).unwrap();
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

#[test]
fn a_comment_can_be_erased_and_the_chain_still_holds() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&file(dir.path())).unwrap();
    store
        .journal(&Entry::new(UnixMicros(1), "test", &json!({"comment_digest": "ab"})))
        .unwrap();
    let db = Connection::open(file(dir.path())).unwrap();
    db.execute("DELETE FROM free_text", []).unwrap();
    assert_eq!(store.verify_journal().unwrap().broken_at, None);
}
