//! Recovery: skin that is treated again before the interval is over. Only the clinic's software knows when a client was last
//! treated; where it never says so, that is said instead.
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Parameters;
use crate::id::Opaque;

/// Of `treated_too_soon`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreatedTooSoon {
    /// A longer interval than the registry's, in days.
    pub interval_min_days: Option<u32>,
}

/// Of `recovery_not_judged`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryNotJudged {
    /// So many visits in a row of which none was told.
    pub n_visits: u32,
}

impl Parameters for TreatedTooSoon {}

impl Parameters for RecoveryNotJudged {
    fn check(&self) -> Result<(), String> {
        if self.n_visits == 0 {
            return Err("n_visits must be above 0".to_owned());
        }
        Ok(())
    }
}

/// The interval that holds, in days; `None`: none is demanded. A rule can only ask for a longer one than the registry.
pub fn interval_days(registry: Option<Duration>, rule: &TreatedTooSoon) -> Option<u32> {
    const DAY_S: u64 = 86_400;
    let registry = registry.map(|span| u32::try_from(span.as_secs() / DAY_S).unwrap_or(u32::MAX));
    registry.max(rule.interval_min_days)
}

/// For how many visits in a row a device was not told when its client was last treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Untold {
    visit: Option<Opaque>,
    visits: u32,
}

impl Untold {
    /// A session of a visit starts. Tells the visits in a row.
    pub fn start(&mut self, visit: Opaque, told: bool) -> u32 {
        if told {
            self.visits = 0;
        } else if self.visit != Some(visit) {
            self.visits = self.visits.saturating_add(1);
        }
        self.visit = Some(visit);
        self.visits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_counts_once_however_many_sessions_it_has_and_one_that_is_told_ends_the_row() {
        let mut untold = Untold::default();
        let visit = |n: u8| Opaque([n; 16]);
        assert_eq!(untold.start(visit(1), false), 1);
        assert_eq!(untold.start(visit(1), false), 1);
        assert_eq!(untold.start(visit(2), false), 2);
        assert_eq!(untold.start(visit(2), true), 0);
        assert_eq!(untold.start(visit(3), false), 1);
    }

    #[test]
    fn a_rule_asks_for_a_longer_interval_than_the_registry_or_for_none() {
        let days = |n: u64| Some(Duration::from_secs(n * 86_400));
        let rule = |interval_min_days| TreatedTooSoon { interval_min_days };
        assert_eq!(interval_days(days(21), &rule(None)), Some(21));
        assert_eq!(interval_days(days(21), &rule(Some(14))), Some(21));
        assert_eq!(interval_days(days(21), &rule(Some(28))), Some(28));
        assert_eq!(interval_days(None, &rule(Some(28))), Some(28));
        assert_eq!(interval_days(None, &rule(None)), None);
    }
}
