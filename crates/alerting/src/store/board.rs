//! Reading for the pages: what is kept of items, sterilizers and devices, a tenant at a time.
use std::collections::HashMap;

use rusqlite::{OptionalExtension, params};
use serde::de::DeserializeOwned;
use telemetry::{DeviceId, DeviceKey, TenantId};

use super::listing::priority_of;
use super::{Store, StoreError};
use crate::board::{MAX_ALERTS_OF, OpenAlerts, Seen};
use crate::engine::Alert;
use crate::engine::state::{Device, Item, Sterilizer};
use crate::lifecycle::State;

impl Store {
    /// Facts of a kind of a tenant by name, at most `max`, and whether there are more.
    fn facts<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        tenant: &TenantId,
        max: usize,
    ) -> Result<(HashMap<String, T>, bool), StoreError> {
        let rows = {
            let db = self.db();
            let read = || -> rusqlite::Result<Vec<(String, String)>> {
                let sql = "SELECT key, state FROM fact WHERE kind = ?1 AND tenant = ?2 ORDER BY key LIMIT ?3";
                let limit = i64::try_from(max.saturating_add(1)).unwrap_or(i64::MAX);
                let mut statement = db.prepare_cached(sql)?;
                let rows = statement.query_map(params![kind, tenant.as_str(), limit], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
                rows.collect()
            };
            read().map_err(self.error("read facts"))?
        };
        let cut = rows.len() > max;
        let facts = rows.into_iter().take(max);
        let facts = facts.map(|(key, state)| Ok((key, self.parse(kind, &state)?)));
        Ok((facts.collect::<Result<_, StoreError>>()?, cut))
    }

    /// Items of a tenant, and whether there are more than `max`.
    pub(crate) fn items(&self, tenant: &TenantId, max: usize) -> Result<(HashMap<String, Item>, bool), StoreError> {
        self.facts("item", tenant, max)
    }

    /// Sterilizers of a tenant.
    pub(crate) fn sterilizers(&self, tenant: &TenantId, max: usize) -> Result<HashMap<String, Sterilizer>, StoreError> {
        self.facts("sterilizer", tenant, max).map(|(facts, _)| facts)
    }

    /// One item.
    pub(crate) fn item(&self, tenant: &TenantId, name: &str) -> Result<Option<Item>, StoreError> {
        let state: Option<String> = self
            .db()
            .prepare_cached("SELECT state FROM fact WHERE kind = 'item' AND tenant = ?1 AND key = ?2")
            .and_then(|mut statement| {
                statement
                    .query_row(params![tenant.as_str(), name], |row| row.get(0))
                    .optional()
            })
            .map_err(self.error("read an item"))?;
        state.map(|state| self.parse("item", &state)).transpose()
    }

    /// What was heard of the devices of a tenant, or of all.
    pub(crate) fn seen(&self, tenant: Option<&TenantId>) -> Result<Vec<(DeviceKey, Seen)>, StoreError> {
        let rows = {
            let db = self.db();
            let read = || -> rusqlite::Result<Vec<(String, String, Vec<u8>)>> {
                let sql = "SELECT tenant, device, state FROM device WHERE ?1 IS NULL OR tenant = ?1";
                let mut statement = db.prepare_cached(sql)?;
                let rows = statement.query_map([tenant.map(TenantId::as_str)], |row| {
                    // Rows from before they were packed are text.
                    Ok((row.get(0)?, row.get(1)?, row.get_ref(2)?.as_bytes()?.to_vec()))
                })?;
                rows.collect()
            };
            read().map_err(self.error("read devices"))?
        };
        let seen = rows.into_iter().map(|(tenant, device, state)| {
            let bad = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Row {
                path: self.path.clone(),
                what: "device",
                source,
            };
            let key = DeviceKey {
                tenant: TenantId::new(&tenant).map_err(|e| bad(e.into()))?,
                device: DeviceId::new(&device).map_err(|e| bad(e.into()))?,
            };
            Ok((key, Device::part_of_row(&state).map_err(|e| bad(e.into()))?))
        });
        seen.collect()
    }

    /// What was heard of one device; `None`: never anything.
    pub(crate) fn seen_of(&self, key: &DeviceKey) -> Result<Option<Seen>, StoreError> {
        let row: Option<Vec<u8>> = self
            .db()
            .prepare_cached("SELECT state FROM device WHERE tenant = ?1 AND device = ?2")
            .and_then(|mut statement| {
                let found = statement.query_row(params![key.tenant.as_str(), key.device.as_str()], |row| {
                    Ok(row.get_ref(0)?.as_bytes()?.to_vec())
                });
                found.optional()
            })
            .map_err(self.error("read a device"))?;
        let part = |row: Vec<u8>| Device::part_of_row(&row);
        row.map(part).transpose().map_err(|source| StoreError::Row {
            path: self.path.clone(),
            what: "device",
            source: source.into(),
        })
    }

    /// How many alerts are open by device, priority and state, of a tenant or of all; pending ones are not told yet and not counted.
    pub(crate) fn open_alerts(&self, tenant: Option<&TenantId>) -> Result<Vec<OpenAlerts>, StoreError> {
        let db = self.db();
        let read = || -> rusqlite::Result<Vec<OpenAlerts>> {
            let mut statement = db.prepare_cached(
                "SELECT tenant, device, urgency, state, count(*) FROM alert INDEXED BY alert_inbox \
                 WHERE open = 1 AND state <> 'pending' AND (?1 IS NULL OR tenant = ?1) GROUP BY tenant, device, urgency, state",
            )?;
            let rows = statement.query_map([tenant.map(TenantId::as_str)], |row| {
                let state = State::from_name(row.get_ref(3)?.as_str()?);
                let found = state.map(|state| {
                    Ok(OpenAlerts {
                        tenant: row.get(0)?,
                        device: row.get(1)?,
                        priority: priority_of(row.get(2)?),
                        state,
                        alerts: row.get::<_, u32>(4)?,
                    })
                });
                found.transpose()
            })?;
            rows.filter_map(Result::transpose).collect()
        };
        read().map_err(self.error("count alerts by device"))
    }

    /// Alerts of a device that were raised in a span, open or not, oldest first; at most [`MAX_ALERTS_OF`].
    pub(crate) fn alerts_of(&self, key: &DeviceKey, (from_us, to_us): (i64, i64)) -> Result<Vec<Alert>, StoreError> {
        let bodies = {
            let db = self.db();
            let read = || -> rusqlite::Result<Vec<String>> {
                let mut statement = db.prepare_cached(
                    "SELECT body FROM alert INDEXED BY alert_of_device \
                     WHERE tenant = ?1 AND device = ?2 AND decided_us BETWEEN ?3 AND ?4 ORDER BY decided_us LIMIT ?5",
                )?;
                let limit = i64::try_from(MAX_ALERTS_OF).unwrap_or(i64::MAX);
                let (tenant, device) = (key.tenant.as_str(), key.device.as_str());
                let rows = statement.query_map(params![tenant, device, from_us, to_us, limit], |row| row.get(0))?;
                rows.collect()
            };
            read().map_err(self.error("read the alerts of a device"))?
        };
        bodies.iter().map(|body| self.parse("alert", body)).collect()
    }
}
