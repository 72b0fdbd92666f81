//! What the console, the CLI and tests ask of the embedded store.

use rusqlite::{OptionalExtension as _, Row, params};
use telemetry::{SessionId, TenantId};

use super::sqlite::{SqliteError, SqliteStore};

/// How much of a tenant is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantCounts {
    /// The tenant.
    pub tenant: String,
    /// Strokes in its windows.
    pub strokes: u64,
    /// Windows.
    pub windows: u64,
    /// Pulses.
    pub pulses: u64,
    /// Sessions.
    pub sessions: u64,
    /// Alert transitions.
    pub alert_transitions: u64,
}

/// A session, as its summary says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// The tenant.
    pub tenant: String,
    /// The clinic.
    pub clinic: String,
    /// The device.
    pub device: String,
    /// Its model, or `unknown`.
    pub model: String,
    /// Session id, hexadecimal.
    pub session: String,
    /// Start, in nanoseconds since 1970.
    pub time_ns: i64,
    /// From the first to the last stored reading, in microseconds.
    pub duration_us: Option<i64>,
    /// Whether all of a known total is stored.
    pub complete: Option<bool>,
    /// Whether it is over.
    pub closed: bool,
    /// Strokes stored.
    pub strokes_stored: i64,
    /// Strokes made, if told.
    pub strokes_total: Option<i64>,
    /// Strokes known to be made and not stored.
    pub strokes_missing: i64,
    /// Pulses stored.
    pub pulses_stored: i64,
    /// Pulses fired, if told.
    pub pulses_total: Option<i64>,
    /// Pulses known to be fired and not stored.
    pub pulses_missing: i64,
    /// Zones, separated by commas.
    pub zones: Option<String>,
    /// "4,212 of 4,212 strokes stored".
    pub text: String,
}

/// One step of one alert.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRow {
    /// The tenant.
    pub tenant: String,
    /// The clinic.
    pub clinic: String,
    /// The device.
    pub device: String,
    /// When the engine took the step, in nanoseconds since 1970.
    pub time_ns: i64,
    /// The rule.
    pub rule: String,
    /// The zone, or empty.
    pub zone: String,
    /// Alert id, hexadecimal.
    pub alert_id: String,
    /// high, medium, low or info.
    pub priority: Option<String>,
    /// State before.
    pub from_state: String,
    /// State after.
    pub to_state: String,
    /// The value that caused it.
    pub value: Option<f64>,
    /// What it was compared with.
    pub limit: Option<f64>,
    /// Unit of both.
    pub unit: String,
}

const SESSION_COLUMNS: &str = "tenant, clinic, device, model, session, time_ns, duration_us, complete, closed, \
    strokes_stored, strokes_total, strokes_missing, pulses_stored, pulses_total, pulses_missing, zones, text";

impl SqliteStore {
    /// Counts per tenant, by name. Reads every row of the windows: for people and tests, not for loops.
    ///
    /// # Errors
    /// SQLite's no.
    pub fn counts(&self) -> Result<Vec<TenantCounts>, SqliteError> {
        let sql = "SELECT tenant, sum(strokes), sum(windows), sum(pulses), sum(sessions), sum(transitions) FROM ( \
             SELECT tenant, sum(count) AS strokes, count(*) AS windows, 0 AS pulses, 0 AS sessions, 0 AS transitions \
             FROM stroke_window GROUP BY tenant \
             UNION ALL SELECT tenant, 0, 0, count(*), 0, 0 FROM pulse GROUP BY tenant \
             UNION ALL SELECT tenant, 0, 0, 0, count(*), 0 FROM session_summary GROUP BY tenant \
             UNION ALL SELECT tenant, 0, 0, 0, 0, count(*) FROM alert_transition GROUP BY tenant \
             ) GROUP BY tenant ORDER BY tenant";
        let count = |row: &Row<'_>, at| row.get::<_, i64>(at).map(i64::unsigned_abs);
        self.all(sql, [], |row| {
            Ok(TenantCounts {
                tenant: row.get(0)?,
                strokes: count(row, 1)?,
                windows: count(row, 2)?,
                pulses: count(row, 3)?,
                sessions: count(row, 4)?,
                alert_transitions: count(row, 5)?,
            })
        })
    }

    /// The latest sessions of a tenant, at most `max`, newest first.
    ///
    /// # Errors
    /// SQLite's no.
    pub fn sessions(&self, tenant: &TenantId, max: usize) -> Result<Vec<SessionRow>, SqliteError> {
        let sql =
            format!("SELECT {SESSION_COLUMNS} FROM session_summary WHERE tenant = ?1 ORDER BY time_ns DESC LIMIT ?2");
        self.all(&sql, params![tenant.as_str(), max as i64], session_row)
    }

    /// One session of a tenant.
    ///
    /// # Errors
    /// SQLite's no.
    pub fn session(&self, tenant: &TenantId, session: SessionId) -> Result<Option<SessionRow>, SqliteError> {
        let sql = format!("SELECT {SESSION_COLUMNS} FROM session_summary WHERE session = ?1 AND tenant = ?2");
        let file = self.lock();
        file.db
            .prepare_cached(&sql)
            .and_then(|mut s| {
                s.query_row(params![session.to_hex(), tenant.as_str()], session_row)
                    .optional()
            })
            .map_err(|source| self.failed("be read", source))
    }

    /// The latest alert transitions of a tenant, at most `max`, newest first.
    ///
    /// # Errors
    /// SQLite's no.
    pub fn alert_transitions(&self, tenant: &TenantId, max: usize) -> Result<Vec<AlertRow>, SqliteError> {
        let sql = "SELECT tenant, clinic, device, time_ns, rule, zone, alert_id, priority, from_state, to_state, value, \
             \"limit\", unit FROM alert_transition WHERE tenant = ?1 ORDER BY time_ns DESC LIMIT ?2";
        self.all(sql, params![tenant.as_str(), max as i64], |row| {
            Ok(AlertRow {
                tenant: row.get(0)?,
                clinic: row.get(1)?,
                device: row.get(2)?,
                time_ns: row.get(3)?,
                rule: row.get(4)?,
                zone: row.get(5)?,
                alert_id: row.get(6)?,
                priority: row.get(7)?,
                from_state: row.get(8)?,
                to_state: row.get(9)?,
                value: row.get(10)?,
                limit: row.get(11)?,
                unit: row.get(12)?,
            })
        })
    }

    /// Every row of a measurement as text, in the order of its key: how tests compare two stores.
    ///
    /// # Errors
    /// SQLite's no.
    pub fn dump(&self, measurement: &crate::schema::Measurement) -> Result<Vec<String>, SqliteError> {
        let order = super::sqlite::tables::key(measurement).join(", ");
        let sql = format!("SELECT * FROM {} ORDER BY {order}", measurement.name);
        self.all(&sql, [], |row| {
            let columns = row.as_ref().column_count();
            let values: Vec<String> = (0..columns)
                .map(|at| {
                    row.get::<_, rusqlite::types::Value>(at)
                        .map(|value| format!("{value:?}"))
                })
                .collect::<rusqlite::Result<_>>()?;
            Ok(values.join(" "))
        })
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, SqliteError> {
        let file = self.lock();
        let rows = || -> rusqlite::Result<Vec<T>> { file.db.prepare_cached(sql)?.query_map(params, read)?.collect() };
        rows().map_err(|source| self.failed("be read", source))
    }
}

fn session_row(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    Ok(SessionRow {
        tenant: row.get(0)?,
        clinic: row.get(1)?,
        device: row.get(2)?,
        model: row.get(3)?,
        session: row.get(4)?,
        time_ns: row.get(5)?,
        duration_us: row.get(6)?,
        complete: row.get(7)?,
        closed: row.get(8)?,
        strokes_stored: row.get(9)?,
        strokes_total: row.get(10)?,
        strokes_missing: row.get(11)?,
        pulses_stored: row.get(12)?,
        pulses_total: row.get(13)?,
        pulses_missing: row.get(14)?,
        zones: row.get(15)?,
        text: row.get(16)?,
    })
}
