//! Evidence: the frames that caused a transition and a few around it, as they stood in the log. Bounded in bytes; the oldest
//! goes.
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Store, StoreError};
use crate::id::TransitionId;

/// A frame as it stood in the log: its offset and record; `None`: it was trimmed before it could be copied.
pub type KeptFrame = (u64, Option<Vec<u8>>);

/// What a frame counts beside its own bytes: its row, its transition's id and its places in the indexes.
const ROW_BYTES: i64 = 128;
/// Most frames that go in one transaction. A transition brings [`crate::engine::state::MAX_OFFSETS`], so more go than come.
const MAX_ROWS: i64 = 4_096;
/// Where the sum stands, so that no transaction has to count.
const META: &str = "evidence_bytes";

/// Of one row.
const COUNTED: &str = "coalesce(length(bytes), 0)";

fn total(tx: &Transaction<'_>) -> rusqlite::Result<i64> {
    let kept: Option<String> = tx
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([META], |row| row.get(0))
        .optional()?;
    match kept.and_then(|text| text.parse().ok()) {
        Some(total) => Ok(total),
        None => tx
            .prepare(&format!(
                "SELECT coalesce(sum({COUNTED} + {ROW_BYTES}), 0) FROM evidence"
            ))?
            .query_row([], |row| row.get(0)),
    }
}

fn keep_total(tx: &Transaction<'_>, total: i64) -> rusqlite::Result<()> {
    super::put_meta(tx, META, &total.to_string())
}

pub(super) fn put(tx: &Transaction<'_>, id: TransitionId, frames: &[KeptFrame]) -> rusqlite::Result<()> {
    if frames.is_empty() {
        return Ok(());
    }
    let mut total = total(tx)?;
    let mut insert =
        tx.prepare_cached("INSERT OR IGNORE INTO evidence (transition_id, log_offset, bytes) VALUES (?1, ?2, ?3)")?;
    for (offset, bytes) in frames {
        if insert.execute(params![id.to_hex(), i64::try_from(*offset).unwrap_or(i64::MAX), bytes])? > 0 {
            let length = bytes.as_ref().map_or(0, Vec::len);
            total += i64::try_from(length).unwrap_or(i64::MAX) + ROW_BYTES;
        }
    }
    keep_total(tx, total)
}

/// Forgets what is beyond the bound, oldest first. Returns how many frames went.
pub(super) fn trim(tx: &Transaction<'_>, max_bytes: u64) -> rusqlite::Result<u64> {
    let max = i64::try_from(max_bytes).unwrap_or(i64::MAX);
    let mut left = total(tx)?;
    if left <= max {
        return Ok(0);
    }
    let (mut last, mut gone) = (0i64, 0u64);
    {
        let sql = format!("SELECT n, {COUNTED} FROM evidence ORDER BY n LIMIT ?1");
        let mut oldest = tx.prepare_cached(&sql)?;
        let mut rows = oldest.query([MAX_ROWS])?;
        while left > max
            && let Some(row) = rows.next()?
        {
            last = row.get(0)?;
            left -= row.get::<_, i64>(1)? + ROW_BYTES;
            gone += 1;
        }
    }
    tx.prepare_cached("DELETE FROM evidence WHERE n <= ?1")?
        .execute([last])?;
    keep_total(tx, left)?;
    Ok(gone)
}

/// Forgets the frames of a transition.
pub(super) fn forget(tx: &Transaction<'_>, transition: &str) -> rusqlite::Result<()> {
    let sql = format!("SELECT coalesce(sum({COUNTED} + {ROW_BYTES}), 0) FROM evidence WHERE transition_id = ?1");
    let bytes: i64 = tx.prepare_cached(&sql)?.query_row([transition], |row| row.get(0))?;
    if bytes > 0 {
        let left = total(tx)? - bytes;
        tx.prepare_cached("DELETE FROM evidence WHERE transition_id = ?1")?
            .execute([transition])?;
        keep_total(tx, left)?;
    }
    Ok(())
}

impl Store {
    /// Frames that show a transition, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn evidence(&self, id: TransitionId) -> Result<Vec<KeptFrame>, StoreError> {
        let db = self.db();
        let read = || -> rusqlite::Result<Vec<KeptFrame>> {
            let mut statement = db.prepare_cached(
                "SELECT log_offset, bytes FROM evidence WHERE transition_id = ?1 ORDER BY log_offset",
            )?;
            let rows = statement.query_map([id.to_hex()], |row| {
                Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?))
            })?;
            rows.collect()
        };
        read().map_err(self.error("read evidence"))
    }
}
