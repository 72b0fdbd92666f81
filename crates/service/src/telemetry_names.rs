//! Every metric of this crate: name, kind, and what it counts with its unit.

/// Connections to a broker that were established.
pub const MQTT_CONNECTIONS: &str = "service_mqtt_connections_total";
/// Connections or attempts that ended, by reason.
pub const MQTT_DISCONNECTS: &str = "service_mqtt_disconnects_total";
/// Deliveries handed to the consumer.
pub const MQTT_DELIVERIES: &str = "service_mqtt_deliveries_received_total";
/// Bytes of payload handed to the consumer.
pub const MQTT_DELIVERY_BYTES: &str = "service_mqtt_deliveries_received_bytes_total";
/// Acknowledgements that were sent.
pub const MQTT_ACKS: &str = "service_mqtt_acks_sent_total";
/// Acknowledgements that were dropped.
pub const MQTT_ACKS_DROPPED: &str = "service_mqtt_acks_dropped_total";
/// Deliveries that the broker repeated while they were still unacknowledged on the same connection.
pub const MQTT_REPEATED: &str = "service_mqtt_deliveries_repeated_total";
/// Deliveries over the configured size.
pub const MQTT_OVERSIZE: &str = "service_mqtt_deliveries_oversize_total";
/// Times the consumer was so slow that reading from the broker had to stop.
pub const MQTT_STALLS: &str = "service_mqtt_receive_stalls_total";
/// Subscriptions that a broker refused.
pub const MQTT_SUBSCRIPTIONS_REFUSED: &str = "service_mqtt_subscriptions_refused_total";
/// Messages accepted into an outbox.
pub const MQTT_PUBLISHES: &str = "service_mqtt_publishes_accepted_total";
/// Messages that were sent again after a reconnect.
pub const MQTT_RESENT: &str = "service_mqtt_publishes_resent_total";
/// Messages acknowledged by the broker.
pub const MQTT_PUBLISHES_ACKED: &str = "service_mqtt_publishes_acked_total";
/// Messages that the broker refused by reason code, or that cannot be sent to it.
pub const MQTT_PUBLISHES_REFUSED: &str = "service_mqtt_publishes_refused_total";
/// Commands that were dropped because their channel was full.
pub const MQTT_COMMANDS_DROPPED: &str = "service_mqtt_commands_dropped_total";
/// HTTP connections refused at the connection limit.
pub const HTTP_REFUSED: &str = "service_http_connections_refused_total";
/// Reloads that were refused, by what was to be read again.
pub const RELOADS_REFUSED: &str = "service_reloads_refused_total";

/// Visible as zero from the start.
pub const PRESETS: &[crate::metrics::Preset] = &[
    (RELOADS_REFUSED, &[("what", "rules")]),
    (RELOADS_REFUSED, &[("what", "plan")]),
    (RELOADS_REFUSED, &[("what", "registry")]),
];

/// The table from which [`crate::metrics::install`] describes them.
pub const METRICS: &[(&str, &str, &str)] = &[
    (
        MQTT_CONNECTIONS,
        "counter",
        "connections to a broker that were established, by client role",
    ),
    (
        MQTT_DISCONNECTS,
        "counter",
        "connections or attempts that ended, by client role and reason",
    ),
    (MQTT_DELIVERIES, "counter", "deliveries handed to the consumer"),
    (
        MQTT_DELIVERY_BYTES,
        "counter",
        "payload handed to the consumer, in bytes",
    ),
    (MQTT_ACKS, "counter", "acknowledgements sent to the broker"),
    (
        MQTT_ACKS_DROPPED,
        "counter",
        "acknowledgements not sent, by reason (stale: of an older connection; repeated: given twice)",
    ),
    (
        MQTT_REPEATED,
        "counter",
        "deliveries repeated by the broker while still unacknowledged on the same connection",
    ),
    (
        MQTT_OVERSIZE,
        "counter",
        "deliveries larger than the configured packet size",
    ),
    (
        MQTT_STALLS,
        "counter",
        "times that reading from the broker stopped for a slow consumer",
    ),
    (
        MQTT_SUBSCRIPTIONS_REFUSED,
        "counter",
        "topic filters that the broker refused",
    ),
    (MQTT_PUBLISHES, "counter", "messages accepted into an outbox"),
    (MQTT_RESENT, "counter", "messages sent again after a reconnect"),
    (MQTT_PUBLISHES_ACKED, "counter", "messages acknowledged by the broker"),
    (
        MQTT_PUBLISHES_REFUSED,
        "counter",
        "messages refused by the broker with an MQTT 5 reason code, or too large for it",
    ),
    (
        MQTT_COMMANDS_DROPPED,
        "counter",
        "commands dropped because nobody took them",
    ),
    (
        HTTP_REFUSED,
        "counter",
        "HTTP connections refused at the connection limit",
    ),
    (
        RELOADS_REFUSED,
        "counter",
        "reloads of edited files that were refused while the old ones hold, by what (rules, plan, registry)",
    ),
];
