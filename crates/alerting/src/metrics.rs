//! Names of the metrics, with unit and meaning; every label is bounded.

/// Open alerts.
pub const ALERTS: &str = "alerting_alerts";
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
