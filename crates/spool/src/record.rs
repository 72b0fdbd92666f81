//! What goes into the log and what comes out of it: offsets, records and named gaps.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The ordinal of a record: dense, strictly increasing, never used twice for records that were readable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

impl Offset {
    /// The first offset of a fresh spool.
    pub const ZERO: Offset = Offset(0);

    /// The offset after this one (saturating).
    #[must_use]
    pub fn successor(self) -> Offset {
        Offset(self.0.saturating_add(1))
    }

    /// How many ordinals lie from `earlier` (included) to `self` (excluded); 0 if `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Offset) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record about to be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// Opaque to the spool (a tenant number, a kind: the owner decides); given back as it was.
    pub lane: u32,
    /// The payload; at most `Config::max_record_bytes`, may be empty.
    pub bytes: &'a [u8],
}

/// Where an append went: the records have the offsets `first..next`. Written, **not yet durable**.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record of the call.
    pub first: Offset,
    /// The offset after the last record of the call.
    pub next: Offset,
}

/// A record as it was read, checked against its checksums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its ordinal.
    pub offset: Offset,
    /// The lane that the appender gave.
    pub lane: u32,
    /// The appender's `now`, cut to microseconds.
    pub appended_at: SystemTime,
    /// The payload.
    pub bytes: Vec<u8>,
}

/// Why ordinals hold no readable record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GapReason {
    /// The bytes on disk are damaged; what was there is kept aside in `corrupt/` as far as its bound allows.
    Corrupt,
    /// Dropped unread at the cap, as the operator chose (`AtCap::Shed`).
    Shed,
    /// A write or fsync failed below them: they were never reported durable and nobody was told that they are stored.
    Suspect,
    /// No longer kept: every cursor was past them and their time was over (or somebody removed the files).
    Trimmed,
}

impl GapReason {
    /// All reasons, for metric labels.
    pub const ALL: [GapReason; 4] = [
        GapReason::Corrupt,
        GapReason::Shed,
        GapReason::Suspect,
        GapReason::Trimmed,
    ];

    /// A bounded metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            GapReason::Corrupt => "corrupt",
            GapReason::Shed => "shed",
            GapReason::Suspect => "suspect",
            GapReason::Trimmed => "trimmed",
        }
    }
}

/// Ordinals `from..to` that hold no readable record, and why. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// First missing ordinal.
    pub from: Offset,
    /// The ordinal after the last missing one.
    pub to: Offset,
    /// Why.
    pub reason: GapReason,
}

impl Gap {
    /// How many ordinals are missing.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.to.since(self.from)
    }
}

/// What a reader gets, in the order of offsets: a record, or the name of what is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A record.
    Record(Record),
    /// A run of ordinals without one.
    Gap(Gap),
}

impl Item {
    /// The offset after this item: what to commit once it is dealt with.
    #[must_use]
    pub fn next(&self) -> Offset {
        match self {
            Item::Record(record) => record.offset.successor(),
            Item::Gap(gap) => gap.to,
        }
    }

    /// The record, if it is one.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        match self {
            Item::Record(record) => Some(record),
            Item::Gap(_) => None,
        }
    }
}

/// Microseconds since 1970; times before that count as 1970.
pub(crate) fn to_micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The inverse of [`to_micros`]; a time that the platform cannot hold counts as 1970.
pub(crate) fn from_micros(micros: u64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_micros(micros))
        .unwrap_or(UNIX_EPOCH)
}
