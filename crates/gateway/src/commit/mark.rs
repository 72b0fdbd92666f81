//! How far every log has what the store has.
//!
//! A crash between the store's append and alerting's leaves frames that the ledger, rebuilt from the store, takes for known,
//! and that alerting never got. The mark says up to which offset of the store that cannot be. It is written after each commit
//! without an fsync: a killed process leaves it exact, a power cut leaves an older one or none, and both only mean that more is
//! handed to alerting again, which knows its copies.
use std::io;
use std::path::Path;
use std::sync::Arc;

use spool::{Access, Disk, DiskFile, Offset};

/// The mark in the gateway's directory.
pub(crate) const FILE_NAME: &str = "handed-on";
const MAGIC: u64 = u64::from_le_bytes(*b"DMTLMRK1");

/// The mark's file, open.
pub(crate) struct Mark {
    file: Arc<dyn DiskFile>,
}

impl Mark {
    /// Opens the mark in `dir`, making it if missing; gives what it says.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path) -> io::Result<(Self, Option<Offset>)> {
        let path = dir.join(FILE_NAME);
        let file = match disk.open(&path, Access::Write) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let file = disk.create(&path)?;
                disk.sync_dir(dir)?;
                file
            }
            Err(e) => return Err(e),
        };
        let mut bytes = [0; 24];
        let got = file.read_at(&mut bytes, 0)?;
        let said = decode(bytes.get(..got).unwrap_or(&[]));
        Ok((Self { file }, said))
    }

    /// Says that every log has everything before `offset`, durably.
    pub(crate) fn set(&self, offset: Offset) -> io::Result<()> {
        let mut bytes = [0; 24];
        let numbers = [MAGIC, offset.0, checksum(offset.0)];
        for (into, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            into.copy_from_slice(&number.to_le_bytes());
        }
        self.file.write_at(&bytes, 0)
    }
}

fn checksum(offset: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(&offset.to_le_bytes(), MAGIC)
}

fn decode(bytes: &[u8]) -> Option<Offset> {
    let mut numbers = bytes
        .chunks_exact(8)
        .filter_map(|b| Some(u64::from_le_bytes(b.try_into().ok()?)));
    let (magic, offset, sum) = (numbers.next()?, numbers.next()?, numbers.next()?);
    (magic == MAGIC && sum == checksum(offset)).then_some(Offset(offset))
}
