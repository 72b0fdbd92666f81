//! What a count of rare events says about their rate: exact bounds for a Poisson count (Garwood 1936).

/// Upper bound, at one-sided `confidence`, of the mean of a Poisson count of which `count` were seen: the mean at which so
/// few would be seen with a chance of 1 - confidence only.
pub(super) fn upper(count: u64, confidence: f64) -> f64 {
    let (mut low, mut high) = (count as f64, count as f64 + 10.0);
    while at_most(count, high) > 1.0 - confidence {
        high *= 2.0;
    }
    // Halved until nothing is left to halve.
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if at_most(count, middle) > 1.0 - confidence {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// Chance of at most `count` events where `mean` are expected.
fn at_most(count: u64, mean: f64) -> f64 {
    let mut log_term = -mean;
    let mut sum = log_term.exp();
    for n in 1..=count {
        log_term += (mean / n as f64).ln();
        sum += log_term.exp();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half of the 95 % quantile of chi squared with 2 (n + 1) degrees of freedom, from tables: 5.9915, 9.4877, 12.5916,
    /// 23.6848 for 2, 4, 6, 14; and 233.994 for 200.
    #[test]
    fn bounds_are_those_of_the_tables_of_chi_squared() {
        let table = [(0, 2.9957), (1, 4.7439), (2, 6.2958), (6, 11.8424), (99, 116.997)];
        for (count, bound) in table {
            assert!(
                (upper(count, 0.95) - bound).abs() < 1e-3,
                "{count}: {}",
                upper(count, 0.95)
            );
        }
    }
}
