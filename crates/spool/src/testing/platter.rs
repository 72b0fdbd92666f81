//! What the simulated disk holds: names and pages, cached and durable, and what a power cut leaves of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use super::{CALLS_KEPT, Call, Op, SimFile};

pub(super) const PAGE: usize = 4096;

pub(super) struct Sim {
    pub(super) random: u64,
    /// Handles of before the last power cut are dead.
    pub(super) epoch: u64,
    pub(super) next_inode: u64,
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) names: BTreeMap<PathBuf, u64>,
    pub(super) durable_names: BTreeMap<PathBuf, u64>,
    pub(super) dirs: BTreeSet<PathBuf>,
    pub(super) locks: BTreeSet<PathBuf>,
    pub(super) capacity: Option<u64>,
    pub(super) failures: Vec<Failure>,
    pub(super) calls: VecDeque<Call>,
}

pub(super) struct Failure {
    pub(super) op: Op,
    pub(super) part_of_path: String,
    pub(super) after: u32,
    pub(super) times: u32,
    pub(super) kind: io::ErrorKind,
}

#[derive(Default, Clone)]
pub(super) struct Inode {
    pub(super) cached: Vec<u8>,
    pub(super) durable: Vec<u8>,
    /// Unsynced writes in order: position and bytes; or a new length.
    pub(super) dirty: Vec<Change>,
    /// Pages that cannot be read.
    pub(super) bad: BTreeSet<usize>,
}

#[derive(Clone)]
pub(super) enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Sim {
    pub(super) fn random(&mut self) -> u64 {
        // splitmix64
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn used(&self) -> u64 {
        self.names
            .values()
            .filter_map(|id| self.inodes.get(id))
            .map(|inode| inode.cached.len() as u64)
            .sum()
    }

    /// Logs the call and fails it if that was planned.
    pub(super) fn called(&mut self, op: Op, path: &Path) -> io::Result<()> {
        let planned = self.failures.iter_mut().find(|failure| {
            failure.op == op && failure.times > 0 && path.to_string_lossy().contains(&failure.part_of_path)
        });
        let result = match planned {
            Some(failure) if failure.after > 0 => {
                failure.after -= 1;
                Ok(())
            }
            Some(failure) => {
                failure.times -= 1;
                Err(io::Error::from(failure.kind))
            }
            None => Ok(()),
        };
        if self.calls.len() == CALLS_KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(Call {
            op,
            path: path.to_owned(),
            ok: result.is_ok(),
        });
        result
    }

    /// Each unsynced change of a name is kept or lost by itself.
    pub(super) fn lose_names(&mut self) {
        let paths: BTreeSet<PathBuf> = self.names.keys().chain(self.durable_names.keys()).cloned().collect();
        for path in paths {
            let (cached, durable) = (self.names.get(&path).copied(), self.durable_names.get(&path).copied());
            let after = match cached != durable && self.random().is_multiple_of(2) {
                true => cached,
                false => durable,
            };
            match after {
                Some(id) => {
                    self.names.insert(path.clone(), id);
                    self.durable_names.insert(path, id);
                }
                None => {
                    self.names.remove(&path);
                    self.durable_names.remove(&path);
                }
            }
        }
    }

    pub(super) fn inode(&mut self, file: &SimFile) -> io::Result<&mut Inode> {
        if file.epoch != self.epoch {
            return Err(io::Error::other("opened before the power cut"));
        }
        self.inodes
            .get_mut(&file.inode)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl Inode {
    pub(super) fn lose(&mut self, random: &mut dyn FnMut() -> u64) {
        let changes = std::mem::take(&mut self.dirty);
        match random() % 3 {
            0 => {}
            1 => {
                let kept = random() as usize % (changes.len() + 1);
                let torn = random() as usize;
                for (index, change) in changes.iter().take(kept).enumerate() {
                    match change {
                        // The last one that made it may be cut anywhere.
                        Change::Write(at, bytes) if index + 1 == kept => {
                            let part = torn % (bytes.len() + 1);
                            apply(&mut self.durable, &Change::Write(*at, bytes[..part].to_vec()));
                        }
                        change => apply(&mut self.durable, change),
                    }
                }
            }
            _ => {
                for page in changes.iter().flat_map(pages) {
                    if random().is_multiple_of(2) {
                        apply(&mut self.durable, &page);
                    }
                }
            }
        }
        self.cached.clone_from(&self.durable);
    }
}

/// A write as the pages that it touches, each of which may reach the platter by itself.
pub(super) fn pages(change: &Change) -> Vec<Change> {
    let Change::Write(at, bytes) = change else {
        return vec![change.clone()];
    };
    let (mut out, mut done) = (Vec::new(), 0);
    while done < bytes.len() {
        let here = at + done;
        let length = (PAGE - here % PAGE).min(bytes.len() - done);
        out.push(Change::Write(here, bytes[done..done + length].to_vec()));
        done += length;
    }
    out
}

pub(super) fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => content.resize(*length, 0),
        Change::Write(at, bytes) => {
            let end = at + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*at..end].copy_from_slice(bytes);
        }
    }
}
