//! The loop between the spool's reader and the store: takes slices in, sends batches off, notes their fates, and moves the cursor
//! over what is confirmed in one piece.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use service::clock::Clock;
use service::health::Condition;
use spool::{Offset, Reader, Spool};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::intake::Slice;
use super::lanes::{Batch, Lanes, Whence};
use super::rollups::Rolling;
use super::write::{LaneKey, Outcome, Writer};
use crate::config::Flow;
use crate::ledger::{Due, Fate, Ledger, Quarantined, QuarantinedKind, Reading, SessionKey, Step, Stepped};
use crate::record::Record;
use crate::store::Store;
use crate::{line, metrics};

/// Most summaries under way at once: those of the sessions longest unheard are told first.
const SUMMARIES: usize = 1_000;
/// Wait after the ledger or the cursor could not be written.
const COMMIT_RETRY: Duration = Duration::from_secs(1);
/// How often gauges are set and old rows removed.
const HOUSEKEEPING: Duration = Duration::from_secs(5);
/// When nothing is due.
const IDLE: Duration = Duration::from_secs(3_600);

/// A slice whose records are on their way.
pub(super) struct Open {
    next: Offset,
    step: Step,
    /// Records without a fate.
    waiting: usize,
}

/// What is in memory.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    records: usize,
    bytes: usize,
}

/// A batch that has its fates.
pub(super) struct Done {
    lane: LaneKey,
    records: Arc<Vec<Record>>,
    whences: Vec<Whence>,
    outcomes: Vec<Outcome>,
}

pub(super) struct Pipeline {
    pub(super) lanes: Lanes,
    pub(super) flow: Flow,
    pub(super) ledger: Ledger,
    pub(super) cursor: Reader,
    pub(super) spool: Arc<Spool>,
    pub(super) writer: Arc<Writer>,
    pub(super) progress: Condition,
    pub(super) clock: Clock,
    /// At most two per lane.
    pub(super) writes: JoinSet<Done>,
    /// Slices under way, oldest first; bounded by what is held. The first has the number `first`.
    pub(super) slices: VecDeque<Open>,
    pub(super) first: u64,
    pub(super) held: Held,
    /// Confirmed, and not in the ledger and before the cursor yet.
    pub(super) ready: Option<(Step, Offset)>,
    /// No commit before this, after one that failed.
    pub(super) retry_at: Option<Instant>,
    /// Sessions whose summary is under way: two of one session must not overtake each other.
    pub(super) summaries: HashSet<SessionKey>,
    pub(super) rolling: Rolling,
}

impl Pipeline {
    pub(super) async fn flow(&mut self, mut slices: mpsc::Receiver<Slice>, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let mut tell = ticker(self.flow.summary_every);
        let mut keep_house = ticker(HOUSEKEEPING);
        let mut roll_up = ticker(self.flow.rollup_every);
        loop {
            let due = self.lanes.next_due().into_iter().chain(self.retry_at).min();
            let due = due.unwrap_or_else(|| Instant::now() + IDLE);
            tokio::select! {
                () = &mut shutdown => return,
                Some(done) = self.writes.join_next() => self.finished(done),
                slice = slices.recv(), if self.has_room() => match slice {
                    Some(slice) => self.admit(slice),
                    // The thread ends only when told to.
                    None => return,
                },
                () = tokio::time::sleep_until(due.into()) => {}
                _ = tell.tick() => self.tell(),
                _ = roll_up.tick() => self.roll_up(),
                Some(step) = self.rolling.reads.join_next() => self.rolled(step),
                _ = keep_house.tick() => self.keep_house().await,
            }
            // With little room left, waiting for fuller batches would only make the spool wait.
            let press = self.held.records >= self.flow.held_records / 2;
            self.flush(press);
            self.advance();
        }
    }

    /// Finishes what is under way; what is not confirmed in time is written again after the start.
    pub(super) async fn drain(&mut self) {
        let deadline = tokio::time::Instant::now() + self.flow.drain;
        let mut told = false;
        loop {
            self.flush(true);
            self.advance();
            if self.writes.is_empty() {
                if told {
                    break;
                }
                told = true;
                self.tell();
                continue;
            }
            match tokio::time::timeout_at(deadline, self.writes.join_next()).await {
                Ok(Some(done)) => self.finished(done),
                Ok(None) => {}
                Err(_) => {
                    tracing::warn!(
                        records = self.held.records,
                        "stopping with unconfirmed records; they stay in the spool"
                    );
                    break;
                }
            }
        }
        self.writes.abort_all();
    }

    fn has_room(&self) -> bool {
        self.held.records < self.flow.held_records && self.held.bytes < self.flow.held_bytes
    }

    fn admit(&mut self, slice: Slice) {
        let number = self.first + self.slices.len() as u64;
        self.slices.push_back(Open {
            next: slice.next,
            step: slice.step,
            waiting: slice.records.len(),
        });
        let now = Instant::now();
        for record in slice.records {
            self.held.records += 1;
            self.held.bytes += record.size();
            self.lanes
                .push(self.lane_of(&record), record, Whence::Slice(number), now);
        }
    }

    pub(super) fn lane_of(&self, record: &Record) -> LaneKey {
        let per_tenant = self.writer.store.per_tenant();
        LaneKey {
            tenant: per_tenant.then(|| record.tags().tenant.clone()),
            rollups: per_tenant && record.measurement().rollup,
        }
    }

    fn flush(&mut self, all: bool) {
        for Batch { lane, records, whences } in self.lanes.due(Instant::now(), all) {
            let writer = Arc::clone(&self.writer);
            self.writes.spawn(async move {
                let records = Arc::new(records);
                let outcomes = writer.write(&lane, &records).await;
                Done {
                    lane,
                    records,
                    whences,
                    outcomes,
                }
            });
        }
    }

    /// Notes the fates of a batch.
    fn finished(&mut self, done: Result<Done, tokio::task::JoinError>) {
        // A task that panicked leaves its slice open: the cursor stays, and the condition says so.
        let done = match done {
            Ok(done) => done,
            Err(e) => {
                self.progress.red(&format!(
                    "a write ended without a result: {e}; restart to write it again"
                ));
                tracing::error!(error = %e, "a write ended without a result");
                return;
            }
        };
        self.lanes.done(&done.lane);
        let mut told = Vec::new();
        let now_us = i64::try_from(self.clock.now_us()).unwrap_or(i64::MAX);
        for ((record, whence), outcome) in done.records.iter().zip(done.whences).zip(done.outcomes) {
            count(record, &outcome);
            match whence {
                Whence::Slice(number) => {
                    self.held.records -= 1;
                    self.held.bytes -= record.size();
                    if outcome == Outcome::Fate(Fate::Stored) {
                        self.rolling.stored(record, now_us);
                    }
                    self.settle(number, record, outcome);
                }
                Whence::Summary(key, version) => {
                    self.summaries.remove(&key);
                    // A refused summary is not told again before its session changes.
                    told.push((key, version));
                }
                // A refused one is told in the counters, and not tried again before its period changes.
                Whence::Rollup(period) => self.rollup_arrived(period),
            }
        }
        if !told.is_empty()
            && let Err(e) = blocking(|| self.ledger.told(&told))
        {
            tracing::warn!(error = %e, "summaries will be told again");
        }
        self.note_finished();
    }

    fn settle(&mut self, number: u64, record: &Record, outcome: Outcome) {
        let at = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let Some(slice) = self.slices.get_mut(at) else {
            return;
        };
        slice.waiting -= 1;
        let fate = match outcome {
            Outcome::Fate(fate) => fate,
            Outcome::Refused(reason, detail) => {
                slice.step.quarantined.push(Quarantined {
                    kind: QuarantinedKind::Point,
                    tenant: Some(record.tags().tenant.clone()),
                    reason: reason.as_str(),
                    detail,
                    at: slice.step.watermark,
                    bytes: line::of(record).into_bytes(),
                });
                Fate::Refused
            }
        };
        slice.step.readings.extend(Reading::of(record, fate));
    }

    /// Takes the confirmed prefix into the ledger and moves the cursor over it.
    fn advance(&mut self) {
        while self.slices.front().is_some_and(|slice| slice.waiting == 0) {
            let Some(slice) = self.slices.pop_front() else {
                break;
            };
            self.first += 1;
            match &mut self.ready {
                Some((step, next)) => {
                    step.append(slice.step);
                    *next = slice.next;
                }
                None => self.ready = Some((slice.step, slice.next)),
            }
        }
        if self.ready.is_some() && self.retry_at.is_none_or(|at| at <= Instant::now()) {
            self.commit();
        }
    }

    fn commit(&mut self) {
        let Some((mut step, next)) = self.ready.take() else {
            return;
        };
        step.touched.extend(self.rolling.touched.take_fresh());
        let stepped = match blocking(|| self.ledger.apply(&step)) {
            Ok(stepped) => stepped,
            Err(e) => return self.commit_later(step, next, &e),
        };
        count_step(&stepped);
        self.rolling.touched.noted(&step.touched);
        match blocking(|| self.cursor.commit(next)) {
            Ok(()) => {
                self.retry_at = None;
                self.progress.green();
            }
            // The ledger has the step; to have it again changes nothing.
            Err(e) => self.commit_later(Step::default(), next, &e),
        }
    }

    fn commit_later(&mut self, step: Step, next: Offset, error: &dyn std::error::Error) {
        if self.retry_at.is_none() {
            tracing::error!(error = %error, "progress cannot be noted, trying again");
        }
        self.progress.red(&error.to_string());
        self.ready = Some((step, next));
        self.retry_at = Some(Instant::now() + COMMIT_RETRY);
    }

    /// Writes the summaries of sessions that changed.
    fn tell(&mut self) {
        let under_way = &self.summaries;
        let due = match blocking(|| self.ledger.due(SUMMARIES, &|key| under_way.contains(key))) {
            Ok(due) => due,
            Err(e) => {
                tracing::warn!(error = %e, "summaries cannot be read, trying again");
                return;
            }
        };
        let now = Instant::now();
        for Due { record, key, version } in due {
            self.summaries.insert(key.clone());
            self.lanes
                .push(self.lane_of(&record), record, Whence::Summary(key, version), now);
        }
    }

    async fn keep_house(&mut self) {
        let behind = self.spool.durable().since(self.cursor.committed());
        ::metrics::gauge!(metrics::BACKLOG_RECORDS).set(behind as f64);
        ::metrics::gauge!(metrics::RECORDS_HELD).set(self.held.records as f64);
        ::metrics::gauge!(metrics::ROLLUPS_WAITING).set(self.rolling.touched.len() as f64);
        if let Ok(open) = blocking(|| self.ledger.open_sessions()) {
            ::metrics::gauge!(metrics::SESSIONS_OPEN).set(open as f64);
        }
        let Store::Sqlite(store) = &self.writer.store else {
            return;
        };
        let now_ns = i64::try_from(self.clock.now_us())
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000);
        match blocking(|| store.expire(now_ns)) {
            Ok(removed) => ::metrics::counter!(metrics::ROWS_REMOVED).increment(removed as u64),
            Err(e) => tracing::warn!(error = %e, "expired points stay for now"),
        }
    }
}

impl Step {
    /// Adds a later step to this one.
    fn append(&mut self, later: Self) {
        self.sightings.extend(later.sightings);
        self.readings.extend(later.readings);
        self.quarantined.extend(later.quarantined);
        self.lost.extend(later.lost);
        self.touched.extend(later.touched);
        self.watermark = self.watermark.max(later.watermark);
    }
}

fn ticker(every: Duration) -> tokio::time::Interval {
    let mut ticker = tokio::time::interval(every.max(Duration::from_millis(1)));
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

/// Runs something that waits for a disk, without stopping other tasks where the runtime can move them.
pub(super) fn blocking<T>(run: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::MultiThread => tokio::task::block_in_place(run),
        _ => run(),
    }
}

fn count(record: &Record, outcome: &Outcome) {
    match outcome {
        Outcome::Fate(Fate::Stored) => {
            let measurement = record.measurement().name;
            ::metrics::counter!(metrics::POINTS_WRITTEN, "measurement" => measurement).increment(1);
        }
        Outcome::Fate(Fate::Expired) => ::metrics::counter!(metrics::POINTS_EXPIRED).increment(1),
        Outcome::Fate(Fate::Refused) => {}
        Outcome::Refused(reason, _) => metrics::counter_reason(metrics::POINTS_DROPPED, reason.as_str(), 1),
    }
}

fn count_step(stepped: &Stepped) {
    ::metrics::counter!(metrics::SESSIONS_TOO_LATE).increment(stepped.too_late);
    ::metrics::counter!(metrics::QUARANTINE_DROPPED).increment(stepped.quarantine_dropped);
    let old = stepped.forgotten.saturating_sub(stepped.evicted);
    metrics::counter_reason(metrics::SESSIONS_FORGOTTEN, "age", old);
    metrics::counter_reason(metrics::SESSIONS_FORGOTTEN, "excess", stepped.evicted);
}
