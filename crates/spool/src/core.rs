//! The state behind the lock: which segments there are, what is written, what is durable, what was lost.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::disk::{DiskFile, is_full};
use crate::error::{AppendError, SyncError};
use crate::record::{Gap, GapReason, Offset};
use crate::segment::{Kept, Segment};
use crate::shed::ShedLog;
use crate::state::{Counters, Health};

/// The longest wait between two attempts to write on a disk that refuses.
pub const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// The first failure is retried at once, in a new file; from the second on it waits, doubling from here.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// How many lost ranges are remembered to answer callers who ask late; older ones answer "lost" for all before them.
const LOSSES: usize = 64;

pub(crate) struct Core {
    /// Oldest first; never empty once the first record was appended.
    pub(crate) segments: VecDeque<Kept>,
    /// Taken out of the list, still to be unlinked, oldest first.
    pub(crate) doomed: VecDeque<Doomed>,
    pub(crate) active: Option<Active>,
    pub(crate) next: Offset,
    pub(crate) durable: Offset,
    /// Sum of all segment files, doomed ones too.
    pub(crate) bytes: u64,
    pub(crate) cursors: Vec<Offset>,
    pub(crate) shed: ShedLog,
    pub(crate) committing: bool,
    pub(crate) losses: Losses,
    pub(crate) trouble: Trouble,
    pub(crate) at_cap: bool,
    /// Why the ordinals between the last segment's end and `next` do not exist, if there are any.
    pub(crate) pending_gap: GapReason,
    pub(crate) buf: Vec<u8>,
    pub(crate) counters: Counters,
    /// The newest `now` that an owner gave.
    pub(crate) now: SystemTime,
}

/// The file that is being appended to: the last of `Core::segments`.
pub(crate) struct Active {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) durable_bytes: u64,
}

pub(crate) struct Doomed {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// Where an offset is.
pub(crate) enum Place {
    /// Nothing durable there yet.
    End,
    Gap(Gap),
    /// In a segment whose durable records end before the ordinal `end` and the byte `limit`.
    In {
        segment: Arc<Segment>,
        end: Offset,
        limit: u64,
    },
}

impl Core {
    pub(crate) fn locate(&self, at: Offset) -> Place {
        if at >= self.durable {
            return Place::End;
        }
        let gap = |to: Offset, reason| {
            Place::Gap(Gap {
                from: at,
                to: to.min(self.durable),
                reason,
            })
        };
        let after = self.segments.partition_point(|kept| kept.segment.first <= at);
        let following = self.segments.get(after);
        let Some(index) = after.checked_sub(1) else {
            let to = following.map_or(self.durable, |kept| kept.segment.first);
            return if at < self.shed.to {
                gap(to.min(self.shed.to), GapReason::Shed)
            } else {
                gap(to, GapReason::Trimmed)
            };
        };
        let kept = &self.segments[index];
        let end = kept.end.min(self.durable);
        if at < end {
            let limit = match &self.active {
                Some(active) if following.is_none() => active.durable_bytes,
                _ => kept.bytes,
            };
            return Place::In {
                segment: Arc::clone(&kept.segment),
                end,
                limit,
            };
        }
        match following {
            Some(kept) => gap(kept.segment.first, kept.segment.gap.unwrap_or(GapReason::Corrupt)),
            None => gap(self.durable, self.pending_gap),
        }
    }

    pub(crate) fn oldest(&self) -> Offset {
        self.segments.front().map_or(self.next, |kept| kept.segment.first)
    }

    /// Everything before it is consumed by all; without cursors that is everything.
    pub(crate) fn consumed(&self) -> Offset {
        self.cursors.iter().copied().min().unwrap_or(self.next)
    }

    /// A write or fsync of the active segment failed: it is sealed at what is known to be durable, and never synced
    /// again. What was appended and not durable is lost.
    pub(crate) fn seal_as_suspect(&mut self, error: io::Error) -> Arc<io::Error> {
        let error = Arc::new(error);
        let (durable, next) = (self.durable, self.next);
        let Some(active) = self.active.take() else {
            return error;
        };
        let mut path = PathBuf::new();
        if let Some(kept) = self.segments.back_mut() {
            path.clone_from(&kept.segment.path);
            kept.end = durable;
            // Best effort: the next segment's header says anyway that what stands beyond is void.
            if active.file.set_bytes(active.durable_bytes).is_ok() {
                self.bytes -= kept.bytes - active.durable_bytes;
                kept.bytes = active.durable_bytes;
            }
        }
        self.counters.suspect_records += next.since(durable);
        if durable < next {
            self.pending_gap = GapReason::Suspect;
            self.losses.push(SyncError {
                from: durable,
                to: next,
                disk_full: is_full(&error),
                path: path.clone(),
                source: Arc::clone(&error),
            });
        }
        self.note_trouble(&path, Arc::clone(&error));
        error
    }

    /// Notes a failed write anywhere in the log.
    pub(crate) fn note_trouble(&mut self, path: &Path, error: Arc<io::Error>) {
        self.counters.write_failures += 1;
        let (what, since) = (format!("{}: {error}", path.display()), self.now);
        tracing::warn!(path = %path.display(), error = %error, "spool cannot write");
        self.trouble.health = match is_full(&error) {
            true => Health::DiskFull { what, since },
            false => Health::Suspect { what, since },
        };
        self.trouble.failures += 1;
        self.trouble.retry_at = self.now.checked_add(backoff(self.trouble.failures));
        self.trouble.last = Some((path.to_owned(), error));
    }
}

/// How the log's disk behaved lately.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) health: Health,
    failures: u32,
    retry_at: Option<SystemTime>,
    last: Option<(PathBuf, Arc<io::Error>)>,
}

impl Trouble {
    pub(crate) fn none() -> Self {
        Trouble {
            health: Health::Healthy,
            failures: 0,
            retry_at: None,
            last: None,
        }
    }

    /// Whether the back-off is still running. A clock that jumped back does not prolong it.
    pub(crate) fn is_backing_off(&self, now: SystemTime) -> bool {
        self.retry_at.is_some_and(|at| {
            at.duration_since(now)
                .is_ok_and(|rest| !rest.is_zero() && rest <= MAX_BACKOFF)
        })
    }

    pub(crate) fn append_error(&self) -> AppendError {
        let (path, source) = self
            .last
            .clone()
            .unwrap_or_else(|| (PathBuf::new(), Arc::new(io::Error::other("no segment is open"))));
        match is_full(&source) {
            true => AppendError::DiskFull { path, source },
            false => AppendError::Suspect { path, source },
        }
    }
}

fn backoff(failures: u32) -> Duration {
    match failures.checked_sub(2) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_BACKOFF.saturating_mul(1 << doublings.min(16)).min(MAX_BACKOFF),
    }
}

/// Ranges that were appended and never became durable.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    recent: VecDeque<SyncError>,
    forgotten: Option<SyncError>,
    /// How many there were, ever.
    pub(crate) count: u64,
    unreported: Option<SyncError>,
}

impl Losses {
    fn push(&mut self, loss: SyncError) {
        self.count += 1;
        match &mut self.unreported {
            Some(unreported) => unreported.to = loss.to,
            None => self.unreported = Some(loss.clone()),
        }
        if self.recent.len() == LOSSES {
            self.forgotten = self.recent.pop_front();
        }
        self.recent.push_back(loss);
    }

    /// A loss that no `sync` told yet.
    pub(crate) fn take_unreported(&mut self) -> Option<SyncError> {
        self.unreported.take()
    }

    /// The loss that touches `from..to`, if any.
    pub(crate) fn overlapping(&self, from: Offset, to: Offset) -> Option<&SyncError> {
        if let Some(forgotten) = self.forgotten.as_ref().filter(|loss| from < loss.to) {
            return Some(forgotten);
        }
        self.recent.iter().find(|loss| from < loss.to && loss.from < to)
    }

    /// A loss before `to` that came after the first `count` ones.
    pub(crate) fn later_than(&self, count: u64, to: Offset) -> Option<&SyncError> {
        let new = (self.count - count) as usize;
        let known = self.recent.len();
        if new > known {
            return self.recent.front();
        }
        self.recent.iter().skip(known - new).find(|loss| loss.from < to)
    }
}

impl Default for Core {
    fn default() -> Self {
        Core {
            segments: VecDeque::new(),
            doomed: VecDeque::new(),
            active: None,
            next: Offset::ZERO,
            durable: Offset::ZERO,
            bytes: 0,
            cursors: Vec::new(),
            shed: ShedLog::default(),
            committing: false,
            losses: Losses::default(),
            trouble: Trouble::none(),
            at_cap: false,
            pending_gap: GapReason::Corrupt,
            buf: Vec::new(),
            counters: Counters::default(),
            now: UNIX_EPOCH,
        }
    }
}
