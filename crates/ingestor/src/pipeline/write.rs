//! The writing half of one batch: tried until every record of it has a fate, whatever the store says meanwhile.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::Rng as _;
use service::backoff::Backoff;
use service::clock::Clock;
use service::health::Condition;
use telemetry::TenantId;
use tokio::sync::Semaphore;

use crate::ledger::Fate;
use crate::metrics;
use crate::record::Record;
use crate::store::{Reason, Store, WriteError, Written};

/// First ceiling of the wait after a failed write: a restart of a store on the same machine takes this long.
const RETRY_BASE: Duration = Duration::from_millis(250);

/// What goes together in a batch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct LaneKey {
    /// A tenant's, where each has a bucket of its own, or all.
    pub(super) tenant: Option<TenantId>,
    /// Roll-ups, where they have a bucket of their own.
    pub(super) rollups: bool,
}

impl LaneKey {
    fn tenant_name(&self) -> &str {
        self.tenant.as_ref().map_or("all", TenantId::as_str)
    }

    const fn what(&self) -> &'static str {
        if self.rollups { "roll-ups" } else { "points" }
    }
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Stored or expired.
    Fate(Fate),
    /// Refused, and why.
    Refused(Reason, String),
}

/// What all writes share.
pub(super) struct Writer {
    pub(super) store: Store,
    pub(super) clock: Clock,
    /// Requests under way. A batch that waits for its next try holds none, so stuck tenants do not use them up.
    pub(super) permits: Semaphore,
    pub(super) retry_cap: Duration,
    pub(super) fatal_retry: Duration,
    pub(super) troubles: Troubles,
}

impl Writer {
    /// Writes a batch; comes back when every record has a fate.
    pub(super) async fn write(&self, lane: &LaneKey, records: &Arc<Vec<Record>>) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Fate(Fate::Stored); records.len()];
        let mut backoff = Backoff::new(RETRY_BASE, self.retry_cap, Duration::ZERO);
        // Halves of a batch, the first on top; at most one more than its logarithm.
        let mut todo: Vec<Range<usize>> = std::iter::once(0..records.len()).collect();
        while let Some(range) = todo.pop() {
            match self.once(lane, records, range.clone()).await {
                Ok(written) => {
                    backoff = Backoff::new(RETRY_BASE, self.retry_cap, Duration::ZERO);
                    self.troubles.over(lane);
                    for at in written.expired {
                        set(&mut outcomes, range.start + at, Outcome::Fate(Fate::Expired));
                    }
                }
                Err(e @ (WriteError::Retry { .. } | WriteError::Fatal { .. })) => {
                    self.troubles.note(lane, &e);
                    tokio::time::sleep(self.wait(&e, &mut backoff)).await;
                    todo.push(range);
                }
                Err(e @ (WriteError::Split { .. } | WriteError::Reject { .. })) => {
                    // The store is there and answers; it is the batch.
                    self.troubles.over(lane);
                    if range.len() <= 1 {
                        let refused = Outcome::Refused(e.reason(), e.to_string());
                        set(&mut outcomes, range.start, refused);
                    } else {
                        let middle = range.start + range.len() / 2;
                        todo.push(middle..range.end);
                        todo.push(range.start..middle);
                    }
                }
            }
        }
        outcomes
    }

    async fn once(
        &self,
        lane: &LaneKey,
        records: &Arc<Vec<Record>>,
        range: Range<usize>,
    ) -> Result<Written, WriteError> {
        if range.is_empty() {
            return Ok(Written::default());
        }
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        let begun = Instant::now();
        let now_ns = i64::try_from(self.clock.now_us())
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000);
        let result = self.store.write(lane.tenant.as_ref(), records, range, now_ns).await;
        ::metrics::histogram!(metrics::WRITE_DURATION).record(begun.elapsed().as_secs_f64());
        if let Err(e) = &result {
            metrics::counter_reason(metrics::WRITES_FAILED, e.reason().as_str(), 1);
        }
        result
    }

    fn wait(&self, error: &WriteError, backoff: &mut Backoff) -> Duration {
        let mut rng = rand::rng();
        match error {
            // Slowly, and not all tenants in step.
            WriteError::Fatal { .. } => self.fatal_retry.mul_f64(rng.random_range(0.5..=1.0)),
            WriteError::Retry { after, .. } => backoff.next(&mut rng).max(after.unwrap_or_default()),
            WriteError::Split { .. } | WriteError::Reject { .. } => Duration::ZERO,
        }
    }
}

fn set(outcomes: &mut [Outcome], at: usize, outcome: Outcome) {
    if let Some(place) = outcomes.get_mut(at) {
        *place = outcome;
    }
}

/// Which lanes do not get through, told by the readiness of the process and in the log at the begin and the end only.
pub(super) struct Troubles {
    condition: Condition,
    stuck: Mutex<HashMap<LaneKey, Reason>>,
}

impl Troubles {
    pub(super) fn new(condition: Condition) -> Self {
        condition.green();
        Self {
            condition,
            stuck: Mutex::default(),
        }
    }

    fn note(&self, lane: &LaneKey, error: &WriteError) {
        let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        let before = stuck.insert(lane.clone(), error.reason());
        ::metrics::gauge!(metrics::TENANTS_STUCK).set(stuck.len() as f64);
        let told = format!("tenant {}, {}: {error}", lane.tenant_name(), lane.what());
        self.condition.red(&told);
        if before == Some(error.reason()) {
            return;
        }
        let (lane, what) = (lane.tenant_name(), lane.what());
        if matches!(error, WriteError::Fatal { .. }) {
            tracing::error!(tenant = lane, what, error = %error, "the store refuses everything of this tenant");
        } else {
            tracing::warn!(tenant = lane, what, error = %error, "writes do not go through");
        }
    }

    fn over(&self, lane: &LaneKey) {
        let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        if stuck.remove(lane).is_none() {
            return;
        }
        ::metrics::gauge!(metrics::TENANTS_STUCK).set(stuck.len() as f64);
        tracing::info!(
            tenant = lane.tenant_name(),
            what = lane.what(),
            "writes go through again"
        );
        if stuck.is_empty() {
            self.condition.green();
        }
    }
}
