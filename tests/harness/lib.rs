//! What the promise tests run on: the real binary as a child process, a webhook that counts, the independent device.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod apart;
mod binary;
mod browser;
mod device;
mod foreign;
mod look;
mod mosquitto;
mod mqtt;
mod nats;
mod source;
mod stack;
mod treating;
mod wait;
mod webhook;

use std::path::PathBuf;

pub use service::testing::free_port;

pub use apart::{Apart, uplink};
pub use binary::dermatel;
pub use browser::{Browser, Look};
pub use device::{DeviceReport, IndependentDevice, python};
pub use foreign::{foreign_stretch, introduction};
pub use look::{SOON, copy_folder, folder_bytes};
pub use mosquitto::Mosquitto;
pub use mqtt::{
    Login, Mqtt, NOT_AUTHORIZED, NotConnected, PAYLOAD_FORMAT_INVALID, Puback, QUOTA_EXCEEDED, Version, deliver_all,
};
pub use nats::NatsCluster;
pub use source::{HAZARD_UM, SETPOINT_UM, Source, now_us, random, random_below};
pub use stack::{CLINIC, Stack, StackSpec, Store, TENANT, TOKEN, secret};
pub use treating::{Treated, Treating};
pub use wait::wait_for;
pub use webhook::{Page, Webhook};

/// The root of the workspace.
pub fn workspace_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace has a root")
        .to_owned()
}
