//! Every metric of this crate: name, kind, and what it counts with its unit; each counter exists from the start, or nobody sees its
//! first count as an increase.
use spool::GapReason;

use crate::schema::MEASUREMENTS;
use crate::store::Reason;

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
/// Tenants that have a log of their own.
pub const LANES_PARKED: &str = "ingestor_lanes_parked";
/// Frames in such logs.
pub const PARKED_RECORDS: &str = "ingestor_parked_records";
/// Their bytes.
pub const PARKED_BYTES: &str = "ingestor_parked_bytes";
/// Frames that went to such logs.
pub const PARKED: &str = "ingestor_records_parked_total";
/// Frames that such a log shed at its cap.
pub const PARKED_SHED: &str = "ingestor_parked_shed_records_total";
/// See [`METRICS`].
pub const PARKING_WAITS: &str = "ingestor_parking_waits";
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
        "tenants (or the one store) whose writes do not go through and that are not parked",
    ),
    (
        LANES_PARKED,
        "gauge",
        "tenants whose frames go to a log of their own because the store does not take their points",
    ),
    (
        PARKED_RECORDS,
        "gauge",
        "frames in the logs of parked tenants that are not stored yet",
    ),
    (
        PARKED_BYTES,
        "gauge",
        "bytes of frames in the logs of parked tenants that are not stored yet",
    ),
    (
        PARKED,
        "counter",
        "frames that went to the log of a parked tenant; after a crash some of them twice",
    ),
    (
        PARKED_SHED,
        "counter",
        "frames of parked tenants that were dropped at the cap of their log, oldest first",
    ),
    (
        PARKING_WAITS,
        "gauge",
        "1 while all wait for a tenant that cannot be parked (any further): its log is at the cap, cannot be written, or too many have one; else 0",
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
        "how far the store's clock is ahead of ours at the least by its last answer, in seconds; 0 of the embedded store",
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

/// What an ingestor counts, at 0, and how many tenants are stuck or parked.
pub(crate) fn at_zero() {
    for plain in [
        POINTS_EXPIRED,
        QUARANTINE_DROPPED,
        SESSIONS_TOO_LATE,
        ROWS_REMOVED,
        PARKED,
        PARKED_SHED,
    ] {
        metrics::counter!(plain).increment(0);
    }
    for measurement in MEASUREMENTS {
        metrics::counter!(POINTS_WRITTEN, "measurement" => measurement.name).increment(0);
    }
    for reason in Reason::ALL {
        for name in [POINTS_DROPPED, WRITES_FAILED, ROLLUP_READS_FAILED] {
            counter_reason(name, reason.as_str(), 0);
        }
    }
    for gauge in [TENANTS_STUCK, LANES_PARKED, PARKED_RECORDS, PARKED_BYTES, PARKING_WAITS] {
        metrics::gauge!(gauge).set(0.0);
    }
    for reason in GapReason::ALL {
        counter_reason(RECORDS_LOST, reason.as_str(), 0);
    }
}
