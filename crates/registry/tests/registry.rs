//! The registry's promises, from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "registry/common.rs"]
mod common;
#[path = "registry/example.rs"]
mod example;
