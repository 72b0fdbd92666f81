//! Reading back: the snapshot that a restart begins with, and what is asked about alerts.
use rusqlite::{OptionalExtension, params};
use serde::de::DeserializeOwned;
use telemetry::{DeviceId, DeviceKey, TenantId, UnixMicros};

use super::{Store, StoreError};
use crate::engine::{Alert, Snapshot};
use crate::id::AlertId;
use crate::lifecycle::State;

impl Store {
    pub(super) fn parse<T: DeserializeOwned>(&self, what: &'static str, json: &str) -> Result<T, StoreError> {
        serde_json::from_str(json).map_err(|source| StoreError::Row {
            path: self.path.clone(),
            what,
            source: source.into(),
        })
    }

    pub(super) fn strings<const N: usize>(
        &self,
        what: &'static str,
        sql: &str,
    ) -> Result<Vec<[String; N]>, StoreError> {
        let db = self.db();
        let read = || -> rusqlite::Result<Vec<[String; N]>> {
            let mut statement = db.prepare(sql)?;
            let rows = statement.query_map([], |row| {
                let mut columns = [const { String::new() }; N];
                for (at, column) in columns.iter_mut().enumerate() {
                    *column = row.get(at)?;
                }
                Ok(columns)
            })?;
            rows.collect()
        };
        read().map_err(self.error(what))
    }

    /// What was committed last, and the offset to go on from (`None`: never anything).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load(&self) -> Result<(Snapshot, Option<u64>), StoreError> {
        let mut snapshot = Snapshot::default();
        for [tenant, device, state] in self.strings::<3>("read devices", "SELECT tenant, device, state FROM device")? {
            let bad = |source| StoreError::Row {
                path: self.path.clone(),
                what: "device",
                source: Box::new(source),
            };
            let key = DeviceKey {
                tenant: TenantId::new(&tenant).map_err(bad)?,
                device: DeviceId::new(&device).map_err(bad)?,
            };
            snapshot.devices.push((key, self.parse("device", &state)?));
        }
        for [id, state] in self.strings::<2>("read gateways", "SELECT id, state FROM gateway")? {
            snapshot.gateways.push((id, self.parse("gateway", &state)?));
        }
        for [body] in self.strings::<1>("read alerts", "SELECT body FROM alert WHERE open = 1")? {
            snapshot.alerts.push(self.parse("alert", &body)?);
        }
        for [name, state] in self.strings::<2>("read heartbeats", "SELECT name, state FROM heartbeat")? {
            snapshot.beats.push((name, self.parse("heartbeat", &state)?));
        }
        for [state] in self.strings::<1>("read what was told", "SELECT state FROM told")? {
            snapshot.told.push(self.parse("told", &state)?);
        }
        let (clock, next) = self.position()?;
        snapshot.clock = clock;
        Ok((snapshot, next))
    }

    /// The input log's clock and the offset to go on from.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn position(&self) -> Result<(UnixMicros, Option<u64>), StoreError> {
        let clock = UnixMicros(self.meta("clock")?.and_then(|v| v.parse().ok()).unwrap_or(0));
        Ok((clock, self.meta("next")?.and_then(|v| v.parse().ok())))
    }

    pub(super) fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.db()
            .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
            .optional()
            .map_err(self.error("read its position"))
    }

    /// Alerts, newest first: in one state, or all that are open.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn alerts(&self, state: Option<State>, limit: usize) -> Result<Vec<Alert>, StoreError> {
        let bodies = {
            let db = self.db();
            let read = || -> rusqlite::Result<Vec<String>> {
                let mut statement = db.prepare_cached(
                    "SELECT body FROM alert WHERE (?1 IS NULL AND open = 1) OR state = ?1 ORDER BY decided_us DESC, id LIMIT ?2",
                )?;
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                let rows = statement.query_map(params![state.map(State::as_str), limit], |row| row.get(0))?;
                rows.collect()
            };
            read().map_err(self.error("list alerts"))?
        };
        bodies.iter().map(|body| self.parse("alert", body)).collect()
    }

    /// One alert, open or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn alert(&self, id: AlertId) -> Result<Option<Alert>, StoreError> {
        let body: Option<String> = self
            .db()
            .query_row("SELECT body FROM alert WHERE id = ?1", [id.to_hex()], |row| row.get(0))
            .optional()
            .map_err(self.error("read an alert"))?;
        body.map(|body| self.parse("alert", &body)).transpose()
    }

    /// How many open alerts there are by state and priority.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn count_open(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let db = self.db();
        let read = || -> rusqlite::Result<Vec<(String, u64)>> {
            let mut statement = db.prepare_cached("SELECT state, count(*) FROM alert WHERE open = 1 GROUP BY state")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
            rows.collect()
        };
        read().map_err(self.error("count alerts"))
    }
}
