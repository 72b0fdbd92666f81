//! Disinfection between two visits: an order of events, not a timer.
use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry::{DisinfectionLevel, UnixMicros};

use crate::fleet::Hygiene;

/// A wipe or bath, as an item remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wipe {
    /// When.
    pub at: UnixMicros,
    /// Level; `None` was not said and proves nothing where a level is demanded.
    pub level: Option<DisinfectionLevel>,
    /// Contact time in seconds.
    pub contact_time_s: Option<u32>,
    /// Clinic that recorded it; `None` in what was written before that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clinic: Option<Box<str>>,
}

/// The time between two visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Between {
    /// Last use for the visit before.
    pub last_use: UnixMicros,
    /// First use for the next.
    pub first_use: UnixMicros,
}

/// Whether a wipe is good enough for the policy of a device at `clinic` and lies between two visits, within `slack` for clocks that
/// disagree.
pub fn proves(wipe: &Wipe, between: Between, slack: Duration, policy: &Hygiene, clinic: &str) -> bool {
    let here = policy.evidence_from_other_clinics || wipe.clinic.as_deref().is_none_or(|at| at == clinic);
    let level = policy
        .disinfection_level
        .is_none_or(|need| wipe.level.is_some_and(|level| level >= need));
    let contact = policy.disinfection_contact_time_min.is_none_or(|need| {
        wipe.contact_time_s
            .is_some_and(|s| Duration::from_secs(u64::from(s)) >= need)
    });
    here && level && contact && wipe.at >= between.last_use.minus(slack) && wipe.at <= between.first_use.plus(slack)
}
