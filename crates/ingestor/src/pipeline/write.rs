//! The writing half of one batch: tried until every record of it has a fate, whatever the store says meanwhile.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng as _;
use service::backoff::Backoff;
use service::clock::Clock;
use telemetry::TenantId;
use tokio::sync::{Semaphore, watch};

use super::troubles::Troubles;
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
    pub(super) fn tenant_name(&self) -> &str {
        self.tenant.as_ref().map_or("all", TenantId::as_str)
    }

    pub(super) const fn what(&self) -> &'static str {
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
    /// Given up: its tenant was parked. The store may have it all the same.
    Unwritten,
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
    /// Writes a batch; comes back when every record has a fate, or when told to give up.
    pub(super) async fn write(
        &self,
        lane: &LaneKey,
        records: &Arc<Vec<Record>>,
        mut give_up: watch::Receiver<bool>,
    ) -> Vec<Outcome> {
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
                    todo.push(range);
                    if given_up_within(&mut give_up, self.wait(&e, &mut backoff)).await {
                        for at in todo.drain(..).flatten() {
                            set(&mut outcomes, at, Outcome::Unwritten);
                        }
                    }
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

/// Waits for so long, or until told to give up; tells whether it was.
async fn given_up_within(give_up: &mut watch::Receiver<bool>, wait: Duration) -> bool {
    let told = async {
        if give_up.wait_for(|told| *told).await.is_err() {
            // Nobody can tell it any more.
            std::future::pending::<()>().await;
        }
    };
    tokio::time::timeout(wait, told).await.is_ok()
}

fn set(outcomes: &mut [Outcome], at: usize, outcome: Outcome) {
    if let Some(place) = outcomes.get_mut(at) {
        *place = outcome;
    }
}
