//! The snapshot's file: written beside, synced, renamed over, directory synced; so that one whole snapshot always stands.
use std::io;
use std::path::{Path, PathBuf};

use spool::{Access, Disk};

use super::{Ledger, SnapshotError};

/// The snapshot in the gateway's directory.
pub const FILE_NAME: &str = "ledger.snapshot";
/// No more is read: 10,000 devices with all their boots full need less.
const BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Why there is no snapshot to start from.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file system said no.
    #[error("cannot read the ledger snapshot {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// It is none.
    #[error("cannot use the ledger snapshot {path}; the log's tail is used alone")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: SnapshotError,
    },
}

/// Reads the snapshot in `dir` and the offset that it covers; `None` if there is none yet.
///
/// # Errors
/// It is there and cannot be read or used.
pub fn load(disk: &dyn Disk, dir: &Path) -> Result<Option<(Ledger, u64)>, LoadError> {
    let path = dir.join(FILE_NAME);
    let bytes = match read(disk, &path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(source) => return Err(LoadError::Io { path, source }),
    };
    Ledger::decode(&bytes)
        .map(Some)
        .map_err(|source| LoadError::Content { path, source })
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, Access::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let bytes = usize::try_from(file.bytes()?.min(BYTES_MAX)).unwrap_or(0);
    let mut content = vec![0; bytes];
    let got = file.read_at(&mut content, 0)?;
    content.truncate(got);
    Ok(Some(content))
}

/// Replaces the snapshot in `dir` durably.
///
/// # Errors
/// The file system's no; the former snapshot stands.
pub(crate) fn store(disk: &dyn Disk, dir: &Path, snapshot: &[u8]) -> io::Result<()> {
    let path = dir.join(FILE_NAME);
    let beside = path.with_extension("new");
    // A new file each time: after a failed fsync the old one would not be trusted.
    match disk.remove(&beside) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let file = disk.create(&beside)?;
    file.write_at(snapshot, 0)?;
    file.sync()?;
    disk.rename(&beside, &path)?;
    disk.sync_dir(dir)
}
