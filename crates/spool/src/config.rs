//! What an owner decides about its spool, checked once at open.

use std::path::PathBuf;
use std::time::Duration;

use crate::format::{MAX_RECORD_BYTES, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES};

/// A segment of 32 MiB: small enough that the one segment which is read at open is read in well under a second,
/// large enough that a 1 GiB backlog is 32 files.
pub const DEFAULT_SEGMENT_BYTES: u64 = 32 * 1024 * 1024;
/// 1 GiB of backlog.
pub const DEFAULT_CAP_BYTES: u64 = 1024 * 1024 * 1024;
/// 1 MiB for one record.
pub const DEFAULT_MAX_RECORD_BYTES: u32 = 1024 * 1024;
/// How many cursors one spool may declare: each costs a file and is looked at on every `maintain`.
pub const MAX_CURSORS: usize = 64;
/// How long a cursor's name may be, in bytes; it is a file name.
pub const MAX_CURSOR_NAME_BYTES: usize = 63;

/// What happens when the spool's files would grow past their cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtCap {
    /// Appends are refused until readers made room: whoever sends keeps its data.
    Refuse,
    /// The oldest segments are dropped whole, as gaps that are named to every cursor that had not read them.
    Shed,
}

/// What an owner decides about its spool.
#[derive(Debug, Clone)]
pub struct Config {
    /// The directory; made if missing. One process at a time may open it for writing.
    pub dir: PathBuf,
    /// Size at which a new segment file is begun, bytes; also the largest append call.
    pub segment_bytes: u64,
    /// Largest sum of all segment files, bytes; at least two segments.
    pub cap_bytes: u64,
    /// What happens there.
    pub at_cap: AtCap,
    /// The readers that hold segments back, by name (`[a-z0-9][a-z0-9_-]*`, at most 63 bytes). A cursor that is found on
    /// disk and not declared here holds nothing back and is reported.
    pub cursors: Vec<String>,
    /// How much longer a segment stays for look-back once every cursor is past it. The cap goes before it.
    pub keep: Duration,
    /// Largest payload of one record, bytes.
    pub max_record_bytes: u32,
}

impl Config {
    /// The defaults (32 MiB segments, 1 GiB cap, refuse, no look-back, 1 MiB records) for a directory and its cursors.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, cursors: &[&str]) -> Self {
        Config {
            dir: dir.into(),
            segment_bytes: DEFAULT_SEGMENT_BYTES,
            cap_bytes: DEFAULT_CAP_BYTES,
            at_cap: AtCap::Refuse,
            cursors: cursors.iter().map(|name| (*name).to_owned()).collect(),
            keep: Duration::ZERO,
            max_record_bytes: DEFAULT_MAX_RECORD_BYTES,
        }
    }

    /// The first thing that is wrong with it, in words.
    pub(crate) fn fault(&self) -> Option<String> {
        let overhead = (SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES) as u64;
        if self.max_record_bytes > MAX_RECORD_BYTES {
            return Some(format!("max_record_bytes is above {MAX_RECORD_BYTES}"));
        }
        if self.segment_bytes < u64::from(self.max_record_bytes) + overhead {
            return Some(format!("segment_bytes is below max_record_bytes + {overhead}"));
        }
        if self.cap_bytes / 2 < self.segment_bytes {
            return Some("cap_bytes is below two segments".to_owned());
        }
        if self.cursors.len() > MAX_CURSORS {
            return Some(format!("more than {MAX_CURSORS} cursors"));
        }
        for (index, name) in self.cursors.iter().enumerate() {
            if !is_cursor_name(name) {
                return Some(format!("cursor name {name:?} is not [a-z0-9][a-z0-9_-]*"));
            }
            if self.cursors[..index].contains(name) {
                return Some(format!("cursor {name:?} is declared twice"));
            }
        }
        None
    }
}

/// Whether a name can be a cursor's: it becomes a file name, so nothing that could leave the directory.
pub(crate) fn is_cursor_name(name: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    !name.is_empty()
        && name.len() <= MAX_CURSOR_NAME_BYTES
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|c| plain(c) || c == b'-' || c == b'_')
}
