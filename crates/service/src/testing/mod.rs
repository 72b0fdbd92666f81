//! For the tests of every crate that talks MQTT: a real mosquitto, a network that can be broken, and bounded waiting.
//!
//! Loopback only; only processes started here are ended, by their id. Panics are what a failed test wants, so they are allowed here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fault_proxy;
mod mosquitto;
mod port;

use std::time::Duration;

pub use fault_proxy::FaultProxy;
pub use mosquitto::Mosquitto;
pub use port::free_port;

/// Polls `condition` until it holds; panics with `what` when it does not within `limit`.
pub async fn wait_for(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + limit;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
