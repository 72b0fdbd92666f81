//! One segment file as the process knows it: where it begins and ends, a few byte marks to seek by, damage seen so far.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::format::SEGMENT_HEADER_BYTES;
use crate::record::{GapReason, Offset};

/// How many byte marks a segment has at most, so that a seek reads at most a 64th of it.
const MARKS: u64 = 256;
/// Marks nearer than this are not worth their memory, bytes.
const MARK_STRIDE_BYTES: u64 = 64 * 1024;
/// How many places of damage are remembered per segment; beyond, the counters may count a place twice.
const FINDINGS: usize = 1024;

/// What does not change once a segment exists.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) first: Offset,
    /// Where the one before it ends; `previous_end..first` is a gap.
    pub(crate) previous_end: Offset,
    pub(crate) gap: Option<GapReason>,
    pub(crate) path: PathBuf,
    stride: u64,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    marks: Vec<(Offset, u64)>,
    damaged: BTreeSet<u64>,
    missing: BTreeSet<u64>,
}

/// A segment in the list of those that are kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) segment: std::sync::Arc<Segment>,
    /// The ordinal after its last record that counts.
    pub(crate) end: Offset,
    pub(crate) bytes: u64,
    pub(crate) consumed_at: Option<SystemTime>,
}

impl Segment {
    pub(crate) fn new(
        first: Offset,
        previous_end: Offset,
        gap: Option<GapReason>,
        path: PathBuf,
        segment_bytes: u64,
    ) -> Self {
        Segment {
            first,
            previous_end,
            gap,
            path,
            stride: (segment_bytes / MARKS).max(MARK_STRIDE_BYTES),
            notes: Mutex::new(Notes::default()),
        }
    }

    /// Notes that the record `ordinal` begins at byte `at`, if no mark is near.
    pub(crate) fn mark(&self, ordinal: Offset, at: u64) {
        let mut notes = self.notes();
        let last = notes.marks.last().map_or(SEGMENT_HEADER_BYTES as u64, |mark| mark.1);
        if at >= last + self.stride {
            notes.marks.push((ordinal, at));
        }
    }

    /// Where to begin looking for `ordinal`: the ordinal and byte of the nearest mark before it.
    pub(crate) fn seek(&self, ordinal: Offset) -> (Offset, u64) {
        let notes = self.notes();
        let after = notes.marks.partition_point(|mark| mark.0 <= ordinal);
        match after.checked_sub(1).and_then(|index| notes.marks.get(index)) {
            Some(mark) => *mark,
            None => (self.first, SEGMENT_HEADER_BYTES as u64),
        }
    }

    /// Whether this damage was not seen before.
    pub(crate) fn is_new_damage(&self, bytes: &Range<u64>) -> bool {
        let mut notes = self.notes();
        notes.damaged.len() >= FINDINGS || notes.damaged.insert(bytes.start)
    }

    /// Whether these missing ordinals were not seen before.
    pub(crate) fn is_new_gap(&self, from: Offset) -> bool {
        let mut notes = self.notes();
        notes.missing.len() >= FINDINGS || notes.missing.insert(from.0)
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// About how many bytes of it stand at or after `at`: exact at its ends, proportional between.
    pub(crate) fn bytes_from(&self, at: Offset) -> u64 {
        if at <= self.segment.first {
            return self.bytes;
        }
        let all = self.end.since(self.segment.first);
        let rest = self.end.since(at);
        if all == 0 || rest == 0 {
            return 0;
        }
        (u128::from(self.bytes) * u128::from(rest) / u128::from(all)) as u64
    }
}
