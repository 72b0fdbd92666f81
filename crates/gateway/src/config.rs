//! The gateway's settings: as they stand in a file, checked, and resolved.
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::config::{ByteSize, Problems, Secret, Setting, Validate};
use service::mqtt::{Broker, SubscriberOptions};
use service::tls::{ClientCertificates, TlsError, client_config, server_config};
use telemetry::GatewayId;

use crate::commit::DEFAULT_WATERMARK_EVERY;
use crate::endpoint::{EndpointConfig, Listener, config as endpoint_config};
use crate::intake::{DEFAULT_INTAKE_MESSAGES, broker};
use crate::ledger::ClockPolicy;
use crate::ledger::anchor::{DEFAULT_MAX_AHEAD, DEFAULT_MAX_BACKLOG, DEFAULT_MAX_BEHIND};
use crate::quarantine::{Bounds, DEFAULT_SHARE_BYTES, DEFAULT_SHARE_ENTRIES, DEFAULT_TOTAL_BYTES};

/// The gateway's id if none is set: right for one machine, wrong for several.
pub const DEFAULT_ID: &str = "gateway";
/// Where the gateway keeps its ledger and quarantine if nothing is set.
pub const DEFAULT_DIR: &str = "gateway";

/// The section `gateway` of a configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// Unique among the gateways of a fleet.
    pub id: String,
    /// Directory of ledger and quarantine.
    pub dir: PathBuf,
    /// How often alerting is told how far everything was received.
    #[serde(with = "service::config::duration")]
    pub watermark_every: Duration,
    /// Messages that wait for the committer, per intake.
    pub intake_messages: usize,
    /// Which clocks are believed.
    pub clock: RawClock,
    /// Bounds of quarantine.
    pub quarantine: RawQuarantine,
    /// The devices' MQTT endpoint.
    pub endpoint: RawEndpoint,
    /// An existing broker; not used unless a host is set.
    pub broker: RawBroker,
}

/// See [`ClockPolicy`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct RawClock {
    #[serde(with = "service::config::duration")]
    pub max_ahead: Duration,
    #[serde(with = "service::config::duration")]
    pub max_behind: Duration,
    #[serde(with = "service::config::duration")]
    pub max_backlog: Duration,
    pub trust_rtc: bool,
}

/// See [`Bounds`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct RawQuarantine {
    pub share_messages: u32,
    pub share_size: ByteSize,
    pub total_size: ByteSize,
}

/// The endpoint's addresses and the limits that an operator may want to set; see [`EndpointConfig`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct RawEndpoint {
    pub listen: Vec<SocketAddr>,
    pub tls_listen: Vec<SocketAddr>,
    pub tls_certificate: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub tls_client_ca: Option<PathBuf>,
    pub tls_client_required: bool,
    pub max_connections: usize,
    pub max_packet_size: ByteSize,
    pub max_unacked_messages: u16,
    pub max_unacked_size: ByteSize,
    pub unacked_budget: ByteSize,
    #[serde(with = "service::config::duration")]
    pub max_keep_alive: Duration,
    #[serde(with = "service::config::duration")]
    pub handshake_timeout: Duration,
    #[serde(with = "service::config::duration")]
    pub drain_grace: Duration,
}

/// An existing broker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct RawBroker {
    pub host: Option<String>,
    pub port: u16,
    pub client_id: Option<String>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub ca: Option<PathBuf>,
    pub filters: Vec<String>,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            id: DEFAULT_ID.to_owned(),
            dir: DEFAULT_DIR.into(),
            watermark_every: DEFAULT_WATERMARK_EVERY,
            intake_messages: DEFAULT_INTAKE_MESSAGES,
            clock: RawClock::default(),
            quarantine: RawQuarantine::default(),
            endpoint: RawEndpoint::default(),
            broker: RawBroker::default(),
        }
    }
}

impl Default for RawClock {
    fn default() -> Self {
        Self {
            max_ahead: DEFAULT_MAX_AHEAD,
            max_behind: DEFAULT_MAX_BEHIND,
            max_backlog: DEFAULT_MAX_BACKLOG,
            trust_rtc: false,
        }
    }
}

impl Default for RawQuarantine {
    fn default() -> Self {
        Self {
            share_messages: DEFAULT_SHARE_ENTRIES,
            share_size: ByteSize::bytes(DEFAULT_SHARE_BYTES),
            total_size: ByteSize::bytes(DEFAULT_TOTAL_BYTES),
        }
    }
}

impl Default for RawEndpoint {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            tls_listen: Vec::new(),
            tls_certificate: None,
            tls_key: None,
            tls_client_ca: None,
            tls_client_required: false,
            max_connections: endpoint_config::DEFAULT_MAX_CONNECTIONS,
            max_packet_size: ByteSize::bytes(u64::from(endpoint_config::DEFAULT_MAX_PACKET_SIZE)),
            max_unacked_messages: endpoint_config::DEFAULT_MAX_UNACKED_MESSAGES,
            max_unacked_size: ByteSize::bytes(endpoint_config::DEFAULT_MAX_UNACKED_BYTES as u64),
            unacked_budget: ByteSize::bytes(endpoint_config::DEFAULT_UNACKED_BUDGET as u64),
            max_keep_alive: endpoint_config::DEFAULT_MAX_KEEP_ALIVE,
            handshake_timeout: endpoint_config::DEFAULT_HANDSHAKE_TIMEOUT,
            drain_grace: endpoint_config::DEFAULT_DRAIN_GRACE,
        }
    }
}

impl Default for RawBroker {
    fn default() -> Self {
        Self {
            host: None,
            port: 1883,
            client_id: None,
            username: None,
            password: None,
            ca: None,
            filters: broker::filters(),
        }
    }
}

impl Validate for RawConfig {
    fn validate(&self, at: &mut Problems) {
        if let Err(e) = GatewayId::new(&self.id) {
            at.problem("id", e);
        }
        at.check(
            "watermark_every",
            !self.watermark_every.is_zero(),
            "it is 0, allowed is more",
        );
        at.check(
            "intake_messages",
            self.intake_messages > 0,
            "it is 0, allowed is 1 or more",
        );
        at.section("clock", |at| {
            let behind = self.clock.max_behind <= self.clock.max_backlog;
            at.check(
                "max_behind",
                behind,
                "it is above max_backlog, so a boot's first frame could not be placed by it",
            );
        });
        at.section("quarantine", |at| {
            at.check(
                "share_messages",
                self.quarantine.share_messages > 0,
                "it is 0, allowed is 1 or more",
            );
            let fits = self.quarantine.share_size <= self.quarantine.total_size;
            at.check("share_size", fits, "it is above total_size");
        });
        at.section("endpoint", |at| self.endpoint.validate(at));
        at.section("broker", |at| {
            at.check(
                "filters",
                !self.broker.filters.is_empty(),
                "it is empty, so nothing would be received",
            );
        });
    }
}

impl RawEndpoint {
    fn validate(&self, at: &mut Problems) {
        let tls = !self.tls_listen.is_empty();
        at.check(
            "tls_certificate",
            !tls || self.tls_certificate.is_some(),
            "it is missing, tls_listen needs one",
        );
        at.check(
            "tls_key",
            !tls || self.tls_key.is_some(),
            "it is missing, tls_listen needs one",
        );
        let ca = !self.tls_client_required || self.tls_client_ca.is_some();
        at.check("tls_client_ca", ca, "it is missing, tls_client_required needs one");
        if let Err(wrong) = self.limits().check() {
            for error in wrong {
                at.problem("", format!("{}: {}", error.field, error.problem));
            }
        }
    }

    fn limits(&self) -> EndpointConfig {
        let bytes = |size: ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        EndpointConfig {
            max_connections: self.max_connections,
            max_packet_size: u32::try_from(self.max_packet_size.as_u64()).unwrap_or(u32::MAX),
            max_unacked_messages: self.max_unacked_messages,
            max_unacked_bytes: bytes(self.max_unacked_size),
            unacked_budget: bytes(self.unacked_budget),
            max_keep_alive: self.max_keep_alive,
            handshake_timeout: self.handshake_timeout,
            drain_grace: self.drain_grace,
            ..EndpointConfig::default()
        }
    }

    fn listeners(&self) -> Result<Vec<Listener>, ConfigError> {
        let plain = self.listen.iter().map(|&address| Listener { address, tls: None });
        let mut listeners: Vec<Listener> = plain.collect();
        if let (false, Some(certificate), Some(key)) =
            (self.tls_listen.is_empty(), &self.tls_certificate, &self.tls_key)
        {
            let clients = match (&self.tls_client_ca, self.tls_client_required) {
                (None, _) => ClientCertificates::Ignored,
                (Some(ca), false) => ClientCertificates::Optional(ca.clone()),
                (Some(ca), true) => ClientCertificates::Required(ca.clone()),
            };
            let tls = server_config(certificate, key, &clients)?;
            listeners.extend(self.tls_listen.iter().map(|&address| Listener {
                address,
                tls: Some(tls.clone()),
            }));
        }
        Ok(listeners)
    }
}

/// Why settings that were checked cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Certificates or keys.
    #[error("the gateway's certificates cannot be used")]
    Tls(#[from] TlsError),
    /// The id.
    #[error("the gateway's id cannot be used")]
    Id(#[from] telemetry::IdError),
}

/// The settings, resolved.
pub struct Config {
    /// This gateway.
    pub id: GatewayId,
    /// Directory of ledger and quarantine; made if missing.
    pub dir: PathBuf,
    /// See [`DEFAULT_WATERMARK_EVERY`].
    pub watermark_every: Duration,
    /// See [`DEFAULT_INTAKE_MESSAGES`].
    pub intake_messages: usize,
    /// Which clocks are believed.
    pub clocks: ClockPolicy,
    /// Bounds of quarantine.
    pub quarantine: Bounds,
    /// Limits of the endpoint.
    pub endpoint: EndpointConfig,
    /// Its addresses; none: no endpoint.
    pub listeners: Vec<Listener>,
    /// The subscription at an existing broker, if any.
    pub broker: Option<SubscriberOptions>,
}

impl Config {
    /// The defaults for a directory: no address, no broker.
    pub fn new(id: GatewayId, dir: impl Into<PathBuf>) -> Self {
        Self {
            id,
            dir: dir.into(),
            watermark_every: DEFAULT_WATERMARK_EVERY,
            intake_messages: DEFAULT_INTAKE_MESSAGES,
            clocks: ClockPolicy::default(),
            quarantine: Bounds::default(),
            endpoint: EndpointConfig::default(),
            listeners: Vec::new(),
            broker: None,
        }
    }

    /// Resolves settings that passed [`RawConfig::validate`]: reads certificates and keys.
    ///
    /// # Errors
    /// [`ConfigError`], naming the file.
    pub fn resolve(raw: &RawConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            id: GatewayId::new(&raw.id)?,
            dir: raw.dir.clone(),
            watermark_every: raw.watermark_every,
            intake_messages: raw.intake_messages,
            clocks: ClockPolicy {
                max_ahead: raw.clock.max_ahead,
                max_behind: raw.clock.max_behind,
                max_backlog: raw.clock.max_backlog,
                trust_rtc: raw.clock.trust_rtc,
            },
            quarantine: Bounds {
                share_entries: raw.quarantine.share_messages,
                share_bytes: raw.quarantine.share_size.as_u64(),
                total_bytes: raw.quarantine.total_size.as_u64(),
            },
            endpoint: raw.endpoint.limits(),
            listeners: raw.endpoint.listeners()?,
            broker: raw.broker.resolve(&raw.id, &raw.dir)?,
        })
    }
}

impl RawBroker {
    fn resolve(&self, id: &str, dir: &std::path::Path) -> Result<Option<SubscriberOptions>, ConfigError> {
        let Some(host) = &self.host else { return Ok(None) };
        let client_id = self.client_id.clone().unwrap_or_else(|| format!("dermatel-{id}"));
        let mut broker = Broker::new(host, self.port, client_id);
        broker.username = self.username.clone();
        broker.password = self.password.clone();
        broker.tls = self.ca.as_deref().map(|ca| client_config(ca, None)).transpose()?;
        let mut options = SubscriberOptions::new(broker, self.filters.clone());
        options.filters_file = Some(dir.join("broker-filters"));
        Ok(Some(options))
    }
}

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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_default_file_is_the_truth() {
        service::config::check_settings::<RawConfig>(SETTINGS).unwrap();
    }

    #[test]
    fn the_defaults_resolve_to_the_defaults() {
        let config = Config::resolve(&RawConfig::default()).unwrap();
        let plain = Config::new(config.id.clone(), DEFAULT_DIR);
        assert_eq!(config.clocks, plain.clocks);
        assert_eq!(config.quarantine, plain.quarantine);
        assert_eq!(format!("{:?}", config.endpoint), format!("{:?}", plain.endpoint));
    }
}
