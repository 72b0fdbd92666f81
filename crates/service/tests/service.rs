//! The promises of the service crate that need more than one module, or a real broker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "service/config.rs"]
mod config;
#[path = "service/mqtt_clients.rs"]
mod mqtt_clients;
#[path = "service/mqtt_publisher.rs"]
mod mqtt_publisher;
#[path = "service/mqtt_subscriber.rs"]
mod mqtt_subscriber;
