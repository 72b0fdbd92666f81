//! The outbox: pages that have to leave, the receipts of those that did, and the transitions for the store.
use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::json;
use telemetry::UnixMicros;

use super::journal::EntryKind;
use super::receipt::FirstReceipt;
use super::{Done, Store, StoreError, delivery, journal, receipt};
use crate::notify;

/// A page that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its number.
    pub n: i64,
    /// The tenant whose digest it belongs to.
    pub digest: Option<String>,
    /// The step that it tells of.
    pub transition: String,
    /// The alert.
    pub alert: String,
    /// Its body.
    pub body: String,
    /// Attempts before this one.
    pub attempts: u32,
    /// An earlier attempt may have reached the receiver.
    pub possible_repeat: bool,
    /// A number that grows with its priority.
    pub urgency: i64,
    /// When it was decided; 0: not known, or there was nothing to decide.
    pub made: UnixMicros,
}

/// Which pages are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// All.
    Any,
    /// Only what goes into digests.
    Digests,
}

/// How an attempt came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageOutcome {
    /// The receiver has it.
    Delivered {
        /// What it said, bounded by the sender.
        receipt: String,
    },
    /// Try again then.
    Retry {
        /// When.
        at: UnixMicros,
        /// A bounded reason.
        reason: &'static str,
        /// The receiver certainly did not take it.
        refused: bool,
        /// Nobody should wait for this receiver.
        hopeless: bool,
    },
    /// It never will be.
    Undelivered {
        /// A bounded reason.
        reason: &'static str,
    },
}

/// Whether an attempt stands in the journal: the first ones, and then those whose number is a power of two, so that a
/// receiver that is away for hours does not fill it. Receipts say how many there were.
const fn is_kept(attempt: u32) -> bool {
    attempt <= 8 || attempt.is_power_of_two()
}

fn sent(tx: &Transaction<'_>, receiver: &str, page: &Page, now: UnixMicros) -> rusqlite::Result<()> {
    let attempt = page.attempts + 1;
    if !is_kept(attempt) {
        return Ok(());
    }
    let body = json!({"receiver": receiver, "transition": page.transition, "alert": page.alert, "attempt": attempt,
        "possible_repeat": page.possible_repeat});
    journal::append(tx, &journal::Entry::new(now, EntryKind::Sent, &body))
}

fn failed(
    tx: &Transaction<'_>,
    receiver: &str,
    page: &Page,
    reason: &str,
    refused: bool,
    again: UnixMicros,
    now: UnixMicros,
) -> rusqlite::Result<()> {
    let attempt = page.attempts + 1;
    if !is_kept(attempt) {
        return Ok(());
    }
    let body = json!({"receiver": receiver, "transition": page.transition, "alert": page.alert, "attempt": attempt,
        "reason": reason, "refused": refused, "again_us": again.0});
    journal::append(tx, &journal::Entry::new(now, EntryKind::Failed, &body))
}

/// Attempts that ended, of one receiver.
#[derive(Debug)]
pub struct Settlement {
    /// The receiver.
    pub receiver: String,
    /// Who gets what it refuses for good.
    pub fallbacks: Vec<String>,
    /// Whether it has to be told again what is open.
    pub renews: bool,
    /// How they ended.
    pub outcomes: Vec<(Page, PageOutcome)>,
}

/// A page of its own waits for earlier ones of the same alert: who hears of the end before the beginning believes that it goes on.
macro_rules! due {
    ($more:literal) => {
        concat!(
            "SELECT n, digest, transition_id, alert_id, body, attempts, sent, priority, made_us FROM outbox AS page \
             WHERE receiver = ?1 AND next_us <= ?2 AND (digest IS NOT NULL OR NOT EXISTS (SELECT 1 FROM outbox AS earlier \
             WHERE earlier.receiver = ?1 AND earlier.alert_id = page.alert_id AND earlier.n < page.n AND earlier.digest IS NULL)) ",
            $more,
            " ORDER BY priority DESC, next_us, n LIMIT ?3"
        )
    };
}

impl Store {
    /// Pages of a receiver that are due, the most urgent first and of these the oldest, each marked durably as being sent: after a crash nobody knows
    /// whether they arrived, and they say so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn take_due(
        &self,
        receiver: &str,
        now: UnixMicros,
        limit: usize,
        hold_until: UnixMicros,
        which: Due,
    ) -> Result<Vec<Page>, StoreError> {
        let due = match which {
            Due::Any => due!(""),
            Due::Digests => due!("AND digest IS NOT NULL"),
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        // Looking first costs no fsync when there is nothing to do.
        let any = {
            let db = self.db();
            let mut statement = db.prepare_cached(due).map_err(self.error("read its outbox"))?;
            statement
                .exists(params![receiver, now.0, limit])
                .map_err(self.error("read its outbox"))?
        };
        if !any {
            return Ok(Vec::new());
        }
        // A device that gets the same advice twice shows it once.
        let done = if receiver == notify::DEVICE {
            Done::Written
        } else {
            Done::Synced
        };
        self.write_until(done, "mark pages", |tx| {
            let mut statement = tx.prepare_cached(due)?;
            let rows = statement.query_map(params![receiver, now.0, limit], |row| {
                Ok(Page {
                    n: row.get(0)?,
                    digest: row.get(1)?,
                    transition: row.get(2)?,
                    alert: row.get(3)?,
                    body: row.get(4)?,
                    attempts: row.get(5)?,
                    possible_repeat: row.get(6)?,
                    urgency: row.get(7)?,
                    made: UnixMicros(row.get(8)?),
                })
            })?;
            let pages: Vec<Page> = rows.collect::<rusqlite::Result<_>>()?;
            // The first attempt keeps when the page could have left.
            let mut mark = tx.prepare_cached(
                    "UPDATE outbox SET sent = 1, attempts = attempts + 1, due_us = CASE due_us WHEN 0 THEN next_us ELSE due_us END, \
                     next_us = ?2 WHERE n = ?1",
                )?;
            for page in &pages {
                mark.execute(params![page.n, hold_until.0])?;
                sent(tx, receiver, page, now)?;
            }
            Ok(pages)
        })
    }

    /// Pages that were being sent when the process ended are due at once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn release_held(&self, receiver: &str, now: UnixMicros) -> Result<usize, StoreError> {
        self.write("release pages", |tx| {
            tx.execute(
                "UPDATE outbox SET next_us = ?2 WHERE receiver = ?1 AND sent = 1 AND next_us > ?2",
                params![receiver, now.0],
            )
        })
    }

    /// Keeps how attempts came out, with a receipt in the journal; what is refused for good is copied to the fallbacks, once.
    /// Gives the first receipts of pages that nobody had before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn settle(&self, settled: &Settlement, now: UnixMicros) -> Result<Vec<FirstReceipt>, StoreError> {
        // Lost with the power, a page is sent again and says that it may be a repeat: it was marked, synced, before it left.
        self.write_until(Done::Written, "keep receipts", |tx| {
            let mut firsts = Vec::new();
            for (page, outcome) in &settled.outcomes {
                if matches!(outcome, PageOutcome::Delivered { .. }) {
                    firsts.extend(receipt::first(tx, settled, page, now)?);
                }
                settle_one(tx, settled, page, outcome, now)?;
            }
            Ok(firsts)
        })
    }

    /// Pages of receivers that are no longer configured, due before `before`, will never be delivered: the journal says so. At
    /// most [`super::retain::MAX_ROWS`] at once; returns how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_orphans(
        &self,
        receivers: &[String],
        before: UnixMicros,
        now: UnixMicros,
    ) -> Result<usize, StoreError> {
        let known = json!(receivers).to_string();
        let orphans = "SELECT n, receiver, transition_id, alert_id, attempts, sent FROM outbox \
                       WHERE next_us < ?1 AND receiver NOT IN (SELECT value FROM json_each(?2)) LIMIT ?3";
        let limit = super::retain::MAX_ROWS as i64;
        let any = {
            let db = self.db();
            let mut statement = db.prepare_cached(orphans).map_err(self.error("read its outbox"))?;
            statement
                .exists(params![before.0, known, limit])
                .map_err(self.error("read its outbox"))?
        };
        if !any {
            return Ok(0);
        }
        self.write("give up pages of nobody", |tx| {
            let mut statement = tx.prepare_cached(orphans)?;
            let rows = statement.query_map(params![before.0, known, limit], |row| {
                let body = json!({"receiver": row.get::<_, String>(1)?, "transition": row.get::<_, String>(2)?,
                    "alert": row.get::<_, String>(3)?, "attempts": row.get::<_, u32>(4)?,
                    "possible_repeat": row.get::<_, bool>(5)?, "reason": "no_receiver"});
                Ok((row.get::<_, i64>(0)?, body))
            })?;
            let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
            for (n, body) in &rows {
                journal::append(tx, &journal::Entry::new(now, EntryKind::Undelivered, body))?;
                tx.prepare_cached("DELETE FROM outbox WHERE n = ?1")?.execute([n])?;
            }
            Ok(rows.len())
        })
    }

    /// When the next page of a receiver is due.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn next_due(&self, receiver: &str) -> Result<Option<UnixMicros>, StoreError> {
        self.db()
            .prepare_cached(
                "SELECT next_us FROM outbox AS page WHERE receiver = ?1 AND (digest IS NOT NULL OR NOT EXISTS (SELECT 1 FROM outbox AS earlier \
                 WHERE earlier.receiver = ?1 AND earlier.alert_id = page.alert_id AND earlier.n < page.n AND earlier.digest IS NULL)) \
                 ORDER BY next_us LIMIT 1",
            )
            .and_then(|mut s| s.query_row([receiver], |row| row.get::<_, i64>(0)).optional())
            .map(|us| us.map(UnixMicros))
            .map_err(self.error("read its outbox"))
    }

    /// How many pages wait.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn waiting_pages(&self) -> Result<u64, StoreError> {
        self.db()
            .prepare_cached("SELECT count(*) FROM outbox")
            .and_then(|mut s| s.query_row([], |row| row.get::<_, i64>(0)))
            .map(i64::unsigned_abs)
            .map_err(self.error("count its outbox"))
    }

    /// Transitions that the store has not got yet, of those after `n`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn outlet(&self, n: i64, limit: usize) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        let db = self.db();
        let read = || -> rusqlite::Result<Vec<(i64, Vec<u8>)>> {
            let mut statement = db.prepare_cached("SELECT n, bytes FROM outlet WHERE n > ?1 ORDER BY n LIMIT ?2")?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = statement.query_map([n, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        };
        read().map_err(self.error("read its outlet"))
    }

    /// These transitions are durable elsewhere.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn outlet_done(&self, done: &[i64]) -> Result<(), StoreError> {
        // Lost with the power, they are handed over again: the store knows them.
        self.write_until(Done::Written, "empty its outlet", |tx| {
            let mut delete = tx.prepare_cached("DELETE FROM outlet WHERE n = ?1")?;
            done.iter().try_for_each(|n| delete.execute([n]).map(drop))
        })
        .map(|_| ())
    }
}

/// A page that was cancelled while it was under way is gone, and its number may be another one's by now: a page is its number
/// and its transition.
fn settle_one(
    tx: &Transaction<'_>,
    settled: &Settlement,
    page: &Page,
    outcome: &PageOutcome,
    now: UnixMicros,
) -> rusqlite::Result<()> {
    let mut body = json!({"receiver": settled.receiver, "transition": page.transition, "alert": page.alert,
        "attempts": page.attempts + 1, "possible_repeat": page.possible_repeat});
    let kind = match outcome {
        PageOutcome::Retry {
            at,
            reason,
            refused,
            hopeless,
        } => {
            failed(tx, &settled.receiver, page, reason, *refused, *at, now)?;
            let sent = page.possible_repeat || !refused;
            tx.prepare_cached("UPDATE outbox SET sent = ?3, next_us = ?4 WHERE n = ?1 AND transition_id = ?2")?
                .execute(params![page.n, page.transition, sent, at.0])?;
            if *hopeless {
                delivery::give_to_fallbacks(tx, settled, page, reason, now)?;
            }
            return Ok(());
        }
        PageOutcome::Delivered { receipt } => {
            body["receipt"] = json!(receipt);
            if settled.renews {
                delivery::keep_open_there(tx, &settled.receiver, page)?;
            }
            EntryKind::Delivered
        }
        PageOutcome::Undelivered { reason } => {
            body["reason"] = json!(reason);
            delivery::give_to_fallbacks(tx, settled, page, reason, now)?;
            EntryKind::Undelivered
        }
    };
    let kind = if delivery::is_test(page) {
        body["outcome"] = json!(kind.as_str());
        EntryKind::Test
    } else {
        kind
    };
    journal::append(tx, &journal::Entry::new(now, kind, &body))?;
    tx.prepare_cached("DELETE FROM outbox WHERE n = ?1 AND transition_id = ?2")?
        .execute(params![page.n, page.transition])?;
    Ok(())
}
