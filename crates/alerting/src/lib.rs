//! Alerting: what devices say goes in through a log, a few good notifications come out.
//!
//! The way of a hazard: [`intake`] puts it into alerting's own log; the runner reads it from there, the [`engine`] judges it
//! by [`rules`] and moves an alert's [`lifecycle`]; the [`store`] commits state, journal and outbox in one transaction; only
//! then do pages leave. Deliberately absent: the store of readings (the ingestor's), and any control of a device.

mod alerting;
pub mod api;
pub mod board;
pub mod cases;
pub mod config;
pub mod deadman;
pub mod engine;
pub mod fleet;
mod handle;
pub mod id;
pub mod intake;
pub mod lifecycle;
pub mod links;
pub mod metrics;
mod notify;
mod outlet;
pub mod paging;
pub mod permit;
mod plural;
pub mod proof;
mod registry_fleet;
mod registry_journal;
pub mod rehearsal;
pub mod rules;
mod runner;
pub mod store;
pub mod upstream;

pub use crate::alerting::{Alerting, BuildError, CURSOR, Parts};
pub use crate::config::Config;
pub use crate::handle::{CommandError, Handle, MAX_LIST, Summary};
pub use crate::notify::outlet_message;
pub use crate::notify::{Advise, Advised};
pub use crate::notify::{Problem, TargetError, check_receivers};
pub use crate::outlet::Outlet;
pub use crate::registry_fleet::RegistryFleet;
pub use crate::registry_journal::Followed;
pub use crate::runner::RunError;
