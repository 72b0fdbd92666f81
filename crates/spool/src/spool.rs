//! The handle: what is shared between appenders, committers and readers, and the questions that it answers.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use crate::config::Config;
use crate::core::Core;
use crate::corrupt::Kept as KeptAside;
use crate::cursor::CursorFile;
use crate::disk::{Disk, HeldLock};
use crate::error::{OpenError, ReadError, ReaderError};
use crate::files::Layout;
use crate::reader::{LookBack, Reader};
use crate::record::{Appended, Item, Offset};
use crate::state::{Counters, CursorState, OpenReport, State};

type Hook = Box<dyn Fn(Offset) + Send + Sync>;

/// A handle to an open spool; clones share it. Calls block on the disk: call them from threads that may.
///
/// The directory is unlocked when the last handle and the last reader are gone. Dropping does not sync.
#[derive(Clone)]
pub struct Spool {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) layout: Layout,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) identity: u64,
    pub(crate) undeclared: Vec<(String, Offset)>,
    pub(crate) cursors: Vec<Mutex<CursorFile>>,
    pub(crate) corrupt: Mutex<KeptAside>,
    /// Serialises `maintain`.
    pub(crate) maintaining: Mutex<()>,
    pub(crate) core: Mutex<Core>,
    pub(crate) changed: Condvar,
    pub(crate) hooks: RwLock<Vec<Hook>>,
    /// Per cursor: the position and the age of the record there, so that `state` reads only when one moved.
    pub(crate) ages: Mutex<Vec<Option<(Offset, SystemTime)>>>,
    pub(crate) _lock: Box<dyn HeldLock>,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// No sync covered it yet.
    Pending,
    /// On disk.
    Durable,
    /// At least one of its records will never be durable: do not acknowledge it.
    Lost,
}

impl Spool {
    /// Opens the spool in `config.dir`, making it if missing. Reads every segment's header and the last segment; its
    /// torn tail is cut.
    ///
    /// # Errors
    /// A contradictory configuration, a directory that is open elsewhere, a newer format, or the file system's no.
    pub fn open(config: Config, disk: Arc<dyn Disk>) -> Result<(Spool, OpenReport), OpenError> {
        let (inner, report) = crate::recover::open(config, disk)?;
        let inner = Arc::new(inner);
        Ok((Spool { inner }, report))
    }

    /// What its owner decided about it.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Everything before it is durable or in a named gap. It passes what was lost too: ask [`Spool::fate`].
    #[must_use]
    pub fn durable(&self) -> Offset {
        self.inner.core().durable
    }

    /// The ordinal that the next record gets.
    #[must_use]
    pub fn next(&self) -> Offset {
        self.inner.core().next
    }

    /// What became of an append: for callers that wait for `durable` instead of calling `sync` themselves.
    #[must_use]
    pub fn fate(&self, appended: &Appended) -> Fate {
        let core = self.inner.core();
        if core.losses.overlapping(appended.first, appended.next).is_some() {
            return Fate::Lost;
        }
        match appended.next <= core.durable {
            true => Fate::Durable,
            false => Fate::Pending,
        }
    }

    /// Waits until more than `beyond` is durable, at most `timeout`; gives what is durable then.
    #[must_use]
    pub fn wait_durable(&self, beyond: Offset, timeout: Duration) -> Offset {
        let until = Instant::now() + timeout;
        let mut core = self.inner.core();
        while core.durable <= beyond {
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                break;
            }
            core = self
                .inner
                .changed
                .wait_timeout(core, rest)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        core.durable
    }

    /// Calls `hook` after every sync with what is durable then, on the thread that synced: it must be quick and must not
    /// call `on_durable`. For async code: wake a `Notify` or a `watch`.
    pub fn on_durable(&self, hook: Hook) {
        self.inner
            .hooks
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(hook);
    }

    /// A reader that starts at the cursor's committed position.
    ///
    /// # Errors
    /// The cursor is not declared.
    pub fn reader(&self, cursor: &str) -> Result<Reader, ReaderError> {
        let index = self.inner.config.cursors.iter().position(|name| name == cursor);
        match index {
            Some(index) => Ok(Reader::new(Arc::clone(&self.inner), index)),
            None => Err(ReaderError::Undeclared(cursor.to_owned())),
        }
    }

    /// Looks back at one place without moving any cursor; see [`LookBack::read`].
    ///
    /// # Errors
    /// The file system's no.
    pub fn read_range(&self, from: Offset, max_records: usize, max_bytes: usize) -> Result<Vec<Item>, ReadError> {
        self.look_back().read(from, max_records, max_bytes)
    }

    /// Looks back at many places.
    #[must_use]
    pub fn look_back(&self) -> LookBack {
        LookBack::new(Arc::clone(&self.inner))
    }

    /// What happened since open; cheap, reads nothing.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.inner.core().counters
    }

    /// A snapshot of everything worth showing. Reads one record per cursor that moved since the last call.
    #[must_use]
    pub fn state(&self) -> State {
        let inner = &self.inner;
        let corrupt_kept_bytes = inner.corrupt().bytes;
        let mut state = {
            let core = inner.core();
            State {
                bytes: core.bytes,
                cap_bytes: inner.config.cap_bytes,
                segments: core.segments.len(),
                oldest: core.oldest(),
                next: core.next,
                durable: core.durable,
                cursors: cursor_states(&inner.config.cursors, &core),
                undeclared: inner.undeclared.clone(),
                health: core.trouble.health.clone(),
                at_cap: core.at_cap,
                corrupt_kept_bytes,
                counters: core.counters,
            }
        };
        for index in 0..state.cursors.len() {
            let at = state.cursors[index].at.max(state.oldest);
            state.cursors[index].oldest_unread_at = self.age_at(index, at);
        }
        state
    }

    fn age_at(&self, index: usize, at: Offset) -> Option<SystemTime> {
        let known =
            |ages: &[Option<(Offset, SystemTime)>]| ages.get(index).copied().flatten().filter(|age| age.0 == at);
        if let Some(age) = known(&self.inner.ages()) {
            return Some(age.1);
        }
        // A gap may stand before the record.
        let items = self.read_range(at, 2, 1).ok()?;
        let found = items.iter().find_map(Item::record)?.appended_at;
        if let Some(slot) = self.inner.ages().get_mut(index) {
            *slot = Some((at, found));
        }
        Some(found)
    }
}

fn cursor_states(names: &[String], core: &Core) -> Vec<CursorState> {
    let oldest = core.oldest();
    let state = |(name, at): (&String, &Offset)| {
        let from = (*at).max(oldest);
        CursorState {
            name: name.clone(),
            at: *at,
            backlog_records: core.next.since(from),
            backlog_bytes: core
                .segments
                .iter()
                .filter(|kept| kept.end > from)
                .map(|kept| kept.bytes_from(from))
                .sum(),
            oldest_unread_at: None,
            shed: core
                .shed
                .gaps
                .iter()
                .find(|gap| gap.cursor == *name && *at < gap.to)
                .cloned(),
        }
    };
    names.iter().zip(&core.cursors).map(state).collect()
}

impl Inner {
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn corrupt(&self) -> MutexGuard<'_, KeptAside> {
        self.corrupt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ages(&self) -> MutexGuard<'_, Vec<Option<(Offset, SystemTime)>>> {
        self.ages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tell_durable(&self, durable: Offset) {
        let hooks = self.hooks.read().unwrap_or_else(PoisonError::into_inner);
        for hook in hooks.iter() {
            hook(durable);
        }
    }

    pub(crate) fn cursor_path(&self, index: usize) -> PathBuf {
        let name = self.config.cursors.get(index).map_or("", String::as_str);
        self.layout.cursors().join(name)
    }
}
