//! Hours: when a clinic or a company is open, by its own clock, with holidays.
use std::collections::BTreeSet;

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, TimeZone as _, Weekday};
use chrono_tz::Tz;
use telemetry::UnixMicros;

/// When somebody is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// By which clock.
    pub zone: Tz,
    /// On which days of the week.
    pub days: Vec<Weekday>,
    /// From, inclusive.
    pub from: NaiveTime,
    /// To, exclusive; not later than `from`: on the next day.
    pub to: NaiveTime,
    /// Not on these days.
    pub holidays: BTreeSet<NaiveDate>,
}

impl Hours {
    /// Whether a time is within them.
    pub fn contains(&self, at: UnixMicros) -> bool {
        let Some(utc) = DateTime::from_timestamp_micros(at.0) else {
            return false;
        };
        let local = utc.with_timezone(&self.zone).naive_local();
        let (day, time) = (local.date(), local.time());
        if self.from < self.to {
            return self.is_open(day) && time >= self.from && time < self.to;
        }
        let yesterday = day.checked_sub_days(Days::new(1));
        self.is_open(day) && time >= self.from || time < self.to && yesterday.is_some_and(|day| self.is_open(day))
    }

    fn is_open(&self, day: NaiveDate) -> bool {
        self.days.contains(&day.weekday()) && !self.holidays.contains(&day)
    }

    /// Times at which the answer may change, from a time on for some days and on every holiday: between two of them it does not.
    pub fn edges(&self, from: UnixMicros, days: u64) -> Vec<UnixMicros> {
        let Some(utc) = DateTime::from_timestamp_micros(from.0) else {
            return Vec::new();
        };
        let first = utc.with_timezone(&self.zone).date_naive();
        let near = (0..=days).filter_map(|n| first.checked_add_days(Days::new(n)));
        let next = |day: &NaiveDate| day.checked_add_days(Days::new(1));
        let far = self.holidays.iter().flat_map(|day| [Some(*day), next(day)]).flatten();
        let at = |day: NaiveDate| {
            [NaiveTime::MIN, self.from, self.to]
                .into_iter()
                .filter_map(move |time| self.zone.from_local_datetime(&day.and_time(time)).earliest())
                .map(|time| UnixMicros(time.timestamp_micros()))
        };
        near.chain(far).flat_map(at).collect()
    }
}
