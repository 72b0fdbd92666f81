//! How often a sign-in may be tried: a few at once, then one every half minute, for each name by itself. All names that nobody has
//! count as one, so that the table is as long as the list of people.
use std::collections::HashMap;

use telemetry::UnixMicros;

/// Attempts at once.
pub(crate) const BURST: i64 = 5;
/// One more after this many microseconds.
pub(crate) const EACH_US: i64 = 30_000_000;

/// By name: when the last of its attempts would have been used up, were they spread evenly.
#[derive(Debug, Default)]
pub(crate) struct Attempts(HashMap<String, i64>);

impl Attempts {
    /// Counts an attempt under a name of the list, or under "" for all others.
    ///
    /// # Errors
    /// Too many: how many seconds to wait.
    pub(crate) fn count(&mut self, name: &str, now: UnixMicros) -> Result<(), u64> {
        let used_until = self.0.entry(name.to_owned()).or_insert(i64::MIN);
        // A clock that was put back must not lock anybody out for long.
        let from = (*used_until).clamp(now.0, now.0 + BURST * EACH_US);
        let room = now.0 + (BURST - 1) * EACH_US - from;
        if room < 0 {
            return Err((room.unsigned_abs()).div_ceil(1_000_000));
        }
        *used_until = from + EACH_US;
        Ok(())
    }

    /// Somebody signed in: what was mistyped before is forgotten.
    pub(crate) fn forget(&mut self, name: &str) {
        self.0.remove(name);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(second: i64) -> UnixMicros {
        UnixMicros(1_700_000_000_000_000 + second * 1_000_000)
    }

    #[test]
    fn a_few_attempts_at_once_then_one_every_half_minute_and_each_name_by_itself() {
        let mut attempts = Attempts::default();
        for _ in 0..BURST {
            attempts.count("anna", at(0)).unwrap();
        }
        assert_eq!(attempts.count("anna", at(0)), Err(30));
        assert_eq!(attempts.count("anna", at(10)), Err(20));
        attempts.count("bo", at(10)).unwrap();
        attempts.count("anna", at(30)).unwrap();
        assert!(attempts.count("anna", at(31)).is_err());
        attempts.forget("anna");
        attempts.count("anna", at(31)).unwrap();
    }

    #[test]
    fn a_clock_that_is_put_back_locks_nobody_out_for_long() {
        let mut attempts = Attempts::default();
        for _ in 0..=BURST {
            let _ = attempts.count("anna", at(1_000_000));
        }
        let wait = attempts.count("anna", at(0)).unwrap_err();
        assert!(wait <= 30, "{wait}");
    }
}
