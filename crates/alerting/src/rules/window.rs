//! k of the last n readings, in one machine word.
use serde::{Deserialize, Serialize};

/// Which of the last readings were bad; the newest is the lowest bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Window {
    bits: u64,
    /// Readings in a row that were good.
    clean: u32,
    /// Ordinal of the first bad reading of this run of trouble.
    first_bad: Option<u64>,
}

impl Window {
    /// Longest window.
    pub const MAX: u32 = u64::BITS;

    /// Takes one reading. Returns whether at least `k` of the last `n` are bad.
    pub fn push(&mut self, bad: bool, ordinal: u64, k: u32, n: u32) -> bool {
        let mask = u64::MAX >> (Self::MAX - n.clamp(1, Self::MAX));
        self.bits = (self.bits << 1 | u64::from(bad)) & mask;
        if bad {
            self.clean = 0;
            self.first_bad = self.first_bad.or(Some(ordinal));
        } else {
            self.clean = self.clean.saturating_add(1);
            if self.bits == 0 {
                self.first_bad = None;
            }
        }
        bad && self.bits.count_ones() >= k
    }

    /// Takes `count` good readings at once.
    #[inline]
    pub fn push_clean(&mut self, count: u32) {
        self.bits = self.bits.checked_shl(count).unwrap_or(0);
        self.clean = self.clean.saturating_add(count);
        if self.bits == 0 {
            self.first_bad = None;
        }
    }

    /// The reading that was taken last was not bad, and not good enough to end anything.
    pub fn is_unclear(&mut self) {
        self.clean = 0;
    }

    /// How many good readings came last.
    pub fn clean(&self) -> u32 {
        self.clean
    }

    /// Ordinal of the first bad reading of this run of trouble.
    pub fn first_bad(&self) -> Option<u64> {
        self.first_bad
    }
}
