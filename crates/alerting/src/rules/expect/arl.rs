//! Average run lengths of control charts: Markov chain of Brook and Evans (1972), for standard normal, independent samples
//! whose mean is shifted by so many sigma.

/// States of the chain. 120 give the published tables to three digits.
const STATES: usize = 120;
/// Beyond this k times h the chain is numerically singular: a false alarm comes after more than 1e13 samples.
const KH_MAX: f64 = 14.0;
/// Siegmund's correction of h for samples that are discrete.
const SIEGMUND: f64 = 1.166;

/// Chance that a standard normal value is below `x`.
pub(super) fn below(x: f64) -> f64 {
    0.5 * erfc(-x / std::f64::consts::SQRT_2)
}

/// Chance that it is above `x`: not 1 - [`below`], which is 0 in the tail that matters here.
pub(super) fn above(x: f64) -> f64 {
    below(-x)
}

/// Complementary error function: a series near 0, a continued fraction in the tail; relative error below 1e-12.
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..100 {
            let n = f64::from(n);
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        return 1.0 - sum * std::f64::consts::FRAC_2_SQRT_PI;
    }
    let mut fraction = 0.0;
    for n in (1..=80).rev() {
        fraction = f64::from(n) / 2.0 / (x + fraction);
    }
    (-x * x).exp() / (x + fraction) * std::f64::consts::FRAC_2_SQRT_PI / 2.0
}

/// Samples until a two-sided cumulative sum with indifference `k` and decision `h` (in sigma) signals a shift.
pub fn cusum(k: f64, h: f64, shift: f64) -> f64 {
    let (up, down) = (one_sided(k, h, shift), one_sided(k, h, -shift));
    1.0 / (1.0 / up + 1.0 / down)
}

fn one_sided(k: f64, h: f64, shift: f64) -> f64 {
    // The chain has no digits left where a signal is so rare; Siegmund's approximation (1985) has.
    let drift = k - shift;
    if drift * h > KH_MAX {
        let x = 2.0 * drift * (h + SIEGMUND);
        return (x.min(700.0).exp() - x - 1.0) / (2.0 * drift * drift);
    }
    let width = 2.0 * h / (2 * STATES - 1) as f64;
    let step = |from: usize, to: usize| {
        let by = (to as f64 - from as f64) * width;
        let high = below(by + width / 2.0 + k - shift);
        // The sum never is below 0: the lowest state takes all that falls further.
        if to == 0 {
            high
        } else {
            high - below(by - width / 2.0 + k - shift)
        }
    };
    run_length(STATES, 0, step)
}

/// Samples until an exponentially weighted mean with weight `lambda` leaves `limit` sigma of itself (in the long run).
pub fn ewma(lambda: f64, limit: f64, shift: f64) -> f64 {
    let states = STATES + 1;
    let half = limit * (lambda / (2.0 - lambda)).sqrt();
    let width = 2.0 * half / states as f64;
    let step = |from: usize, to: usize| {
        let middle = -half + (from as f64 + 0.5) * width;
        let low = -half + to as f64 * width;
        let reached = |edge: f64| (edge - (1.0 - lambda) * middle) / lambda - shift;
        below(reached(low + width)) - below(reached(low))
    };
    run_length(states, states / 2, step)
}

/// Samples until a single one lies outside of `limit` sigma.
pub fn shewhart(limit: f64, shift: f64) -> f64 {
    1.0 / (above(limit - shift) + above(limit + shift))
}

/// Expected steps from a state until the chain is left: (I - P) x = 1. A chain that is numerically never left takes for ever.
fn run_length(states: usize, start: usize, step: impl Fn(usize, usize) -> f64) -> f64 {
    let mut rows: Vec<Vec<f64>> = (0..states)
        .map(|from| {
            let stays = (0..states).map(|to| f64::from(u8::from(from == to)) - step(from, to));
            stays.chain([1.0]).collect()
        })
        .collect();
    for column in 0..states {
        let size = |row: &Vec<f64>| row.get(column).map_or(0.0, |v| v.abs());
        let best = (column..states).max_by(|&a, &b| {
            let of = |at: usize| rows.get(at).map_or(0.0, size);
            of(a).total_cmp(&of(b))
        });
        rows.swap(column, best.unwrap_or(column));
        let Some((pivot, below)) = rows.get_mut(column..).and_then(<[Vec<f64>]>::split_first_mut) else {
            return f64::INFINITY;
        };
        let Some(&head) = pivot.get(column) else {
            return f64::INFINITY;
        };
        for row in below {
            let factor = row.get(column).map_or(0.0, |v| v / head);
            if factor != 0.0 {
                for (value, of) in row.iter_mut().zip(pivot.iter()).skip(column) {
                    *value -= factor * of;
                }
            }
        }
    }
    let mut solved = vec![0.0; states];
    for column in (0..states).rev() {
        let Some(row) = rows.get(column) else { break };
        let known: f64 = row.iter().zip(&solved).skip(column + 1).map(|(a, x)| a * x).sum();
        let (Some(right), Some(head), Some(slot)) = (row.last(), row.get(column), solved.get_mut(column)) else {
            break;
        };
        *slot = (right - known) / head;
    }
    solved
        .get(start)
        .copied()
        .filter(|length| length.is_finite() && *length >= 1.0)
        .unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(what: &str, is: f64, published: f64) {
        assert!(
            (is / published - 1.0).abs() < 0.01,
            "{what}: {is}, published {published}"
        );
    }

    const SHIFTS: [f64; 5] = [0.0, 0.5, 1.0, 2.0, 3.0];

    /// In every textbook: Shewhart 3 sigma 370.4, CUSUM 0.5/4 168 and 0.5/5 465. The rest was computed by an independent program
    /// (another language) with the same method.
    #[test]
    fn run_lengths_are_those_of_the_published_tables_within_one_percent() {
        let sums = [
            (0.5, 4.0, [167.7, 26.63, 8.383, 3.343, 2.194]),
            (0.5, 5.0, [465.2, 37.99, 10.38, 4.009, 2.573]),
            (0.5, 10.0, [6.981e4, 124.6, 20.37, 7.343, 4.579]),
            (0.5, 16.5, [4.561e7, 311.7, 33.37, 11.68, 7.179]),
            (1.0, 8.5, [5.847e7, 3.120e4, 93.40, 9.248, 4.866]),
            (1.5, 6.0, [2.007e8, 7.911e5, 2551.0, 12.37, 4.676]),
        ];
        for (k, h, published) in sums {
            for (shift, published) in SHIFTS.into_iter().zip(published) {
                close(&format!("CUSUM {k}/{h} at {shift}"), cusum(k, h, shift), published);
            }
        }
        let averages = [
            (0.1, 2.7, [368.3, 28.19, 9.731, 4.179, 2.759]),
            (0.2, 3.0, [559.1, 44.12, 10.84, 3.801, 2.408]),
            (0.2, 5.0, [1.897e6, 5743.0, 103.8, 8.439, 4.267]),
        ];
        for (lambda, limit, published) in averages {
            for (shift, published) in SHIFTS.into_iter().zip(published) {
                close(
                    &format!("EWMA {lambda}/{limit} at {shift}"),
                    ewma(lambda, limit, shift),
                    published,
                );
            }
        }
        for (shift, published) in [(0.0, 370.4), (1.0, 43.89), (2.0, 6.303)] {
            close("Shewhart 3", shewhart(3.0, shift), published);
        }
    }

    #[test]
    fn where_the_chain_ends_the_approximation_goes_on_without_a_step() {
        let (before, after) = (one_sided(1.0, 13.9, 0.0), one_sided(1.0, 14.1, 0.0));
        assert!(after > before && after / before < 2.0, "{before} {after}");
        assert!(cusum(8.0, 70.0, 0.0) > 1e100);
    }

    #[test]
    fn tails_are_right_to_six_digits() {
        // Tables of the normal distribution: 3, 4.5, 6 and 8 sigma.
        for (x, p) in [
            (3.0, 1.349_898e-3),
            (4.5, 3.397_673e-6),
            (6.0, 9.865_876e-10),
            (8.0, 6.220_961e-16),
        ] {
            assert!((above(x) / p - 1.0).abs() < 1e-6, "{x}: {}", above(x));
        }
    }
}
