//! Where wall time comes from, so that whatever decides can be handed its `now`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall time: the machine's, or one that a test sets by hand. Cheap to clone; clones share the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    /// Microseconds since the Unix epoch.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start` until [`Clock::advance`] or [`Clock::set`] moves it.
    pub fn manual(start: SystemTime) -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(micros(start)))))
    }

    /// The time now. A manual clock has a resolution of one microsecond.
    pub fn now(&self) -> SystemTime {
        match &self.0 {
            Source::System => SystemTime::now(),
            Source::Manual(at) => UNIX_EPOCH + Duration::from_micros(at.load(Ordering::SeqCst)),
        }
    }

    /// Microseconds since the Unix epoch; 0 before it.
    pub fn now_us(&self) -> u64 {
        micros(self.now())
    }

    /// Moves a manual clock on; the system clock ignores it and returns false.
    pub fn advance(&self, by: Duration) -> bool {
        match &self.0 {
            Source::System => false,
            Source::Manual(at) => {
                at.fetch_add(by.as_micros() as u64, Ordering::SeqCst);
                true
            }
        }
    }

    /// Sets a manual clock, backwards too; the system clock ignores it and returns false.
    pub fn set(&self, to: SystemTime) -> bool {
        match &self.0 {
            Source::System => false,
            Source::Manual(at) => {
                at.store(micros(to), Ordering::SeqCst);
                true
            }
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

fn micros(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand_and_its_clones_move_with_it() {
        let start = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let clock = Clock::manual(start);
        let clone = clock.clone();
        assert_eq!(clock.now(), start);
        assert!(clock.advance(Duration::from_millis(1500)));
        assert_eq!(clone.now(), start + Duration::from_millis(1500));
        assert!(clone.set(start));
        assert_eq!(clock.now_us(), 1_700_000_000_000_000);
    }

    #[test]
    fn the_system_clock_cannot_be_moved() {
        let clock = Clock::system();
        assert!(!clock.advance(Duration::from_secs(1)));
        assert!(!clock.set(UNIX_EPOCH));
        assert!(clock.now() > UNIX_EPOCH);
    }
}
