//! What one boot of a device has sent: which sequence numbers, the payload hashes of the recent ones, and its anchors.
use std::collections::VecDeque;

use telemetry::BootId;
use telemetry::sequence::IntervalSet;

use super::anchor::Anchors;

/// Frames of one boot whose payload hash is still known: what a device can have in flight when its connection breaks,
/// at the usual rates (25 s at 10 frames a second). 4 KiB a boot. Older copies are let in, marked `maybe_seen_before`.
pub const RECENT_MAX: usize = 256;
/// Stretches of sequence numbers of one boot. A hole is a frame that never came, which a device with an outbox does
/// not leave; beyond this the smallest hole is forgotten, and a frame in it is let in, marked `maybe_seen_before`.
pub const INTERVALS_MAX: usize = 256;

/// One boot of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Boot {
    pub(crate) id: BootId,
    pub(crate) anchors: Anchors,
    pub(crate) seen: IntervalSet,
    /// Sequence number and payload hash, oldest first; at most [`RECENT_MAX`].
    pub(crate) recent: VecDeque<(u64, u64)>,
}

/// What a frame is to a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    /// Its sequence number was never seen.
    New,
    /// The same frame was recorded.
    Same,
    /// The sequence number was used by another payload.
    Other,
    /// The sequence number was seen too long ago to compare.
    Forgotten,
}

impl Boot {
    pub(crate) fn new(id: BootId) -> Self {
        Self {
            id,
            anchors: Anchors::default(),
            seen: IntervalSet::new(),
            recent: VecDeque::new(),
        }
    }

    pub(crate) fn look(&self, sequence: u64, hash: u64) -> Match {
        if !self.seen.contains(sequence) {
            return Match::New;
        }
        look_in(self.recent.iter(), sequence, hash).unwrap_or(Match::Forgotten)
    }

    /// Records a frame. Returns how many holes were forgotten.
    pub(crate) fn record(&mut self, sequence: u64, hash: u64) -> u64 {
        self.seen.insert(sequence);
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((sequence, hash));
        self.seen.bound(INTERVALS_MAX)
    }
}

/// Looks for a sequence number among frames whose hash is known.
pub(crate) fn look_in<'a>(known: impl Iterator<Item = &'a (u64, u64)>, sequence: u64, hash: u64) -> Option<Match> {
    let mut found = None;
    for (_, other) in known.filter(|(s, _)| *s == sequence) {
        if *other == hash {
            return Some(Match::Same);
        }
        found = Some(Match::Other);
    }
    found
}
