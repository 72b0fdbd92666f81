//! The loop between the spool's reader and the store: takes slices in, sends batches off, notes their fates, and moves the cursor
//! over what is confirmed in one piece.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use service::clock::Clock;
use service::health::Condition;
use spool::{Offset, Spool};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::intake::Slice;
use super::lanes::{Batch, Lanes, Whence};
use super::parking::Parking;
use super::rollups::Rolling;
use super::track::Track;
use super::write::{LaneKey, Outcome, Writer};
use crate::config::Flow;
use crate::ledger::{Due, Fate, Ledger, SessionKey};
use crate::metrics;
use crate::record::Record;
use crate::store::Store;

/// Most summaries under way at once: those of the sessions longest unheard are told first.
const SUMMARIES: usize = 1_000;
/// How often is looked at most whether a tenant is to be parked.
const CONSIDER: Duration = Duration::from_secs(1);
/// How often gauges are set and old rows removed.
const HOUSEKEEPING: Duration = Duration::from_secs(5);
/// A stop.
#[derive(Debug, Clone, Copy)]
struct Stop {
    /// Up to where the log is still read.
    upto: Offset,
    /// And until when.
    until: Instant,
    /// When writes under way are given up: what was read last has time to be written.
    drained_by: Instant,
}

/// When nothing is due.
const IDLE: Duration = Duration::from_secs(3_600);

/// What is in memory.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    pub(super) records: usize,
    pub(super) bytes: usize,
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
    /// The telemetry log.
    pub(super) log: Track,
    pub(super) spool: Arc<Spool>,
    pub(super) writer: Arc<Writer>,
    pub(super) progress: Condition,
    pub(super) clock: Clock,
    /// At most two per lane.
    pub(super) writes: JoinSet<Done>,
    pub(super) held: Held,
    /// Sessions whose summary is under way: two of one session must not overtake each other.
    pub(super) summaries: HashSet<SessionKey>,
    pub(super) rolling: Rolling,
    /// Tenants with a log of their own.
    pub(super) parking: Parking,
    /// Before which everything in the telemetry log was taken.
    pub(super) taken: Offset,
}

impl Pipeline {
    /// Runs until `shutdown`, then takes what was in the log at that moment, and finishes what is under way; what is not stored
    /// within [`Flow::drain`] is done after the next start.
    pub(super) async fn flow(&mut self, mut slices: mpsc::Receiver<Slice>, shutdown: impl Future<Output = ()>) {
        let until = self.until_stop(&mut slices, shutdown).await;
        self.drain(until).await;
    }

    /// Gives until when may be drained.
    async fn until_stop(&mut self, slices: &mut mpsc::Receiver<Slice>, shutdown: impl Future<Output = ()>) -> Instant {
        tokio::pin!(shutdown);
        let mut stop: Option<Stop> = None;
        let mut tell = ticker(self.flow.summary_every);
        let mut keep_house = ticker(HOUSEKEEPING);
        let mut roll_up = ticker(self.flow.rollup_every);
        let mut consider = ticker(self.flow.parking.soonest().min(CONSIDER));
        loop {
            let due = self.lanes.next_due().into_iter().chain(self.retries()).min();
            let mut due = due.unwrap_or_else(|| Instant::now() + IDLE);
            if let Some(stop) = stop {
                if self.taken >= stop.upto || Instant::now() >= stop.until {
                    return stop.drained_by;
                }
                due = due.min(stop.until);
            }
            tokio::select! {
                () = &mut shutdown, if stop.is_none() => {
                    let now = Instant::now();
                    stop = Some(Stop {
                        upto: self.spool.durable(),
                        until: now + self.flow.drain / 5 * 4,
                        drained_by: now + self.flow.drain,
                    });
                }
                Some(done) = self.writes.join_next() => self.finished(done),
                slice = slices.recv(), if self.has_room() => match slice {
                    Some(slice) => self.admit(slice),
                    // The thread ends only when told to.
                    None => return Instant::now() + self.flow.drain,
                },
                () = tokio::time::sleep_until(due.into()) => {}
                _ = tell.tick() => self.tell(),
                _ = roll_up.tick() => self.roll_up(),
                Some(step) = self.rolling.reads.join_next() => self.rolled(step),
                _ = consider.tick() => self.consider_parking(),
                _ = keep_house.tick() => self.keep_house().await,
            }
            // With little room left, waiting for fuller batches would only make the spool wait.
            let press = self.held.records >= self.flow.held_records / 2;
            self.advance();
            self.feed_parked();
            self.flush(press);
        }
    }

    /// When something is tried again that could not be written down.
    fn retries(&self) -> impl Iterator<Item = Instant> {
        let tracks = std::iter::once(&self.log).chain(self.parking.tracks());
        let retries = tracks.filter_map(|track| track.retry_at);
        retries.chain(self.parking.retry_at()).collect::<Vec<_>>().into_iter()
    }

    /// Finishes what is under way; what is not confirmed in time is written again after the start.
    async fn drain(&mut self, until: Instant) {
        let deadline = tokio::time::Instant::from(until);
        let mut told = false;
        self.stop_parked();
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

    /// What cannot be noted now would pile up.
    fn has_room(&self) -> bool {
        self.held.records < self.flow.held_records
            && self.held.bytes < self.flow.held_bytes
            && self.log.retry_at.is_none()
    }

    fn admit(&mut self, mut slice: Slice) {
        let records = std::mem::take(&mut slice.records);
        self.taken = slice.next;
        let number = self.log.admit(slice, records.len());
        let now = Instant::now();
        for record in records {
            self.held.records += 1;
            if self.parking.takes(&record.tags().tenant) {
                self.log.owe(number, &record.tags().tenant);
                continue;
            }
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
        for batch in self.lanes.due(Instant::now(), all) {
            let writer = Arc::clone(&self.writer);
            self.writes.spawn(async move {
                let Batch {
                    lane,
                    records,
                    whences,
                    give_up,
                } = batch;
                let records = Arc::new(records);
                let outcomes = writer.write(&lane, &records, give_up).await;
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
        self.lanes.done(&done.lane, &done.whences);
        let mut told = Vec::new();
        let now_us = i64::try_from(self.clock.now_us()).unwrap_or(i64::MAX);
        for ((record, whence), outcome) in done.records.iter().zip(done.whences).zip(done.outcomes) {
            if outcome == Outcome::Unwritten {
                self.given_up(record.clone(), whence);
                continue;
            }
            count(record, &outcome);
            if outcome == Outcome::Fate(Fate::Stored) && matches!(whence, Whence::Slice(_) | Whence::Parked(_)) {
                self.rolling.stored(record, now_us);
                self.parking.seen(&done.lane, record);
            }
            match whence {
                Whence::Slice(number) => {
                    self.held.records -= 1;
                    self.held.bytes -= record.size();
                    self.log.settle(number, record, outcome);
                }
                Whence::Parked(number) => self.parking.settle(number, record, outcome),
                Whence::Probe => self.parking.probed(),
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

    /// Takes what is confirmed in one piece into the ledger and moves the cursors over it.
    fn advance(&mut self) {
        while self.log.confirmed().is_some() && self.park_front() {
            self.held.records -= self.log.take_confirmed();
        }
        let committed = self.log.commit(&mut self.ledger, &mut self.rolling);
        self.note_commit(committed);
        self.advance_parked();
    }

    pub(super) fn note_commit(&mut self, committed: Result<bool, String>) {
        match committed {
            Ok(false) => {}
            Ok(true) if self.log.retry_at.is_none() && self.parking.tracks().all(|track| track.retry_at.is_none()) => {
                self.progress.green();
            }
            Ok(true) => {}
            Err(said) => self.progress.red(&said),
        }
    }

    /// Writes the summaries of sessions that changed.
    fn tell(&mut self) {
        let under_way = &self.summaries;
        // Those of tenants whose points do not get through wait in the ledger, and are in nobody's way.
        let stuck = self.writer.troubles.stuck_tenants();
        let due = match blocking(|| self.ledger.due(SUMMARIES, &stuck, &|key| under_way.contains(key))) {
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
        let behind = self.spool.durable().since(self.log.cursor.committed());
        ::metrics::gauge!(metrics::BACKLOG_RECORDS).set(behind as f64);
        ::metrics::gauge!(metrics::RECORDS_HELD).set(self.held.records as f64);
        self.look_after_parked();
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
        Outcome::Fate(Fate::Refused) | Outcome::Unwritten => {}
        Outcome::Refused(reason, _) => metrics::counter_reason(metrics::POINTS_DROPPED, reason.as_str(), 1),
    }
}
