//! Every limit of the endpoint, its default, and why that number.

use std::time::Duration;

/// Connections past CONNACK. At the cap: CONNACK 0x97 (3.1.1: 0x03).
pub const DEFAULT_MAX_CONNECTIONS: usize = 10_000;
/// Connections that are still in TLS or CONNECT. At the cap new ones are closed at once.
pub const DEFAULT_MAX_HANDSHAKES: usize = 1_000;
/// Time for TLS and CONNECT together.
pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest PUBLISH packet, bytes. A second of strokes is about 1 KiB; 256 KiB leaves room for logs.
pub const DEFAULT_MAX_PACKET_SIZE: u32 = 256 * 1024;
/// Publishes of one connection that are not answered yet: Receive Maximum in MQTT 5; a 3.1.1
/// connection is not read from while it has that many.
pub const DEFAULT_MAX_UNACKED_MESSAGES: u16 = 1_000;
/// Bytes of one connection that are not answered yet; it is not read from above that.
pub const DEFAULT_MAX_UNACKED_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of all connections that are not answered yet.
pub const DEFAULT_UNACKED_BUDGET: usize = 64 * 1024 * 1024;
/// Keep alive for clients that ask for none or for a longer one (MQTT 5: Server Keep Alive).
pub const DEFAULT_MAX_KEEP_ALIVE: Duration = Duration::from_secs(300);
/// Time from the first to the last byte of one packet, while we are reading.
pub const DEFAULT_PACKET_TIMEOUT: Duration = Duration::from_secs(30);
/// Time in which a client must take some of what we write.
pub const DEFAULT_WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that the intake has to take a will before the will is lost (and counted).
pub const DEFAULT_WILL_TIMEOUT: Duration = Duration::from_secs(5);
/// Time that a connection has to end when its identity connects again.
pub const DEFAULT_TAKEOVER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time at shutdown for what is in flight to be answered.
pub const DEFAULT_DRAIN_GRACE: Duration = Duration::from_secs(10);
/// Least time (up to twice that, at random) by which a refusal is slowed down, so that a resend
/// loop costs little. Short, because at the cap every frame still goes to alerting first.
pub const DEFAULT_REFUSAL_PAUSE: Duration = Duration::from_millis(100);
/// Commands waiting for one connection. At the cap the sender is told `Backlogged`.
pub const DEFAULT_COMMAND_QUEUE: usize = 16;

/// The limits of an endpoint. Nothing here is unlimited.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// See [`DEFAULT_MAX_CONNECTIONS`].
    pub max_connections: usize,
    /// See [`DEFAULT_MAX_HANDSHAKES`].
    pub max_handshakes: usize,
    /// See [`DEFAULT_HANDSHAKE_TIMEOUT`].
    pub handshake_timeout: Duration,
    /// See [`DEFAULT_MAX_PACKET_SIZE`]; bytes, whole packet.
    pub max_packet_size: u32,
    /// See [`DEFAULT_MAX_UNACKED_MESSAGES`]; at least 1.
    pub max_unacked_messages: u16,
    /// See [`DEFAULT_MAX_UNACKED_BYTES`]; at least `max_packet_size`.
    pub max_unacked_bytes: usize,
    /// See [`DEFAULT_UNACKED_BUDGET`]. One half is divided into a guaranteed share for each of
    /// `max_connections`; the other half is lent, first come first served, to those above their
    /// share. At least twice `max_packet_size`.
    pub unacked_budget: usize,
    /// See [`DEFAULT_MAX_KEEP_ALIVE`]; whole seconds, at least 1, at most 65,535.
    pub max_keep_alive: Duration,
    /// See [`DEFAULT_PACKET_TIMEOUT`].
    pub packet_timeout: Duration,
    /// See [`DEFAULT_WRITE_TIMEOUT`].
    pub write_timeout: Duration,
    /// See [`DEFAULT_WILL_TIMEOUT`].
    pub will_timeout: Duration,
    /// See [`DEFAULT_TAKEOVER_TIMEOUT`].
    pub takeover_timeout: Duration,
    /// See [`DEFAULT_DRAIN_GRACE`].
    pub drain_grace: Duration,
    /// See [`DEFAULT_REFUSAL_PAUSE`].
    pub refusal_pause: Duration,
    /// See [`DEFAULT_COMMAND_QUEUE`].
    pub command_queue: usize,
    /// Kernel send buffer per connection, bytes (the kernel doubles it); `None`: the system's.
    pub socket_send_buffer: Option<u32>,
    /// Kernel receive buffer per connection, bytes (the kernel doubles it); `None`: the system's.
    pub socket_receive_buffer: Option<u32>,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        EndpointConfig {
            max_connections: DEFAULT_MAX_CONNECTIONS,
            max_handshakes: DEFAULT_MAX_HANDSHAKES,
            handshake_timeout: DEFAULT_HANDSHAKE_TIMEOUT,
            max_packet_size: DEFAULT_MAX_PACKET_SIZE,
            max_unacked_messages: DEFAULT_MAX_UNACKED_MESSAGES,
            max_unacked_bytes: DEFAULT_MAX_UNACKED_BYTES,
            unacked_budget: DEFAULT_UNACKED_BUDGET,
            max_keep_alive: DEFAULT_MAX_KEEP_ALIVE,
            packet_timeout: DEFAULT_PACKET_TIMEOUT,
            write_timeout: DEFAULT_WRITE_TIMEOUT,
            will_timeout: DEFAULT_WILL_TIMEOUT,
            takeover_timeout: DEFAULT_TAKEOVER_TIMEOUT,
            drain_grace: DEFAULT_DRAIN_GRACE,
            refusal_pause: DEFAULT_REFUSAL_PAUSE,
            command_queue: DEFAULT_COMMAND_QUEUE,
            socket_send_buffer: None,
            socket_receive_buffer: None,
        }
    }
}

/// A limit that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("endpoint limit {field}: {problem}")]
pub struct ConfigError {
    /// Which field of [`EndpointConfig`].
    pub field: &'static str,
    /// What it must be.
    pub problem: &'static str,
}

impl EndpointConfig {
    /// Checks the limits against each other.
    ///
    /// # Errors
    /// All that are wrong, not only the first.
    pub fn check(&self) -> Result<(), Vec<ConfigError>> {
        let packet = self.max_packet_size as usize;
        let keep_alive = self.max_keep_alive.as_secs();
        let rules = [
            (self.max_connections == 0, "max_connections", "must be at least 1"),
            (self.max_handshakes == 0, "max_handshakes", "must be at least 1"),
            (packet < 1024, "max_packet_size", "must be at least 1024 bytes"),
            (
                packet > MQTT_MAX_PACKET,
                "max_packet_size",
                "must be at most 268435455 bytes",
            ),
            (
                self.max_unacked_messages == 0,
                "max_unacked_messages",
                "must be at least 1",
            ),
            (
                self.max_unacked_bytes < packet,
                "max_unacked_bytes",
                "must hold one packet of max_packet_size",
            ),
            (
                self.unacked_budget / 2 < packet,
                "unacked_budget",
                "must be at least twice max_packet_size",
            ),
            (
                self.unacked_budget > u32::MAX as usize,
                "unacked_budget",
                "must be below 4 GiB",
            ),
            (
                !(1..=65_535).contains(&keep_alive),
                "max_keep_alive",
                "must be 1 to 65535 seconds",
            ),
            (self.command_queue == 0, "command_queue", "must be at least 1"),
        ];
        let wrong: Vec<ConfigError> = rules
            .into_iter()
            .filter(|(broken, ..)| *broken)
            .map(|(_, field, problem)| ConfigError { field, problem })
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

/// Largest packet that MQTT can frame, bytes.
const MQTT_MAX_PACKET: usize = 268_435_455;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_work_together_and_all_wrong_limits_are_told() {
        assert_eq!(EndpointConfig::default().check(), Ok(()));
        let wrong = EndpointConfig {
            max_connections: 0,
            unacked_budget: 0,
            ..EndpointConfig::default()
        };
        let fields: Vec<_> = wrong.check().err().into_iter().flatten().map(|e| e.field).collect();
        assert_eq!(fields, ["max_connections", "unacked_budget"]);
    }
}
