//! What is forgotten, and when: nothing in the file grows without bound. Each call forgets a bounded number of rows, so that
//! it never holds up a page for long; what is open, waits or was not told is never forgotten here.
use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::{Value, json};
use telemetry::UnixMicros;

use super::journal::{self, Anchor, Entry, EntryKind};
use super::{Store, StoreError};

/// Most rows of each kind in one transaction: some milliseconds of work.
pub const MAX_ROWS: usize = 500;
/// Transitions that wait for the store of readings; at the bound the oldest goes. They stay in the journal.
pub const MAX_OUTLET: i64 = 200_000;

/// Where the calendar stands.
const CALENDAR: &str = "calendar";

/// Up to when things are forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Journal rows before this, with their texts and evidence, and facts about items that were not touched since.
    pub journal: UnixMicros,
    /// Alerts that ended before this. They stay in the journal.
    pub resolved: UnixMicros,
}

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forgotten {
    /// Journal rows.
    pub journal: u64,
    /// Alerts that ended.
    pub alerts: u64,
    /// Facts about items, cartridges and sterilizers.
    pub facts: u64,
    /// Transitions that the store of readings never took.
    pub outlet: u64,
    /// A bound was reached: there is more to forget.
    pub more: bool,
}

impl Forgotten {
    fn count(&mut self, rows: usize) -> u64 {
        self.more |= rows >= MAX_ROWS;
        rows as u64
    }
}

impl Store {
    /// Forgets up to [`MAX_ROWS`] rows of each kind.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was forgotten.
    pub fn forget(&self, cut: Cut, now: UnixMicros) -> Result<Forgotten, StoreError> {
        let due = {
            let db = self.db();
            is_due(&db, cut).map_err(self.error("look for what is old"))?
        };
        // Looking first costs no fsync when there is nothing to do.
        if !due {
            return Ok(Forgotten::default());
        }
        self.write("forget what is old", |tx| {
            let mut gone = Forgotten::default();
            let rows = journal_head(tx, cut.journal, now)?;
            gone.journal = gone.count(rows);
            let rows = tx
                .prepare_cached(
                    "DELETE FROM alert WHERE id IN (SELECT id FROM alert WHERE open = 0 AND ended_us < ?1 ORDER BY ended_us LIMIT ?2)",
                )?
                .execute(params![cut.resolved.0, MAX_ROWS as i64])?;
            gone.alerts = gone.count(rows);
            let rows = tx
                .prepare_cached(
                    "DELETE FROM fact WHERE (kind, tenant, key) IN \
                     (SELECT kind, tenant, key FROM fact WHERE touched_us < ?1 ORDER BY touched_us LIMIT ?2)",
                )?
                .execute(params![cut.journal.0, MAX_ROWS as i64])?;
            gone.facts = gone.count(rows);
            let rows = tx
                .prepare_cached(
                    "DELETE FROM outlet WHERE n IN (SELECT n FROM outlet WHERE n <= (SELECT max(n) FROM outlet) - ?1 ORDER BY n LIMIT ?2)",
                )?
                .execute(params![MAX_OUTLET, MAX_ROWS as i64])?;
            gone.outlet = gone.count(rows);
            Ok(gone)
        })
    }

    /// The time by which things were forgotten last; `None`: never.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn calendar(&self) -> Result<Option<UnixMicros>, StoreError> {
        Ok(self.meta(CALENDAR)?.and_then(|at| at.parse().ok()).map(UnixMicros))
    }

    /// Keeps the time by which things are forgotten.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep_calendar(&self, at: UnixMicros) -> Result<(), StoreError> {
        self.write("keep its calendar", |tx| {
            super::put_meta(tx, CALENDAR, &at.0.to_string())
        })
    }

    /// Erases the comments of people on an alert, and says so in the journal, which still holds. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was erased.
    pub fn erase_comments(&self, alert: crate::id::AlertId, actor: &str, now: UnixMicros) -> Result<usize, StoreError> {
        {
            // What is deleted must not stay readable in free pages of the file.
            let db = self.db();
            db.pragma_update(None, "secure_delete", "ON")
                .map_err(self.error("erase for good"))?;
        }
        let erased = self.write("erase comments", |tx| {
            let erased = tx.execute("DELETE FROM free_text WHERE alert_id = ?1", [alert.to_hex()])?;
            if erased > 0 {
                let body = json!({"alert": alert, "actor": actor, "comments": erased});
                journal::append(tx, &Entry::new(now, EntryKind::Erased, &body))?;
            }
            Ok(erased)
        })?;
        // Neither in the write-ahead log; a reader in the middle of something puts that off to the next checkpoint.
        let db = self.db();
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(self.error("empty its write-ahead log"))?;
        Ok(erased)
    }
}

fn is_due(db: &rusqlite::Connection, cut: Cut) -> rusqlite::Result<bool> {
    let sql = "SELECT coalesce((SELECT at_us < ?1 FROM journal ORDER BY n LIMIT 1), 0) \
               OR EXISTS (SELECT 1 FROM alert WHERE open = 0 AND ended_us < ?2) \
               OR EXISTS (SELECT 1 FROM fact WHERE touched_us < ?1) \
               OR coalesce((SELECT max(n) - min(n) FROM outlet), 0) >= ?3";
    db.prepare_cached(sql)?
        .query_row(params![cut.journal.0, cut.resolved.0, MAX_OUTLET], |row| row.get(0))
}

/// Cuts the journal's oldest rows off, with their texts and evidence. The anchor keeps where the chain goes on, and a row at
/// the chain's end says that it was cut, so that a head that somebody else cut shows.
fn journal_head(tx: &Transaction<'_>, before: UnixMicros, now: UnixMicros) -> rusqlite::Result<usize> {
    let mut old = Vec::new();
    {
        let mut statement = tx.prepare_cached("SELECT n, at_us, body, hash FROM journal ORDER BY n LIMIT ?1")?;
        let mut rows = statement.query([MAX_ROWS as i64])?;
        while let Some(row) = rows.next()? {
            // Only a whole head: a row behind a younger one stays until that one goes.
            if row.get::<_, i64>(1)? >= before.0 {
                break;
            }
            old.push((
                row.get::<_, i64>(0)?,
                row.get::<_, String>(2)?,
                row.get::<_, Vec<u8>>(3)?,
            ));
        }
    }
    let Some((last, _, hash)) = old.last() else {
        return Ok(0);
    };
    let anchor = Anchor {
        n: *last,
        hash: hash.clone(),
    };
    for (_, body, _) in &old {
        forget_beside(tx, body)?;
    }
    tx.prepare_cached("DELETE FROM journal WHERE n <= ?1")?
        .execute([last])?;
    anchor.put(tx)?;
    journal::append_after(tx, Some(&anchor), &Entry::new(now, EntryKind::Cut, &anchor.body()))?;
    Ok(old.len())
}

/// A row's text and evidence go with it.
fn forget_beside(tx: &Transaction<'_>, body: &str) -> rusqlite::Result<()> {
    // What is no JSON was written by nobody that has either.
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    if let Some(digest) = body.get("comment_digest").and_then(Value::as_str) {
        tx.prepare_cached("DELETE FROM free_text WHERE digest = unhex(?1)")?
            .execute([digest])?;
    }
    if let Some(transition) = body.get("transition").and_then(Value::as_str) {
        super::evidence::forget(tx, transition)?;
    }
    Ok(())
}

/// The row after which the chain begins, if its head was cut.
pub(super) fn anchor(db: &rusqlite::Connection) -> rusqlite::Result<Option<Anchor>> {
    db.prepare_cached("SELECT n, hash FROM journal_anchor WHERE id = 1")?
        .query_row([], |row| {
            Ok(Anchor {
                n: row.get(0)?,
                hash: row.get(1)?,
            })
        })
        .optional()
}
