//! Names of the metrics, with kind and meaning; each counter exists from the start, or nobody sees its first count as an increase.
use metrics::counter;

use crate::batch::Reason;

/// Batches that the broker acknowledged.
pub const FORWARDED_BATCHES: &str = "uplink_batches_forwarded_total";
/// Messages in them.
pub const FORWARDED_MESSAGES: &str = "uplink_messages_forwarded_total";
/// Bytes before packing.
pub const FORWARDED_BYTES: &str = "uplink_forwarded_bytes_total";
/// Bytes on the wire.
pub const FORWARDED_PACKED_BYTES: &str = "uplink_forwarded_packed_bytes_total";
/// Records of the log that were not sent, by reason.
pub const NOT_FORWARDED: &str = "uplink_records_not_forwarded_total";
/// 1 while nothing is sent because a shard has no reader.
pub const HELD_BACK: &str = "uplink_held_back";
/// Batches that do not follow what the reader holds.
pub const BATCHES_AHEAD: &str = "uplink_batches_ahead_total";
/// Times that the forwarder went back, by why.
pub const WENT_BACK: &str = "uplink_went_back_total";
/// Times that the forwarder began again at its cursor.
pub const RESTARTED: &str = "uplink_forwarder_restarts_total";
/// Batches that a reader has on disk.
pub const RECEIVED_BATCHES: &str = "uplink_batches_received_total";
/// Messages in them.
pub const RECEIVED_MESSAGES: &str = "uplink_messages_received_total";
/// Batches that came again and were passed over.
pub const REPEATED_BATCHES: &str = "uplink_batches_repeated_total";
/// Batches that were not taken, by reason.
pub const REFUSED_BATCHES: &str = "uplink_batches_refused_total";
/// Refused batches that were taken after all.
pub const REPLAYED_BATCHES: &str = "uplink_batches_replayed_total";
/// Appends to the reader's log that failed and were tried again.
pub const RECEIVE_RETRIES: &str = "uplink_receive_retries_total";
/// 1 while this instance may page.
pub const FENCE_HELD: &str = "uplink_fence_held";
/// The highest epoch of the fence.
pub const FENCE_EPOCH: &str = "uplink_fence_epoch";
/// Times that this instance claimed the fence.
pub const FENCE_CLAIMS: &str = "uplink_fence_claims_total";
/// Commands to devices, by what became of them.
pub const DOWNLINK_COMMANDS: &str = "uplink_downlink_commands_total";

/// Name, kind, what.
pub const METRICS: &[(&str, &str, &str)] = &[
    (FORWARDED_BATCHES, "counter", "batches that the broker acknowledged"),
    (
        FORWARDED_MESSAGES,
        "counter",
        "messages in batches that the broker acknowledged",
    ),
    (FORWARDED_BYTES, "counter", "bytes of forwarded batches before packing"),
    (
        FORWARDED_PACKED_BYTES,
        "counter",
        "bytes of forwarded batches as published",
    ),
    (
        NOT_FORWARDED,
        "counter",
        "records of the gateway's log that could not be sent, by reason: lost, unreadable",
    ),
    (
        HELD_BACK,
        "gauge",
        "1 while nothing is forwarded because a shard has no reader at the broker",
    ),
    (
        RESTARTED,
        "counter",
        "times that a connection to the broker broke and what it had not acknowledged was sent again",
    ),
    (
        WENT_BACK,
        "counter",
        "times that a reader lacked what was sent and the forwarder sent again from what it holds, by why: lacking, silence",
    ),
    (
        BATCHES_AHEAD,
        "counter",
        "batches that were passed over because something before them is missing; they come again",
    ),
    (RECEIVED_BATCHES, "counter", "batches that are on the reader's disk"),
    (
        RECEIVED_MESSAGES,
        "counter",
        "messages in batches that are on the reader's disk",
    ),
    (
        REPEATED_BATCHES,
        "counter",
        "batches that came again and were passed over",
    ),
    (
        REFUSED_BATCHES,
        "counter",
        "batches that were kept aside instead of taken, by reason",
    ),
    (
        REPLAYED_BATCHES,
        "counter",
        "refused batches that were taken when somebody replayed them",
    ),
    (
        RECEIVE_RETRIES,
        "counter",
        "times that the reader's log did not take a batch and was tried again",
    ),
    (
        FENCE_HELD,
        "gauge",
        "1 while this instance of a group pages, 0 while it stands by",
    ),
    (
        FENCE_EPOCH,
        "gauge",
        "highest epoch of the group's fence that was heard of: it grows with each claim",
    ),
    (
        FENCE_CLAIMS,
        "counter",
        "times that this instance claimed to page for its group",
    ),
    (
        DOWNLINK_COMMANDS,
        "counter",
        "commands for devices that came down, by outcome",
    ),
];

/// What a forwarder counts, at 0.
pub(crate) fn forwarder_at_zero() {
    for plain in [
        FORWARDED_BATCHES,
        FORWARDED_MESSAGES,
        FORWARDED_BYTES,
        FORWARDED_PACKED_BYTES,
        RESTARTED,
    ] {
        counter!(plain).increment(0);
    }
    for reason in ["lost", "unreadable"] {
        counter!(NOT_FORWARDED, "reason" => reason).increment(0);
    }
    for why in ["lacking", "silence"] {
        counter!(WENT_BACK, "why" => why).increment(0);
    }
}

/// What a receiver counts, at 0.
pub(crate) fn receiver_at_zero() {
    for plain in [
        RECEIVED_BATCHES,
        RECEIVED_MESSAGES,
        REPEATED_BATCHES,
        BATCHES_AHEAD,
        RECEIVE_RETRIES,
        REPLAYED_BATCHES,
    ] {
        counter!(plain).increment(0);
    }
    for reason in Reason::ALL {
        counter!(REFUSED_BATCHES, "reason" => reason.as_str()).increment(0);
    }
}

/// What becomes of commands to devices, at 0.
pub(crate) fn downlink_at_zero(outcomes: impl IntoIterator<Item = &'static str>) {
    for outcome in outcomes {
        counter!(DOWNLINK_COMMANDS, "outcome" => outcome).increment(0);
    }
}
