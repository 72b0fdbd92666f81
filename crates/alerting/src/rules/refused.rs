//! Messages of a device that its gateway refuses: they lie in quarantine, and what they said was never judged.
use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry::UnixMicros;

use super::Parameters;

/// Reports that are remembered; at the bound the two oldest become one. A gateway tells at most every 10 s.
pub const MAX_REPORTS: usize = 64;

/// Of `frames_rejected`. One refused message can be a bit that fell over; several are a firmware that speaks another language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FramesRejected {
    /// How many messages.
    pub k_messages: u32,
    /// Within how long, in seconds.
    pub within_s: u32,
    /// It is over with a message that is let in, when none was refused for so long before it, in seconds.
    pub over_after_s: u32,
}

impl Parameters for FramesRejected {
    fn check(&self) -> Result<(), String> {
        if self.k_messages == 0 || self.within_s == 0 {
            return Err("k_messages and within_s must be at least 1".to_owned());
        }
        if self.over_after_s < self.within_s {
            return Err("over_after_s must not be shorter than within_s, or it would come and go".to_owned());
        }
        Ok(())
    }
}

/// What was refused of a device lately.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Refusals {
    /// When the newest of a report came, and how many it told.
    reports: VecDeque<(UnixMicros, u64)>,
}

impl Refusals {
    /// Takes a report; gives how many were refused within the time before it, if they are too many.
    pub fn take(&mut self, at: UnixMicros, count: u64, rule: &FramesRejected) -> Option<u64> {
        self.reports.push_back((at, count));
        let since = at.minus(Duration::from_secs(u64::from(rule.within_s)));
        self.reports.retain(|(at, _)| *at > since);
        if self.reports.len() > MAX_REPORTS
            && let Some((_, oldest)) = self.reports.pop_front()
            && let Some((_, next)) = self.reports.front_mut()
        {
            *next = next.saturating_add(oldest);
        }
        let messages = self.reports.iter().fold(0u64, |sum, (_, n)| sum.saturating_add(*n));
        (messages >= u64::from(rule.k_messages)).then_some(messages)
    }

    /// Whether it is over with a message that was let in at `received_at`.
    pub fn is_over(&self, received_at: UnixMicros, rule: &FramesRejected) -> bool {
        let after = Duration::from_secs(u64::from(rule.over_after_s));
        let newest = self.reports.iter().map(|(at, _)| *at).max();
        newest.is_none_or(|at| received_at.since(at) >= after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: FramesRejected = FramesRejected {
        k_messages: 3,
        within_s: 600,
        over_after_s: 1_800,
    };

    fn at(s: i64) -> UnixMicros {
        UnixMicros(1_800_000_000_000_000 + s * 1_000_000)
    }

    #[test]
    fn three_within_ten_minutes_count_and_three_in_half_an_hour_do_not() {
        let mut slow = Refusals::default();
        assert_eq!(
            [0, 601, 1_202].map(|s| slow.take(at(s), 1, &RULE)),
            [None, None, None],
            "each alone"
        );
        let mut fast = Refusals::default();
        assert_eq!([0, 300, 599].map(|s| fast.take(at(s), 1, &RULE)), [None, None, Some(3)]);
        assert!(!fast.is_over(at(599 + 1_799), &RULE));
        assert!(fast.is_over(at(599 + 1_800), &RULE));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_loses_no_count() {
        let mut refusals = Refusals::default();
        let told = (0..200).filter_map(|s| refusals.take(at(s), 2, &RULE)).last();
        assert_eq!(told, Some(400));
        assert!(refusals.reports.len() <= MAX_REPORTS);
    }
}
