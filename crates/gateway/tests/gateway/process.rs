//! A disk as one process sees it: dead processes write nothing.
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use spool::testing::SimDisk;
use spool::{Access, Disk, DiskFile, Entry, HeldLock};

/// The disk as one process sees it: once it is dead, nothing of it touches the disk any more, not even late threads.
#[derive(Clone)]
pub(crate) struct Process {
    disk: SimDisk,
    dead: Arc<AtomicBool>,
}

impl Process {
    pub(crate) fn on(disk: &SimDisk) -> Self {
        Self {
            disk: disk.clone(),
            dead: Arc::default(),
        }
    }

    /// SIGKILL: what was written stays.
    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.disk.kill_process();
    }

    /// Lights out: what was not synced is lost, in part by chance.
    pub(crate) fn cut_power(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.disk.cut_power();
    }

    fn alive(&self) -> io::Result<&SimDisk> {
        match self.dead.load(Ordering::SeqCst) {
            true => Err(io::Error::other("the process is dead")),
            false => Ok(&self.disk),
        }
    }
}

impl Disk for Process {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.alive()?.create_dir_all(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.alive()?.list(dir)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.alive()?.create(path)
    }
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        self.alive()?.open(path, access)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.alive()?.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.alive()?.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.alive()?.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn HeldLock>> {
        self.alive()?.lock(path)
    }
}
