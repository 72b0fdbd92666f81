//! Between the processes where they run apart: what a gateway let in goes in compressed batches over sharded topics of a broker to
//! the ingestors and alerting instances that own the shards.
//!
//! ```text
//! gateway's log ─▶ Forwarder ─▶ broker: uplink/{shard}/{tenant}/{clinic} ─▶ Receiver ─▶ log of ingestor or alerting
//!                  cursor moves after PUBACK                                 PUBACK after fsync
//! ```
//!
//! - In order: a shard is pinned to one connection, so each clinic is; batches leave in the order of the log, and after a broken
//!   connection the unacknowledged ones leave again, in order. The receiver passes over copies.
//! - At every hop the sender forgets only what the next one holds on disk; what the broker's PUBACK means is the broker's affair.
//! - A receiver trusts nothing: [`batch::open`] bounds sizes before and after decompression, compares the messages inside with
//!   the topic and recomputes the shard. A bad batch costs that batch, which is kept with its reason.
//! - A gateway does not send before a reader of each role holds its shards at the broker ([`readers`]): a broker forgets what
//!   nobody is subscribed to, and acknowledges it all the same.
//! - A gateway's watermark goes down every shard's topic after everything before it was acknowledged, and a receiver passes on the
//!   least of its shards ([`progress`]): it never says more than is in the log.

pub mod batch;
pub mod config;
pub mod downlink;
pub mod forward;
mod kept;
pub mod metrics;
pub mod progress;
pub mod readers;
pub mod receive;
pub mod report;
pub mod sender;
pub mod shards;
pub mod topic;

pub use config::{Config, RawConfig};
pub use shards::ShardSet;
