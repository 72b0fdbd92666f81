//! A device that shares no code with us, the real binary, real stores: a treatment goes in, points and pages come out.
mod advisory;
mod broker;
mod crashes;
mod endpoint;
mod quarantine;
mod records;
mod stores;
pub(crate) mod treatment;
