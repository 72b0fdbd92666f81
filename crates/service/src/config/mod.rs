//! Configuration: TOML files and an environment overlay into typed values, with every mistake told at once and in its place.
//!
//! ```
//! # use serde::Deserialize;
//! use service::config::{Problems, Sources, Validate, load};
//!
//! #[derive(Deserialize, Default)]
//! #[serde(deny_unknown_fields, default)]
//! struct Config { port: u16, #[serde(with = "service::config::duration")] keep_alive: std::time::Duration }
//!
//! impl Validate for Config {
//!     fn validate(&self, at: &mut Problems) {
//!         at.check("port", self.port != 0, "it is 0, allowed are 1 to 65535");
//!     }
//! }
//!
//! let sources = Sources::new().file("gateway.toml", "port = 0\nkeep_alive = 30\nname = 'x'\n");
//! let errors = load::<Config>(&sources).err().map(|e| e.to_string()).unwrap_or_default();
//! assert!(errors.contains("gateway.toml:1:8: port: it is 0"));
//! assert!(errors.contains("gateway.toml:2:14: keep_alive: "));
//! assert!(errors.contains("gateway.toml:3:1: name: unknown field"));
//! ```

mod annotated;
mod byte_size;
pub mod duration;
mod error;
mod load;
mod secret;
mod tree;
mod validate;

pub use annotated::{Setting, check_settings, render, render_parts};
pub use byte_size::{ByteSize, ByteSizeError};
pub use duration::parse as parse_duration;
pub use error::{ConfigError, ConfigErrors};
pub use load::{ENV_PREFIX, ERRORS_MAX, Sources, load};
pub use secret::Secret;
pub use validate::{Problems, Validate};
