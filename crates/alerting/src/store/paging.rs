//! What the planner keeps and wants: courses, silences, and its pages and cancellations, within the batch's transaction.
use rusqlite::{OptionalExtension as _, Transaction, params};
use serde_json::json;
use telemetry::UnixMicros;

use super::journal::EntryKind;
use super::{Store, StoreError, journal, restored, urgency};
use crate::id::{AlertId, SilenceId};
use crate::paging::course::Course;
use crate::paging::{Changes, Effect, PageOut, Silence};

/// When things happen, by the wall clock: the outbox is emptied by it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    /// Now.
    pub now: UnixMicros,
    /// When the next digest of old things leaves.
    pub digest: UnixMicros,
}

pub(super) fn put(tx: &Transaction<'_>, changes: &Changes, times: Times) -> rusqlite::Result<()> {
    for (id, state) in &changes.courses {
        match state {
            Some(state) => tx
                .prepare_cached("INSERT OR REPLACE INTO course (alert_id, state) VALUES (?1, ?2)")?
                .execute(params![id.to_hex(), state])?,
            None => tx
                .prepare_cached("DELETE FROM course WHERE alert_id = ?1")?
                .execute([id.to_hex()])?,
        };
    }
    for (id, state) in &changes.silences {
        match state {
            Some((state, until)) => tx
                .prepare_cached("INSERT OR REPLACE INTO silence (id, state, until_us) VALUES (?1, ?2, ?3)")?
                .execute(params![id.to_hex(), state, until.0])?,
            None => tx
                .prepare_cached("DELETE FROM silence WHERE id = ?1")?
                .execute([id.to_hex()])?,
        };
    }
    for effect in &changes.effects {
        match effect {
            Effect::Page(page) => put_page(tx, page, times)?,
            Effect::Cancel(alert) => cancel(tx, *alert, times.now)?,
            Effect::Entry { kind, body } => journal::append(tx, &journal::Entry::new(times.now, *kind, body))?,
        }
    }
    Ok(())
}

fn put_page(tx: &Transaction<'_>, page: &PageOut, times: Times) -> rusqlite::Result<()> {
    let due = if page.late { times.digest } else { times.now };
    let due_us = supersede(tx, page, times.now)?;
    let may_be_repeat = restored::may_be_repeat(tx, page)?;
    let body = json!({"transition": page.page, "alert": page.alert, "receiver": page.receiver, "digest": page.digest,
        "not_before_us": due.0, "priority": page.urgency});
    // Each page takes the journal's head out of the house: a tail that is cut later shows against it.
    let head = journal::append_head(tx, &journal::Entry::new(times.now, EntryKind::Planned, &body))?;
    tx.prepare_cached(
        "INSERT INTO outbox (receiver, digest, transition_id, alert_id, body, attempts, sent, next_us, priority, made_us, due_us) VALUES (?1, ?2, ?3, ?4, \
         json_set(?5, '$.journal_head', ?9), 0, ?11, ?6, ?7, ?8, ?10)",
    )?
    .execute(params![
        page.receiver,
        page.digest,
        page.page.to_hex(),
        page.alert.to_hex(),
        page.body.to_string(),
        due.0,
        i64::from(urgency(page.urgency)),
        times.now.0,
        head,
        due_us,
        may_be_repeat
    ])?;
    Ok(())
}

/// Whether a page calls again, at a later step of a chain.
const CALLS_AGAIN: &str = "(json_extract(body, '$.step') > 1 OR json_extract(body, '$.repetition') > 0)";

/// A later call takes the place of an earlier one that the same receiver has certainly not taken: a receiver that comes back
/// after hours hears of the first page and of the last call, not of every one between. Returns since when the receiver has been
/// wanted, so that what is overdue stays so; 0: nothing was replaced.
fn supersede(tx: &Transaction<'_>, page: &PageOut, now: UnixMicros) -> rusqlite::Result<i64> {
    let number = |field: &str| page.body[field].as_u64().unwrap_or(0);
    if page.digest.is_some() || number("step") < 2 && number("repetition") == 0 {
        return Ok(0);
    }
    let alert = page.alert.to_hex();
    let replaced: Vec<(i64, String, i64)> = tx
        .prepare_cached(&format!(
            "SELECT n, transition_id, CASE due_us WHEN 0 THEN next_us ELSE due_us END FROM outbox \
             WHERE receiver = ?1 AND alert_id = ?2 AND digest IS NULL AND sent = 0 AND fallback_of IS NULL AND {CALLS_AGAIN}"
        ))?
        .query_map(params![page.receiver, alert], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (n, transition, _) in &replaced {
        tx.prepare_cached("DELETE FROM outbox WHERE n = ?1")?.execute([n])?;
        let body = json!({"receiver": page.receiver, "transition": transition, "alert": page.alert, "by": page.page});
        journal::append(tx, &journal::Entry::new(now, EntryKind::Superseded, &body))?;
    }
    Ok(replaced.iter().map(|(.., due)| *due).min().unwrap_or(0))
}

/// A person knows: whatever of this alert waits in the outbox goes. An attempt that is under way cannot be taken back; its
/// receipt is kept, and it is not tried again. What goes down to the device (`@device`) expires by itself.
fn cancel(tx: &Transaction<'_>, alert: AlertId, now: UnixMicros) -> rusqlite::Result<()> {
    let gone = tx
        .prepare_cached("DELETE FROM outbox WHERE alert_id = ?1 AND receiver NOT LIKE '@%'")?
        .execute([alert.to_hex()])?;
    if gone == 0 {
        return Ok(());
    }
    let body = json!({"alert": alert, "pages": gone, "because": "acknowledged"});
    journal::append(tx, &journal::Entry::new(now, EntryKind::Cancelled, &body))
}

impl Store {
    /// The silences that hold.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn silences(&self) -> Result<Vec<(SilenceId, Silence)>, StoreError> {
        let rows = self.strings::<2>("read silences", "SELECT id, state FROM silence")?;
        let mut silences = Vec::with_capacity(rows.len());
        for [id, state] in rows {
            let id = id.parse().map_err(|source| StoreError::Row {
                path: self.path.clone(),
                what: "silence",
                source: Box::new(source),
            })?;
            silences.push((id, self.parse("silence", &state)?));
        }
        Ok(silences)
    }

    /// How far the telling of each alert is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn courses(&self) -> Result<Vec<(AlertId, Course)>, StoreError> {
        let rows = self.strings::<2>("read courses", "SELECT alert_id, state FROM course")?;
        let mut courses = Vec::with_capacity(rows.len());
        for [id, state] in rows {
            let id = id.parse().map_err(|source| StoreError::Row {
                path: self.path.clone(),
                what: "course",
                source: Box::new(source),
            })?;
            courses.push((id, self.parse("course", &state)?));
        }
        Ok(courses)
    }

    /// How far the telling of one alert is; `None`: nobody has to be told of it any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn course(&self, alert: AlertId) -> Result<Option<Course>, StoreError> {
        let state: Option<String> = self
            .db()
            .prepare_cached("SELECT state FROM course WHERE alert_id = ?1")
            .and_then(|mut statement| statement.query_row([alert.to_hex()], |row| row.get(0)).optional())
            .map_err(self.error("read a course"))?;
        state.map(|state| self.parse("course", &state)).transpose()
    }
}
