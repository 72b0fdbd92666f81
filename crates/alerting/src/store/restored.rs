//! A file that came out of a backup: the process that went on after it was made may have sent what this one does not know of.
use rusqlite::{OptionalExtension, Transaction};
use serde_json::json;
use telemetry::UnixMicros;

use super::journal::{self, Entry, EntryKind};
use super::{Store, StoreError, put_meta, tail};
use crate::notify::rfc3339;
use crate::paging::PageOut;

/// When a process first went on from a copy of this file, microseconds since 1970.
const RESTORED: &str = "restored_us";

/// Clocks of devices are ahead of ours, and a reading may be told before the end of its batch: what is said to have happened so
/// soon after the restore may have happened before it. A page too much is marked, not one too few.
const CLOCKS_DIFFER_US: i64 = 5_000_000;

impl Store {
    /// Keeps that this file is a copy of `taken_at` with which work goes on at `now`. Every page that waits, and every later
    /// one about something that happened before `now`, may be a repeat from here on, and says so. Returns how many wait.
    ///
    /// # Errors
    /// [`StoreError`]; it may be called again.
    pub fn restored(&self, taken_at: UnixMicros, now: UnixMicros) -> Result<usize, StoreError> {
        self.write("mark what a backup cannot know", |tx| {
            let waiting = tx.execute("UPDATE outbox SET sent = 1", [])?;
            put_meta(tx, RESTORED, &now.0.to_string())?;
            tail::begin_anew(tx)?;
            let body = json!({"backup_us": taken_at.0, "restored_us": now.0, "pages": waiting});
            journal::append(tx, &Entry::new(now, EntryKind::Restored, &body))?;
            Ok(waiting)
        })
    }
}

/// Whether another process may have sent a page: it is about what happened before this file was restored.
pub(super) fn may_be_repeat(tx: &Transaction<'_>, page: &PageOut) -> rusqlite::Result<bool> {
    let restored: Option<i64> = tx
        .prepare_cached("SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?1")?
        .query_row([RESTORED], |row| row.get(0))
        .optional()?;
    let happened = page.body["event_time"].as_str();
    // Both in one form of fixed width, so that they compare as texts.
    Ok(restored.is_some_and(|at| {
        happened.is_some_and(|happened| happened <= rfc3339(UnixMicros(at + CLOCKS_DIFFER_US)).as_str())
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use telemetry::Priority;

    use super::*;
    use crate::paging::Effect;
    use crate::store::{Batch, Due};

    const RESTORED_AT: UnixMicros = UnixMicros(1_800_000_000_000_000);

    /// A page for a receiver of this name about what happened then.
    fn page(store: &Store, receiver: &str, happened: UnixMicros) {
        let page = PageOut {
            receiver: receiver.to_owned(),
            digest: None,
            late: false,
            alert: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            page: "fedcba9876543210fedcba9876543210".parse().unwrap(),
            urgency: Priority::High,
            body: json!({"event_time": rfc3339(happened)}),
        };
        let paging = crate::paging::Changes {
            effects: vec![Effect::Page(page)],
            ..Default::default()
        };
        let batch = Batch {
            paging,
            now: RESTORED_AT,
            ..Default::default()
        };
        store.commit(&batch).unwrap();
    }

    fn is_marked(store: &Store, receiver: &str) -> bool {
        let due = store.take_due(receiver, RESTORED_AT, 1, RESTORED_AT, Due::Any).unwrap();
        due.first().expect("it is due").possible_repeat
    }

    #[test]
    fn after_a_restore_pages_that_wait_and_pages_about_the_time_before_say_that_they_may_be_repeats() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("alerting.sqlite")).unwrap();
        let before = UnixMicros(RESTORED_AT.0 - 1_000_000);
        page(&store, "waits", before);
        assert_eq!(store.restored(UnixMicros(before.0 - 1), RESTORED_AT).unwrap(), 1);
        page(&store, "about-before", before);
        page(
            &store,
            "about-after",
            UnixMicros(RESTORED_AT.0 + CLOCKS_DIFFER_US + 1_000),
        );
        assert!(is_marked(&store, "waits"));
        assert!(is_marked(&store, "about-before"));
        assert!(!is_marked(&store, "about-after"));
    }

    #[test]
    fn a_file_that_was_never_restored_marks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("alerting.sqlite")).unwrap();
        page(&store, "plain", RESTORED_AT);
        assert!(!is_marked(&store, "plain"));
    }
}
