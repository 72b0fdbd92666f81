//! What an owner can ask a spool about itself.

use std::time::SystemTime;

use crate::record::Offset;
use crate::shed::ShedGap;

/// A snapshot; cheap enough for every second.
#[derive(Debug, Clone)]
pub struct State {
    /// Sum of all segment files, bytes.
    pub bytes: u64,
    /// `Config::cap_bytes`.
    pub cap_bytes: u64,
    /// Number of segment files.
    pub segments: usize,
    /// The first ordinal that is still kept.
    pub oldest: Offset,
    /// The ordinal that the next record gets.
    pub next: Offset,
    /// Every ordinal before it is durable or in a named gap.
    pub durable: Offset,
    /// Every declared cursor, in the order of the configuration.
    pub cursors: Vec<CursorState>,
    /// Cursors found on disk that nobody declared: they hold nothing back.
    pub undeclared: Vec<(String, Offset)>,
    /// Whether it can write.
    pub health: Health,
    /// Whether the last append was refused because of the cap.
    pub at_cap: bool,
    /// Bytes kept aside in `corrupt/`.
    pub corrupt_kept_bytes: u64,
    /// Since open.
    pub counters: Counters,
}

/// One cursor's share of the spool.
#[derive(Debug, Clone)]
pub struct CursorState {
    /// Its name.
    pub name: String,
    /// Everything before it is consumed, durably.
    pub at: Offset,
    /// Ordinals that it is behind (gaps included, what was shed not).
    pub backlog_records: u64,
    /// Bytes that it is behind; within one segment estimated by proportion.
    pub backlog_bytes: u64,
    /// When the oldest record that it has not consumed was appended: the age of its backlog. `None` if it has none, or
    /// if that record cannot be read.
    pub oldest_unread_at: Option<SystemTime>,
    /// What it lost at the cap and has not been moved past.
    pub shed: Option<ShedGap>,
}

/// Whether a spool can write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Healthy,
    /// The disk is full; it tries again by itself.
    DiskFull {
        /// What the file system said, and where.
        what: String,
        /// The owner's `now` of that time.
        since: SystemTime,
    },
    /// A write or fsync failed; healthy again once a new segment took a sync.
    Suspect {
        /// What the file system said, and where.
        what: String,
        /// The owner's `now` of that time.
        since: SystemTime,
    },
}

impl Health {
    /// A bounded label: `healthy`, `disk_full` or `suspect`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Health::Healthy => "healthy",
            Health::DiskFull { .. } => "disk_full",
            Health::Suspect { .. } => "suspect",
        }
    }
}

/// What happened since open; the owner turns them into metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records appended.
    pub appended_records: u64,
    /// Bytes appended, with headers.
    pub appended_bytes: u64,
    /// Append calls refused at the cap.
    pub refused_at_cap: u64,
    /// Append calls refused because the disk is full or a write failed.
    pub refused_unwritable: u64,
    /// Group commits that succeeded.
    pub syncs: u64,
    /// Writes and fsyncs of segments that failed.
    pub write_failures: u64,
    /// Records that were appended and never became durable.
    pub suspect_records: u64,
    /// Ordinals without a readable record.
    pub corrupt_records: u64,
    /// Bytes that were no record.
    pub corrupt_bytes: u64,
    /// Of these, bytes that did not fit into the bound of `corrupt/`.
    pub corrupt_bytes_not_kept: u64,
    /// Bytes cut from the tail at open.
    pub torn_bytes: u64,
    /// Segments unlinked after every cursor was past them.
    pub retired_segments: u64,
    /// Of these, those that went before their `keep` was over, because of the cap.
    pub retired_early_segments: u64,
    /// Segments dropped unread at the cap.
    pub shed_segments: u64,
    /// Ordinals in them that at least one cursor had not read.
    pub shed_records: u64,
    /// Cursor commits that failed.
    pub cursor_failures: u64,
}

/// What `Spool::open` found.
#[derive(Debug, Clone, Default)]
pub struct OpenReport {
    /// The first ordinal that is still kept.
    pub oldest: Offset,
    /// The ordinal that the next record gets.
    pub next: Offset,
    /// Number of segments.
    pub segments: usize,
    /// Sum of their files, bytes.
    pub bytes: u64,
    /// Bytes cut after the last good record: what was being written when the process or the machine died.
    pub torn_bytes: u64,
    /// Ordinals of the last segment that hold no readable record although later ones do. Earlier segments are checked
    /// when they are read.
    pub corrupt_records: u64,
    /// Bytes in it that are no record.
    pub corrupt_bytes: u64,
    /// Segments whose header could not be read; their records still can.
    pub damaged_headers: usize,
    /// How far cursors stood beyond the log's end: that many records were lost with its tail; their ordinals are not
    /// used again.
    pub lost_tail_records: u64,
    /// Declared cursors that had no file: they begin at the oldest record.
    pub new_cursors: Vec<String>,
    /// Declared cursors whose file was damaged: they begin again at the oldest record, so records come twice.
    pub reset_cursors: Vec<String>,
    /// Cursors on disk that nobody declared.
    pub undeclared: Vec<(String, Offset)>,
    /// Backlog of every declared cursor: name, ordinals behind.
    pub backlog: Vec<(String, u64)>,
}

/// What `Spool::maintain` did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Segments unlinked after every cursor was past them.
    pub retired_segments: u64,
    /// Their bytes.
    pub retired_bytes: u64,
    /// What was dropped at the cap, per cursor.
    pub shed: Vec<ShedGap>,
    /// Whether the spool became writable again by this call.
    pub recovered: bool,
    /// What could not be done and is tried again next time, in words.
    pub failed: Option<String>,
}
