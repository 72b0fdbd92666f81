//! The gateway's settings as they stand in a file, and what can be wrong with them.
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::config::{ByteSize, Problems, Secret, Validate};
use telemetry::GatewayId;

use crate::commit::DEFAULT_WATERMARK_EVERY;
use crate::endpoint::{EndpointConfig, config as endpoint_config};
use crate::intake::{DEFAULT_INTAKE_MESSAGES, broker};
use crate::ledger::anchor::{DEFAULT_MAX_AHEAD, DEFAULT_MAX_BACKLOG, DEFAULT_MAX_BEHIND};
use crate::quarantine::{DEFAULT_SHARE_BYTES, DEFAULT_SHARE_ENTRIES, DEFAULT_TOTAL_BYTES};

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

    pub(super) fn limits(&self) -> EndpointConfig {
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
}
