//! The numbers of series: one per tag set, and one per device of a tenant, which is part of a point's key. A device
//! that moves to another clinic is another series of the same device, so the same reading stays one point.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};
use telemetry::DeviceKind;

use crate::record::{Tags, UNKNOWN};

/// Tag sets whose numbers are kept ready (about 100 bytes each); beyond it the memory is emptied, which costs a look into
/// the table for each and nothing else.
const MAX_READY: usize = 65_536;

/// A series and its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Series {
    pub(super) id: i64,
    pub(super) device: i64,
}

/// Numbers that were looked up, by the place of the tags in memory: the pipeline shares one [`Tags`] among the records of a
/// device. The tags are held here, so that the place stays theirs.
#[derive(Debug, Default)]
pub(super) struct Ready(foldhash::HashMap<usize, (Arc<Tags>, Series)>);

impl Ready {
    /// The numbers of `tags`, made if they are new. Only valid while the transaction that made them stands: see
    /// [`Ready::forget`].
    pub(super) fn of(&mut self, db: &Connection, tags: &Arc<Tags>) -> rusqlite::Result<Series> {
        let place = Arc::as_ptr(tags) as usize;
        if let Some((_, series)) = self.0.get(&place) {
            return Ok(*series);
        }
        let series = look_up(db, tags)?;
        if self.0.len() >= MAX_READY {
            self.0.clear();
        }
        self.0.insert(place, (Arc::clone(tags), series));
        Ok(series)
    }

    /// After a transaction that was rolled back: what it made is gone.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

fn look_up(db: &Connection, tags: &Tags) -> rusqlite::Result<Series> {
    let (tenant, device, clinic) = (tags.tenant.as_str(), tags.device.as_str(), tags.clinic.as_str());
    let model = tags.model.as_ref().map_or(UNKNOWN, |model| model.as_str());
    let kind = tags.kind.map_or(UNKNOWN, DeviceKind::as_str);
    let found = db
        .prepare_cached(
            "SELECT id, device_id FROM series WHERE tenant = ?1 AND device = ?2 AND clinic = ?3 AND model = ?4 AND kind = ?5",
        )?
        .query_row(params![tenant, device, clinic, model, kind], |row| {
            Ok(Series {
                id: row.get(0)?,
                device: row.get(1)?,
            })
        })
        .optional()?;
    if let Some(series) = found {
        return Ok(series);
    }
    let device_id: Option<i64> = db
        .prepare_cached("SELECT min(device_id) FROM series WHERE tenant = ?1 AND device = ?2")?
        .query_row(params![tenant, device], |row| row.get(0))?;
    // A new device has the number of its first series.
    let next: i64 = db
        .prepare_cached("SELECT coalesce(max(id), 0) + 1 FROM series")?
        .query_row([], |row| row.get(0))?;
    let series = Series {
        id: next,
        device: device_id.unwrap_or(next),
    };
    db.prepare_cached(
        "INSERT INTO series (id, device_id, tenant, device, clinic, model, kind) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![series.id, series.device, tenant, device, clinic, model, kind])?;
    Ok(series)
}
