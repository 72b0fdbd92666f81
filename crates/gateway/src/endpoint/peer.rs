//! Who a connection is: what it presents, and what it may do once somebody has said who it is.

use std::net::SocketAddr;
use std::sync::Arc;

/// The protocol version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// MQTT 3.1.1 (protocol level 4).
    V311,
    /// MQTT 5 (protocol level 5).
    V5,
}

/// What a client shows at CONNECT. Borrowed: nothing of it outlives the call.
pub struct Presented<'a> {
    /// May be empty.
    pub client_id: &'a str,
    /// User name, if the flag was set.
    pub username: Option<&'a str>,
    /// Password, if the flag was set; any bytes.
    pub password: Option<&'a [u8]>,
    /// DER of the leaf certificate, if the listener asked for one and it verified.
    pub client_certificate: Option<&'a [u8]>,
    /// Where the connection comes from.
    pub remote: SocketAddr,
    /// Version of the CONNECT.
    pub protocol: Protocol,
}

/// Why a client was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthRejected {
    /// 3.1.1: 0x04, MQTT 5: 0x86.
    #[error("bad user name or password")]
    BadCredentials,
    /// 3.1.1: 0x05, MQTT 5: 0x87.
    #[error("not authorized")]
    NotAuthorized,
    /// 3.1.1: 0x02, MQTT 5: 0x85.
    #[error("client identifier not valid")]
    ClientIdInvalid,
    /// 3.1.1: 0x03, MQTT 5: 0x89: the fleet is not loaded yet, say.
    #[error("not able to judge credentials now, try again later")]
    Busy,
}

/// Decides who a client is. Called once per CONNECT, on the connection's task: pure and fast, no I/O.
pub trait Authenticate: Send + Sync + 'static {
    /// Whether it would still let in whom it let in as `peer`. Asked for every connection when the fleet has changed: pure and
    /// fast, no I/O.
    fn holds(&self, peer: &Peer) -> bool {
        let _ = peer;
        true
    }

    /// Says who presents this, or why nobody.
    ///
    /// # Errors
    /// [`AuthRejected`], which becomes the CONNACK's code.
    fn authenticate(&self, presented: &Presented<'_>) -> Result<Arc<Peer>, AuthRejected>;
}

/// What proved who a client is: by its digest, so that it can be told later whether it still does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proof {
    /// Nothing that is looked at again.
    Nothing,
    /// A secret, by its SHA-256.
    Secret([u8; 32]),
    /// A certificate, by the SHA-256 of its DER.
    Certificate([u8; 32]),
}

/// An authenticated client and what it may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// One connection per identity; a second one takes over. For example `acme/pen-0042`.
    pub identity: Arc<str>,
    /// Topics that it may publish to, exactly; no wildcards. The first is looked at first.
    pub publish_topics: Vec<Arc<str>>,
    /// The only topic that its will may have; `None`: it may not have one.
    pub will_topic: Option<Arc<str>>,
    /// The only topic that it may subscribe to.
    pub command_topic: Arc<str>,
    /// What proved who it is.
    pub proof: Proof,
}

impl Peer {
    /// The peer's own copy of `topic`, so that a publish to it costs no allocation.
    pub(crate) fn own_topic(&self, topic: &[u8]) -> Option<&Arc<str>> {
        self.publish_topics.iter().find(|own| own.as_bytes() == topic)
    }
}
