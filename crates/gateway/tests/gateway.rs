//! The gateway's promises, from outside: on disk before it is acknowledged, once, in every log, whatever crashes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "gateway/at_cap.rs"]
mod at_cap;
#[path = "gateway/broker.rs"]
mod broker;
#[path = "gateway/crashes.rs"]
mod crashes;
#[path = "gateway/devices.rs"]
mod devices;
#[path = "gateway/fleet.rs"]
mod fleet;
#[path = "gateway/frames.rs"]
mod frames;
#[path = "gateway/identity.rs"]
mod identity;
#[path = "gateway/kit.rs"]
mod kit;
#[path = "gateway/process.rs"]
mod process;
#[path = "gateway/replays.rs"]
mod replays;
#[path = "gateway/times.rs"]
mod times;
#[path = "gateway/tls.rs"]
mod tls;
