//! The seam to the file system: the few calls that durability rests on, so that a test twin can fail each of them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// For reading only.
    Read,
    /// For reading and writing; the file exists already.
    Write,
}

/// A file in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name without the directory.
    pub name: String,
    /// Its length, bytes.
    pub bytes: u64,
}

/// A lock that is held until it is dropped.
pub trait HeldLock: Send + Sync {}

/// A file system, as far as the spool uses one. Errors are those of the operating system; `StorageFull` and
/// `QuotaExceeded` mean a full disk.
pub trait Disk: Send + Sync + 'static {
    /// Makes the directory and its parents if missing.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// The plain files of a directory, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Makes a new file for reading and writing; an error if it exists.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames over whatever is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Locks a file (made if missing) for this open alone; `WouldBlock` if somebody holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn HeldLock>>;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Writes all of `bytes` at a position. After an error, any part of them may be there.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Reads up to `into.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize>;
    /// Its length, bytes.
    fn bytes(&self) -> io::Result<u64>;
    /// Cuts or extends it.
    fn set_bytes(&self, bytes: u64) -> io::Result<()>;
    /// Makes content and length durable. After an error the file must not be synced again: the kernel may have
    /// forgotten which pages were dirty and report success for bytes that are not on the disk.
    fn sync(&self) -> io::Result<()>;
    /// Drops clean pages from the cache, so that the next read tells what the disk really holds. Best effort.
    fn forget_cache(&self);
}

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;

impl HeldLock for File {}

impl Disk for OsDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                // Removed between the listing and the look: it is not there.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            if let (true, Ok(name)) = (meta.is_file(), entry.file_name().into_string()) {
                entries.push(Entry {
                    name,
                    bytes: meta.len(),
                });
            }
        }
        Ok(entries)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(Arc::new(OsFile(file)))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(access == Access::Write)
            .open(path)?;
        Ok(Arc::new(OsFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn HeldLock>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        file.try_lock()?;
        Ok(Box::new(file))
    }
}

struct OsFile(File);

impl DiskFile for OsFile {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < into.len() {
            match self.0.read_at(&mut into[done..], at + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn forget_cache(&self) {
        let all = None;
        let _ = rustix::fs::fadvise(&self.0, 0, all, rustix::fs::Advice::DontNeed);
    }
}

/// Whether an error says that the disk is full (or the quota used up).
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Makes a file that a former process wrote hold on the disk what it holds in the cache, so that what is read from it
/// can be relied upon. Whether all went well: if not, the file should not be written to again.
///
/// If a former fsync had failed, the kernel may hold pages that are not on the disk and call them clean: they are
/// forgotten, and what is read next is what the disk really has. If the fsync fails here, the pages are clean or still
/// dirty, depending on the file system; a second one settles the latter, or nothing can be known and this is an error.
pub(crate) fn settle(file: &dyn DiskFile) -> io::Result<bool> {
    let first = file.sync();
    file.forget_cache();
    if first.is_err() {
        file.sync()?;
        file.forget_cache();
    }
    Ok(first.is_ok())
}
