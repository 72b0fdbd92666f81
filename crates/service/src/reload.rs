//! What a running process reads again, and that it was refused: one count for all of it, so that nobody takes what is in a file
//! for what holds.

use crate::telemetry_names::RELOADS_REFUSED;

/// What is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// Files of rules.
    Rules,
    /// Files of the paging plan.
    Plan,
    /// Files of the registry.
    Registry,
}

impl Reload {
    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Plan => "plan",
            Self::Registry => "registry",
        }
    }

    /// Counts that it was refused: the old ones hold.
    pub fn refused(self) {
        ::metrics::counter!(RELOADS_REFUSED, "what" => self.as_str()).increment(1);
    }
}
