//! The gateway's metrics: names in one place, handles looked up once and not per message. The endpoint has its own table.
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use telemetry::{Origin, RejectReason};

use crate::quarantine::ORIGINS;

/// Messages on disk, by `origin`.
pub const DELIVERIES_ADMITTED: &str = "gateway_deliveries_admitted_total";
/// Messages put in quarantine, by `reason`.
pub const DELIVERIES_REJECTED: &str = "gateway_deliveries_rejected_total";
/// Copies of frames that were on disk already.
pub const DELIVERIES_DUPLICATE: &str = "gateway_deliveries_duplicate_total";
/// Messages that were not kept, by `reason`: the sender keeps them.
pub const DELIVERIES_REFUSED: &str = "gateway_deliveries_refused_total";
/// Wills not recorded because this process ended the connection itself.
pub const WILLS_IGNORED: &str = "gateway_wills_ignored_total";
/// Frames whose sequence number another payload had used.
pub const SEQUENCE_REUSED: &str = "gateway_sequence_reused_total";
/// Frames whose sequence number was seen too long ago to compare.
pub const MAYBE_SEEN_BEFORE: &str = "gateway_maybe_seen_before_total";
/// Anchors taken from the arrival because the device's clock was out of bounds.
pub const ANCHOR_SKEWED: &str = "gateway_anchor_skewed_total";
/// Fields of payloads that this version does not know.
pub const UNKNOWN_FIELDS: &str = "gateway_unknown_fields_total";
/// Enum values of payloads that this version does not know.
pub const UNKNOWN_ENUM_VALUES: &str = "gateway_unknown_enum_values_total";
/// Messages of one commit.
pub const COMMIT_BATCH_MESSAGES: &str = "gateway_commit_batch_messages";
/// Time of one commit, from the last message taken to the answers.
pub const COMMIT_DURATION: &str = "gateway_commit_duration_seconds";
/// Commits that a log did not take, by `log` and `reason`.
pub const COMMITS_FAILED: &str = "gateway_commits_failed_total";
/// Devices that were told how far the far end has everything, by `outcome`.
pub const ACK_UP_TO: &str = "gateway_ack_up_to_total";
/// Devices that asked and could not be remembered.
pub const ACK_UP_TO_FORGOTTEN: &str = "gateway_ack_up_to_forgotten_total";
/// Watermarks written.
pub const WATERMARKS: &str = "gateway_watermarks_written_total";
/// Devices in the ledger.
pub const LEDGER_DEVICES: &str = "gateway_ledger_devices";
/// Size of the last ledger snapshot.
pub const LEDGER_SNAPSHOT_BYTES: &str = "gateway_ledger_snapshot_bytes";
/// Snapshots that could not be written.
pub const LEDGER_SNAPSHOTS_FAILED: &str = "gateway_ledger_snapshots_failed_total";
/// What the ledger forgot at a bound, by `what`.
pub const LEDGER_FORGOTTEN: &str = "gateway_ledger_forgotten_total";
/// Messages in quarantine.
pub const QUARANTINE_MESSAGES: &str = "gateway_quarantine_messages";
/// Bytes in quarantine.
pub const QUARANTINE_BYTES: &str = "gateway_quarantine_bytes";
/// Messages evicted from quarantine at a bound.
pub const QUARANTINE_EVICTED: &str = "gateway_quarantine_evicted_total";
/// Refused messages of devices that alerting was not told of, because there were too many devices.
pub const REFUSED_UNTOLD: &str = "gateway_refused_untold_total";
/// Messages replayed from quarantine, by `result`.
pub const QUARANTINE_REPLAYED: &str = "gateway_quarantine_replayed_total";
/// Messages taken and not committed yet.
pub const INTAKE_WAITING: &str = "gateway_intake_waiting_messages";
/// Connections refused because their credentials do not prove a device, by `reason`.
pub const AUTHENTICATIONS_REFUSED: &str = "gateway_authentications_refused_total";
/// Deliveries of the broker that had to be committed again.
pub const BROKER_RETRIES: &str = "gateway_broker_retries_total";

/// Name, kind and meaning of each; [`crate::endpoint::metrics::METRICS`] has the endpoint's.
pub const METRICS: &[(&str, &str, &str)] = &[
    (DELIVERIES_ADMITTED, "counter", "messages on disk, by origin"),
    (DELIVERIES_REJECTED, "counter", "messages put in quarantine, by reason"),
    (
        DELIVERIES_DUPLICATE,
        "counter",
        "copies of frames that were on disk already",
    ),
    (
        DELIVERIES_REFUSED,
        "counter",
        "messages not kept, which the sender keeps, by reason",
    ),
    (
        WILLS_IGNORED,
        "counter",
        "wills not recorded because this process ended the connection itself",
    ),
    (
        SEQUENCE_REUSED,
        "counter",
        "frames whose sequence number another payload had used",
    ),
    (
        MAYBE_SEEN_BEFORE,
        "counter",
        "frames whose sequence number was seen too long ago to compare",
    ),
    (
        ANCHOR_SKEWED,
        "counter",
        "anchors taken from the arrival because the device's clock was out of bounds",
    ),
    (
        UNKNOWN_FIELDS,
        "counter",
        "fields of payloads that this version does not know",
    ),
    (
        UNKNOWN_ENUM_VALUES,
        "counter",
        "enum values of payloads that this version does not know",
    ),
    (COMMIT_BATCH_MESSAGES, "histogram", "messages of one commit"),
    (COMMIT_DURATION, "histogram", "time of one commit, in seconds"),
    (
        COMMITS_FAILED,
        "counter",
        "commits that a log did not take, by log and reason",
    ),
    (
        ACK_UP_TO,
        "counter",
        "devices that were told how far the far end has everything, by outcome",
    ),
    (
        ACK_UP_TO_FORGOTTEN,
        "counter",
        "devices that asked how far the far end has everything and could not be remembered",
    ),
    (WATERMARKS, "counter", "watermarks written"),
    (LEDGER_DEVICES, "gauge", "devices in the ledger"),
    (
        LEDGER_SNAPSHOT_BYTES,
        "gauge",
        "size of the last ledger snapshot, in bytes",
    ),
    (
        LEDGER_SNAPSHOTS_FAILED,
        "counter",
        "ledger snapshots that could not be written",
    ),
    (
        LEDGER_FORGOTTEN,
        "counter",
        "what the ledger forgot at a bound, by what",
    ),
    (QUARANTINE_MESSAGES, "gauge", "messages in quarantine"),
    (QUARANTINE_BYTES, "gauge", "quarantine, in bytes"),
    (
        QUARANTINE_EVICTED,
        "counter",
        "messages evicted from quarantine at a bound",
    ),
    (
        REFUSED_UNTOLD,
        "counter",
        "refused messages that alerting was not told of, because there were too many devices",
    ),
    (
        QUARANTINE_REPLAYED,
        "counter",
        "messages replayed from quarantine, by result",
    ),
    (INTAKE_WAITING, "gauge", "messages taken and not committed yet"),
    (
        AUTHENTICATIONS_REFUSED,
        "counter",
        "connections whose credentials do not prove a device, by reason",
    ),
    (
        BROKER_RETRIES,
        "counter",
        "deliveries of the broker that had to be committed again",
    ),
];

/// Which log a commit failed on.
pub(crate) const LOGS: [&str; 2] = ["store", "alarm"];

/// Handles, taken once when the gateway is built: install the recorder before that.
pub(crate) struct Metrics {
    admitted: Vec<(Origin, Counter)>,
    rejected: Vec<(RejectReason, Counter)>,
    pub(crate) duplicate: Counter,
    pub(crate) quota_exceeded: Counter,
    pub(crate) busy: Counter,
    pub(crate) reused: Counter,
    pub(crate) maybe_seen: Counter,
    pub(crate) skewed: Counter,
    pub(crate) unknown_fields: Counter,
    pub(crate) unknown_enum_values: Counter,
    pub(crate) batch: Histogram,
    pub(crate) duration: Histogram,
    pub(crate) watermarks: Counter,
    pub(crate) devices: Gauge,
    pub(crate) snapshot_bytes: Gauge,
    pub(crate) forgotten_boots: Counter,
    pub(crate) forgotten_holes: Counter,
    pub(crate) forgotten_anchors: Counter,
    pub(crate) quarantined: Gauge,
    pub(crate) quarantine_bytes: Gauge,
    pub(crate) evicted: Counter,
    pub(crate) refused_untold: Counter,
    pub(crate) waiting: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        for log in LOGS {
            for reason in ["at_cap", "disk_full", "suspect", "record_too_large", "batch_too_large"] {
                counter!(COMMITS_FAILED, "log" => log, "reason" => reason).increment(0);
            }
        }
        for reason in registry::AuthReason::ALL {
            counter!(AUTHENTICATIONS_REFUSED, "reason" => reason.as_str()).increment(0);
        }
        counter!(WILLS_IGNORED).increment(0);
        counter!(LEDGER_SNAPSHOTS_FAILED).increment(0);
        let refused = |reason: &'static str| counter!(DELIVERIES_REFUSED, "reason" => reason);
        let forgotten = |what: &'static str| counter!(LEDGER_FORGOTTEN, "what" => what);
        Self {
            admitted: ORIGINS
                .iter()
                .map(|(origin, label)| (*origin, counter!(DELIVERIES_ADMITTED, "origin" => *label)))
                .collect(),
            rejected: RejectReason::ALL
                .iter()
                .map(|reason| (*reason, counter!(DELIVERIES_REJECTED, "reason" => reason.as_str())))
                .collect(),
            duplicate: counter!(DELIVERIES_DUPLICATE),
            quota_exceeded: refused("quota_exceeded"),
            busy: refused("busy"),
            reused: counter!(SEQUENCE_REUSED),
            maybe_seen: counter!(MAYBE_SEEN_BEFORE),
            skewed: counter!(ANCHOR_SKEWED),
            unknown_fields: counter!(UNKNOWN_FIELDS),
            unknown_enum_values: counter!(UNKNOWN_ENUM_VALUES),
            batch: histogram!(COMMIT_BATCH_MESSAGES),
            duration: histogram!(COMMIT_DURATION),
            watermarks: counter!(WATERMARKS),
            devices: gauge!(LEDGER_DEVICES),
            snapshot_bytes: gauge!(LEDGER_SNAPSHOT_BYTES),
            forgotten_boots: forgotten("boots"),
            forgotten_holes: forgotten("holes"),
            forgotten_anchors: forgotten("anchors"),
            quarantined: gauge!(QUARANTINE_MESSAGES),
            quarantine_bytes: gauge!(QUARANTINE_BYTES),
            evicted: counter!(QUARANTINE_EVICTED),
            refused_untold: counter!(REFUSED_UNTOLD),
            waiting: gauge!(INTAKE_WAITING),
        }
    }

    pub(crate) fn admitted(&self, origin: Origin) {
        if let Some((_, counter)) = self.admitted.iter().find(|(o, _)| *o == origin) {
            counter.increment(1);
        }
    }

    pub(crate) fn rejected(&self, reason: RejectReason) {
        match self.rejected.iter().find(|(r, _)| *r == reason) {
            Some((_, counter)) => counter.increment(1),
            None => counter!(DELIVERIES_REJECTED, "reason" => reason.as_str()).increment(1),
        }
    }

    pub(crate) fn failed(log: &'static str, reason: &'static str) {
        counter!(COMMITS_FAILED, "log" => log, "reason" => reason).increment(1);
    }

    pub(crate) fn replayed(result: &'static str, count: u64) {
        counter!(QUARANTINE_REPLAYED, "result" => result).increment(count);
    }

    pub(crate) fn not_authenticated(reason: &'static str) {
        counter!(AUTHENTICATIONS_REFUSED, "reason" => reason).increment(1);
    }
}
