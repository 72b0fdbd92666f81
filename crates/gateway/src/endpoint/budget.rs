//! Memory for unanswered publishes: a guaranteed share for each connection, the rest lent in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// The bytes that all connections share.
pub(crate) struct Budget {
    /// Bytes that each connection may always use.
    share: usize,
    /// Bytes that are lent. The semaphore is first come first served and each connection queues
    /// with one packet at a time, so a greedy one gets its turn and no more.
    pool: Arc<Semaphore>,
    used: AtomicUsize,
}

/// Where the bytes of one publish were taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    Share(u32),
    Pool(u32),
}

impl Charge {
    pub(crate) fn bytes(self) -> usize {
        let (Charge::Share(bytes) | Charge::Pool(bytes)) = self;
        bytes as usize
    }
}

impl Budget {
    pub(crate) fn new(total: usize, connections: usize) -> Budget {
        let lent = total / 2;
        Budget {
            share: (total - lent) / connections.max(1),
            pool: Arc::new(Semaphore::new(lent)),
            used: AtomicUsize::new(0),
        }
    }

    /// Takes `bytes` for a connection that has `in_share` in its own share already.
    pub(crate) fn try_take(&self, bytes: u32, in_share: usize) -> Option<Charge> {
        let charge = if in_share + bytes as usize <= self.share {
            Charge::Share(bytes)
        } else {
            self.pool.try_acquire_many(bytes).ok()?.forget();
            Charge::Pool(bytes)
        };
        self.used.fetch_add(bytes as usize, Ordering::Relaxed);
        Some(charge)
    }

    /// Waits in line for `bytes` of what is lent.
    pub(crate) fn wait(
        &self,
        bytes: u32,
    ) -> impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send + use<> {
        Arc::clone(&self.pool).acquire_many_owned(bytes)
    }

    /// Makes what [`Budget::wait`] gave a charge.
    pub(crate) fn granted(&self, permit: OwnedSemaphorePermit, bytes: u32) -> Charge {
        permit.forget();
        self.used.fetch_add(bytes as usize, Ordering::Relaxed);
        Charge::Pool(bytes)
    }

    pub(crate) fn give_back(&self, charge: Charge) {
        self.used.fetch_sub(charge.bytes(), Ordering::Relaxed);
        if let Charge::Pool(bytes) = charge {
            self.pool.add_permits(bytes as usize);
        }
    }

    /// Bytes taken and not given back.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_free_when_everything_lent_is_gone() {
        let budget = Budget::new(2_000, 10); // shares of 100, 1,000 lent
        assert_eq!(budget.try_take(1_000, 0), Some(Charge::Pool(1_000)));
        assert_eq!(budget.try_take(101, 0), None);
        assert_eq!(budget.try_take(100, 0), Some(Charge::Share(100)));
        assert_eq!(budget.try_take(1, 100), None);
        budget.give_back(Charge::Pool(1_000));
        assert_eq!(budget.used(), 100);
        assert_eq!(budget.try_take(500, 100), Some(Charge::Pool(500)));
    }

    #[tokio::test]
    async fn a_large_packet_waits_its_turn_and_is_not_overtaken_by_small_ones() {
        let budget = Budget::new(2_000, 1_000);
        let held = budget.try_take(600, 0).unwrap();
        let mut large = std::pin::pin!(budget.wait(900));
        assert!(futures_poll_once(large.as_mut()).await.is_none());
        assert_eq!(
            budget.try_take(100, 1),
            None,
            "a later small packet must not pass the large one"
        );
        budget.give_back(held);
        let permit = large.await.unwrap();
        budget.granted(permit, 900);
        assert_eq!(budget.used(), 900);
    }

    async fn futures_poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        let mut future = Some(future);
        std::future::poll_fn(move |cx| match future.take().map(|f| f.poll(cx)) {
            Some(std::task::Poll::Ready(output)) => std::task::Poll::Ready(Some(output)),
            _ => std::task::Poll::Ready(None),
        })
        .await
    }
}
