//! Scenario files: a fleet, what goes wrong in it and when, in TOML; unknown keys are refused and every mistake is told.
use serde::{Deserialize, Serialize};
use service::config::{ConfigErrors, Problems, Sources, Validate, load};
use telemetry::{IdError, UnixMicros};

use crate::fault::{FaultSpec, SelectionError};
use crate::fleet::Fleet;
use crate::spec::FleetSpec;

/// Most faults in one scenario.
const FAULTS_MAX: usize = 1_000;

/// The scenario that `dermatel demo` shows unless told otherwise: a few things that a person can follow.
pub const DEMO: &str = include_str!("../../../deploy/scenarios/demo.toml");

/// Every fault that there is, at once, in a fleet of which most is healthy.
pub const EVERY_FAULT: &str = include_str!("../../../deploy/scenarios/every-fault.toml");

/// A scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Everything random hangs on it.
    pub seed: u64,
    /// How many simulated seconds pass in a real one; 0: as fast as possible. Other than 1, device clocks run away from the
    /// receiver's, and rules that compare the two see it: for load and backtests, not for a demonstration.
    pub speed: f64,
    /// Who exists.
    pub fleet: FleetSpec,
    /// What goes wrong.
    #[serde(rename = "fault")]
    pub faults: Vec<FaultSpec>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 1,
            speed: 1.0,
            fleet: FleetSpec::default(),
            faults: Vec::new(),
        }
    }
}

/// Why a scenario gives no fleet.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file is wrong.
    #[error("the scenario cannot be read")]
    File(#[source] ConfigErrors),
    /// A fault befalls nobody.
    #[error("the scenario's faults do not fit its fleet")]
    Selection(#[source] SelectionError),
    /// An id that the simulator made is none.
    #[error("the fleet has a name that is no id")]
    Id(#[source] IdError),
}

impl Validate for Scenario {
    fn validate(&self, at: &mut Problems) {
        let speed = self.speed == 0.0 || (0.01..=10_000.0).contains(&self.speed);
        at.check(
            "speed",
            speed,
            "allowed are 0.01 to 10000, or 0 for as fast as possible",
        );
        at.section("fleet", |at| self.fleet.validate(at));
        at.check(
            "fault",
            self.faults.len() <= FAULTS_MAX,
            format!("at most {FAULTS_MAX} are allowed"),
        );
        for (n, fault) in self.faults.iter().enumerate() {
            at.entry("fault", n, |at| fault.validate(at));
        }
    }
}

impl Scenario {
    /// Reads and checks a scenario; `name` stands in the errors.
    ///
    /// # Errors
    /// [`ScenarioError`]: every mistake with its line, or the fault that befalls nobody.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = load(&Sources::new().file(name, text)).map_err(ScenarioError::File)?;
        scenario.fleet(crate::fleet::DEFAULT_START)?;
        Ok(scenario)
    }

    /// The fleet with its faults, starting at a wall time.
    ///
    /// # Errors
    /// [`ScenarioError`] if a fault befalls nobody.
    pub fn fleet(&self, start: UnixMicros) -> Result<Fleet, ScenarioError> {
        Fleet::generate(self.seed, &self.fleet)
            .map_err(ScenarioError::Id)?
            .starting_at(start)
            .with_faults(&self.faults)
            .map_err(ScenarioError::Selection)
    }
}
