//! Transitions out, for the store: at least once, from the same transaction that made them.
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use telemetry::Admitted;
use tokio::sync::watch;

use crate::store::Store;

/// Most transitions in one call.
const MAX_BATCH: usize = 256;
/// First and longest wait after a failure.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How often it is looked at without being told.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Where transitions go, for example the telemetry spool.
pub trait Outlet: Send + Sync {
    /// Takes transitions, each a message whose payload is an `AlertTransition`. Ok means durable. The same one may come
    /// again; its `transition_id` says so. May block on the disk.
    ///
    /// # Errors
    /// None of them counts as taken; they come again.
    fn put(&self, transitions: &[Admitted]) -> Result<(), Box<dyn Error + Send + Sync>>;
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
        let (store, outlet) = (Arc::clone(&store), Arc::clone(&outlet));
        let done = tokio::task::spawn_blocking(move || drain(&store, outlet.as_ref())).await;
        let pause = match done {
            Ok(Ok(())) => {
                wait = RETRY.0;
                LOOK_EVERY
            }
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "transitions for the store wait");
                wait = (wait * 2).min(RETRY.1);
                wait
            }
            Err(join) => std::panic::resume_unwind(join.into_panic()),
        };
        tokio::select! {
            () = &mut stop => return,
            changed = wake.changed(), if awake => awake = changed.is_ok(),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn drain(store: &Store, outlet: &dyn Outlet) -> Result<(), Box<dyn Error + Send + Sync>> {
    loop {
        let rows = store.outlet(MAX_BATCH)?;
        let Some((last, _)) = rows.last() else {
            return Ok(());
        };
        let last = *last;
        let messages: Vec<Admitted> = rows
            .iter()
            .filter_map(|(_, bytes)| Admitted::decode(bytes).ok())
            .collect();
        outlet.put(&messages)?;
        store.outlet_done(last)?;
    }
}
