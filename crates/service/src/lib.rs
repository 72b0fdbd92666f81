//! What a process needs, and nothing about what it is for: configuration, shutdown, health, metrics, logs, TLS and MQTT.
//!
//! No device and no domain word lives here. [`mqtt`] is the one place where rumqttc's client is used.

pub mod backoff;
pub mod clock;
pub mod config;
pub mod health;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod mqtt;
pub mod reload;
pub mod shutdown;
pub mod telemetry_names;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;
