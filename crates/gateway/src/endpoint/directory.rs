//! Who is connected: one connection per identity, the way to it for commands, and its successor.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::close::CloseReason;
use super::link::{Command, Link};
use super::metrics::Metrics;
use super::peer::Peer;

#[derive(Default)]
struct Entries {
    by_identity: HashMap<Arc<str>, (Arc<Link>, Arc<Peer>)>,
    /// Grows each time that all are looked at again.
    era: u64,
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

/// A connection's entry, and the connection of the same identity that it takes over.
pub(crate) type Entered = (Registration, Option<Arc<Link>>);

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

    /// To be read before a client is judged, for [`Self::register`].
    pub(crate) fn era(&self) -> u64 {
        self.entries().era
    }

    /// Asks every connection whose peer is not held any more to end; says how many. The fleet must have changed before this.
    pub(crate) fn look_again(&self, holds: impl Fn(&Peer) -> bool) -> usize {
        let mut entries = self.entries();
        entries.era += 1;
        let gone = entries.by_identity.values().filter(|(_, peer)| !holds(peer));
        gone.map(|(link, _)| link.end(CloseReason::FleetChanged)).count()
    }

    /// Enters a connection; an older one of the same identity is told to end and given back, to be
    /// waited for. `None`: the fleet changed since `era`, so the client has to be judged again.
    ///
    /// # Errors
    /// `TooManyConnections`, `ServerShuttingDown`.
    pub(crate) fn register(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        link: &Arc<Link>,
        era: u64,
    ) -> Result<Option<Entered>, CloseReason> {
        let identity = &peer.identity;
        let mut entries = self.entries();
        if entries.era != era {
            return Ok(None);
        }
        if entries.closing {
            return Err(CloseReason::ServerShuttingDown);
        }
        let known = entries.by_identity.contains_key(identity);
        if !known && entries.by_identity.len() >= self.max_connections {
            return Err(CloseReason::TooManyConnections);
        }
        let entry = (Arc::clone(link), Arc::clone(peer));
        let old = entries.by_identity.insert(Arc::clone(identity), entry).map(|old| old.0);
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
        Ok(Some((registration, old)))
    }

    /// Lets nobody in any more and asks all to end.
    pub(crate) fn close(&self) {
        let mut entries = self.entries();
        entries.closing = true;
        for (link, _) in entries.by_identity.values() {
            link.end(CloseReason::ServerShuttingDown);
        }
    }

    fn find(&self, identity: &str) -> Option<Arc<Link>> {
        self.entries()
            .by_identity
            .get(identity)
            .map(|(link, _)| Arc::clone(link))
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
            .is_some_and(|(link, _)| Arc::ptr_eq(link, &self.link))
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

impl Delivered {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Acknowledged, Self::Sent];

    /// A bounded name, for labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Sent => "sent",
        }
    }
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
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NoSuchPeer,
        Self::NotSubscribed,
        Self::Backlogged,
        Self::TooLarge,
        Self::Refused,
        Self::ConnectionLost,
    ];

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
            Ok(delivered) => delivered.as_str(),
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::super::budget::Budget;
    use super::super::peer::Proof;
    use super::*;

    #[test]
    fn whoever_was_judged_before_the_fleet_changed_is_not_entered_and_has_to_be_judged_again() {
        let directory = Arc::new(Directory::new(Arc::new(Metrics::new()), 10, 1));
        let link = Link::new(Arc::new(Budget::new(1024, 10)));
        let peer = Arc::new(Peer {
            identity: "acme/pen-1".into(),
            publish_topics: Vec::new(),
            will_topic: None,
            command_topic: "".into(),
            proof: Proof::Nothing,
        });
        let era = directory.era();
        assert_eq!(directory.look_again(|_| false), 0, "nobody is in yet");
        assert!(directory.register(&peer, &link, era).ok().unwrap().is_none());
        assert_eq!(directory.len(), 0);
        let entered = directory.register(&peer, &link, directory.era()).ok().unwrap();
        assert!(entered.is_some() && link.ordered_end().is_none());
        assert_eq!(directory.look_again(|_| false), 1);
        assert_eq!(link.ordered_end(), Some(CloseReason::FleetChanged));
    }
}
