//! The ways in: the devices' endpoint, a subscription at a broker, and whoever submits through this process.
pub mod broker;
mod common_name;
pub mod endpoint;
pub mod record;
pub mod submit;

/// Messages that wait for the committer, per channel. As many as one commit takes: what waits is then committed next.
pub const DEFAULT_INTAKE_MESSAGES: usize = crate::commit::BATCH_MESSAGES;
