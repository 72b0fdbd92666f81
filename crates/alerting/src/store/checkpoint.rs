//! Copying the write-ahead log into the file, beside the transactions and not in them: it syncs two files, and a page that
//! waits for its transaction would wait for that.
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{Store, StoreError};

/// Length of the write-ahead log from which on it is copied.
const FROM_BYTES: u64 = 4 * 1024 * 1024;
/// Pages (64 MiB) at which a transaction copies it itself, as a bound: then nobody else did.
pub(super) const AT_MOST_PAGES: i64 = 16_384;
/// How often its length is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A handle that does nothing else: who reads or writes through another one never waits for this one's connection.
pub(crate) struct Checkpointer {
    store: Store,
    wal: PathBuf,
}

impl Store {
    /// A handle for copying the write-ahead log.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub(crate) fn checkpointer(&self) -> Result<Checkpointer, StoreError> {
        let store = self.reopen()?;
        // It comes again soon; waiting for a long reader would keep everybody who writes.
        let no_waiting = store.db().busy_timeout(Duration::ZERO);
        no_waiting.map_err(store.error("set its timeout"))?;
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        Ok(Checkpointer { store, wal: wal.into() })
    }
}

impl Checkpointer {
    /// Copies the write-ahead log into the file if it has grown. Those who write wait for what came meanwhile only.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn checkpoint(&self) -> Result<(), StoreError> {
        let grown = std::fs::metadata(&self.wal).is_ok_and(|meta| meta.len() >= FROM_BYTES);
        if !grown {
            return Ok(());
        }
        let failed = self.store.error("copy its write-ahead log");
        let copy = |mode| self.store.db().query_row(mode, [], |_| Ok(()));
        copy("PRAGMA wal_checkpoint(PASSIVE)").map_err(&failed)?;
        // With all of it copied the log begins anew, else it would only grow.
        let _turn = self.store.turn.lock().unwrap_or_else(PoisonError::into_inner);
        copy("PRAGMA wal_checkpoint(TRUNCATE)").map_err(&failed)
    }
}

/// Looks after the file until `stop`.
pub(crate) async fn run(checkpointer: Checkpointer, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    let checkpointer = Arc::new(checkpointer);
    loop {
        let copying = Arc::clone(&checkpointer);
        match tokio::task::spawn_blocking(move || copying.checkpoint()).await {
            Ok(Ok(())) => {}
            // Transactions do it themselves at their bound.
            Ok(Err(error)) => tracing::warn!(error = %error, "alerting's write-ahead log was not copied"),
            Err(join) => std::panic::resume_unwind(join.into_panic()),
        }
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use serde_json::json;
    use telemetry::UnixMicros;

    use super::*;
    use crate::store::journal::{Entry, EntryKind};

    fn fill(store: &Store, rows: i64) {
        let text = "x".repeat(8_000);
        for n in 0..rows {
            let entry = Entry::new(UnixMicros(n), EntryKind::Rejected, &json!({"offset": n, "error": text}));
            store.journal(&entry).unwrap();
        }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("alerting.sqlite")).unwrap();
        (dir, store)
    }

    fn wal(checkpointer: &Checkpointer) -> u64 {
        std::fs::metadata(&checkpointer.wal).unwrap().len()
    }

    #[test]
    fn a_log_that_has_grown_begins_anew_while_others_write() {
        let (_dir, store) = store();
        let checkpointer = store.checkpointer().unwrap();
        let writers = [store.reopen().unwrap(), store.reopen().unwrap()];
        let threads = writers.map(|writer| std::thread::spawn(move || fill(&writer, 300)));
        fill(&store, 600);
        let grown = wal(&checkpointer);
        assert!(grown >= FROM_BYTES, "{grown} B: nothing was tried");
        checkpointer.checkpoint().unwrap();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        checkpointer.checkpoint().unwrap();
        let left = wal(&checkpointer);
        assert!(left < FROM_BYTES, "{left} B");
        assert_eq!(store.verify_journal().unwrap().rows, 1_200);
    }

    #[test]
    fn who_reads_for_long_keeps_nobody_from_writing_and_the_log_begins_anew_afterwards() {
        let (_dir, store) = store();
        let checkpointer = store.checkpointer().unwrap();
        fill(&store, 1);
        let reader = store.reopen().unwrap();
        let db = reader.db();
        db.execute_batch("BEGIN").unwrap();
        db.query_row("SELECT count(*) FROM journal", [], |row| row.get::<_, i64>(0))
            .unwrap();
        fill(&store, 600);
        checkpointer.checkpoint().unwrap();
        assert!(wal(&checkpointer) >= FROM_BYTES, "the reader still needs it");
        fill(&store, 1);
        db.execute_batch("COMMIT").unwrap();
        checkpointer.checkpoint().unwrap();
        assert!(wal(&checkpointer) < FROM_BYTES);
        assert_eq!(store.verify_journal().unwrap().rows, 602);
    }
}
