//! The residual of a healthy pen: factory offset plus autocorrelated sensor noise.
//!
//! Sources and sureness. The scale tolerance of ±0.15 mm is one cleared pen's (Exceed, K180778): a constant per device, not
//! noise. The standard deviation of one reading and the autocorrelation of neighbouring strokes are **assumptions**: no
//! public figure was found. That strokes are autocorrelated at all is to be expected, because hand pressure changes slowly
//! against 100 strokes a second.
use crate::behaviour::Noise;
use crate::rng::Rng;

/// Scale tolerance of a pen in micrometres: a healthy device's offset lies within plus or minus this.
pub const SCALE_TOLERANCE_UM: u32 = 150;

/// Lag-1 autocorrelation of the residuals of neighbouring strokes; an assumption.
pub const LAG_1_AUTOCORRELATION: f64 = 0.6;

/// Draws a device's factory offset in micrometres: normal, by default with 50 µm, redrawn until within the tolerance (an assumption;
/// only the tolerance has a source).
pub(crate) fn draw_offset_um(sigma_um: f64, rng: &mut Rng) -> i32 {
    loop {
        let offset = (sigma_um * rng.gaussian()).round();
        if offset.abs() <= f64::from(SCALE_TOLERANCE_UM) {
            return offset as i32;
        }
    }
}

/// A first-order autoregressive process with a stationary standard deviation of `sigma`.
#[derive(Debug, Clone)]
pub(crate) struct Residual {
    sigma: f64,
    lag_1: f64,
    value: f64,
}

impl Residual {
    /// Starts in the stationary distribution, so that the first strokes are as noisy as all others.
    pub(crate) fn new(sigma_um: u32, noise: &Noise, rng: &mut Rng) -> Self {
        let sigma = f64::from(sigma_um) * noise.sigma_scale;
        Self {
            sigma,
            lag_1: noise.lag_1,
            value: sigma * rng.gaussian(),
        }
    }

    /// The next residual in micrometres.
    pub(crate) fn next(&mut self, rng: &mut Rng) -> f64 {
        let innovation = self.sigma * (1.0 - self.lag_1 * self.lag_1).sqrt();
        self.value = self.lag_1 * self.value + innovation * rng.gaussian();
        self.value
    }
}

/// What a hand and a sensor do now and then: strokes that are off together, and strokes that are not read. From a stream of
/// its own, so that a fleet without them is the same as before.
#[derive(Debug, Clone)]
pub(crate) struct Excursions {
    rng: Rng,
    noise: Noise,
    press_um: f64,
    press_left: u64,
    dropout_left: u64,
}

/// Strokes that the sensor does not read at a time.
const DROPOUT_STROKES: (u64, u64) = (20, 200);

impl Excursions {
    pub(crate) fn new(noise: &Noise, rng: Rng) -> Self {
        Self {
            rng,
            noise: noise.clone(),
            press_um: 0.0,
            press_left: 0,
            dropout_left: 0,
        }
    }

    /// Of the next stroke, at so many strokes a minute: micrometres deeper, and whether it is read.
    pub(crate) fn next(&mut self, strokes_per_minute: f64) -> (f64, bool) {
        if self.noise.presses_per_minute > 0.0 {
            self.press_left = self.press_left.saturating_sub(1);
            if self.press_left == 0 && self.rng.chance(self.noise.presses_per_minute / strokes_per_minute) {
                let (least, most) = self.noise.press_strokes;
                self.press_left = self.rng.between(least, most);
                let size = -self.noise.press_um * (1.0 - self.rng.uniform(0.0, 1.0)).ln();
                self.press_um = if self.rng.chance(0.5) { size } else { -size };
            }
        }
        if self.noise.dropouts_per_hour > 0.0 {
            self.dropout_left = self.dropout_left.saturating_sub(1);
            let chance = self.noise.dropouts_per_hour / (60.0 * strokes_per_minute);
            if self.dropout_left == 0 && self.rng.chance(chance) {
                self.dropout_left = self.rng.between(DROPOUT_STROKES.0, DROPOUT_STROKES.1);
            }
        }
        let deeper = if self.press_left > 0 { self.press_um } else { 0.0 };
        (deeper, self.dropout_left == 0)
    }
}
