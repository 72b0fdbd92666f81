//! The frames of one batch that are not on disk yet.

use telemetry::{BootId, DeviceKey};

use super::Entry;
use super::anchor::Anchors;
use super::boot::{Match, look_in};

/// Frames in the order in which they will stand in the log; at most one batch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    entries: Vec<Entry>,
    boots: foldhash::HashMap<(DeviceKey, BootId), HeldBoot>,
    pub(crate) undurable: bool,
}

#[derive(Debug, Clone, Default)]
struct HeldBoot {
    frames: Vec<(u64, u64)>,
    greatest: Option<u64>,
    anchors: Option<Anchors>,
}

impl Held {
    pub(crate) fn look(&self, name: &(DeviceKey, BootId), sequence: u64, hash: u64) -> Match {
        match self.boots.get(name) {
            // In order, as nearly always: nothing to search.
            Some(boot) if boot.greatest < Some(sequence) => Match::New,
            Some(boot) => look_in(boot.frames.iter(), sequence, hash).unwrap_or(Match::New),
            None => Match::New,
        }
    }

    pub(crate) fn anchors(&self, name: &(DeviceKey, BootId)) -> Option<&Anchors> {
        self.boots.get(name)?.anchors.as_ref()
    }

    /// `known` holds the anchors so far when the frame fixed a new one.
    pub(crate) fn push(&mut self, entry: Entry, known: Option<Anchors>, undurable: bool) {
        let boot = self.boots.entry((entry.key.clone(), entry.boot)).or_default();
        if let Some(mut anchors) = known {
            anchors.adopt(entry.uptime, entry.anchor, entry.clock);
            boot.anchors = Some(anchors);
        }
        boot.frames.push((entry.sequence, entry.hash));
        boot.greatest = boot.greatest.max(Some(entry.sequence));
        self.undurable |= undurable;
        self.entries.push(entry);
    }

    pub(crate) fn take(&mut self) -> Vec<Entry> {
        self.boots.clear();
        self.undurable = false;
        std::mem::take(&mut self.entries)
    }
}
