//! A named position that survives a crash: two checksummed slots, written in turn, so that one is always whole.
//!
//! | slot, 64 bytes, at 0 and at 4096 | bytes | what |
//! |---|---|---|
//! | magic | 0..8 | `DMTLCUR\n` |
//! | sequence | 8..16 | u64, the higher one counts; its parity is the slot |
//! | offset | 16..24 | u64, everything before it is consumed |
//! | zero | 24..60 | |
//! | checksum | 60..64 | CRC-32 of bytes 0..60 |

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Access, Disk, DiskFile, settle};
use crate::files::{read_small, replace};
use crate::format::{u32_at, u64_at};
use crate::record::Offset;

const MAGIC: [u8; 8] = *b"DMTLCUR\n";
const SLOT_BYTES: usize = 64;
const CHECKED: usize = 60;
/// The slots stand in two pages, so that one torn page cannot take both.
const SLOT_STRIDE: u64 = 4096;

/// A cursor's file. After a failed write or fsync it is not trusted again but replaced by a new one.
pub(crate) struct CursorFile {
    path: PathBuf,
    sequence: u64,
    file: Option<Arc<dyn DiskFile>>,
}

/// What was found at open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A position.
    At(Offset),
    /// No file.
    Missing,
    /// A file without a readable slot.
    Damaged,
}

impl CursorFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        CursorFile {
            path,
            sequence: 0,
            file: None,
        }
    }

    /// Reads the position that is on the disk: what a killed process wrote and did not sync is synced first, because
    /// segments are unlinked on the strength of it. An intact file is written to in place from then on, which works on a
    /// full disk too.
    pub(crate) fn load(&mut self, disk: &dyn Disk) -> io::Result<Found> {
        let file = match disk.open(&self.path, Access::Write) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
            Err(e) => return Err(e),
        };
        let settled = settle(file.as_ref())?;
        let (found, sequence) = look(disk, &self.path)?;
        self.sequence = sequence;
        let whole = file.bytes()? == SLOT_STRIDE + SLOT_BYTES as u64;
        if settled && whole && found != Found::Damaged {
            self.file = Some(file);
        }
        Ok(found)
    }

    /// Makes a position durable. On an error the former one stands (or, after a failed fsync, possibly the new one).
    pub(crate) fn store(&mut self, disk: &dyn Disk, at: Offset) -> io::Result<()> {
        let sequence = self.sequence + 1;
        let slot = encode(sequence, at);
        let Some(file) = self.file.take() else {
            let page = (sequence % 2 * SLOT_STRIDE) as usize;
            let mut whole = vec![0; SLOT_STRIDE as usize + SLOT_BYTES];
            whole[page..page + SLOT_BYTES].copy_from_slice(&slot);
            replace(disk, &self.path, &whole)?;
            self.file = Some(disk.open(&self.path, Access::Write)?);
            self.sequence = sequence;
            return Ok(());
        };
        // `file` is taken: whatever fails from here on, the next store writes a new file.
        file.write_at(&slot, sequence % 2 * SLOT_STRIDE)?;
        file.sync()?;
        self.file = Some(file);
        self.sequence = sequence;
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// The position that a cursor file holds and its sequence, opening nothing for writing.
pub(crate) fn look(disk: &dyn Disk, path: &Path) -> io::Result<(Found, u64)> {
    let Some(bytes) = read_small(disk, path)? else {
        return Ok((Found::Missing, 0));
    };
    let newest = [0, SLOT_STRIDE as usize]
        .into_iter()
        .filter_map(|at| decode(bytes.get(at..at + SLOT_BYTES)?))
        .max_by_key(|(sequence, _)| *sequence);
    Ok(match newest {
        Some((sequence, at)) => (Found::At(at), sequence),
        None => (Found::Damaged, 0),
    })
}

fn encode(sequence: u64, at: Offset) -> [u8; SLOT_BYTES] {
    let mut out = [0; SLOT_BYTES];
    out[0..8].copy_from_slice(&MAGIC);
    out[8..16].copy_from_slice(&sequence.to_le_bytes());
    out[16..24].copy_from_slice(&at.0.to_le_bytes());
    let checksum = crc32fast::hash(&out[..CHECKED]);
    out[CHECKED..].copy_from_slice(&checksum.to_le_bytes());
    out
}

fn decode(slot: &[u8]) -> Option<(u64, Offset)> {
    let intact = slot[0..8] == MAGIC && u32_at(slot, CHECKED) == crc32fast::hash(&slot[..CHECKED]);
    intact.then(|| (u64_at(slot, 8), Offset(u64_at(slot, 16))))
}
