//! When a tenant whose writes do not go through gets a log of its own, and how much of that there may be.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::config::{ByteSize, Problems, Setting, Validate};
use spool::AtCap;

/// A tenant is parked when its writes did not go through for so long: longer than a restart of a store, or a new token, takes.
pub(super) const DEFAULT_AFTER: Duration = Duration::from_secs(5 * 60);
/// Or, after a short while ([`Parking::soonest`]), when it has so many records in memory: a quarter of
/// [`super::DEFAULT_HELD_RECORDS`], so that the others still have room.
pub(super) const DEFAULT_RECORDS: usize = 10_000;
/// Tenants that may have a log of their own at once.
pub(super) const DEFAULT_LANES: usize = 8;
/// Most bytes of one such log: with [`DEFAULT_LANES`] as much as the telemetry log has by default.
pub(super) const DEFAULT_CAP: ByteSize = ByteSize::gib(1);
/// Least bytes of one: four segments, each of which holds the largest frame.
pub(super) const MIN_CAP: ByteSize = ByteSize::mib(8);
/// Most bytes of a file of such a log.
const MAX_SEGMENT_BYTES: u64 = 32 * 1024 * 1024;

/// As it stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawParking {
    /// A tenant is parked when its writes did not go through for so long.
    #[serde(with = "service::config::duration")]
    pub after: Duration,
    /// Or sooner, when it has so many records in memory.
    pub records: usize,
    /// Tenants that may have a log of their own at once; 0: none is parked.
    pub lanes: usize,
    /// Most bytes of one such log.
    pub cap: ByteSize,
    /// What happens there.
    pub at_cap: AtCapChoice,
}

/// What happens when the log of a parked tenant is at its cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AtCapChoice {
    /// The cursor of the telemetry log waits: nothing is lost, and in the end all wait.
    Refuse,
    /// The oldest of that tenant go, as a named gap.
    Shed,
}

impl Default for RawParking {
    fn default() -> Self {
        Self {
            after: DEFAULT_AFTER,
            records: DEFAULT_RECORDS,
            lanes: DEFAULT_LANES,
            cap: DEFAULT_CAP,
            at_cap: AtCapChoice::Refuse,
        }
    }
}

impl Validate for RawParking {
    fn validate(&self, at: &mut Problems) {
        at.check("after", self.after >= Duration::from_secs(1), "it is less than 1s");
        at.check("records", self.records >= 1, "it is 0");
        at.check("lanes", self.lanes <= 256, "allowed are 0 to 256");
        at.check("cap", self.cap >= MIN_CAP, "it is less than 8MiB");
    }
}

/// Resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parking {
    /// A tenant is parked when its writes did not go through for so long.
    pub after: Duration,
    /// Or sooner, when it has so many records in memory.
    pub records: usize,
    /// Tenants that may have a log of their own at once.
    pub lanes: usize,
    /// Most bytes of one such log.
    pub cap_bytes: u64,
    /// What happens there.
    pub at_cap: AtCap,
}

impl Parking {
    /// However many records a tenant has in memory, its writes must have failed for so long: a thirtieth of `after`.
    #[must_use]
    pub fn soonest(&self) -> Duration {
        self.after / 30
    }

    /// Size of one file of such a log, bytes: a quarter of the cap, so that room comes back in pieces.
    #[must_use]
    pub fn segment_bytes(&self) -> u64 {
        (self.cap_bytes / 4).min(MAX_SEGMENT_BYTES)
    }
}

impl RawParking {
    /// Resolves it; `held_records` is the bound of what is in memory.
    pub(super) fn resolve(&self, held_records: usize) -> Parking {
        Parking {
            after: self.after,
            // With a smaller memory, less of it.
            records: self.records.min(held_records / 4).max(1),
            lanes: self.lanes,
            cap_bytes: self.cap.as_u64(),
            at_cap: match self.at_cap {
                AtCapChoice::Refuse => AtCap::Refuse,
                AtCapChoice::Shed => AtCap::Shed,
            },
        }
    }
}

/// Its part of [`super::SETTINGS`].
pub(super) const AFTER: Setting = Setting::new(
    "parked.after",
    "\"5m\"",
    "A tenant whose writes do not go through for so long, while others' do, gets a log of its own, and nobody waits for it.",
);
/// See [`AFTER`].
pub(super) const RECORDS: Setting = Setting::new(
    "parked.records",
    "10000",
    "Or after a thirtieth of that, if it has so many records in memory (at most a quarter of held_records).",
);
/// See [`AFTER`].
pub(super) const LANES: Setting = Setting::new(
    "parked.lanes",
    "8",
    "Tenants that may have a log of their own at once; 0: none is parked.",
);
/// See [`AFTER`].
pub(super) const CAP: Setting = Setting::new("parked.cap", "\"1GiB\"", "Most bytes of one such log.");
/// See [`AFTER`].
pub(super) const AT_CAP: Setting = Setting::new(
    "parked.at_cap",
    "\"refuse\"",
    "At the cap: refuse (all wait for that tenant) or shed (its oldest frames go, as a named gap).",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_memory_is_never_filled_by_one_tenant_before_it_is_parked() {
        let raw = RawParking::default();
        assert_eq!(raw.resolve(super::super::DEFAULT_HELD_RECORDS).records, 10_000);
        assert_eq!(raw.resolve(2_000).records, 500);
        assert_eq!(raw.resolve(1).records, 1);
    }
}
