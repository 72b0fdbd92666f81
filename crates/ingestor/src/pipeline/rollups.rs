//! Roll-ups on their way: what is due is read back from the store, written as any record, and then leaves the ledger.
//!
//! One step is under way at a time, of at most [`GROUPS`] groups, so that roll-ups never crowd out what comes in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use service::health::Condition;
use telemetry::TenantId;
use tokio::task::JoinSet;

use super::flow::{Pipeline, blocking};
use super::lanes::Whence;
use crate::metrics;
use crate::record::Record;
use crate::rollup::{Group, Period, Subject, Touched};
use crate::store::{ReadError, Reason};

/// Groups in one step.
const GROUPS: usize = 16;

/// A group that was read back.
pub(super) struct Rolled {
    group: Group,
    result: Result<Vec<Record>, ReadError>,
}

/// What the pipeline holds of roll-ups.
pub(super) struct Rolling {
    pub(super) touched: Touched,
    /// At most one step.
    pub(super) reads: JoinSet<Vec<Rolled>>,
    /// Periods whose records all have their fates, for the ledger.
    pub(super) finished: Vec<Period>,
    /// Tenants whose points cannot be read: no try before then.
    pub(super) blocked: HashMap<TenantId, Instant>,
    pub(super) condition: Condition,
    /// Between two tries of a tenant.
    pub(super) retry: Duration,
    pub(super) seen: Seen,
}

/// What the store has shown since the start: by this a store that cannot be asked is told from one that is in trouble.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// It took a point.
    took: bool,
    /// It answered a question.
    answered: bool,
}

impl Rolling {
    /// Notes that the store confirmed a record.
    pub(super) fn stored(&mut self, record: &Record, now_us: i64) {
        let subject = match record {
            Record::StrokeWindow(_) => Subject::Strokes,
            Record::Pulse(_) => Subject::Pulses,
            _ => return,
        };
        self.seen.took = true;
        self.touched
            .point(record.tags().key(), subject, record.time_ns(), now_us);
    }
}

impl Rolling {
    /// Nothing is rolled up any more, and nothing waits for it: said once, and no trouble.
    fn turn_off(&mut self, error: &ReadError) {
        metrics::counter_reason(metrics::ROLLUP_READS_FAILED, error.reason.as_str(), 1);
        if !self.touched.is_on() {
            // Another group of the same step.
            return;
        }
        self.touched.turn_off();
        self.blocked.clear();
        self.condition.green();
        ::metrics::gauge!(metrics::ROLLUPS_UNSUPPORTED).set(1.0);
        tracing::warn!(error = %error, "nothing is rolled up until the next start, this store cannot be asked; points are stored");
    }
}

impl Pipeline {
    /// Begins a step if one is due and none is under way.
    pub(super) fn roll_up(&mut self) {
        let rolling = &mut self.rolling;
        let excess = rolling.touched.take_touches().excess;
        if excess > 0 {
            metrics::counter_reason(metrics::ROLLUPS_SKIPPED, "excess", excess);
        }
        if !rolling.reads.is_empty() {
            return;
        }
        let now = Instant::now();
        rolling.blocked.retain(|_, until| *until > now);
        let (blocked, per_tenant) = (&rolling.blocked, self.writer.store.per_tenant());
        let now_us = i64::try_from(self.clock.now_us()).unwrap_or(i64::MAX);
        let groups = rolling
            .touched
            .due(now_us, GROUPS, per_tenant, &|tenant| blocked.contains_key(tenant));
        if !groups.expired.is_empty() {
            metrics::counter_reason(metrics::ROLLUPS_SKIPPED, "expired", groups.expired.len() as u64);
            if let Err(e) = blocking(|| self.ledger.rolled(&groups.expired, &[])) {
                tracing::warn!(error = %e, "expired periods stay in the ledger until the next start");
            }
        }
        if groups.due.is_empty() {
            return;
        }
        let store = self.writer.store.clone();
        self.rolling.reads.spawn(async move {
            let mut rolled = Vec::with_capacity(groups.due.len());
            for group in groups.due {
                let result = store.roll_up(&group).await;
                rolled.push(Rolled { group, result });
            }
            rolled
        });
    }

    /// Sends what was read back on to the store.
    pub(super) fn rolled(&mut self, step: Result<Vec<Rolled>, tokio::task::JoinError>) {
        // A task that panicked leaves its periods under way: they are computed after the next start.
        let Ok(step) = step else {
            self.rolling
                .condition
                .red("a step of roll-ups ended without a result; restart to do it again");
            return;
        };
        for Rolled { group, result } in step {
            match result {
                Ok(records) => {
                    self.rolling.seen.answered = true;
                    self.send_on(&group, records);
                }
                // Something before the store may answer so for a while: only a store that takes points and has answered nothing
                // is of another kind.
                Err(e) if e.reason == Reason::Unsupported && self.rolling.seen.took && !self.rolling.seen.answered => {
                    self.rolling.turn_off(&e);
                }
                Err(e) => self.cannot_be_read(&group, &e),
            }
        }
        self.note_finished();
    }

    fn send_on(&mut self, group: &Group, records: Vec<Record>) {
        if self.rolling.blocked.is_empty() {
            self.rolling.condition.green();
        }
        let now = Instant::now();
        let mut empty: foldhash::HashSet<Period> = group.periods().collect();
        for record in records {
            let period = Period {
                device: record.tags().key().clone(),
                subject: group.subject,
                span: group.span,
                start_s: group.start_s,
            };
            empty.remove(&period);
            self.rolling.touched.on_the_way(&period, 1);
            self.lanes
                .push(self.lane_of(&record), record, Whence::Rollup(period), now);
        }
        // The store confirmed points of these and shows none: they have expired there, or another bucket is asked.
        metrics::counter_reason(metrics::ROLLUPS_SKIPPED, "empty", empty.len() as u64);
        self.rolling.finished.extend(empty);
    }

    fn cannot_be_read(&mut self, group: &Group, error: &ReadError) {
        metrics::counter_reason(metrics::ROLLUP_READS_FAILED, error.reason.as_str(), 1);
        let now_us = i64::try_from(self.clock.now_us()).unwrap_or(i64::MAX);
        for period in group.periods() {
            self.rolling.touched.put_off(&period, now_us);
        }
        let until = Instant::now() + self.rolling.retry;
        let mut told = false;
        for device in &group.devices {
            told |= self.rolling.blocked.insert(device.tenant.clone(), until).is_some();
        }
        let was_green = self.rolling.condition.is_green();
        self.rolling.condition.red(&error.to_string());
        if was_green && !told {
            tracing::error!(
                tenant = group.devices.first().map_or("", |device| device.tenant.as_str()),
                error = %error,
                "roll-ups wait; points are stored all the same"
            );
        }
    }

    /// A roll-up has its fate.
    pub(super) fn rollup_arrived(&mut self, period: Period) {
        if self.rolling.touched.arrived(&period) {
            self.rolling.finished.push(period);
        }
    }

    /// Takes finished periods out of the ledger, and notes the hours that have news by them.
    pub(super) fn note_finished(&mut self) {
        let finished = std::mem::take(&mut self.rolling.finished);
        if finished.is_empty() {
            return;
        }
        let touched = &mut self.rolling.touched;
        let leave: Vec<Period> = finished.iter().filter(|p| touched.leaves(p)).cloned().collect();
        let hours: foldhash::HashSet<Period> = finished.iter().filter_map(Period::above).collect();
        let hours: Vec<Period> = hours.into_iter().collect();
        let now_us = i64::try_from(self.clock.now_us()).unwrap_or(i64::MAX);
        if let Err(e) = blocking(|| self.ledger.rolled(&leave, &hours)) {
            tracing::warn!(error = %e, "roll-ups will be computed again");
            for period in &finished {
                self.rolling.touched.put_off(period, now_us);
            }
            return;
        }
        for period in &hours {
            self.rolling.touched.kept(period, now_us);
        }
        for period in &finished {
            self.rolling.touched.finish(period);
        }
    }
}
