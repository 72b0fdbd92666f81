//! Pages that another instance over the same frames has delivered, and what stands by because of it.
use rusqlite::{Transaction, params};
use serde_json::json;
use telemetry::{Admitted, UnixMicros};

use super::journal::{self, Entry, EntryKind};
use super::{Store, StoreError};
use crate::id::TransitionId;

/// Most that are remembered: a page leaves within a day or never, and nobody pages more often.
const MAX_ELSEWHERE: i64 = 100_000;
/// Most rows of the outlet that are looked at in one go.
const OUTLET_ROWS: usize = 1_024;

impl Store {
    /// Another instance has delivered this page to this receiver.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn delivered_elsewhere(&self, page: TransitionId, receiver: &str, now: UnixMicros) -> Result<(), StoreError> {
        self.write("keep what another instance delivered", |tx| {
            tx.execute(
                "INSERT OR IGNORE INTO told_elsewhere (transition_id, receiver) VALUES (?1, ?2)",
                params![page.to_string(), receiver],
            )?;
            tx.execute(
                "DELETE FROM told_elsewhere WHERE n <= (SELECT max(n) FROM told_elsewhere) - ?1",
                [MAX_ELSEWHERE],
            )?;
            settle(tx, receiver, now).map(drop)
        })
    }

    /// Takes pages for this receiver out of the outbox that another instance has delivered; gives how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn settle_elsewhere(&self, receiver: &str, now: UnixMicros) -> Result<usize, StoreError> {
        let waits: bool = self
            .db()
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM outbox JOIN told_elsewhere USING (transition_id, receiver) WHERE receiver = ?1)",
            )
            .and_then(|mut statement| statement.query_row([receiver], |row| row.get(0)))
            .map_err(self.error("read its outbox"))?;
        match waits {
            true => self.write("settle what another instance delivered", |tx| settle(tx, receiver, now)),
            false => Ok(0),
        }
    }

    /// Forgets transitions for the store that were decided before `cut`: the instance that pages has sent them. Gives how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn outlet_sent_elsewhere(&self, cut: UnixMicros) -> Result<usize, StoreError> {
        let rows = self.outlet(i64::MIN, OUTLET_ROWS)?;
        let old = |bytes: &[u8]| Admitted::decode(bytes).map_or(true, |message| message.received_at < cut);
        let old: Vec<i64> = rows.iter().filter(|(_, bytes)| old(bytes)).map(|(n, _)| *n).collect();
        if !old.is_empty() {
            self.outlet_done(&old)?;
        }
        Ok(old.len())
    }
}

fn settle(tx: &Transaction<'_>, receiver: &str, now: UnixMicros) -> rusqlite::Result<usize> {
    let mut gone = tx.prepare_cached(
        "DELETE FROM outbox WHERE receiver = ?1 AND transition_id IN (SELECT transition_id FROM told_elsewhere WHERE receiver = ?1)
         RETURNING transition_id, alert_id",
    )?;
    let rows = gone.query_map([receiver], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    for (transition, alert) in &rows {
        let body = json!({"alert": alert, "transition": transition, "receiver": receiver});
        journal::append(tx, &Entry::new(now, EntryKind::ToldElsewhere, &body))?;
    }
    Ok(rows.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn waiting(store: &Store) -> Vec<String> {
        let db = store.db();
        let mut statement = db
            .prepare("SELECT transition_id || ' ' || receiver FROM outbox ORDER BY n")
            .unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    fn plan(store: &Store, page: TransitionId, receiver: &str) {
        let insert = "INSERT INTO outbox (receiver, transition_id, alert_id, body, attempts, sent, next_us) VALUES (?1, ?2, 'a', '{}', 0, 0, 0)";
        store.db().execute(insert, params![receiver, page.to_string()]).unwrap();
    }

    #[test]
    fn what_another_instance_delivered_does_not_leave_whether_it_was_planned_before_or_after() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("alerting.sqlite")).unwrap();
        let (first, second) = (TransitionId([1; 16]), TransitionId([2; 16]));
        let now = UnixMicros(5);
        for receiver in ["desk", "phone"] {
            plan(&store, first, receiver);
        }
        store.delivered_elsewhere(first, "desk", now).unwrap();
        store.delivered_elsewhere(second, "desk", now).unwrap();
        assert_eq!(waiting(&store), [format!("{first} phone")]);
        for receiver in ["desk", "phone"] {
            plan(&store, second, receiver);
        }
        assert_eq!(store.settle_elsewhere("desk", now).unwrap(), 1);
        assert_eq!(store.settle_elsewhere("phone", now).unwrap(), 0);
        assert_eq!(waiting(&store), [format!("{first} phone"), format!("{second} phone")]);
        assert!(store.verify_journal().is_ok());
    }
}
