//! Transitions out, for the store: at least once, from the same transaction that made them.
use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use service::clock::Clock;
use telemetry::{Admitted, UnixMicros};
use tokio::sync::watch;

use crate::permit::Permit;
use crate::store::Store;

/// Most transitions in one call.
const MAX_BATCH: usize = 256;
/// First and longest wait after a failure.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// What an instance that stands by keeps: as much as the one that pages may not have sent when it ends.
const OVERLAP: Duration = Duration::from_secs(60);
/// How often it is looked at without being told.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Where transitions go, for example the telemetry spool.
pub trait Outlet: Send + Sync {
    /// Takes transitions, each a message whose payload is an `AlertTransition`. Ok means durable, but for those whose places in
    /// `transitions` it gives: they have to wait and come again, and those after them do not wait for them. The same one may come
    /// again; its `transition_id` says so. May block on the disk.
    ///
    /// # Errors
    /// None of them counts as taken; they come again.
    fn put(&self, transitions: &[Admitted]) -> Result<Vec<usize>, Box<dyn Error + Send + Sync>>;
}

/// Empties the outlet table until `stop`.
pub(crate) async fn run(
    store: Arc<Store>,
    outlet: Arc<dyn Outlet>,
    mut wake: watch::Receiver<u64>,
    stop: impl Future<Output = ()>,
) {
    let mut stop = std::pin::pin!(stop);
    let mut wait = RETRY.0;
    // Whoever tells ends before this does.
    let mut awake = true;
    loop {
        let (from, to) = (Arc::clone(&store), Arc::clone(&outlet));
        let done = tokio::task::spawn_blocking(move || drain(&from, to.as_ref())).await;
        let pause = match done {
            Ok(Ok(0)) => {
                wait = RETRY.0;
                LOOK_EVERY
            }
            Ok(Ok(left)) => {
                wait = (wait * 2).min(RETRY.1);
                tracing::info!(transitions = left, "transitions wait for a store that is away");
                wait
            }
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "transitions for the store wait");
                wait = (wait * 2).min(RETRY.1);
                wait
            }
            Err(join) => std::panic::resume_unwind(join.into_panic()),
        };
        tokio::select! {
            () = &mut stop => break,
            changed = wake.changed(), if awake => awake = changed.is_ok(),
            () = tokio::time::sleep(pause) => {}
        }
    }
    // What was decided last; what is not taken is in the table.
    let _ = tokio::task::spawn_blocking(move || drain(&store, outlet.as_ref())).await;
}

/// While another instance pages, that one sends the transitions. What was decided a minute ago or later is kept, should it end.
pub(crate) async fn stand_by(store: Arc<Store>, permit: Permit, clock: Clock, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    let granted = permit.clone().granted();
    let mut granted = std::pin::pin!(granted);
    if !permit.is_fenced() {
        return stop.await;
    }
    loop {
        tokio::select! {
            () = &mut stop => return,
            () = &mut granted => return stop.await,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let store = Arc::clone(&store);
        let cut = UnixMicros::from(clock.now()).minus(OVERLAP);
        let forgot = tokio::task::spawn_blocking(move || store.outlet_sent_elsewhere(cut)).await;
        if let Ok(Err(error)) = forgot {
            tracing::warn!(error = %error, "transitions that another instance sent are kept until alerting's file can be written");
        }
    }
}

/// Goes through the table once; gives how many have to wait.
fn drain(store: &Store, outlet: &dyn Outlet) -> Result<usize, Box<dyn Error + Send + Sync>> {
    let (mut after, mut left) = (i64::MIN, 0);
    loop {
        let rows = store.outlet(after, MAX_BATCH)?;
        let Some((last, _)) = rows.last() else {
            return Ok(left);
        };
        after = *last;
        // What cannot be read was damaged on our own disk; it is done with.
        let (numbers, messages): (Vec<i64>, Vec<Admitted>) = rows
            .iter()
            .filter_map(|(n, bytes)| Some((*n, Admitted::decode(bytes).ok()?)))
            .unzip();
        let waiting = outlet.put(&messages)?;
        let waiting: BTreeSet<i64> = waiting.into_iter().filter_map(|at| numbers.get(at).copied()).collect();
        let done: Vec<i64> = rows.iter().map(|(n, _)| *n).filter(|n| !waiting.contains(n)).collect();
        left += waiting.len();
        store.outlet_done(&done)?;
    }
}
