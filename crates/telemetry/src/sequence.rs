//! Which numbers were seen: interval sets with a bound, for sequence numbers and for the ordinals of a session.

/// What a number was to the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Not seen before.
    New,
    /// Seen before.
    Before,
}

/// A set of numbers as half-open intervals, ascending, disjoint and not touching; at most `max` of them.
///
/// At the bound the two lowest neighbours with the smallest hole between them are merged: that forgets a hole (those numbers
/// then count as seen), so a number in a forgotten hole would look like a duplicate. The owner is told by `merged`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IntervalSet {
    intervals: Vec<(u64, u64)>,
}

impl IntervalSet {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// From intervals as [`Self::intervals`] gave them; `None` if they are not ascending, disjoint and non-empty.
    pub fn from_intervals(intervals: Vec<(u64, u64)>) -> Option<Self> {
        let whole = intervals.iter().all(|&(start, end)| start < end);
        let ascending = intervals
            .windows(2)
            .all(|pair| matches!(pair, [(_, end), (start, _)] if end < start));
        (whole && ascending).then_some(Self { intervals })
    }

    /// Adds one number, below `u64::MAX` (intervals are half-open).
    pub fn insert(&mut self, number: u64) -> Seen {
        if self.contains(number) {
            return Seen::Before;
        }
        self.insert_range(number, number.saturating_add(1));
        Seen::New
    }

    /// Adds `start..end`. Returns how many of them are new.
    pub fn insert_range(&mut self, start: u64, end: u64) -> u64 {
        if start >= end {
            return 0;
        }
        // The usual case: the next number in order.
        if let Some(last) = self.intervals.last_mut().filter(|last| last.1 == start) {
            last.1 = end;
            return end - start;
        }
        let from = self.intervals.partition_point(|&(_, e)| e < start);
        let to = self.intervals.partition_point(|&(s, _)| s <= end);
        let (mut low, mut high, mut had) = (start, end, 0);
        for &(s, e) in self.intervals.get(from..to).unwrap_or(&[]) {
            had += e.min(end).saturating_sub(s.max(start));
            low = low.min(s);
            high = high.max(e);
        }
        self.intervals.splice(from..to, [(low, high)]);
        end - start - had
    }

    /// Keeps at most `max` intervals (at least 1) by merging across the smallest holes. Returns how many numbers were never seen
    /// but count as seen from now on.
    pub fn bound(&mut self, max: usize) -> u64 {
        let mut forgotten = 0;
        while self.intervals.len() > max.max(1) {
            let holes = self.intervals.windows(2).map(|p| match p {
                [(_, end), (start, _)] => start - end,
                _ => u64::MAX,
            });
            let Some((at, hole)) = holes.enumerate().min_by_key(|&(_, hole)| hole) else {
                break;
            };
            let (_, end) = self.intervals.remove(at + 1);
            if let Some(low) = self.intervals.get_mut(at) {
                low.1 = end;
            }
            forgotten += hole;
        }
        forgotten
    }

    /// Whether a number is in the set.
    pub fn contains(&self, number: u64) -> bool {
        let at = self.intervals.partition_point(|&(_, end)| end <= number);
        self.intervals.get(at).is_some_and(|&(start, _)| start <= number)
    }

    /// How many numbers are in the set.
    pub fn count(&self) -> u64 {
        self.intervals.iter().map(|&(start, end)| end - start).sum()
    }

    /// The greatest number in the set.
    pub fn last(&self) -> Option<u64> {
        self.intervals.last().map(|&(_, end)| end - 1)
    }

    /// The intervals, half-open and ascending.
    pub fn intervals(&self) -> &[(u64, u64)] {
        &self.intervals
    }

    /// What is missing of `0..end`, half-open and ascending, at most `max` ranges; and how many numbers in all.
    pub fn missing_below(&self, end: u64, max: usize) -> (Vec<(u64, u64)>, u64) {
        let mut ranges = Vec::new();
        let mut total = 0;
        let mut next = 0;
        let after = [(end, end)];
        for &(start, stop) in self.intervals.iter().chain(&after) {
            let start = start.min(end);
            if start > next {
                total += start - next;
                if ranges.len() < max {
                    ranges.push((next, start));
                }
            }
            next = next.max(stop);
        }
        (ranges, total)
    }
}
