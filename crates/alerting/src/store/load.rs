//! Reading back: the snapshot that a restart begins with, and what is asked about alerts.
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, params};
use serde::de::DeserializeOwned;
use telemetry::{DeviceId, DeviceKey, TenantId, UnixMicros};

use super::{Store, StoreError};
use crate::engine::state::Device;
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
        let mut snapshot = Snapshot {
            devices: self.devices()?,
            ..Snapshot::default()
        };
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
        // Not there: an earlier version wrote the file, whose steps are not after its clock.
        let stepped = self.meta("stepped")?.and_then(|v| v.parse().ok());
        snapshot.stepped = stepped.map_or(clock, UnixMicros);
        Ok((snapshot, next))
    }

    /// Every device. There may be a hundred thousand: rows are read where they lie, and tenants are told apart once.
    fn devices(&self) -> Result<Vec<(DeviceKey, Device)>, StoreError> {
        let bad = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Row {
            path: self.path.clone(),
            what: "device",
            source,
        };
        let db = self.db();
        let sql = self.error("read devices");
        let count: i64 = db
            .query_row("SELECT count(*) FROM device", [], |row| row.get(0))
            .map_err(&sql)?;
        let mut devices = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        let mut statement = db.prepare("SELECT tenant, device, state FROM device").map_err(&sql)?;
        let mut rows = statement.query([]).map_err(&sql)?;
        let mut tenant: Option<TenantId> = None;
        while let Some(row) = rows.next().map_err(&sql)? {
            let column = |at| row.get_ref(at).map_err(&sql);
            let text = |value: ValueRef<'_>| value.as_str().map(str::to_owned).map_err(|e| bad(e.into()));
            let name = text(column(0)?)?;
            let tenant = match tenant.take().filter(|known| known.as_str() == name) {
                Some(known) => tenant.insert(known),
                None => tenant.insert(TenantId::new(&name).map_err(|e| bad(e.into()))?),
            };
            let key = DeviceKey {
                tenant: tenant.clone(),
                device: DeviceId::new(&text(column(1)?)?).map_err(|e| bad(e.into()))?,
            };
            let state = column(2)?.as_bytes().map_err(|e| bad(e.into()))?;
            devices.push((key, Device::from_row(state).map_err(|e| bad(e.into()))?));
        }
        Ok(devices)
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
