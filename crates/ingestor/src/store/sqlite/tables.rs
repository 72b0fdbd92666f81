//! How the embedded store's file is laid out, and how a file of an older version becomes one of this version.
//!
//! The tags of a device stand once, in `series`; a measurement is a table `<name>_point` whose rows point there, and a view
//! `<name>` that reads as if the tags stood in each row. Rows are written far more often than read: this halves the bytes
//! that a commit writes, and people and queries see the view only.

use std::collections::HashSet;
use std::fmt::Write as _;

use rusqlite::{Connection, TransactionBehavior};

use crate::schema::{DEVICE_STATE, MEASUREMENTS, Measurement, RARE_STATES, SESSION_SUMMARY};

/// Version of the layout, kept as `user_version`. 0 is a new file, or one whose tables had the tags in each row.
const LAYOUT: i64 = 1;

/// Tags of a series, in the order of its columns. The first two name a device, whose number is `device_id`.
pub(super) const SERIES_TAGS: [&str; 5] = ["tenant", "device", "clinic", "model", "kind"];

/// The table behind the view of a measurement.
pub(super) fn table(measurement: &Measurement) -> String {
    format!("{}_point", measurement.name)
}

/// Columns of a table before its fields, in the order in which a point is bound.
pub(super) fn head(measurement: &Measurement) -> Vec<&'static str> {
    let mut columns = vec!["series_id", "device_id", "time_ns"];
    columns.extend(measurement.zone.then_some("zone"));
    columns.extend(measurement.rule.then_some("rule"));
    columns
}

/// Columns of a view that name a point.
pub(in crate::store) fn key(measurement: &Measurement) -> Vec<&'static str> {
    let mut key = vec!["tenant", "device", "time_ns"];
    key.extend(measurement.zone.then_some("zone"));
    key.extend(measurement.rule.then_some("rule"));
    if measurement.rollup {
        key.extend(["clinic", "model", "kind"]);
    }
    key
}

/// Columns of a table that name a point. A reading is one point of its device wherever the device is; a roll-up counts the
/// readings of one tag set, as in InfluxDB.
fn primary_key(measurement: &Measurement) -> Vec<&'static str> {
    let mut key: Vec<_> = head(measurement).into_iter().skip(1).collect();
    key.extend(measurement.rollup.then_some("series_id"));
    key
}

/// Makes what the file lacks: tables, views, and columns that came with a newer schema.
///
/// # Errors
/// SQLite's no, or a file of a newer version.
pub(super) fn prepare(db: &mut Connection) -> rusqlite::Result<()> {
    let found: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > LAYOUT {
        return Err(newer(found));
    }
    // Asks for the right to write at once, so that it waits for another process and does not fail in the middle.
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, device_id INTEGER NOT NULL, {}, UNIQUE ({}));",
        SERIES_TAGS.map(|tag| format!("{tag} TEXT NOT NULL")).join(", "),
        SERIES_TAGS.join(", "),
    ))?;
    for measurement in MEASUREMENTS {
        let old = found < LAYOUT && is_table(&tx, measurement.name)?;
        if old {
            // What the old table lacks of today's columns, so that one statement can take all over.
            add_columns(&tx, measurement.name, measurement)?;
            tx.execute_batch(&format!("ALTER TABLE {0} RENAME TO {0}_old", measurement.name))?;
        }
        create(&tx, measurement)?;
        if old {
            take_over(&tx, measurement)?;
        }
    }
    tx.pragma_update(None, "user_version", LAYOUT)?;
    tx.commit()
}

fn newer(found: i64) -> rusqlite::Error {
    let detail =
        format!("layout {found} was made by a newer version, this one knows up to {LAYOUT}; run the newer one");
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_SCHEMA), Some(detail))
}

fn is_table(db: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1";
    db.query_row(sql, [name], |row| row.get::<_, i64>(0))
        .map(|tables| tables > 0)
}

fn create(db: &Connection, measurement: &Measurement) -> rusqlite::Result<()> {
    let table = table(measurement);
    let mut sql = format!("CREATE TABLE IF NOT EXISTS {table} (");
    for column in head(measurement) {
        let ty = if matches!(column, "zone" | "rule") {
            "TEXT"
        } else {
            "INTEGER"
        };
        let _ = write!(sql, "{column} {ty} NOT NULL, ");
    }
    for field in measurement.fields {
        let _ = write!(sql, "\"{}\" {}, ", field.name, field.ty.sql());
    }
    // With rowids: rows of 300 bytes belong at the end of a table and not into the inner pages of a tree, and the other
    // indexes then point to them by a number and not by the whole key.
    let _ = write!(sql, "PRIMARY KEY ({}));", primary_key(measurement).join(", "));
    let _ = write!(sql, "CREATE INDEX IF NOT EXISTS {table}_time ON {table} (time_ns);");
    // Sessions are looked up by their id; the readings of one by its device and its time.
    if measurement == &SESSION_SUMMARY {
        let _ = write!(sql, "CREATE INDEX IF NOT EXISTS {table}_session ON {table} (session);");
    }
    db.execute_batch(&sql)?;
    add_columns(db, &table, measurement)?;
    // After the columns. Births and starts of sessions stand among a hundred times as many heartbeats.
    if measurement == &DEVICE_STATE {
        db.execute_batch(&format!(
            "CREATE INDEX IF NOT EXISTS {table}_rare ON {table} (device_id, what, time_ns) WHERE {RARE_STATES};"
        ))?;
    }
    view(db, measurement)
}

/// Made anew each time: it follows the columns.
fn view(db: &Connection, measurement: &Measurement) -> rusqlite::Result<()> {
    let (name, table) = (measurement.name, table(measurement));
    let tags = SERIES_TAGS.map(|tag| format!("series.{tag}"));
    let own = head(measurement)
        .into_iter()
        .skip(2)
        .chain(measurement.fields.iter().map(|field| field.name));
    let columns: Vec<String> = tags
        .into_iter()
        .chain(own.map(|name| format!("point.\"{name}\"")))
        .collect();
    db.execute_batch(&format!(
        // Joined by the device too, so that what asks for one device goes through the primary key.
        "DROP VIEW IF EXISTS {name}; CREATE VIEW {name} AS SELECT {} FROM {table} AS point \
         JOIN series ON series.id = point.series_id AND series.device_id = point.device_id;",
        columns.join(", ")
    ))
}

/// Columns that the schema got after the table was made.
fn add_columns(db: &Connection, table: &str, measurement: &Measurement) -> rusqlite::Result<()> {
    let known: HashSet<String> = db
        .prepare(&format!("PRAGMA table_info({table})"))?
        .query_map([], |row| row.get(1))?
        .collect::<rusqlite::Result<_>>()?;
    for field in measurement.fields.iter().filter(|field| !known.contains(field.name)) {
        db.execute_batch(&format!(
            "ALTER TABLE {table} ADD COLUMN \"{}\" {}",
            field.name,
            field.ty.sql()
        ))?;
    }
    Ok(())
}

/// Takes the rows of a table with tags in each row over, and drops it.
fn take_over(db: &Connection, measurement: &Measurement) -> rusqlite::Result<()> {
    let (old, table) = (format!("{}_old", measurement.name), table(measurement));
    let tags = SERIES_TAGS.join(", ");
    let own: Vec<String> = head(measurement)
        .into_iter()
        .skip(2)
        .chain(measurement.fields.iter().map(|field| field.name))
        .map(|name| format!("\"{name}\""))
        .collect();
    let own = own.join(", ");
    db.execute_batch(&format!(
        "INSERT OR IGNORE INTO series (device_id, {tags}) SELECT DISTINCT 0, {tags} FROM {old};
         UPDATE series SET device_id = (SELECT min(id) FROM series AS first
             WHERE first.tenant = series.tenant AND first.device = series.device);
         INSERT INTO {table} (series_id, device_id, {own}) SELECT series.id, series.device_id, {own} FROM {old} JOIN series USING ({tags})
             ORDER BY {old}.rowid;
         DROP TABLE {old};"
    ))
}
