//! Where refused messages wait: on disk before they are acknowledged, with reason and payload, to be looked at and replayed.
//!
//! Each device has a share of its own, so one device's garbage evicts nobody else's; whoever is not known shares one.
//! At the bound of a share its oldest entry goes (replayed ones first), at the total bound the oldest of the largest share;
//! each is counted.
mod shares;
mod store;
pub mod tally;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use telemetry::{DeviceKey, Origin, RejectReason, Rejected, UnixMicros};

pub use store::Quarantine;

/// The database in the gateway's directory.
pub const FILE_NAME: &str = "quarantine.db";
/// Entries of one device: enough to see what a firmware does wrong, and to replay minutes of a treatment.
pub const DEFAULT_SHARE_ENTRIES: u32 = 1_000;
/// Bytes of one device.
pub const DEFAULT_SHARE_BYTES: u64 = 1024 * 1024;
/// Bytes of all.
pub const DEFAULT_TOTAL_BYTES: u64 = 256 * 1024 * 1024;
/// Longest payload that is kept whole. A longer one is cut and can be looked at, not replayed.
pub const PAYLOAD_KEPT_MAX: usize = telemetry::MAX_PAYLOAD_BYTES;
/// Longest topic that is kept; none of the grammar's is longer.
pub const TOPIC_KEPT_MAX: usize = 256;
/// Most entries of one replay; the report says if there are more.
pub const REPLAY_MAX: usize = 10_000;
/// Most entries of one listing.
pub const LIST_MAX: usize = 10_000;

/// The bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// See [`DEFAULT_SHARE_ENTRIES`].
    pub share_entries: u32,
    /// See [`DEFAULT_SHARE_BYTES`].
    pub share_bytes: u64,
    /// See [`DEFAULT_TOTAL_BYTES`].
    pub total_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            share_entries: DEFAULT_SHARE_ENTRIES,
            share_bytes: DEFAULT_SHARE_BYTES,
            total_bytes: DEFAULT_TOTAL_BYTES,
        }
    }
}

/// A message to be kept.
#[derive(Debug, Clone)]
pub struct Refused {
    /// When it came.
    pub received_at: UnixMicros,
    /// Whose share: the connection's device, or the topic's if the registry knows it.
    pub share: Option<DeviceKey>,
    /// `tenant/device` as the connection proved it.
    pub peer: Option<String>,
    /// Its topic.
    pub topic: String,
    /// Why.
    pub rejected: Rejected,
    /// As it came.
    pub payload: Bytes,
    /// Which way.
    pub origin: Origin,
    /// Delivered as retained.
    pub retained: bool,
}

/// A kept message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Grows with every message.
    pub id: i64,
    /// When it came.
    pub received_at: UnixMicros,
    /// `tenant/device` of the share; `None`: unknown.
    pub share: Option<String>,
    /// `tenant/device` as the connection proved it.
    pub peer: Option<String>,
    /// Its topic, cut at [`TOPIC_KEPT_MAX`].
    pub topic: String,
    /// Label of a [`RejectReason`].
    pub reason: String,
    /// Where in the message.
    pub field: String,
    /// What was wrong.
    pub detail: String,
    /// The payload's length in bytes, as it came.
    pub payload_bytes: u64,
    /// Which way.
    pub origin: Origin,
    /// Delivered as retained.
    pub retained: bool,
    /// When it was replayed and stored.
    pub replayed_at: Option<UnixMicros>,
}

/// The names of all reasons.
fn reasons() -> Vec<&'static str> {
    RejectReason::ALL.iter().map(|reason| reason.as_str()).collect()
}

/// A kept message as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Refused")]
pub struct Shown {
    /// Its number, by which it is shown and replayed.
    pub id: i64,
    /// When it came, in microseconds since 1970-01-01 UTC.
    pub received_at_us: i64,
    /// `tenant/device`; `None`: nobody known.
    pub device: Option<String>,
    /// Its topic, cut where it is long.
    pub topic: String,
    /// Why it was refused.
    #[schemars(extend("enum" = reasons()))]
    pub reason: String,
    /// Where in the message; `None`: as a whole.
    pub field: Option<String>,
    /// What was wrong, in words.
    pub detail: String,
    /// The payload's length in bytes, as it came.
    pub payload_bytes: u64,
    /// It was let in since.
    pub replayed: bool,
}

impl From<Kept> for Shown {
    fn from(kept: Kept) -> Self {
        Self {
            id: kept.id,
            received_at_us: kept.received_at.0,
            device: kept.share,
            topic: kept.topic,
            reason: kept.reason,
            field: Some(kept.field).filter(|field| !field.is_empty()),
            detail: kept.detail,
            payload_bytes: kept.payload_bytes,
            replayed: kept.replayed_at.is_some(),
        }
    }
}

/// Which kept messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// These.
    pub ids: Option<Vec<i64>>,
    /// Refused for this reason.
    pub reason: Option<RejectReason>,
    /// In this device's share.
    pub device: Option<DeviceKey>,
    /// Also those that were replayed.
    pub replayed_too: bool,
    /// Only numbers above this one: where a replay before ended.
    pub after: Option<i64>,
}

/// What quarantine holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Messages.
    pub entries: u64,
    /// Bytes, with what stands beside the payloads.
    pub bytes: u64,
}

/// Why quarantine could not do it.
#[derive(Debug, thiserror::Error)]
#[error("quarantine {path} failed: {action}; nothing was lost, look at the disk")]
pub struct QuarantineError {
    /// The database.
    pub path: PathBuf,
    /// What it was to do.
    pub action: &'static str,
    /// What SQLite said.
    #[source]
    pub source: rusqlite::Error,
}

pub(crate) const ORIGINS: [(Origin, &str); 5] = [
    (Origin::Endpoint, "endpoint"),
    (Origin::Broker, "broker"),
    (Origin::Recorded, "recorded"),
    (Origin::Replayed, "replayed"),
    (Origin::Internal, "internal"),
];

/// The label of an origin, in metrics and in the database.
pub(crate) fn origin_label(origin: Origin) -> &'static str {
    ORIGINS
        .iter()
        .find(|(o, _)| *o == origin)
        .map_or("internal", |(_, label)| label)
}
