//! How long to wait before the next try: full jitter, so that a fleet does not come back in step.

use std::time::Duration;

use rand::Rng;

/// Full-jitter exponential backoff: the n-th wait is uniform in `[0, min(cap, base * 2^n)]`.
///
/// Pure: the random numbers and the time are handed in. The count of failures falls back to zero only after a connection
/// was healthy for the whole [`Backoff::healthy`] window; a peer that accepts and drops at once is a failure each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    healthy: Duration,
    failures: u32,
}

impl Backoff {
    /// First ceiling of a reconnect: what a restart of a broker on the same machine takes.
    pub const DEFAULT_BASE: Duration = Duration::from_millis(200);
    /// Longest ceiling of a reconnect: a person who watches a recovery waits no longer than this.
    pub const DEFAULT_CAP: Duration = Duration::from_secs(5);
    /// Time a connection must hold before its failures are forgotten.
    pub const DEFAULT_HEALTHY: Duration = Duration::from_secs(10);

    /// Backoff with `base` as the first ceiling, `cap` as the last, forgiven after `healthy` of good service.
    pub fn new(base: Duration, cap: Duration, healthy: Duration) -> Self {
        Self {
            base,
            cap,
            healthy,
            failures: 0,
        }
    }

    /// Failures since the last healthy window.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The wait before the next try; counts one more failure.
    pub fn next(&mut self, rng: &mut impl Rng) -> Duration {
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        rng.random_range(Duration::ZERO..=ceiling)
    }

    /// The wait before the next try after a connection that lasted `up_for`: forgiven first if that was healthy.
    pub fn next_after(&mut self, up_for: Duration, rng: &mut impl Rng) -> Duration {
        if up_for >= self.healthy {
            self.failures = 0;
        }
        self.next(rng)
    }

    fn ceiling(&self) -> Duration {
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Self::DEFAULT_BASE, Self::DEFAULT_CAP, Self::DEFAULT_HEALTHY)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    proptest! {
        #[test]
        fn every_wait_is_within_zero_and_the_cap(
            base_ms in 0u64..10_000, cap_ms in 0u64..100_000, seed: u64, tries in 1usize..80,
        ) {
            let cap = Duration::from_millis(cap_ms);
            let mut backoff = Backoff::new(Duration::from_millis(base_ms), cap, Duration::from_secs(10));
            let mut rng = StdRng::seed_from_u64(seed);
            for n in 0..tries {
                let wait = backoff.next(&mut rng);
                prop_assert!(wait <= cap);
                let ceiling = u128::from(base_ms) << n.min(64);
                prop_assert!(wait.as_millis() <= ceiling);
            }
        }
    }

    #[test]
    fn at_the_cap_two_clients_still_wait_differently() {
        let mut a = Backoff::default();
        let mut b = Backoff::default();
        let (mut ra, mut rb) = (StdRng::seed_from_u64(1), StdRng::seed_from_u64(2));
        for _ in 0..40 {
            a.next(&mut ra);
            b.next(&mut rb);
        }
        let differing = (0..20).filter(|_| a.next(&mut ra) != b.next(&mut rb)).count();
        assert_eq!(differing, 20);
    }

    #[test]
    fn failures_are_forgiven_after_a_healthy_window_only() {
        let mut backoff = Backoff::default();
        let mut rng = StdRng::seed_from_u64(7);
        for _ in 0..5 {
            backoff.next_after(Duration::from_secs(9), &mut rng);
        }
        assert_eq!(backoff.failures(), 5);
        backoff.next_after(Duration::from_secs(10), &mut rng);
        assert_eq!(backoff.failures(), 1);
    }
}
