//! Copying a spool while somebody else writes it: what was durable when the copy was finished is in it, whole.
//!
//! A reader's own state (a database that says how far it got) has to be copied between [`Copying::begin`] and
//! [`Copying::finish`]: the positions of the cursors in the copy are then none that the state is behind of, and no record
//! that the state knows is missing, so that its ordinal cannot be given to another one after a restore.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cursor::CursorFile;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::OpenError;
use crate::files::{Layout, read_small, replace};
use crate::inspect::inspect;
use crate::record::Offset;
use crate::recover::{find_segments, list_cursors};

/// What is read and written at a time, bytes.
const CHUNK_BYTES: usize = 1024 * 1024;

/// A copy that has begun. Segments that are retired meanwhile stay readable: their files are open.
pub struct Copying {
    from: Layout,
    disk: Arc<dyn Disk>,
    identity: Option<Vec<u8>>,
    cursors: Vec<(String, Offset)>,
    segments: BTreeMap<Offset, Arc<dyn DiskFile>>,
}

/// What is in a finished copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Files of segments.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Records that can be read back: the copy was read to count them.
    pub records: u64,
    /// The ordinal after the last of them.
    pub end: Offset,
}

impl Copying {
    /// Keeps the cursors' positions and opens every segment. Writes nothing and takes no lock.
    ///
    /// # Errors
    /// `dir` is not a readable spool.
    pub fn begin(dir: &Path, disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        let from = Layout { dir: dir.to_owned() };
        let failed = |path: PathBuf| move |source| OpenError::Io { path, source };
        let cursors = list_cursors(disk.as_ref(), &from).map_err(failed(from.cursors()))?;
        let identity = read_small(disk.as_ref(), &from.identity()).map_err(failed(from.identity()))?;
        let mut copying = Self {
            from,
            disk,
            identity,
            cursors,
            segments: BTreeMap::new(),
        };
        copying.look_again()?;
        Ok(copying)
    }

    /// Opens the segments that were begun since: between two long steps of whoever copies, so that none can begin and be
    /// retired unseen.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn look_again(&mut self) -> Result<(), OpenError> {
        for segment in find_segments(self.disk.as_ref(), &self.from)? {
            if self.segments.contains_key(&segment.first) {
                continue;
            }
            let path = self.from.segment(segment.first);
            match self.disk.open(&path, Access::Read) {
                Ok(file) => _ = self.segments.insert(segment.first, file),
                // Retired between the listing and here: every reader is past it.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(OpenError::Io { path, source }),
            }
        }
        Ok(())
    }

    /// Writes the copy into `to`, a folder that has no spool yet, durably, and reads it back.
    ///
    /// # Errors
    /// Something cannot be read or written, or the copy is not a spool.
    pub fn finish(mut self, to: &Path) -> Result<Copied, OpenError> {
        self.look_again()?;
        let into = Layout { dir: to.to_owned() };
        self.write(&into).map_err(|source| OpenError::Io {
            path: to.to_owned(),
            source,
        })?;
        let found = inspect(to, self.disk.as_ref())?;
        Ok(Copied {
            segments: found.segments.len(),
            bytes: found.segments.iter().map(|segment| segment.bytes).sum(),
            records: found.segments.iter().map(|segment| segment.records).sum(),
            end: found.segments.last().map_or(Offset(0), |segment| segment.end),
        })
    }

    fn write(&self, into: &Layout) -> io::Result<()> {
        let disk = self.disk.as_ref();
        for dir in [into.dir.clone(), into.cursors(), into.corrupt()] {
            disk.create_dir_all(&dir)?;
        }
        if let Some(identity) = &self.identity {
            replace(disk, &into.identity(), identity)?;
        }
        if let Some(shed) = read_small(disk, &self.from.shed())? {
            replace(disk, &into.shed(), &shed)?;
        }
        for (first, segment) in &self.segments {
            let copy = disk.create(&into.segment(*first))?;
            copy_all(segment.as_ref(), copy.as_ref())?;
            copy.sync()?;
        }
        disk.sync_dir(&into.dir)?;
        for (name, at) in &self.cursors {
            CursorFile::new(into.cursors().join(name)).store(disk, *at)?;
        }
        disk.sync_dir(&into.cursors())
    }
}

/// Up to the length that the file has when its turn comes: a record that is being written then is a torn tail, which is cut
/// when the copy is opened.
fn copy_all(from: &dyn DiskFile, to: &dyn DiskFile) -> io::Result<()> {
    let (end, mut at) = (from.bytes()?, 0);
    let mut chunk = vec![0; CHUNK_BYTES];
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let got = from.read_at(&mut chunk[..most], at)?;
        if got == 0 {
            break;
        }
        to.write_at(&chunk[..got], at)?;
        at += got as u64;
    }
    Ok(())
}
