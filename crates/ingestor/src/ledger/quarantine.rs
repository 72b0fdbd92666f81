//! What was refused, kept with its reason: frames that do not decode, and points that the store will not have.

use rusqlite::{Connection, params};
use telemetry::{TenantId, UnixMicros};

use super::Limits;
use crate::value::cut;

/// Longest detail of an entry in bytes; it may quote a foreign server.
pub const MAX_DETAIL_BYTES: usize = 512;

/// Entries dropped at a time at the bound.
const DROP_AT_ONCE: usize = 16;

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuarantinedKind {
    /// A record of the spool, as it stood there.
    Frame,
    /// A point, as line protocol.
    Point,
}

impl QuarantinedKind {
    /// The name in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Point => "point",
        }
    }
}

/// Something to keep aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// What it is.
    pub kind: QuarantinedKind,
    /// Whose, if known.
    pub tenant: Option<TenantId>,
    /// Why: a bounded label.
    pub reason: &'static str,
    /// For a person; cut to [`MAX_DETAIL_BYTES`].
    pub detail: String,
    /// When it came in.
    pub at: UnixMicros,
    /// The thing itself.
    pub bytes: Vec<u8>,
}

/// An entry as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineEntry {
    /// Its number.
    pub id: i64,
    /// `frame` or `point`.
    pub kind: String,
    /// Whose, if known.
    pub tenant: Option<String>,
    /// Why.
    pub reason: String,
    /// For a person.
    pub detail: String,
    /// When it came in.
    pub at: UnixMicros,
    /// The thing itself.
    pub bytes: Vec<u8>,
}

/// How much the table holds; counted once at open and then kept, so that a flood of bad frames does not scan it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Held {
    rows: u64,
    bytes: u64,
}

impl Held {
    pub(super) fn count(db: &Connection) -> rusqlite::Result<Self> {
        db.query_row(
            "SELECT count(*), coalesce(sum(length(bytes)), 0) FROM quarantine",
            [],
            |row| {
                Ok(Self {
                    rows: row.get::<_, i64>(0)?.unsigned_abs(),
                    bytes: row.get::<_, i64>(1)?.unsigned_abs(),
                })
            },
        )
    }

    fn fits(self, limits: &Limits) -> bool {
        self.rows <= limits.max_quarantined as u64 && self.bytes <= limits.max_quarantined_bytes
    }
}

/// Adds entries that are not there yet and drops the oldest beyond the bounds; gives how many were dropped.
pub(super) fn insert(
    db: &Connection,
    held: &mut Held,
    entries: &[Quarantined],
    limits: &Limits,
) -> rusqlite::Result<u64> {
    for entry in entries {
        let digest = xxhash_rust::xxh3::xxh3_64(&entry.bytes) as i64;
        let added = db
            .prepare_cached(
                "INSERT OR IGNORE INTO quarantine (kind, digest, tenant, reason, detail, at_us, bytes) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                entry.kind.as_str(),
                digest,
                entry.tenant.as_ref().map(TenantId::as_str),
                entry.reason,
                cut(&entry.detail, MAX_DETAIL_BYTES),
                entry.at.0,
                entry.bytes,
            ])?;
        held.rows += added as u64;
        held.bytes += added as u64 * entry.bytes.len() as u64;
    }
    let mut dropped = 0;
    while !held.fits(limits) && held.rows > 0 {
        dropped += drop_oldest(db, held)?;
    }
    Ok(dropped)
}

/// Drops the oldest entries, some at a time.
fn drop_oldest(db: &Connection, held: &mut Held) -> rusqlite::Result<u64> {
    let sizes: Vec<i64> = db
        .prepare_cached(
            "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine ORDER BY id LIMIT ?1) RETURNING length(bytes)",
        )?
        .query_map([DROP_AT_ONCE as i64], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    if sizes.is_empty() {
        *held = Held::default();
    }
    held.rows = held.rows.saturating_sub(sizes.len() as u64);
    held.bytes = held.bytes.saturating_sub(sizes.iter().sum::<i64>().unsigned_abs());
    Ok(sizes.len() as u64)
}

pub(super) fn list(db: &Connection, max: usize) -> rusqlite::Result<Vec<QuarantineEntry>> {
    db.prepare_cached(
        "SELECT id, kind, tenant, reason, detail, at_us, bytes FROM quarantine ORDER BY id DESC LIMIT ?1",
    )?
    .query_map([max as i64], |row| {
        Ok(QuarantineEntry {
            id: row.get(0)?,
            kind: row.get(1)?,
            tenant: row.get(2)?,
            reason: row.get(3)?,
            detail: row.get(4)?,
            at: UnixMicros(row.get(5)?),
            bytes: row.get(6)?,
        })
    })?
    .collect()
}
