//! The plan: who is told of which alert, when, and after whom. Validated as a whole; asked with a time, it answers the same.
mod calendar;
mod chain;
mod check;
mod file;
mod hours;
mod inhibit;
mod raw;
mod read;
mod rota;
mod route;

use std::collections::BTreeMap;
use std::time::Duration;

pub use calendar::Shift;
pub use chain::{Chain, Repeat, Step, Tell, Turn};
pub use file::{Against, Read, load_dir, parse};
pub use hours::Hours;
pub use inhibit::{Equal, Inhibit};
pub use rota::{OnCall, Rota};
pub use route::{Group, GroupBy, Route, When};
use telemetry::{Priority, UnixMicros};

use super::labels::{Labels, Matcher};
use super::silence::{SilenceError, SilencePolicy};
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
    /// Only alerts from this priority on; `None`: what the plan says, and from low on without one.
    pub min_priority: Option<Priority>,
}

impl Known {
    /// Whether an alert may reach it. A tenant's alerts never reach another tenant's receiver, whatever a plan says.
    pub fn admits(&self, tenant: &str) -> bool {
        self.tenants.is_empty() || self.tenants.iter().any(|own| own == tenant)
    }

    /// From which priority on it is told when no plan says so.
    pub(crate) fn from(&self) -> Priority {
        self.min_priority.unwrap_or(Priority::Low)
    }

    /// Whether what is so urgent is urgent enough.
    pub fn wants(&self, priority: Priority) -> bool {
        self.min_priority.is_none_or(|least| priority >= least)
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
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Hash of what was read.
    pub version: String,
    pub(crate) people: BTreeMap<String, Vec<String>>,
    pub(crate) rotas: BTreeMap<String, Rota>,
    pub(crate) hours: BTreeMap<String, Hours>,
    pub(crate) chains: BTreeMap<String, Chain>,
    pub(crate) routes: Vec<Route>,
    pub(crate) inhibits: Vec<Inhibit>,
    pub(crate) silences: SilencePolicy,
    pub(crate) receivers: Vec<Known>,
    /// No plan is configured: every receiver is told once of what its tenants and priority admit.
    pub(crate) implicit: bool,
}

impl Plan {
    /// What holds when no plan is configured: each receiver is told once, at once, by its own tenants and priority. One happening
    /// at one device is one page here too.
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
                priorities: from_priority(receiver.from()),
                ..Matcher::default()
            },
            when: None,
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
            inhibits: inhibit::within_a_device(),
            implicit: true,
            ..Self::default()
        }
    }

    /// The routes that an alert takes now, first match first.
    pub fn ways(&self, labels: &Labels, now: UnixMicros) -> Vec<&Route> {
        let mut ways = Vec::new();
        for route in &self.routes {
            if !route.matcher.matches(labels) || !self.is_now(route, now) {
                continue;
            }
            ways.push(route);
            if !route.goes_on || ways.len() >= MAX_WAYS && !self.implicit {
                break;
            }
        }
        ways
    }

    fn is_now(&self, route: &Route, now: UnixMicros) -> bool {
        let Some(when) = &route.when else { return true };
        let hours = self.hours.get(&when.hours);
        // Hours that are not there were refused; were they lost, nobody is forgotten.
        hours.is_none_or(|hours| hours.contains(now) == when.inside)
    }

    /// Who is meant now.
    pub fn addressees(&self, tell: &Tell, now: UnixMicros) -> Vec<Addressee> {
        match tell {
            Tell::Receiver(name) => vec![Addressee {
                receiver: name.clone(),
                because: format!("receiver {name}"),
            }],
            Tell::Person(name) => self.person(name, format!("person {name}")),
            Tell::Rota(name) => self.on_call(name, now),
        }
    }

    fn on_call(&self, name: &str, now: UnixMicros) -> Vec<Addressee> {
        let Some(rota) = self.rotas.get(name) else {
            return Vec::new();
        };
        let (shifts, by) = match rota.on_call(now) {
            OnCall::Shift(shifts) => (shifts, "is on call"),
            OnCall::Override(shifts) => (shifts, "is on call by an override"),
            OnCall::Nobody => {
                let otherwise = rota.otherwise.iter().flat_map(|tell| self.addressees(tell, now));
                let why = |mut one: Addressee| {
                    one.because = format!("nobody is on call in rota {name}, otherwise {}", one.because);
                    one
                };
                return otherwise.map(why).collect();
            }
        };
        let one = |shift: Shift| {
            let until = crate::notify::rfc3339(shift.to);
            self.person(
                &shift.person,
                format!("{} {by} in rota {name} until {until}", shift.person),
            )
        };
        shifts.into_iter().flat_map(one).collect()
    }

    /// Every rota, with when it ends and whether it has, if that is soon.
    pub(crate) fn rotas_by_end(&self, now: UnixMicros) -> BTreeMap<String, Option<(UnixMicros, bool)>> {
        let rotas = self.rotas.iter();
        rotas
            .map(|(name, rota)| (name.clone(), rota.running_out(now)))
            .collect()
    }

    /// The receivers of a person; of a receiver, itself: whoever acts by a link acts in its name.
    pub(crate) fn receivers_of(&self, person: &str) -> Vec<String> {
        let itself = || {
            let known = self.receivers.iter().filter(|known| known.name == person);
            known.map(|known| known.name.clone()).collect()
        };
        self.people.get(person).cloned().unwrap_or_else(itself)
    }

    /// Whether somebody can answer for a silence.
    pub(crate) fn may_own(&self, owner: &str) -> Result<(), SilenceError> {
        let known = self.people.contains_key(owner) || self.receivers.iter().any(|known| known.name == owner);
        if owner.trim().is_empty() || !self.implicit && !known {
            return Err(SilenceError::Owner);
        }
        Ok(())
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

    /// Whether a receiver may be told of a tenant's alerts, and is meant for such urgent ones; one that is not configured is not
    /// held back here.
    pub(crate) fn admits(&self, receiver: &str, tenant: &str, priority: Priority) -> bool {
        let known = self.receivers.iter().find(|known| known.name == receiver);
        known.is_none_or(|known| known.admits(tenant) && known.wants(priority))
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
