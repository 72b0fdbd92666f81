//! Between the processes where they run apart: what a gateway let in goes in compressed batches over sharded topics of a broker to
//! the ingestors and alerting instances that own the shards.
//!
//! ```text
//! gateway's log ─▶ Forwarder ─▶ broker: uplink/{shard}/{tenant}/{clinic} ─▶ Receiver ─▶ log of ingestor or alerting
//!   cursor moves ◀──────────── broker: held/uplink/{gateway}/{role}/{instance} ◀── says what it holds, after fsync
//! ```
//!
//! - From disk to disk: a sender forgets what every reader says that it holds, whatever the broker acknowledged and lost. Each
//!   message says which [`stretch`] of its shard it is; a reader takes what follows ([`held`]), and says what it lacks.
//! - In order: a shard is pinned to one connection, so each clinic is; batches leave in the order of the log, and after a broken
//!   connection, or when a reader lacks something, they leave again from there, in order. Copies are passed over.
//! - A receiver trusts nothing: [`batch::open`] bounds sizes before and after decompression, compares the messages inside with
//!   the topic and recomputes the shard. A bad batch costs that batch, which is kept with its reason.
//! - A gateway does not send before a reader of each role holds its shards at the broker ([`readers`]): a broker forgets what
//!   nobody is subscribed to, and acknowledges it all the same.
//! - A gateway's watermark goes down every shard's topic after everything before it was acknowledged, and a receiver passes on the
//!   least of its shards ([`progress`]): it never says more than is in the log.

pub mod batch;
pub mod config;
pub mod downlink;
mod durable;
pub mod fence;
pub mod forward;
pub mod held;
pub mod kept;
pub mod metrics;
mod positions;
pub mod progress;
pub mod readers;
pub mod receive;
pub mod report;
mod says;
pub mod sender;
pub mod shards;
pub mod stretch;
pub mod topic;

pub use config::{Config, RawConfig};
pub use shards::ShardSet;
