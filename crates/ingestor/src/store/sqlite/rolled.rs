//! Rolls periods up from the rows of the embedded store. Reads through a connection of its own, so that writes do not wait.
//!
//! Rows of one device lie scattered among those of all others that spoke at the time. So a few devices are looked up by the
//! key, and many of one period in one pass over its time, which reads each page once.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, params};
use telemetry::{ClinicId, DeviceKey, ModelId, Zone};

use super::{BUSY_TIMEOUT, SqliteError, SqliteStore, tables};
use crate::record::{Record, Rollup, Tags};
use crate::rollup::Group;
use crate::schema::rollup::Made;

/// From so many devices on a period is read in one pass.
const ONE_PASS_FROM: usize = 8;

/// How a number of a roll-up takes a row in, and from which column of it.
#[derive(Clone, Copy)]
enum Fold {
    Points,
    Count(usize),
    True(usize),
    Sum(usize),
    Least(usize),
    Greatest(usize),
    /// A mean is made of other numbers.
    Nothing,
}

/// Columns before those that are folded: series, device, zone.
const HEAD: usize = 3;

type Sums = HashMap<(i64, Option<Zone>), Vec<Option<i64>>, foldhash::fast::RandomState>;

impl SqliteStore {
    /// Rolls the periods of a group up.
    ///
    /// # Errors
    /// SQLite's no.
    pub fn roll_up(&self, group: &Group) -> Result<Vec<Record>, SqliteError> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut run = || -> rusqlite::Result<Vec<Record>> {
            let db = match &mut *reader {
                Some(db) => db,
                none => {
                    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                    let db = Connection::open_with_flags(&self.path, flags)?;
                    db.busy_timeout(BUSY_TIMEOUT)?;
                    none.insert(db)
                }
            };
            // One state of the file for all that is read.
            let tx = db.transaction()?;
            let (records, gone) = roll_up(&tx, group)?;
            drop(tx);
            self.remove(group, &gone)?;
            Ok(records)
        };
        run().map_err(|source| self.failed("be read for roll-ups", source))
    }

    /// Removes roll-ups whose points all have other tags now.
    fn remove(&self, group: &Group, rows: &[i64]) -> rusqlite::Result<()> {
        let table = tables::table(group.subject.measurement(group.span));
        let file = self.lock();
        for row in rows {
            file.db
                .prepare_cached(&format!("DELETE FROM {table} WHERE rowid = ?1"))?
                .execute([row])?;
        }
        Ok(())
    }
}

/// The roll-ups, and rows of earlier ones that are none any more.
fn roll_up(db: &Connection, group: &Group) -> rusqlite::Result<(Vec<Record>, Vec<i64>)> {
    let (folds, columns) = plan(group);
    let table = tables::table(group.subject.source(group.span));
    let mut sql =
        format!("SELECT series_id, device_id, zone{columns} FROM {table} WHERE time_ns >= ?1 AND time_ns < ?2");
    let (from, to) = group.range_ns();
    let devices = numbers(db, &group.devices)?;
    let mut sums = Sums::default();
    if devices.len() < ONE_PASS_FROM {
        sql.push_str(" AND device_id = ?3");
        let mut rows_of = db.prepare_cached(&sql)?;
        for device in devices.keys() {
            let mut rows = rows_of.query(params![from, to, device])?;
            while let Some(row) = rows.next()? {
                fold(row, &folds, &mut sums)?;
            }
        }
    } else {
        let mut all = db.prepare_cached(&sql)?;
        let mut rows = all.query(params![from, to])?;
        while let Some(row) = rows.next()? {
            if devices.contains_key(&row.get(1)?) {
                fold(row, &folds, &mut sums)?;
            }
        }
    }
    let gone = gone(db, group, &sums, &devices)?;
    Ok((records(db, group, sums, &devices)?, gone))
}

/// A reading that came again from a device that has moved meanwhile is the same point with other tags. Where nothing at
/// all is left of a device its points have expired, and what was rolled up of them stays.
fn gone(
    db: &Connection,
    group: &Group,
    sums: &Sums,
    devices: &foldhash::HashMap<i64, DeviceKey>,
) -> rusqlite::Result<Vec<i64>> {
    let table = tables::table(group.subject.measurement(group.span));
    let mut find = db.prepare_cached(&format!(
        "SELECT rowid, series_id, zone FROM {table} WHERE device_id = ?1 AND time_ns = ?2"
    ))?;
    let mut gone = Vec::new();
    for device in devices.keys() {
        let rows: Vec<(i64, i64, String)> = find
            .query_map(params![device, group.range_ns().0], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let stays = |series: i64, zone: &str| sums.contains_key(&(series, zone.parse().ok()));
        // Nearly always all of them.
        let left: Vec<i64> = rows.iter().filter(|(_, s, z)| !stays(*s, z)).map(|row| row.0).collect();
        if !left.is_empty() && anything_of(db, *device, sums)? {
            gone.extend(left);
        }
    }
    Ok(gone)
}

fn anything_of(db: &Connection, device: i64, sums: &Sums) -> rusqlite::Result<bool> {
    let series: Vec<i64> = db
        .prepare_cached("SELECT id FROM series WHERE device_id = ?1")?
        .query_map([device], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(sums.keys().any(|(id, _)| series.contains(id)))
}

/// How each number is folded, and the columns that takes, each once and after a comma.
fn plan(group: &Group) -> (Vec<Fold>, String) {
    let mut names: Vec<&'static str> = Vec::new();
    let mut column = |name: &'static str| {
        let at = names.iter().position(|known| *known == name).unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        HEAD + at
    };
    let folds = group
        .subject
        .made_of_source(group.span)
        .map(|made| match made {
            Made::Points => Fold::Points,
            Made::Count(name) => Fold::Count(column(name)),
            Made::True(name) => Fold::True(column(name)),
            Made::Sum(name) => Fold::Sum(column(name)),
            Made::Least(name) => Fold::Least(column(name)),
            Made::Greatest(name) => Fold::Greatest(column(name)),
            Made::Mean { .. } => Fold::Nothing,
        })
        .collect();
    (folds, names.iter().map(|name| format!(", \"{name}\"")).collect())
}

fn fold(row: &Row<'_>, folds: &[Fold], sums: &mut Sums) -> rusqlite::Result<()> {
    let zone = match row.get_ref(2)? {
        ValueRef::Text(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    let numbers = sums
        .entry((row.get(0)?, zone))
        .or_insert_with(|| vec![None; folds.len()]);
    for (number, fold) in numbers.iter_mut().zip(folds) {
        let value = |at: usize| match row.get_ref(at) {
            Ok(ValueRef::Integer(value)) => Some(value),
            _ => None,
        };
        let add = |by: i64| Some(number.unwrap_or(0).saturating_add(by));
        *number = match *fold {
            Fold::Points => add(1),
            Fold::Count(at) => add(i64::from(value(at).is_some())),
            Fold::True(at) => add(i64::from(value(at) == Some(1))),
            Fold::Sum(at) => value(at).map_or(*number, add),
            Fold::Least(at) => value(at).map_or(*number, |value| Some(number.map_or(value, |n| n.min(value)))),
            Fold::Greatest(at) => (*number).max(value(at)),
            Fold::Nothing => None,
        };
    }
    Ok(())
}

fn numbers(db: &Connection, devices: &[DeviceKey]) -> rusqlite::Result<foldhash::HashMap<i64, DeviceKey>> {
    let mut find = db.prepare_cached("SELECT device_id FROM series WHERE tenant = ?1 AND device = ?2 LIMIT 1")?;
    let mut numbers = foldhash::HashMap::default();
    for key in devices {
        let number = find
            .query_row(params![key.tenant.as_str(), key.device.as_str()], |row| row.get(0))
            .optional()?;
        if let Some(number) = number {
            numbers.insert(number, key.clone());
        }
    }
    Ok(numbers)
}

fn records(
    db: &Connection,
    group: &Group,
    sums: Sums,
    devices: &foldhash::HashMap<i64, DeviceKey>,
) -> rusqlite::Result<Vec<Record>> {
    let mut known: HashMap<i64, Option<Arc<Tags>>> = HashMap::new();
    let mut out = Vec::with_capacity(sums.len());
    for ((series, zone), numbers) in sums {
        let tags = match known.get(&series) {
            Some(tags) => tags.clone(),
            None => {
                let tags = tags_of(db, series, devices)?.map(Arc::new);
                known.insert(series, tags.clone());
                tags
            }
        };
        out.extend(tags.map(|tags| {
            Record::Rollup(Box::new(Rollup {
                tags,
                time_ns: group.range_ns().0,
                zone,
                subject: group.subject,
                span: group.span,
                numbers,
            }))
        }));
    }
    Ok(out)
}

/// The tags of a series; `None` if they are not what this program writes there.
fn tags_of(
    db: &Connection,
    series: i64,
    devices: &foldhash::HashMap<i64, DeviceKey>,
) -> rusqlite::Result<Option<Tags>> {
    let (device, clinic, model, kind): (i64, String, String, String) = db
        .prepare_cached("SELECT device_id, clinic, model, kind FROM series WHERE id = ?1")?
        .query_row([series], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    Ok(devices
        .get(&device)
        .zip(ClinicId::new(&clinic).ok())
        .map(|(key, clinic)| {
            Tags::new(
                key.tenant.clone(),
                clinic,
                key.device.clone(),
                ModelId::new(&model).ok().filter(|_| model != crate::record::UNKNOWN),
                kind.parse().ok(),
            )
        }))
}
