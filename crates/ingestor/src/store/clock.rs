//! How far the clock of a store is from ours: judged by the `Date` of its answers, told once per change.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap};
use service::health::Condition;

use crate::metrics;

/// Clocks further apart than this are told, in seconds: nothing that we know of suffers from less, and NTP keeps far below it.
pub(crate) const MAX_SKEW_S: i64 = 5;
/// `Date` has whole seconds.
const RESOLUTION: Duration = Duration::from_secs(1);

/// How far a server's clock is ahead of ours at the least, in whole seconds, by an answer to what was asked at `asked` and that
/// began to come at `answered`: its `Date` was written at some moment between the two. 0 if both clocks may be right. `None`: it
/// says no date, or our own clock was set back meanwhile.
pub(crate) fn ahead(headers: &HeaderMap, asked: SystemTime, answered: SystemTime) -> Option<i64> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    if answered < asked {
        return None;
    }
    let whole = |apart: Duration| i64::try_from(apart.as_secs()).unwrap_or(i64::MAX);
    if let Ok(ahead) = date.duration_since(answered) {
        return Some(whole(ahead));
    }
    let behind = asked.duration_since(date).unwrap_or_default();
    Some(-whole(behind.saturating_sub(RESOLUTION)))
}

/// What a person should know about a clock that is so far ahead; `None` if it is right enough.
pub(crate) fn told(ahead_s: i64) -> Option<String> {
    (ahead_s.abs() > MAX_SKEW_S).then(|| {
        format!(
            "the server's clock is {} s {} this machine's: retention and `now()` in dashboards are off by as much",
            ahead_s.abs(),
            if ahead_s > 0 { "ahead of" } else { "behind" }
        )
    })
}

/// What was seen last. Points flow whatever it is: it is a remark in readiness, a warning in the log and a gauge.
#[derive(Debug, Default)]
pub(super) struct StoreClock {
    apart: AtomicBool,
    /// None where somebody only asks.
    condition: Option<Condition>,
}

impl StoreClock {
    pub(super) fn telling(condition: Condition) -> Self {
        Self {
            apart: AtomicBool::new(false),
            condition: Some(condition),
        }
    }

    /// Takes the judgement of one answer; none changes nothing.
    pub(super) fn seen(&self, ahead_s: Option<i64>) {
        let Some(ahead_s) = ahead_s else {
            return;
        };
        ::metrics::gauge!(metrics::STORE_CLOCK_AHEAD).set(ahead_s as f64);
        let told = told(ahead_s);
        if let Some(condition) = &self.condition {
            condition.remark(told.as_deref().unwrap_or_default());
        }
        match (self.apart.swap(told.is_some(), Ordering::Relaxed), told.is_some()) {
            (false, true) => tracing::warn!(
                ahead_s,
                "the clocks of InfluxDB and this machine are apart: run NTP on both"
            ),
            (true, false) => tracing::info!(ahead_s, "the clocks of InfluxDB and this machine agree again"),
            _ => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    /// An answer whose date is `date_ms` after a moment, asked and answered so many milliseconds after it.
    fn ahead_of(date_ms: u64, asked_ms: u64, answered_ms: u64) -> Option<i64> {
        let at = |ms: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_348_800_000 + ms);
        let mut headers = HeaderMap::new();
        let date = httpdate::fmt_http_date(at(date_ms));
        headers.insert(DATE, HeaderValue::from_str(&date).unwrap());
        ahead(&headers, at(asked_ms), at(answered_ms))
    }

    #[test]
    fn a_clock_is_apart_only_by_what_neither_the_way_nor_whole_seconds_explain() {
        // Both right: the second in which it was written, or any while the answer took.
        assert_eq!(ahead_of(60_000, 60_000, 60_001), Some(0));
        assert_eq!(ahead_of(60_999, 60_999, 61_000), Some(0));
        assert_eq!(ahead_of(60_000, 50_500, 70_500), Some(0));
        // A slow answer excuses its own duration and no more.
        assert_eq!(ahead_of(60_000, 64_000, 90_000), Some(-3));
        assert_eq!(ahead_of(60_000, 67_500, 90_000), Some(-6));
        assert_eq!(ahead_of(60_000, 20_000, 50_000), Some(10));
        // Years.
        assert_eq!(ahead_of(60_000, 31_536_061_000, 31_536_062_000), Some(-31_536_000));
    }

    #[test]
    fn without_a_date_or_with_a_clock_of_ours_that_jumped_nothing_is_claimed() {
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(ahead(&HeaderMap::new(), now, now), None);
        let mut headers = HeaderMap::new();
        headers.insert(DATE, HeaderValue::from_static("yesterday"));
        assert_eq!(ahead(&headers, now, now), None);
        assert_eq!(ahead_of(60_000, 60_000, 10_000), None);
    }

    #[test]
    fn five_seconds_are_no_news_six_are_and_the_remark_goes_when_they_do() {
        assert_eq!((told(0), told(5), told(-5)), (None, None, None));
        assert!(told(6).unwrap().contains("6 s ahead of"));
        assert!(told(-6).unwrap().contains("6 s behind"));
        let health = service::health::Health::default();
        let clock = StoreClock::telling(health.condition("store-clock"));
        let remark = || {
            let report = health.report();
            (report[0].green, report[0].reason.clone())
        };
        clock.seen(Some(60));
        assert!(remark().0 && remark().1.contains("60 s ahead of"), "{:?}", remark());
        clock.seen(None);
        assert!(remark().1.contains("60 s ahead of"), "no date is no news");
        clock.seen(Some(0));
        assert_eq!(remark(), (true, String::new()));
    }
}
