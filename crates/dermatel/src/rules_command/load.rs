//! What pages cost people: how many, by rule and priority, per shift, and nights in which somebody was woken.
use std::collections::{BTreeMap, BTreeSet};

use alerting::engine::Transition;
use chrono::{DateTime, FixedOffset, Timelike as _, Utc};
use telemetry::{Priority, UnixMicros};

/// Hours of a shift; the first begins at [`FIRST_SHIFT`].
const SHIFT_H: i64 = 8;
const FIRST_SHIFT: i64 = 6;
/// Night, in hours of local time.
const NIGHT: (u32, u32) = (22, 7);

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) at: UnixMicros,
    pub(super) rule: String,
    pub(super) priority: Priority,
    pub(super) tenant: String,
    pub(super) device: String,
}

impl Page {
    pub(super) fn of(step: &Transition, at: UnixMicros) -> Self {
        Self {
            at,
            rule: step.alert.rule.clone(),
            priority: step.alert.priority,
            tenant: step.alert.tenant.clone(),
            device: step.alert.device.clone(),
        }
    }
}

/// Figures of a set of pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) pages: u64,
    pub(super) by_rule: BTreeMap<String, u64>,
    pub(super) by_priority: BTreeMap<Priority, u64>,
    /// Most pages in one shift of eight hours (from 6, 14 and 22 o'clock).
    pub(super) worst_shift: u64,
    /// Nights with a page of high or medium priority between 22 and 7 o'clock.
    pub(super) nights: u64,
}

/// Counts, on a clock that is so far from UTC.
pub(super) fn load(pages: &[Page], zone: FixedOffset) -> Load {
    let mut load = Load {
        pages: pages.len() as u64,
        ..Load::default()
    };
    let (mut shifts, mut nights) = (BTreeMap::<i64, u64>::new(), BTreeSet::new());
    for page in pages {
        *load.by_rule.entry(page.rule.clone()).or_default() += 1;
        *load.by_priority.entry(page.priority).or_default() += 1;
        let Some(utc) = DateTime::<Utc>::from_timestamp_micros(page.at.0) else {
            continue;
        };
        let local = utc.with_timezone(&zone).naive_local();
        let hours = local.and_utc().timestamp().div_euclid(3_600);
        *shifts.entry((hours - FIRST_SHIFT).div_euclid(SHIFT_H)).or_default() += 1;
        let hour = local.hour();
        let wakes = matches!(page.priority, Priority::High | Priority::Medium);
        if wakes && (hour >= NIGHT.0 || hour < NIGHT.1) {
            // A night is of the day on which it begins.
            nights.insert((hours - i64::from(NIGHT.1)).div_euclid(24));
        }
    }
    load.worst_shift = shifts.into_values().max().unwrap_or(0);
    load.nights = nights.len() as u64;
    load
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn page(time: &str, priority: Priority) -> Page {
        Page {
            at: UnixMicros(DateTime::parse_from_rfc3339(time).unwrap().timestamp_micros()),
            rule: "r".to_owned(),
            priority,
            tenant: "t".to_owned(),
            device: "d".to_owned(),
        }
    }

    #[test]
    fn one_night_reaches_from_22_to_7_and_low_priority_wakes_nobody() {
        let zone = FixedOffset::east_opt(7_200).unwrap();
        let pages = [
            page("2026-06-01T23:00:00+02:00", Priority::High),
            page("2026-06-02T06:59:00+02:00", Priority::Medium),
            page("2026-06-02T07:00:00+02:00", Priority::High),
            page("2026-06-02T21:59:00+02:00", Priority::High),
            page("2026-06-03T01:00:00+02:00", Priority::Low),
            page("2026-06-03T22:00:00+02:00", Priority::Medium),
        ];
        let load = load(&pages, zone);
        assert_eq!((load.nights, load.pages), (2, 6));
        assert_eq!(load.by_priority.get(&Priority::High), Some(&3));
    }

    #[test]
    fn a_shift_is_eight_hours_of_local_time() {
        let zone = FixedOffset::east_opt(7_200).unwrap();
        let two = [
            page("2026-06-01T06:00:00+02:00", Priority::Low),
            page("2026-06-01T13:59:00+02:00", Priority::Low),
            page("2026-06-01T14:00:00+02:00", Priority::Low),
        ];
        assert_eq!(load(&two, zone).worst_shift, 2);
    }
}
