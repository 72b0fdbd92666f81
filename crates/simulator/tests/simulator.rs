//! What a simulated fleet promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "simulator/detected.rs"]
mod detected;
#[path = "simulator/faults.rs"]
mod faults;
#[path = "simulator/healthy.rs"]
mod healthy;
#[path = "simulator/read.rs"]
mod read;
#[path = "simulator/scenarios.rs"]
mod scenarios;
#[path = "simulator/wire.rs"]
mod wire;
#[path = "simulator/wire_faults.rs"]
mod wire_faults;
