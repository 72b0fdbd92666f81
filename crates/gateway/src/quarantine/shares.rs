//! Who holds how much: the bookkeeping that decides who has to give something up.
use std::collections::HashMap;

use super::{Bounds, Held};

/// What stands beside a payload in the database, roughly: topic, reason, detail, ids; bytes.
pub(crate) const ENTRY_OVERHEAD: u64 = 256;

/// Entries and bytes by share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shares {
    by_name: HashMap<String, Held>,
    total: Held,
}

impl Shares {
    pub(crate) fn add(&mut self, share: &str, entries: u64, bytes: u64) {
        let held = match self.by_name.get_mut(share) {
            Some(held) => held,
            None => self.by_name.entry(share.to_owned()).or_default(),
        };
        for held in [held, &mut self.total] {
            held.entries += entries;
            held.bytes += bytes;
        }
    }

    pub(crate) fn remove(&mut self, share: &str, bytes: u64) {
        if let Some(held) = self.by_name.get_mut(share) {
            held.entries = held.entries.saturating_sub(1);
            held.bytes = held.bytes.saturating_sub(bytes);
            if held.entries == 0 {
                self.by_name.remove(share);
            }
        }
        self.total.entries = self.total.entries.saturating_sub(1);
        self.total.bytes = self.total.bytes.saturating_sub(bytes);
    }

    /// A share is believed to hold something that is not there.
    pub(crate) fn forget(&mut self, share: &str) {
        if let Some(held) = self.by_name.remove(share) {
            self.total.entries = self.total.entries.saturating_sub(held.entries);
            self.total.bytes = self.total.bytes.saturating_sub(held.bytes);
        }
    }

    pub(crate) fn total(&self) -> Held {
        self.total
    }

    /// Who has to give up its oldest entry for the bounds to hold, after `share` got one.
    pub(crate) fn over(&self, share: &str, bounds: &Bounds) -> Option<String> {
        let own = self.by_name.get(share).copied().unwrap_or_default();
        if own.entries > u64::from(bounds.share_entries) || own.bytes > bounds.share_bytes {
            return Some(share.to_owned());
        }
        if self.total.bytes <= bounds.total_bytes {
            return None;
        }
        self.by_name
            .iter()
            .max_by_key(|(_, held)| held.bytes)
            .map(|(name, _)| name.clone())
    }
}
