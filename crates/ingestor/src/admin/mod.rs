//! InfluxDB as an operator meets it: `setup` makes what Dermatel needs there, `doctor` says what is missing or wrong.
//!
//! What is wanted follows from the configuration and the tenants alone, see [`Wanted`]; both compare it with what is there.

mod api;
mod doctor;
mod probe;
mod setup;
mod tokens;

use std::time::Duration;

use telemetry::TenantId;

use crate::config::Config;
use crate::store::InfluxConfig;
use crate::store::influx::TENANT_PLACE;
use crate::store::influxql::{DETAIL_POLICY, ROLLUP_POLICY};

pub use api::ApiError;
pub use doctor::{Diagnosis, Finding, doctor};
pub use probe::Server;
pub use setup::{Change, SetupError, setup};

/// A bucket as it should be, and how InfluxQL finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// Points are kept so many seconds, as the configuration says; where it says nothing a bucket that is there stays as it
    /// is, and a new one keeps for ever.
    pub keep_s: Option<u64>,
    /// The database that InfluxQL asks.
    pub database: String,
    /// The retention policy that InfluxQL asks.
    pub policy: &'static str,
}

impl Bucket {
    /// Whether roll-ups lie among the points: then there is one bucket of a tenant and not two.
    pub fn is_shared(&self) -> bool {
        !self.is_default() && self.name == self.database
    }

    /// Whether InfluxQL means this bucket when it names no retention policy.
    pub fn is_default(&self) -> bool {
        self.policy == DETAIL_POLICY
    }
}

/// What should be there.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The server and the ingestor's token.
    pub influx: InfluxConfig,
    /// Two of each tenant, if minutes and hours are rolled up.
    pub buckets: Vec<Bucket>,
    /// The tenants.
    pub tenants: Vec<TenantId>,
}

impl Wanted {
    /// What a configuration and its tenants need; `None` with the embedded store.
    pub fn new(config: &Config, tenants: &[TenantId]) -> Option<Self> {
        let influx = config.influx.clone()?;
        let mut buckets = Vec::new();
        for tenant in tenants {
            let database = influx.bucket.replace(TENANT_PLACE, tenant.as_str());
            let mut add = |name: String, keep: Option<Duration>, policy| {
                buckets.push(Bucket {
                    tenant: tenant.clone(),
                    name,
                    keep_s: keep.map(|keep| keep.as_secs()),
                    database: database.clone(),
                    policy,
                });
            };
            add(database.clone(), config.retention, DETAIL_POLICY);
            if config.rollups.on {
                let name = influx.rollup_bucket.replace(TENANT_PLACE, tenant.as_str());
                // One bucket for both, as InfluxDB 3 wants it, has one retention.
                let kept = if name == database {
                    config.retention
                } else {
                    config.rollups.kept
                };
                add(name, kept, ROLLUP_POLICY);
            }
        }
        Some(Self {
            influx,
            buckets,
            tenants: tenants.to_vec(),
        })
    }
}

/// Seconds as a person reads them.
fn kept(seconds: u64) -> String {
    match seconds {
        0 => "for ever".to_owned(),
        s if s % 86_400 == 0 => format!("{} d", s / 86_400),
        s if s % 3_600 == 0 => format!("{} h", s / 3_600),
        s => format!("{s} s"),
    }
}
