//! Waiting for a condition, bounded, with the last thing seen in the message when it never comes.
use std::time::{Duration, Instant};

/// Asks until `look` gives a value; `Err` says what it saw instead. Panics with the last sight after `most`.
pub fn wait_for<T, E: std::fmt::Debug>(what: &str, most: Duration, mut look: impl FnMut() -> Result<T, E>) -> T {
    let end = Instant::now() + most;
    loop {
        match look() {
            Ok(value) => return value,
            Err(seen) if Instant::now() > end => panic!("{what} did not come within {most:?}; last seen: {seen:?}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
