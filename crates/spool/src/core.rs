//! The state behind the lock: which segments there are, what is written, what is durable, what was lost.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::disk::{DiskFile, is_full};
use crate::error::SyncError;
use crate::losses::Losses;
use crate::record::{Gap, GapReason, Offset};
use crate::segment::{Kept, Segment};
use crate::shed::ShedLog;
use crate::state::{Counters, Health};
use crate::trouble::Trouble;

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
        let health = match is_full(&error) {
            true => Health::DiskFull { what, since },
            false => Health::Suspect { what, since },
        };
        self.trouble.note(health, path, error, self.now);
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
