//! Figures of alarm management as ISA-18.2 and EEMUA 191 count them, in the forms that public sources give (docs/detection.md).
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use alerting::lifecycle::State;
use telemetry::Priority;

use crate::play::Told;

const MINUTE_US: u64 = 60_000_000;
const DAY_US: u64 = 24 * 60 * MINUTE_US;
/// Raises of one alarm within a minute that are chattering.
const CHATTER: usize = 3;
/// Raises at one operator within ten minutes that are a flood.
const FLOOD: u64 = 10;

/// One change of one alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) at_us: u64,
    /// Who is to do something: a clinic.
    pub(super) operator: String,
    /// What repeats: a rule at a device.
    pub(super) alarm: String,
    /// Which occurrence.
    pub(super) occurrence: [u8; 16],
    pub(super) change: Change,
    pub(super) priority: Priority,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It begins to ask for a person.
    Raised,
    /// It is over and known.
    Over,
}

/// The events of what was told.
pub(super) fn events(told: &[Told]) -> Vec<Event> {
    told.iter()
        .filter_map(|told| {
            let (step, alert) = (&told.step, &told.step.alert);
            let change = match (step.from, step.to) {
                (from, State::Firing) if from != State::Firing => Change::Raised,
                (_, State::Resolved) => Change::Over,
                _ => return None,
            };
            Some(Event {
                at_us: told.at_us,
                operator: format!("{}/{}", alert.tenant, alert.clinic),
                alarm: format!("{} at {}/{}", alert.rule, alert.tenant, alert.device),
                occurrence: alert.id.0,
                change,
                priority: alert.priority,
            })
        })
        .collect()
}

/// The figures of one run.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    pub(super) raised: u64,
    /// Raises that were the third or later of their alarm within 60 s.
    pub(super) chattering: u64,
    /// Occurrences that were open for more than 24 h.
    pub(super) stale: u64,
    /// Whole ten minutes of one operator, and how many had 10 or more raises.
    pub(super) spans: u64,
    pub(super) flooded: u64,
    pub(super) by_priority: BTreeMap<Priority, u64>,
    /// Most raises of one operator within one day.
    pub(super) worst_day: u64,
    pub(super) operator_days: f64,
}

impl Figures {
    /// Adds one run of `length_us` with so many operators. Events in the order of time.
    pub(super) fn add(&mut self, events: &[Event], operators: u64, length_us: u64) {
        let raises = || events.iter().filter(|e| e.change == Change::Raised);
        let mut recent: BTreeMap<&str, VecDeque<u64>> = BTreeMap::new();
        let mut spans: BTreeMap<(&str, u64), u64> = BTreeMap::new();
        let mut days: BTreeMap<(&str, u64), u64> = BTreeMap::new();
        for event in raises() {
            self.raised += 1;
            *self.by_priority.entry(event.priority).or_default() += 1;
            let times = recent.entry(&event.alarm).or_default();
            times.push_back(event.at_us);
            while times.front().is_some_and(|&first| first + MINUTE_US < event.at_us) {
                times.pop_front();
            }
            self.chattering += u64::from(times.len() >= CHATTER);
            *spans
                .entry((&event.operator, event.at_us / (10 * MINUTE_US)))
                .or_default() += 1;
            *days.entry((&event.operator, event.at_us / DAY_US)).or_default() += 1;
        }
        self.spans += operators * length_us / (10 * MINUTE_US);
        self.flooded += spans.values().filter(|&&n| n >= FLOOD).count() as u64;
        self.worst_day = self.worst_day.max(days.into_values().max().unwrap_or(0));
        self.operator_days += operators as f64 * length_us as f64 / DAY_US as f64;
        self.stale += stale(events, length_us);
    }
}

fn stale(events: &[Event], end_us: u64) -> u64 {
    let mut since: BTreeMap<[u8; 16], u64> = BTreeMap::new();
    let mut stale = BTreeSet::new();
    for event in events {
        match event.change {
            Change::Raised => {
                since.entry(event.occurrence).or_insert(event.at_us);
            }
            Change::Over => {
                if since
                    .remove(&event.occurrence)
                    .is_some_and(|at| event.at_us > at + DAY_US)
                {
                    stale.insert(event.occurrence);
                }
            }
        }
    }
    stale.extend(
        since
            .into_iter()
            .filter(|&(_, at)| end_us > at + DAY_US)
            .map(|(id, _)| id),
    );
    stale.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_s: u64, alarm: &str, occurrence: u8, change: Change) -> Event {
        Event {
            at_us: at_s * 1_000_000,
            operator: "t/c".to_owned(),
            alarm: alarm.to_owned(),
            occurrence: [occurrence; 16],
            change,
            priority: Priority::High,
        }
    }

    fn figures(events: &[Event], hours: u64) -> Figures {
        let mut figures = Figures::default();
        figures.add(events, 1, hours * 60 * MINUTE_US);
        figures
    }

    #[test]
    fn three_raises_of_one_alarm_within_a_minute_chatter_and_of_three_alarms_do_not() {
        use Change::Raised;
        let one: Vec<_> = [(0, 1), (30, 2), (60, 3)].map(|(s, n)| event(s, "a", n, Raised)).into();
        assert_eq!(figures(&one, 1).chattering, 1);
        let slow: Vec<_> = [(0, 1), (31, 2), (61, 3)].map(|(s, n)| event(s, "a", n, Raised)).into();
        assert_eq!(figures(&slow, 1).chattering, 0);
        let three: Vec<_> = [(0, "a"), (1, "b"), (2, "c")]
            .map(|(s, a)| event(s, a, 1, Raised))
            .into();
        assert_eq!(figures(&three, 1).chattering, 0);
    }

    #[test]
    fn ten_raises_in_ten_minutes_are_a_flood_and_nine_are_none() {
        let raises = |n: u64| -> Vec<Event> {
            (0..n)
                .map(|i| event(i * 50, &format!("a{i}"), i as u8, Change::Raised))
                .collect()
        };
        let (nine, ten) = (figures(&raises(9), 1), figures(&raises(10), 1));
        assert_eq!((nine.flooded, ten.flooded, ten.spans, ten.raised), (0, 1, 6, 10));
    }

    #[test]
    fn what_is_open_for_more_than_a_day_is_stale_whether_it_ends_or_not() {
        let (day, raised, over) = (86_400, Change::Raised, Change::Over);
        let ended = [event(0, "a", 1, raised), event(day + 1, "a", 1, over)];
        assert_eq!(figures(&ended, 48).stale, 1);
        let open = [
            event(0, "a", 1, raised),
            event(10, "b", 2, raised),
            event(20, "b", 2, over),
        ];
        assert_eq!(figures(&open, 48).stale, 1);
        assert_eq!(figures(&open, 24).stale, 0);
        let in_time = [event(0, "a", 1, raised), event(day, "a", 1, over)];
        assert_eq!(figures(&in_time, 48).stale, 0);
    }

    #[test]
    fn rates_are_per_operator_and_day() {
        let mut figures = Figures::default();
        figures.add(&[event(0, "a", 1, Change::Raised)], 3, 2 * DAY_US);
        assert_eq!((figures.operator_days, figures.worst_day), (6.0, 1));
    }
}
