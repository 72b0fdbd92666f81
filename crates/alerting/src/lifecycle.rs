//! The life of one alert: inactive → pending → firing → (acknowledged | latched | unknown) → resolved, as a pure machine.
//!
//! It is kept as the few facts that the states are made of, so that no combination is forgotten: whether the condition is
//! confirmed, whether it holds, whether a person acknowledged, whether the device can be heard, whether it latches. The
//! state is a function of these. Nothing here resolves an alert because nothing was heard.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// State of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AlertState")]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing is wrong.
    Inactive,
    /// Something may be wrong: evidence may still arrive.
    Pending,
    /// A person is needed.
    Firing,
    /// The condition holds and a person knows.
    Acknowledged,
    /// The condition is over and no person knows yet.
    Latched,
    /// The condition held when the device was last heard.
    Unknown,
    /// Over, and known where it had to be. The end.
    Resolved,
}

impl State {
    /// Every state, for labels.
    pub const ALL: [Self; 7] = [
        Self::Inactive,
        Self::Pending,
        Self::Firing,
        Self::Acknowledged,
        Self::Latched,
        Self::Unknown,
        Self::Resolved,
    ];

    /// The name in files, labels and pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Acknowledged => "acknowledged",
            Self::Latched => "latched",
            Self::Unknown => "unknown",
            Self::Resolved => "resolved",
        }
    }

    /// The state with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// What can happen to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It may be violated; what would prove the contrary may still arrive.
    Suspected,
    /// It is violated. `single`: one reading was enough, so it latches from now on. `worse`: worse than what was known.
    Violated {
        /// One reading was enough.
        single: bool,
        /// Worse than anything known of this alert.
        worse: bool,
    },
    /// Readings prove that the condition is over.
    Cleared,
    /// The session ended: nothing is proven, so what fires latches.
    SessionOver,
    /// The device, or its gateway, was not heard in time.
    Silent,
    /// The device was heard again.
    Heard,
    /// A person acknowledged.
    Acknowledged,
    /// A person took the acknowledgement back.
    Unacknowledged,
    /// It keeps coming and going: it stays raised until it has settled.
    Flapping,
    /// It has not come back for long enough.
    Settled,
    /// It happened, cannot be undone, and a person has known for long enough: nothing more will come of it.
    Past,
    /// Evidence arrived that it never was violated.
    Retracted,
}

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Lifecycle {
    suspected: bool,
    confirmed: bool,
    active: bool,
    acknowledged: bool,
    silent: bool,
    latching: bool,
    flapping: bool,
    resolved: bool,
}

/// What a signal did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
    /// Whether a person must be told again although the alert may have been firing before.
    pub page: bool,
}

impl Lifecycle {
    /// A new alert; `latching` ones wait for a person even when the condition is over.
    pub fn new(latching: bool) -> Self {
        Self {
            latching,
            ..Self::default()
        }
    }

    /// The state.
    pub fn state(self) -> State {
        match self {
            Self { resolved: true, .. } => State::Resolved,
            Self {
                confirmed: false,
                suspected: true,
                ..
            } => State::Pending,
            Self { confirmed: false, .. } => State::Inactive,
            // What flaps is neither over nor told anew with every turn.
            Self {
                active: false,
                flapping: false,
                ..
            } => State::Latched,
            Self { silent: true, .. } => State::Unknown,
            Self { acknowledged: true, .. } => State::Acknowledged,
            Self { .. } => State::Firing,
        }
    }

    /// Whether it keeps coming and going.
    pub fn is_flapping(self) -> bool {
        self.flapping
    }

    /// Whether its condition holds, as far as is known.
    pub fn is_active(self) -> bool {
        self.active
    }

    /// Whether it was raised: only then there is something to acknowledge.
    pub fn is_confirmed(self) -> bool {
        self.confirmed
    }

    /// Whether a person still has to say that they know: what keeps an escalation going.
    pub fn needs_person(self) -> bool {
        self.confirmed && !self.acknowledged && !self.resolved
    }

    /// Takes a signal. `None`: nothing to tell. A resolved alert takes none.
    pub fn step(&mut self, signal: Signal) -> Option<Step> {
        let from = self.state();
        if from == State::Resolved {
            return None;
        }
        let mut page = false;
        match signal {
            Signal::Suspected => self.suspected = true,
            Signal::Violated { single, worse } => {
                page = !self.confirmed || worse && self.acknowledged;
                self.latching |= single;
                self.confirmed = true;
                self.active = true;
                self.silent = false;
                if worse {
                    self.acknowledged = false;
                }
            }
            Signal::Cleared => self.over(),
            Signal::SessionOver => {
                self.latching |= self.confirmed;
                self.flapping = false;
                self.over();
            }
            Signal::Silent => self.silent |= self.active || self.flapping,
            Signal::Heard => self.silent = false,
            Signal::Acknowledged if self.confirmed => {
                self.acknowledged = true;
                self.resolved = !self.active && !self.flapping;
            }
            Signal::Acknowledged => {}
            Signal::Unacknowledged => {
                page = self.acknowledged;
                self.acknowledged = false;
            }
            Signal::Flapping => self.flapping = self.confirmed,
            Signal::Settled => {
                self.flapping = false;
                if !self.active {
                    self.over();
                }
            }
            Signal::Past => self.resolved = self.confirmed && self.acknowledged && !self.flapping,
            Signal::Retracted => {
                self.resolved = self.confirmed;
                self.suspected = false;
            }
        }
        let to = self.state();
        (from != to || page).then_some(Step { from, to, page })
    }

    /// The condition is over.
    fn over(&mut self) {
        self.suspected = false;
        self.active = false;
        self.silent = false;
        self.resolved = self.confirmed && !self.flapping && (self.acknowledged || !self.latching);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SIGNALS: [Signal; 15] = [
        Signal::Suspected,
        Signal::Violated {
            single: false,
            worse: false,
        },
        Signal::Violated {
            single: false,
            worse: true,
        },
        Signal::Violated {
            single: true,
            worse: false,
        },
        Signal::Violated {
            single: true,
            worse: true,
        },
        Signal::Cleared,
        Signal::SessionOver,
        Signal::Silent,
        Signal::Heard,
        Signal::Acknowledged,
        Signal::Unacknowledged,
        Signal::Flapping,
        Signal::Settled,
        Signal::Past,
        Signal::Retracted,
    ];

    /// Every state that any sequence of signals can reach, with every signal from it.
    fn every_edge() -> Vec<(Lifecycle, Signal, Lifecycle, Option<Step>)> {
        let mut seen = HashSet::new();
        let mut todo = vec![Lifecycle::new(false), Lifecycle::new(true)];
        let mut edges = Vec::new();
        while let Some(at) = todo.pop() {
            if !seen.insert(at) {
                continue;
            }
            for signal in SIGNALS {
                let mut next = at;
                let step = next.step(signal);
                edges.push((at, signal, next, step));
                todo.push(next);
            }
        }
        edges
    }

    #[test]
    fn silence_never_resolves_and_never_stops_what_needs_a_person() {
        for (at, signal, next, _) in every_edge() {
            if matches!(signal, Signal::Silent | Signal::Heard) {
                assert_eq!(at.needs_person(), next.needs_person(), "{at:?}");
                assert_eq!(at.state() == State::Resolved, next.state() == State::Resolved, "{at:?}");
            }
        }
    }

    #[test]
    fn the_end_of_a_session_resolves_only_what_a_person_acknowledged() {
        for (at, signal, next, _) in every_edge() {
            if signal == Signal::SessionOver && at.needs_person() {
                assert_eq!(next.state(), State::Latched, "{at:?}");
            }
        }
    }

    #[test]
    fn a_single_reading_latches_until_a_person_acknowledges_or_evidence_retracts_it() {
        for (at, signal, next, _) in every_edge() {
            if at.latching && at.needs_person() && !next.needs_person() {
                assert!(
                    matches!(signal, Signal::Acknowledged | Signal::Retracted),
                    "{at:?} {signal:?}"
                );
            }
        }
    }

    #[test]
    fn every_violation_of_something_new_pages_and_no_other_signal_but_a_person_who_takes_back_does() {
        for (at, signal, _, step) in every_edge() {
            let resolved = at.state() == State::Resolved;
            let paged = step.is_some_and(|s| s.page);
            match signal {
                Signal::Violated { worse, .. } if !resolved => {
                    assert_eq!(paged, !at.confirmed || (worse && at.acknowledged), "{at:?}");
                    assert!(!paged || step.unwrap().to == State::Firing);
                }
                Signal::Unacknowledged => assert_eq!(paged, at.acknowledged && !resolved, "{at:?}"),
                _ => assert!(!paged, "{at:?} {signal:?}"),
            }
        }
    }

    #[test]
    fn a_step_is_told_exactly_when_the_state_changed_or_a_page_is_due() {
        for (at, _, next, step) in every_edge() {
            match step {
                Some(step) => {
                    assert_eq!((step.from, step.to), (at.state(), next.state()));
                    assert!(step.page || step.from != step.to);
                }
                None => assert_eq!(at.state(), next.state()),
            }
        }
    }

    #[test]
    fn what_flaps_is_told_once_and_ends_only_by_settling_its_session_or_evidence() {
        for (at, signal, next, step) in every_edge() {
            if at.flapping && at.state() != State::Resolved && next.state() == State::Resolved {
                assert!(
                    matches!(signal, Signal::Settled | Signal::SessionOver | Signal::Retracted),
                    "{at:?} {signal:?}"
                );
            }
            let turn = matches!(signal, Signal::Cleared | Signal::Violated { worse: false, .. });
            if at.flapping && !at.silent && turn {
                assert_eq!(step, None, "{at:?} {signal:?}");
            }
        }
    }

    #[test]
    fn an_acknowledgement_that_is_taken_back_leaves_the_alert_as_needing_a_person() {
        for (at, signal, next, _) in every_edge() {
            if signal == Signal::Unacknowledged && at.confirmed && at.state() != State::Resolved {
                assert!(next.needs_person(), "{at:?}");
            }
        }
    }

    #[test]
    fn what_happened_is_past_only_for_what_a_person_acknowledged_and_has_not_taken_back() {
        for (at, signal, next, step) in every_edge() {
            if signal != Signal::Past || at.state() == State::Resolved {
                continue;
            }
            let known = at.confirmed && at.acknowledged && !at.flapping;
            assert_eq!(next.state() == State::Resolved, known, "{at:?}");
            assert!(known || (next, step) == (at, None), "{at:?}");
            assert!(!at.needs_person() || next.needs_person(), "{at:?}");
        }
    }

    #[test]
    fn no_alert_needs_a_person_for_ever_once_one_acknowledged_and_nothing_new_comes() {
        for (at, signal, next, _) in every_edge() {
            if signal == Signal::Acknowledged && next.confirmed && !next.flapping {
                let mut after = next;
                let _ = after.step(Signal::Past);
                assert_eq!(after.state(), State::Resolved, "{at:?}");
            }
        }
    }

    #[test]
    fn resolved_is_the_end() {
        for (at, _, next, step) in every_edge() {
            if at.state() == State::Resolved {
                assert_eq!((next, step), (at, None));
            }
        }
    }

    #[test]
    fn what_was_only_pending_goes_away_without_a_page() {
        let mut alert = Lifecycle::new(true);
        assert_eq!(alert.step(Signal::Suspected).unwrap().to, State::Pending);
        let step = alert.step(Signal::Retracted).unwrap();
        assert_eq!((step.to, step.page), (State::Inactive, false));
    }
}
