//! The devices' MQTT endpoint: publishes come in, and a PUBACK leaves only when the intake says that
//! the publish is on disk.
//!
//! It is an ingest endpoint and not a broker. Nothing is routed from one client to another, retained
//! messages are recorded and not served, and no session is kept: a device keeps its own outbox until
//! the PUBACK, and the CONNACK always says `session present = 0`, Session Expiry 0.
//!
//! ```text
//! accept ─▶ serve: TLS, CONNECT, Authenticate, takeover ─▶ connection (one task)
//!                                                           │ ReadBuffer ▶ frame ▶ Session ─▶ Inbound ─▶ intake
//!                                                           ◀─── Link: line of answers ◀── AckSlot ◀── committer
//! ```
//!
//! | the intake answers | MQTT 5 | MQTT 3.1.1 |
//! |---|---|---|
//! | [`Verdict::Stored`] | PUBACK 0x00 | PUBACK |
//! | [`Verdict::Quarantined`] | PUBACK 0x83, 0x87, 0x90 or 0x99 and why | PUBACK, or it would resend for ever |
//! | [`Verdict::QuotaExceeded`] | PUBACK 0x97, then a short pause in reading | a short pause, then closed |
//! | [`Verdict::ServerBusy`], no answer at all | DISCONNECT 0x89, 0x83 | closed |
//! | stored, but not the device's own topic | PUBACK 0x87 (wildcard: 0x90) | PUBACK |
//!
//! PUBACKs leave in the order of the publishes. Reading from a connection stops while its own window
//! is full, while it wants more than its share of a [budget](EndpointConfig::unacked_budget) that is
//! lent out, or while the intake is full: back-pressure reaches the device as a TCP window.
//!
//! Session, frames, deadlines and budget are pure and know no socket.

mod ack;
mod budget;
mod close;
pub mod config;
mod connect;
mod connection;
mod deadlines;
mod directory;
mod doors;
mod frame;
mod inbound;
mod link;
mod listen;
pub mod metrics;
mod packets;
mod peer;
mod read;
mod read_buffer;
mod serve;
mod session;
mod verdict;
mod write;

#[cfg(test)]
mod foreign_bytes;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

pub use ack::{AckSlot, answer_all};
pub use close::CloseReason;
pub use config::{ConfigError, EndpointConfig};
pub use directory::{CommandError, Commands, Delivered};
pub use doors::Doors;
pub use inbound::{Inbound, Kind, TopicCheck};
pub use listen::{BindError, Drained, Endpoint, Listener};
pub use peer::{AuthRejected, Authenticate, Peer, Presented, Proof, Protocol};
pub use verdict::{Fault, Verdict};

use budget::Budget;
use directory::Directory;
use metrics::Metrics;

/// What all connections share.
struct Shared {
    config: EndpointConfig,
    authenticate: Arc<dyn Authenticate>,
    intake: mpsc::Sender<Inbound>,
    budget: Arc<Budget>,
    directory: Arc<Directory>,
    metrics: Arc<Metrics>,
    handshakes: Semaphore,
    pauses: AtomicU64,
    randomness: RandomState,
}

impl Shared {
    fn new(config: EndpointConfig, authenticate: Arc<dyn Authenticate>, intake: mpsc::Sender<Inbound>) -> Shared {
        let metrics = Arc::new(Metrics::new());
        let directory = Directory::new(Arc::clone(&metrics), config.max_connections, config.command_queue);
        Shared {
            authenticate,
            intake,
            budget: Arc::new(Budget::new(config.unacked_budget, config.max_connections)),
            directory: Arc::new(directory),
            metrics,
            handshakes: Semaphore::new(config.max_handshakes),
            pauses: AtomicU64::new(0),
            randomness: RandomState::new(),
            config,
        }
    }

    /// The refusal pause, once to twice as long, so that a fleet does not come back in step.
    fn jittered_pause(&self) -> Duration {
        let draw = self.randomness.hash_one(self.pauses.fetch_add(1, Ordering::Relaxed));
        let extra = f64::from((draw >> 32) as u32) / f64::from(u32::MAX);
        self.config.refusal_pause.mul_f64(1.0 + extra)
    }
}
