//! The promises of the README, a module each. Every test runs the real binary, real files and real peers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod end_to_end;
mod tidy;
