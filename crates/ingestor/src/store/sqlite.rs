//! The embedded store: one SQLite file with a table and a view per measurement, made from the schema. One command shows everything on a
//! machine with nothing installed.
//!
//! A record is a row, named by tenant, device and time (and zone or rule where those are tags), so the same record twice is
//! one row. Commits are durable (WAL, `synchronous = FULL`): the spool's cursor moves right after. Writes block the calling
//! thread for the time of a commit; the pipeline calls from a thread that may block.

mod point;
mod rolled;
mod series;
pub(super) mod tables;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use self::series::Ready;
use super::{Reason, WriteError, Written};
use crate::record::Record;
use crate::schema::{MEASUREMENTS, Measurement};

/// How long a write waits for another process that holds the file, such as a check by hand.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Rows removed per measurement and step beyond retention, so that a step stays within milliseconds.
pub const EXPIRE_PER_STEP: usize = 2_000;

/// Page cache in KiB. SQLite's own 2 MiB does not hold what one batch touches (about 2 MB of rows, and indexes with places
/// for every device), so pages would be written and read again within a transaction.
const CACHE_KIB: i64 = 8 * 1024;

/// Pages of write-ahead log (16 MiB) after which it is copied into the file: index pages that change in every batch are then
/// copied once and not each time.
const CHECKPOINT_PAGES: i64 = 4_000;

/// Prepared statements kept: an insert and an expiry per measurement, and the queries.
const STATEMENTS: usize = 64;

/// The open file, and the numbers of series that were looked up in it.
#[derive(Debug)]
pub(super) struct File {
    pub(super) db: Connection,
    ready: Ready,
}

/// The embedded store. Clones are the same store.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    file: Arc<Mutex<File>>,
    /// For roll-ups, which read much and must not hold up writes; opened when first needed.
    reader: Arc<Mutex<Option<Connection>>>,
    path: PathBuf,
    retention: Retention,
}

/// How long the store keeps what; `None`: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Everything but roll-ups.
    pub points: Option<Duration>,
    /// Roll-ups.
    pub rollups: Option<Duration>,
}

impl From<Option<Duration>> for Retention {
    fn from(points: Option<Duration>) -> Self {
        Self { points, rollups: None }
    }
}

impl Retention {
    /// Points of a measurement before this, in nanoseconds, have expired.
    fn horizon(self, measurement: &Measurement, now_ns: i64) -> i64 {
        let keep = if measurement.rollup { self.rollups } else { self.points };
        keep.map_or(i64::MIN, |keep| {
            now_ns.saturating_sub(i64::try_from(keep.as_nanos()).unwrap_or(i64::MAX))
        })
    }
}

/// Why the store could not be opened or read.
#[derive(Debug, thiserror::Error)]
#[error("the store {path} could not {what}; look at the disk and the file")]
pub struct SqliteError {
    /// The file.
    pub path: PathBuf,
    /// What was tried.
    pub what: &'static str,
    /// What SQLite said.
    #[source]
    pub source: rusqlite::Error,
}

impl File {
    fn shared(db: Connection) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            db,
            ready: Ready::default(),
        }))
    }

    /// Writes what has not expired, in one transaction.
    fn write(&mut self, batch: &[Record], retention: Retention, now_ns: i64) -> rusqlite::Result<Written> {
        let mut written = Written::default();
        let tx = self.db.transaction()?;
        for (at, record) in batch.iter().enumerate() {
            if record.time_ns() < retention.horizon(record.measurement(), now_ns) {
                written.expired.push(at);
                continue;
            }
            point::insert(&tx, record, self.ready.of(&tx, record.tags())?)?;
        }
        tx.commit()?;
        Ok(written)
    }
}

impl SqliteStore {
    /// Opens or makes the file, its tables, and columns that came with a newer schema.
    ///
    /// # Errors
    /// SQLite's no, or a file that is no such store.
    pub fn open(path: &Path, retention: impl Into<Retention>) -> Result<Self, SqliteError> {
        let fail = |source| SqliteError {
            path: path.to_owned(),
            what: "be opened",
            source,
        };
        let mut db = Connection::open(path).map_err(fail)?;
        prepare(&mut db).map_err(fail)?;
        Ok(Self {
            file: File::shared(db),
            reader: Arc::default(),
            path: path.to_owned(),
            retention: retention.into(),
        })
    }

    /// Opens an existing file for reading, beside a process that writes to it.
    ///
    /// # Errors
    /// SQLite's no.
    pub fn open_read_only(path: &Path) -> Result<Self, SqliteError> {
        let fail = |source| SqliteError {
            path: path.to_owned(),
            what: "be opened for reading",
            source,
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).map_err(fail)?;
        db.busy_timeout(BUSY_TIMEOUT).map_err(fail)?;
        Ok(Self {
            file: File::shared(db),
            reader: Arc::default(),
            path: path.to_owned(),
            retention: Retention::default(),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a batch in one durable transaction.
    ///
    /// # Errors
    /// [`WriteError::Retry`] for trouble of the file; nothing of the batch is stored then.
    pub fn write(&self, batch: &[Record], now_ns: i64) -> Result<Written, WriteError> {
        let mut file = self.lock();
        file.write(batch, self.retention, now_ns).map_err(|e| {
            file.ready.forget();
            outcome(&e)
        })
    }

    /// Removes what is older than the retention, at most [`EXPIRE_PER_STEP`] rows of each measurement; gives how many.
    ///
    /// # Errors
    /// SQLite's no.
    pub fn expire(&self, now_ns: i64) -> Result<usize, SqliteError> {
        let file = self.lock();
        let mut removed = 0;
        for measurement in MEASUREMENTS {
            let table = tables::table(measurement);
            let horizon = self.retention.horizon(measurement, now_ns);
            let sql =
                format!("DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE time_ns < ?1 LIMIT ?2)");
            removed += file
                .db
                .prepare_cached(&sql)
                .and_then(|mut statement| statement.execute([horizon, EXPIRE_PER_STEP as i64]))
                .map_err(|source| self.failed("remove expired points", source))?;
        }
        Ok(removed)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, File> {
        // A panic in a query rolled its transaction back: the connection is whole.
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn failed(&self, what: &'static str, source: rusqlite::Error) -> SqliteError {
        SqliteError {
            path: self.path.clone(),
            what,
            source,
        }
    }
}

fn prepare(db: &mut Connection) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    tables::prepare(db)
}

/// Trouble of the file is worth a retry; only a record that SQLite cannot hold is not.
fn outcome(error: &rusqlite::Error) -> WriteError {
    let detail = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::TooBig | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => WriteError::Reject {
            reason: Reason::Refused,
            detail,
        },
        _ => WriteError::Retry {
            reason: Reason::Database,
            detail,
            after: None,
        },
    }
}
