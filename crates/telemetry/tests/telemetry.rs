//! What crosses the one door means what its sender meant, or is refused for a reason.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "telemetry/admitted.rs"]
mod admitted;
#[path = "telemetry/firmware_page.rs"]
mod firmware_page;
#[path = "telemetry/frames.rs"]
mod frames;
#[path = "telemetry/hostile.rs"]
mod hostile;
#[path = "telemetry/meaning.rs"]
mod meaning;
#[path = "telemetry/schema.rs"]
mod schema;
#[path = "telemetry/sequence.rs"]
mod sequence;
#[path = "telemetry/strokes.rs"]
mod strokes;
#[path = "telemetry/topics.rs"]
mod topics;
#[path = "telemetry/vectors.rs"]
mod vectors;
