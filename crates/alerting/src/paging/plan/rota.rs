//! Rotas: who is on call at a time, by a calendar and by the one whose shifts win over it.
use std::time::Duration;

use telemetry::UnixMicros;

use super::Tell;
use super::calendar::{Event, Shift};

/// How far ahead a rota is looked at for shifts that are missing.
pub(super) const LOOK_AHEAD: Duration = Duration::from_secs(14 * 86_400);
/// How far ahead a rota that has no shift any more is told from one with a long pause.
const HORIZON: Duration = Duration::from_secs(400 * 86_400);

/// Who is on call when.
#[derive(Debug, Clone, Default)]
pub struct Rota {
    pub(super) events: Vec<Event>,
    pub(super) overrides: Vec<Event>,
    /// Who is told if nobody is on call.
    pub otherwise: Vec<Tell>,
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

    /// The times within the next days at which nobody is on call, and whether nobody ever will be again.
    pub fn gaps(&self, now: UnixMicros) -> (Vec<(UnixMicros, UnixMicros)>, bool) {
        let end = now.plus(LOOK_AHEAD);
        let mut covered = shifts(&self.events, now, end);
        covered.extend(shifts(&self.overrides, now, end));
        covered.sort();
        let expired = covered.is_empty() && {
            let far = now.plus(HORIZON);
            shifts(&self.events, now, far).is_empty() && shifts(&self.overrides, now, far).is_empty()
        };
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
        (gaps, expired)
    }
}

fn shifts(events: &[Event], from: UnixMicros, to: UnixMicros) -> Vec<Shift> {
    let mut shifts: Vec<Shift> = events.iter().flat_map(|event| event.shifts(from, to)).collect();
    shifts.sort();
    shifts.dedup();
    shifts
}
