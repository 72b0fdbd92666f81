//! The journal's end, for whoever reports what was told and done here to another instance: from a cursor of its own.
use telemetry::UnixMicros;

use super::journal::{self, EntryKind};
use super::{Store, StoreError, put_meta};
use crate::id::{AlertId, SilenceId, TransitionId};
use crate::intake::{Action, Command};

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

/// What another instance over the same frames would do too, or has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// A page that somebody has, or that a person acknowledged.
    Told(Told),
    /// What a person did here.
    Said(Command),
}

/// A row of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) n: i64,
    /// `None`: it is about nothing of that kind.
    pub(crate) news: Option<News>,
}

fn news(row: &journal::Row) -> Option<News> {
    told(row).map(News::Told).or_else(|| said(row).map(News::Said))
}

fn told(row: &journal::Row) -> Option<Told> {
    let text = |name: &str| row.body[name].as_str();
    // What goes down to a device is no page, nor is a test.
    let person = text("receiver").is_some_and(|name| !name.starts_with('@'));
    let acknowledged_by = match row.kind.as_str() {
        "delivered" if person => None,
        "transition" if text("why") == Some("acknowledged") => Some(text("actor")?.to_owned()),
        _ => return None,
    };
    Some(Told {
        alert: text("alert")?.parse().ok()?,
        transition: text("transition")?.parse().ok()?,
        at: row.at,
        acknowledged_by,
        receiver: text("receiver").map(str::to_owned),
    })
}

/// The command of a row; `None` too if it came from elsewhere: nobody is told what they said.
fn said(row: &journal::Row) -> Option<Command> {
    let text = |name: &str| row.body[name].as_str();
    let alert = || text("alert")?.parse::<AlertId>().ok();
    let id = |name| Some(text(name)?.parse::<SilenceId>().ok()?.0);
    let action = match EntryKind::from_name(&row.kind)? {
        EntryKind::Acknowledge => Action::Acknowledge(alert()?),
        EntryKind::Unacknowledge => Action::Unacknowledge(alert()?),
        EntryKind::Assign => Action::Assign {
            alert: alert()?,
            assignee: text("assignee")?.to_owned(),
        },
        EntryKind::Annotate => Action::Annotate(alert()?),
        EntryKind::Silence => Action::Silence(serde_json::from_value(row.body["silence"].clone()).ok()?),
        EntryKind::EndSilence => Action::EndSilence(id("silence_id")?),
        _ => return None,
    };
    // A remark moves nothing, also where it says something.
    let counts = row.body["effect"] == true || matches!(action, Action::Annotate(_));
    if !counts || text("instance").is_some() {
        return None;
    }
    Some(Command {
        id: id("command")?,
        at: UnixMicros(row.body["at_us"].as_i64()?),
        actor: text("actor")?.to_owned(),
        comment: row.text.clone().unwrap_or_default(),
        action,
        instance: None,
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
        let rows = journal::page(&self.db(), cursor, limit, true).map_err(self.error("read its journal"))?;
        let news = |row: journal::Row| Row {
            n: row.n,
            news: news(&row),
        };
        Ok(rows.into_iter().map(news).collect())
    }

    /// Rows up to `n` are told.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn move_told_cursor(&self, n: i64) -> Result<(), StoreError> {
        self.write("move a cursor", |tx| put_meta(tx, CURSOR, &n.to_string()))
    }
}
