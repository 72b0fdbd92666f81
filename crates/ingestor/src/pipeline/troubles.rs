//! Which lanes do not get through, and which of them should get a log of their own.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use service::health::Condition;
use telemetry::TenantId;

use super::write::LaneKey;
use crate::config::Parking;
use crate::metrics;
use crate::store::{Reason, WriteError};

/// A lane that does not get through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) reason: Reason,
    /// What was said last.
    pub(super) said: String,
    /// The first try that failed.
    pub(super) since: Instant,
    /// The last one.
    pub(super) last: Instant,
}

/// Told by the readiness of the process, and in the log at the begin and the end only.
pub(super) struct Troubles {
    condition: Condition,
    state: Mutex<State>,
}

/// Bounded by the number of lanes.
#[derive(Default)]
struct State {
    stuck: HashMap<LaneKey, Trouble>,
    /// When the store last took something of a lane.
    through: HashMap<LaneKey, Instant>,
    /// Their trouble is told elsewhere.
    parked: HashSet<TenantId>,
}

impl State {
    fn is_parked(&self, lane: &LaneKey) -> bool {
        !lane.rollups && lane.tenant.as_ref().is_some_and(|tenant| self.parked.contains(tenant))
    }

    /// Lanes that others may have to wait for.
    fn unparked(&self) -> usize {
        self.stuck.keys().filter(|lane| !self.is_parked(lane)).count()
    }

    /// What is said of each tenant of these.
    fn by_tenant(&self) -> BTreeMap<String, String> {
        let mut told: BTreeMap<String, String> = BTreeMap::new();
        for (lane, trouble) in self.stuck.iter().filter(|(lane, _)| !self.is_parked(lane)) {
            // A lane of all tenants is nobody's.
            if let Some(tenant) = &lane.tenant {
                let said = told.entry(tenant.to_string()).or_default();
                let and = if said.is_empty() { "" } else { "; " };
                *said += &format!("{and}tenant {tenant}, {}: {}", lane.what(), trouble.said);
            }
        }
        told
    }
}

impl Troubles {
    pub(super) fn new(condition: Condition) -> Self {
        condition.green();
        Self {
            condition,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A try failed.
    pub(super) fn note(&self, lane: &LaneKey, error: &WriteError) {
        let (reason, now) = (error.reason(), Instant::now());
        let mut state = self.state();
        let before = state.stuck.get(lane).map(|trouble| trouble.reason);
        let trouble = state.stuck.entry(lane.clone()).or_insert_with(|| Trouble {
            reason,
            said: String::new(),
            since: now,
            last: now,
        });
        (trouble.reason, trouble.said, trouble.last) = (reason, error.to_string(), now);
        if state.is_parked(lane) {
            return;
        }
        ::metrics::gauge!(metrics::TENANTS_STUCK).set(state.unparked() as f64);
        let (tenant, what) = (lane.tenant_name(), lane.what());
        self.condition.red(&format!("tenant {tenant}, {what}: {error}"));
        self.condition.tell_tenants(state.by_tenant());
        if before == Some(reason) {
            return;
        }
        if matches!(error, WriteError::Fatal { .. }) {
            tracing::error!(tenant, what, error = %error, "the store refuses everything of this tenant");
        } else {
            tracing::warn!(tenant, what, error = %error, "writes do not go through");
        }
    }

    /// The store took something, or refused it for what it is.
    pub(super) fn over(&self, lane: &LaneKey) {
        let mut state = self.state();
        state.through.insert(lane.clone(), Instant::now());
        if state.stuck.remove(lane).is_none() {
            return;
        }
        self.tell(&state);
        tracing::info!(
            tenant = lane.tenant_name(),
            what = lane.what(),
            "writes go through again"
        );
    }

    /// A tenant has a log of its own, or no longer.
    pub(super) fn parked(&self, tenant: &TenantId, parked: bool) {
        let mut state = self.state();
        match parked {
            true => _ = state.parked.insert(tenant.clone()),
            false => _ = state.parked.remove(tenant),
        }
        self.tell(&state);
    }

    fn tell(&self, state: &State) {
        let left = state.unparked();
        self.condition.tell_tenants(state.by_tenant());
        ::metrics::gauge!(metrics::TENANTS_STUCK).set(left as f64);
        let Some((lane, trouble)) = state.stuck.iter().find(|(lane, _)| !state.is_parked(lane)) else {
            return self.condition.green();
        };
        let (tenant, what) = (lane.tenant_name(), lane.what());
        self.condition
            .red(&format!("tenant {tenant}, {what}: {}", trouble.said));
    }

    /// What is wrong with a lane.
    pub(super) fn of(&self, lane: &LaneKey) -> Option<Trouble> {
        self.state().stuck.get(lane).cloned()
    }

    /// Lanes of points that do not get through.
    pub(super) fn stuck(&self) -> Vec<(LaneKey, Trouble)> {
        let state = self.state();
        let points = state.stuck.iter().filter(|(lane, _)| !lane.rollups);
        points.map(|(lane, trouble)| (lane.clone(), trouble.clone())).collect()
    }

    /// Tenants of these.
    pub(super) fn stuck_tenants(&self) -> Vec<TenantId> {
        let state = self.state();
        let points = state.stuck.keys().filter(|lane| !lane.rollups);
        points.filter_map(|lane| lane.tenant.clone()).collect()
    }

    /// When the store last took something of another lane.
    pub(super) fn others_through(&self, lane: &LaneKey) -> Option<Instant> {
        let state = self.state();
        let others = state.through.iter().filter(|(other, _)| *other != lane);
        others.map(|(_, at)| *at).max()
    }
}

/// What to do about a lane that does not get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing yet.
    Wait,
    /// It is time, and nobody knows whether the store takes others' points: find out.
    Ask,
    /// It is this tenant's trouble alone.
    Park,
}

/// Whether a lane should get a log of its own: it is stuck for long enough, and it is not the store. `waiting` of its records
/// are in memory; the store last took something of another lane at `others`; a proof of that holds for `fresh`.
pub(super) fn verdict(
    limits: &Parking,
    trouble: &Trouble,
    waiting: usize,
    others: Option<Instant>,
    fresh: Duration,
    now: Instant,
) -> Verdict {
    let stuck_for = now.saturating_duration_since(trouble.since);
    let due = stuck_for >= limits.after || (waiting >= limits.records && stuck_for >= limits.soonest());
    if waiting == 0 || !due {
        return Verdict::Wait;
    }
    // A store that is down takes nobody's points, and what is missing or forbidden is one bucket: its own words are enough.
    if matches!(trouble.reason, Reason::NotFound | Reason::Forbidden) {
        return Verdict::Park;
    }
    match others.filter(|&at| at > trouble.since && now.saturating_duration_since(at) <= fresh) {
        Some(at) if at < trouble.last => Verdict::Park,
        // The store is there: the next try of this one tells whether it still is in trouble.
        Some(_) => Verdict::Wait,
        None => Verdict::Ask,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LIMITS: Parking = Parking {
        after: Duration::from_secs(300),
        records: 1_000,
        lanes: 8,
        cap_bytes: 1 << 30,
        at_cap: spool::AtCap::Refuse,
    };
    const FRESH: Duration = Duration::from_secs(90);

    /// The verdict `at` seconds after the first try that failed; the last one failed a second before.
    fn at(reason: Reason, at: u64, waiting: usize, others: Option<u64>) -> Verdict {
        let since = Instant::now();
        let second = |n: u64| since + Duration::from_secs(n);
        let trouble = Trouble {
            reason,
            said: String::new(),
            since,
            last: second(at - 1),
        };
        verdict(&LIMITS, &trouble, waiting, others.map(second), FRESH, second(at))
    }

    #[test]
    fn a_tenant_is_parked_after_a_while_or_sooner_if_it_fills_the_memory_and_only_if_others_get_through() {
        use Verdict::{Ask, Park, Wait};
        // When.
        assert_eq!(at(Reason::Unauthorized, 299, 999, Some(290)), Wait);
        assert_eq!(at(Reason::Unauthorized, 300, 999, Some(290)), Park);
        assert_eq!(at(Reason::Unauthorized, 9, 1_000, Some(5)), Wait);
        assert_eq!(at(Reason::Unauthorized, 10, 1_000, Some(5)), Park);
        assert_eq!(at(Reason::Unauthorized, 400, 0, Some(390)), Wait, "nobody waits for it");
        // Whose trouble it is.
        assert_eq!(at(Reason::Server, 400, 1, None), Ask);
        assert_eq!(at(Reason::Server, 400, 1, Some(300)), Ask, "long ago");
        assert_eq!(at(Reason::Server, 400, 1, Some(399)), Wait, "it may be over");
        assert_eq!(at(Reason::Server, 400, 1, Some(398)), Park);
        assert_eq!(at(Reason::NotFound, 400, 1, None), Park, "its own bucket is missing");
        assert_eq!(at(Reason::Forbidden, 400, 1, None), Park);
    }
}
