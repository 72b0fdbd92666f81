//! A file system in memory that loses what was not synced and fails what it is told to fail, from a seed.
//!
//! What it models: files have pages in a cache and pages on the platter; `sync` moves one to the other; a name in a
//! directory is durable after `sync_dir`. A power cut keeps everything synced and, of the rest, by chance: nothing, a
//! prefix of the writes, or any pages of them; unsynced names by chance too. A failed `sync` marks all pages clean and
//! writes only some of them, as Linux may: reads still see them until [`DiskFile::forget_cache`] or a power cut, and a
//! second `sync` reports a success that is none.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Access, Disk, DiskFile, Entry, HeldLock};

mod file;
mod platter;

use file::SimFile;
use platter::{Failure, Inode, PAGE, Sim};

/// How many calls the log keeps; older ones are forgotten.
pub const CALLS_KEPT: usize = 100_000;

/// The calls that can fail and that the log tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// [`Disk::create`].
    Create,
    /// [`Disk::open`].
    Open,
    /// [`Disk::rename`] (the path is the target).
    Rename,
    /// [`Disk::remove`].
    Remove,
    /// [`Disk::sync_dir`].
    SyncDir,
    /// [`DiskFile::write_at`]; a failing one leaves a prefix.
    Write,
    /// [`DiskFile::read_at`].
    Read,
    /// [`DiskFile::set_bytes`].
    SetBytes,
    /// [`DiskFile::sync`]; one that fails as `Interrupted` did nothing, as if the process died just before it.
    Sync,
}

/// One call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What.
    pub op: Op,
    /// On what: the name that the file was opened by.
    pub path: PathBuf,
    /// Whether it succeeded.
    pub ok: bool,
}

/// The twin of [`crate::OsDisk`] for tests; clones share it.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<Sim>>,
    during_sync: Arc<Mutex<Option<Hook>>>,
}

type Hook = Box<dyn FnOnce() + Send>;

struct SimLock {
    disk: SimDisk,
    epoch: u64,
    path: PathBuf,
}

impl SimDisk {
    /// An empty disk without a limit. The seed decides what a power cut keeps.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = Sim {
            random: seed ^ 0x9E37_79B9_7F4A_7C15,
            epoch: 0,
            next_inode: 0,
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            dirs: BTreeSet::new(),
            locks: BTreeSet::new(),
            capacity: None,
            failures: Vec::new(),
            calls: std::collections::VecDeque::new(),
        };
        SimDisk {
            state: Arc::new(Mutex::new(state)),
            during_sync: Arc::new(Mutex::new(None)),
        }
    }

    /// Cuts the power: unsynced bytes and names are lost, in part by chance; open files and locks are dead; planned
    /// failures are forgotten.
    pub fn cut_power(&self) {
        let mut sim = self.sim();
        sim.epoch += 1;
        sim.locks.clear();
        sim.failures.clear();
        sim.lose_names();
        let ids: Vec<u64> = sim.inodes.keys().copied().collect();
        for id in ids {
            let Some(mut inode) = sim.inodes.remove(&id) else {
                continue;
            };
            inode.lose(&mut || sim.random());
            if sim.names.values().any(|named| *named == id) {
                sim.inodes.insert(id, inode);
            }
        }
    }

    /// Kills the process: everything that was written stays, open files and locks are dead.
    pub fn kill_process(&self) {
        let mut sim = self.sim();
        sim.epoch += 1;
        sim.locks.clear();
    }

    /// Lets calls of `op` on paths that contain `part_of_path` fail: `after` of them still succeed, then `times` fail.
    pub fn fail(&self, op: Op, part_of_path: &str, after: u32, times: u32, kind: io::ErrorKind) {
        self.sim().failures.push(Failure {
            op,
            part_of_path: part_of_path.to_owned(),
            after,
            times,
            kind,
        });
    }

    /// Runs `hook` once, within the next [`DiskFile::sync`], after it did its work and before it returns: what other
    /// threads may do meanwhile.
    pub fn during_next_sync(&self, hook: Box<dyn FnOnce() + Send>) {
        *self.hook() = Some(hook);
    }

    /// Forgets all planned failures.
    pub fn heal(&self) {
        self.sim().failures.clear();
    }

    /// Limits the sum of all file lengths, bytes; a write beyond it fails with `StorageFull` after a prefix.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.sim().capacity = bytes;
    }

    /// The sum of all file lengths, bytes.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.sim().used()
    }

    /// Flips bits of one byte, on the platter and in the cache. Nothing happens beyond the file's end.
    pub fn flip(&self, path: &Path, at: usize, mask: u8) {
        self.damage(path, |bytes| {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= mask;
            }
        });
    }

    /// Makes the page around a byte of a file unreadable for ever.
    pub fn break_page(&self, path: &Path, at: usize) {
        let mut sim = self.sim();
        let id = sim.names.get(path).copied();
        if let Some(inode) = id.and_then(|id| sim.inodes.get_mut(&id)) {
            inode.bad.insert(at / PAGE);
        }
    }

    /// Cuts a file, on the platter and in the cache.
    pub fn truncate(&self, path: &Path, bytes: usize) {
        self.damage(path, |content| content.truncate(bytes));
    }

    /// The content of a file as a reader sees it.
    #[must_use]
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let sim = self.sim();
        let id = sim.names.get(path)?;
        Some(sim.inodes.get(id)?.cached.clone())
    }

    /// All paths, sorted.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.sim().names.keys().cloned().collect()
    }

    /// The calls since the last look (at most [`CALLS_KEPT`]).
    #[must_use]
    pub fn take_calls(&self) -> Vec<Call> {
        self.sim().calls.drain(..).collect()
    }

    fn damage(&self, path: &Path, change: impl Fn(&mut Vec<u8>)) {
        let mut sim = self.sim();
        let Some(id) = sim.names.get(path).copied() else {
            return;
        };
        if let Some(inode) = sim.inodes.get_mut(&id) {
            change(&mut inode.cached);
            change(&mut inode.durable);
            inode.dirty.clear();
            inode.durable.clone_from(&inode.cached);
        }
    }

    fn hook(&self) -> MutexGuard<'_, Option<Hook>> {
        self.during_sync.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sim(&self) -> MutexGuard<'_, Sim> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, sim: &Sim, path: &Path, inode: u64) -> Arc<dyn DiskFile> {
        Arc::new(SimFile {
            disk: self.clone(),
            epoch: sim.epoch,
            inode,
            path: path.to_owned(),
        })
    }
}

impl Disk for SimDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.sim().dirs.insert(dir.to_owned());
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let sim = self.sim();
        let named = sim.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        Ok(named
            .filter_map(|(path, id)| {
                Some(Entry {
                    name: path.file_name()?.to_str()?.to_owned(),
                    bytes: sim.inodes.get(id)?.cached.len() as u64,
                })
            })
            .collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut sim = self.sim();
        sim.called(Op::Create, path)?;
        if sim.names.contains_key(path) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        sim.next_inode += 1;
        let id = sim.next_inode;
        sim.inodes.insert(id, Inode::default());
        sim.names.insert(path.to_owned(), id);
        Ok(self.handle(&sim, path, id))
    }

    fn open(&self, path: &Path, _access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut sim = self.sim();
        sim.called(Op::Open, path)?;
        match sim.names.get(path).copied() {
            Some(id) => Ok(self.handle(&sim, path, id)),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut sim = self.sim();
        sim.called(Op::Rename, to)?;
        let id = sim
            .names
            .remove(from)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        sim.names.insert(to.to_owned(), id);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut sim = self.sim();
        sim.called(Op::Remove, path)?;
        match sim.names.remove(path) {
            Some(_) => Ok(()),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut sim = self.sim();
        sim.called(Op::SyncDir, dir)?;
        sim.durable_names.retain(|path, _| path.parent() != Some(dir));
        let here: Vec<(PathBuf, u64)> = sim
            .names
            .iter()
            .filter(|(path, _)| path.parent() == Some(dir))
            .map(|(path, id)| (path.clone(), *id))
            .collect();
        sim.durable_names.extend(here);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn HeldLock>> {
        let mut sim = self.sim();
        if !sim.locks.insert(path.to_owned()) {
            return Err(io::Error::from(io::ErrorKind::WouldBlock));
        }
        Ok(Box::new(SimLock {
            disk: self.clone(),
            epoch: sim.epoch,
            path: path.to_owned(),
        }))
    }
}

impl HeldLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut sim = self.disk.sim();
        if sim.epoch == self.epoch {
            sim.locks.remove(&self.path);
        }
    }
}
