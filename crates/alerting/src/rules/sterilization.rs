//! Sterilization rules: overdue when *used* (by time, by visits), a cycle that did not pass, an indicator test overdue.
//!
//! What is not on record counts as not done: a clinic that demands it records the last one once.
use serde::{Deserialize, Serialize};
use telemetry::UnixMicros;

use crate::fleet::Hygiene;

/// Microseconds in an hour.
pub const HOUR_US: i64 = 3_600_000_000;

/// Why an item is overdue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Overdue {
    /// Too long ago. Hours.
    ByTime {
        /// Hours since the last good one; `None`: none on record.
        hours: Option<f64>,
        /// Hours allowed.
        limit: f64,
    },
    /// Used too often since.
    ByUses {
        /// Visits since the last good one, this one included.
        uses: u32,
        /// Visits allowed.
        limit: u32,
    },
}

/// Whether an item that is used at `used_at` is overdue. `uses`: visits since the last good cycle, this one included.
pub fn overdue(last_good: Option<UnixMicros>, uses: u32, used_at: UnixMicros, policy: &Hygiene) -> Option<Overdue> {
    let by_time = policy.sterilization_every.and_then(|every| {
        let limit = every.as_secs_f64() / 3_600.0;
        match last_good {
            None => Some(Overdue::ByTime { hours: None, limit }),
            Some(at) => (used_at.since(at) > every).then(|| Overdue::ByTime {
                hours: Some(used_at.since(at).as_secs_f64() / 3_600.0),
                limit,
            }),
        }
    });
    by_time.or_else(|| {
        let limit = policy.sterilization_uses?;
        (uses > limit).then_some(Overdue::ByUses { uses, limit })
    })
}

/// Hours since the last passed biological indicator when a sterilizer is used at `used_at`, if that is too long. While no
/// test is on record the time counts from the first cycle that was told: a sterilizer that is new here has been tested
/// elsewhere or has not, nobody knows, and its owner has as long to record a test as any other has between two.
pub fn indicator_overdue(
    last_pass: Option<UnixMicros>,
    first_cycle: UnixMicros,
    used_at: UnixMicros,
    policy: &Hygiene,
) -> Option<f64> {
    let since = used_at.since(last_pass.unwrap_or(first_cycle));
    (since > policy.indicator_every?).then(|| since.as_secs_f64() / 3_600.0)
}

/// A cycle that did not pass, as an item remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCycle {
    /// When it ended.
    pub ended_at: UnixMicros,
    /// The sterilizer.
    pub sterilizer: String,
    /// Its name for the cycle.
    pub cycle: String,
}

/// Whether an item was used after a cycle that did not pass and before any that did.
pub fn used_after_failure(failed: Option<&FailedCycle>, last_good: Option<UnixMicros>, used_at: UnixMicros) -> bool {
    failed.is_some_and(|f| f.ended_at <= used_at && last_good.is_none_or(|good| good < f.ended_at))
}
