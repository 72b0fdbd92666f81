//! What was appended and never became durable: remembered to answer whoever asks, whenever it asks.

use std::collections::VecDeque;

use crate::error::SyncError;
use crate::record::Offset;

/// How many lost ranges are remembered to answer callers who ask late; older ones answer "lost" for all before them.
const LOSSES: usize = 64;

/// Ranges that were appended and never became durable.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    recent: VecDeque<SyncError>,
    forgotten: Option<SyncError>,
    /// How many there were, ever.
    pub(crate) count: u64,
    unreported: Option<SyncError>,
}

impl Losses {
    pub(crate) fn push(&mut self, loss: SyncError) {
        self.count += 1;
        match &mut self.unreported {
            Some(unreported) => unreported.to = loss.to,
            None => self.unreported = Some(loss.clone()),
        }
        if self.recent.len() == LOSSES {
            self.forgotten = self.recent.pop_front();
        }
        self.recent.push_back(loss);
    }

    /// A loss that no `sync` told yet.
    pub(crate) fn take_unreported(&mut self) -> Option<SyncError> {
        self.unreported.take()
    }

    /// The loss that touches `from..to`, if any.
    pub(crate) fn overlapping(&self, from: Offset, to: Offset) -> Option<&SyncError> {
        if let Some(forgotten) = self.forgotten.as_ref().filter(|loss| from < loss.to) {
            return Some(forgotten);
        }
        self.recent.iter().find(|loss| from < loss.to && loss.from < to)
    }

    /// A loss before `to` that came after the first `count` ones.
    pub(crate) fn later_than(&self, count: u64, to: Offset) -> Option<&SyncError> {
        let new = (self.count - count) as usize;
        let known = self.recent.len();
        if new > known {
            return self.recent.front();
        }
        self.recent.iter().skip(known - new).find(|loss| loss.from < to)
    }
}
