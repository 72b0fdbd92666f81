//! Roll-ups: which periods have news, and how a period is made anew of all that the store holds of it.
//!
//! A period is touched when the store confirmed a point of it. It is computed again as a whole, from the store's own points,
//! when it has been quiet for a while; so order, duplicates, restarts and late data give the same roll-up. That a period is
//! touched stands in the ledger before the spool's cursor moves, and goes from there when its roll-up is stored. Hours are
//! made of the roll-ups of their minutes: that reads sixty rows and not tens of thousands, and still works where the
//! points themselves have expired.

mod touched;

use std::time::Duration;

use telemetry::DeviceKey;

pub use touched::{Groups, Touched, Touches};

pub use crate::schema::rollup::{Span, Subject};

/// Nanoseconds of a second.
const SECOND_NS: i64 = 1_000_000_000;

/// A period of a device.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Period {
    /// The device.
    pub device: DeviceKey,
    /// Strokes or pulses.
    pub subject: Subject,
    /// How long it is.
    pub span: Span,
    /// Its start, in seconds since 1970; a multiple of its length.
    pub start_s: i64,
}

impl Period {
    /// The hour that a minute belongs to; `None` for an hour.
    pub fn above(&self) -> Option<Self> {
        (self.span == Span::Minute).then(|| Self {
            span: Span::Hour,
            start_s: start_of(self.start_s, Span::Hour),
            ..self.clone()
        })
    }
}

/// Periods of the same time that are read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Strokes or pulses.
    pub subject: Subject,
    /// How long they are.
    pub span: Span,
    /// Their start, in seconds since 1970.
    pub start_s: i64,
    /// Whose; of one tenant where the store has a bucket for each.
    pub devices: Vec<DeviceKey>,
}

impl Group {
    /// Its periods.
    pub fn periods(&self) -> impl Iterator<Item = Period> + '_ {
        self.devices.iter().map(|device| Period {
            device: device.clone(),
            subject: self.subject,
            span: self.span,
            start_s: self.start_s,
        })
    }

    /// From and up to, in nanoseconds since 1970.
    pub fn range_ns(&self) -> (i64, i64) {
        let from = self.start_s.saturating_mul(SECOND_NS);
        (from, from.saturating_add(i64::from(self.span.seconds()) * SECOND_NS))
    }
}

/// The start of the period that a second belongs to.
pub fn start_of(second: i64, span: Span) -> i64 {
    second - second.rem_euclid(i64::from(span.seconds()))
}

/// The second of a time in nanoseconds.
pub fn second_of(time_ns: i64) -> i64 {
    time_ns.div_euclid(SECOND_NS)
}

/// When and how much is rolled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollups {
    /// Whether at all.
    pub on: bool,
    /// A minute is computed when it was quiet for so long; an hour, [`HOUR_WAITS`] times as long.
    pub after: Duration,
    /// Most periods that wait; beyond, a period is not noted, and counted.
    pub max_touched: usize,
    /// Points are kept so long: a minute that reaches beyond is counted and not computed.
    pub points_kept: Option<Duration>,
    /// Roll-ups are kept so long: an hour that reaches beyond is counted and not computed.
    pub kept: Option<Duration>,
}

/// How many times longer an hour waits than a minute: its minutes come one by one.
pub const HOUR_WAITS: u32 = 20;

/// A period that is never quiet is computed all the same after so many waits.
pub const MOST_WAITS: u32 = 8;
