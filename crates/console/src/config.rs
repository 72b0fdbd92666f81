//! The console's section of the configuration.
use serde::{Deserialize, Serialize};
use service::config::{Problems, Setting, Validate};

/// Who may use the console.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Nobody signs in: whoever reaches the address may do everything. On loopback addresses only.
    pub open: bool,
}

impl Validate for Config {
    fn validate(&self, _at: &mut Problems) {}
}

impl Config {
    /// Whether there is a console: somebody may sign in, or nobody has to.
    pub fn is_served(&self) -> bool {
        self.open
    }
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[Setting::new(
    "open",
    "false",
    "Nobody signs in to the console: whoever reaches http.listen may do everything. Only with a loopback address there.",
)];
