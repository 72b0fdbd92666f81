//! Metrics: one recorder per process, described from the crates' tables, rendered as Prometheus text.

use std::fmt::Write as _;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::shutdown::Shutdown;

/// One row of a crate's `METRICS`: name, kind (`counter`, `gauge`, `histogram`), what it counts with its unit.
pub type Described = (&'static str, &'static str, &'static str);
/// A series that must be visible as zero from the start: name (as described) and its labels.
pub type Preset = (&'static str, &'static [(&'static str, &'static str)]);

/// Bounds of all other histograms whose name ends in `_seconds`: from 0.1 ms (an fsync) to 60 s (a retry).
pub const SECONDS_BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// Bounds of histograms whose name ends in `_delay_seconds`, for what goes by way of other people's servers: 0.1 s to an hour.
pub const DELAY_BUCKETS: &[f64] = &[
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
];
/// Bounds of histograms whose name ends in `_bytes`: from 64 B to 16 MiB.
pub const BYTES_BUCKETS: &[f64] = &[
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
];
/// Bounds of all other histograms (counts per batch and the like).
pub const COUNT_BUCKETS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0,
];
/// How often histogram samples are folded into their buckets, so that they do not pile up when nobody scrapes.
pub const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Why metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// Another recorder is installed in this process.
    #[error("a metrics recorder is already installed in this process")]
    Installed,
    /// A table names a kind that does not exist.
    #[error("metric {name} has kind '{kind}', it must be counter, gauge or histogram")]
    Kind {
        /// Name of the metric.
        name: &'static str,
        /// The kind as given.
        kind: &'static str,
    },
    /// A preset names a metric that no table describes.
    #[error("metric {0} is preset but no table describes it")]
    Undescribed(&'static str),
    /// Our own buckets were refused.
    #[error("the metrics recorder refused its settings")]
    Settings(#[source] BuildError),
}

/// Renders what was recorded; cheap to clone. [`Metrics::detached`] renders only what the process says of itself.
#[derive(Clone)]
pub struct Metrics {
    recorded: Option<PrometheusHandle>,
    version: &'static str,
    revision: &'static str,
}

/// Installs the process's recorder and describes every metric of `tables`; `presets` are visible as zero at once.
/// Without it (in tests) recording is a no-op.
///
/// # Errors
/// [`MetricsError`]; the process can run without metrics, but should not.
pub fn install(
    tables: &[&[Described]],
    presets: &[Preset],
    version: &'static str,
    revision: &'static str,
) -> Result<Metrics, MetricsError> {
    check(tables, presets)?;
    let recorder = PrometheusBuilder::new()
        // Which comes first goes by the alphabet; a test holds that it is this one.
        .set_buckets_for_metric(Matcher::Suffix("_delay_seconds".to_owned()), DELAY_BUCKETS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS_BUCKETS))
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), BYTES_BUCKETS))
        .and_then(|builder| builder.set_buckets(COUNT_BUCKETS))
        .map_err(MetricsError::Settings)?
        .build_recorder();
    let recorded = recorder.handle();
    ::metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Installed)?;
    for (name, kind, what) in tables.iter().copied().flatten() {
        describe(name, kind, what);
    }
    for (name, labels) in presets {
        preset(tables, name, labels);
    }
    Ok(Metrics {
        recorded: Some(recorded),
        version,
        revision,
    })
}

impl Metrics {
    /// A handle with nothing recorded, for tests and tools.
    pub fn detached() -> Self {
        Self {
            recorded: None,
            version: "",
            revision: "",
        }
    }

    /// Everything as Prometheus text: what was recorded, and what the process says of itself.
    pub fn render(&self) -> String {
        let mut text = self.recorded.as_ref().map(PrometheusHandle::render).unwrap_or_default();
        render_process(&mut text, self.version, self.revision);
        text
    }

    /// Folds samples until draining begins; run it as a task where metrics are installed.
    pub async fn keep(self, shutdown: Shutdown) {
        let Some(recorded) = self.recorded else { return };
        let mut tick = tokio::time::interval(UPKEEP_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let requested = shutdown.requested();
        tokio::pin!(requested);
        loop {
            tokio::select! {
                () = &mut requested => return,
                _ = tick.tick() => recorded.run_upkeep(),
            }
        }
    }
}

fn check(tables: &[&[Described]], presets: &[Preset]) -> Result<(), MetricsError> {
    for (name, kind, _) in tables.iter().copied().flatten() {
        if !matches!(*kind, "counter" | "gauge" | "histogram") {
            return Err(MetricsError::Kind { name, kind });
        }
    }
    match presets.iter().find(|(name, _)| kind_of(tables, name).is_none()) {
        Some((name, _)) => Err(MetricsError::Undescribed(name)),
        None => Ok(()),
    }
}

fn kind_of(tables: &[&[Described]], wanted: &str) -> Option<&'static str> {
    tables
        .iter()
        .copied()
        .flatten()
        .find(|(name, _, _)| *name == wanted)
        .map(|(_, kind, _)| *kind)
}

fn describe(name: &'static str, kind: &str, what: &'static str) {
    match kind {
        "counter" => ::metrics::describe_counter!(name, what),
        "gauge" => ::metrics::describe_gauge!(name, what),
        _ => ::metrics::describe_histogram!(name, what),
    }
}

fn preset(tables: &[&[Described]], name: &'static str, labels: &'static [(&'static str, &'static str)]) {
    match kind_of(tables, name) {
        Some("counter") => ::metrics::counter!(name, labels).increment(0),
        Some("gauge") => ::metrics::gauge!(name, labels).set(0.0),
        // A histogram shows up with its first sample: an invented one would be a lie.
        _ => {}
    }
}

/// The process's own figures, written by hand because the counter of CPU seconds is a fraction.
fn render_process(text: &mut String, version: &str, revision: &str) {
    let mut line = |name: &str, kind: &str, what: &str, value: String| {
        let _ = writeln!(text, "# HELP {name} {what}\n# TYPE {name} {kind}\n{name}{value}\n");
    };
    let labels = format!("{{version=\"{version}\",revision=\"{revision}\"}} 1");
    line(
        "dermatel_build_info",
        "gauge",
        "version and revision of this build, always 1",
        labels,
    );
    if let Some(bytes) = resident_bytes() {
        line(
            "process_resident_memory_bytes",
            "gauge",
            "resident memory, in bytes",
            format!(" {bytes}"),
        );
    }
    if let Some(fds) = open_fds() {
        line("process_open_fds", "gauge", "open file descriptors", format!(" {fds}"));
    }
    if let Some(seconds) = cpu_seconds() {
        line(
            "process_cpu_seconds_total",
            "counter",
            "CPU time of all threads, in seconds",
            format!(" {seconds}"),
        );
    }
}

/// Resident memory of this process, in bytes (Linux; elsewhere none).
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim()
        .trim_end_matches("kB")
        .trim()
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

/// Open file descriptors of this process (Linux; elsewhere none).
pub fn open_fds() -> Option<u64> {
    // One of them is the directory being read.
    std::fs::read_dir("/proc/self/fd")
        .ok()
        .map(|fds| (fds.count() as u64).saturating_sub(1))
}

/// CPU time of all threads of this process, user and system, in seconds (Linux; elsewhere none).
pub fn cpu_seconds() -> Option<f64> {
    /// Ticks per second in `/proc/<pid>/stat`: fixed at 100 in Linux' interface to programs (`USER_HZ`).
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses that may hold spaces; utime and stime are fields 14 and 15.
    let mut after = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = after.next()?.parse().ok()?;
    let system: f64 = after.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TABLE: &[Described] = &[
        ("test_things_total", "counter", "things"),
        ("test_level", "gauge", "a level"),
        ("test_wait_seconds", "histogram", "a wait, in seconds"),
        ("test_delay_seconds", "histogram", "a delay, in seconds"),
    ];

    // One test, because a process has one recorder.
    #[test]
    fn what_is_described_and_preset_is_visible_as_zero_and_counts_from_there() {
        let presets: &[Preset] = &[("test_things_total", &[("reason", "bad")]), ("test_level", &[])];
        let metrics = install(&[TABLE, crate::telemetry_names::METRICS], presets, "1.2.3", "abc").unwrap();
        let text = metrics.render();
        assert!(text.contains("test_things_total{reason=\"bad\"} 0"), "{text}");
        assert!(text.contains("# HELP test_things_total things"), "{text}");
        assert!(text.contains("test_level 0"), "{text}");
        assert!(
            text.contains("dermatel_build_info{version=\"1.2.3\",revision=\"abc\"} 1"),
            "{text}"
        );
        ::metrics::counter!("test_things_total", "reason" => "bad").increment(3);
        ::metrics::histogram!("test_wait_seconds").record(0.02);
        ::metrics::histogram!("test_delay_seconds").record(600.0);
        let text = metrics.render();
        assert!(text.contains("test_delay_seconds_bucket{le=\"300\"} 0"), "{text}");
        assert!(text.contains("test_delay_seconds_bucket{le=\"600\"} 1"), "{text}");
        assert!(text.contains("test_things_total{reason=\"bad\"} 3"), "{text}");
        assert!(text.contains("test_wait_seconds_bucket{le=\"0.025\"} 1"), "{text}");
        assert!(matches!(install(&[TABLE], &[], "", ""), Err(MetricsError::Installed)));
    }

    #[test]
    fn a_preset_that_nobody_described_and_a_bad_kind_are_refused() {
        assert!(matches!(
            check(&[TABLE], &[("nobody", &[])]),
            Err(MetricsError::Undescribed("nobody"))
        ));
        assert!(matches!(
            check(&[&[("x", "sum", "")]], &[]),
            Err(MetricsError::Kind { .. })
        ));
    }

    #[test]
    fn the_process_tells_its_memory_files_and_cpu_without_a_recorder() {
        let text = Metrics::detached().render();
        for name in [
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "process_cpu_seconds_total ",
        ] {
            assert!(text.contains(name), "{name} is missing in {text}");
        }
    }
}
