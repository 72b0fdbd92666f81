//! The journal's end, for whoever reports what was told and done here to another instance: from a cursor of its own. And what of
//! everything before still holds, for another instance that begins anew.
use std::time::Duration;

use rand::RngCore as _;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use telemetry::UnixMicros;

use super::journal::{self, EntryKind};
use super::{Store, StoreError, put_meta};
use crate::id::{AlertId, SilenceId, TransitionId, hex};
use crate::intake::{Action, Command};
use crate::paging::silence::MAX_SILENCES;

/// Where the cursor stands.
const CURSOR: &str = "told_cursor";
/// The name of this file, drawn once.
const FILE: &str = "file";
/// The name of the file in which another instance has what holds here.
const TOLD_TO: &str = "told_to";
/// Alerts that ended so long ago are not raised again by frames that still come.
const ENDED_WITHIN: Duration = Duration::from_secs(24 * 3_600);
/// Most alerts of which another instance is told anew, the newest.
const MAX_ALERTS: i64 = 2_000;

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

impl News {
    /// The alert to which a person did something.
    pub(crate) fn commanded(&self) -> Option<AlertId> {
        match self {
            Self::Said(command) => command.action.alert(),
            Self::Told(_) => None,
        }
    }
}

/// A row of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) n: i64,
    /// `None`: it is about nothing of that kind.
    pub(crate) news: Option<News>,
}

/// What was told and done here.
fn news(row: &journal::Row) -> Option<News> {
    let own = row.body["instance"].is_null() && row.kind != EntryKind::ToldElsewhere.as_str();
    own.then(|| told_or_said(row)).flatten()
}

fn told_or_said(row: &journal::Row) -> Option<News> {
    told(row).map(News::Told).or_else(|| said(row).map(News::Said))
}

fn told(row: &journal::Row) -> Option<Told> {
    let text = |name: &str| row.body[name].as_str();
    // What goes down to a device is no page, nor is a test.
    let person = text("receiver").is_some_and(|name| !name.starts_with('@'));
    let acknowledged_by = match row.kind.as_str() {
        "delivered" | "told_elsewhere" if person => None,
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

/// The command of a row.
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
    if !counts {
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

/// Draws another name for this file: what is in it is not what another instance was told that it is.
pub(super) fn begin_anew(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut bytes = [0; 16];
    rand::rng().fill_bytes(&mut bytes);
    put_meta(tx, FILE, &hex(&bytes))
}

/// What a person wrote when they made a silence; empty if it was erased.
fn reason(db: &Connection, silence: SilenceId) -> rusqlite::Result<String> {
    let text = db
        .prepare_cached("SELECT text FROM free_text WHERE alert_id = ?1")?
        .query_row([AlertId(silence.0).to_hex()], |row| row.get(0))
        .optional()?;
    Ok(text.unwrap_or_default())
}

impl Store {
    /// The name of this file: another one begins anew.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn file(&self) -> Result<String, StoreError> {
        if let Some(name) = self.meta(FILE)? {
            return Ok(name);
        }
        self.write("name itself", |tx| {
            let known: Option<String> = tx
                .query_row("SELECT value FROM meta WHERE key = ?1", [FILE], |row| row.get(0))
                .optional()?;
            known.map_or_else(|| begin_anew(tx), |_| Ok(()))
        })?;
        Ok(self.meta(FILE)?.unwrap_or_default())
    }

    /// The file in which another instance has everything that holds here, but for what stands beyond the cursor.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn told_to(&self) -> Result<Option<String>, StoreError> {
        self.meta(TOLD_TO)
    }

    /// Another instance has everything in this file; empty: it may lack something.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn put_told_to(&self, file: &str) -> Result<(), StoreError> {
        self.write("keep whom it has told", |tx| put_meta(tx, TOLD_TO, file))
    }

    /// The silences that hold, as the commands by which they were made, and those by which others were ended lately: a copy of this
    /// file may have them still. Said again, each is the same one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn silences_said(&self, now: UnixMicros) -> Result<Vec<Command>, StoreError> {
        let silences = self.silences()?;
        let db = self.db();
        let said = silences.into_iter().map(|(id, silence)| {
            Ok(Command {
                id: id.0,
                // Not when it begins, if that is later: a command moves the log's clock.
                at: silence.from.min(now),
                actor: silence.owner,
                comment: reason(&db, id)?,
                action: Action::Silence(silence.what),
                instance: None,
            })
        });
        let read = || -> rusqlite::Result<Vec<Command>> {
            let mut said = said.collect::<rusqlite::Result<Vec<Command>>>()?;
            let lately = journal::before(&db, now.minus(ENDED_WITHIN))?;
            let ended = journal::of_kind(&db, EntryKind::EndSilence, lately, MAX_SILENCES)?;
            said.extend(ended.iter().filter_map(self::said));
            Ok(said)
        };
        read().map_err(self.error("read which silences there are"))
    }

    /// Alerts that are open or that frames which still come may raise again, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn alerts_to_tell(&self, now: UnixMicros) -> Result<Vec<AlertId>, StoreError> {
        let ids = {
            let db = self.db();
            let read = || -> rusqlite::Result<Vec<String>> {
                let mut statement = db.prepare_cached(
                    "SELECT id FROM alert WHERE open = 1 OR (open = 0 AND ended_us >= ?1) ORDER BY decided_us DESC LIMIT ?2",
                )?;
                let cut = now.minus(ENDED_WITHIN).0;
                let rows = statement.query_map(params![cut, MAX_ALERTS], |row| row.get(0))?;
                rows.collect()
            };
            read().map_err(self.error("list alerts"))?
        };
        Ok(ids.iter().rev().filter_map(|id| id.parse().ok()).collect())
    }

    /// What was told of an alert, or of a silence, and what people did to it, here and elsewhere, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn news_about(&self, alert: AlertId) -> Result<Vec<News>, StoreError> {
        let rows = self.journal_about(alert)?;
        Ok(rows.iter().filter_map(told_or_said).collect())
    }

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
