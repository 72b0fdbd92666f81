//! One SQLite file: state, alerts, journal, outbox, evidence and the consumed offset, moved by one transaction before
//! anything leaves. What is in it is what happened; everything else can be computed again from the log.
mod board;
pub(crate) mod checkpoint;
mod delivery;
mod elsewhere;
mod evidence;
mod grouped;
pub mod journal;
mod links;
mod listing;
mod load;
mod outbox;
mod paging;
mod proof;
mod receipt;
pub(crate) mod registry;
mod restored;
pub mod retain;
pub(crate) mod tail;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use delivery::{Deadlines, Overdue, TestPage};
pub use evidence::KeptFrame;
pub use grouped::{Group, Grouped, MAX_OF_DEVICE};
pub use listing::{Count, Listing, MAX_LISTED, Wanted, Which};
pub use outbox::{Due, Page, PageOutcome, Settlement};
pub use paging::Times;
pub use receipt::FirstReceipt;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde_json::json;
use telemetry::{Priority, UnixMicros};

use self::journal::{Entry, EntryKind};
use crate::engine::state::MAX_TOLD;
use crate::engine::{Changes, Cold, ColdError, FactKey, Transition};
use crate::intake::Told;
use crate::lifecycle::State;

/// Version of the tables.
const SCHEMA_VERSION: i64 = 8;
/// How the tables came about, from each version to the next.
const SCHEMA: [&str; SCHEMA_VERSION as usize] = [
    include_str!("schema.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
    include_str!("schema_7.sql"),
    include_str!("schema_8.sql"),
];
/// Where it is kept what is judged by.
const JUDGED_BY: &str = "judged_by";
/// How long a writer waits for one of another process. Those of this process take turns: SQLite's own wait sleeps and looks
/// again, up to 100 ms at a time, and a page would stand behind that.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// What went wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error("alerting's file {path} refused to {what}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// Another version wrote it.
    #[error("alerting's file {path} has version {found}, this program knows {SCHEMA_VERSION}; use the newer program")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// A row is not what this program writes.
    #[error("alerting's file {path} holds a {what} that cannot be read")]
    Row {
        /// The file.
        path: PathBuf,
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The file. One writes at a time; handles of several threads each open their own.
pub struct Store {
    path: PathBuf,
    db: Mutex<Connection>,
    /// Whose turn it is to write, of all handles of this process.
    turn: Arc<Mutex<()>>,
}

/// When a transaction counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    /// When it is on the disk.
    Synced,
    /// When a kill cannot undo it; a power cut may, until the next transaction that is synced. For what is then only done
    /// again, and marked as such: what leaves afterwards never stands on it.
    Written,
}

/// What goes down to a device, to be put into the outbox.
#[derive(Debug, Clone)]
pub struct NewPage {
    /// Name of the receiver.
    pub receiver: String,
    /// When it may leave.
    pub not_before: UnixMicros,
    /// How urgent: what is more urgent leaves first.
    pub priority: Priority,
    /// The body without what differs between attempts.
    pub body: String,
}

/// A transition with everything that leaves because of it.
#[derive(Debug)]
pub struct Leaving<'a> {
    /// The step.
    pub transition: &'a Transition,
    /// What goes down to the device; whom people's pages go to is the planner's.
    pub advisory: Option<NewPage>,
    /// The message for the store, encoded; `None`: it is no tenant's.
    pub outlet: Option<Vec<u8>>,
    /// Frames that show it: offset and bytes; `None`: trimmed already.
    pub evidence: Vec<KeptFrame>,
}

/// One transaction's worth.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// Changed state.
    pub changes: Changes,
    /// Steps of alerts, in order.
    pub leaving: Vec<Leaving<'a>>,
    /// What else has to stand in the journal; commands of people before the steps that they caused.
    pub entries: Vec<Entry>,
    /// What the planner changed and wants done.
    pub paging: crate::paging::Changes,
    /// When the next digest of old things leaves, by the wall clock.
    pub digest_at: UnixMicros,
    /// Most bytes of evidence.
    pub evidence_max: u64,
    /// What is judged by from here on, to compare with the next one; `None`: as before.
    pub judged_by: Option<String>,
    /// The next offset to read.
    pub next: u64,
    /// Wall clock.
    pub now: UnixMicros,
}

impl Store {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let sqlite = |what| {
            move |source| StoreError::Sqlite {
                path: path.to_owned(),
                what,
                source,
            }
        };
        let mut db = Connection::open(path).map_err(sqlite("open"))?;
        db.busy_timeout(BUSY_TIMEOUT).map_err(sqlite("set its timeout"))?;
        db.pragma_update(None, "journal_mode", "WAL")
            .map_err(sqlite("use a write-ahead log"))?;
        db.pragma_update(None, "synchronous", "FULL").map_err(sqlite("sync"))?;
        db.pragma_update(None, "wal_autocheckpoint", checkpoint::AT_MOST_PAGES)
            .map_err(sqlite("bound its write-ahead log"))?;
        let tx = db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sqlite("begin"))?;
        let found: i64 = tx
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(sqlite("tell its version"))?;
        if !(0..=SCHEMA_VERSION).contains(&found) {
            return Err(StoreError::Version {
                path: path.to_owned(),
                found,
            });
        }
        for (version, step) in (1..).zip(SCHEMA) {
            if found < version {
                tx.execute_batch(step).map_err(sqlite("make its tables"))?;
            }
        }
        if found < SCHEMA_VERSION {
            tx.pragma_update(None, "user_version", SCHEMA_VERSION)
                .map_err(sqlite("keep its version"))?;
        }
        tx.commit().map_err(sqlite("commit"))?;
        Ok(Self {
            path: path.to_owned(),
            db: Mutex::new(db),
            turn: Arc::default(),
        })
    }

    /// A second handle, for another thread.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn reopen(&self) -> Result<Self, StoreError> {
        Ok(Self {
            turn: Arc::clone(&self.turn),
            ..Self::open(&self.path)?
        })
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        // A panic in the middle of a transaction rolled it back.
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, what: &'static str) -> impl Fn(rusqlite::Error) -> StoreError + '_ {
        move |source| StoreError::Sqlite {
            path: self.path.clone(),
            what,
            source,
        }
    }

    /// Runs one transaction; on the disk when it returns.
    fn write<T>(
        &self,
        what: &'static str,
        run: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.write_until(Done::Synced, what, run)
    }

    fn write_until<T>(
        &self,
        done: Done,
        what: &'static str,
        run: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        // It guards nothing but the order.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut db = self.db();
        let synchronous = match done {
            Done::Synced => "FULL",
            Done::Written => "NORMAL",
        };
        db.pragma_update(None, "synchronous", synchronous)
            .map_err(self.error(what))?;
        let tx = db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(self.error(what))?;
        let out = run(&tx).map_err(self.error(what))?;
        tx.commit().map_err(self.error(what))?;
        Ok(out)
    }

    /// Commits a batch: all of it or nothing. Returns how many frames of evidence went at the bound.
    ///
    /// # Errors
    /// [`StoreError`]; the same batch may be committed again.
    pub fn commit(&self, batch: &Batch<'_>) -> Result<u64, StoreError> {
        self.write("commit a batch", |tx| {
            put_changes(tx, &batch.changes, batch.now)?;
            for entry in &batch.entries {
                journal::append(tx, entry)?;
            }
            for leaving in &batch.leaving {
                put_leaving(tx, leaving, batch.now)?;
            }
            let times = Times {
                now: batch.now,
                digest: batch.digest_at,
            };
            paging::put(tx, &batch.paging, times)?;
            if let Some(judged_by) = &batch.judged_by {
                put_meta(tx, JUDGED_BY, judged_by)?;
            }
            put_meta(tx, "next", &batch.next.to_string())?;
            put_meta(tx, "clock", &batch.changes.clock.0.to_string())?;
            put_meta(tx, "stepped", &batch.changes.stepped.0.to_string())?;
            evidence::trim(tx, batch.evidence_max)
        })
    }

    /// Puts one entry into the journal.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn journal(&self, entry: &Entry) -> Result<(), StoreError> {
        self.write("write its journal", |tx| journal::append(tx, entry))
    }

    /// What is judged by, as the last batch that said so kept it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn judged_by(&self) -> Result<Option<String>, StoreError> {
        self.meta(JUDGED_BY)
    }

    /// Looks at the whole journal.
    ///
    /// # Errors
    /// [`StoreError`]: the file could not be read; what is wrong with the chain is in the answer.
    pub fn verify_journal(&self) -> Result<journal::Verified, StoreError> {
        journal::verify(&self.db()).map_err(self.error("read its journal"))
    }
}

fn put_meta(tx: &Transaction<'_>, key: &str, value: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
        .execute(params![key, value])?;
    Ok(())
}

fn put_changes(tx: &Transaction<'_>, changes: &Changes, now: UnixMicros) -> rusqlite::Result<()> {
    let mut devices = tx.prepare_cached(
        "INSERT INTO device (tenant, device, state) VALUES (?1, ?2, ?3) \
         ON CONFLICT (tenant, device) DO UPDATE SET state = excluded.state",
    )?;
    for (key, state) in &changes.devices {
        devices.execute(params![key.tenant.as_str(), key.device.as_str(), state])?;
    }
    let mut facts = tx.prepare_cached(
        "INSERT OR REPLACE INTO fact (kind, tenant, key, state, touched_us) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (key, state) in &changes.facts {
        facts.execute(params![key.table.as_str(), key.tenant, key.key, state, now.0])?;
    }
    let mut gateways = tx.prepare_cached("INSERT OR REPLACE INTO gateway (id, state) VALUES (?1, ?2)")?;
    for (id, state) in &changes.gateways {
        gateways.execute(params![id, state])?;
    }
    let mut beats = tx.prepare_cached("INSERT OR REPLACE INTO heartbeat (name, state) VALUES (?1, ?2)")?;
    for (name, state) in &changes.beats {
        beats.execute(params![name, state])?;
    }
    put_told(tx, &changes.told)?;
    let mut alerts = tx.prepare_cached(
        "INSERT OR REPLACE INTO alert (id, tenant, state, open, decided_us, body, ended_us, waits, urgency, clinic, device, rule) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    for (id, alert) in &changes.alerts {
        let state = alert.state();
        let open = !matches!(state, State::Resolved | State::Inactive);
        let body = serde_json::to_string(alert).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        alerts.execute(params![
            id.to_hex(),
            alert.tenant,
            state.as_str(),
            open,
            alert.decided_at.0,
            body,
            (!open).then_some(now.0),
            alert.life.needs_person(),
            urgency(alert.priority),
            alert.clinic,
            alert.device,
            alert.rule
        ])?;
    }
    Ok(())
}

/// What another instance told, the newest of it.
fn put_told(tx: &Transaction<'_>, told: &[Told]) -> rusqlite::Result<()> {
    if told.is_empty() {
        return Ok(());
    }
    let mut insert =
        tx.prepare_cached("INSERT OR REPLACE INTO told (transition_id, state, at_us) VALUES (?1, ?2, ?3)")?;
    for told in told {
        let state = serde_json::to_string(told).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        insert.execute(params![told.transition.to_hex(), state, told.at.0])?;
    }
    let beyond = "DELETE FROM told WHERE transition_id IN (SELECT transition_id FROM told ORDER BY at_us DESC LIMIT -1 OFFSET ?1)";
    tx.prepare_cached(beyond)?
        .execute([i64::try_from(MAX_TOLD).unwrap_or(i64::MAX)])?;
    Ok(())
}

/// A number that grows with the priority.
fn urgency(priority: Priority) -> u8 {
    match priority {
        Priority::Info => 0,
        Priority::Low => 1,
        Priority::Medium => 2,
        Priority::High => 3,
    }
}

fn put_leaving(tx: &Transaction<'_>, leaving: &Leaving<'_>, now: UnixMicros) -> rusqlite::Result<()> {
    let transition = leaving.transition;
    journal::append(tx, &Entry::transition(transition, now))?;
    if let Some(page) = &leaving.advisory {
        let body = json!({"transition": transition.id, "alert": transition.alert.id, "receiver": page.receiver,
            "digest": null, "not_before_us": page.not_before.0, "priority": page.priority});
        journal::append(tx, &Entry::new(now, EntryKind::Planned, &body))?;
        tx.prepare_cached(
            "INSERT INTO outbox (receiver, transition_id, alert_id, body, attempts, sent, next_us, priority, made_us) VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?6, ?7)",
        )?
        .execute(params![
            page.receiver,
            transition.id.to_hex(),
            transition.alert.id.to_hex(),
            page.body,
            page.not_before.0,
            i64::from(urgency(page.priority)),
            now.0
        ])?;
    }
    if let Some(bytes) = &leaving.outlet {
        tx.prepare_cached("INSERT INTO outlet (bytes) VALUES (?1)")?
            .execute([bytes])?;
    }
    evidence::put(tx, transition.id, &leaving.evidence)
}

impl Cold for Store {
    fn fact(&self, key: &FactKey) -> Result<Option<String>, ColdError> {
        let db = self.db();
        let read = || {
            db.prepare_cached("SELECT state FROM fact WHERE kind = ?1 AND tenant = ?2 AND key = ?3")?
                .query_row(params![key.table.as_str(), key.tenant, key.key], |row| row.get(0))
                .optional()
        };
        read().map_err(|source| ColdError {
            table: key.table.as_str(),
            key: key.key.clone(),
            source: source.into(),
        })
    }
}
