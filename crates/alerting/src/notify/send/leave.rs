//! What still leaves when the process is told to end.
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Attempt, Duty, SHORTEST_WAIT, Sender, StoreError};

/// For how long what is due leaves when the process stops; the rest is in the outbox for the next.
pub(super) const LAST_PAGES: Duration = Duration::from_secs(8);

impl Sender {
    /// The process ends: what is due leaves, also what has to be tried again, as long as there is time; the rest is in the outbox.
    pub(super) async fn leave(&mut self, mut flying: JoinSet<Attempt>, mut duty: Duty) -> Result<(), StoreError> {
        let mut until = Instant::now() + LAST_PAGES;
        loop {
            let now = Instant::now();
            if now < until
                && let Err(error) = self.launch(&mut flying).await
            {
                // What is under way has to be settled all the same.
                tracing::error!(receiver = self.terms.name, %error, "nothing more leaves: alerting's file cannot be written");
                until = now;
            }
            let left = until.saturating_duration_since(Instant::now());
            let full = flying.len() >= self.target.in_flight();
            let soon = match left.is_zero() || full || !self.permit.holds() {
                true => None,
                false => self.due_within(left).await,
            };
            if flying.is_empty() && soon.is_none() {
                return Ok(());
            }
            tokio::select! {
                Some(done) = flying.join_next() => self.settle(done, &mut flying, &mut duty).await?,
                () = tokio::time::sleep(soon.unwrap_or_default()), if soon.is_some() => {}
            }
        }
    }

    /// When the next page is due, if that is before `left` has passed.
    async fn due_within(&self, left: Duration) -> Option<Duration> {
        let next = self.blocking(|store, name, _| store.next_due(name)).await.ok()??;
        let wait = next.since(self.now()).max(SHORTEST_WAIT);
        (wait < left).then_some(wait)
    }
}
