//! Where records go: one seam, two stores. A write says in a bounded way what became of it, so that the pipeline can decide
//! without knowing which store it was.

pub(crate) mod clock;
pub mod influx;
pub mod influxql;
pub mod queries;
pub mod sqlite;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use telemetry::TenantId;

use crate::record::Record;
use crate::rollup::Group;

pub use influx::{InfluxConfig, InfluxStore};
pub use sqlite::SqliteStore;

/// A batch that the store took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// Indices of the records that were not kept because they are older than the store keeps; ascending.
    pub expired: Vec<usize>,
}

/// Why a batch was not taken, by what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The store is in trouble, not the batch: the same again, later.
    #[error("the store cannot take points now ({reason}): {detail}; they are kept and tried again", reason = reason.as_str())]
    Retry {
        /// Bounded reason.
        reason: Reason,
        /// What was said.
        detail: String,
        /// Earliest next try, if the store said so.
        after: Option<Duration>,
    },
    /// The batch is too large for the store: in halves.
    #[error("the batch is too large for the store: {detail}")]
    Split {
        /// What was said.
        detail: String,
    },
    /// Something in the batch is refused for good.
    #[error("the store refuses a point ({reason}): {detail}", reason = reason.as_str())]
    Reject {
        /// Bounded reason.
        reason: Reason,
        /// What was said.
        detail: String,
    },
    /// Nothing of this tenant is taken before a person changes something.
    #[error("the store refuses everything ({reason}): {detail}; points are kept; `dermatel influx doctor` says what to put right", reason = reason.as_str())]
    Fatal {
        /// Bounded reason.
        reason: Reason,
        /// What was said.
        detail: String,
    },
}

/// Why the points of a period could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store cannot be asked for points to roll up ({reason}): {detail}", reason = reason.as_str())]
pub struct ReadError {
    /// Bounded reason.
    pub reason: Reason,
    /// What was said, and what to do where that is known.
    pub detail: String,
}

/// Bounded reasons of [`WriteError`] and [`ReadError`], for labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No connection.
    Connect,
    /// No answer in time.
    Timeout,
    /// The connection broke, or the answer made no sense.
    Protocol,
    /// 429: too many writes.
    RateLimited,
    /// 5xx.
    Server,
    /// The database file is locked, full or damaged.
    Database,
    /// 413, or one record that is too large by itself.
    TooLarge,
    /// 400 or 422: a point that the store does not understand or whose field has another type there.
    Refused,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404: no such bucket, or no database that InfluxQL could ask.
    NotFound,
    /// 404: no such organization.
    WrongOrganization,
    /// 404 from a server that has no v2 API.
    NoV2Api,
    /// It takes points and cannot be asked in InfluxQL: no trouble that could end, it is another kind of store.
    Unsupported,
    /// The store's disk is full.
    DiskFull,
    /// Another answer that a retry will not change.
    Unexpected,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 16] = [
        Self::Connect,
        Self::Timeout,
        Self::Protocol,
        Self::RateLimited,
        Self::Server,
        Self::Database,
        Self::TooLarge,
        Self::Refused,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::WrongOrganization,
        Self::NoV2Api,
        Self::Unsupported,
        Self::DiskFull,
        Self::Unexpected,
    ];

    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::RateLimited => "rate_limited",
            Self::Server => "server",
            Self::Database => "database",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::WrongOrganization => "wrong_organization",
            Self::NoV2Api => "no_v2_api",
            Self::Unsupported => "unsupported",
            Self::DiskFull => "disk_full",
            Self::Unexpected => "unexpected",
        }
    }
}

impl WriteError {
    /// The reason, as a bounded label.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Retry { reason, .. } | Self::Reject { reason, .. } | Self::Fatal { reason, .. } => *reason,
            Self::Split { .. } => Reason::TooLarge,
        }
    }
}

/// A store. A record counts as stored when a write that held it gave `Ok` and did not name it as expired; that is durable.
/// Writing a record again is the same point.
#[derive(Debug, Clone)]
pub enum Store {
    /// Embedded.
    Sqlite(SqliteStore),
    /// InfluxDB 2, or what takes its writes.
    Influx(Box<InfluxStore>),
}

impl Store {
    /// Whether a batch may hold one tenant's records only: each tenant has a bucket of its own there.
    pub fn per_tenant(&self) -> bool {
        matches!(self, Self::Influx(_))
    }

    /// Writes a stretch of records; of `tenant` alone if [`Store::per_tenant`]. Indices in the answer count from its start.
    ///
    /// # Errors
    /// [`WriteError`] by what to do. Some of the batch may be stored all the same; writing it again is harmless.
    pub async fn write(
        &self,
        tenant: Option<&TenantId>,
        records: &Arc<Vec<Record>>,
        range: Range<usize>,
        now_ns: i64,
    ) -> Result<Written, WriteError> {
        match self {
            Self::Sqlite(store) => {
                let (store, records) = (store.clone(), Arc::clone(records));
                tokio::task::spawn_blocking(move || store.write(records.get(range).unwrap_or(&[]), now_ns))
                    .await
                    .unwrap_or_else(|e| {
                        Err(WriteError::Retry {
                            reason: Reason::Database,
                            detail: e.to_string(),
                            after: None,
                        })
                    })
            }
            Self::Influx(store) => store.write(tenant, records.get(range).unwrap_or(&[])).await,
        }
    }
}

impl Store {
    /// Rolls the periods of a group up anew: the roll-ups of all that the store holds of them.
    ///
    /// # Errors
    /// [`ReadError`]: nothing was computed.
    pub async fn roll_up(&self, group: &Group) -> Result<Vec<Record>, ReadError> {
        match self {
            Self::Sqlite(store) => {
                let (store, group) = (store.clone(), group.clone());
                tokio::task::spawn_blocking(move || store.roll_up(&group))
                    .await
                    .map_err(|e| e.to_string())
                    .and_then(|rolled| rolled.map_err(|e| e.source.to_string()))
                    .map_err(|detail| ReadError {
                        reason: Reason::Database,
                        detail,
                    })
            }
            Self::Influx(store) => store.roll_up(group).await,
        }
    }
}

/// Indices of the `count` oldest records, ascending: those are what a store drops that has a horizon in time.
pub(crate) fn oldest(batch: &[Record], count: usize) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..batch.len()).collect();
    indices.sort_by_key(|&at| batch.get(at).map_or(i64::MAX, Record::time_ns));
    indices.truncate(count);
    indices.sort_unstable();
    indices
}
