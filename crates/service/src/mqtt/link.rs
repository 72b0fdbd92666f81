//! The state of a connection, and why one ended.

use std::time::{Duration, Instant};

use crate::logging::{FIELD_MAX, clean};

/// How often a broker that does not answer is complained about.
const COMPLAIN_EVERY: Duration = Duration::from_secs(15);

/// State of a client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// On its way: `attempt` counts from 1 since the last connection.
    Connecting {
        /// Number of this attempt.
        attempt: u32,
    },
    /// The broker accepted us.
    Connected {
        /// Whether it still had our session: subscriptions and unacknowledged messages.
        session_present: bool,
    },
    /// It ended or could not be made; another attempt follows.
    Disconnected {
        /// Why, bounded: fit for a metric.
        reason: DisconnectReason,
        /// Why, for a person; cleaned and cut.
        detail: String,
    },
    /// It was taken offline on demand and stays so.
    Offline,
    /// It was closed; nothing follows.
    Closed,
}

impl Link {
    /// Whether the broker is connected now.
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }
}

/// Why a connection ended or could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// No TCP connection, or it broke.
    Io,
    /// The TLS handshake failed.
    Tls,
    /// No answer in time: connecting, flushing or to a ping.
    Timeout,
    /// The broker refused us: credentials, client id, or it is not available.
    Refused,
    /// The broker closed the connection.
    ClosedByPeer,
    /// A packet larger than we read.
    TooLarge,
    /// The broker broke the protocol, or we did.
    Protocol,
    /// The client library panicked.
    Panicked,
    /// We cut it on demand.
    Cut,
    /// We closed it.
    Closed,
}

impl DisconnectReason {
    /// Name for a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::ClosedByPeer => "closed_by_peer",
            Self::TooLarge => "too_large",
            Self::Protocol => "protocol",
            Self::Panicked => "panicked",
            Self::Cut => "cut",
            Self::Closed => "closed",
        }
    }
}

/// The end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) reason: DisconnectReason,
    pub(super) detail: String,
    /// Size of the packet that was too large to read, in bytes.
    pub(super) oversize: Option<usize>,
}

impl Ended {
    pub(super) fn new(reason: DisconnectReason, detail: impl std::fmt::Display) -> Self {
        Self {
            reason,
            detail: clean(&detail.to_string(), FIELD_MAX),
            oversize: None,
        }
    }

    pub(super) fn oversize(bytes: usize) -> Self {
        let detail = format!("the broker sent a packet of {bytes} bytes");
        Self {
            oversize: Some(bytes),
            ..Self::new(DisconnectReason::TooLarge, detail)
        }
    }
}

/// Says that no broker answers: at once, and then every 15 s.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    down: Option<(Instant, u32)>,
    told: Option<Instant>,
}

impl Complaints {
    pub(super) fn attempt(&self) -> u32 {
        self.down.map_or(1, |(_, failures)| failures.saturating_add(1))
    }

    pub(super) fn down(&mut self, now: Instant, broker: &str, ended: &Ended) {
        let (since, failures) = self.down.map_or((now, 1), |(since, n)| (since, n.saturating_add(1)));
        self.down = Some((since, failures));
        if self.told.is_some_and(|told| now.duration_since(told) < COMPLAIN_EVERY) {
            return;
        }
        self.told = Some(now);
        let down_seconds = now.duration_since(since).as_secs();
        tracing::warn!(
            broker,
            reason = ended.reason.as_str(),
            error = ended.detail,
            failures,
            down_seconds,
            "no connection to the broker, trying again"
        );
    }

    /// A connection that is dropped at once over and over is not told each time either: `told` stays.
    pub(super) fn up(&mut self, now: Instant, broker: &str, session_present: bool) {
        match self.down.take() {
            Some((since, failures)) => {
                let down_seconds = now.duration_since(since).as_secs();
                tracing::info!(
                    broker,
                    session_present,
                    failures,
                    down_seconds,
                    "connected to the broker again"
                );
            }
            None => tracing::info!(broker, session_present, "connected to the broker"),
        }
    }
}
