//! Whether a receiver does what it is for: pure, from how its attempts end and from what it leaves lying; kept over a restart.
use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry::UnixMicros;

use crate::config::UndeliveredAfter;
use crate::store::Deadlines;

/// What a receiver keeps over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Duty {
    /// Why it does not take its pages; `None`: it does. As it was reported last.
    reported: Option<String>,
    /// When its last test page was put into the outbox.
    tested_us: Option<i64>,
    /// The same as `reported`, as it is now.
    #[serde(skip)]
    failing: Option<&'static str>,
    #[serde(skip)]
    settled: bool,
}

/// A change that has to be told to alerting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) failing: bool,
    pub(super) reason: String,
}

impl Duty {
    /// It took a page.
    pub(super) fn delivered(&mut self) {
        self.failing = None;
        self.settled = true;
    }

    /// It refused a page for good, or left one lying too long.
    pub(super) fn failed(&mut self, reason: &'static str) {
        self.failing = Some(reason);
        self.settled = true;
    }

    /// What has to be told. Another reason for failing is no news.
    pub(super) fn news(&self) -> Option<Report> {
        let changed = self.settled && self.failing.is_some() != self.reported.is_some();
        changed.then(|| Report {
            failing: self.failing.is_some(),
            reason: self
                .failing
                .or(self.reported.as_deref().map(|_| "delivered"))
                .unwrap_or_default()
                .to_owned(),
        })
    }

    /// It was told.
    pub(super) fn told(&mut self) {
        self.reported = self.failing.map(str::to_owned);
    }

    /// Whether a test page is due, and if so that it was put.
    pub(super) fn is_test_due(&self, every: Option<Duration>, now: UnixMicros) -> bool {
        every.is_some_and(|every| self.tested_us.is_none_or(|last| now.since(UnixMicros(last)) >= every))
    }

    /// As it is kept.
    pub(super) fn to_json(&self) -> String {
        // Strings and a number: it cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A test page was put into the outbox.
    pub(super) fn tested(&mut self, now: UnixMicros) {
        self.tested_us = Some(now.0);
    }
}

/// Up to when pages must have been due to be overdue now. Nobody is blamed for the time in which this process did not run.
pub(super) fn deadlines(after: UndeliveredAfter, started: UnixMicros, now: UnixMicros) -> Deadlines {
    let deadline = |after| {
        let ran = now.since(started) >= after;
        if ran { now.minus(after) } else { UnixMicros(i64::MIN) }
    };
    Deadlines {
        high: deadline(after.high),
        medium: deadline(after.medium),
        low: deadline(after.low),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_fails_is_told_once_and_so_is_its_recovery() {
        let mut duty = Duty::default();
        assert_eq!(duty.news(), None);
        duty.failed("rejected");
        let news = duty.news().unwrap();
        assert_eq!((news.failing, news.reason.as_str()), (true, "rejected"));
        duty.told();
        duty.failed("overdue");
        assert_eq!(duty.news(), None, "another reason is no news");
        duty.delivered();
        assert!(!duty.news().unwrap().failing);
        duty.told();
        duty.delivered();
        assert_eq!(duty.news(), None);
    }

    #[test]
    fn a_restart_says_nothing_new_until_something_happens() {
        let mut duty = Duty::default();
        duty.failed("denied");
        duty.told();
        let mut again: Duty = serde_json::from_str(&serde_json::to_string(&duty).unwrap()).unwrap();
        assert_eq!(again.news(), None, "nobody knows yet whether it takes pages");
        again.failed("denied");
        assert_eq!(again.news(), None);
        again.delivered();
        assert!(!again.news().unwrap().failing);
    }

    #[test]
    fn a_page_that_waited_while_the_process_was_off_is_not_overdue_before_its_receiver_had_its_time() {
        let after = UndeliveredAfter::default();
        let start = UnixMicros(1_800_000_000_000_000);
        let at = |seconds| deadlines(after, start, start.plus(Duration::from_secs(seconds)));
        assert_eq!(at(59).high, UnixMicros(i64::MIN));
        assert_eq!((at(60).high, at(60).medium), (start, UnixMicros(i64::MIN)));
    }

    #[test]
    fn a_test_page_is_due_at_first_and_then_whenever_its_time_has_passed() {
        let (week, mut duty) = (Duration::from_secs(7 * 86_400), Duty::default());
        let at = UnixMicros(1_800_000_000_000_000);
        assert!(!duty.is_test_due(None, at));
        assert!(duty.is_test_due(Some(week), at));
        duty.tested(at);
        assert!(!duty.is_test_due(Some(week), at.plus(week.saturating_sub(Duration::from_secs(1)))));
        assert!(duty.is_test_due(Some(week), at.plus(week)));
    }
}
