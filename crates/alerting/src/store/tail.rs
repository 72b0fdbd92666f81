//! The journal's end, for whoever reports what was told here to another instance: from a cursor of its own.
use rusqlite::params;
use serde_json::Value;
use telemetry::UnixMicros;

use super::{Store, StoreError, put_meta};
use crate::id::{AlertId, TransitionId};

/// Where the cursor stands.
const CURSOR: &str = "told_cursor";

/// A step that was told here, or by which a person acknowledged here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) alert: AlertId,
    pub(crate) transition: TransitionId,
    pub(crate) at: UnixMicros,
    pub(crate) acknowledged_by: Option<String>,
    /// Who has the page.
    pub(crate) receiver: Option<String>,
}

/// A row of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) n: i64,
    /// `None`: it is about nothing that another instance would do too.
    pub(crate) told: Option<Told>,
}

fn told(at: i64, kind: &str, body: &str) -> Option<Told> {
    let body: Value = serde_json::from_str(body).ok()?;
    let text = |name: &str| body[name].as_str();
    // What goes down to a device is no page, nor is a test.
    let person = text("receiver").is_some_and(|name| !name.starts_with('@'));
    let acknowledged_by = match kind {
        "delivered" if person => None,
        "transition" if text("why") == Some("acknowledged") => Some(text("actor")?.to_owned()),
        _ => return None,
    };
    Some(Told {
        alert: text("alert")?.parse().ok()?,
        transition: text("transition")?.parse().ok()?,
        at: UnixMicros(at),
        acknowledged_by,
        receiver: text("receiver").map(str::to_owned),
    })
}

impl Store {
    /// Rows beyond the cursor, oldest first. At the first call the cursor is put at the end: what happened before anybody wanted
    /// to know is not told.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn told_after_cursor(&self, limit: usize) -> Result<Vec<Row>, StoreError> {
        let Some(cursor) = self.meta(CURSOR)?.and_then(|text| text.parse::<i64>().ok()) else {
            let head: i64 = self
                .db()
                .query_row("SELECT coalesce(max(n), 0) FROM journal", [], |row| row.get(0))
                .map_err(self.error("read its journal"))?;
            self.move_told_cursor(head)?;
            return Ok(Vec::new());
        };
        let db = self.db();
        let read = || -> rusqlite::Result<Vec<Row>> {
            let mut statement =
                db.prepare_cached("SELECT n, at_us, kind, body FROM journal WHERE n > ?1 ORDER BY n LIMIT ?2")?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = statement.query_map(params![cursor, limit], |row| {
                let (kind, body): (String, String) = (row.get(2)?, row.get(3)?);
                Ok(Row {
                    n: row.get(0)?,
                    told: told(row.get(1)?, &kind, &body),
                })
            })?;
            rows.collect()
        };
        read().map_err(self.error("read its journal"))
    }

    /// Rows up to `n` are told.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn move_told_cursor(&self, n: i64) -> Result<(), StoreError> {
        self.write("move a cursor", |tx| put_meta(tx, CURSOR, &n.to_string()))
    }
}
