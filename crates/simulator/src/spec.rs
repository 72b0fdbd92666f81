//! What a fleet is like, as a scenario file says it.
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::config::Problems;

use crate::behaviour::{Noise, Staff};

/// Most devices in one fleet: each is a state machine in memory, and with MQTT a connection.
pub const DEVICES_MAX: u64 = 100_000;

/// A span of time from which a value is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// Shortest.
    #[serde(with = "service::config::duration")]
    pub min: Duration,
    /// Longest.
    #[serde(with = "service::config::duration")]
    pub max: Duration,
}

impl Span {
    pub(crate) fn micros(&self) -> (u64, u64) {
        (micros(self.min), micros(self.max))
    }

    pub(crate) fn validate(&self, at: &mut Problems, key: &str, least: Duration) {
        at.check(key, self.min >= least, format!("min is shorter than {least:?}"));
        at.check(key, self.min <= self.max, "min is longer than max");
        at.check(key, self.max <= DAY, "max is longer than a day");
    }
}

/// A day.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// A duration in whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Size and day plan of a fleet. Every clinic also has one autoclave and one disinfection station.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FleetSpec {
    /// One tenant per entry: how many clinics it has.
    pub clinics: Vec<u32>,
    /// Pens in each clinic, of two models in turn.
    pub pens_per_clinic: u32,
    /// IPL units in each clinic.
    pub ipl_per_clinic: u32,
    /// From the start of the simulation to each device's first visit.
    pub opening: Span,
    /// Length of a treatment session.
    pub session: Span,
    /// From the end of a visit to the start of the next at the same device: disinfection and tidying.
    pub gap: Span,
    /// Share of visits, 0 to 1, in which the pen's battery is changed: one visit, two sessions, two boots.
    pub battery_swaps: f64,
    /// Share of pens, 0 to 1, without a wall clock.
    pub without_clock: f64,
    /// How long a stroke batch is filled, 100 ms to 1 s.
    #[serde(with = "service::config::duration")]
    pub batch: Duration,
    /// How often the autoclave runs a load with all pens of its clinic.
    #[serde(with = "service::config::duration")]
    pub sterilize_every: Duration,
    /// How noisy devices are.
    pub noise: Noise,
    /// How staff behave.
    pub staff: Staff,
}

impl Default for FleetSpec {
    /// A working day at life's own pace: sessions of 15 to 30 minutes (clinic pages), gaps of 5 to 15 (an assumption).
    fn default() -> Self {
        Self {
            clinics: vec![2, 1],
            pens_per_clinic: 8,
            ipl_per_clinic: 2,
            opening: span(3, 1_800),
            session: span(900, 1_800),
            gap: span(300, 900),
            battery_swaps: 0.05,
            without_clock: 0.3,
            batch: Duration::from_secs(1),
            sterilize_every: Duration::from_secs(6 * 3600),
            noise: Noise::default(),
            staff: Staff::default(),
        }
    }
}

const fn span(min_s: u64, max_s: u64) -> Span {
    Span {
        min: Duration::from_secs(min_s),
        max: Duration::from_secs(max_s),
    }
}

impl FleetSpec {
    /// How many devices that is.
    pub fn devices(&self) -> u64 {
        let clinics: u64 = self.clinics.iter().map(|&n| u64::from(n)).sum();
        clinics * (u64::from(self.pens_per_clinic) + u64::from(self.ipl_per_clinic) + 2)
    }

    pub(crate) fn validate(&self, at: &mut Problems) {
        at.check("clinics", self.clinics.iter().any(|&n| n > 0), "there is no clinic");
        at.check(
            "clinics",
            self.devices() <= DEVICES_MAX,
            format!("{} devices in all, at most {DEVICES_MAX} are allowed", self.devices()),
        );
        // The history of sterilization, disinfection and indicators is told in the first two seconds.
        self.opening.validate(at, "opening", Duration::from_secs(2));
        self.session.validate(at, "session", Duration::from_secs(5));
        self.gap.validate(at, "gap", Duration::from_secs(4));
        let share = |x: f64| (0.0..=1.0).contains(&x);
        at.check("battery_swaps", share(self.battery_swaps), "it is a share, 0 to 1");
        at.check("without_clock", share(self.without_clock), "it is a share, 0 to 1");
        let batch = (Duration::from_millis(100)..=Duration::from_secs(1)).contains(&self.batch);
        at.check("batch", batch, "allowed are 100ms to 1s");
        let every = (Duration::from_secs(60)..=7 * DAY).contains(&self.sterilize_every);
        at.check("sterilize_every", every, "allowed are 1m to 7d");
        at.section("noise", |at| self.noise.validate(at));
        at.section("staff", |at| self.staff.validate(at));
        let open = self
            .staff
            .open
            .is_none_or(|open| open > self.session.max + self.opening.max);
        at.check("staff", open, "open is too short for one session");
    }
}
