//! The embedded store: one SQLite file with a table per measurement, made from the schema. One command shows everything on a
//! machine with nothing installed.
//!
//! A record is a row, named by tenant, device and time (and zone or rule where those are tags), so the same record twice is
//! one row. Commits are durable (WAL, `synchronous = FULL`): the spool's cursor moves right after. Writes block the calling
//! thread for the time of a commit; the pipeline calls from a thread that may block.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use telemetry::DeviceKind;

use super::{Reason, WriteError, Written};
use crate::record::Record;
use crate::schema::{MEASUREMENTS, Measurement};
use crate::value::Value;

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

/// The embedded store. Clones are the same store.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    db: Arc<Mutex<Connection>>,
    path: PathBuf,
    retention: Option<Duration>,
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

impl SqliteStore {
    /// Opens or makes the file, its tables, and columns that came with a newer schema.
    ///
    /// # Errors
    /// SQLite's no, or a file that is no such store.
    pub fn open(path: &Path, retention: Option<Duration>) -> Result<Self, SqliteError> {
        let fail = |source| SqliteError {
            path: path.to_owned(),
            what: "be opened",
            source,
        };
        let db = Connection::open(path).map_err(fail)?;
        prepare(&db).map_err(fail)?;
        Ok(Self {
            db: Arc::new(Mutex::new(db)),
            path: path.to_owned(),
            retention,
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
            db: Arc::new(Mutex::new(db)),
            path: path.to_owned(),
            retention: None,
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
        self.try_write(batch, now_ns).map_err(|e| outcome(&e))
    }

    fn try_write(&self, batch: &[Record], now_ns: i64) -> rusqlite::Result<Written> {
        let horizon = self.horizon(now_ns);
        let mut written = Written::default();
        let mut db = self.lock();
        let tx = db.transaction()?;
        for (at, record) in batch.iter().enumerate() {
            if record.time_ns() < horizon {
                written.expired.push(at);
                continue;
            }
            insert(&tx, record)?;
        }
        tx.commit()?;
        Ok(written)
    }

    /// Removes what is older than the retention, at most [`EXPIRE_PER_STEP`] rows of each measurement; gives how many.
    ///
    /// # Errors
    /// SQLite's no.
    pub fn expire(&self, now_ns: i64) -> Result<usize, SqliteError> {
        let horizon = self.horizon(now_ns);
        let db = self.lock();
        let mut removed = 0;
        for measurement in MEASUREMENTS {
            let key = key(measurement).join(", ");
            let name = measurement.name;
            let sql =
                format!("DELETE FROM {name} WHERE ({key}) IN (SELECT {key} FROM {name} WHERE time_ns < ?1 LIMIT ?2)");
            removed += db
                .prepare_cached(&sql)
                .and_then(|mut statement| statement.execute([horizon, EXPIRE_PER_STEP as i64]))
                .map_err(|source| self.failed("remove expired points", source))?;
        }
        Ok(removed)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic in a query rolled its transaction back: the connection is whole.
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn failed(&self, what: &'static str, source: rusqlite::Error) -> SqliteError {
        SqliteError {
            path: self.path.clone(),
            what,
            source,
        }
    }

    /// Points before this have expired.
    fn horizon(&self, now_ns: i64) -> i64 {
        self.retention.map_or(i64::MIN, |keep| {
            now_ns.saturating_sub(i64::try_from(keep.as_nanos()).unwrap_or(i64::MAX))
        })
    }
}

/// Columns of the primary key.
pub(super) fn key(measurement: &Measurement) -> Vec<&'static str> {
    let mut key = vec!["tenant", "device", "time_ns"];
    key.extend(measurement.zone.then_some("zone"));
    key.extend(measurement.rule.then_some("rule"));
    key
}

/// Tag columns after the key's, in the order of [`insert`].
fn tag_columns(measurement: &Measurement) -> Vec<&'static str> {
    let mut columns = vec!["tenant", "device", "time_ns", "clinic", "model", "kind"];
    columns.extend(measurement.zone.then_some("zone"));
    columns.extend(measurement.rule.then_some("rule"));
    columns
}

fn prepare(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    for measurement in MEASUREMENTS {
        create(db, measurement)?;
    }
    Ok(())
}

fn create(db: &Connection, measurement: &Measurement) -> rusqlite::Result<()> {
    let name = measurement.name;
    let mut sql = format!("CREATE TABLE IF NOT EXISTS {name} (");
    for column in tag_columns(measurement) {
        let ty = if column == "time_ns" { "INTEGER" } else { "TEXT" };
        let _ = write!(sql, "{column} {ty} NOT NULL, ");
    }
    for field in measurement.fields {
        let _ = write!(sql, "\"{}\" {}, ", field.name, field.ty.sql());
    }
    // With rowids: rows of 400 bytes belong at the end of a table and not into the inner pages of a tree, and the other
    // indexes then point to them by a number and not by the whole key.
    let _ = write!(sql, "PRIMARY KEY ({}));", key(measurement).join(", "));
    let _ = write!(sql, "CREATE INDEX IF NOT EXISTS {name}_time ON {name} (time_ns);");
    db.execute_batch(&sql)?;
    add_columns(db, measurement)?;
    if measurement.fields.iter().any(|field| field.name == "session") {
        db.execute_batch(&format!(
            "CREATE INDEX IF NOT EXISTS {name}_session ON {name} (session)"
        ))?;
    }
    Ok(())
}

/// Columns that the schema got after the file was made.
fn add_columns(db: &Connection, measurement: &Measurement) -> rusqlite::Result<()> {
    let name = measurement.name;
    let known: HashSet<String> = db
        .prepare(&format!("PRAGMA table_info({name})"))?
        .query_map([], |row| row.get(1))?
        .collect::<rusqlite::Result<_>>()?;
    for field in measurement.fields.iter().filter(|field| !known.contains(field.name)) {
        db.execute_batch(&format!(
            "ALTER TABLE {name} ADD COLUMN \"{}\" {}",
            field.name,
            field.ty.sql()
        ))?;
    }
    Ok(())
}

fn insert_sql(measurement: &Measurement) -> String {
    let tags = tag_columns(measurement);
    let names: Vec<String> = tags
        .iter()
        .copied()
        .chain(measurement.fields.iter().map(|field| field.name))
        .map(|name| format!("\"{name}\""))
        .collect();
    let marks = vec!["?"; names.len()].join(", ");
    format!(
        "INSERT OR REPLACE INTO {} ({}) VALUES ({marks})",
        measurement.name,
        names.join(", ")
    )
}

/// The insert statements, made once.
static INSERTS: std::sync::LazyLock<Vec<(&'static str, String)>> =
    std::sync::LazyLock::new(|| MEASUREMENTS.iter().map(|m| (m.name, insert_sql(m))).collect());

fn insert(db: &Connection, record: &Record) -> rusqlite::Result<()> {
    let measurement = record.measurement();
    let Some((_, sql)) = INSERTS.iter().find(|(name, _)| *name == measurement.name) else {
        return Ok(());
    };
    let mut statement = db.prepare_cached(sql)?;
    let tags = record.tags();
    let mut at = 0;
    let mut bind = |value: ToSqlOutput<'_>| {
        at += 1;
        statement.raw_bind_parameter(at, value)
    };
    let text = |text: &'static str| ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()));
    bind(borrowed(tags.tenant.as_str()))?;
    bind(borrowed(tags.device.as_str()))?;
    bind(integer(record.time_ns()))?;
    bind(borrowed(tags.clinic.as_str()))?;
    bind(
        tags.model
            .as_ref()
            .map_or(text(crate::record::UNKNOWN), |model| borrowed(model.as_str())),
    )?;
    bind(text(tags.kind.map_or(crate::record::UNKNOWN, DeviceKind::as_str)))?;
    if measurement.zone {
        // Part of the key, where NULL would equal nothing.
        bind(text(record.zone().map_or("", |zone| zone.as_str())))?;
    }
    if measurement.rule {
        bind(borrowed(record.rule().map_or("", |rule| rule.as_str())))?;
    }
    let mut bound = Ok(());
    record.each(|_, value| {
        if bound.is_ok() {
            bound = match &value {
                Some(value) => bind(sql_value(value)),
                None => bind(ToSqlOutput::Borrowed(ValueRef::Null)),
            };
        }
    });
    bound?;
    statement.raw_execute().map(|_| ())
}

fn borrowed(text: &str) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))
}

fn integer<'a>(number: i64) -> ToSqlOutput<'a> {
    ToSqlOutput::Borrowed(ValueRef::Integer(number))
}

fn sql_value<'a>(value: &'a Value<'_>) -> ToSqlOutput<'a> {
    match value {
        Value::Integer(number) => integer(*number),
        Value::Float(number) => ToSqlOutput::Borrowed(ValueRef::Real(number.get())),
        Value::Boolean(yes) => integer(i64::from(*yes)),
        Value::Text(text) => borrowed(text.as_str()),
    }
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
