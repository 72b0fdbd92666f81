//! From what was applied to one transaction: what is pending, when it is due, and trying until it is done.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use spool::{Item, Offset};
use telemetry::UnixMicros;

use super::judged::Judged;
use super::{MAX_BYTES, RETRY, RunError, Runner};
use crate::engine::{Engine, Transition};
use crate::paging::{Plan, Planner};
use crate::store::journal::Entry;
use crate::store::{Batch, Leaving, Store, StoreError};
use crate::{metrics, notify};

/// Inputs after which a transaction is due although no alert moved: what a restart has to read again.
const COMMIT_EVERY_INPUTS: usize = 16_384;
/// Time after which a transaction is due although no alert moved.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// Entries about unreadable records in one transaction; what is beyond is counted.
const MAX_ENTRIES: usize = 256;

/// What was applied and is not committed.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) transitions: Vec<Transition>,
    pub(super) entries: Vec<Entry>,
    /// Commands that wait for their answer, and their rows of the journal: one each, none is ever left out.
    pub(super) commands: Vec<([u8; 16], Entry)>,
    /// Time or word from elsewhere moved what is told.
    pub(super) pages: bool,
    /// What is judged by from here on.
    pub(super) judged: Option<Judged>,
    pub(super) inputs: usize,
    /// Where the log is read on from after what was applied; `None`: nothing was applied.
    next: Option<Offset>,
    /// Of the batch that is applied, by kind: counted at once, a metric is looked up by its name.
    pub(super) kinds: BTreeMap<&'static str, u64>,
    pub(super) since: Option<Instant>,
}

impl Pending {
    pub(super) fn entry(&mut self, entry: Entry) {
        if self.entries.len() < MAX_ENTRIES {
            self.entries.push(entry);
        }
    }

    /// One more item was applied.
    pub(super) fn applied(&mut self, item: &Item) {
        self.since.get_or_insert_with(Instant::now);
        self.inputs += 1;
        self.next = Some(item.next());
    }

    fn is_empty(&self) -> bool {
        self.inputs == 0
    }

    pub(super) fn is_old(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= COMMIT_EVERY)
    }

    /// Whether somebody waits for the transaction, or too much would be read again.
    pub(super) fn is_due(&self) -> bool {
        self.pages
            || !self.transitions.is_empty()
            || !self.commands.is_empty()
            || self.inputs >= COMMIT_EVERY_INPUTS
            || self.is_old()
    }
}

impl Runner {
    /// Commits what is pending; tries again until it is done or the process ends, because nothing may leave before. `false`: it
    /// ends, and what was pending is lost to this process: nothing may be committed after it.
    pub(super) fn commit(&mut self, items: &[Item], pending: &mut Pending, stop: &AtomicBool) -> bool {
        if pending.is_empty() && !self.engine.is_changed() && !self.planner.is_changed() {
            return true;
        }
        let started = Instant::now();
        let mut taken = std::mem::take(pending);
        // Of the whole batch, not of the transaction.
        pending.kinds = std::mem::take(&mut taken.kinds);
        let changes = self.engine.take_changes();
        let leaving = taken.transitions.iter().map(|t| self.leaving(items, t)).collect();
        let (commands, mut entries): (Vec<_>, Vec<_>) = taken.commands.into_iter().unzip();
        entries.extend(taken.entries);
        let batch = Batch {
            changes,
            leaving,
            entries,
            paging: self.planner.take_changes(),
            digest_at: next_digest(self.now(), self.config.digest_after),
            evidence_max: self.config.evidence_max.as_u64(),
            judged_by: taken.judged.and_then(|judged| serde_json::to_string(&judged).ok()),
            next: taken.next.unwrap_or_else(|| self.reader.position()).0,
            now: self.now(),
        };
        let Some(dropped) = self.commit_until(&batch, stop) else {
            return false;
        };
        ::metrics::counter!(metrics::EVIDENCE_DROPPED).increment(dropped);
        self.condition.green();
        ::metrics::histogram!(metrics::COMMIT).record(started.elapsed().as_secs_f64());
        if !batch.leaving.is_empty() || !batch.paging.effects.is_empty() {
            self.wake.send_modify(|n| *n += 1);
            self.gauges();
        }
        self.shared.answer(&commands);
        true
    }

    /// Tries until it is done. `None`: the process ends first; not committed is not consumed, so the next start computes the
    /// same again from the log.
    fn commit_until(&self, batch: &Batch<'_>, stop: &AtomicBool) -> Option<u64> {
        let mut wait = RETRY.0;
        loop {
            let error = match self.store.commit(batch) {
                Ok(dropped) => return Some(dropped),
                Err(error) => error,
            };
            ::metrics::counter!(metrics::COMMIT_FAILED).increment(1);
            tracing::error!(error = %error, source = ?std::error::Error::source(&error), "cannot commit, pages wait");
            self.condition.red("alerting's file cannot be written: no page leaves");
            if stop.load(Ordering::Acquire) {
                return None;
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(RETRY.1);
        }
    }

    fn leaving<'t>(&mut self, items: &[Item], t: &'t Transition) -> Leaving<'t> {
        let find = |offset| (offset, here(items, offset).or_else(|| self.look_back(offset)));
        let evidence = t.evidence.iter().copied().map(find).collect();
        let advisory = self.advises.then(|| notify::advisory(t, self.now())).flatten();
        Leaving {
            transition: t,
            advisory,
            // Without anybody who takes them they would only pile up.
            outlet: (self.has_outlet.then(|| notify::outlet_message(t, &self.gateway)))
                .flatten()
                .map(|m| m.encode()),
            evidence,
        }
    }

    /// A frame that was read earlier; what is trimmed is said to be trimmed.
    fn look_back(&mut self, offset: u64) -> Option<Vec<u8>> {
        let items = self.earlier.read(Offset(offset), 1, MAX_BYTES).ok()?;
        items.into_iter().find_map(|item| match item {
            Item::Record(record) if record.offset.0 == offset => Some(record.bytes),
            _ => None,
        })
    }

    /// Forgets everything that is not committed and goes on from the file.
    pub(super) fn start_over(&mut self, pending: &mut Pending) -> Result<(), RunError> {
        self.condition
            .red("state could not be read, starting over from the file");
        std::thread::sleep(RETRY.1);
        *pending = Pending::default();
        let (snapshot, next) = self.store.load().map_err(RunError::Store)?;
        self.engine = Engine::new(self.shared.rules(), self.shared.fleet(), snapshot);
        self.planner = planner(&self.store, self.shared.plan(), &self.engine).map_err(RunError::Store)?;
        let next = next.map_or_else(|| self.reader.committed(), Offset);
        self.reader.seek(next);
        self.condition.green();
        Ok(())
    }
}

/// A frame of this batch, whose items stand in the order of their offsets.
fn here(items: &[Item], offset: u64) -> Option<Vec<u8>> {
    let start = |item: &Item| match item {
        Item::Record(record) => record.offset.0,
        Item::Gap(gap) => gap.from.0,
    };
    let at = items.binary_search_by_key(&offset, start).ok()?;
    items.get(at).and_then(Item::record).map(|record| record.bytes.clone())
}

/// The planner, as the file has it.
pub(crate) fn planner(store: &Store, plan: Arc<Plan>, engine: &Engine) -> Result<Planner, StoreError> {
    let courses = store.courses()?;
    let silences = store.silences()?;
    Ok(Planner::new(plan, courses, silences, engine.alerts(), engine.clock()))
}

/// When the next digest leaves: at whole multiples of its time, so that all that is late leaves together.
fn next_digest(now: UnixMicros, every: Duration) -> UnixMicros {
    let every = i64::try_from(every.as_micros()).unwrap_or(i64::MAX).max(1);
    UnixMicros(now.0.div_euclid(every).saturating_add(1).saturating_mul(every))
}
