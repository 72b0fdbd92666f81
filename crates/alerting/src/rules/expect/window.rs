//! How often k of the last n readings lie beyond a threshold by noise alone.
use super::arl::above;

/// New alarms per reading, at most, of a rule that fires with `k` of the last `n` readings beyond `z` sigma (on each of `sides`
/// sides), for normal noise whose neighbours are correlated by `lag_1` (first-order autoregressive, 0 to 1).
///
/// The least of three bounds. (1) The last reading is beyond. (2) Jointly normal readings of which k are beyond have k whose mean
/// is beyond; of all k of n the mean of k neighbours varies most: the number of choices times that tail. (3) The binomial
/// window, with as many independent blocks of readings as their correlation leaves, (1 - lag_1) / (1 + lag_1) of each: no
/// bound but the usual approximation, and only taken where neighbours are independent.
pub fn k_of_n(k: u32, n: u32, z: f64, sides: f64, lag_1: f64) -> f64 {
    let p = sides * above(z);
    let union = sides
        * (choices(n.saturating_sub(1), k.saturating_sub(1)).ln() + above_ln(z * effective(k, lag_1).sqrt())).exp();
    let binomial = if lag_1 == 0.0 {
        k_of_n_independent(k, n, p)
    } else {
        f64::INFINITY
    };
    p.min(union).min(binomial).min(1.0)
}

/// New alarms per sample, at most, of a rule that fires with `k` of the last `n` samples, each bad with chance `p` whatever the
/// others are: this one is, and so are `k` - 1 of those before.
pub fn k_of_n_independent(k: u32, n: u32, p: f64) -> f64 {
    p * at_least(n.saturating_sub(1), k.saturating_sub(1), p)
}

/// How many independent readings have a mean that varies as that of `k` neighbours.
pub fn effective(k: u32, lag_1: f64) -> f64 {
    let sum: f64 = (1..k)
        .map(|lag| 2.0 * f64::from(k - lag) * lag_1.powi(lag as i32))
        .sum();
    f64::from(k) * f64::from(k) / (f64::from(k) + sum)
}

/// Logarithm of the upper tail; where the tail itself is 0 in a double, its asymptote.
fn above_ln(z: f64) -> f64 {
    if z < 30.0 {
        return above(z).ln();
    }
    -z * z / 2.0 - (z * std::f64::consts::TAU.sqrt()).ln()
}

/// n over k.
fn choices(n: u32, k: u32) -> f64 {
    (0..k.min(n)).fold(1.0, |product, i| product * f64::from(n - i) / f64::from(i + 1))
}

/// Chance of at least `k` of `n` independent readings, each with chance `p`.
fn at_least(n: u32, k: u32, p: f64) -> f64 {
    (k..=n)
        .map(|i| choices(n, i) * p.powi(i as i32) * (1.0 - p).powi((n - i) as i32))
        .sum::<f64>()
        .min(1.0)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;
    use crate::rules::Window;

    /// By hand: p = 0.022750, 2 of 3: p (1 - (1 - p)^2) = 0.022750 * 0.044983 = 0.0010234.
    #[test]
    fn independent_readings_are_counted_by_the_binomial_distribution() {
        assert!((k_of_n(2, 3, 2.0, 1.0, 0.0) / 0.001_023_4 - 1.0).abs() < 1e-3);
        assert!((k_of_n(1, 1, 2.0, 1.0, 0.0) / 0.022_750 - 1.0).abs() < 1e-3);
    }

    /// Three neighbours with 0.6: variance of the sum 3 + 2 (2 * 0.6 + 0.36) = 6.12, so 9 / 6.12.
    #[test]
    fn correlated_neighbours_count_for_fewer() {
        assert!((effective(3, 0.6) - 9.0 / 6.12).abs() < 1e-12);
        assert_eq!(effective(7, 0.0), 7.0);
    }

    /// Alarms per reading of autocorrelated noise, counted. The bound is above, and not by orders of magnitude where the window
    /// is short.
    #[test]
    fn no_noise_alarms_more_often_than_is_expected_of_it() {
        let mut rng = StdRng::seed_from_u64(3);
        let mut gaussian = || {
            let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
            (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
        };
        for (k, n, z) in [(3, 10, 2.5), (2, 5, 2.0), (20, 32, 1.0)] {
            let (mut window, mut value, mut was, mut alarms) = (Window::default(), 0.0, false, 0u32);
            let readings = 200_000u32;
            for at in 0..readings {
                value = 0.6 * value + 0.8 * gaussian();
                let is = window.push(value > z, u64::from(at), k, n);
                alarms += u32::from(is && !was);
                was = is;
            }
            let (seen, expected) = (f64::from(alarms) / f64::from(readings), k_of_n(k, n, z, 1.0, 0.6));
            assert!(
                seen <= expected,
                "{k} of {n} beyond {z}: {seen} seen, {expected} expected at most"
            );
        }
    }
}
