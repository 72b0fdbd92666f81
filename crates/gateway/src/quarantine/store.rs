//! The database: one writer that commits a batch with one fsync, one reader for whoever looks.
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, Transaction, params};
use telemetry::{Rejected, UnixMicros};

use super::shares::{ENTRY_OVERHEAD, Shares};
use super::{
    Bounds, FILE_NAME, Filter, Held, Kept, LIST_MAX, ORIGINS, PAYLOAD_KEPT_MAX, QuarantineError, Refused,
    TOPIC_KEPT_MAX, origin_label,
};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS quarantine (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        received_at_us INTEGER NOT NULL,
        share TEXT NOT NULL,
        peer TEXT,
        topic TEXT NOT NULL,
        reason TEXT NOT NULL,
        field TEXT NOT NULL,
        detail TEXT NOT NULL,
        payload BLOB NOT NULL,
        payload_bytes INTEGER NOT NULL,
        origin TEXT NOT NULL,
        retained INTEGER NOT NULL,
        replayed_at_us INTEGER
    ) STRICT;
    CREATE INDEX IF NOT EXISTS quarantine_share ON quarantine (share, replayed_at_us IS NULL, id);
    PRAGMA user_version = 1;
";
/// Version of the tables; 0 is a new file.
const VERSION: i64 = 1;
const INSERT: &str = "INSERT INTO quarantine
    (received_at_us, share, peer, topic, reason, field, detail, payload, payload_bytes, origin, retained)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const EVICT: &str = "DELETE FROM quarantine WHERE id =
    (SELECT id FROM quarantine WHERE share = ?1 ORDER BY replayed_at_us IS NULL, id LIMIT 1)
    RETURNING length(payload)";
const COLUMNS: &str = "id, received_at_us, share, peer, topic, reason, field, detail, payload_bytes, origin, retained,
    replayed_at_us";
/// Somebody else may read the file with a tool of their own for this long before a write fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// The quarantine of one gateway. Calls block on the disk.
#[derive(Debug)]
pub struct Quarantine {
    path: PathBuf,
    bounds: Bounds,
    writer: Mutex<Writer>,
    reader: Mutex<Connection>,
}

#[derive(Debug)]
struct Writer {
    connection: Connection,
    shares: Shares,
}

impl Quarantine {
    /// Opens or makes the database in `dir`.
    ///
    /// # Errors
    /// It is no database, or the disk says no.
    pub fn open(dir: &Path, bounds: Bounds) -> Result<Self, QuarantineError> {
        let path = dir.join(FILE_NAME);
        let failed = |source| QuarantineError {
            path: path.clone(),
            action: "opening it",
            source,
        };
        let connection = Connection::open(&path).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        refuse_newer(&connection).map_err(failed)?;
        connection.execute_batch(SCHEMA).map_err(failed)?;
        let shares = read_shares(&connection).map_err(failed)?;
        let reader = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
        reader.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        Ok(Self {
            bounds,
            writer: Mutex::new(Writer { connection, shares }),
            reader: Mutex::new(reader),
            path,
        })
    }

    /// Keeps messages durably; gives how many entries were evicted for them.
    ///
    /// # Errors
    /// None of them is kept: do not acknowledge them.
    pub fn keep(&self, refused: &[Refused]) -> Result<u64, QuarantineError> {
        let mut writer = lock(&self.writer);
        let shares = writer.shares.clone();
        let kept = writer.keep(refused, &self.bounds);
        if kept.is_err() {
            writer.shares = shares;
        }
        kept.map_err(|source| self.failed("keeping refused messages", source))
    }

    /// Marks messages as replayed and stored.
    ///
    /// # Errors
    /// They may be replayed again, which stores nothing twice.
    pub fn mark_replayed(&self, ids: &[i64], now: UnixMicros) -> Result<(), QuarantineError> {
        self.in_one_write("marking replayed messages", |transaction| {
            let sql = "UPDATE quarantine SET replayed_at_us = ?2 WHERE id = ?1";
            let mut statement = transaction.prepare_cached(sql)?;
            for id in ids {
                statement.execute(params![id, now.0])?;
            }
            Ok(())
        })
    }

    /// Says why messages were refused again, so that a listing tells what is wrong with them now.
    ///
    /// # Errors
    /// The former reasons stand.
    pub fn refused_again(&self, refused: &[(i64, Rejected)]) -> Result<(), QuarantineError> {
        self.in_one_write("updating reasons", |transaction| {
            let sql = "UPDATE quarantine SET reason = ?2, field = ?3, detail = ?4 WHERE id = ?1";
            let mut statement = transaction.prepare_cached(sql)?;
            for (id, rejected) in refused {
                statement.execute(params![id, rejected.reason.as_str(), rejected.field, rejected.detail])?;
            }
            Ok(())
        })
    }

    /// One transaction, and one fsync, whatever the number of messages.
    fn in_one_write(
        &self,
        action: &'static str,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), QuarantineError> {
        let mut writer = lock(&self.writer);
        let done = move || {
            let transaction = writer.connection.transaction()?;
            write(&transaction)?;
            transaction.commit()
        };
        done().map_err(|source| self.failed(action, source))
    }

    /// The first `limit` (at most [`LIST_MAX`]) messages that match, oldest first.
    ///
    /// # Errors
    /// The disk's no.
    pub fn ls(&self, filter: &Filter, limit: usize) -> Result<Vec<Kept>, QuarantineError> {
        self.list(filter, limit, "ASC")
    }

    /// The last `limit` (at most [`LIST_MAX`]) messages that match, newest first: what a person wants to see.
    ///
    /// # Errors
    /// The disk's no.
    pub fn latest(&self, filter: &Filter, limit: usize) -> Result<Vec<Kept>, QuarantineError> {
        self.list(filter, limit, "DESC")
    }

    fn list(&self, filter: &Filter, limit: usize, order: &str) -> Result<Vec<Kept>, QuarantineError> {
        let ids = filter.ids.as_ref().map(|ids| format!("{ids:?}"));
        let share = filter.device.as_ref().map(ToString::to_string);
        let sql = format!(
            "SELECT {COLUMNS} FROM quarantine
             WHERE (?1 IS NULL OR id IN (SELECT value FROM json_each(?1)))
               AND (?2 IS NULL OR reason = ?2) AND (?3 IS NULL OR share = ?3) AND (?4 OR replayed_at_us IS NULL)
               AND (?5 IS NULL OR id > ?5)
             ORDER BY id {order} LIMIT ?6"
        );
        let reader = lock(&self.reader);
        let list = || {
            let mut statement = reader.prepare_cached(&sql)?;
            let reason = filter.reason.map(|reason| reason.as_str());
            let limit = i64::try_from(limit.min(LIST_MAX)).unwrap_or(i64::MAX);
            statement
                .query_map(
                    params![ids, reason, share, filter.replayed_too, filter.after, limit],
                    kept,
                )?
                .collect::<Result<Vec<_>, _>>()
        };
        list().map_err(|source| self.failed("listing", source))
    }

    /// One message with its payload, which is cut at [`PAYLOAD_KEPT_MAX`].
    ///
    /// # Errors
    /// The disk's no.
    pub fn show(&self, id: i64) -> Result<Option<(Kept, Bytes)>, QuarantineError> {
        let sql = format!("SELECT {COLUMNS}, payload FROM quarantine WHERE id = ?1");
        lock(&self.reader)
            .query_row(&sql, [id], |row| {
                Ok((kept(row)?, Bytes::from(row.get::<_, Vec<u8>>(12)?)))
            })
            .optional()
            .map_err(|source| self.failed("showing a message", source))
    }

    /// How much it holds.
    pub fn held(&self) -> Held {
        lock(&self.writer).shares.total()
    }

    fn failed(&self, action: &'static str, source: rusqlite::Error) -> QuarantineError {
        QuarantineError {
            path: self.path.clone(),
            action,
            source,
        }
    }
}

impl Writer {
    fn keep(&mut self, refused: &[Refused], bounds: &Bounds) -> rusqlite::Result<u64> {
        let mut evicted = 0;
        let transaction = self.connection.transaction()?;
        let mut insert = transaction.prepare_cached(INSERT)?;
        let mut evict = transaction.prepare_cached(EVICT)?;
        let skip = too_early(refused, bounds);
        for (at, one) in refused.iter().enumerate() {
            let share = share_name(one);
            if skip.get(share.as_str()).is_some_and(|first| at < *first) {
                evicted += 1;
                continue;
            }
            self.shares.add(&share, 1, write(&mut insert, &share, one)?);
            while let Some(from) = self.shares.over(&share, bounds) {
                match evict.query_row([&from], |row| row.get::<_, u32>(0)).optional()? {
                    Some(payload) => self.shares.remove(&from, u64::from(payload) + ENTRY_OVERHEAD),
                    None => self.shares.forget(&from),
                }
                evicted += 1;
            }
        }
        drop((insert, evict));
        transaction.commit()?;
        Ok(evicted)
    }
}

/// Of a flood from one device only the last entries would stay: from which index on, by share.
fn too_early(refused: &[Refused], bounds: &Bounds) -> HashMap<String, usize> {
    let mut counts: HashMap<String, u32> = HashMap::new();
    let mut first = HashMap::new();
    for (at, one) in refused.iter().enumerate().rev() {
        let share = share_name(one);
        let count = counts.entry(share.clone()).or_default();
        *count += 1;
        if *count == bounds.share_entries {
            first.insert(share, at);
        }
    }
    first
}

fn share_name(refused: &Refused) -> String {
    refused.share.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// Inserts one message; gives what it counts for, in bytes.
fn write(insert: &mut rusqlite::CachedStatement<'_>, share: &str, refused: &Refused) -> rusqlite::Result<u64> {
    let payload = refused.payload.get(..PAYLOAD_KEPT_MAX).unwrap_or(&refused.payload);
    insert.execute(params![
        refused.received_at.0,
        share,
        refused.peer,
        cut(&refused.topic, TOPIC_KEPT_MAX),
        refused.rejected.reason.as_str(),
        refused.rejected.field,
        refused.rejected.detail,
        payload,
        i64::try_from(refused.payload.len()).unwrap_or(i64::MAX),
        origin_label(refused.origin),
        refused.retained,
    ])?;
    Ok(payload.len() as u64 + ENTRY_OVERHEAD)
}

fn cut(text: &str, max: usize) -> &str {
    (0..=max.min(text.len()))
        .rev()
        .find_map(|end| text.get(..end))
        .unwrap_or("")
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let share: String = row.get(2)?;
    let origin: String = row.get(9)?;
    Ok(Kept {
        id: row.get(0)?,
        received_at: UnixMicros(row.get(1)?),
        share: (!share.is_empty()).then_some(share),
        peer: row.get(3)?,
        topic: row.get(4)?,
        reason: row.get(5)?,
        field: row.get(6)?,
        detail: row.get(7)?,
        payload_bytes: row.get::<_, i64>(8)?.unsigned_abs(),
        origin: ORIGINS
            .iter()
            .find(|(_, label)| *label == origin)
            .map_or(telemetry::Origin::Internal, |(o, _)| *o),
        retained: row.get(10)?,
        replayed_at: row.get::<_, Option<i64>>(11)?.map(UnixMicros),
    })
}

fn refuse_newer(connection: &Connection) -> rusqlite::Result<()> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found <= VERSION {
        return Ok(());
    }
    let detail =
        format!("version {found} was made by a newer program, this one knows up to {VERSION}; run the newer one");
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_SCHEMA);
    Err(rusqlite::Error::SqliteFailure(code, Some(detail)))
}

fn read_shares(connection: &Connection) -> rusqlite::Result<Shares> {
    let mut shares = Shares::default();
    let sql = "SELECT share, count(*), sum(length(payload)) FROM quarantine GROUP BY share";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    })?;
    for row in rows {
        let (share, entries, payloads) = row?;
        let (entries, payloads) = (entries.unsigned_abs(), payloads.unsigned_abs());
        shares.add(&share, entries, payloads + entries * ENTRY_OVERHEAD);
    }
    Ok(shares)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
