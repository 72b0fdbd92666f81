//! What is known about receivers: pages that they have not taken in time and who got them instead, what they were told that
//! is still open, test pages, and a state of each receiver's own.
use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::{Value, json};
use telemetry::UnixMicros;

use super::journal::EntryKind;
use super::outbox::{Page, Settlement};
use super::{Store, StoreError, journal};
use crate::notify::TEST;

/// Up to when a page must have been due to count as undelivered, by its priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// High.
    pub high: UnixMicros,
    /// Medium.
    pub medium: UnixMicros,
    /// Low, and info.
    pub low: UnixMicros,
}

/// A page that was not taken in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// The alert.
    pub alert: String,
    /// Attempts so far.
    pub attempts: u32,
}

/// A test page to be put into the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestPage {
    /// Its own id, in the place of a transition's.
    pub id: String,
    /// The id of the alert that it would be of.
    pub alert: String,
    /// Its body.
    pub body: String,
}

/// Urgency of a test page: after what matters, before what can wait.
const TEST_URGENCY: i64 = 1;

/// Whether a page is a test.
pub(super) fn is_test(page: &Page) -> bool {
    field(&page.body, "state").as_deref() == Some(TEST)
}

fn field(body: &str, name: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    body[name].as_str().map(str::to_owned)
}

/// Copies a page to whoever is told instead, unless that was done before. A test page stays: nothing happened.
pub(super) fn give_to_fallbacks(
    tx: &Transaction<'_>,
    settled: &Settlement,
    page: &Page,
    reason: &str,
    now: UnixMicros,
) -> rusqlite::Result<()> {
    if is_test(page) || !mark_overdue(tx, page.n, &page.transition)? {
        return Ok(());
    }
    copy(tx, &settled.receiver, &settled.fallbacks, page.n, reason, now)
}

/// Marks that the fallbacks have it; `false`: they had it, or it is gone.
fn mark_overdue(tx: &Transaction<'_>, n: i64, transition: &str) -> rusqlite::Result<bool> {
    let changed = tx
        .prepare_cached("UPDATE outbox SET overdue = 1 WHERE n = ?1 AND transition_id = ?2 AND overdue = 0")?
        .execute(params![n, transition])?;
    Ok(changed > 0)
}

fn copy(
    tx: &Transaction<'_>,
    from: &str,
    to: &[String],
    n: i64,
    reason: &str,
    now: UnixMicros,
) -> rusqlite::Result<()> {
    for fallback in to {
        tx.prepare_cached(
            "INSERT INTO outbox (receiver, digest, transition_id, alert_id, body, attempts, sent, next_us, priority, made_us, fallback_of) \
             SELECT ?2, digest, transition_id, alert_id, json_set(body, '$.fallback_for', ?3, '$.fallback_reason', ?4), 0, 0, ?5, priority, made_us, ?3 \
             FROM outbox WHERE n = ?1",
        )?
        .execute(params![n, fallback, from, reason, now.0])?;
        let (transition, alert): (String, String) = tx
            .prepare_cached("SELECT transition_id, alert_id FROM outbox WHERE n = ?1")?
            .query_row([n], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let body =
            json!({"receiver": from, "fallback": fallback, "transition": transition, "alert": alert, "reason": reason});
        journal::append(tx, &journal::Entry::new(now, EntryKind::Fallback, &body))?;
    }
    Ok(())
}

/// What a receiver that has to be told again was told last of an alert.
pub(super) fn keep_open_there(tx: &Transaction<'_>, receiver: &str, page: &Page) -> rusqlite::Result<()> {
    match field(&page.body, "state").as_deref() {
        None | Some(TEST) => Ok(()),
        Some("resolved") => forget_open_there(tx, receiver, &page.alert),
        Some(_) => tx
            .prepare_cached("INSERT OR REPLACE INTO open_there (receiver, alert_id, body) VALUES (?1, ?2, ?3)")?
            .execute(params![receiver, page.alert, page.body])
            .map(drop),
    }
}

fn forget_open_there(tx: &Transaction<'_>, receiver: &str, alert: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM open_there WHERE receiver = ?1 AND alert_id = ?2")?
        .execute(params![receiver, alert])
        .map(drop)
}

/// Pages that were due before their deadline, nobody has taken, and nobody was told of.
const OVERDUE: &str = "SELECT n, alert_id, attempts, transition_id, json_extract(body, '$.state') FROM outbox \
     WHERE receiver = ?1 AND overdue = 0 \
     AND CASE due_us WHEN 0 THEN next_us ELSE due_us END <= CASE priority WHEN 3 THEN ?2 WHEN 2 THEN ?3 ELSE ?4 END LIMIT ?5";

impl Store {
    /// Marks pages that a receiver has not taken in time, and copies each to the fallbacks. Every page once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn take_overdue(
        &self,
        receiver: &str,
        fallbacks: &[String],
        deadlines: Deadlines,
        limit: usize,
        now: UnixMicros,
    ) -> Result<Vec<Overdue>, StoreError> {
        let Deadlines { high, medium, low } = deadlines;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = params![receiver, high.0, medium.0, low.0, limit];
        // Looking first costs no fsync when all is well.
        let any = {
            let db = self.db();
            let looked = db.prepare_cached(OVERDUE).and_then(|mut look| look.exists(values));
            looked.map_err(self.error("read its outbox"))?
        };
        if !any {
            return Ok(Vec::new());
        }
        self.write("mark overdue pages", |tx| {
            let mut look = tx.prepare_cached(OVERDUE)?;
            let rows = look.query_map(values, |row| {
                let overdue = Overdue {
                    alert: row.get(1)?,
                    attempts: row.get(2)?,
                };
                Ok((
                    row.get::<_, i64>(0)?,
                    overdue,
                    row.get::<_, String>(3)?,
                    row.get::<_, Option<String>>(4)?,
                ))
            })?;
            let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
            for (n, overdue, transition, state) in &rows {
                mark_overdue(tx, *n, transition)?;
                let body = json!({"receiver": receiver, "transition": transition, "alert": overdue.alert,
                    "attempts": overdue.attempts});
                journal::append(tx, &journal::Entry::new(now, EntryKind::Overdue, &body))?;
                if state.as_deref() != Some(TEST) {
                    copy(tx, receiver, fallbacks, *n, "overdue", now)?;
                }
            }
            Ok(rows.into_iter().map(|(_, overdue, ..)| overdue).collect())
        })
    }

    /// Copies a page that waits to other receivers at once, unless that was done before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn copy_page(
        &self,
        from: &str,
        to: &[String],
        page: &Page,
        reason: &'static str,
        now: UnixMicros,
    ) -> Result<(), StoreError> {
        self.write("copy a page", |tx| {
            if mark_overdue(tx, page.n, &page.transition)? {
                copy(tx, from, to, page.n, reason, now)?;
            }
            Ok(())
        })
    }

    /// Puts a test page into the outbox and keeps the receiver's state that says so, as one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_test_page(
        &self,
        receiver: &str,
        page: &TestPage,
        state: &str,
        now: UnixMicros,
    ) -> Result<(), StoreError> {
        self.write("put a test page", |tx| {
            tx.prepare_cached(
                "INSERT INTO outbox (receiver, digest, transition_id, alert_id, body, attempts, sent, next_us, priority) \
                 VALUES (?1, NULL, ?2, ?3, ?4, 0, 0, ?5, ?6)",
            )?
            .execute(params![receiver, page.id, page.alert, page.body, now.0, TEST_URGENCY])?;
            put_state(tx, receiver, state)
        })
    }

    /// What a receiver keeps over a restart, as JSON.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn receiver_state(&self, receiver: &str) -> Result<Option<String>, StoreError> {
        self.db()
            .query_row("SELECT state FROM receiver WHERE name = ?1", [receiver], |row| {
                row.get(0)
            })
            .optional()
            .map_err(self.error("read a receiver's state"))
    }

    /// Keeps it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_receiver_state(&self, receiver: &str, state: &str) -> Result<(), StoreError> {
        self.write("keep a receiver's state", |tx| put_state(tx, receiver, state))
    }

    /// What a receiver was told that is open there, by alert, after the id `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_there(&self, receiver: &str, after: &str, limit: usize) -> Result<Vec<(String, String)>, StoreError> {
        let db = self.db();
        let read = || -> rusqlite::Result<Vec<(String, String)>> {
            let mut statement = db.prepare_cached(
                "SELECT alert_id, body FROM open_there WHERE receiver = ?1 AND alert_id > ?2 ORDER BY alert_id LIMIT ?3",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = statement.query_map(params![receiver, after, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        };
        read().map_err(self.error("read what a receiver was told"))
    }

    /// A receiver knows that these alerts are over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_open_there(&self, receiver: &str, alerts: &[String]) -> Result<(), StoreError> {
        self.write("forget what a receiver was told", |tx| {
            alerts
                .iter()
                .try_for_each(|alert| forget_open_there(tx, receiver, alert))
        })
    }
}

fn put_state(tx: &Transaction<'_>, receiver: &str, state: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO receiver (name, state) VALUES (?1, ?2)")?
        .execute(params![receiver, state])
        .map(drop)
}
