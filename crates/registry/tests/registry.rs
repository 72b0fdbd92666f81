//! The registry's promises, from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "registry/auth.rs"]
mod auth;
#[path = "registry/changes.rs"]
mod changes;
#[path = "registry/common.rs"]
mod common;
#[path = "registry/example.rs"]
mod example;
#[path = "registry/follow.rs"]
mod follow;
#[path = "registry/journal.rs"]
mod journal;
#[path = "registry/laws.rs"]
mod laws;
#[path = "registry/refusals.rs"]
mod refusals;
#[path = "registry/snapshot.rs"]
mod snapshot;
