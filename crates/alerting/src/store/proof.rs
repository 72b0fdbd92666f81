//! What proves something: rows of the journal, and the file opened by somebody who may not change it.
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use telemetry::UnixMicros;

use super::journal::{self, Row};
use super::{BUSY_TIMEOUT, KeptFrame, SCHEMA_VERSION, Store, StoreError};
use crate::id::{AlertId, TransitionId};

/// Fewest digits of a hash that name a row.
const MIN_ANCHOR_DIGITS: usize = 8;

impl Store {
    /// Opens the file of a running or stopped process for reading only.
    ///
    /// # Errors
    /// [`StoreError`]: there is no such file, or another version wrote it.
    pub fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        let sqlite = |what| {
            move |source| StoreError::Sqlite {
                path: path.to_owned(),
                what,
                source,
            }
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).map_err(sqlite("open"))?;
        db.busy_timeout(BUSY_TIMEOUT).map_err(sqlite("set its timeout"))?;
        let found: i64 = db
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(sqlite("tell its version"))?;
        // An older one has the same journal: it needs no program that would change it first.
        if !(2..=SCHEMA_VERSION).contains(&found) {
            return Err(StoreError::Version {
                path: path.to_owned(),
                found,
            });
        }
        Ok(Self {
            path: path.to_owned(),
            turn: Arc::default(),
            db: Mutex::new(db),
        })
    }

    /// Up to `limit` rows of the journal after the number `after`, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn journal_page(&self, after: i64, limit: usize, with_text: bool) -> Result<Vec<Row>, StoreError> {
        journal::page(&self.db(), after, limit, with_text).map_err(self.error("read its journal"))
    }

    /// The number after which rows from `at` on stand; up to an hour more, because clocks are set back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn journal_before(&self, at: UnixMicros) -> Result<i64, StoreError> {
        journal::before(&self.db(), at).map_err(self.error("read its journal"))
    }

    /// The number of the row whose hash begins with these hexadecimal digits, of which there must be at least 8.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn journal_row_of(&self, hash: &str) -> Result<Option<i64>, StoreError> {
        let digits = hash.len() >= MIN_ANCHOR_DIGITS && hash.bytes().all(|b| b.is_ascii_hexdigit());
        if !digits {
            return Ok(None);
        }
        let found = self.db().query_row(
            "SELECT n FROM journal WHERE substr(lower(hex(hash)), 1, length(?1)) = lower(?1) \
             UNION ALL SELECT n FROM journal_anchor WHERE substr(lower(hex(hash)), 1, length(?1)) = lower(?1) LIMIT 1",
            [hash],
            |row| row.get(0),
        );
        found.optional().map_err(self.error("look for an anchor"))
    }

    /// Rows about an alert, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn journal_about(&self, alert: AlertId) -> Result<Vec<Row>, StoreError> {
        journal::about(&self.db(), alert).map_err(self.error("read its journal"))
    }

    /// The evidence of every step that stands in `rows`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn evidence_of(&self, rows: &[Row]) -> Result<BTreeMap<TransitionId, Vec<KeptFrame>>, StoreError> {
        let mut found = BTreeMap::new();
        let steps = rows
            .iter()
            .filter(|row| row.kind == journal::EntryKind::Transition.as_str());
        for id in steps.filter_map(|row| row.body["transition"].as_str()?.parse::<TransitionId>().ok()) {
            let frames = self.evidence(id)?;
            if !frames.is_empty() {
                found.insert(id, frames);
            }
        }
        Ok(found)
    }
}
