//! The endpoint's metrics: names in one place, handles looked up once and not per message.

use metrics::{Counter, Gauge, counter, gauge};

use super::close::CloseReason;
use super::verdict::Verdict;

/// Connections past CONNACK now.
pub const CONNECTIONS: &str = "gateway_connections";
/// Connections accepted by the CONNACK, since start.
pub const CONNECTIONS_ACCEPTED: &str = "gateway_connections_accepted_total";
/// Connections ended, by `reason` ([`CloseReason`]); refused and failed ones too.
pub const CONNECTIONS_CLOSED: &str = "gateway_connections_closed_total";
/// PUBLISH packets read, by `protocol`.
pub const PUBLISHES_RECEIVED: &str = "gateway_publishes_received_total";
/// PUBLISH bytes read (whole packets).
pub const PUBLISHES_RECEIVED_BYTES: &str = "gateway_publishes_received_bytes_total";
/// Publishes to a topic that is not the device's own.
pub const PUBLISHES_FOREIGN_TOPIC: &str = "gateway_publishes_foreign_topic_total";
/// Publishes answered, by `verdict`; QoS 0 ones are counted too although no PUBACK leaves.
pub const PUBLISHES_ACKED: &str = "gateway_publishes_acked_total";
/// Bytes of publishes that were taken and not answered yet.
pub const UNACKED_BYTES: &str = "gateway_unacked_bytes";
/// Times that a connection was not read from for want of room, by `limit`.
pub const READS_PAUSED: &str = "gateway_reads_paused_total";
/// Wills handed to the intake.
pub const WILLS_SENT: &str = "gateway_wills_sent_total";
/// Wills that the intake did not take within the will timeout.
pub const WILLS_LOST: &str = "gateway_wills_lost_total";
/// Commands by `result`.
pub const COMMANDS: &str = "gateway_commands_total";
/// SUBSCRIBE filters refused.
pub const SUBSCRIBES_REFUSED: &str = "gateway_subscribes_refused_total";
/// Failed `accept` calls (out of file descriptors, as a rule).
pub const ACCEPTS_FAILED: &str = "gateway_accepts_failed_total";

/// Name, kind and meaning of each, for whoever describes them to the exporter.
pub const METRICS: &[(&str, &str, &str)] = &[
    (CONNECTIONS, "gauge", "device connections past CONNACK"),
    (CONNECTIONS_ACCEPTED, "counter", "device connections accepted"),
    (
        CONNECTIONS_CLOSED,
        "counter",
        "device connections ended or refused, by reason",
    ),
    (
        PUBLISHES_RECEIVED,
        "counter",
        "PUBLISH packets read, by protocol version",
    ),
    (PUBLISHES_RECEIVED_BYTES, "counter", "bytes of PUBLISH packets read"),
    (
        PUBLISHES_FOREIGN_TOPIC,
        "counter",
        "publishes to a topic that is not the device's own",
    ),
    (PUBLISHES_ACKED, "counter", "publishes answered, by verdict"),
    (UNACKED_BYTES, "gauge", "bytes of publishes taken and not answered yet"),
    (
        READS_PAUSED,
        "counter",
        "times that reading from a connection paused, by limit",
    ),
    (WILLS_SENT, "counter", "last wills handed to the intake"),
    (WILLS_LOST, "counter", "last wills that the intake did not take in time"),
    (COMMANDS, "counter", "commands to devices, by result"),
    (SUBSCRIBES_REFUSED, "counter", "topic filters refused"),
    (ACCEPTS_FAILED, "counter", "failed accept calls"),
];

/// Handles, taken once when the endpoint is bound: install the recorder before that.
pub(crate) struct Metrics {
    pub(crate) connections: Gauge,
    pub(crate) accepted: Counter,
    pub(crate) received_v311: Counter,
    pub(crate) received_v5: Counter,
    pub(crate) received_bytes: Counter,
    pub(crate) foreign_topic: Counter,
    acked: [Counter; Verdict::LABELS.len()],
    pub(crate) unacked_bytes: Gauge,
    pub(crate) paused_window: Counter,
    pub(crate) paused_budget: Counter,
    pub(crate) paused_intake: Counter,
    pub(crate) wills_sent: Counter,
    pub(crate) wills_lost: Counter,
    pub(crate) subscribes_refused: Counter,
    pub(crate) accepts_failed: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        for reason in CloseReason::ALL {
            counter!(CONNECTIONS_CLOSED, "reason" => reason.as_str()).increment(0);
        }
        let paused = |limit: &'static str| counter!(READS_PAUSED, "limit" => limit);
        Metrics {
            connections: gauge!(CONNECTIONS),
            accepted: counter!(CONNECTIONS_ACCEPTED),
            received_v311: counter!(PUBLISHES_RECEIVED, "protocol" => "3.1.1"),
            received_v5: counter!(PUBLISHES_RECEIVED, "protocol" => "5"),
            received_bytes: counter!(PUBLISHES_RECEIVED_BYTES),
            foreign_topic: counter!(PUBLISHES_FOREIGN_TOPIC),
            acked: Verdict::LABELS.map(|verdict| counter!(PUBLISHES_ACKED, "verdict" => verdict)),
            unacked_bytes: gauge!(UNACKED_BYTES),
            paused_window: paused("connection"),
            paused_budget: paused("budget"),
            paused_intake: paused("intake"),
            wills_sent: counter!(WILLS_SENT),
            wills_lost: counter!(WILLS_LOST),
            subscribes_refused: counter!(SUBSCRIBES_REFUSED),
            accepts_failed: counter!(ACCEPTS_FAILED),
        }
    }

    pub(crate) fn acked(&self, verdict: &Verdict) {
        if let Some(counter) = self.acked.get(verdict.label_index()) {
            counter.increment(1);
        }
    }

    pub(crate) fn closed(&self, reason: CloseReason) {
        counter!(CONNECTIONS_CLOSED, "reason" => reason.as_str()).increment(1);
    }

    pub(crate) fn command(&self, result: &'static str) {
        counter!(COMMANDS, "result" => result).increment(1);
    }
}
