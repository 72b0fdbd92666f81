//! How noisy devices are and how staff behave, as a scenario file says it. What is left out is as [`Default`] says: noise of
//! the sensor only, and staff that make no mistake. Every number here is an assumption unless a source is named:
//! docs/simulation.md says what is modelled, and how sure it is.
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::config::Problems;

use crate::noise::LAG_1_AUTOCORRELATION;
use crate::spec::{DAY, Span};

/// Noise of pens and lamps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Noise {
    /// Correlation of a stroke's noise with that of the stroke before, 0 to below 1.
    pub lag_1: f64,
    /// True standard deviation of a stroke's noise over the declared one.
    pub sigma_scale: f64,
    /// Standard deviation of the factory offset in micrometres; what is beyond the scale tolerance is drawn again.
    pub offset_sigma_um: f64,
    /// Share of pens whose birth tells the factory offset.
    pub offset_told: f64,
    /// How often in a minute of strokes the hand changes angle or pressure, so that some strokes are off together.
    pub presses_per_minute: f64,
    /// Mean size of such an excursion in micrometres (exponential, deeper or shallower alike).
    pub press_um: f64,
    /// How many strokes it lasts.
    pub press_strokes: (u64, u64),
    /// Share of strokes that the sensor does not read, one by one.
    pub unread: f64,
    /// How often in an hour of strokes the sensor reads nothing for 20 to 200 strokes.
    pub dropouts_per_hour: f64,
    /// Standard deviation of a pulse's energy, relative.
    pub pulse_sigma: f64,
    /// Output that a lamp has lost at the end of its rated life, relative.
    pub lamp_loss: f64,
}

impl Default for Noise {
    fn default() -> Self {
        Self {
            lag_1: LAG_1_AUTOCORRELATION,
            sigma_scale: 1.0,
            offset_sigma_um: 50.0,
            offset_told: 1.0,
            presses_per_minute: 0.0,
            press_um: 30.0,
            press_strokes: (5, 40),
            unread: 0.000_5,
            dropouts_per_hour: 0.0,
            pulse_sigma: 0.01,
            lamp_loss: 0.10,
        }
    }
}

impl Noise {
    pub(crate) fn validate(&self, at: &mut Problems) {
        at.check("lag_1", (0.0..1.0).contains(&self.lag_1), "allowed are 0 to below 1");
        let scale = (0.0..=10.0).contains(&self.sigma_scale);
        at.check("sigma_scale", scale, "allowed are 0 to 10");
        let offset = (0.0..=100.0).contains(&self.offset_sigma_um);
        at.check("offset_sigma_um", offset, "allowed are 0 to 100");
        share(at, "offset_told", self.offset_told);
        let presses = (0.0..=60.0).contains(&self.presses_per_minute);
        at.check("presses_per_minute", presses, "allowed are 0 to 60");
        at.check(
            "press_um",
            (0.0..=500.0).contains(&self.press_um),
            "allowed are 0 to 500",
        );
        let (least, most) = self.press_strokes;
        let strokes = least > 0 && least <= most && most <= 10_000;
        at.check("press_strokes", strokes, "from at least 1 to at most 10000, ascending");
        at.check("unread", (0.0..=0.5).contains(&self.unread), "allowed are 0 to 0.5");
        let dropouts = (0.0..=3_600.0).contains(&self.dropouts_per_hour);
        at.check("dropouts_per_hour", dropouts, "allowed are 0 to 3600");
        at.check(
            "pulse_sigma",
            (0.0..=0.2).contains(&self.pulse_sigma),
            "allowed are 0 to 0.2",
        );
        share(at, "lamp_loss", self.lamp_loss);
    }
}

/// What staff do with time and with evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Staff {
    /// How long a clinic is open each day, from when the simulation starts; not given: round the clock.
    #[serde(with = "service::config::duration::option")]
    pub open: Option<Duration>,
    /// Share of gaps between two clients that are a break.
    pub breaks: f64,
    /// How much longer such a gap is.
    pub break_length: Span,
    /// Share of wipes that are recorded late, with the time at which they were done.
    pub late_wipes: f64,
    /// How late.
    pub late_by: Span,
    /// Wipes are recorded all at once when the clinic closes, with the times at which they were done. Needs `open`.
    pub wipes_at_days_end: bool,
    /// Share of wipes that are forgotten: incidents, each with its truth.
    pub forgotten_wipes: f64,
    /// Other items in each load of the autoclave, beside the pens: tips, handles.
    pub other_items: u32,
    /// Pens of other clinics of the chain are in the loads of its first clinic's autoclave, and in no other.
    pub one_autoclave: bool,
    /// How long before the start the last biological indicator was in its cycle: it is read days later.
    #[serde(with = "service::config::duration")]
    pub indicator_read_after: Duration,
}

impl Default for Staff {
    fn default() -> Self {
        let minutes = |min: u64, max: u64| Span {
            min: Duration::from_secs(min * 60),
            max: Duration::from_secs(max * 60),
        };
        Self {
            open: None,
            breaks: 0.0,
            break_length: minutes(20, 60),
            late_wipes: 0.0,
            late_by: minutes(1, 30),
            wipes_at_days_end: false,
            forgotten_wipes: 0.0,
            other_items: 0,
            one_autoclave: false,
            indicator_read_after: Duration::from_secs(48 * 3_600),
        }
    }
}

impl Staff {
    pub(crate) fn validate(&self, at: &mut Problems) {
        let hour = Duration::from_secs(3_600);
        let open = self.open.is_none_or(|open| (hour..=DAY).contains(&open));
        at.check("open", open, "allowed are 1h to 24h");
        share(at, "breaks", self.breaks);
        self.break_length.validate(at, "break_length", Duration::ZERO);
        share(at, "late_wipes", self.late_wipes);
        self.late_by.validate(at, "late_by", Duration::ZERO);
        let closes = !self.wipes_at_days_end || self.open.is_some();
        at.check(
            "wipes_at_days_end",
            closes,
            "a clinic that never closes has no day's end: set open",
        );
        share(at, "forgotten_wipes", self.forgotten_wipes);
        at.check("other_items", self.other_items <= 1_000, "allowed are 0 to 1000");
        let read = self.indicator_read_after <= 30 * DAY;
        at.check("indicator_read_after", read, "allowed are 0 to 30d");
    }

    /// When a clinic that is open at `at_us` closes, in simulated microseconds; `None`: never.
    pub(crate) fn closes_us(&self, at_us: u64) -> Option<u64> {
        let day_us = crate::spec::micros(DAY);
        Some(at_us / day_us * day_us + crate::spec::micros(self.open?))
    }
}

fn share(at: &mut Problems, key: &str, value: f64) {
    at.check(key, (0.0..=1.0).contains(&value), "it is a share, 0 to 1");
}
