//! What a client must be told, and what is refused before it starts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::ClientConfig;

use crate::backoff::Backoff;
use crate::config::{ByteSize, Secret};

/// Most packet ids that exist: no more messages can be unacknowledged.
pub(super) const PACKET_IDS: usize = u16::MAX as usize;
/// Shortest keep alive: MQTT 5 in rumqttc asserts it.
const KEEP_ALIVE_MIN: Duration = Duration::from_secs(5);
/// Longest keep alive: the wire has 16 bits of seconds.
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(u16::MAX as u64);
/// Largest packet of MQTT.
const PACKET_MAX: u64 = 268_435_455;

/// Protocol version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1: understood by every broker.
    #[default]
    V311,
    /// MQTT 5: acknowledgements carry reason codes.
    V5,
}

/// How to reach a broker and who to be there.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Client id; stable, because it names the session, and unique at the broker.
    pub client_id: String,
    /// User name, if the broker wants one.
    pub username: Option<String>,
    /// Password, if the broker wants one.
    pub password: Option<Secret>,
    /// TLS with this configuration (see [`crate::tls::client_config`]); none for plain TCP.
    pub tls: Option<Arc<ClientConfig>>,
    /// Ping period, 5 s to 65535 s. A dead broker is noticed within two of them.
    pub keep_alive: Duration,
    /// Longest time from the first TCP packet to CONNACK, whole seconds, at least 1 s.
    pub connect_timeout: Duration,
    /// Largest packet sent or expected.
    pub max_packet_size: ByteSize,
    /// Pause between attempts.
    pub backoff: Backoff,
}

impl Broker {
    /// A broker on plain TCP with the defaults: keep alive 30 s, 5 s to connect, packets up to 1 MiB.
    pub fn new(host: impl Into<String>, port: u16, client_id: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port,
            client_id: client_id.into(),
            username: None,
            password: None,
            tls: None,
            keep_alive: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            max_packet_size: ByteSize::mib(1),
            backoff: Backoff::default(),
        }
    }

    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn check(&self) -> Result<(), OptionsError> {
        let keep_alive = (KEEP_ALIVE_MIN..=KEEP_ALIVE_MAX).contains(&self.keep_alive);
        require(!self.host.is_empty(), "host", "it is empty")?;
        require(
            !self.client_id.is_empty(),
            "client_id",
            "it is empty, a session needs a stable one",
        )?;
        require(keep_alive, "keep_alive", "allowed are 5 s to 65535 s")?;
        require(
            self.connect_timeout >= Duration::from_secs(1),
            "connect_timeout",
            "allowed is 1 s or more",
        )?;
        let size = self.max_packet_size.as_u64();
        require(
            (128..=PACKET_MAX).contains(&size),
            "max_packet_size",
            "allowed are 128 B to 268435455 B",
        )
    }
}

/// Options of a [`super::Subscriber`]. MQTT 3.1.1 always: with MQTT 5 a broker silently discards what is over our size.
#[derive(Clone, Debug)]
pub struct SubscriberOptions {
    /// The broker.
    pub broker: Broker,
    /// Topic filters, subscribed with QoS 1.
    pub filters: Vec<String>,
    /// Whether the broker forgets the session, and all that is unacknowledged, at each disconnect. Default false.
    pub clean_session: bool,
    /// Most deliveries between us and the consumer. Should be at least the broker's window (`max_inflight_messages`):
    /// the broker then stops by itself, and pings go on while the consumer is slow. 1 to 65535.
    pub receive_window: usize,
    /// Most bytes of topics and payloads between us and the consumer.
    pub receive_bytes: ByteSize,
    /// Largest packet that is read at all, when a delivery is over `max_packet_size`.
    pub packet_hard_cap: ByteSize,
    /// A small file that remembers the filters of the session, so that filters that are no longer wanted are
    /// unsubscribed and new ones subscribed although the session is still there. Without it every first connection of a process subscribes.
    pub filters_file: Option<PathBuf>,
}

impl SubscriberOptions {
    /// Options with the defaults: persistent session, window 2000 messages or 64 MiB, hard cap 16 MiB.
    pub fn new(broker: Broker, filters: Vec<String>) -> Self {
        Self {
            broker,
            filters,
            clean_session: false,
            receive_window: 2000,
            receive_bytes: ByteSize::mib(64),
            packet_hard_cap: ByteSize::mib(16),
            filters_file: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), OptionsError> {
        self.broker.check()?;
        require(!self.filters.is_empty(), "filters", "there is none")?;
        let bad = self.filters.iter().find(|filter| !rumqttc::valid_filter(filter));
        require(bad.is_none(), "filters", "one of them is not a topic filter")?;
        require(
            (1..=PACKET_IDS).contains(&self.receive_window),
            "receive_window",
            "allowed are 1 to 65535",
        )?;
        require(
            (1..=1 << 31).contains(&self.receive_bytes.as_u64()),
            "receive_bytes",
            "allowed are 1 B to 2 GiB",
        )?;
        let cap = self.packet_hard_cap;
        let fine = cap >= self.broker.max_packet_size && cap.as_u64() <= PACKET_MAX;
        require(fine, "packet_hard_cap", "allowed are max_packet_size to 268435455 B")
    }
}

/// What the broker publishes for a client that died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Topic, without wildcards.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
}

/// Options of a [`super::Publisher`].
#[derive(Clone, Debug)]
pub struct PublisherOptions {
    /// The broker.
    pub broker: Broker,
    /// Protocol version.
    pub version: Version,
    /// Whether the broker forgets the session at each disconnect. Default true: the outbox is ours, and only the command
    /// topic gains by a session.
    pub clean_session: bool,
    /// Most messages sent and not acknowledged, counted from the oldest of them. 1 to 65000.
    pub window: u16,
    /// Most messages in the outbox.
    pub outbox_messages: usize,
    /// Most bytes of payload in the outbox.
    pub outbox_bytes: ByteSize,
    /// Last will, published with QoS 1.
    pub will: Option<Will>,
    /// A topic filter to subscribe, for commands to this client. Acknowledged on receipt; when nobody takes them the
    /// newest is dropped and counted.
    pub command_topic: Option<String>,
    /// Most commands that wait to be taken.
    pub command_capacity: usize,
}

impl PublisherOptions {
    /// Options with the defaults: 3.1.1, window 100, outbox of 1000 messages or 8 MiB, no will, no commands.
    pub fn new(broker: Broker) -> Self {
        Self {
            broker,
            version: Version::default(),
            clean_session: true,
            window: 100,
            outbox_messages: 1000,
            outbox_bytes: ByteSize::mib(8),
            will: None,
            command_topic: None,
            command_capacity: 16,
        }
    }

    pub(super) fn check(&self) -> Result<(), OptionsError> {
        self.broker.check()?;
        require((1..=65_000).contains(&self.window), "window", "allowed are 1 to 65000")?;
        require(
            (1..=1 << 30).contains(&self.outbox_messages),
            "outbox_messages",
            "allowed are 1 to 2^30",
        )?;
        require(
            (1..=1 << 31).contains(&self.outbox_bytes.as_u64()),
            "outbox_bytes",
            "allowed are 1 B to 2 GiB",
        )?;
        require(self.command_capacity > 0, "command_capacity", "allowed is 1 or more")?;
        let will = self
            .will
            .as_ref()
            .is_none_or(|will| rumqttc::valid_topic(&will.topic) && !will.topic.is_empty());
        require(will, "will", "its topic is empty or has wildcards")?;
        let command = self
            .command_topic
            .as_ref()
            .is_none_or(|filter| rumqttc::valid_filter(filter));
        require(command, "command_topic", "it is not a topic filter")
    }
}

/// An option that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mqtt option {option}: {what}")]
pub struct OptionsError {
    /// Name of the option.
    pub option: &'static str,
    /// What is wrong and what is allowed.
    pub what: &'static str,
}

fn require(fine: bool, option: &'static str, what: &'static str) -> Result<(), OptionsError> {
    if fine {
        Ok(())
    } else {
        Err(OptionsError { option, what })
    }
}
