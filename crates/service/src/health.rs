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
    /// Why it is red; empty when green.
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
}

impl Condition {
    fn starting(clock: Clock) -> Self {
        let state = State {
            red: Some("starting".to_owned()),
            since: clock.now(),
        };
        Self {
            clock,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// It is fine.
    pub fn green(&self) {
        let mut state = lock(&self.state);
        if state.red.is_some() {
            *state = State {
                red: None,
                since: self.clock.now(),
            };
        }
    }

    /// It is not fine, and why. The since stays when it was red already, for whatever reason.
    pub fn red(&self, reason: &str) {
        let mut state = lock(&self.state);
        match &state.red {
            Some(known) if known == reason => {}
            Some(_) => state.red = Some(crate::logging::clean(reason, REASON_MAX)),
            None => {
                *state = State {
                    red: Some(crate::logging::clean(reason, REASON_MAX)),
                    since: self.clock.now(),
                };
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
            reason: state.red.clone().unwrap_or_default(),
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
