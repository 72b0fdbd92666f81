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
//! Changes by command ([`Book`]) go into a journal that is laid over the files, until the files say the same.
//! Deliberately absent: no decision about alerts, no clock, no secret (only digests).
//!
//! ```
//! let registry = registry::Registry::from_sources(&registry::render::example())?;
//! let key = registry::parse_name("aurora/pen-0001").ok_or("no name")?;
//! let limits = registry.limits(&key).ok_or("unknown device")?;
//! assert!(limits.depth_max(None) <= limits.depth_max(Some(telemetry::Zone::Cheek)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod auth;
mod book;
mod build;
mod change;
mod error;
mod field;
mod files;
mod fleet;
mod follow;
pub mod import;
mod journal;
mod limits;
mod load;
mod overlay;
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
pub use book::{Book, ChangeError, Changed, Done, Folded, OpenError, Opened, Stands};
pub use change::{Change, Day, Digest, MAX_ACTOR_BYTES, MAX_STEPS, MAX_WHY_BYTES, NewDevice, Order, Row, Step};
pub use error::{LoadError, LoadErrors, LoadReason, MAX_PROBLEMS};
pub use fleet::{Clinic, Credentials, Device, DeviceState, Model, Retention, Tenant};
pub use follow::{FollowError, Followed};
pub use journal::{Journal, JournalError, Torn};
pub use limits::{LightLimits, Limits, NeedleLimits};
pub use load::{Files, Loaded};
pub use overlay::Pending;
pub use policy::Policy;
pub use registry::Registry;
pub use shared::Shared;
pub use version::RegistryVersion;
