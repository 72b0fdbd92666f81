//! Chains: who is told after whom, and what comes after the last.
use std::fmt;
use std::time::Duration;

/// Whom a step tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tell {
    /// A receiver.
    Receiver(String),
    /// A person, by all of their receivers.
    Person(String),
    /// Whoever is on call.
    Rota(String),
}

impl fmt::Display for Tell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Receiver(name) => write!(f, "receiver:{name}"),
            Self::Person(name) => write!(f, "person:{name}"),
            Self::Rota(name) => write!(f, "rota:{name}"),
        }
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Whom it tells, all at the same time.
    pub tell: Vec<Tell>,
    /// How long it waits for an acknowledgement before what follows.
    pub wait: Duration,
}

/// What follows the last step of a chain that names no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Its first step, so much later.
    Every(Duration),
    /// Nothing: only for what needs nobody at once.
    Never,
}

/// Who is told after whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// At least one.
    pub steps: Vec<Step>,
    /// The chain that goes on after the last step.
    pub then: Option<String>,
    /// What follows if no chain goes on.
    pub repeat: Repeat,
    /// How long an acknowledgement holds; `None`: for good.
    pub acknowledged_for: Option<Duration>,
}

/// What follows a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The chain.
    pub chain: String,
    /// Its step, from 0.
    pub step: u16,
    /// How often the chain began anew.
    pub repetition: u32,
    /// How long after the step before.
    pub wait: Duration,
}

impl super::Plan {
    /// What follows a step; `None`: nothing, the chain says so.
    pub fn after(&self, chain: &str, step: u16, repetition: u32) -> Option<Turn> {
        let here = self.chains.get(chain)?;
        let at = usize::from(step);
        let wait = here.steps.get(at).map_or(Duration::ZERO, |step| step.wait);
        if at + 1 < here.steps.len() {
            return Some(Turn {
                chain: chain.to_owned(),
                step: step.saturating_add(1),
                repetition,
                wait,
            });
        }
        if let Some(then) = &here.then {
            return Some(Turn {
                chain: then.clone(),
                step: 0,
                repetition,
                wait,
            });
        }
        match here.repeat {
            Repeat::Every(every) => Some(Turn {
                chain: chain.to_owned(),
                step: 0,
                repetition: repetition.saturating_add(1),
                wait: every,
            }),
            Repeat::Never => None,
        }
    }
}
