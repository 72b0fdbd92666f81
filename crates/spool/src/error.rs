//! What can go wrong, typed, with a bounded reason for metric labels.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::record::Offset;

/// Why a spool was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration contradicts itself.
    #[error("the spool in {dir} is configured wrongly: {what}")]
    Config {
        /// The directory.
        dir: PathBuf,
        /// What to change.
        what: String,
    },
    /// Another process (or another handle of this one) has it open for writing.
    #[error("the spool in {dir} is open elsewhere; stop the other process or give this one a directory of its own")]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// A segment was written by a version that this one does not know.
    #[error("segment {path} has format version {version}, this program knows {known}; use the newer program", known = crate::format::FORMAT_VERSION)]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u16,
    },
    /// The file system said no.
    #[error("cannot open the spool at {path}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

/// Why records were not appended. None of the call's records is in the log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// One record is larger than the configuration allows.
    #[error("record {index} of the batch has {bytes} bytes, allowed are {max}; refuse it where it comes in")]
    RecordTooLarge {
        /// Which one of the call.
        index: usize,
        /// Its payload, bytes.
        bytes: usize,
        /// `Config::max_record_bytes`.
        max: u32,
    },
    /// The call does not fit into one segment.
    #[error("the batch has {bytes} bytes with headers, a segment holds {max}; append it in parts")]
    BatchTooLarge {
        /// With headers.
        bytes: u64,
        /// What a segment holds.
        max: u64,
    },
    /// The files are at their cap, readers are behind, and the policy is to refuse.
    #[error("the spool holds {bytes} of {cap} bytes and refuses more; its readers are behind")]
    AtCap {
        /// Sum of the segments.
        bytes: u64,
        /// `Config::cap_bytes`.
        cap: u64,
    },
    /// The disk is full. The spool tries again by itself after a short back-off.
    #[error("the disk of {path} is full; make room, the spool goes on by itself")]
    DiskFull {
        /// The file that could not be written.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// A write failed: that segment is sealed, the next append begins a new file.
    #[error("writing {path} failed; its unsynced records are not durable, look at the disk")]
    Suspect {
        /// The file that could not be written.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: Arc<io::Error>,
    },
}

/// [`AppendError`] as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AppendReason {
    /// See [`AppendError::RecordTooLarge`].
    RecordTooLarge,
    /// See [`AppendError::BatchTooLarge`].
    BatchTooLarge,
    /// See [`AppendError::AtCap`].
    AtCap,
    /// See [`AppendError::DiskFull`].
    DiskFull,
    /// See [`AppendError::Suspect`].
    Suspect,
}

impl AppendReason {
    /// All reasons, so that every label can be initialised.
    pub const ALL: [AppendReason; 5] = [
        AppendReason::RecordTooLarge,
        AppendReason::BatchTooLarge,
        AppendReason::AtCap,
        AppendReason::DiskFull,
        AppendReason::Suspect,
    ];

    /// A bounded metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            AppendReason::RecordTooLarge => "record_too_large",
            AppendReason::BatchTooLarge => "batch_too_large",
            AppendReason::AtCap => "at_cap",
            AppendReason::DiskFull => "disk_full",
            AppendReason::Suspect => "suspect",
        }
    }
}

impl AppendError {
    /// The reason as a bounded label.
    #[must_use]
    pub fn reason(&self) -> AppendReason {
        match self {
            AppendError::RecordTooLarge { .. } => AppendReason::RecordTooLarge,
            AppendError::BatchTooLarge { .. } => AppendReason::BatchTooLarge,
            AppendError::AtCap { .. } => AppendReason::AtCap,
            AppendError::DiskFull { .. } => AppendReason::DiskFull,
            AppendError::Suspect { .. } => AppendReason::Suspect,
        }
    }
}

/// Records that were appended will never be durable: do not acknowledge them.
#[derive(Debug, Clone, thiserror::Error)]
#[error("records {from}..{to} are not durable, writing {path} failed; do not acknowledge them")]
pub struct SyncError {
    /// First lost ordinal.
    pub from: Offset,
    /// The ordinal after the last lost one.
    pub to: Offset,
    /// Whether the disk was full (else: an I/O error).
    pub disk_full: bool,
    /// The segment.
    pub path: PathBuf,
    /// What the file system said.
    #[source]
    pub source: Arc<io::Error>,
}

/// Why nothing could be read. The position did not move: reading again is safe.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system said no.
    #[error("cannot read segment {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

/// Why there is no such reader.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// The cursor is not in the configuration.
    #[error("cursor {0:?} is not declared; add it to the spool's cursors")]
    Undeclared(String),
}

/// Why a cursor was not moved.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    /// Nobody can have consumed what is not durable.
    #[error("cursor {cursor:?} cannot be moved to {to}: only records before {durable} are durable")]
    BeyondDurable {
        /// The cursor.
        cursor: String,
        /// Where it should have gone.
        to: Offset,
        /// Where the durable part ends.
        durable: Offset,
    },
    /// The cursor's file could not be written. The cursor stands where it stood; committing again is safe.
    #[error("cannot write cursor file {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}
