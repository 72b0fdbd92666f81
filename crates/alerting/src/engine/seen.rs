//! Which frames of a device were seen: sequence numbers by boot, and the payload hashes of the newest of them. Packed, because
//! it is most of what is kept of a device, and written as bytes for the same reason.
use serde::Deserialize;
use telemetry::sequence::IntervalSet;

use super::row::{Bytes, RowError, put_varint};

/// Holes in the sequence numbers that are remembered per boot; at the bound the smallest hole counts as seen.
pub const MAX_INTERVALS: usize = 32;
/// Payload hashes that are remembered of the boot that was heard last: of its newest numbers.
pub const HASHES: u64 = 64;
/// The same of boots before it: what a device still had in flight when it started again.
pub const OLD_HASHES: u64 = 32;
/// Payload hashes that are remembered per boot beside those: of frames with a number that was used before, or that is too old
/// for the others. At the bound the oldest goes.
pub const MAX_ODD: usize = 64;

/// A boot's sequence numbers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Readable")]
pub struct BootSeen {
    boot: u64,
    intervals: IntervalSet,
    /// Below this number it was told what is missing.
    judged: u64,
    hashes: Ring,
    /// Of frames that were judged although their number was seen before, so that their copies are not judged again.
    odd: Vec<(u64, u32)>,
}

/// What a sequence number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Not seen before.
    New,
    /// Seen, with this payload: changes nothing.
    Duplicate,
    /// Seen, with another payload.
    Reused,
    /// Seen, too long ago to compare: evaluated, but it moves no session.
    Old,
}

/// Hashes of the newest numbers: of number n, the newest being `newest`, at its distance from it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Ring {
    newest: u64,
    /// Bit d: the hash of number `newest - d` is known.
    known: u64,
    /// Those hashes, oldest first.
    hashes: Vec<u32>,
}

impl Ring {
    /// Where the hash of the number at a distance stands, if it is known or as it would be if it were.
    fn place(&self, distance: u64) -> usize {
        let older = self.known.checked_shr(distance as u32 + 1).unwrap_or(0);
        older.count_ones() as usize
    }

    fn is_known(&self, distance: u64) -> bool {
        distance < HASHES && self.known >> distance & 1 == 1
    }

    fn get(&self, number: u64) -> Option<u32> {
        let distance = self.newest.checked_sub(number)?;
        let known = self.is_known(distance);
        known.then(|| self.hashes.get(self.place(distance)).copied()).flatten()
    }

    fn put(&mut self, number: u64, hash: u32) {
        if number > self.newest || self.known == 0 {
            let ahead = if self.known == 0 { 0 } else { number - self.newest };
            let kept = u32::try_from(ahead).ok().and_then(|by| self.known.checked_shl(by));
            let gone = self.hashes.len() - kept.unwrap_or(0).count_ones() as usize;
            self.hashes.drain(..gone);
            self.known = kept.unwrap_or(0) | 1;
            self.newest = number;
            self.push(hash);
            return;
        }
        let distance = self.newest - number;
        // An old number must not push out a newer one.
        if distance < HASHES && !self.is_known(distance) {
            self.hashes.insert(self.place(distance), hash);
            self.known |= 1 << distance;
        }
    }

    /// Grows by few: there are as many of these as devices.
    fn push(&mut self, hash: u32) {
        if self.hashes.len() == self.hashes.capacity() {
            self.hashes.reserve_exact((self.hashes.len() / 2).clamp(4, 16));
        }
        self.hashes.push(hash);
    }

    /// Keeps those of the newest numbers only.
    fn keep(&mut self, newest: u64) {
        self.known &= u64::MAX >> (u64::BITS as u64 - newest.clamp(1, HASHES));
        let gone = self.hashes.len() - self.known.count_ones() as usize;
        self.hashes.drain(..gone);
        self.hashes.shrink_to_fit();
    }
}

impl BootSeen {
    /// Of a boot that was not heard yet.
    pub fn new(boot: u64) -> Self {
        Self {
            boot,
            intervals: IntervalSet::new(),
            judged: 0,
            hashes: Ring::default(),
            odd: Vec::new(),
        }
    }

    /// The boot.
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// How many numbers were seen.
    pub fn count(&self) -> u64 {
        self.intervals.count()
    }

    /// What is missing below `number` and was not told before: the first of it, and how many. Each number is told once.
    /// What came before the first frame that was ever seen of a boot is not missing: nobody knows whether it was.
    pub fn gone_below(&mut self, number: u64) -> Option<(u64, u64)> {
        let (from, to) = (self.judged, number);
        self.judged = from.max(to);
        let (mut first, mut count, mut next) = (None, 0, from);
        for &(start, end) in self.intervals.intervals().iter().chain(&[(to, to)]) {
            let gap = next..start.min(to);
            if gap.start < gap.end {
                first = first.or(Some(gap.start));
                count += gap.end - gap.start;
            }
            next = next.max(end);
        }
        first.map(|first| (first, count))
    }

    /// Takes a number with the hash of its payload.
    pub fn take(&mut self, sequence: u64, hash: u64) -> Repeat {
        let hash = (hash ^ hash >> 32) as u32;
        let repeat = self.look(sequence, hash);
        match repeat {
            Repeat::New => {
                if self.intervals.last().is_none() {
                    self.judged = sequence;
                }
                self.intervals.insert(sequence);
                self.intervals.bound(MAX_INTERVALS);
                self.hashes.put(sequence, hash);
            }
            Repeat::Reused | Repeat::Old => {
                if self.odd.len() >= MAX_ODD {
                    self.odd.remove(0);
                }
                self.odd.push((sequence, hash));
            }
            Repeat::Duplicate => {}
        }
        repeat
    }

    fn look(&self, sequence: u64, hash: u32) -> Repeat {
        if !self.intervals.contains(sequence) {
            return Repeat::New;
        }
        if self.odd.contains(&(sequence, hash)) {
            return Repeat::Duplicate;
        }
        match self.hashes.get(sequence) {
            Some(known) if known == hash => Repeat::Duplicate,
            Some(_) => Repeat::Reused,
            None => Repeat::Old,
        }
    }

    /// Another boot was heard: what may still come of this one is little.
    pub(super) fn is_over(&mut self) {
        self.hashes.keep(OLD_HASHES);
    }

    pub(super) fn write(&self, into: &mut Vec<u8>) {
        into.extend(self.boot.to_le_bytes());
        let intervals = self.intervals.intervals();
        put_varint(intervals.len() as u64, into);
        let mut before = 0;
        for &(start, end) in intervals {
            put_varint(start - before, into);
            put_varint(end - start, into);
            before = end;
        }
        put_varint(self.judged, into);
        put_varint(self.hashes.newest, into);
        into.extend(self.hashes.known.to_le_bytes());
        self.hashes
            .hashes
            .iter()
            .for_each(|hash| into.extend(hash.to_le_bytes()));
        put_varint(self.odd.len() as u64, into);
        for &(number, hash) in &self.odd {
            put_varint(number, into);
            into.extend(hash.to_le_bytes());
        }
    }

    pub(super) fn read(from: &mut Bytes<'_>) -> Result<Self, RowError> {
        let boot = from.u64()?;
        let count = from.count(MAX_INTERVALS)?;
        let mut intervals = Vec::with_capacity(count);
        let mut before = 0u64;
        for _ in 0..count {
            let start = before.checked_add(from.varint()?).ok_or(RowError::Numbers)?;
            let end = start.checked_add(from.varint()?).ok_or(RowError::Numbers)?;
            intervals.push((start, end));
            before = end;
        }
        let intervals = IntervalSet::from_intervals(intervals).ok_or(RowError::Numbers)?;
        let judged = from.varint()?;
        let (newest, known) = (from.varint()?, from.u64()?);
        let hashes = (0..known.count_ones()).map(|_| from.u32()).collect::<Result<_, _>>()?;
        let hashes = Ring { newest, known, hashes };
        let count = from.count(MAX_ODD)?;
        let mut odd = Vec::with_capacity(count);
        for _ in 0..count {
            odd.push((from.varint()?, from.u32()?));
        }
        Ok(Self {
            boot,
            intervals,
            judged,
            hashes,
            odd,
        })
    }
}

/// As rows were written before they were packed.
#[derive(Deserialize)]
struct Readable {
    boot: u64,
    intervals: Vec<(u64, u64)>,
    hashes: Vec<(u64, u32)>,
    #[serde(default)]
    odd: Vec<(u64, u32)>,
}

impl From<Readable> for BootSeen {
    fn from(old: Readable) -> Self {
        let mut hashes = Ring::default();
        let mut numbers = old.hashes;
        numbers.sort_unstable();
        numbers.into_iter().for_each(|(number, hash)| hashes.put(number, hash));
        let intervals = IntervalSet::from_intervals(old.intervals).unwrap_or_default();
        Self {
            boot: old.boot,
            judged: intervals.last().map_or(0, |last| last.saturating_add(1)),
            intervals,
            hashes,
            odd: old.odd,
        }
    }
}
