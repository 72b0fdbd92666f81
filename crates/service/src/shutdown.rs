//! How a process stops: the first signal drains, every part is known by name, and whoever is late is named.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Exit code after a second signal, as a shell reports a process that SIGINT ended.
pub const EXIT_SECOND_SIGNAL: i32 = 130;
/// Exit code when a part failed; the supervisor outside restarts.
pub const EXIT_FAILED: i32 = 1;
/// How often the parts that still run are named while draining.
pub const PENDING_LOG_EVERY: Duration = Duration::from_secs(5);

/// The one switch of a process. Clones are the same switch.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    draining: watch::Sender<bool>,
    /// Parts that have not completed. Bounded by the number of parts that a process registers; not per connection.
    parts: watch::Sender<BTreeMap<u64, String>>,
    next_part: Mutex<u64>,
    failure: Mutex<Option<Failure>>,
}

/// The first part that failed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Name of the part.
    pub part: String,
    /// What it said.
    pub error: String,
}

/// A registered part; it completes when this is dropped.
#[derive(Debug)]
#[must_use = "the part completes when this is dropped"]
pub struct Part {
    id: u64,
    shutdown: Shutdown,
}

impl Shutdown {
    /// A switch that nobody has pulled, with no parts.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            draining: watch::Sender::new(false),
            parts: watch::Sender::new(BTreeMap::new()),
            next_part: Mutex::new(0),
            failure: Mutex::new(None),
        }))
    }

    /// Starts to drain. The second call changes nothing.
    pub fn begin(&self, why: &str) {
        let first = self
            .0
            .draining
            .send_if_modified(|draining| !std::mem::replace(draining, true));
        if first {
            tracing::info!(reason = why, "draining");
        }
    }

    /// Whether draining has begun.
    pub fn is_draining(&self) -> bool {
        *self.0.draining.borrow()
    }

    /// Resolves when draining begins: the future that a service is a function of.
    pub fn requested(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let mut draining = self.0.draining.subscribe();
        async move {
            // An error means that the switch is gone, and with it the process: stop too.
            let _ = draining.wait_for(|draining| *draining).await;
        }
    }

    /// Registers a part that [`Shutdown::drain`] waits for, until the returned value is dropped.
    pub fn register(&self, name: impl Into<String>) -> Part {
        let id = {
            let mut next = lock(&self.0.next_part);
            *next += 1;
            *next
        };
        self.0.parts.send_modify(|parts| {
            parts.insert(id, name.into());
        });
        Part {
            id,
            shutdown: self.clone(),
        }
    }

    /// Names of the parts that still run, in the order in which they registered.
    pub fn pending(&self) -> Vec<String> {
        self.0.parts.borrow().values().cloned().collect()
    }

    /// Reports that a part failed: the first failure is kept, and the process drains.
    pub fn fail(&self, part: &str, error: impl Display) {
        let error = error.to_string();
        tracing::error!(part, error = %error, "part failed, draining the process");
        lock(&self.0.failure).get_or_insert_with(|| Failure {
            part: part.to_owned(),
            error,
        });
        self.begin("a part failed");
    }

    /// The first failure, if any.
    pub fn failure(&self) -> Option<Failure> {
        lock(&self.0.failure).clone()
    }

    /// Exit code of the process so far: 0, or [`EXIT_FAILED`] after a failure.
    pub fn exit_code(&self) -> i32 {
        if self.failure().is_some() { EXIT_FAILED } else { 0 }
    }

    /// Runs a registered part as a task. An error or a panic drains the process; so does a part that returns early
    /// only if it returns an error, because some parts have nothing left to do.
    pub fn spawn<F, E>(&self, name: impl Into<String>, part: F) -> tokio::task::JoinHandle<()>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let name = name.into();
        let registered = self.register(name.clone());
        let shutdown = self.clone();
        let task = tokio::spawn(part);
        let abort = AbortOnDrop(task.abort_handle());
        tokio::spawn(async move {
            let _abort = abort;
            match task.await {
                Ok(Ok(())) => tracing::debug!(part = name, "part ended"),
                Ok(Err(error)) => shutdown.fail(&name, error),
                Err(join) if join.is_panic() => shutdown.fail(&name, "it panicked"),
                Err(_) => {}
            }
            drop(registered);
        })
    }

    /// Waits until every part completed or `grace` has passed since the call; returns the names of the stragglers.
    pub async fn drain(&self, grace: Duration) -> Vec<String> {
        let deadline = Instant::now() + grace;
        let mut parts = self.0.parts.subscribe();
        loop {
            let until = deadline.min(Instant::now() + PENDING_LOG_EVERY);
            let empty = tokio::time::timeout_at(until, parts.wait_for(BTreeMap::is_empty))
                .await
                .is_ok();
            let pending = self.pending();
            if empty || pending.is_empty() {
                return Vec::new();
            }
            if Instant::now() >= deadline {
                tracing::warn!(stragglers = pending.join(", "), "grace period is over");
                return pending;
            }
            tracing::info!(pending = pending.join(", "), "waiting for parts to finish");
        }
    }

    /// Turns signals into a drain: the first begins it, the second makes this return (the caller then leaves with
    /// [`EXIT_SECOND_SIGNAL`]). `next` yields one item per signal; when it ends, this waits for ever.
    pub async fn follow(&self, mut next: tokio::sync::mpsc::Receiver<&'static str>) {
        let mut seen = 0;
        while let Some(signal) = next.recv().await {
            seen += 1;
            if seen > 1 {
                tracing::error!(
                    signal,
                    pending = self.pending().join(", "),
                    "second signal, leaving at once"
                );
                return;
            }
            self.begin(signal);
        }
        std::future::pending().await
    }

    /// Listens to SIGTERM and SIGINT for the life of the process: the first drains, the second exits with
    /// [`EXIT_SECOND_SIGNAL`].
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn listen_to_signals(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        let (tx, rx) = tokio::sync::mpsc::channel(SIGNAL_CAPACITY);
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    Some(()) = term.recv() => "SIGTERM",
                    Some(()) = int.recv() => "SIGINT",
                    else => return,
                };
                if tx.send(name).await.is_err() {
                    return;
                }
            }
        });
        let shutdown = self.clone();
        tokio::spawn(async move {
            shutdown.follow(rx).await;
            std::process::exit(EXIT_SECOND_SIGNAL)
        });
        Ok(())
    }
}

/// Signals on their way from the handler; more than two are never acted on.
const SIGNAL_CAPACITY: usize = 2;

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.shutdown.0.parts.send_modify(|parts| {
            parts.remove(&self.id);
        });
    }
}

/// Whoever aborts the outer task ends the part with it.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_signal_drains_and_the_second_ends_at_once() {
        let shutdown = Shutdown::new();
        let _part = shutdown.register("stubborn");
        let (tx, rx) = tokio::sync::mpsc::channel(2);
        let follower = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.follow(rx).await }
        });
        tx.send("SIGTERM").await.unwrap();
        shutdown.requested().await;
        assert!(shutdown.is_draining());
        assert!(!follower.is_finished());
        tx.send("SIGINT").await.unwrap();
        follower.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn draining_waits_for_parts_and_names_the_stragglers() {
        let shutdown = Shutdown::new();
        let _slow = shutdown.register("slow");
        let quick = shutdown.register("quick");
        tokio::spawn({
            let requested = shutdown.requested();
            async move {
                requested.await;
                drop(quick);
            }
        });
        shutdown.begin("test");
        assert_eq!(shutdown.drain(Duration::from_secs(30)).await, vec!["slow".to_owned()]);
    }

    #[tokio::test(start_paused = true)]
    async fn draining_ends_as_soon_as_the_last_part_completed() {
        let shutdown = Shutdown::new();
        let part = shutdown.register("part");
        let before = Instant::now();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(7)).await;
            drop(part);
        });
        assert!(shutdown.drain(Duration::from_secs(60)).await.is_empty());
        assert_eq!(before.elapsed().as_secs(), 7);
    }

    #[tokio::test]
    async fn a_failed_part_drains_the_process_with_a_bad_exit_code() {
        let shutdown = Shutdown::new();
        let _failing = shutdown.spawn("failing", async { Err::<(), _>("disk is gone") });
        shutdown.requested().await;
        assert_eq!(shutdown.exit_code(), EXIT_FAILED);
        let failure = shutdown.failure().unwrap();
        assert_eq!(
            (failure.part.as_str(), failure.error.as_str()),
            ("failing", "disk is gone")
        );
    }

    #[tokio::test]
    async fn a_part_that_panics_is_a_failed_part() {
        let shutdown = Shutdown::new();
        let _panicking = shutdown.spawn("panicking", async {
            if true {
                panic!("on purpose");
            }
            Ok::<(), String>(())
        });
        shutdown.requested().await;
        assert_eq!(shutdown.failure().unwrap().part, "panicking");
        assert!(shutdown.drain(Duration::from_secs(5)).await.is_empty());
    }

    #[tokio::test]
    async fn a_part_that_ends_well_does_not_drain_the_process() {
        let shutdown = Shutdown::new();
        shutdown.spawn("done", async { Ok::<(), String>(()) }).await.unwrap();
        assert!(!shutdown.is_draining());
        assert_eq!(shutdown.exit_code(), 0);
        assert!(shutdown.pending().is_empty());
    }
}
