//! The promises of the spool, one module per kind of trouble.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "spool/kit.rs"]
mod kit;
#[path = "spool/ordinary.rs"]
mod ordinary;
