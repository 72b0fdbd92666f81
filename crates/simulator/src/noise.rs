//! The residual of a healthy pen: factory offset plus autocorrelated sensor noise.
//!
//! Sources and sureness. The scale tolerance of ±0.15 mm is one cleared pen's (Exceed, K180778): a constant per device, not
//! noise. The standard deviation of one reading and the autocorrelation of neighbouring strokes are **assumptions**: no
//! public figure was found. That strokes are autocorrelated at all is to be expected, because hand pressure changes slowly
//! against 100 strokes a second.
use crate::rng::Rng;

/// Scale tolerance of a pen in micrometres: a healthy device's offset lies within plus or minus this.
pub const SCALE_TOLERANCE_UM: u32 = 150;

/// Lag-1 autocorrelation of the residuals of neighbouring strokes; an assumption.
pub const LAG_1_AUTOCORRELATION: f64 = 0.6;

/// Draws a device's factory offset in micrometres: normal with 50 µm, redrawn until within the tolerance (an assumption;
/// only the tolerance has a source).
pub(crate) fn draw_offset_um(rng: &mut Rng) -> i32 {
    loop {
        let offset = (50.0 * rng.gaussian()).round();
        if offset.abs() <= f64::from(SCALE_TOLERANCE_UM) {
            return offset as i32;
        }
    }
}

/// A first-order autoregressive process with a stationary standard deviation of `sigma`.
#[derive(Debug, Clone)]
pub(crate) struct Residual {
    sigma: f64,
    value: f64,
}

impl Residual {
    /// Starts in the stationary distribution, so that the first strokes are as noisy as all others.
    pub(crate) fn new(sigma_um: u32, rng: &mut Rng) -> Self {
        let sigma = f64::from(sigma_um);
        Self {
            sigma,
            value: sigma * rng.gaussian(),
        }
    }

    /// The next residual in micrometres.
    pub(crate) fn next(&mut self, rng: &mut Rng) -> f64 {
        let innovation = self.sigma * (1.0 - LAG_1_AUTOCORRELATION * LAG_1_AUTOCORRELATION).sqrt();
        self.value = LAG_1_AUTOCORRELATION * self.value + innovation * rng.gaussian();
        self.value
    }
}
