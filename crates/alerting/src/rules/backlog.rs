//! A log that fills because its reader is behind: at its cap readings are lost, or devices have to keep them.
use serde::Deserialize;

use super::Parameters;

/// Of `gateway_backlog`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayBacklog {
    /// Told from here on, in per cent of what the log may take.
    pub at_percent: u32,
    /// From here on it is worse, and told again to whoever knew it before.
    pub worse_at_percent: u32,
    /// Over below this.
    pub over_below_percent: u32,
}

impl Parameters for GatewayBacklog {
    fn check(&self) -> Result<(), String> {
        let steps = [0, self.over_below_percent, self.at_percent, self.worse_at_percent];
        if steps.is_sorted_by(|a, b| a < b) && self.worse_at_percent <= 100 {
            return Ok(());
        }
        Err("must be 0 < over_below_percent < at_percent < worse_at_percent <= 100".to_owned())
    }
}

impl GatewayBacklog {
    /// The level that a log has reached, if any.
    pub fn level(&self, percent: u32) -> Option<u32> {
        let levels = [self.worse_at_percent, self.at_percent];
        levels.into_iter().find(|level| percent >= *level)
    }
}
