//! Group commit: whoever comes first syncs for all who wait; a failure is told to everyone whose records it took.

use std::sync::{Arc, MutexGuard, PoisonError};

use crate::core::Core;
use crate::error::SyncError;
use crate::record::{Appended, Offset};
use crate::spool::{Inner, Spool};
use crate::state::Health;

impl Spool {
    /// Makes everything appended before the call durable with one fsync, shared with concurrent callers. Every record
    /// before the returned offset is durable.
    ///
    /// For one committing thread, which appends and then syncs, this is exact: after an error, acknowledge nothing that
    /// was appended since the last success. Where several threads append and sync, each uses [`Spool::sync_appended`],
    /// because a failure is reported here only once.
    ///
    /// # Errors
    /// Records appended since the last success are not durable and never will be.
    pub fn sync(&self) -> Result<Offset, SyncError> {
        let mut core = self.inner.core();
        if let Some(loss) = core.losses.take_unreported() {
            return Err(loss);
        }
        let target = core.next;
        let (mut core, outcome) = self.inner.commit_to(core, target);
        match outcome {
            Ok(()) => Ok(core.durable),
            Err(loss) => Err(core.losses.take_unreported().unwrap_or(loss)),
        }
    }

    /// Makes one append durable, sharing the fsync with concurrent callers, and answers for exactly that append.
    ///
    /// # Errors
    /// At least one of its records is not durable and never will be.
    pub fn sync_appended(&self, appended: &Appended) -> Result<Offset, SyncError> {
        let core = self.inner.core();
        let (core, outcome) = self.inner.commit_to(core, appended.next);
        if let Some(loss) = core.losses.overlapping(appended.first, appended.next) {
            return Err(loss.clone());
        }
        outcome.map(|()| core.durable)
    }
}

impl Inner {
    /// Syncs until everything before `target` is durable, or a loss before it is known.
    pub(crate) fn commit_to<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core>,
        target: Offset,
    ) -> (MutexGuard<'a, Core>, Result<(), SyncError>) {
        let losses = core.losses.count;
        loop {
            if let Some(loss) = core.losses.later_than(losses, target) {
                let loss = loss.clone();
                return (core, Err(loss));
            }
            if core.durable >= target {
                return (core, Ok(()));
            }
            if core.committing {
                core = self.changed.wait(core).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let Some(active) = &core.active else {
                // Lost before this call, and no new segment yet: nothing can make it durable.
                let loss = core.losses.overlapping(core.durable, target).cloned();
                return (core, loss.map_or(Ok(()), Err));
            };
            let file = Arc::clone(&active.file);
            core = self.sync_file(core, file.as_ref());
        }
    }

    fn sync_file<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core>,
        file: &dyn crate::disk::DiskFile,
    ) -> MutexGuard<'a, Core> {
        let (next, losses) = (core.next, core.losses.count);
        let bytes = core.segments.back().map_or(0, |kept| kept.bytes);
        core.committing = true;
        drop(core);
        let result = file.sync();
        let mut core = self.core();
        core.committing = false;
        // If a write failed meanwhile, the segment is sealed already and its unsynced records are declared lost: the
        // outcome of this fsync no longer counts.
        let still_ours = core.losses.count == losses && core.active.is_some();
        match result {
            Ok(()) if still_ours => {
                core.durable = next;
                core.counters.syncs += 1;
                core.trouble = crate::trouble::Trouble::none();
                if let Some(active) = &mut core.active {
                    active.durable_bytes = bytes;
                }
            }
            Ok(()) => {}
            Err(e) if still_ours => {
                core.seal_as_suspect(e);
            }
            Err(_) => core.counters.write_failures += 1,
        }
        debug_assert!(core.durable <= core.next);
        let (durable, healthy) = (core.durable, core.trouble.health == Health::Healthy);
        self.changed.notify_all();
        if healthy {
            drop(core);
            self.tell_durable(durable);
            core = self.core();
        }
        core
    }
}
