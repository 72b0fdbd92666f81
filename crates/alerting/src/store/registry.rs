//! How far alerting's journal has followed the registry's.
use rusqlite::{OptionalExtension, Transaction};
use serde_json::json;
use telemetry::UnixMicros;

use super::journal::{self, Entry, EntryKind};
use super::{Store, StoreError, put_meta};

/// Number and hash of the last line that was followed.
const FOLLOWED: &str = "registry_journal";

/// A line of the registry's journal.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) n: u64,
    pub(crate) hash: String,
    pub(crate) entry: Entry,
}

/// What following came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// Lines that were new.
    pub added: usize,
    /// A line that was followed before is not there any more, or is another one: the registry's journal was cut or replaced.
    pub broken: bool,
}

impl Store {
    /// Puts the lines that are new into the journal, and remembers the last one; all in one transaction.
    pub(crate) fn follow_registry(&self, lines: &[Line], whole: bool, now: UnixMicros) -> Result<Followed, StoreError> {
        self.write("follow the registry", |tx| {
            let known = known(tx)?;
            let before = known.as_ref().map_or(0, |(n, _)| *n);
            let same = |(n, hash): &(u64, String)| lines.iter().any(|line| line.n == *n && line.hash == *hash);
            // An emptied journal begins with a line that is new, and holds none of the old ones.
            let emptied = lines.first().is_some_and(|first| first.n > before);
            let broken = whole && !emptied && known.as_ref().is_some_and(|known| !same(known));
            if broken {
                let body = json!({"lost_after": lines.last().map_or(0, |line| line.n), "known": before});
                journal::append(tx, &Entry::new(now, EntryKind::Registry, &body))?;
            }
            let new = lines.iter().filter(|line| broken || line.n > before);
            let mut added = 0;
            for line in new {
                journal::append(tx, &line.entry)?;
                added += 1;
            }
            if let Some(last) = lines.last().filter(|last| broken || last.n > before) {
                put_meta(tx, FOLLOWED, &format!("{} {}", last.n, last.hash))?;
            } else if broken {
                tx.execute("DELETE FROM meta WHERE key = ?1", [FOLLOWED])?;
            }
            Ok(Followed { added, broken })
        })
    }
}

fn known(tx: &Transaction<'_>) -> rusqlite::Result<Option<(u64, String)>> {
    let text: Option<String> = tx
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([FOLLOWED], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| {
        let (n, hash) = text.split_once(' ')?;
        Some((n.parse().ok()?, hash.to_owned()))
    }))
}
