//! The rules: typed, with units, one file per family, each a pure function over (reading, context, state, limits).
pub mod backlog;
mod book;
mod budget;
pub mod cartridge;
pub mod control;
pub mod depth;
pub mod disinfection;
pub mod drift;
pub mod energy;
pub mod expect;
pub mod fault;
mod file;
mod kind;
pub mod lamp;
mod params;
pub mod pen;
pub mod pulse;
pub mod recovery;
pub mod refused;
pub mod seconds;
pub mod sensor;
pub mod silence;
pub mod sterilization;
mod window;

use std::sync::Arc;
use std::time::Duration;

pub use book::{Override, Rule, Scope};
pub use budget::Budget;
pub use file::{RuleFault, RulesError, builtin, files_of, load_dir, parse, places};
pub use kind::{Kind, Nature, Ruleset};
pub use params::{
    CartridgeReused, DepthAboveLimit, DepthOffSetpoint, DisinfectionMissing, GatewaySilent, HeartbeatMissing,
    NoParameters, Parameters, PulseAboveLimit, PulseAboveSet, SilentDevice,
};
use telemetry::Priority;
pub use window::Window;

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
    /// How long its condition must hold before it is told; zero: at once.
    pub on_delay: Duration,
    /// How long its condition must be over before that is told; zero: at once.
    pub off_delay: Duration,
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

/// What a rule says of readings.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Judgement {
    /// Nothing new.
    #[default]
    Nothing,
    /// They violate it.
    Violated(Violation),
    /// They prove that its condition is over.
    Cleared,
}

impl Judgement {
    fn cleared_if(over: bool) -> Self {
        if over { Self::Cleared } else { Self::Nothing }
    }
}
