//! Whether this process can do its work: named conditions, red or green, each with a reason and a since.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Clock;

/// Longest reason that is kept, in bytes; a reason may quote foreign text.
pub const REASON_MAX: usize = 256;

/// The readiness of a process: all conditions that were ever asked for. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    clock: Clock,
    /// Bounded by the `&'static str` names in the code.
    conditions: Mutex<BTreeMap<&'static str, Condition>>,
}

/// One named condition; cheap to set from anywhere. Clones are the same condition.
#[derive(Clone, Debug)]
pub struct Condition {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    red: Option<String>,
    /// What is worth knowing while it is green.
    remark: String,
    /// What it says of single tenants. Bounded by the tenants of whoever tells.
    of_tenants: BTreeMap<String, String>,
    since: SystemTime,
}

/// What [`Health::report`] says of one condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Condition")]
pub struct ConditionReport {
    /// Name of the condition.
    pub name: &'static str,
    /// Whether it is green.
    pub green: bool,
    /// Why it is red, or what is worth knowing although it is green; may be empty then. For people of one tenant: what it says of
    /// theirs.
    pub reason: String,
    /// Since when it has been so, in seconds since the Unix epoch.
    pub since: u64,
}

impl Health {
    /// Readiness with no conditions, which is ready.
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Inner {
            clock,
            conditions: Mutex::default(),
        }))
    }

    /// The condition of that name. It is red ("starting") until somebody sets it.
    pub fn condition(&self, name: &'static str) -> Condition {
        let mut conditions = lock(&self.0.conditions);
        conditions
            .entry(name)
            .or_insert_with(|| Condition::starting(self.0.clock.clone()))
            .clone()
    }

    /// Whether every condition is green.
    pub fn is_ready(&self) -> bool {
        lock(&self.0.conditions).values().all(Condition::is_green)
    }

    /// All conditions, by name.
    pub fn report(&self) -> Vec<ConditionReport> {
        let conditions = lock(&self.0.conditions);
        conditions
            .iter()
            .map(|(name, condition)| condition.report(name))
            .collect()
    }

    /// The same for people of one tenant: each condition's colour, and of its words only what it says of that tenant. Whatever else it
    /// says may name others.
    pub fn report_to(&self, tenant: &str) -> Vec<ConditionReport> {
        let conditions = lock(&self.0.conditions);
        let own = |(name, condition): (&&'static str, &Condition)| ConditionReport {
            reason: condition.of_tenant(tenant),
            ..condition.report(name)
        };
        conditions.iter().map(own).collect()
    }
}

impl Condition {
    fn starting(clock: Clock) -> Self {
        let state = State {
            red: Some("starting".to_owned()),
            remark: String::new(),
            of_tenants: BTreeMap::new(),
            since: clock.now(),
        };
        Self {
            clock,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// It is fine.
    pub fn green(&self) {
        self.remark("");
    }

    /// It is fine, and this is worth knowing all the same.
    pub fn remark(&self, remark: &str) {
        let mut state = lock(&self.state);
        if state.red.take().is_some() {
            state.since = self.clock.now();
        }
        if state.remark != remark {
            state.remark = crate::logging::clean(remark, REASON_MAX);
        }
    }

    /// What is so of single tenants, beside its words for whoever sees all; what was told before is over.
    pub fn tell_tenants(&self, told: impl IntoIterator<Item = (String, String)>) {
        let told = told
            .into_iter()
            .map(|(tenant, told)| (tenant, crate::logging::clean(&told, REASON_MAX)));
        let told = told.collect();
        lock(&self.state).of_tenants = told;
    }

    fn of_tenant(&self, tenant: &str) -> String {
        lock(&self.state).of_tenants.get(tenant).cloned().unwrap_or_default()
    }

    /// It is not fine, and why. The since stays when it was red already, for whatever reason.
    pub fn red(&self, reason: &str) {
        let mut state = lock(&self.state);
        match &state.red {
            Some(known) if known == reason => {}
            Some(_) => state.red = Some(crate::logging::clean(reason, REASON_MAX)),
            None => {
                state.red = Some(crate::logging::clean(reason, REASON_MAX));
                state.remark.clear();
                state.since = self.clock.now();
            }
        }
    }

    /// Whether it is fine.
    pub fn is_green(&self) -> bool {
        lock(&self.state).red.is_none()
    }

    fn report(&self, name: &'static str) -> ConditionReport {
        let state = lock(&self.state);
        ConditionReport {
            name,
            green: state.red.is_none(),
            reason: state.red.as_ref().unwrap_or(&state.remark).clone(),
            since: state
                .since
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_process_is_ready_only_when_every_condition_is_green() {
        let health = Health::default();
        assert!(health.is_ready());
        let broker = health.condition("broker");
        let spool = health.condition("spool");
        assert!(!health.is_ready());
        broker.green();
        assert!(!health.is_ready());
        spool.green();
        assert!(health.is_ready());
        health.condition("spool").red("disk is full");
        assert!(!health.is_ready());
    }

    #[test]
    fn a_remark_is_told_and_leaves_the_process_ready() {
        let health = Health::default();
        let parked = health.condition("parked");
        parked.red("at the cap");
        parked.remark("one waits");
        let report = health.report();
        assert_eq!((report[0].green, report[0].reason.as_str()), (true, "one waits"));
        assert!(health.is_ready());
        parked.green();
        assert_eq!(health.report()[0].reason, "");
    }

    #[test]
    fn people_of_a_tenant_are_told_the_colour_and_nothing_that_is_not_said_of_their_own() {
        let health = Health::default();
        let parked = health.condition("parked");
        parked.remark("acme waits; bravo waits");
        parked.tell_tenants([("acme".to_owned(), "acme waits\n".to_owned())]);
        health.condition("store").red("bravo is refused");
        let to = |tenant: &str| {
            let report = health.report_to(tenant);
            report
                .into_iter()
                .map(|c| (c.name, c.green, c.reason))
                .collect::<Vec<_>>()
        };
        let store = ("store", false, String::new());
        let own = ("parked", true, crate::logging::clean("acme waits\n", REASON_MAX));
        assert_eq!(to("acme"), [own, store.clone()]);
        assert_eq!(to("bravo"), [("parked", true, String::new()), store.clone()]);
        parked.tell_tenants([]);
        assert_eq!(to("acme"), [("parked", true, String::new()), store]);
    }

    #[test]
    fn since_says_when_it_became_red_not_when_its_reason_last_changed() {
        let clock = Clock::manual(UNIX_EPOCH + Duration::from_secs(100));
        let health = Health::new(clock.clone());
        let broker = health.condition("broker");
        broker.green();
        clock.advance(Duration::from_secs(10));
        broker.red("connection refused");
        clock.advance(Duration::from_secs(10));
        broker.red("timeout");
        let report = health.report();
        assert_eq!((report[0].since, report[0].reason.as_str()), (110, "timeout"));
    }
}
