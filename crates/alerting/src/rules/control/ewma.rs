//! Exponentially weighted moving average (Roberts 1959): a mean that forgets, for what drifts over sessions.
use serde::{Deserialize, Serialize};

/// The average, in thousandths of the caller's unit. It starts at 0: what is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ewma {
    milli: i64,
    samples: u32,
}

impl Ewma {
    /// Takes a deviation from what is expected and tells the average. `weight_permille`: how much of the average the newest
    /// sample is, 1 to 1,000.
    pub fn push(&mut self, deviation_milli: i64, weight_permille: u32) -> i64 {
        let step = (deviation_milli - self.milli) * i64::from(weight_permille.clamp(1, 1_000));
        // Rounded away from 0, so that it never stands still short of where it goes.
        self.milli += (step + 999 * step.signum()) / 1_000;
        self.samples = self.samples.saturating_add(1);
        self.milli
    }

    /// The average, in thousandths of the caller's unit.
    pub fn milli(&self) -> i64 {
        self.milli
    }

    /// Samples so far.
    pub fn samples(&self) -> u32 {
        self.samples
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
pub(super) mod tests {
    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    /// A standard normal sample (Box-Muller).
    pub(in crate::rules::control) fn gaussian(rng: &mut StdRng) -> f64 {
        let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    fn run_length(weight_permille: u32, limit_milli: f64, shift: f64, rng: &mut StdRng) -> u64 {
        let mut ewma = Ewma::default();
        let mut samples = 0;
        loop {
            samples += 1;
            let z = ((shift + gaussian(rng)) * 1_000.0).round() as i64;
            if ewma.push(z, weight_permille).abs() as f64 > limit_milli {
                return samples;
            }
        }
    }

    /// As for the cumulative sum: (weight in permille, L, shift in sigma, ARL, runs); the limit is L sigma
    /// sqrt(weight / (2 - weight)).
    const PUBLISHED: [(u32, f64, f64, f64, u32); 6] = [
        (100, 2.7, 0.0, 368.3, 2_000),
        (100, 2.7, 1.0, 9.731, 5_000),
        (200, 3.0, 0.0, 559.1, 2_000),
        (200, 3.0, 1.0, 10.84, 5_000),
        // What depth_baseline_shift has.
        (200, 5.0, 2.0, 8.439, 5_000),
        (200, 5.0, 3.0, 4.267, 5_000),
    ];

    #[test]
    fn its_average_run_lengths_are_those_of_the_published_table() {
        let mut rng = StdRng::seed_from_u64(6);
        for (weight, l, shift, published, runs) in PUBLISHED {
            let share = f64::from(weight) / 1_000.0;
            let limit = l * (share / (2.0 - share)).sqrt() * 1_000.0;
            let lengths: Vec<f64> = (0..runs)
                .map(|_| run_length(weight, limit, shift, &mut rng) as f64)
                .collect();
            let n = f64::from(runs);
            let mean = lengths.iter().sum::<f64>() / n;
            let deviation = (lengths.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            let error = 4.0 * deviation / n.sqrt();
            assert!(
                (mean - published).abs() < error,
                "weight {weight} L {l} shift {shift}: {mean:.3} ± {error:.3}, published {published}"
            );
        }
    }

    proptest! {
        #[test]
        fn it_stays_within_what_it_took_and_ends_where_samples_stay(
            samples in proptest::collection::vec(-50_000i64..=50_000, 1..100), end in -50_000i64..=50_000, weight in 20u32..=1_000,
        ) {
            let mut ewma = Ewma::default();
            let most = samples.iter().map(|s| s.abs()).max().unwrap_or(0);
            for sample in samples {
                prop_assert!(ewma.push(sample, weight).abs() <= most);
            }
            for _ in 0..1_000 {
                ewma.push(end, weight);
            }
            prop_assert_eq!(ewma.milli(), end);
        }

        #[test]
        fn a_snapshot_in_between_changes_nothing(samples in proptest::collection::vec(-5_000i64..=5_000, 1..50), cut in 0usize..50) {
            let (mut plain, mut restarted) = (Ewma::default(), Ewma::default());
            for (n, sample) in samples.into_iter().enumerate() {
                if n == cut {
                    restarted = serde_json::from_str(&serde_json::to_string(&restarted).unwrap()).unwrap();
                }
                prop_assert_eq!(plain.push(sample, 200), restarted.push(sample, 200));
            }
        }
    }
}
