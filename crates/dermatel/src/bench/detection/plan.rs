//! What is played, as data: a healthy fleet, a working day with mishaps, and rows of one fault in one size each. Others can
//! add theirs: `deploy/detection/plan.toml` is the plan that comes with the program.
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use service::config::{Problems, Sources, Validate, load};
use simulator::{FaultSpec, Scenario};

/// The plan that comes with the program.
const BUILTIN: &str = include_str!("../../../../../deploy/detection/plan.toml");

/// A plan.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    /// Nothing goes wrong here: whatever pages is false.
    pub(super) healthy: Scenario,
    /// Days at a small chain, for the figures of alarm management.
    pub(super) days: Days,
    /// Fleets that rows name.
    #[serde(default)]
    pub(super) fleet: BTreeMap<String, Scenario>,
    #[serde(default)]
    pub(super) row: Vec<Row>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Days {
    /// How long each run is.
    pub(super) hours: u64,
    /// How many runs, each with another seed.
    pub(super) runs: u64,
    /// How long a person takes to acknowledge a page.
    #[serde(with = "service::config::duration")]
    pub(super) acknowledged_after: Duration,
    pub(super) scenario: Scenario,
}

/// What the rules must do about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Must {
    /// Page for every incident.
    Page,
    /// Not page: it is within what is tolerated.
    StayQuiet,
    /// Nothing is demanded: it is only reported.
    Report,
}

/// One fault in one size.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// What goes wrong.
    pub(super) hazard: String,
    /// How much of it.
    pub(super) size: String,
    /// Rules of which one must say so.
    pub(super) rules: Vec<String>,
    pub(super) must: Must,
    /// A page after more strokes or pulses than this is too late.
    pub(super) within_readings: Option<u64>,
    /// A page later than this after the first spoilt reading or event is too late.
    pub(super) within_s: Option<f64>,
    /// Name of its fleet.
    pub(super) fleet: String,
    /// Simulated minutes of each run.
    pub(super) minutes: u64,
    /// Runs, each with another seed.
    pub(super) runs: u64,
    /// None: the row is about how the staff of its fleet behave.
    #[serde(default)]
    pub(super) fault: Vec<FaultSpec>,
}

impl Row {
    /// The scenario of one run.
    pub(super) fn scenario(&self, plan: &Plan, seed: u64) -> Option<Scenario> {
        let mut scenario = plan.fleet.get(&self.fleet)?.clone();
        scenario.seed = seed;
        scenario.faults.extend(self.fault.iter().cloned());
        Some(scenario)
    }

    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs(self.minutes * 60)
    }
}

impl Validate for Plan {
    fn validate(&self, at: &mut Problems) {
        at.section("healthy", |at| {
            self.healthy.validate(at);
            at.check("fault", self.healthy.faults.is_empty(), "a healthy fleet has none");
        });
        at.section("days", |at| {
            at.section("scenario", |at| self.days.scenario.validate(at))
        });
        for (name, scenario) in &self.fleet {
            at.section("fleet", |at| at.section(name, |at| scenario.validate(at)));
        }
        for (n, row) in self.row.iter().enumerate() {
            at.entry("row", n, |at| {
                let scenario = row.scenario(self, 1);
                at.check("fleet", scenario.is_some(), "no fleet has this name");
                at.check("rules", !row.rules.is_empty(), "name the rules that may find it");
                at.check(
                    "runs",
                    row.runs > 0 && row.minutes > 0,
                    "runs and minutes must be above 0",
                );
                if let Some(scenario) = scenario {
                    scenario.validate(at);
                }
            });
        }
    }
}

/// Reads a plan; the program's own where no text is given.
pub(super) fn read(given: Option<(&str, String)>) -> Result<Plan> {
    let (name, text) = given.unwrap_or(("plan.toml", BUILTIN.to_owned()));
    load(&Sources::new().file(name, text)).with_context(|| format!("{name} is no plan of detection"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_that_is_shipped_can_be_played_and_every_row_befalls_somebody() {
        let plan = read(None).unwrap();
        let rules = alerting::rules::builtin().unwrap();
        let ids: Vec<_> = alerting::rules::Kind::ALL
            .iter()
            .filter_map(|k| rules.head(*k))
            .map(|h| &*h.id)
            .collect();
        for row in &plan.row {
            assert!(
                row.rules.iter().all(|rule| ids.contains(&rule.as_str())),
                "{:?}: no such rule",
                row.rules
            );
            let scenario = row.scenario(&plan, 1).unwrap();
            scenario.fleet(simulator::DEFAULT_START).unwrap();
        }
    }

    #[test]
    fn a_row_without_its_fleet_is_refused_by_name() {
        let text = BUILTIN.replacen("fleet = \"depth\"", "fleet = \"nowhere\"", 1);
        let error = format!("{:#}", read(Some(("p.toml", text))).unwrap_err());
        assert!(error.contains("no fleet has this name"), "{error}");
    }
}
