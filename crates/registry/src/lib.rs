//! What the fleet *should be*: tenants, clinics, devices, models, limits, policies and credentials, read from a folder of TOML
//! files as one immutable, versioned snapshot.
//!
//! ```text
//! registry.toml                       version = 7
//! models/<model>.toml                 kind, limits, policy, and the safety bound of overrides
//! tenants/<tenant>/tenant.toml        number, name, retention, clinics, overrides
//! tenants/<tenant>/devices.toml       one short row a device (or several files below devices/)
//! ```
//!
//! Limits of a device are the most specific of model < tenant < clinic < device, never looser than the model's safety bound.
//! They are *configuration with cautious defaults*, never clinical claims: they must come from the maker's risk file.
//! Deliberately absent: no decision about alerts, no I/O after loading, no secret (only digests).
//!
//! ```
//! let registry = registry::Registry::from_sources(&registry::render::example())?;
//! let key = registry::parse_name("aurora/pen-0001").ok_or("no name")?;
//! let limits = registry.limits(&key).ok_or("unknown device")?;
//! assert!(limits.depth_max(None) <= limits.depth_max(Some(telemetry::Zone::Cheek)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod auth;
mod build;
mod error;
mod field;
mod files;
mod fleet;
mod limits;
mod load;
mod patch;
mod policy;
mod raw;
mod registry;
pub mod render;
mod resolve;
mod section;
mod shared;
mod source;
mod version;

pub use auth::{AuthReason, parse_name, sha256};
pub use error::{LoadError, LoadErrors, LoadReason, MAX_PROBLEMS};
pub use fleet::{Clinic, Credentials, Device, DeviceState, Model, Retention, Tenant};
pub use limits::{LightLimits, Limits, NeedleLimits};
pub use policy::Policy;
pub use registry::Registry;
pub use shared::Shared;
pub use version::RegistryVersion;
