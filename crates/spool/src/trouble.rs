//! How the log's disk behaved lately, and when it is worth trying again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::disk::is_full;
use crate::error::AppendError;
use crate::state::Health;

/// The longest wait between two attempts to write on a disk that refuses.
pub const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// The first failure is retried at once, in a new file; from the second on it waits, doubling from here.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// Healthy, or since when and why not.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) health: Health,
    failures: u32,
    retry_at: Option<SystemTime>,
    last: Option<(PathBuf, Arc<io::Error>)>,
}

impl Trouble {
    pub(crate) fn none() -> Self {
        Trouble {
            health: Health::Healthy,
            failures: 0,
            retry_at: None,
            last: None,
        }
    }

    pub(crate) fn note(&mut self, health: Health, path: &Path, error: Arc<io::Error>, now: SystemTime) {
        self.health = health;
        self.failures += 1;
        self.retry_at = now.checked_add(backoff(self.failures));
        self.last = Some((path.to_owned(), error));
    }

    /// Whether the back-off is still running. A clock that jumped back does not prolong it.
    pub(crate) fn is_backing_off(&self, now: SystemTime) -> bool {
        self.retry_at.is_some_and(|at| {
            at.duration_since(now)
                .is_ok_and(|rest| !rest.is_zero() && rest <= MAX_BACKOFF)
        })
    }

    pub(crate) fn append_error(&self) -> AppendError {
        let (path, source) = self
            .last
            .clone()
            .unwrap_or_else(|| (PathBuf::new(), Arc::new(io::Error::other("no segment is open"))));
        match is_full(&source) {
            true => AppendError::DiskFull { path, source },
            false => AppendError::Suspect { path, source },
        }
    }
}

fn backoff(failures: u32) -> Duration {
    match failures.checked_sub(2) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_BACKOFF.saturating_mul(1 << doublings.min(16)).min(MAX_BACKOFF),
    }
}
