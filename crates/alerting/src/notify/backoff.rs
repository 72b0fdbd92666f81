//! How long a page waits after an attempt that failed.
use std::time::Duration;

use rand::Rng as _;

/// First wait after a failure.
const BACKOFF_BASE: Duration = Duration::from_millis(250);
/// Longest wait after a failure.
const BACKOFF_CAP: Duration = Duration::from_secs(60);

/// Full jitter: anything between nothing and the doubled base, but never less than the receiver asked for.
pub(super) fn wait(attempts: u32, asked_s: Option<u64>) -> Duration {
    let ceiling = BACKOFF_BASE.saturating_mul(1 << attempts.min(16)).min(BACKOFF_CAP);
    let jitter = ceiling.mul_f64(rand::rng().random::<f64>());
    jitter.max(Duration::from_secs(asked_s.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn waiting_grows_to_its_cap_and_never_undercuts_what_the_receiver_asked(attempts in 0u32..100, asked in 0u64..100) {
            let waited = wait(attempts, Some(asked));
            proptest::prop_assert!(waited >= Duration::from_secs(asked));
            proptest::prop_assert!(waited <= BACKOFF_CAP.max(Duration::from_secs(asked)));
        }
    }
}
