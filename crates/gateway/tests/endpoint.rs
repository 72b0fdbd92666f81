//! The devices' endpoint over real sockets: what each promise looks like to a client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "endpoint/acks.rs"]
mod acks;
#[path = "endpoint/commands.rs"]
mod commands;
#[path = "endpoint/counted.rs"]
mod counted;
#[path = "endpoint/foreign.rs"]
mod foreign;
#[path = "endpoint/harness.rs"]
mod harness;
#[path = "endpoint/letting_in.rs"]
mod letting_in;
#[path = "endpoint/lifecycle.rs"]
mod lifecycle;
#[path = "endpoint/limits.rs"]
mod limits;
#[path = "endpoint/tls.rs"]
mod tls;
