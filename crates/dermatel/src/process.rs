//! What every subcommand that serves does first: logs, metrics, signals.
use anyhow::{Context, Result};
use service::metrics::{Metrics, install};

/// Installs the recorder with the tables of every part.
pub(crate) fn metrics() -> Result<Metrics> {
    let tables = [
        service::telemetry_names::METRICS,
        gateway::metrics::METRICS,
        gateway::endpoint::metrics::METRICS,
        ingestor::metrics::METRICS,
        alerting::metrics::METRICS,
        crate::spool_watch::METRICS,
    ];
    install(
        &tables,
        &[],
        env!("CARGO_PKG_VERSION"),
        option_env!("DERMATEL_REVISION").unwrap_or("unknown"),
    )
    .context("metrics cannot be recorded")
}

/// Threads of the runtime: the two that a small machine has are enough, and each costs memory for its allocations.
const WORKERS_MAX: usize = 4;

/// The runtime.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    let workers = std::thread::available_parallelism()
        .map_or(2, usize::from)
        .min(WORKERS_MAX);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .context("the runtime cannot start")
}
