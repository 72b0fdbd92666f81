//! The parts of a process: none may end unnoticed, and none may keep the process from ending.
use std::fmt::Display;
use std::time::Duration;

use axum::Router;
use console::Console;
use service::shutdown::Shutdown;
use tokio::runtime::Runtime;

use crate::config::Config;

/// Who is signed in at the console, in the data folder: a restart signs nobody out.
pub(crate) const SIGNED_IN: &str = "console-sessions.json";

/// Runs a part that has work until `shutdown` begins. One that ends before that has failed, whatever it says.
pub(crate) fn spawn<F, E>(shutdown: &Shutdown, name: &str, part: F)
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let drains = shutdown.clone();
    shutdown.spawn(name, async move {
        part.await.map_err(|error| error.to_string())?;
        match drains.is_draining() {
            true => Ok(()),
            false => Err("it ended by itself".to_owned()),
        }
    });
}

/// As [`spawn`], for a part that cannot fail in words.
pub(crate) fn spawn_plain(shutdown: &Shutdown, name: &str, part: impl Future<Output = ()> + Send + 'static) {
    spawn(shutdown, name, async move {
        part.await;
        Ok::<(), String>(())
    });
}

/// The same pages as JSON for whoever may see them, if anybody may.
pub(crate) fn console_in_json(config: &Config, console: Console) -> Option<Router> {
    config
        .console
        .is_served()
        .then(|| console::api_router_for_people(console))
}

/// Hands the failure of a part on to `to`, which decides about the exit code: as soon as it happens, and also when it happens
/// while draining.
fn pass_on_failure(from: &Shutdown, to: &Shutdown) {
    if let (Some(failure), None) = (from.failure(), to.failure()) {
        to.fail(&failure.part, failure.error);
    }
}

/// The console's pages, if anybody may see them: signed-in people, or whoever reaches a loopback address where that is wanted.
pub(crate) fn console(config: &Config, console: Console, shutdown: &Shutdown) -> Router {
    if config.console.is_served() {
        return console::router(console, shutdown.clone());
    }
    tracing::info!(
        "the console is not served: name console.people, or set console.open where http.listen is a loopback address"
    );
    Router::new()
}

/// Runs what is before the logs to its end, and then lets the parts behind them finish what it left, within `grace`; what is not
/// done by then is done after the next start.
pub(crate) async fn front_then_behind(
    front: impl Future<Output = ()>,
    behind: &Shutdown,
    grace: Duration,
    shutdown: &Shutdown,
) {
    let failed = {
        let (behind, shutdown) = (behind.clone(), shutdown.clone());
        tokio::spawn(async move {
            // A part that failed takes the whole down: the supervisor outside restarts it.
            behind.requested().await;
            pass_on_failure(&behind, &shutdown);
        })
    };
    front.await;
    behind.begin("the intakes have ended");
    let late = behind.drain(grace).await;
    if !late.is_empty() {
        tracing::warn!(
            parts = late.join(", "),
            "did not finish within the grace period; the logs keep what is left"
        );
    }
    failed.abort();
    pass_on_failure(behind, shutdown);
}

/// Runs `main` to its end. What still blocks a thread then (a straggler after the grace period) ends with the process, and does
/// not hold it up: the logs keep what is left.
pub(crate) fn run_to_the_end<T>(runtime: Runtime, main: impl Future<Output = T>) -> T {
    let result = runtime.block_on(main);
    runtime.shutdown_background();
    result
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_ends_before_it_is_told_to_takes_the_process_down() {
        let shutdown = Shutdown::new();
        spawn_plain(&shutdown, "quitter", async {});
        let noticed = tokio::time::timeout(Duration::from_secs(10), shutdown.requested());
        assert!(noticed.await.is_ok(), "nobody noticed");
        assert_eq!(shutdown.failure().unwrap().part, "quitter");
        let in_order = Shutdown::new();
        spawn_plain(&in_order, "part", in_order.requested());
        in_order.begin("test");
        assert!(in_order.drain(Duration::from_secs(10)).await.is_empty());
        assert_eq!(in_order.exit_code(), 0);
    }

    #[tokio::test]
    async fn a_part_that_fails_while_draining_is_a_failure_of_the_process() {
        let (behind, process) = (Shutdown::new(), Shutdown::new());
        let stop = behind.requested();
        spawn(&behind, "store", async move {
            stop.await;
            Err("the last write failed")
        });
        process.begin("test");
        behind.begin("test");
        assert!(behind.drain(Duration::from_secs(10)).await.is_empty());
        pass_on_failure(&behind, &process);
        assert_eq!(process.failure().unwrap().error, "the last write failed");
        assert_ne!(process.exit_code(), 0);
    }

    #[test]
    fn a_thread_that_blocks_for_ever_does_not_hold_up_the_end() {
        let (ended, over) = std::sync::mpsc::sync_channel(1);
        let (_keep, never) = std::sync::mpsc::sync_channel::<()>(1);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .build()
                .unwrap();
            let (begun, begins) = tokio::sync::oneshot::channel();
            run_to_the_end(runtime, async move {
                tokio::task::spawn_blocking(move || {
                    let _ = begun.send(());
                    let _ = never.recv();
                });
                begins.await.unwrap();
            });
            ended.send(()).unwrap();
        });
        assert!(over.recv_timeout(Duration::from_secs(10)).is_ok());
    }
}
