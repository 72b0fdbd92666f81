//! The plan: who is told of which alert, when, and after whom. Validated as a whole; asked with a time, it answers the same.
mod chain;
mod route;

use std::collections::BTreeMap;
use std::time::Duration;

pub use chain::{Chain, Repeat, Step, Tell, Turn};
pub use route::{Group, GroupBy, Route};
use telemetry::{Priority, UnixMicros};

use super::labels::{Labels, Matcher};
use crate::config::Receiver;

/// Most routes that one alert may take.
pub const MAX_WAYS: usize = 8;
/// The chain of the plan that stands in when none is configured.
const AT_ONCE: &str = "at once";

/// A receiver as the plan sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Only alerts of these tenants may reach it; none: of all.
    pub tenants: Vec<String>,
    /// Only alerts from this priority on.
    pub min_priority: Priority,
}

impl Known {
    /// Whether an alert may reach it. A tenant's alerts never reach another tenant's receiver, whatever a plan says.
    pub fn admits(&self, tenant: &str) -> bool {
        self.tenants.is_empty() || self.tenants.iter().any(|own| own == tenant)
    }
}

/// Somebody to tell, and why it is them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressee {
    /// Name of the receiver.
    pub receiver: String,
    /// Why, in words.
    pub because: String,
}

/// The plan.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Hash of what was read.
    pub version: String,
    pub(crate) people: BTreeMap<String, Vec<String>>,
    pub(crate) chains: BTreeMap<String, Chain>,
    pub(crate) routes: Vec<Route>,
    pub(crate) receivers: Vec<Known>,
    /// No plan is configured: every receiver is told once of what its tenants and priority admit.
    pub(crate) implicit: bool,
}

impl Plan {
    /// What holds when no plan is configured: each receiver is told once, at once, by its own tenants and priority.
    pub fn implicit(receivers: &[Receiver]) -> Self {
        let known = known(receivers);
        let once = |receiver: &Known| Chain {
            steps: vec![Step {
                tell: vec![Tell::Receiver(receiver.name.clone())],
                wait: Duration::ZERO,
            }],
            then: None,
            repeat: Repeat::Never,
            acknowledged_for: None,
        };
        let name = |receiver: &Known| format!("{AT_ONCE}: {}", receiver.name);
        let route = |(n, receiver): (usize, &Known)| Route {
            name: format!("receiver {}", n + 1),
            matcher: Matcher {
                tenants: receiver.tenants.clone(),
                priorities: from_priority(receiver.min_priority),
                ..Matcher::default()
            },
            chain: name(receiver),
            group: None,
            hold: Duration::ZERO,
            goes_on: true,
        };
        Self {
            version: "none".to_owned(),
            chains: known.iter().map(|r| (name(r), once(r))).collect(),
            routes: known.iter().enumerate().map(route).collect(),
            receivers: known,
            implicit: true,
            ..Self::default()
        }
    }

    /// The routes that an alert takes now, first match first.
    pub fn ways(&self, labels: &Labels, _now: UnixMicros) -> Vec<&Route> {
        let mut ways = Vec::new();
        for route in &self.routes {
            if !route.matcher.matches(labels) {
                continue;
            }
            ways.push(route);
            if !route.goes_on || ways.len() >= MAX_WAYS && !self.implicit {
                break;
            }
        }
        ways
    }

    /// Who is meant now.
    pub fn addressees(&self, tell: &Tell, _now: UnixMicros) -> Vec<Addressee> {
        match tell {
            Tell::Receiver(name) => vec![Addressee {
                receiver: name.clone(),
                because: format!("receiver {name}"),
            }],
            Tell::Person(name) => self.person(name, format!("person {name}")),
        }
    }

    fn person(&self, name: &str, because: String) -> Vec<Addressee> {
        let receivers = self.people.get(name).map(Vec::as_slice).unwrap_or_default();
        let one = |receiver: &String| Addressee {
            receiver: receiver.clone(),
            because: because.clone(),
        };
        receivers.iter().map(one).collect()
    }

    /// Whoever may be told of an alert at all: for when nobody else is found.
    pub(crate) fn everybody(&self, tenant: &str) -> Vec<Addressee> {
        let admits = |known: &&Known| known.admits(tenant);
        let one = |known: &Known| Addressee {
            receiver: known.name.clone(),
            because: "the plan names nobody, so everybody is told".to_owned(),
        };
        self.receivers.iter().filter(admits).map(one).collect()
    }

    /// Whether a receiver may be told of a tenant's alerts; one that is not configured is not held back here.
    pub(crate) fn admits(&self, receiver: &str, tenant: &str) -> bool {
        let known = self.receivers.iter().find(|known| known.name == receiver);
        known.is_none_or(|known| known.admits(tenant))
    }
}

/// Every priority from one on.
pub(crate) fn from_priority(min: Priority) -> Vec<Priority> {
    [Priority::Info, Priority::Low, Priority::Medium, Priority::High]
        .into_iter()
        .filter(|priority| *priority >= min)
        .collect()
}

pub(crate) fn known(receivers: &[Receiver]) -> Vec<Known> {
    let one = |receiver: &Receiver| Known {
        name: receiver.name.clone(),
        tenants: receiver
            .tenants
            .iter()
            .map(|tenant| tenant.as_str().to_owned())
            .collect(),
        min_priority: receiver.min_priority,
    };
    receivers.iter().map(one).collect()
}
