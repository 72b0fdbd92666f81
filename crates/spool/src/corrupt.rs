//! Damaged bytes are kept aside for whoever wants to know what happened, within a bound.

use std::io;
use std::ops::Range;

use crate::disk::{Disk, DiskFile};
use crate::files::Layout;
use crate::record::Offset;

/// How many bytes `corrupt/` may hold; beyond, damage is only counted.
pub const CORRUPT_KEPT_BYTES: u64 = 16 * 1024 * 1024;
/// How many files it may hold.
pub const CORRUPT_KEPT_FILES: u64 = 1024;
const CHUNK_BYTES: u64 = 1024 * 1024;

/// What `corrupt/` holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// Whether damaged bytes were kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A new file.
    Kept,
    /// They are there from an earlier look at the same place.
    KnownBefore,
    /// The bound is reached or they could not be written: only counted.
    NotKept,
}

impl Kept {
    pub(crate) fn load(disk: &dyn Disk, layout: &Layout) -> io::Result<Kept> {
        let mut kept = Kept::default();
        for entry in disk.list(&layout.corrupt())? {
            kept.files += 1;
            kept.bytes += entry.bytes;
        }
        Ok(kept)
    }

    /// Copies bytes of a segment into a file named by segment and position. Best effort: not fsynced, it is evidence
    /// about damage and not the log.
    pub(crate) fn keep(
        &mut self,
        disk: &dyn Disk,
        layout: &Layout,
        segment: Offset,
        file: &dyn DiskFile,
        range: &Range<u64>,
    ) -> Outcome {
        let bytes = range.end.saturating_sub(range.start);
        if self.files >= CORRUPT_KEPT_FILES || self.bytes + bytes > CORRUPT_KEPT_BYTES {
            return Outcome::NotKept;
        }
        let name = format!("{:020}-{}.bytes", segment.0, range.start);
        let target = match disk.create(&layout.corrupt().join(name)) {
            Ok(target) => target,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Outcome::KnownBefore,
            Err(_) => return Outcome::NotKept,
        };
        self.files += 1;
        self.bytes += bytes;
        match copy(file, range, target.as_ref()) {
            Ok(()) => Outcome::Kept,
            Err(_) => Outcome::NotKept,
        }
    }
}

fn copy(from: &dyn DiskFile, range: &Range<u64>, to: &dyn DiskFile) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let mut chunk = vec![0; (range.end - at).min(CHUNK_BYTES) as usize];
        let read = from.read_at(&mut chunk, at)?;
        if read == 0 {
            break;
        }
        to.write_at(&chunk[..read], at - range.start)?;
        at += read as u64;
    }
    Ok(())
}
