//! Evidence: the frames that caused a transition and a few around it, as they stood in the log. Bounded; the oldest goes.
use rusqlite::{Transaction, params};

use super::{Store, StoreError};
use crate::id::TransitionId;

/// A frame as it stood in the log: its offset and record; `None`: it was trimmed before it could be copied.
pub type KeptFrame = (u64, Option<Vec<u8>>);

/// Frames that are kept, over all transitions: at 64 KiB at most and about 1 KiB usually, some 100 MiB.
const MAX_FRAMES: i64 = 100_000;

pub(super) fn put(tx: &Transaction<'_>, id: TransitionId, frames: &[KeptFrame]) -> rusqlite::Result<()> {
    let mut insert =
        tx.prepare_cached("INSERT OR IGNORE INTO evidence (transition_id, log_offset, bytes) VALUES (?1, ?2, ?3)")?;
    for (offset, bytes) in frames {
        insert.execute(params![id.to_hex(), i64::try_from(*offset).unwrap_or(i64::MAX), bytes])?;
    }
    Ok(())
}

/// Forgets what is beyond the bound. Row numbers only grow, so this is one comparison with an index.
pub(super) fn trim(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM evidence WHERE n <= (SELECT coalesce(max(n), 0) FROM evidence) - ?1")?
        .execute([MAX_FRAMES])?;
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
