//! Every setting with its default and what it is for: the source of the commented default file.
use service::config::Setting;

/// Every setting of the section, for the commented default file; paths are relative to the section.
pub const SETTINGS: &[Setting] = &[
    setting(
        "id",
        "\"gateway\"",
        "Name of this gateway; unique in the fleet: alerting tells gateways apart by it.",
    ),
    setting(
        "dir",
        "\"gateway\"",
        "Directory of the ledger (what was let in already) and of the quarantine.",
    ),
    setting(
        "watermark_every",
        "\"1s\"",
        "How often alerting is told up to when everything was received.",
    ),
    setting(
        "intake_messages",
        "4096",
        "Messages that wait for the committer, per intake; then senders wait.",
    ),
    setting(
        "clock.max_ahead",
        "\"10m\"",
        "A trusted device clock may be ahead of ours by this; else arrival counts.",
    ),
    setting(
        "clock.max_behind",
        "\"1d\"",
        "A trusted device clock may be behind by this. Keep it at a day or less: older events do not page.",
    ),
    setting(
        "clock.max_backlog",
        "\"30d\"",
        "The longest that a device keeps a frame.",
    ),
    setting(
        "clock.trust_rtc",
        "false",
        "Whether clocks that were set once, by hand, are believed too.",
    ),
    setting(
        "quarantine.share_messages",
        "1000",
        "Messages kept of one device; then its oldest goes.",
    ),
    setting("quarantine.share_size", "\"1MiB\"", "Bytes kept of one device."),
    setting(
        "quarantine.total_size",
        "\"256MiB\"",
        "Bytes kept of all; then the oldest of the largest share goes.",
    ),
    setting(
        "endpoint.listen",
        "[]",
        "Addresses for devices on plain TCP, as \"0.0.0.0:1883\".",
    ),
    setting(
        "endpoint.tls_listen",
        "[]",
        "Addresses for devices on TLS, as \"0.0.0.0:8883\".",
    ),
    setting(
        "endpoint.tls_certificate",
        "# \"server.pem\"",
        "Certificate chain of the endpoint, PEM.",
    ),
    setting("endpoint.tls_key", "# \"server.key\"", "Its key, PEM."),
    setting(
        "endpoint.tls_client_ca",
        "# \"devices-ca.pem\"",
        "CA that vouches for devices' certificates, PEM.",
    ),
    setting(
        "endpoint.tls_client_required",
        "false",
        "Whether a device must show a certificate.",
    ),
    setting("endpoint.max_connections", "10000", "Devices connected at a time."),
    setting("endpoint.max_packet_size", "\"256KiB\"", "Largest packet of a device."),
    setting(
        "endpoint.max_unacked_messages",
        "1000",
        "Messages of one device without an answer; then it waits.",
    ),
    setting(
        "endpoint.max_unacked_size",
        "\"4MiB\"",
        "Bytes of one device without an answer.",
    ),
    setting(
        "endpoint.unacked_budget",
        "\"64MiB\"",
        "Bytes of all devices without an answer.",
    ),
    setting("endpoint.max_keep_alive", "\"5m\"", "Longest ping period of a device."),
    setting(
        "endpoint.handshake_timeout",
        "\"10s\"",
        "Time for TLS and CONNECT together.",
    ),
    setting(
        "endpoint.drain_grace",
        "\"10s\"",
        "Time at shutdown for answers that are due.",
    ),
    setting(
        "broker.host",
        "# \"broker.example\"",
        "An existing broker that devices publish to. What its PUBACK means is its affair.",
    ),
    setting("broker.port", "1883", "Its port."),
    setting(
        "broker.client_id",
        "# \"dermatel-gateway\"",
        "Names our session there; default dermatel-<id>.",
    ),
    setting("broker.username", "# \"dermatel\"", "User name there."),
    setting("broker.password", "# { file = \"password\" }", "Password there."),
    setting("broker.ca", "# \"ca.pem\"", "CA of the broker, PEM; set: TLS."),
    setting(
        "broker.filters",
        "[\"dermatel/v1/+/+/+/telemetry\", \"dermatel/v1/+/+/+/status\"]",
        "What is subscribed. The broker must let each device publish on its own topics only.",
    ),
];

const fn setting(path: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting { path, default, doc }
}
