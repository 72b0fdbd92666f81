//! Looking at a spool without opening it: read-only, beside a running process.

use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

use crate::corrupt::Kept;
use crate::disk::{Access, Disk};
use crate::error::OpenError;
use crate::files::{Layout, decode_identity, read_small};
use crate::format::Seed;
use crate::record::{Offset, from_micros};
use crate::recover::{FoundSegment, find_segments, list_cursors};
use crate::scan::{Scan, Step};
use crate::shed::{ShedGap, ShedLog};

/// How many places of damage are listed per segment; beyond, they are only counted.
pub const DAMAGE_LISTED: usize = 100;

/// What is in a spool's directory.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Segments, oldest first.
    pub segments: Vec<SegmentInspection>,
    /// Cursor files and their positions.
    pub cursors: Vec<(String, Offset)>,
    /// What cursors lost at the cap.
    pub shed: Vec<ShedGap>,
    /// Files in `corrupt/`.
    pub corrupt_files: u64,
    /// Their bytes.
    pub corrupt_kept_bytes: u64,
}

/// One segment.
#[derive(Debug, Clone)]
pub struct SegmentInspection {
    /// Its first ordinal, which is its name.
    pub first: Offset,
    /// The ordinal after its last good record.
    pub end: Offset,
    /// Its length, bytes.
    pub bytes: u64,
    /// Whether its header is intact.
    pub header_intact: bool,
    /// Good records that count.
    pub records: u64,
    /// When its first good record was appended.
    pub first_appended_at: Option<SystemTime>,
    /// When its last good record was appended.
    pub last_appended_at: Option<SystemTime>,
    /// Stretches of bytes that are no record although good ones follow; at most [`DAMAGE_LISTED`].
    pub damage: Vec<Range<u64>>,
    /// All of them together, bytes.
    pub damaged_bytes: u64,
    /// Bytes after the last good record: torn, or being written right now.
    pub tail_bytes: u64,
}

/// Reads the whole spool in `dir` and tells what is there. Opens nothing for writing and takes no lock; memory is
/// bounded, time is that of reading all bytes. A segment that is retired meanwhile is left out.
///
/// # Errors
/// The directory is not a readable spool, or of a newer format.
pub fn inspect(dir: &Path, disk: &dyn Disk) -> Result<Inspection, OpenError> {
    let layout = Layout { dir: dir.to_owned() };
    let io = |source| OpenError::Io {
        path: dir.to_owned(),
        source,
    };
    let found = find_segments(disk, &layout)?;
    let identity = read_small(disk, &layout.identity())
        .map_err(io)?
        .as_deref()
        .and_then(decode_identity)
        .or_else(|| found.iter().find_map(|s| s.header.map(|h| h.identity)))
        .unwrap_or(0);
    let mut segments = Vec::new();
    for (index, segment) in found.iter().enumerate() {
        let void_from = found
            .get(index + 1)
            .map(|next| next.header.map_or(next.first, |header| header.previous_end));
        match inspect_segment(disk, &layout, segment, Seed::of(identity), void_from) {
            Ok(found) => segments.push(found),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(io(e)),
        }
    }
    let shed = read_small(disk, &layout.shed()).map_err(io)?;
    let kept = Kept::load(disk, &layout).map_err(io)?;
    Ok(Inspection {
        segments,
        cursors: list_cursors(disk, &layout).map_err(io)?,
        shed: shed
            .as_deref()
            .and_then(ShedLog::decode)
            .map_or_else(Vec::new, |log| log.gaps),
        corrupt_files: kept.files,
        corrupt_kept_bytes: kept.bytes,
    })
}

fn inspect_segment(
    disk: &dyn Disk,
    layout: &Layout,
    found: &FoundSegment,
    seed: Seed,
    void_from: Option<Offset>,
) -> std::io::Result<SegmentInspection> {
    let file = disk.open(&layout.segment(found.first), Access::Read)?;
    let bytes = file.bytes()?;
    let mut out = SegmentInspection {
        first: found.first,
        end: found.first,
        bytes,
        header_intact: found.header.is_some(),
        records: 0,
        first_appended_at: None,
        last_appended_at: None,
        damage: Vec::new(),
        damaged_bytes: 0,
        tail_bytes: 0,
    };
    let mut scan = Scan::new(file, seed, 0, bytes);
    loop {
        match scan.step(out.end..void_from.unwrap_or(Offset(u64::MAX)))? {
            Step::Record { header, .. } => {
                let appended_at = Some(from_micros(header.appended_at));
                out.records += 1;
                out.end = header.ordinal.successor();
                out.first_appended_at = out.first_appended_at.or(appended_at);
                out.last_appended_at = appended_at;
                out.damaged_bytes += std::mem::take(&mut out.tail_bytes);
            }
            Step::Damage { bytes } => {
                out.tail_bytes += bytes.end - bytes.start;
                if out.damage.len() < DAMAGE_LISTED {
                    out.damage.push(bytes);
                }
            }
            Step::End => break,
        }
    }
    if out.tail_bytes > 0 && out.damage.last().is_some_and(|last| last.end == bytes) {
        out.damage.pop();
    }
    Ok(out)
}
