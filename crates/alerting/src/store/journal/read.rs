//! Reading the journal without changing it: all of it in pages, or the rows about one alert.
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;
use telemetry::UnixMicros;

use super::kinds::DIGEST;
use crate::id::AlertId;

/// Most rows about one alert that are read: far more than a chain of pages makes.
pub const MAX_ROWS_OF_ALERT: usize = 10_000;
/// How far a wall clock may have been set back between two rows.
const CLOCK_SLACK_US: i64 = 3_600 * 1_000_000;

/// A row of the journal as it stands in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its number.
    pub n: i64,
    /// When it was written, by the wall clock.
    pub at: UnixMicros,
    /// Its kind: a name of [`super::EntryKind`], or of a newer program.
    pub kind: String,
    /// Its body.
    pub body: Value,
    /// The body's very bytes, which the chain holds.
    pub raw: String,
    /// Hash of the row before.
    pub previous: Vec<u8>,
    /// Its own.
    pub hash: Vec<u8>,
    /// What a person wrote, if that was asked for and not erased.
    pub text: Option<String>,
}

const COLUMNS: &str = "n, at_us, kind, body, previous, hash";

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let raw: String = row.get(3)?;
    Ok(Row {
        n: row.get(0)?,
        at: UnixMicros(row.get(1)?),
        kind: row.get(2)?,
        body: serde_json::from_str(&raw).unwrap_or_default(),
        raw,
        previous: row.get(4)?,
        hash: row.get(5)?,
        text: None,
    })
}

fn put_text(db: &Connection, row: &mut Row) -> rusqlite::Result<()> {
    if let Some(digest) = row.body[DIGEST].as_str() {
        row.text = db
            .prepare_cached("SELECT text FROM free_text WHERE digest = unhex(?1)")?
            .query_row([digest], |row| row.get(0))
            .optional()?;
    }
    Ok(())
}

/// Up to `limit` rows after the number `after`, in order.
pub(in crate::store) fn page(db: &Connection, after: i64, limit: usize, with_text: bool) -> rusqlite::Result<Vec<Row>> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM journal WHERE n > ?1 ORDER BY n LIMIT ?2"
    ))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows: Vec<Row> = statement
        .query_map(params![after, limit], row)?
        .collect::<rusqlite::Result<_>>()?;
    if with_text {
        for row in &mut rows {
            put_text(db, row)?;
        }
    }
    Ok(rows)
}

/// The first number whose row is not before `at`, found by halving: rows are numbered without holes and in time. A clock that
/// was set back makes it begin too late by as much, so callers ask for a little earlier.
fn first_from(db: &Connection, at: i64) -> rusqlite::Result<i64> {
    let ends: (Option<i64>, Option<i64>) = db.query_row("SELECT min(n), max(n) FROM journal", [], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let (Some(mut low), Some(mut high)) = ends else {
        return Ok(0);
    };
    let mut look = db.prepare_cached("SELECT at_us FROM journal WHERE n >= ?1 ORDER BY n LIMIT 1")?;
    while low < high {
        let middle = low + (high - low) / 2;
        if look.query_row([middle], |row| row.get::<_, i64>(0))? < at {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// The number after which rows from `at` on stand.
pub(in crate::store) fn before(db: &Connection, at: UnixMicros) -> rusqlite::Result<i64> {
    Ok(first_from(db, at.0.saturating_sub(CLOCK_SLACK_US))? - 1)
}

/// Rows about an alert, in order, with what people wrote. Looks at every row: an alert's own times are those of the log, which
/// say nothing certain about the wall clock by which rows are written.
pub(in crate::store) fn about(db: &Connection, alert: AlertId) -> rusqlite::Result<Vec<Row>> {
    let sql = format!("SELECT {COLUMNS} FROM journal WHERE instr(body, ?1) > 0 ORDER BY n LIMIT ?2");
    let limit = i64::try_from(MAX_ROWS_OF_ALERT).unwrap_or(i64::MAX);
    let hex = alert.to_hex();
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(params![hex, limit], row)?;
    let mut rows: Vec<Row> = rows.collect::<rusqlite::Result<_>>()?;
    rows.retain(|row| row.body["alert"] == hex.as_str());
    for row in &mut rows {
        put_text(db, row)?;
    }
    Ok(rows)
}
