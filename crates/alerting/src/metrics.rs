//! Names of the metrics, with unit and meaning; every label is bounded. Each counter exists from the start, or nobody sees its first
//! count as an increase.
use metrics::{counter, histogram};
use spool::GapReason;
use telemetry::Priority;

use crate::deadman::Call;
use crate::intake;
use crate::notify::FailReason;
use crate::store::FirstReceipt;
use crate::upstream::Answer;

/// Label of pages whose receiver is not configured any more, and why those are not delivered.
pub(crate) const NO_RECEIVER: (&str, &str) = ("none", "no_receiver");

/// Open alerts.
pub const ALERTS: &str = "alerting_alerts";
/// Occurrences that have no alert of their own.
pub const MERGED: &str = "alerting_alerts_merged_total";
/// Steps of alerts.
pub const TRANSITIONS: &str = "alerting_transitions_total";
/// Inputs that were applied.
pub const INPUTS: &str = "alerting_inputs_total";
/// Records of the log that are no inputs.
pub const INPUTS_REJECTED: &str = "alerting_inputs_rejected_total";
/// Offsets of the log that hold no record.
pub const INPUTS_MISSING: &str = "alerting_inputs_missing_total";
/// Copies of frames.
pub const DUPLICATES: &str = "alerting_frames_duplicate_total";
/// Pages that a receiver took.
pub const SENT: &str = "alerting_notifications_sent_total";
/// How long pages took to reach somebody.
pub const DELAY: &str = "alerting_notification_delay_seconds";
/// Attempts that failed.
pub const FAILED: &str = "alerting_notifications_failed_total";
/// Pages that never will be delivered.
pub const UNDELIVERED: &str = "alerting_notifications_undelivered_total";
/// Calls of the dead-man.
pub const DEADMAN: &str = "alerting_deadman_calls_total";
/// Pages that a receiver has not taken in time.
pub const OVERDUE: &str = "alerting_notifications_overdue_total";
/// Pages that left in the built-in words.
pub const TEMPLATE_FAILED: &str = "alerting_templates_failed_total";
/// Reports to an instance upstream.
pub const REPORTED_UPSTREAM: &str = "alerting_upstream_reports_total";
/// Pages that wait.
pub const OUTBOX: &str = "alerting_outbox_pages";
/// Time to apply a batch of inputs.
pub const EVALUATE: &str = "alerting_evaluate_duration_seconds";
/// Time to commit a batch.
pub const COMMIT: &str = "alerting_commit_duration_seconds";
/// How old the newest applied record is.
pub const LAG: &str = "alerting_input_lag_seconds";
/// Transactions that failed and are tried again.
pub const COMMIT_FAILED: &str = "alerting_commits_failed_total";

/// Rows that were forgotten because their time was over.
pub const FORGOTTEN: &str = "alerting_rows_forgotten_total";
/// Frames of evidence that went at the bound.
pub const EVIDENCE_DROPPED: &str = "alerting_evidence_frames_dropped_total";

/// Every metric: name, kind, what it says with its unit.
pub const METRICS: &[(&str, &str, &str)] = &[
    (ALERTS, "gauge", "open alerts by state"),
    (
        MERGED,
        "counter",
        "occurrences told by an alert that was open already, because its device has as many as it may",
    ),
    (TRANSITIONS, "counter", "steps of alerts by rule and target state"),
    (INPUTS, "counter", "inputs applied by kind"),
    (
        INPUTS_REJECTED,
        "counter",
        "records of the log that could not be read as inputs",
    ),
    (
        INPUTS_MISSING,
        "counter",
        "offsets of the log without a record, by reason",
    ),
    (DUPLICATES, "counter", "copies of frames that changed nothing"),
    (SENT, "counter", "pages that a receiver took, by receiver"),
    (
        DELAY,
        "histogram",
        "time from when a page was decided until the first receiver had taken it, in seconds, by priority; digests and test pages apart",
    ),
    (
        FAILED,
        "counter",
        "attempts to deliver that failed, by receiver and reason",
    ),
    (
        UNDELIVERED,
        "counter",
        "pages that never will be delivered, by receiver and reason",
    ),
    (DEADMAN, "counter", "calls of the dead-man by outcome"),
    (
        OVERDUE,
        "counter",
        "pages that a receiver has not taken in time, by receiver",
    ),
    (
        TEMPLATE_FAILED,
        "counter",
        "pages that left in the built-in words because a template failed, by receiver",
    ),
    (
        REPORTED_UPSTREAM,
        "counter",
        "reports of pages and acknowledgements to an instance upstream by outcome",
    ),
    (OUTBOX, "gauge", "pages that wait in the outbox"),
    (EVALUATE, "histogram", "time to apply a batch of inputs, in seconds"),
    (COMMIT, "histogram", "time to commit a batch, in seconds"),
    (LAG, "gauge", "age of the newest applied record of the log, in seconds"),
    (COMMIT_FAILED, "counter", "transactions that failed and are tried again"),
    (
        FORGOTTEN,
        "counter",
        "rows of the file that were forgotten in time, or of the outlet at its bound, by kind",
    ),
    (
        EVIDENCE_DROPPED,
        "counter",
        "frames of evidence, oldest first, that went at evidence_max",
    ),
];

/// What alerting counts whoever is told, at 0.
pub(crate) fn at_zero() {
    for plain in [INPUTS_REJECTED, DUPLICATES, MERGED, COMMIT_FAILED, EVIDENCE_DROPPED] {
        counter!(plain).increment(0);
    }
    for kind in intake::KINDS {
        counter!(INPUTS, "kind" => kind).increment(0);
    }
    for reason in GapReason::ALL {
        counter!(INPUTS_MISSING, "reason" => reason.as_str()).increment(0);
    }
    for priority in Priority::ALL {
        // It stands there with nothing in it.
        drop(histogram!(DELAY, "priority" => priority.as_str()));
    }
    let (receiver, reason) = NO_RECEIVER;
    counter!(UNDELIVERED, "receiver" => receiver, "reason" => reason).increment(0);
}

/// A page has reached somebody.
pub(crate) fn reached(page: FirstReceipt) {
    histogram!(DELAY, "priority" => page.priority.as_str()).record(page.took.as_secs_f64());
}

/// What is counted of a receiver, at 0.
pub(crate) fn receiver_at_zero(name: &str) {
    for of_receiver in [SENT, OVERDUE, TEMPLATE_FAILED] {
        counter!(of_receiver, "receiver" => name.to_owned()).increment(0);
    }
    for reason in FailReason::ALL {
        counter!(FAILED, "receiver" => name.to_owned(), "reason" => reason.as_str()).increment(0);
        if reason.is_permanent() {
            counter!(UNDELIVERED, "receiver" => name.to_owned(), "reason" => reason.as_str()).increment(0);
        }
    }
}

/// Calls of the dead-man, at 0.
pub(crate) fn deadman_at_zero() {
    for outcome in Call::ALL {
        counter!(DEADMAN, "outcome" => outcome.as_str()).increment(0);
    }
}

/// Reports upstream, at 0.
pub(crate) fn upstream_at_zero() {
    for outcome in Answer::ALL {
        counter!(REPORTED_UPSTREAM, "outcome" => outcome.as_str()).increment(0);
    }
}
