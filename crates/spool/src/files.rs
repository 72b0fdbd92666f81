//! The layout of the directory, and small files that are replaced whole or not at all.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Access, Disk};
use crate::format::{segment_name, u32_at, u64_at};
use crate::record::Offset;

/// Marks a file that was being written when the process died; removed at the next open.
pub(crate) const UNFINISHED: &str = ".tmp";
/// Largest small file that is read back, bytes.
const SMALL_FILE_BYTES: u64 = 64 * 1024;
const IDENTITY_MAGIC: [u8; 8] = *b"DMTLSID\n";
const IDENTITY_BYTES: usize = 20;

/// Where things are.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) dir: PathBuf,
}

impl Layout {
    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub(crate) fn cursors(&self) -> PathBuf {
        self.dir.join("cursors")
    }

    pub(crate) fn corrupt(&self) -> PathBuf {
        self.dir.join("corrupt")
    }

    pub(crate) fn shed(&self) -> PathBuf {
        self.dir.join("shed")
    }

    pub(crate) fn identity(&self) -> PathBuf {
        self.dir.join("identity")
    }

    pub(crate) fn probe(&self) -> PathBuf {
        self.dir.join("probe.tmp")
    }

    pub(crate) fn segment(&self, first: Offset) -> PathBuf {
        self.dir.join(segment_name(first))
    }
}

/// Replaces a small file durably: new file, fsync, rename, fsync of the directory. On an error the old one stands.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let unfinished = PathBuf::from(unfinished);
    let _ = disk.remove(&unfinished);
    let file = disk.create(&unfinished)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.rename(&unfinished, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Reads a small file whole; `None` if it is not there.
pub(crate) fn read_small(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, Access::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut bytes = vec![0; file.bytes()?.min(SMALL_FILE_BYTES) as usize];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// The identity as it stands in its file.
pub(crate) fn encode_identity(identity: u64) -> [u8; IDENTITY_BYTES] {
    let mut out = [0; IDENTITY_BYTES];
    out[0..8].copy_from_slice(&IDENTITY_MAGIC);
    out[8..16].copy_from_slice(&identity.to_le_bytes());
    let checksum = crc32fast::hash(&out[..16]);
    out[16..].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// The identity that a file holds, if it is intact.
pub(crate) fn decode_identity(bytes: &[u8]) -> Option<u64> {
    let intact = bytes.len() == IDENTITY_BYTES
        && bytes[0..8] == IDENTITY_MAGIC
        && u32_at(bytes, 16) == crc32fast::hash(&bytes[..16]);
    intact.then(|| u64_at(bytes, 8))
}
