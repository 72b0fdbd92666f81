//! Every metric of this crate: name, kind, and what it counts with its unit.

/// Points confirmed, by measurement.
pub const POINTS_WRITTEN: &str = "ingestor_points_written_total";
/// Points that will not be stored, by reason.
pub const POINTS_DROPPED: &str = "ingestor_points_dropped_total";
/// Points older than the store keeps.
pub const POINTS_EXPIRED: &str = "ingestor_points_expired_total";
/// Time of a write.
pub const WRITE_DURATION: &str = "ingestor_write_duration_seconds";
/// Writes that did not go through, by reason.
pub const WRITES_FAILED: &str = "ingestor_writes_failed_total";
/// Durable records before the cursor.
pub const BACKLOG_RECORDS: &str = "ingestor_backlog_records";
/// Records taken in and not confirmed.
pub const RECORDS_HELD: &str = "ingestor_records_held";
/// Records that did not decode, by reason.
pub const FRAMES_QUARANTINED: &str = "ingestor_frames_quarantined_total";
/// Quarantine entries dropped at the bound.
pub const QUARANTINE_DROPPED: &str = "ingestor_quarantine_dropped_total";
/// Records that the spool lost, by reason.
pub const RECORDS_LOST: &str = "ingestor_records_lost_total";
/// Sessions that are not over.
pub const SESSIONS_OPEN: &str = "ingestor_sessions_open";
/// Sessions that left the ledger, by reason.
pub const SESSIONS_FORGOTTEN: &str = "ingestor_sessions_forgotten_total";
/// News of sessions that had left the ledger.
pub const SESSIONS_TOO_LATE: &str = "ingestor_sessions_too_late_total";
/// Tenants whose writes do not go through.
pub const TENANTS_STUCK: &str = "ingestor_tenants_stuck";
/// Roll-up periods that wait to be computed.
pub const ROLLUPS_WAITING: &str = "ingestor_rollups_waiting";
/// Roll-up periods that will not be computed, by reason.
pub const ROLLUPS_SKIPPED: &str = "ingestor_rollups_skipped_total";
/// Tries to read points back that failed, by reason.
pub const ROLLUP_READS_FAILED: &str = "ingestor_rollup_reads_failed_total";
/// See [`METRICS`].
pub const ROLLUPS_UNSUPPORTED: &str = "ingestor_rollups_unsupported";
/// How far the clock of InfluxDB is ahead.
pub const STORE_CLOCK_AHEAD: &str = "ingestor_store_clock_ahead_seconds";
/// Rows removed beyond retention.
pub const ROWS_REMOVED: &str = "ingestor_rows_removed_total";

/// All of them, for `service::metrics`.
pub const METRICS: &[(&str, &str, &str)] = &[
    (
        POINTS_WRITTEN,
        "counter",
        "points whose write the store confirmed, by measurement",
    ),
    (
        POINTS_DROPPED,
        "counter",
        "points that the store refused for good, by reason; they are in quarantine",
    ),
    (POINTS_EXPIRED, "counter", "points that were older than the store keeps"),
    (
        WRITE_DURATION,
        "histogram",
        "time of one write to the store, in seconds",
    ),
    (WRITES_FAILED, "counter", "writes that did not go through, by reason"),
    (
        BACKLOG_RECORDS,
        "gauge",
        "durable records of the spool before the ingestor's cursor",
    ),
    (
        RECORDS_HELD,
        "gauge",
        "records in memory that the store has not confirmed",
    ),
    (
        FRAMES_QUARANTINED,
        "counter",
        "records of the spool that did not decode, by reason; they are in quarantine",
    ),
    (
        QUARANTINE_DROPPED,
        "counter",
        "quarantine entries dropped because it was full, oldest first",
    ),
    (
        RECORDS_LOST,
        "counter",
        "records that the spool lost before they were read, by reason",
    ),
    (SESSIONS_OPEN, "gauge", "sessions in the ledger that are not over"),
    (
        SESSIONS_FORGOTTEN,
        "counter",
        "sessions that left the ledger, by reason (age, excess)",
    ),
    (
        SESSIONS_TOO_LATE,
        "counter",
        "sightings and readings of sessions that had left the ledger",
    ),
    (
        TENANTS_STUCK,
        "gauge",
        "tenants (or the one store) whose writes do not go through",
    ),
    (
        ROLLUPS_WAITING,
        "gauge",
        "minutes and hours of devices that wait to be rolled up",
    ),
    (
        ROLLUPS_SKIPPED,
        "counter",
        "minutes and hours with news that are not rolled up, by reason (excess, expired, empty)",
    ),
    (
        ROLLUP_READS_FAILED,
        "counter",
        "tries to read points back for roll-ups that failed, by reason",
    ),
    (
        ROLLUPS_UNSUPPORTED,
        "gauge",
        "1 if nothing is rolled up since the start because the store cannot be asked in InfluxQL, else 0",
    ),
    (
        STORE_CLOCK_AHEAD,
        "gauge",
        "how far the clock of InfluxDB is ahead of ours by its last answer to a question, in seconds",
    ),
    (
        ROWS_REMOVED,
        "counter",
        "rows removed from the embedded store beyond retention",
    ),
];

/// Adds to a counter with a bounded reason.
pub(crate) fn counter_reason(name: &'static str, reason: &'static str, by: u64) {
    metrics::counter!(name, "reason" => reason).increment(by);
}
