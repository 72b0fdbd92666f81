//! What the endpoint hands to the intake: a publish or a will, and the slot that answers it.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use super::ack::AckSlot;
use super::close::CloseReason;
use super::peer::{Peer, Protocol};

/// One message from a device, in the order in which its connection sent it.
#[derive(Debug)]
pub struct Inbound {
    /// Who sent it.
    pub peer: Arc<Peer>,
    /// Valid UTF-8 without NUL.
    pub topic: Arc<str>,
    /// Whether `topic` is one of the peer's; if not, the message belongs in quarantine.
    pub topic_check: TopicCheck,
    /// A slice of the connection's read buffer: keep it no longer than needed.
    pub payload: Bytes,
    /// A publish, or a will with the reason for which the connection ended.
    pub kind: Kind,
    /// 0 or 1 (a 3.1.1 will may say 2).
    pub qos: u8,
    /// The retain flag: recorded, not served.
    pub retain: bool,
    /// The client says that it sent this before.
    pub dup: bool,
    /// When there was room for it in the intake (wall clock): its last byte had been read, and it is put there at once.
    pub received_at: SystemTime,
    /// Protocol version of the connection.
    pub protocol: Protocol,
    /// Must be answered; dropping it closes the connection, so that the device sends again.
    pub ack: AckSlot,
}

/// What kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The client published it.
    Publish,
    /// The client left it at CONNECT for when the connection ends without DISCONNECT. Nobody waits
    /// for its answer.
    Will {
        /// Why the connection ended. `ServerShuttingDown` says nothing about the device.
        cause: CloseReason,
    },
}

/// Whether a topic is the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicCheck {
    /// One of [`Peer::publish_topics`], or its will topic.
    Own,
    /// Somebody else's, or nobody's. MQTT 5: answered 0x87 whatever the verdict says.
    NotOwn,
    /// Has wildcards, which no topic name may. MQTT 5: answered 0x90.
    Wildcard,
}
