//! Configuration of the ingestor: as read, and resolved. Every default is a named constant with its reason.

mod parked;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::config::{Problems, Secret, Setting, Validate};

pub use parked::{AtCapChoice, Parking, RawParking};

use crate::ledger::Limits;
use crate::rollup::Rollups;
use crate::store::{InfluxConfig, influx};

/// Points in one write: InfluxDB's documentation recommends 5,000 lines.
pub const DEFAULT_BATCH_POINTS: usize = 5_000;
/// Shortest wait for a batch to fill: a dashboard that refreshes each second does not see it.
pub const DEFAULT_LINGER: Duration = Duration::from_millis(100);
/// Longest wait of a tenant with little to say: one small request every two seconds, not ten a second.
pub const DEFAULT_MAX_LINGER: Duration = Duration::from_secs(2);
/// Requests under way at once: hides the latency of a store on another machine without flooding it.
pub const DEFAULT_IN_FLIGHT: usize = 4;
/// Requests of one tenant under way at once: one stuck tenant leaves room for the others.
pub const DEFAULT_IN_FLIGHT_PER_TENANT: usize = 2;
/// Records in memory that the store has not confirmed: eight full batches.
pub const DEFAULT_HELD_RECORDS: usize = 40_000;
/// Their memory in bytes, about.
pub const DEFAULT_HELD_BYTES: usize = 32 * 1024 * 1024;
/// Longest wait for a connection.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for an answer: InfluxDB's own write timeout is 10 s.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest wait between two tries while the store is in trouble.
pub const DEFAULT_RETRY_CAP: Duration = Duration::from_secs(10);
/// Wait between two tries while the store refuses everything: a person has to act, and the log is not flooded.
pub const DEFAULT_FATAL_RETRY: Duration = Duration::from_secs(30);
/// How long a stop waits for writes under way; what is not confirmed by then is written again after the start.
pub const DEFAULT_DRAIN: Duration = Duration::from_secs(10);
/// How often is looked which roll-ups are due.
pub const ROLLUP_EVERY: Duration = Duration::from_secs(1);
/// How often summaries of touched sessions are written.
pub const DEFAULT_SUMMARY_EVERY: Duration = Duration::from_secs(5);
/// A session of which nothing was heard for so long counts as over: pens sleep after ten minutes at the most.
pub const DEFAULT_QUIET_AFTER: Duration = Duration::from_secs(30 * 60);
/// Sessions stay in the ledger so long: the longest outage of a clinic's WAN that summaries should survive.
pub const DEFAULT_SESSION_RETENTION: Duration = Duration::from_secs(31 * 86_400);
/// Sessions in the ledger, about 400 bytes each.
pub const DEFAULT_MAX_SESSIONS: usize = 500_000;
/// Markers of sessions that left, about 100 bytes each.
pub const DEFAULT_MAX_MARKERS: usize = 2_000_000;
/// Entries in quarantine.
pub const DEFAULT_MAX_QUARANTINED: usize = 100_000;
/// Bytes in quarantine.
pub const DEFAULT_MAX_QUARANTINED_BYTES: u64 = 256 * 1024 * 1024;
/// Bucket of a tenant.
pub const DEFAULT_BUCKET: &str = "dermatel-{tenant}";
/// Bucket of a tenant's roll-ups.
pub const DEFAULT_ROLLUP_BUCKET: &str = "dermatel-{tenant}-rollup";
/// A minute is rolled up when it was quiet for so long: longer than a device keeps a batch back, so that a treatment under
/// way is rolled up once a minute and not again and again.
pub const DEFAULT_ROLLUP_AFTER: Duration = Duration::from_secs(15);
/// Periods that wait to be rolled up, about 150 bytes each: those of a thousand devices for three hours of backlog.
pub const DEFAULT_MAX_TOUCHED: usize = 200_000;

/// As it stands in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawConfig {
    /// Directory of the ledger and the embedded store.
    pub dir: PathBuf,
    /// Points are kept so long; absent: for ever (InfluxDB: as the bucket says).
    #[serde(with = "service::config::duration::option")]
    pub retention: Option<Duration>,
    /// Roll-ups are kept so long; absent: for ever (InfluxDB: as their bucket says).
    #[serde(with = "service::config::duration::option")]
    pub rollup_retention: Option<Duration>,
    /// Whether minutes and hours are rolled up.
    pub rollups: bool,
    /// A minute is rolled up when it was quiet for so long.
    #[serde(with = "service::config::duration")]
    pub rollup_after: Duration,
    /// InfluxDB; absent: the embedded store.
    pub influx: Option<RawInflux>,
    /// Points in one write.
    pub batch_points: usize,
    /// Shortest wait for a batch to fill.
    #[serde(with = "service::config::duration")]
    pub linger: Duration,
    /// Longest wait for a batch to fill.
    #[serde(with = "service::config::duration")]
    pub max_linger: Duration,
    /// Requests under way at once.
    pub in_flight: usize,
    /// Records in memory that the store has not confirmed.
    pub held_records: usize,
    /// Longest wait between two tries.
    #[serde(with = "service::config::duration")]
    pub retry_cap: Duration,
    /// Wait between two tries while the store refuses everything.
    #[serde(with = "service::config::duration")]
    pub fatal_retry: Duration,
    /// How long a stop goes on with what is in the log, and waits for writes under way.
    #[serde(with = "service::config::duration")]
    pub drain: Duration,
    /// How often summaries are written.
    #[serde(with = "service::config::duration")]
    pub summary_every: Duration,
    /// A session that was silent for so long counts as over.
    #[serde(with = "service::config::duration")]
    pub quiet_after: Duration,
    /// Sessions stay in the ledger so long.
    #[serde(with = "service::config::duration")]
    pub session_retention: Duration,
    /// Sessions in the ledger.
    pub max_sessions: usize,
    /// Tenants whose writes do not go through.
    pub parked: RawParking,
}

/// InfluxDB as it stands in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawInflux {
    /// `http://host:port`.
    pub url: String,
    /// Organization.
    pub org: String,
    /// Token.
    #[serde(default)]
    pub token: Secret,
    /// Bucket of a tenant, with `{tenant}` in it.
    #[serde(default = "default_bucket")]
    pub bucket: String,
    /// Bucket of a tenant's roll-ups, with `{tenant}` in it.
    #[serde(default = "default_rollup_bucket")]
    pub rollup_bucket: String,
    /// More root certificates, a PEM file.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

fn default_bucket() -> String {
    DEFAULT_BUCKET.to_owned()
}

fn default_rollup_bucket() -> String {
    DEFAULT_ROLLUP_BUCKET.to_owned()
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("ingestor"),
            retention: None,
            rollup_retention: None,
            rollups: true,
            rollup_after: DEFAULT_ROLLUP_AFTER,
            influx: None,
            batch_points: DEFAULT_BATCH_POINTS,
            linger: DEFAULT_LINGER,
            max_linger: DEFAULT_MAX_LINGER,
            in_flight: DEFAULT_IN_FLIGHT,
            held_records: DEFAULT_HELD_RECORDS,
            retry_cap: DEFAULT_RETRY_CAP,
            fatal_retry: DEFAULT_FATAL_RETRY,
            drain: DEFAULT_DRAIN,
            summary_every: DEFAULT_SUMMARY_EVERY,
            quiet_after: DEFAULT_QUIET_AFTER,
            session_retention: DEFAULT_SESSION_RETENTION,
            max_sessions: DEFAULT_MAX_SESSIONS,
            parked: RawParking::default(),
        }
    }
}

impl Validate for RawConfig {
    fn validate(&self, at: &mut Problems) {
        at.check(
            "batch_points",
            (1..=50_000).contains(&self.batch_points),
            "allowed are 1 to 50000",
        );
        at.check("in_flight", (1..=64).contains(&self.in_flight), "allowed are 1 to 64");
        at.check(
            "held_records",
            self.held_records >= self.batch_points,
            "it is less than batch_points",
        );
        at.check("max_linger", self.max_linger >= self.linger, "it is less than linger");
        at.check("max_sessions", self.max_sessions >= 1_000, "it is less than 1000");
        at.check(
            "quiet_after",
            self.quiet_after >= Duration::from_secs(60),
            "it is less than 1m",
        );
        at.check(
            "rollup_after",
            self.rollup_after >= Duration::from_secs(1),
            "it is less than 1s",
        );
        at.check(
            "rollup_retention",
            self.rollup_retention
                .is_none_or(|rollups| self.retention.is_some_and(|points| rollups >= points)),
            "roll-ups are to be kept for a shorter time than the points that they are made of",
        );
        at.section("parked", |at| self.parked.validate(at));
        if let Some(influx) = &self.influx {
            for (name, bucket) in [
                ("influx.bucket", &influx.bucket),
                ("influx.rollup_bucket", &influx.rollup_bucket),
            ] {
                let place = bucket.contains(influx::TENANT_PLACE);
                at.check(
                    name,
                    place,
                    "it has no {tenant} in it: each tenant needs a bucket of its own",
                );
            }
        }
    }
}

/// Resolved.
#[derive(Debug, Clone)]
pub struct Config {
    /// Directory of the ledger and the embedded store.
    pub dir: PathBuf,
    /// Points are kept so long.
    pub retention: Option<Duration>,
    /// What is rolled up, and when.
    pub rollups: Rollups,
    /// InfluxDB; `None`: the embedded store.
    pub influx: Option<InfluxConfig>,
    /// Bounds of the ledger.
    pub ledger: Limits,
    /// How the pipeline flows.
    pub flow: Flow,
}

/// How the pipeline flows: batches, waits and bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Points in one write.
    pub batch_points: usize,
    /// Shortest wait for a batch to fill.
    pub linger: Duration,
    /// Longest wait for a batch to fill.
    pub max_linger: Duration,
    /// Requests under way at once.
    pub in_flight: usize,
    /// Requests of one tenant under way at once.
    pub in_flight_per_tenant: usize,
    /// Records in memory that the store has not confirmed.
    pub held_records: usize,
    /// Their memory in bytes, about.
    pub held_bytes: usize,
    /// Longest wait between two tries.
    pub retry_cap: Duration,
    /// Wait between two tries while the store refuses everything.
    pub fatal_retry: Duration,
    /// How long a stop goes on with what is in the log, and waits for writes under way.
    pub drain: Duration,
    /// How often summaries are written.
    pub summary_every: Duration,
    /// How often is looked which roll-ups are due.
    pub rollup_every: Duration,
    /// When a tenant gets a log of its own.
    pub parking: Parking,
}

impl RawConfig {
    /// Resolves it; reads the certificate file, if one is named.
    ///
    /// # Errors
    /// The certificate file cannot be read.
    pub fn resolve(&self) -> std::io::Result<Config> {
        let influx = self.influx.as_ref().map(RawInflux::resolve).transpose()?;
        Ok(Config {
            dir: self.dir.clone(),
            retention: self.retention,
            rollups: Rollups {
                on: self.rollups,
                after: self.rollup_after,
                max_touched: DEFAULT_MAX_TOUCHED,
                points_kept: self.retention,
                kept: self.rollup_retention,
            },
            influx,
            ledger: Limits {
                quiet_after: self.quiet_after,
                retention: self.session_retention,
                max_sessions: self.max_sessions,
                max_markers: DEFAULT_MAX_MARKERS,
                max_quarantined: DEFAULT_MAX_QUARANTINED,
                max_quarantined_bytes: DEFAULT_MAX_QUARANTINED_BYTES,
            },
            flow: Flow {
                batch_points: self.batch_points,
                linger: self.linger,
                max_linger: self.max_linger,
                in_flight: self.in_flight,
                in_flight_per_tenant: DEFAULT_IN_FLIGHT_PER_TENANT.min(self.in_flight),
                held_records: self.held_records,
                held_bytes: DEFAULT_HELD_BYTES,
                retry_cap: self.retry_cap,
                fatal_retry: self.fatal_retry,
                drain: self.drain,
                summary_every: self.summary_every,
                rollup_every: ROLLUP_EVERY,
                parking: self.parked.resolve(self.held_records),
            },
        })
    }
}

impl RawInflux {
    fn resolve(&self) -> std::io::Result<InfluxConfig> {
        Ok(InfluxConfig {
            url: self.url.clone(),
            org: self.org.clone(),
            token: self.token.clone(),
            bucket: self.bucket.clone(),
            rollup_bucket: self.rollup_bucket.clone(),
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            timeout: DEFAULT_TIMEOUT,
            ca: self.ca.as_ref().map(std::fs::read).transpose()?,
        })
    }
}

/// Every setting of the section, for the commented default file; paths are relative to the section.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "dir",
        "\"ingestor\"",
        "Folder of the session ledger and of the embedded store, below the data folder.",
    ),
    Setting::new(
        "retention",
        "# \"90d\"",
        "Points are kept so long; not set: for ever (InfluxDB: as the bucket says).",
    ),
    Setting::new(
        "rollup_retention",
        "# \"1825d\"",
        "Roll-ups are kept so long; not set: for ever (InfluxDB: as their bucket says).",
    ),
    Setting::new(
        "rollups",
        "true",
        "Whether minutes and hours are rolled up; false for a store that cannot be asked in InfluxQL.",
    ),
    Setting::new(
        "rollup_after",
        "\"15s\"",
        "A minute is rolled up when it was quiet for so long.",
    ),
    Setting::new(
        "influx",
        "# { url = \"http://127.0.0.1:8086\", org = \"clinics\", token = { file = \"token\" }, bucket = \"dermatel-{tenant}\", rollup_bucket = \"dermatel-{tenant}-rollup\" }",
        "InfluxDB 2; not set: the embedded store (SQLite). `dermatel influx setup` makes buckets and token.",
    ),
    Setting::new("batch_points", "5000", "Points in one write."),
    Setting::new("linger", "\"100ms\"", "Shortest wait for a batch to fill."),
    Setting::new("max_linger", "\"2s\"", "Longest wait, of a tenant with little to say."),
    Setting::new("in_flight", "4", "Writes under way at once."),
    Setting::new(
        "held_records",
        "40000",
        "Records in memory that the store has not confirmed; then reading waits.",
    ),
    Setting::new("retry_cap", "\"10s\"", "Longest wait between two tries."),
    Setting::new(
        "fatal_retry",
        "\"30s\"",
        "Wait between two tries while the store refuses everything (401, 403, 404).",
    ),
    Setting::new(
        "drain",
        "\"10s\"",
        "Time at shutdown to store what is in the log and to finish writes under way.",
    ),
    Setting::new(
        "summary_every",
        "\"5s\"",
        "How often summaries of touched sessions are written.",
    ),
    Setting::new(
        "quiet_after",
        "\"30m\"",
        "A session that was silent for so long counts as over.",
    ),
    Setting::new("session_retention", "\"31d\"", "Sessions stay in the ledger so long."),
    Setting::new(
        "max_sessions",
        "500000",
        "Sessions in the ledger; beyond, the oldest closed ones leave.",
    ),
    parked::AFTER,
    parked::RECORDS,
    parked::LANES,
    parked::CAP,
    parked::AT_CAP,
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_default_file_is_the_truth() {
        service::config::check_settings::<RawConfig>(SETTINGS).unwrap();
    }
}
