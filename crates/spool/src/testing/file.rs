//! An open file of the disk in memory: reads and writes go to the cache, `sync` moves them to the platter or loses them.

use std::io;
use std::path::PathBuf;

use super::platter::{Change, PAGE, apply, pages};
use super::{Op, SimDisk};
use crate::disk::DiskFile;

/// A handle; it is stale after a power cut or a kill, which begin another epoch.
pub(super) struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) epoch: u64,
    pub(super) inode: u64,
    pub(super) path: PathBuf,
}

impl DiskFile for SimFile {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut sim = self.disk.sim();
        let planned = sim.called(Op::Write, &self.path);
        let room = match sim.capacity {
            Some(capacity) => capacity.saturating_sub(sim.used()) as usize,
            None => usize::MAX,
        };
        let part = sim.random() as usize % (bytes.len() + 1);
        let inode = sim.inode(self)?;
        let at = at as usize;
        let grows = (at + bytes.len()).saturating_sub(inode.cached.len());
        let (written, result) = match planned {
            Err(e) => (part, Err(e)),
            Ok(()) if grows > room => (
                bytes.len() - (grows - room),
                Err(io::Error::from(io::ErrorKind::StorageFull)),
            ),
            Ok(()) => (bytes.len(), Ok(())),
        };
        let change = Change::Write(at, bytes[..written].to_vec());
        apply(&mut inode.cached, &change);
        inode.dirty.push(change);
        result
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let mut sim = self.disk.sim();
        sim.called(Op::Read, &self.path)?;
        let inode = sim.inode(self)?;
        let touched = at as usize / PAGE..(at as usize + into.len()).div_ceil(PAGE);
        if inode.bad.range(touched).next().is_some() {
            return Err(io::Error::other("bad page"));
        }
        let content = &inode.cached;
        let from = (at as usize).min(content.len());
        let length = into.len().min(content.len() - from);
        into[..length].copy_from_slice(&content[from..from + length]);
        Ok(length)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.disk.sim().inode(self)?.cached.len() as u64)
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        let mut sim = self.disk.sim();
        sim.called(Op::SetBytes, &self.path)?;
        let inode = sim.inode(self)?;
        let change = Change::Length(bytes as usize);
        apply(&mut inode.cached, &change);
        inode.dirty.push(change);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut sim = self.disk.sim();
        let planned = sim.called(Op::Sync, &self.path);
        if planned.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::Interrupted) {
            return planned;
        }
        let changes = std::mem::take(&mut sim.inode(self)?.dirty);
        // Synced or failed: the pages count as clean from here on. A failed sync may have written some of them.
        for change in changes.iter().flat_map(pages) {
            if planned.is_ok() || sim.random().is_multiple_of(2) {
                apply(&mut sim.inode(self)?.durable, &change);
            }
        }
        drop(sim);
        let hook = self.disk.hook().take();
        if let Some(hook) = hook {
            hook();
        }
        planned
    }

    fn forget_cache(&self) {
        let mut sim = self.disk.sim();
        if let Ok(inode) = sim.inode(self)
            && inode.dirty.is_empty()
        {
            inode.cached.clone_from(&inode.durable);
        }
    }
}
