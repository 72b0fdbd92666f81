//! Sets of ordinals with a bound that never claims more than was seen, and their bytes in the ledger.

use telemetry::sequence::IntervalSet;

/// Most runs of ordinals that one set keeps. A session on a lossy radio has some hundred holes; 1,024 runs are 16 KiB.
pub const MAX_RUNS: usize = 1_024;

/// Ordinals seen. At [`MAX_RUNS`] the smallest holes are forgotten: their ordinals are then listed neither as seen nor as
/// missing, and [`Ordinals::count`] never counts them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ordinals {
    set: IntervalSet,
    forgotten: u64,
}

impl Ordinals {
    /// Adds `start..end`; gives whether any of it is new.
    pub fn insert(&mut self, start: u64, end: u64) -> bool {
        let new = self.set.insert_range(start, end);
        self.forgotten += self.set.bound(MAX_RUNS);
        new > 0
    }

    /// How many were seen; too few, never too many, after a hole was forgotten.
    pub fn count(&self) -> u64 {
        self.set.count().saturating_sub(self.forgotten)
    }

    /// The greatest one seen.
    pub fn last(&self) -> Option<u64> {
        self.set.last()
    }

    /// Missing runs of `0..end`, half-open, at most `max`, and how many ordinals are missing in all.
    pub fn missing_below(&self, end: u64, max: usize) -> (Vec<(u64, u64)>, u64) {
        let (runs, missing) = self.set.missing_below(end, max);
        (runs, (missing + self.forgotten).min(end))
    }

    /// How many of these are not in `other`.
    pub fn count_without(&self, other: &Self) -> u64 {
        let inside = |&(start, end): &(u64, u64)| -> u64 {
            let runs = other.set.intervals();
            let from = runs.partition_point(|&(_, e)| e <= start);
            runs.iter()
                .skip(from)
                .take_while(|&&(s, _)| s < end)
                .map(|&(s, e)| e.min(end).saturating_sub(s.max(start)))
                .sum()
        };
        let both: u64 = self.set.intervals().iter().map(inside).sum();
        self.count().saturating_sub(both)
    }

    /// Appends its bytes: forgotten, number of runs, then starts and ends, each a little-endian `u64`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.forgotten.to_le_bytes());
        out.extend_from_slice(&(self.set.intervals().len() as u64).to_le_bytes());
        for &(start, end) in self.set.intervals() {
            out.extend_from_slice(&start.to_le_bytes());
            out.extend_from_slice(&end.to_le_bytes());
        }
    }

    /// Reads what [`Self::encode`] appended; `None` if it is none of that.
    pub fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let forgotten = number(bytes)?;
        let runs = usize::try_from(number(bytes)?).ok().filter(|&runs| runs <= MAX_RUNS)?;
        let mut intervals = Vec::with_capacity(runs);
        for _ in 0..runs {
            intervals.push((number(bytes)?, number(bytes)?));
        }
        Some(Self {
            set: IntervalSet::from_intervals(intervals)?,
            forgotten,
        })
    }
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*head))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_reads_back_as_it_was_written(runs in prop::collection::vec((0u64..10_000, 1u64..50), 0..60)) {
            let mut set = Ordinals::default();
            for (start, len) in runs {
                set.insert(start, start + len);
            }
            let mut bytes = Vec::new();
            set.encode(&mut bytes);
            prop_assert_eq!(Ordinals::decode(&mut bytes.as_slice()).unwrap(), set);
        }

        #[test]
        fn foreign_bytes_are_no_set_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Ordinals::decode(&mut bytes.as_slice());
        }

        #[test]
        fn what_is_counted_beside_another_set_is_what_only_the_first_holds(
            a in prop::collection::btree_set(0u64..80, 0..60), b in prop::collection::btree_set(0u64..80, 0..60),
        ) {
            let set = |numbers: &std::collections::BTreeSet<u64>| {
                let mut set = Ordinals::default();
                for &n in numbers {
                    set.insert(n, n + 1);
                }
                set
            };
            prop_assert_eq!(set(&a).count_without(&set(&b)), a.difference(&b).count() as u64);
        }
    }

    #[test]
    fn at_its_bound_a_set_claims_too_little_never_too_much() {
        let mut set = Ordinals::default();
        for n in 0..5_000_u64 {
            set.insert(n * 2, n * 2 + 1);
        }
        assert_eq!(set.count(), 5_000);
        let (runs, missing) = set.missing_below(9_999, 32);
        assert_eq!((runs.len(), missing), (32, 4_999));
        // One that fell into a forgotten hole is not counted any more.
        for n in 0..5_000_u64 {
            set.insert(n * 2, n * 2 + 2);
        }
        assert!(set.count() <= 10_000);
    }
}
