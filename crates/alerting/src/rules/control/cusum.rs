//! Cumulative sum (Page 1954), two-sided: adds up what lies beyond an indifference zone, so that a small shift that lasts
//! is found as surely as a great one, and one that does not matter never.
use serde::{Deserialize, Serialize};

/// Settings of a chart, in thousandths of the caller's unit, both above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CusumChart {
    /// k: a shift smaller than this is never found. In the literature half of the shift that is looked for.
    pub indifference: i64,
    /// h: how much beyond it must have added up.
    pub decision: i64,
}

/// A shift that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// Estimated size, signed, in thousandths of the caller's unit.
    pub by: i64,
    /// Mark of the first sample of the run that shows it: the usual estimate of when it began.
    pub since: u64,
}

/// Both sums of one chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cusum {
    up: Side,
    down: Side,
}

/// Sum, how many samples it took, and the mark of the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Side(i64, u32, u64);

impl Side {
    fn push(&mut self, deviation: i64, mark: u64, chart: CusumChart) {
        let Self(sum, samples, since) = self;
        let before = *sum;
        // Twice the decision is as much as it may remember: what lasted for an hour must not take an hour to be over.
        *sum = (before + deviation - chart.indifference).clamp(0, 2 * chart.decision);
        if *sum == 0 {
            *samples = 0;
        } else if before < 2 * chart.decision {
            if *samples == 0 {
                *since = mark;
            }
            *samples = samples.saturating_add(1);
        }
    }

    fn shift(&self, chart: CusumChart) -> Option<(i64, u64)> {
        let &Self(sum, samples, since) = self;
        (sum > chart.decision).then(|| (chart.indifference + sum / i64::from(samples.max(1)), since))
    }
}

impl Cusum {
    /// Takes a deviation from what is expected. `mark` names the sample. Tells the shift for as long as it lasts.
    pub fn push(&mut self, deviation: i64, mark: u64, chart: CusumChart) -> Option<Shift> {
        self.up.push(deviation, mark, chart);
        self.down.push(-deviation, mark, chart);
        let up = self.up.shift(chart).map(|(by, since)| Shift { by, since });
        up.or_else(|| self.down.shift(chart).map(|(by, since)| Shift { by: -by, since }))
    }

    /// Whether neither sum is more than half of the decision: the hysteresis of the way back.
    pub fn is_calm(&self, chart: CusumChart) -> bool {
        self.up.0.max(self.down.0) * 2 <= chart.decision
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;
    use crate::rules::control::ewma::tests::gaussian;

    fn chart(k: f64, h: f64) -> CusumChart {
        CusumChart {
            indifference: (k * 1_000.0) as i64,
            decision: (h * 1_000.0) as i64,
        }
    }

    /// Samples until the chart signals, from its start.
    fn run_length(chart: CusumChart, shift: f64, rng: &mut StdRng) -> u64 {
        let mut cusum = Cusum::default();
        let mut samples = 0;
        loop {
            samples += 1;
            let z = shift + gaussian(rng);
            if cusum.push((z * 1_000.0).round() as i64, samples, chart).is_some() {
                return samples;
            }
        }
    }

    /// Average run lengths by the Markov chain of Brook and Evans (1972), two-sided, normal and independent samples: (k, h,
    /// shift in sigma, ARL, runs). 168 and 465 for no shift are those of the published tables.
    const PUBLISHED: [(f64, f64, f64, f64, u32); 8] = [
        (0.5, 4.0, 0.0, 167.7, 3_000),
        (0.5, 5.0, 0.0, 465.2, 2_000),
        (0.5, 5.0, 1.0, 10.38, 5_000),
        (0.5, 5.0, 2.0, 4.009, 5_000),
        // The setting that depth_drift has.
        (1.0, 8.5, 1.0, 93.4, 2_000),
        (1.0, 8.5, 2.0, 9.248, 5_000),
        (1.0, 8.5, 3.0, 4.866, 5_000),
        (1.5, 6.0, 3.0, 4.676, 5_000),
    ];

    #[test]
    fn its_average_run_lengths_are_those_of_the_published_table() {
        let mut rng = StdRng::seed_from_u64(5);
        for (k, h, shift, published, runs) in PUBLISHED {
            let lengths: Vec<f64> = (0..runs)
                .map(|_| run_length(chart(k, h), shift, &mut rng) as f64)
                .collect();
            let n = f64::from(runs);
            let mean = lengths.iter().sum::<f64>() / n;
            let deviation = (lengths.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            // Four standard errors: all eight are within them with a probability above 99.9 %.
            let error = 4.0 * deviation / n.sqrt();
            assert!(
                (mean - published).abs() < error,
                "k {k} h {h} shift {shift}: {mean:.3} ± {error:.3}, published {published}"
            );
        }
    }

    #[test]
    fn it_tells_how_far_and_since_when() {
        let chart = chart(1.0, 4.0);
        let mut cusum = Cusum::default();
        for mark in 0..10 {
            assert_eq!(cusum.push(0, mark, chart), None);
        }
        // 3 a sample: 2 beyond indifference; 2, 4, 6 > 4.
        assert_eq!(cusum.push(-3_000, 10, chart), None);
        assert_eq!(cusum.push(-3_000, 11, chart), None);
        assert_eq!(cusum.push(-3_000, 12, chart), Some(Shift { by: -3_000, since: 10 }));
    }

    proptest! {
        #[test]
        fn what_lies_within_the_indifference_zone_never_signals(samples in proptest::collection::vec(-1_000i64..=1_000, 1..300)) {
            let mut cusum = Cusum::default();
            for (mark, sample) in samples.into_iter().enumerate() {
                prop_assert_eq!(cusum.push(sample, mark as u64, chart(1.0, 0.001)), None);
            }
            prop_assert_eq!(cusum, Cusum { up: Side(0, 0, cusum.up.2), down: Side(0, 0, cusum.down.2) });
        }

        #[test]
        fn it_forgets_within_bounded_time_whatever_was_before(
            samples in proptest::collection::vec(-100_000i64..=100_000, 0..200), k in 100i64..3_000, h in 100i64..20_000,
        ) {
            let chart = CusumChart { indifference: k, decision: h };
            let mut cusum = Cusum::default();
            for (mark, sample) in samples.into_iter().enumerate() {
                cusum.push(sample, mark as u64, chart);
            }
            // From at most 2 h, down by k with every sample that is as expected.
            for mark in 0..=(2 * h / k) {
                cusum.push(0, mark as u64, chart);
            }
            prop_assert!(cusum.is_calm(chart));
            prop_assert_eq!((cusum.up.0, cusum.down.0), (0, 0));
        }

        #[test]
        fn a_snapshot_in_between_changes_nothing(seed: u64, cut in 0usize..60) {
            let mut rng = StdRng::seed_from_u64(seed);
            let samples: Vec<i64> = (0..60).map(|_| rng.random_range(-4_000..4_000)).collect();
            let chart = chart(1.0, 5.0);
            let (mut plain, mut restarted) = (Cusum::default(), Cusum::default());
            for (mark, &sample) in samples.iter().enumerate() {
                if mark == cut {
                    restarted = serde_json::from_str(&serde_json::to_string(&restarted).unwrap()).unwrap();
                }
                let (a, b) = (plain.push(sample, mark as u64, chart), restarted.push(sample, mark as u64, chart));
                prop_assert_eq!(a, b);
            }
        }

        #[test]
        fn up_and_down_are_mirror_images(samples in proptest::collection::vec(-5_000i64..=5_000, 1..100)) {
            let chart = chart(0.5, 4.0);
            let (mut as_is, mut mirrored) = (Cusum::default(), Cusum::default());
            for (mark, sample) in samples.into_iter().enumerate() {
                as_is.push(sample, mark as u64, chart);
                mirrored.push(-sample, mark as u64, chart);
            }
            prop_assert_eq!((as_is.up, as_is.down), (mirrored.down, mirrored.up));
        }
    }
}
