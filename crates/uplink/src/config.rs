//! The settings of what goes between the processes: as they stand in a file, checked, and resolved.
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::config::{ByteSize, Problems, Secret, Setting, Validate};
use service::mqtt::Broker;
use service::tls::{TlsError, client_config};
use telemetry::GatewayId;

use crate::ShardSet;
use crate::batch::{OPENED_BYTES_MAX, PACKED_OVERHEAD_BYTES};

/// Largest batch before packing that may be set: what a reader opens, less one message of the largest size.
const BATCH_BYTES_MAX: u64 = OPENED_BYTES_MAX as u64 / 2;
/// Most connections of one gateway.
const CONNECTIONS_MAX: u16 = 64;

/// The section `uplink` of a configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// Host of the broker between the processes; none: they do not run apart.
    pub host: Option<String>,
    /// Its port.
    pub port: u16,
    /// User name there.
    pub username: Option<String>,
    /// Password there.
    pub password: Option<Secret>,
    /// CA of the broker, PEM; set: TLS.
    pub ca: Option<PathBuf>,
    /// Name of this ingestor or alerting instance: unique in its role, the same after every start.
    pub instance: String,
    /// Shards that this ingestor or alerting instance owns.
    pub shards: ShardSet,
    /// Several alerting instances with one name here and the same shards: one pages, the others stand by.
    pub group: Option<String>,
    /// How long nothing is heard of the one that pages before another takes over; 2 s to 5 min.
    #[serde(with = "service::config::duration")]
    pub takeover: Duration,
    /// Connections that a gateway forwards over.
    pub connections: u16,
    /// How long a batch waits for more.
    #[serde(with = "service::config::duration")]
    pub linger: Duration,
    /// Most bytes of a batch before packing.
    pub batch_size: ByteSize,
    /// Most bytes that were published and are not acknowledged, before packing.
    pub in_flight: ByteSize,
    /// How long a reader that is there may come no further before it gets again what was sent last; at least a second.
    #[serde(with = "service::config::duration")]
    pub resend: Duration,
    /// Whether a gateway waits until every shard has an ingestor and an alerting instance at the broker.
    pub wait_for_readers: bool,
    /// Bytes kept of batches that were not taken.
    pub keep_refused: ByteSize,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            host: None,
            port: 1883,
            username: None,
            password: None,
            ca: None,
            instance: "one".to_owned(),
            shards: ShardSet::ALL,
            group: None,
            takeover: Duration::from_secs(10),
            connections: 4,
            linger: Duration::from_millis(20),
            batch_size: ByteSize::kib(256),
            in_flight: ByteSize::mib(8),
            resend: Duration::from_secs(5),
            wait_for_readers: true,
            keep_refused: ByteSize::mib(64),
        }
    }
}

impl Validate for RawConfig {
    fn validate(&self, at: &mut Problems) {
        if let Err(error) = GatewayId::new(&self.instance) {
            at.problem("instance", error);
        }
        at.check(
            "shards",
            !self.shards.is_empty(),
            "there is none, so nothing would be read",
        );
        let connections = (1..=CONNECTIONS_MAX).contains(&self.connections);
        at.check("connections", connections, "allowed are 1 to 64");
        let group_is_id = self.group.as_deref().is_none_or(|group| GatewayId::new(group).is_ok());
        at.check(
            "group",
            group_is_id,
            "it is no id: a-z, 0-9 and -, at most 63 characters",
        );
        at.check(
            "takeover",
            (Duration::from_secs(2)..=Duration::from_secs(300)).contains(&self.takeover),
            "allowed are 2s to 5m",
        );
        at.check(
            "linger",
            self.linger <= Duration::from_secs(1),
            "it is above a second, and pages would wait for it",
        );
        let size = self.batch_size.as_u64();
        at.check(
            "batch_size",
            (1024..=BATCH_BYTES_MAX).contains(&size),
            "allowed are 1KiB to 512KiB",
        );
        at.check(
            "resend",
            (Duration::from_secs(1)..=Duration::from_secs(600)).contains(&self.resend),
            "allowed are 1s to 10m",
        );
        at.check("in_flight", self.in_flight.as_u64() >= size, "it is below batch_size");
        at.check(
            "keep_refused",
            self.keep_refused >= ByteSize::mib(8),
            "allowed is 8MiB or more",
        );
    }
}

/// The settings, resolved.
#[derive(Debug, Clone)]
pub struct Config {
    /// The broker; its client id is set by who connects.
    pub broker: Broker,
    /// See [`RawConfig::instance`].
    pub instance: String,
    /// See [`RawConfig::shards`].
    pub shards: ShardSet,
    /// See [`RawConfig::group`].
    pub group: Option<String>,
    /// See [`RawConfig::takeover`].
    pub takeover: Duration,
    /// See [`RawConfig::connections`].
    pub connections: u16,
    /// See [`RawConfig::linger`].
    pub linger: Duration,
    /// See [`RawConfig::batch_size`], bytes.
    pub batch_bytes: usize,
    /// See [`RawConfig::in_flight`], bytes.
    pub in_flight_bytes: usize,
    /// See [`RawConfig::resend`].
    pub resend: Duration,
    /// See [`RawConfig::wait_for_readers`].
    pub wait_for_readers: bool,
    /// See [`RawConfig::keep_refused`], bytes.
    pub keep_refused_bytes: u64,
}

impl RawConfig {
    /// Resolves settings that passed [`RawConfig::validate`]; `None` where no broker is named.
    ///
    /// # Errors
    /// The CA cannot be read.
    pub fn resolve(&self) -> Result<Option<Config>, TlsError> {
        let Some(host) = &self.host else { return Ok(None) };
        let mut broker = Broker::new(host, self.port, "");
        broker.username = self.username.clone();
        broker.password = self.password.clone();
        broker.tls = self.ca.as_deref().map(|ca| client_config(ca, None)).transpose()?;
        // What cannot be compressed is a little larger packed.
        broker.max_packet_size = ByteSize::bytes((OPENED_BYTES_MAX + 2 * PACKED_OVERHEAD_BYTES) as u64);
        Ok(Some(Config {
            broker,
            instance: self.instance.clone(),
            shards: self.shards,
            group: self.group.clone(),
            takeover: self.takeover,
            connections: self.connections,
            linger: self.linger,
            batch_bytes: self.batch_size.as_usize(),
            in_flight_bytes: self.in_flight.as_usize(),
            resend: self.resend,
            wait_for_readers: self.wait_for_readers,
            keep_refused_bytes: self.keep_refused.as_u64(),
        }))
    }
}

impl Config {
    /// The broker under the name of who connects.
    pub(crate) fn broker_as(&self, client_id: String) -> Broker {
        Broker {
            client_id,
            ..self.broker.clone()
        }
    }
}

/// Every setting of the section, for the commented default file; paths are relative to the section.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "host",
        "# \"broker.example\"",
        "The broker between `dermatel gateway`, `ingestor` and `alerting`, where they run apart; see docs/scaling.md.",
    ),
    Setting::new("port", "1883", "Its port."),
    Setting::new("username", "# \"dermatel\"", "User name there."),
    Setting::new("password", "# { file = \"password\" }", "Password there."),
    Setting::new("ca", "# \"ca.pem\"", "CA of the broker, PEM; set: TLS."),
    Setting::new(
        "instance",
        "\"one\"",
        "Name of this ingestor or alerting instance, unique in its role: it names the session at the broker.",
    ),
    Setting::new(
        "shards",
        "\"0-63\"",
        "Shards that this ingestor or alerting instance owns, as \"0-31\". Each needs one of either role.",
    ),
    Setting::new(
        "group",
        "# \"north\"",
        "Alerting instances of one group own the same shards under names of their own: one pages, the others stand by. See docs/scaling.md.",
    ),
    Setting::new(
        "takeover",
        "\"10s\"",
        "How long nothing is heard of the one that pages before another of its group takes over.",
    ),
    Setting::new(
        "connections",
        "4",
        "Connections that a gateway forwards over; a clinic stays on one.",
    ),
    Setting::new("linger", "\"20ms\"", "How long a batch waits for more."),
    Setting::new("batch_size", "\"256KiB\"", "Most bytes of a batch before packing."),
    Setting::new(
        "in_flight",
        "\"8MiB\"",
        "Most bytes that a gateway has published and the broker not acknowledged.",
    ),
    Setting::new(
        "resend",
        "\"5s\"",
        "How long a reader that is there may come no further before it gets again what was sent to it last.",
    ),
    Setting::new(
        "wait_for_readers",
        "true",
        "Whether a gateway waits until each of its shards has a reader of either role at the broker, which forgets what nobody reads.",
    ),
    Setting::new(
        "keep_refused",
        "\"64MiB\"",
        "Bytes kept of batches that were not taken; then the oldest go.",
    ),
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_default_file_is_the_truth() {
        service::config::check_settings::<RawConfig>(SETTINGS).unwrap();
    }
}
