//! One clock model: a boot's anchor plus uptime is event time, the same for every copy of a frame.
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default, JsonSchema)]
pub struct UnixMicros(pub i64);

impl UnixMicros {
    /// This instant plus a span; saturates.
    pub fn plus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// This instant minus a span; saturates.
    pub fn minus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<SystemTime> for UnixMicros {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(i64::try_from(after.as_micros()).unwrap_or(i64::MAX)),
            Err(before) => Self(-i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX)),
        }
    }
}

impl From<UnixMicros> for SystemTime {
    fn from(time: UnixMicros) -> Self {
        if time.0 >= 0 {
            UNIX_EPOCH + Duration::from_micros(time.0.unsigned_abs())
        } else {
            UNIX_EPOCH - Duration::from_micros(time.0.unsigned_abs())
        }
    }
}

/// Monotonic microseconds since a device's boot. At most 100 years, so that anchor + uptime never overflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
pub struct Uptime(u64);

impl Uptime {
    /// The longest uptime: 100 years in microseconds.
    pub const MAX: Self = Self(100 * 366 * 86_400 * 1_000_000);

    /// Takes an uptime of at most [`Self::MAX`].
    pub fn new(micros: u64) -> Option<Self> {
        (micros <= Self::MAX.0).then_some(Self(micros))
    }

    /// Microseconds since boot.
    pub fn micros(self) -> u64 {
        self.0
    }

    /// Wall time of this uptime, given the wall time of uptime 0.
    pub fn at(self, anchor: UnixMicros) -> UnixMicros {
        // Within i64: MAX is below 2^53.
        UnixMicros(anchor.0.saturating_add(self.0 as i64))
    }
}

impl fmt::Display for Uptime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} µs", self.0)
    }
}

/// The time of a stored reading in nanoseconds: the event time, with the digits below a microsecond taken from the
/// ordinal, so that two readings of one device are never one point.
pub fn reading_time_ns(event_time: UnixMicros, ordinal: u64) -> i64 {
    event_time
        .0
        .saturating_mul(1_000)
        .saturating_add((ordinal % 1_000) as i64)
}
