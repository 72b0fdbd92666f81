//! The rules: typed, with units, one file per family, each a pure function over (reading, context, state, limits).
mod book;
pub mod cartridge;
pub mod depth;
pub mod disinfection;
pub mod energy;
mod file;
mod params;
pub mod silence;
pub mod sterilization;
mod window;

use std::fmt;
use std::sync::Arc;

pub use book::{Override, Rule, Ruleset, Scope};
pub use file::{RuleFault, RulesError, builtin, load_dir, parse};
pub use params::{
    CartridgeReused, DepthAboveLimit, DepthOffSetpoint, DisinfectionMissing, GatewaySilent, NoParameters,
    PulseAboveLimit, PulseAboveSet, SilentDevice,
};
use telemetry::Priority;
pub use window::Window;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $unit:literal;)+) => {
        /// What a rule looks for. Closed: a rule is code with parameters, not an expression.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Kind { $($(#[$doc])* $variant,)+ }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in rule files; a bounded label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Unit of an alert's value and limit.
            pub const fn unit(self) -> &'static str {
                match self { $(Self::$variant => $unit,)+ }
            }
        }
    };
}

kinds! {
    /// Strokes deeper than the zone or the device allows.
    DepthAboveLimit = "depth_above_limit", "µm";
    /// Strokes off their setpoint.
    DepthOffSetpoint = "depth_off_setpoint", "µm";
    /// The depth that was set is above the limit.
    DepthSetpointAboveLimit = "depth_setpoint_above_limit", "µm";
    /// A pulse above what was set.
    PulseAboveSet = "pulse_above_set", "mJ/cm²";
    /// A pulse above what its skin type allows.
    PulseAboveLimit = "pulse_above_limit", "mJ/cm²";
    /// An item is used whose sterilization is overdue.
    SterilizationOverdue = "sterilization_overdue", "h";
    /// No disinfection between two visits.
    DisinfectionMissing = "disinfection_missing", "";
    /// An indicator test failed.
    IndicatorFailed = "indicator_failed", "";
    /// A sterilizer is used whose indicator test is overdue.
    IndicatorOverdue = "indicator_overdue", "h";
    /// An item is used whose last cycle did not pass.
    FailedCycleUsed = "failed_cycle_used", "";
    /// A cartridge is used for a second visit.
    CartridgeReused = "cartridge_reused", "visits";
    /// A device in a session is not heard.
    DeviceSilent = "device_silent", "s";
    /// A gateway's watermark stands still.
    GatewaySilent = "gateway_silent", "s";
    /// Readings without the context that they are judged by.
    ContextMissing = "context_missing", "";
    /// Two frames with one sequence number.
    SequenceReused = "sequence_reused", "";
}

impl Kind {
    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }

    /// Whether its alerts wait for a person from the start: something happened that cannot be undone by a later reading.
    pub const fn latches(self) -> bool {
        !matches!(
            self,
            Self::DepthAboveLimit
                | Self::DepthOffSetpoint
                | Self::DepthSetpointAboveLimit
                | Self::IndicatorOverdue
                | Self::DeviceSilent
                | Self::GatewaySilent
                | Self::ContextMissing
                | Self::SequenceReused
        )
    }

    /// Whether its alerts are about the data and not about a person: the end of a session ends them.
    pub const fn is_data_quality(self) -> bool {
        matches!(self, Self::ContextMissing | Self::SequenceReused)
    }

    /// Whether its alerts are about readings of a session, so that the end of the session is the end of the condition.
    pub const fn is_about_readings(self) -> bool {
        matches!(
            self,
            Self::DepthAboveLimit
                | Self::DepthOffSetpoint
                | Self::DepthSetpointAboveLimit
                | Self::PulseAboveSet
                | Self::PulseAboveLimit
                | Self::ContextMissing
                | Self::SequenceReused
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What every rule has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Id, `[a-z0-9][a-z0-9-]{0,62}`; a part of every alert id, so it is never renamed.
    pub id: Arc<str>,
    /// What it looks for.
    pub kind: Kind,
    /// How urgent.
    pub priority: Priority,
    /// What the person who is paged should do.
    pub what_to_do: Arc<str>,
}

/// A reading that violates a rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Violation {
    /// Session ordinal of the first violating reading.
    pub ordinal: u64,
    /// Index in its batch of the reading that shows it.
    pub index: usize,
    /// The worst value, in the rule's unit.
    pub value: f64,
    /// The limit that it was judged by.
    pub limit: f64,
    /// How much worse a later value must be to page again after an acknowledgement.
    pub margin: f64,
    /// One reading was enough.
    pub single: bool,
}
