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
        uplink::metrics::METRICS,
        console::metrics::METRICS,
        crate::spool_watch::METRICS,
        crate::backup::METRICS,
        crate::registry_watch::METRICS,
        crate::standing::METRICS,
    ];
    install(
        &tables,
        service::telemetry_names::PRESETS,
        env!("CARGO_PKG_VERSION"),
        option_env!("DERMATEL_REVISION").unwrap_or("unknown"),
    )
    .context("metrics cannot be recorded")
}

/// Threads of the runtime: the two that a small machine has are enough, and each costs memory for its allocations.
const WORKERS_MAX: usize = 4;

/// How nice the threads of devices' connections and of the store are: those that make messages durable, decide about alerts
/// and send pages are others, and go first when the machine is short of CPU. Storage may stall; alarms may not.
const NICENESS: i32 = 5;

/// How glibc keeps memory; it reads these at the start of a process only. Two arenas and not one for each thread, which keep
/// what that thread once freed; and buffers of batches go back to the system instead of leaving holes. Measured at saturation:
/// 240 MiB without, 130 MiB with the first, 95 MiB with both, and no difference in CPU.
pub(crate) const MALLOC: [(&str, &str); 2] = [("MALLOC_ARENA_MAX", "2"), ("MALLOC_MMAP_THRESHOLD_", "1048576")];

/// Starts this program again, in the same process, with [`MALLOC`]. What the operator has set stays.
pub(crate) fn with_little_memory() {
    use std::os::unix::process::CommandExt as _;
    let set = |(name, _): &(&str, &str)| std::env::var_os(name).is_some();
    if MALLOC.iter().any(set) || cfg!(not(target_env = "gnu")) {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut arguments = std::env::args_os();
    let mut again = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // It comes back only if it fails; then this goes on with more memory.
    let _error = again.args(arguments).envs(MALLOC).exec();
}

/// The runtime of a process that serves.
pub(crate) fn serving_runtime() -> Result<tokio::runtime::Runtime> {
    builder()
        .on_thread_start(|| {
            // Not allowed: then all threads are equal, which costs speed under overload and nothing else.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
        })
        .build()
        .context("the runtime cannot start")
}

/// The runtime of alerting's senders: one thread, nothing else on it.
pub(crate) fn alarm_runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("alerting's runtime cannot start")
}

/// The runtime of everything else.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    builder().build().context("the runtime cannot start")
}

fn builder() -> tokio::runtime::Builder {
    let workers = std::thread::available_parallelism()
        .map_or(2, usize::from)
        .min(WORKERS_MAX);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all();
    builder
}
