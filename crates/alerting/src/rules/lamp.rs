//! A lamp's life: how many shots it has fired, and whether what it gives drifts away from what is set. Electrodes erode
//! without sudden failure, so both are followed over sessions, and both start anew with another lamp.
use serde::{Deserialize, Serialize};
use telemetry::{Pulse, Serial};
use xxhash_rust::xxh3::xxh3_64;

use super::control::Ewma;
use super::energy::measured_fluence;
use super::{Judgement, Parameters, Violation};

/// Of `lamp_worn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LampWorn {
    /// A shorter life than the registry's, in shots.
    pub life_shots: Option<u64>,
}

/// Of `lamp_drift`: a moving average over the deviations of single pulses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LampDrift {
    /// How far the average of measured over set may be from 1, in thousandths.
    pub limit_permille: u32,
    /// How much of the average the newest pulse is, in thousandths.
    pub weight_permille: u32,
}

impl Parameters for LampWorn {}

impl Parameters for LampDrift {
    fn check(&self) -> Result<(), String> {
        if self.limit_permille == 0 || !(1..=1_000).contains(&self.weight_permille) {
            return Err("limit_permille must be above 0 and weight_permille 1 to 1000".to_owned());
        }
        Ok(())
    }
}

/// What is remembered of the lamp in a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lamp {
    /// Digest of its serial.
    serial: Option<u32>,
    shots: u64,
    average: Ewma,
}

impl Lamp {
    /// The unit says which lamp it has. `true`: another one than before.
    pub fn is_in_use(&mut self, serial: &Serial) -> bool {
        let serial = xxh3_64(serial.as_str().as_bytes()) as u32;
        let other = self.serial.is_some_and(|known| known != serial);
        if other {
            *self = Self::default();
        }
        self.serial = Some(serial);
        other
    }

    /// Counts a pulse. `true`: its counter went back, so this is another lamp.
    pub fn count(&mut self, pulse: &Pulse) -> bool {
        let Some(shots) = pulse.lamp_shots else {
            return false;
        };
        let other = shots < self.shots;
        if other {
            self.average = Ewma::default();
        }
        self.shots = shots;
        other
    }

    /// Judges its age.
    pub fn worn(&self, pulse: &Pulse, index: usize, life_shots: u64) -> Judgement {
        if self.shots <= life_shots {
            return Judgement::cleared_if(pulse.lamp_shots.is_some());
        }
        let life = life_shots as f64;
        // Told again with every further tenth of its life.
        violation(pulse, index, self.shots as f64, life, life / 10.0)
    }

    /// Judges its output. The way back ends at two thirds of the limit.
    pub fn drift(&mut self, pulse: &Pulse, index: usize, rule: &LampDrift) -> Judgement {
        let Some(deviation_milli) = deviation(pulse) else {
            return Judgement::Nothing;
        };
        let average = self.average.push(deviation_milli, rule.weight_permille).abs();
        let limit = i64::from(rule.limit_permille) * 1_000;
        if average > limit {
            let permille = f64::from(rule.limit_permille);
            return violation(pulse, index, average as f64 / 1_000.0, permille, permille / 2.0);
        }
        Judgement::cleared_if(average * 3 <= limit * 2)
    }
}

/// Measured over set less 1, in millionths; nothing for a pulse that carried nothing: that has a rule of its own.
fn deviation(pulse: &Pulse) -> Option<i64> {
    let set = f64::from(pulse.fluence_set?.get());
    let measured = measured_fluence(pulse)?;
    let both = set > 0.0 && measured > 0.0 && pulse.fired != Some(false);
    both.then(|| ((measured / set - 1.0) * 1e6).round() as i64)
}

fn violation(pulse: &Pulse, index: usize, value: f64, limit: f64, margin: f64) -> Judgement {
    Judgement::Violated(Violation {
        ordinal: pulse.ordinal,
        index,
        value,
        limit,
        margin,
        single: false,
    })
}
