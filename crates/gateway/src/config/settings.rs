//! Every setting with its default and what it is for: the source of the commented default file.
use service::config::Setting;

/// Every setting of the section, for the commented default file; paths are relative to the section.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "id",
        "\"gateway\"",
        "Name of this gateway; unique in the fleet: alerting tells gateways apart by it.",
    ),
    Setting::new(
        "dir",
        "\"gateway\"",
        "Directory of the ledger (what was let in already) and of the quarantine.",
    ),
    Setting::new(
        "watermark_every",
        "\"1s\"",
        "How often alerting is told up to when everything was received.",
    ),
    Setting::new(
        "intake_messages",
        "4096",
        "Messages that wait for the committer, per intake; then senders wait.",
    ),
    Setting::new(
        "clock.max_ahead",
        "\"10m\"",
        "A trusted device clock may be ahead of ours by this; else arrival counts.",
    ),
    Setting::new(
        "clock.max_behind",
        "\"1d\"",
        "A trusted device clock may be behind by this. Keep it at a day or less: older events do not page.",
    ),
    Setting::new(
        "clock.max_backlog",
        "\"30d\"",
        "The longest that a device keeps a frame.",
    ),
    Setting::new(
        "clock.trust_rtc",
        "false",
        "Whether clocks that were set once, by hand, are believed too.",
    ),
    Setting::new(
        "quarantine.share_messages",
        "1000",
        "Messages kept of one device; then its oldest goes.",
    ),
    Setting::new("quarantine.share_size", "\"1MiB\"", "Bytes kept of one device."),
    Setting::new(
        "quarantine.total_size",
        "\"256MiB\"",
        "Bytes kept of all; then the oldest of the largest share goes.",
    ),
    Setting::new(
        "endpoint.listen",
        "[]",
        "Addresses for devices on plain TCP, as \"0.0.0.0:1883\".",
    ),
    Setting::new(
        "endpoint.tls_listen",
        "[]",
        "Addresses for devices on TLS, as \"0.0.0.0:8883\".",
    ),
    Setting::new(
        "endpoint.tls_certificate",
        "# \"server.pem\"",
        "Certificate chain of the endpoint, PEM.",
    ),
    Setting::new("endpoint.tls_key", "# \"server.key\"", "Its key, PEM."),
    Setting::new(
        "endpoint.tls_client_ca",
        "# \"devices-ca.pem\"",
        "CA that vouches for devices' certificates, PEM.",
    ),
    Setting::new(
        "endpoint.tls_client_required",
        "false",
        "Whether a device must show a certificate.",
    ),
    Setting::new("endpoint.max_connections", "10000", "Devices connected at a time."),
    Setting::new("endpoint.max_packet_size", "\"256KiB\"", "Largest packet of a device."),
    Setting::new(
        "endpoint.max_unacked_messages",
        "1000",
        "Messages of one device without an answer; then it waits.",
    ),
    Setting::new(
        "endpoint.max_unacked_size",
        "\"4MiB\"",
        "Bytes of one device without an answer.",
    ),
    Setting::new(
        "endpoint.unacked_budget",
        "\"64MiB\"",
        "Bytes of all devices without an answer.",
    ),
    Setting::new("endpoint.max_keep_alive", "\"5m\"", "Longest ping period of a device."),
    Setting::new(
        "endpoint.handshake_timeout",
        "\"10s\"",
        "Time for TLS and CONNECT together.",
    ),
    Setting::new(
        "endpoint.drain_grace",
        "\"10s\"",
        "Time at shutdown for answers that are due.",
    ),
    Setting::new(
        "broker.host",
        "# \"broker.example\"",
        "An existing broker that devices publish to. What its PUBACK means is its affair.",
    ),
    Setting::new("broker.port", "1883", "Its port."),
    Setting::new(
        "broker.client_id",
        "# \"dermatel-gateway\"",
        "Names our session there; default dermatel-<id>.",
    ),
    Setting::new("broker.username", "# \"dermatel\"", "User name there."),
    Setting::new("broker.password", "# { file = \"password\" }", "Password there."),
    Setting::new("broker.ca", "# \"ca.pem\"", "CA of the broker, PEM; set: TLS."),
    Setting::new(
        "broker.filters",
        "[\"dermatel/v1/+/+/+/telemetry\", \"dermatel/v1/+/+/+/status\"]",
        "What is subscribed. The broker must let each device publish on its own topics only.",
    ),
];
