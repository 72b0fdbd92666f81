//! Alerting: what devices say goes in through a log, a few good notifications come out.
//!
//! The way of a hazard: [`intake`] puts it into alerting's own log; the [`engine`] judges it by [`rules`] and moves an
//! alert's [`lifecycle`]. Deliberately absent: the store (the ingestor's), and any control of a device.

pub mod engine;
pub mod fleet;
pub mod id;
pub mod intake;
pub mod lifecycle;
pub mod rules;
pub mod store;
