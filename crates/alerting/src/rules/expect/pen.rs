//! False pages about the depth of a pen, by the declared noise of one reading.
use super::arl::{above, below};
use super::window::{effective, k_of_n, k_of_n_independent};
use super::{Assumptions, cusum, ewma_of};
use crate::fleet::Facts;
use crate::rules::{Kind, Ruleset, Scope};

/// False pages of one device in a day, at most; `None`: the rule is not about depth, or nobody declares its noise.
pub(super) fn per_day(
    rules: &Ruleset,
    kind: Kind,
    facts: &Facts,
    scope: &Scope<'_>,
    assumed: &Assumptions,
) -> Option<f64> {
    if facts.depth_sigma_um == 0 {
        return None;
    }
    let sigma = f64::from(facts.depth_sigma_um);
    let strokes = assumed.strokes_per_day;
    match kind {
        Kind::DepthAboveLimit => {
            let rule = rules.depth_above_limit.as_ref()?.params(scope);
            let band = rule
                .guard_band_um
                .map_or(facts.depth_guard_band_um, |own| own.min(facts.depth_guard_band_um));
            // A pen that is set to its limit, and whose offset takes all of its tolerance.
            let alone = above((f64::from(band) - f64::from(facts.depth_tolerance_um)) / sigma);
            let window = k_of_n(
                rule.k_strokes,
                rule.n_strokes,
                assumed.headroom_sigma,
                1.0,
                assumed.lag_1,
            );
            Some(strokes * (alone + window))
        }
        Kind::DepthOffSetpoint => {
            let rule = rules.depth_off_setpoint.as_ref()?.params(scope);
            let tolerance = rule
                .tolerance_um
                .map_or(facts.depth_tolerance_um, |own| own.min(facts.depth_tolerance_um));
            let z = f64::from(tolerance) / sigma;
            Some(strokes * k_of_n(rule.k_strokes, rule.n_strokes, z, 2.0, assumed.lag_1))
        }
        Kind::DepthDrift => {
            let rule = rules.depth_drift.as_ref()?.params(scope);
            // The mean of a second varies at most as one stroke does.
            let length = cusum(
                f64::from(rule.indifference_um) / sigma,
                f64::from(rule.decision_um) / sigma,
                0.0,
            );
            Some(assumed.seconds_per_day / length)
        }
        Kind::DepthBaselineShift => {
            let rule = rules.depth_baseline_shift.as_ref()?.params(scope);
            let of_mean = sigma / effective(rule.strokes_min.max(1), assumed.lag_1).sqrt();
            Some(assumed.sessions_per_day / ewma_of(rule.weight_permille, f64::from(rule.limit_um), of_mean, 0.0))
        }
        Kind::DepthSensorStuck => {
            let rule = rules.depth_sensor_stuck.as_ref()?.params(scope);
            Some(strokes * stuck(rule.n_strokes, sigma, assumed.lag_1))
        }
        Kind::DepthSensorJitter => {
            let rule = rules.depth_sensor_jitter.as_ref()?.params(scope);
            let a_second = wide(facts.stroke_rate_max_hz, f64::from(rule.range_sigma));
            Some(assumed.seconds_per_day * k_of_n_independent(rule.k_s, rule.n_s, a_second))
        }
        Kind::DepthTooShallow => {
            let rule = rules.depth_too_shallow.as_ref()?.params(scope);
            // It judges nothing that is set less deep than the tolerance.
            let away = f64::from(facts.depth_tolerance_um) * (1.0 - f64::from(rule.share_permille) / 1_000.0);
            Some(assumed.seconds_per_day * k_of_n_independent(rule.k_s, rule.n_s, mostly(away / sigma)))
        }
        _ => None,
    }
}

/// Chance that a stroke and the `n` - 1 before it all read the same whole micrometre, at most: given those before, a reading
/// scatters by the part of its noise that is new, and no micrometre is likelier than the middle one.
fn stuck(n: u32, sigma_um: f64, lag_1: f64) -> f64 {
    let new = sigma_um * (1.0 - lag_1 * lag_1).sqrt();
    let same = 1.0 - 2.0 * below(-0.5 / new);
    same.powf(f64::from(n.saturating_sub(1)))
}

/// Chance that readings of a second at `hz` lie further apart than `range` sigma, at most: one of them is then further than
/// half of that from the middle, however they hang together.
fn wide(hz: u32, range: f64) -> f64 {
    (2.0 * f64::from(hz) * above(range / 2.0)).min(1.0)
}

/// Chance that more than half of some strokes are more than `z` sigma below what is expected, at most: twice that of one
/// (Markov's inequality), however they hang together.
fn mostly(z: f64) -> f64 {
    (2.0 * above(z)).min(1.0)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    /// By hand: what is new of 20 um is 16; 2 x 0.5 / 16 sigma around the middle are 0.02493 of a normal distribution.
    #[test]
    fn a_reading_is_seldom_repeated_by_noise() {
        assert!((stuck(2, 20.0, 0.6) / 0.024_93 - 1.0).abs() < 1e-3);
        assert!((stuck(3, 20.0, 0.6) / 6.215e-4 - 1.0).abs() < 2e-3);
    }

    /// By hand: 2 x 160 x Q(6) = 320 x 9.866e-10; 2 x Q(3) = 2 x 1.350e-3.
    #[test]
    fn a_second_is_seldom_wide_or_shallow_by_noise() {
        assert!((wide(160, 12.0) / 3.157e-7 - 1.0).abs() < 1e-3);
        assert!((mostly(3.0) / 2.700e-3 - 1.0).abs() < 1e-3);
    }

    /// Autocorrelated noise, counted: it stays below each bound, and does what is bounded.
    #[test]
    fn no_noise_does_it_more_often_than_is_expected_of_it() {
        const SECOND: usize = 150;
        const SECONDS: usize = 4_000;
        let mut rng = StdRng::seed_from_u64(5);
        let mut gaussian = || {
            let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
            (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
        };
        let (sigma, n) = (3.0, 3);
        let (mut value, mut last, mut same, mut repeated) = (0.0, None, 1, 0);
        let (mut wide_seen, mut shallow_seen) = (0, 0);
        for _ in 0..SECONDS {
            let (mut least, mut most, mut low) = (0f64, 0f64, 0);
            for _ in 0..SECOND {
                value = 0.6 * value + 0.8 * gaussian();
                (least, most) = (least.min(value), most.max(value));
                low += usize::from(value < -0.4);
                let reading = (value * sigma).round() as i64;
                same = if last == Some(reading) { same + 1 } else { 1 };
                last = Some(reading);
                repeated += usize::from(same == n);
            }
            wide_seen += usize::from(most - least > 7.0);
            shallow_seen += usize::from(low > SECOND / 2);
        }
        let at_most = |seen: usize, of: usize, expected: f64| {
            let seen = seen as f64 / of as f64;
            assert!(
                seen > 0.0 && seen <= expected,
                "{seen} seen, {expected} expected at most"
            );
        };
        at_most(repeated, SECOND * SECONDS, stuck(n, sigma, 0.6));
        at_most(wide_seen, SECONDS, wide(SECOND as u32, 7.0));
        at_most(shallow_seen, SECONDS, mostly(0.4));
    }
}
