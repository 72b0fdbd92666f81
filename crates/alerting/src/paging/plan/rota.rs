//! Rotas: who is on call at a time, by a calendar and by the one whose shifts win over it.
use std::time::Duration;

use telemetry::UnixMicros;

use super::Tell;
use super::calendar::{Event, Shift};

/// How far ahead a rota is looked at for shifts that are missing.
pub(super) const LOOK_AHEAD: Duration = Duration::from_secs(14 * 86_400);
/// How long before its end a rota says so, if nothing else is said.
pub(super) const WARN_BEFORE: Duration = Duration::from_secs(7 * 86_400);

/// Who is on call when.
#[derive(Debug, Clone, Default)]
pub struct Rota {
    pub(super) events: Vec<Event>,
    pub(super) overrides: Vec<Event>,
    /// Who is told if nobody is on call.
    pub otherwise: Vec<Tell>,
    /// When its last shift ends; `None`: shifts recur without end.
    pub ends: Option<UnixMicros>,
    /// How long before that it is an alert.
    pub warn_before: Duration,
}

/// The answer of a rota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnCall {
    /// By a shift of the calendar.
    Shift(Vec<Shift>),
    /// By a shift of the calendar that wins over it.
    Override(Vec<Shift>),
    /// Nobody.
    Nobody,
}

impl Rota {
    /// Who is on call.
    pub fn on_call(&self, at: UnixMicros) -> OnCall {
        let next = UnixMicros(at.0.saturating_add(1));
        let overriding = shifts(&self.overrides, at, next);
        if !overriding.is_empty() {
            return OnCall::Override(overriding);
        }
        let regular = shifts(&self.events, at, next);
        if regular.is_empty() {
            return OnCall::Nobody;
        }
        OnCall::Shift(regular)
    }

    /// When the last of all shifts ends: `None`: never. Without any shift: long ago.
    pub(super) fn end_of(events: &[Event], overrides: &[Event]) -> Option<UnixMicros> {
        let mut last = UnixMicros::default();
        for event in events.iter().chain(overrides) {
            last = last.max(event.ends()?);
        }
        Some(last)
    }

    /// The line of its calendar at which the event begins that goes on the longest: what to prolong.
    pub(super) fn last_line(&self) -> usize {
        let last = self.events.iter().max_by_key(|event| event.ends());
        last.map_or(1, |event| event.line)
    }

    /// When it ends, if it does so soon enough to be told of, and whether it has.
    pub fn running_out(&self, now: UnixMicros) -> Option<(UnixMicros, bool)> {
        let ends = self.ends?;
        (ends <= now.plus(self.warn_before)).then_some((ends, ends <= now))
    }

    /// The times within the next days at which nobody is on call, up to its end.
    pub fn gaps(&self, now: UnixMicros) -> Vec<(UnixMicros, UnixMicros)> {
        let end = now.plus(LOOK_AHEAD);
        let end = self.ends.map_or(end, |ends| ends.min(end));
        let mut covered = shifts(&self.events, now, end);
        covered.extend(shifts(&self.overrides, now, end));
        covered.sort();
        let mut gaps = Vec::new();
        let mut until = now;
        for shift in covered {
            if shift.from > until {
                gaps.push((until, shift.from));
            }
            until = until.max(shift.to);
        }
        if until < end {
            gaps.push((until, end));
        }
        gaps
    }
}

fn shifts(events: &[Event], from: UnixMicros, to: UnixMicros) -> Vec<Shift> {
    let mut shifts: Vec<Shift> = events.iter().flat_map(|event| event.shifts(from, to)).collect();
    shifts.sort();
    shifts.dedup();
    shifts
}
