//! Reading the journal without changing it: all of it in pages, or the rows about one alert.
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;
use telemetry::UnixMicros;

use super::kinds::{DIGEST, EntryKind};
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

/// Up to `limit` rows of a kind after the number `after`, in order; looks at every row after it.
pub(in crate::store) fn of_kind(
    db: &Connection,
    kind: EntryKind,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Row>> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM journal WHERE n > ?1 AND kind = ?2 ORDER BY n LIMIT ?3"
    ))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![after, kind.as_str(), limit], row)?;
    rows.collect()
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

/// The alert that a row is about, word for word as the index `journal_alert` has it.
const ALERT_OF: &str = "CASE WHEN json_valid(body) THEN json_extract(body, '$.alert') END";

fn about_sql() -> String {
    format!("SELECT {COLUMNS} FROM journal WHERE {ALERT_OF} = ?1 ORDER BY n LIMIT ?2")
}

/// Rows about an alert, in order, with what people wrote. Reads these only; in a file of an older program, which has no index
/// for them, it looks at every row.
pub(in crate::store) fn about(db: &Connection, alert: AlertId) -> rusqlite::Result<Vec<Row>> {
    let limit = i64::try_from(MAX_ROWS_OF_ALERT).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(&about_sql())?;
    let rows = statement.query_map(params![alert.to_hex(), limit], row)?;
    let mut rows: Vec<Row> = rows.collect::<rusqlite::Result<_>>()?;
    for row in &mut rows {
        put_text(db, row)?;
    }
    Ok(rows)
}

/// Whether a receiver with a person behind it has taken a page of an alert.
pub(in crate::store) fn is_delivered(db: &Connection, alert: &str, transition: &str) -> rusqlite::Result<bool> {
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM journal WHERE {ALERT_OF} = ?1 AND kind = ?2 \
         AND json_extract(body, '$.transition') = ?3 AND json_extract(body, '$.receiver') NOT LIKE '@%')"
    );
    let kind = EntryKind::Delivered.as_str();
    db.prepare_cached(&sql)?
        .query_row(params![alert, kind, transition], |row| row.get(0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rusqlite::StatementStatus;
    use serde_json::json;

    use super::*;
    use crate::store::Store;
    use crate::store::journal::{Entry, append};

    const ALERTS: u8 = 50;

    /// A journal in which rows of fifty alerts stand among one another, and one row that is no JSON any more.
    fn journal(dir: &std::path::Path) -> Connection {
        let path = dir.join("alerting.sqlite");
        drop(Store::open(&path).unwrap());
        let mut db = Connection::open(path).unwrap();
        let tx = db.transaction().unwrap();
        for n in 0..1_000u32 {
            let alert = AlertId([(n % u32::from(ALERTS)) as u8; 16]);
            // Another one is only mentioned: no row of its own.
            let other = AlertId([((n + 1) % u32::from(ALERTS)) as u8; 16]);
            let entry = Entry {
                at: UnixMicros(i64::from(n)),
                kind: EntryKind::Held,
                body: json!({"alert": alert, "by": "inhibition", "id": other}),
                text: None,
            };
            append(&tx, &entry).unwrap();
        }
        tx.execute("UPDATE journal SET body = 'torn' WHERE n = 8", []).unwrap();
        tx.commit().unwrap();
        db
    }

    #[test]
    fn the_rows_about_an_alert_are_found_by_their_index_and_no_other_row_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let db = journal(dir.path());
        let plan: String = db
            .query_row(&format!("EXPLAIN QUERY PLAN {}", about_sql()), params!["x", 1], |row| {
                row.get(3)
            })
            .unwrap();
        assert!(plan.contains("USING INDEX journal_alert"), "{plan}");
        for alert in 0..ALERTS {
            let alert = AlertId([alert; 16]);
            let rows = about(&db, alert).unwrap();
            let left = 1_000 / usize::from(ALERTS) - usize::from(alert.0[0] == 7);
            assert_eq!(rows.len(), left);
            assert!(rows.iter().all(|row| row.body["alert"] == alert.to_hex()));
            assert!(rows.windows(2).all(|pair| pair[0].n < pair[1].n));
        }
        let mut statement = db.prepare(&about_sql()).unwrap();
        let rows = statement
            .query_map(params![AlertId([3; 16]).to_hex(), 100], row)
            .unwrap();
        assert_eq!(rows.count(), 20);
        assert_eq!(statement.get_status(StatementStatus::FullscanStep), 0);
        assert_eq!(statement.get_status(StatementStatus::Sort), 0);
    }

    #[test]
    fn a_journal_of_an_older_program_is_read_without_its_index_and_gets_it_when_it_is_opened_to_write() {
        let dir = tempfile::tempdir().unwrap();
        let db = journal(dir.path());
        db.execute_batch("DROP INDEX journal_alert; DROP TABLE alert; DROP TABLE told_elsewhere; \
             CREATE TABLE alert (id TEXT PRIMARY KEY, tenant TEXT NOT NULL, state TEXT NOT NULL, open INTEGER NOT NULL, \
             decided_us INTEGER NOT NULL, body TEXT NOT NULL, ended_us INTEGER) WITHOUT ROWID; PRAGMA user_version = 5;")
            .unwrap();
        let path = dir.path().join("alerting.sqlite");
        let alert = AlertId([3; 16]);
        let before = Store::open_to_read(&path).unwrap().journal_about(alert).unwrap();
        assert_eq!(before.len(), 20);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.journal_about(alert).unwrap(), before);
        let plan = format!("EXPLAIN QUERY PLAN {}", about_sql());
        let db = Connection::open(&path).unwrap();
        let plan: String = db.query_row(&plan, params!["x", 1], |row| row.get(3)).unwrap();
        assert!(plan.contains("USING INDEX journal_alert"), "{plan}");
    }

    #[test]
    fn rows_that_are_cut_off_leave_the_index_too() {
        let dir = tempfile::tempdir().unwrap();
        let db = journal(dir.path());
        db.execute("DELETE FROM journal WHERE n <= 900", []).unwrap();
        let kept = about(&db, AlertId([3; 16])).unwrap();
        assert_eq!(kept.iter().map(|row| row.n).collect::<Vec<_>>(), [904, 954]);
        let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
    }
}
