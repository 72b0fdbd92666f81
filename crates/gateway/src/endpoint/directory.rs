//! Who is connected: one connection per identity, the way to it for commands, and its successor.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::close::CloseReason;
use super::link::{Command, Link};
use super::metrics::Metrics;

#[derive(Default)]
struct Entries {
    by_identity: HashMap<Arc<str>, Arc<Link>>,
    /// No more are let in: the endpoint stops.
    closing: bool,
}

/// The connections past authentication, by identity.
pub(crate) struct Directory {
    entries: Mutex<Entries>,
    metrics: Arc<Metrics>,
    max_connections: usize,
    command_queue: usize,
}

/// A connection's entry; dropping it says that the connection is over.
pub(crate) struct Registration {
    directory: Arc<Directory>,
    identity: Arc<str>,
    link: Arc<Link>,
}

impl Directory {
    pub(crate) fn new(metrics: Arc<Metrics>, max_connections: usize, command_queue: usize) -> Directory {
        Directory {
            entries: Mutex::default(),
            metrics,
            max_connections,
            command_queue,
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a connection; an older one of the same identity is told to end and given back, to be
    /// waited for.
    ///
    /// # Errors
    /// `TooManyConnections`, `ServerShuttingDown`.
    pub(crate) fn register(
        self: &Arc<Self>,
        identity: &Arc<str>,
        link: &Arc<Link>,
    ) -> Result<(Registration, Option<Arc<Link>>), CloseReason> {
        let mut entries = self.entries();
        if entries.closing {
            return Err(CloseReason::ServerShuttingDown);
        }
        let known = entries.by_identity.contains_key(identity);
        if !known && entries.by_identity.len() >= self.max_connections {
            return Err(CloseReason::TooManyConnections);
        }
        let old = entries.by_identity.insert(Arc::clone(identity), Arc::clone(link));
        drop(entries);
        if let Some(old) = &old {
            old.end(CloseReason::SessionTakenOver);
        }
        self.metrics.connections.increment(1.0);
        let registration = Registration {
            directory: Arc::clone(self),
            identity: Arc::clone(identity),
            link: Arc::clone(link),
        };
        Ok((registration, old))
    }

    /// Lets nobody in any more and asks all to end.
    pub(crate) fn close(&self) {
        let mut entries = self.entries();
        entries.closing = true;
        for link in entries.by_identity.values() {
            link.end(CloseReason::ServerShuttingDown);
        }
    }

    fn find(&self, identity: &str) -> Option<Arc<Link>> {
        self.entries().by_identity.get(identity).map(Arc::clone)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries().by_identity.len()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut entries = self.directory.entries();
        if entries
            .by_identity
            .get(&self.identity)
            .is_some_and(|link| Arc::ptr_eq(link, &self.link))
        {
            entries.by_identity.remove(&self.identity);
        }
        drop(entries);
        self.directory.metrics.connections.decrement(1.0);
        self.link.set_gone();
    }
}

/// How a command got down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// The device subscribed with QoS 1 and sent its PUBACK.
    Acknowledged,
    /// The device subscribed with QoS 0: written to its connection, nothing more is known.
    Sent,
}

/// Why a command did not get down, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Not connected here.
    #[error("device is not connected")]
    NoSuchPeer,
    /// Connected, and not subscribed to its command topic.
    #[error("device is connected but has not subscribed to its command topic")]
    NotSubscribed,
    /// As many commands wait for it as may.
    #[error("as many commands as allowed wait for this device, try again later")]
    Backlogged,
    /// Larger than its Maximum Packet Size.
    #[error("command is larger than the device accepts")]
    TooLarge,
    /// Its PUBACK carried an error code.
    #[error("device refused the command")]
    Refused,
    /// The connection ended first; the device may have got it.
    #[error("connection ended before the device acknowledged")]
    ConnectionLost,
}

impl CommandError {
    /// The metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CommandError::NoSuchPeer => "no_such_peer",
            CommandError::NotSubscribed => "not_subscribed",
            CommandError::Backlogged => "backlogged",
            CommandError::TooLarge => "too_large",
            CommandError::Refused => "refused",
            CommandError::ConnectionLost => "connection_lost",
        }
    }
}

/// Sends commands down to connected devices. Cheap to clone.
#[derive(Clone)]
pub struct Commands {
    directory: Arc<Directory>,
}

impl Commands {
    pub(crate) fn new(directory: Arc<Directory>) -> Commands {
        Commands { directory }
    }

    /// Publishes `payload` on the command topic of `identity` and waits for the device's PUBACK
    /// (with QoS 1). Waits as long as the connection lives: bound it where that is too long; a
    /// command that was given up may still arrive.
    ///
    /// # Errors
    /// [`CommandError`]; only `ConnectionLost` leaves open whether the device got it.
    pub async fn send(&self, identity: &str, payload: Bytes) -> Result<Delivered, CommandError> {
        let outcome = self.try_send(identity, payload).await;
        self.directory.metrics.command(match outcome {
            Ok(Delivered::Acknowledged) => "acknowledged",
            Ok(Delivered::Sent) => "sent",
            Err(error) => error.as_str(),
        });
        outcome
    }

    async fn try_send(&self, identity: &str, payload: Bytes) -> Result<Delivered, CommandError> {
        let link = self.directory.find(identity).ok_or(CommandError::NoSuchPeer)?;
        if !link.is_subscribed() {
            return Err(CommandError::NotSubscribed);
        }
        let (done, outcome) = oneshot::channel();
        if !link.push_command(Command { payload, done }, self.directory.command_queue) {
            return Err(CommandError::Backlogged);
        }
        drop(link);
        outcome.await.unwrap_or(Err(CommandError::ConnectionLost))
    }

    /// Whether `identity` is connected here now.
    #[must_use]
    pub fn is_connected(&self, identity: &str) -> bool {
        self.directory.find(identity).is_some_and(|link| !link.is_gone())
    }

    /// How many devices are connected here now.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.directory.len()
    }
}
