//! The ledger's tables and statements.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use telemetry::{
    BootId, ClinicId, DeviceId, DeviceKind, ModelId, SessionEndReason, SessionId, TenantId, UnixMicros, VisitId,
};

use super::{LostRange, Session, SessionKey};
use crate::record::Tags;

/// How long to wait for a reader of the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Version of the tables, kept as `user_version`. 0 is a new file, or one of before it had a version, with the same tables.
const VERSION: i64 = 1;

/// Most runs of lost records that are remembered; the oldest go first (they are in the log and the counters).
const MAX_LOST: usize = 10_000;

const TABLES: &str = r#"
CREATE TABLE IF NOT EXISTS session (
  tenant TEXT NOT NULL, device TEXT NOT NULL, session BLOB NOT NULL,
  clinic TEXT NOT NULL, model TEXT, kind TEXT,
  boot INTEGER NOT NULL, visit BLOB, time_ns INTEGER NOT NULL, start_known INTEGER NOT NULL,
  sets BLOB NOT NULL, strokes_total INTEGER, pulses_total INTEGER, end_reason TEXT,
  from_ns INTEGER, to_ns INTEGER, zones INTEGER NOT NULL, last_received_us INTEGER NOT NULL,
  ended INTEGER NOT NULL, superseded INTEGER NOT NULL, quiet INTEGER NOT NULL,
  closed INTEGER GENERATED ALWAYS AS (ended | superseded | quiet) VIRTUAL,
  version INTEGER NOT NULL, told INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant, device, session)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_open ON session (last_received_us) WHERE (ended | superseded | quiet) = 0;
CREATE INDEX IF NOT EXISTS session_due ON session (last_received_us) WHERE version > told;
CREATE INDEX IF NOT EXISTS session_age ON session (last_received_us);
CREATE INDEX IF NOT EXISTS session_id ON session (session);
CREATE TABLE IF NOT EXISTS device (
  tenant TEXT NOT NULL, device TEXT NOT NULL, got_to_ns INTEGER NOT NULL, heard_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, device)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS left_session (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL, device TEXT NOT NULL, session BLOB NOT NULL, left_us INTEGER NOT NULL,
  UNIQUE (session, tenant, device)
);
CREATE TABLE IF NOT EXISTS lost (
  "from" INTEGER PRIMARY KEY, "to" INTEGER NOT NULL, reason TEXT NOT NULL, at_us INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS quarantine (
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, digest INTEGER NOT NULL, tenant TEXT,
  reason TEXT NOT NULL, detail TEXT NOT NULL, at_us INTEGER NOT NULL, bytes BLOB NOT NULL,
  UNIQUE (kind, digest)
);
CREATE TABLE IF NOT EXISTS progress (one INTEGER PRIMARY KEY CHECK (one = 1), watermark_us INTEGER NOT NULL);
"#;

const COLUMNS: &str = "tenant, device, session, clinic, model, kind, boot, visit, time_ns, start_known, sets, \
    strokes_total, pulses_total, end_reason, from_ns, to_ns, zones, last_received_us, ended, superseded, quiet, version";

/// Settings and tables. `FULL`: what is committed stays after a power cut, because the cursor moves right after.
pub(super) fn prepare(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > VERSION {
        return Err(newer(found));
    }
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.set_prepared_statement_cache_capacity(64);
    db.execute_batch(TABLES)?;
    db.execute_batch(super::periods::TABLE)?;
    db.pragma_update(None, "user_version", VERSION)
}

fn newer(found: i64) -> rusqlite::Error {
    let detail = format!(
        "ledger.sqlite has version {found} of a newer program, this one knows up to {VERSION}; run the newer one"
    );
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_SCHEMA), Some(detail))
}

pub(super) fn load(db: &Connection, key: &SessionKey) -> rusqlite::Result<Option<(Session, i64)>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM session WHERE tenant = ?1 AND device = ?2 AND session = ?3"
    ))?
    .query_row(
        params![key.tenant.as_str(), key.device.as_str(), key.session.bytes()],
        read,
    )
    .optional()
}

pub(super) fn find(db: &Connection, id: SessionId) -> rusqlite::Result<Vec<Session>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM session WHERE session = ?1"))?
        .query_map([id.bytes()], |row| read(row).map(|(session, _)| session))?
        .collect()
}

/// The names of tenants are slugs: nothing in a list of them needs escaping.
pub(super) fn due(db: &Connection, max: usize, without: &[TenantId]) -> rusqlite::Result<Vec<(Session, i64)>> {
    let without: Vec<String> = without.iter().map(|tenant| format!("\"{tenant}\"")).collect();
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM session WHERE version > told AND tenant NOT IN (SELECT value FROM json_each(?2)) \
         ORDER BY last_received_us LIMIT ?1"
    ))?
    .query_map(params![max as i64, format!("[{}]", without.join(","))], read)?
    .collect()
}

pub(super) fn store(db: &Connection, s: &Session, version: i64) -> rusqlite::Result<()> {
    db.prepare_cached(&format!(
        "INSERT INTO session ({COLUMNS}) VALUES \
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22) \
         ON CONFLICT (tenant, device, session) DO UPDATE SET visit = excluded.visit, start_known = excluded.start_known, \
         sets = excluded.sets, strokes_total = excluded.strokes_total, pulses_total = excluded.pulses_total, \
         end_reason = excluded.end_reason, from_ns = excluded.from_ns, to_ns = excluded.to_ns, zones = excluded.zones, \
         last_received_us = excluded.last_received_us, ended = excluded.ended, version = excluded.version"
    ))?
    .execute(params![
        s.tags.tenant.as_str(),
        s.tags.device.as_str(),
        s.session.bytes(),
        s.tags.clinic.as_str(),
        s.tags.model.as_ref().map(ModelId::as_str),
        s.tags.kind.map(DeviceKind::as_str),
        s.boot.0 as i64,
        s.visit.as_ref().map(|visit| visit.bytes().as_slice()),
        s.time_ns,
        s.start_known,
        s.encode_sets(),
        s.strokes_total.map(|n| n as i64),
        s.pulses_total.map(|n| n as i64),
        s.end_reason.map(SessionEndReason::as_str),
        s.span_ns.map(|span| span.0),
        s.span_ns.map(|span| span.1),
        s.zones,
        s.last_received.0,
        s.ended,
        s.superseded,
        s.quiet,
        version,
    ])?;
    Ok(())
}

/// Raises how far a device has got; gives how far that is now.
pub(super) fn raise_device(db: &Connection, tags: &Tags, got_to_ns: i64, heard: UnixMicros) -> rusqlite::Result<i64> {
    db.prepare_cached(
        "INSERT INTO device (tenant, device, got_to_ns, heard_us) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (tenant, device) DO UPDATE SET got_to_ns = max(got_to_ns, excluded.got_to_ns), \
         heard_us = max(heard_us, excluded.heard_us) RETURNING got_to_ns",
    )?
    .query_row(
        params![tags.tenant.as_str(), tags.device.as_str(), got_to_ns, heard.0],
        |row| row.get(0),
    )
}

pub(super) fn supersede(db: &Connection, tags: &Tags, got_to_ns: i64) -> rusqlite::Result<Vec<SessionKey>> {
    db.prepare_cached(
        "UPDATE session SET superseded = 1, version = version + 1 \
         WHERE tenant = ?1 AND device = ?2 AND superseded = 0 AND time_ns < ?3 RETURNING tenant, device, session",
    )?
    .query_map(params![tags.tenant.as_str(), tags.device.as_str(), got_to_ns], key)?
    .collect()
}

pub(super) fn hush(db: &Connection, before: UnixMicros) -> rusqlite::Result<Vec<SessionKey>> {
    db.prepare_cached(
        "UPDATE session SET quiet = 1, version = version + 1 \
         WHERE (ended | superseded | quiet) = 0 AND last_received_us < ?1 RETURNING tenant, device, session",
    )?
    .query_map([before.0], key)?
    .collect()
}

/// Removes sessions that are over, told and old.
pub(super) fn forget_old(db: &Connection, before: UnixMicros, max: usize) -> rusqlite::Result<Vec<SessionKey>> {
    db.prepare_cached(
        "DELETE FROM session WHERE (tenant, device, session) IN (SELECT tenant, device, session FROM session \
         WHERE last_received_us < ?1 AND (ended | superseded | quiet) = 1 AND version = told \
         ORDER BY last_received_us LIMIT ?2) RETURNING tenant, device, session",
    )?
    .query_map(params![before.0, max as i64], key)?
    .collect()
}

/// Removes the sessions longest unheard above the cap, those first that are over and told.
pub(super) fn forget_excess(db: &Connection, cap: usize, max: usize) -> rusqlite::Result<Vec<SessionKey>> {
    let count: i64 = db
        .prepare_cached("SELECT count(*) FROM session")?
        .query_row([], |row| row.get(0))?;
    let excess = count.saturating_sub(cap as i64).min(max as i64);
    if excess <= 0 {
        return Ok(Vec::new());
    }
    db.prepare_cached(
        "DELETE FROM session WHERE (tenant, device, session) IN (SELECT tenant, device, session FROM session \
         ORDER BY (ended | superseded | quiet) = 1 AND version = told DESC, last_received_us LIMIT ?1) \
         RETURNING tenant, device, session",
    )?
    .query_map([excess], key)?
    .collect()
}

pub(super) fn has_left(db: &Connection, key: &SessionKey) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM left_session WHERE session = ?1 AND tenant = ?2 AND device = ?3")?
        .exists(params![key.session.bytes(), key.tenant.as_str(), key.device.as_str()])
}

pub(super) fn mark_left(db: &Connection, key: &SessionKey, at: UnixMicros) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR IGNORE INTO left_session (tenant, device, session, left_us) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            key.tenant.as_str(),
            key.device.as_str(),
            key.session.bytes(),
            at.0
        ])?;
    Ok(())
}

/// Keeps the newest markers; their ids are dense, so the cap is a difference of ids.
pub(super) fn trim_markers(db: &Connection, cap: usize) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM left_session WHERE id <= (SELECT max(id) FROM left_session) - ?1")?
        .execute([cap as i64])?;
    Ok(())
}

pub(super) fn insert_lost(db: &Connection, lost: &LostRange, at: UnixMicros) -> rusqlite::Result<()> {
    db.execute(
        "INSERT OR REPLACE INTO lost (\"from\", \"to\", reason, at_us) VALUES (?1, ?2, ?3, ?4)",
        params![lost.from as i64, lost.to as i64, lost.reason, at.0],
    )?;
    db.execute(
        "DELETE FROM lost WHERE \"from\" NOT IN (SELECT \"from\" FROM lost ORDER BY \"from\" DESC LIMIT ?1)",
        [MAX_LOST as i64],
    )?;
    Ok(())
}

/// A value of the file that is not what this program writes there.
fn foreign(what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, what.into())
}

fn key(row: &Row<'_>) -> rusqlite::Result<SessionKey> {
    let text = |at: usize| row.get_ref(at)?.as_str().map_err(|_| foreign("not a text"));
    let blob = row.get_ref(2)?.as_blob().map_err(|_| foreign("not a session id"))?;
    Ok(SessionKey {
        tenant: TenantId::new(text(0)?).map_err(|_| foreign("not a tenant id"))?,
        device: DeviceId::new(text(1)?).map_err(|_| foreign("not a device id"))?,
        session: SessionId::new(blob).map_err(|_| foreign("not a session id"))?,
    })
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Session, i64)> {
    let key = key(row)?;
    let text = |at: usize| row.get::<_, Option<String>>(at);
    let count = |at: usize| row.get::<_, Option<i64>>(at).map(|n| n.map(|n| n as u64));
    let clinic = text(3)?
        .and_then(|c| ClinicId::new(&c).ok())
        .ok_or_else(|| foreign("not a clinic id"))?;
    let tags = Tags::new(
        key.tenant,
        clinic,
        key.device,
        text(4)?.and_then(|m| ModelId::new(&m).ok()),
        text(5)?.and_then(|k| k.parse().ok()),
    );
    let visit: Option<Vec<u8>> = row.get(7)?;
    let mut session = Session {
        tags: Arc::new(tags),
        session: key.session,
        boot: BootId(row.get::<_, i64>(6)? as u64),
        visit: visit.and_then(|v| VisitId::new(&v).ok()),
        time_ns: row.get(8)?,
        start_known: row.get(9)?,
        sets: Default::default(),
        strokes_total: count(11)?,
        pulses_total: count(12)?,
        end_reason: text(13)?.and_then(|r| r.parse().ok()),
        span_ns: row.get::<_, Option<i64>>(14)?.zip(row.get::<_, Option<i64>>(15)?),
        zones: row.get(16)?,
        last_received: UnixMicros(row.get(17)?),
        ended: row.get(18)?,
        superseded: row.get(19)?,
        quiet: row.get(20)?,
    };
    let sets = row
        .get_ref(10)?
        .as_blob()
        .map_err(|_| foreign("not sets of ordinals"))?;
    if !session.decode_sets(sets) {
        return Err(foreign("not sets of ordinals"));
    }
    Ok((session, row.get(21)?))
}
