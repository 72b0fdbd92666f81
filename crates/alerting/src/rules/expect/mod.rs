//! How many pages rules make of noise alone, computed from what the registry declares: before they page anybody.
//!
//! What it rests on is said in [`Assumptions`]; a rule whose noise nobody declares is not judged, and that is said too.
mod arl;
mod window;

use std::sync::Arc;

use telemetry::{DeviceKey, Zone};

pub use self::arl::{cusum, ewma, shewhart};
pub use self::window::{effective, k_of_n};
use super::{Head, Kind, Ruleset, Scope};
use crate::fleet::{Facts, Fleet};

/// What is assumed beside the registry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assumptions {
    /// Strokes of a pen in a day: 4 sessions of 15 minutes at 150 Hz.
    pub strokes_per_day: f64,
    /// Seconds of strokes in a day.
    pub seconds_per_day: f64,
    /// Sessions of a device in a day.
    pub sessions_per_day: f64,
    /// Pulses of an IPL unit in a day.
    pub pulses_per_day: f64,
    /// Correlation of a stroke's noise with that of the stroke before.
    pub lag_1: f64,
    /// Sigmas of noise that staff leave between what they set (with the pen's offset) and the limit.
    pub headroom_sigma: f64,
    /// Where the registry declares no noise of energy: its tolerance is taken for so many sigma.
    pub energy_tolerance_sigma: f64,
}

impl Default for Assumptions {
    fn default() -> Self {
        Self {
            strokes_per_day: 540_000.0,
            seconds_per_day: 3_600.0,
            sessions_per_day: 4.0,
            pulses_per_day: 2_000.0,
            lag_1: 0.6,
            headroom_sigma: 6.0,
            energy_tolerance_sigma: 6.0,
        }
    }
}

/// What is expected of one rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// The rule.
    pub head: Arc<Head>,
    /// False pages in 1,000 days of the devices that it judges, at most; `None`: nobody declares its noise.
    pub per_1000_device_days: Option<f64>,
    /// How many devices it was computed for.
    pub devices: usize,
    /// The device with the most, and its own false pages in 1,000 days.
    pub worst: Option<(DeviceKey, f64)>,
    /// How it was computed.
    pub how: &'static str,
}

/// Computes each rule's false pages over the devices of a registry.
pub fn expect(rules: &Ruleset, fleet: &dyn Fleet, devices: &[DeviceKey], assumed: &Assumptions) -> Vec<Expected> {
    let known: Vec<(&DeviceKey, Arc<Facts>)> = devices
        .iter()
        .filter_map(|key| Some((key, fleet.facts(key)?)))
        .collect();
    let heads = Kind::ALL.iter().filter_map(|&kind| rules.head(kind));
    heads.map(|head| of_rule(rules, head, &known, assumed)).collect()
}

fn of_rule(rules: &Ruleset, head: &Arc<Head>, known: &[(&DeviceKey, Arc<Facts>)], assumed: &Assumptions) -> Expected {
    let mut expected = Expected {
        head: Arc::clone(head),
        per_1000_device_days: None,
        devices: 0,
        worst: None,
        how: how(head.kind),
    };
    let (mut sum, mut worst) = (0.0, None);
    for (key, facts) in known {
        let zones = std::iter::once(None).chain(Zone::ALL.iter().copied().map(Some));
        let of = |zone| per_day(rules, head.kind, facts, &scope(key, facts, zone), assumed);
        let Some(rate) = zones.filter_map(of).reduce(f64::max) else {
            continue;
        };
        let rate = rate * 1_000.0;
        expected.devices += 1;
        sum += rate;
        if worst.as_ref().is_none_or(|(_, most)| rate > *most) {
            worst = Some(((*key).clone(), rate));
        }
    }
    if expected.devices > 0 {
        expected.per_1000_device_days = Some(sum / expected.devices as f64);
    }
    expected.worst = worst;
    expected
}

fn scope<'a>(key: &'a DeviceKey, facts: &'a Facts, zone: Option<Zone>) -> Scope<'a> {
    Scope {
        tenant: &key.tenant,
        clinic: &facts.clinic,
        device: &key.device,
        model: &facts.model,
        zone,
        skin_type: None,
    }
}

/// False pages of one device in a day, at most; `None`: the rule does not judge it, or nobody declares its noise.
fn per_day(rules: &Ruleset, kind: Kind, facts: &Facts, scope: &Scope<'_>, assumed: &Assumptions) -> Option<f64> {
    let sigma = f64::from(facts.depth_sigma_um);
    let strokes = (sigma > 0.0).then_some(assumed.strokes_per_day);
    match kind {
        Kind::DepthAboveLimit => {
            let rule = rules.depth_above_limit.as_ref()?.params(scope);
            let band = rule
                .guard_band_um
                .map_or(facts.depth_guard_band_um, |own| own.min(facts.depth_guard_band_um));
            // A pen that is set to its limit, and whose offset takes all of its tolerance.
            let alone = above_sigma((f64::from(band) - f64::from(facts.depth_tolerance_um)) / sigma);
            let window = k_of_n(
                rule.k_strokes,
                rule.n_strokes,
                assumed.headroom_sigma,
                1.0,
                assumed.lag_1,
            );
            Some(strokes? * (alone + window))
        }
        Kind::DepthOffSetpoint => {
            let rule = rules.depth_off_setpoint.as_ref()?.params(scope);
            let tolerance = rule
                .tolerance_um
                .map_or(facts.depth_tolerance_um, |own| own.min(facts.depth_tolerance_um));
            let z = f64::from(tolerance) / sigma;
            Some(strokes? * k_of_n(rule.k_strokes, rule.n_strokes, z, 2.0, assumed.lag_1))
        }
        Kind::DepthDrift => {
            let rule = rules.depth_drift.as_ref()?.params(scope);
            strokes?;
            // The mean of a second varies at most as one stroke does.
            let length = cusum(
                f64::from(rule.indifference_um) / sigma,
                f64::from(rule.decision_um) / sigma,
                0.0,
            );
            Some(assumed.seconds_per_day / length)
        }
        Kind::DepthBaselineShift => {
            let rule = rules.depth_baseline_shift.as_ref()?.params(scope);
            strokes?;
            let of_mean = sigma / effective(rule.strokes_min.max(1), assumed.lag_1).sqrt();
            Some(assumed.sessions_per_day / ewma_of(rule.weight_permille, f64::from(rule.limit_um), of_mean, 0.0))
        }
        Kind::PulseAboveSet => {
            let rule = rules.pulse_above_set.as_ref()?.params(scope);
            let energy = Energy::of(facts, assumed)?;
            let declared = f64::from(facts.fluence_tolerance_permille);
            let tolerance = rule
                .tolerance_permille
                .map_or(declared, |own| f64::from(own).min(declared));
            // A meter that is as much off as it may be.
            Some(assumed.pulses_per_day * above_sigma((tolerance - energy.off) / energy.sigma))
        }
        Kind::PulseAboveLimit => {
            rules.pulse_above_limit.as_ref()?;
            facts.light.energy_sigma_permille?;
            Some(assumed.pulses_per_day * above_sigma(assumed.headroom_sigma))
        }
        Kind::LampDrift => {
            let rule = rules.lamp_drift.as_ref()?.params(scope);
            let energy = Energy::of(facts, assumed)?;
            let limit = f64::from(rule.limit_permille);
            Some(assumed.pulses_per_day / ewma_of(rule.weight_permille, limit, energy.sigma, energy.off))
        }
        _ => None,
    }
}

/// Noise of a unit's energy as it is measured, in thousandths of what is set.
struct Energy {
    sigma: f64,
    /// How far the meter may be off for good.
    off: f64,
}

impl Energy {
    /// As the registry declares it, else by its tolerance.
    fn of(facts: &Facts, assumed: &Assumptions) -> Option<Self> {
        let off = f64::from(facts.light.energy_meter_tolerance_permille.unwrap_or(0));
        let tolerance = f64::from(facts.fluence_tolerance_permille);
        let sigma = match facts.light.energy_sigma_permille {
            Some(declared) => f64::from(declared),
            None => (tolerance - off).max(0.0) / assumed.energy_tolerance_sigma,
        };
        (tolerance > 0.0 && sigma > 0.0).then_some(Self { sigma, off })
    }
}

fn above_sigma(z: f64) -> f64 {
    arl::above(z)
}

/// Run length of an average whose limit, samples' sigma and their mean are in one unit.
fn ewma_of(weight_permille: u32, limit: f64, sigma: f64, mean: f64) -> f64 {
    let lambda = f64::from(weight_permille) / 1_000.0;
    let limit = limit / (sigma * (lambda / (2.0 - lambda)).sqrt());
    ewma(lambda, limit, mean / sigma)
}

const fn how(kind: Kind) -> &'static str {
    match kind {
        Kind::DepthAboveLimit => "one stroke beyond the guard band at the limit; k of n at the headroom",
        Kind::DepthOffSetpoint => "k of n beyond the tolerance, both sides, correlated strokes",
        Kind::DepthDrift => "run length of the cumulative sum, seconds as noisy as one stroke",
        Kind::DepthBaselineShift => "run length of the moving average over sessions",
        Kind::PulseAboveSet => {
            "one pulse, meter off by its tolerance; without declared noise that rest is taken for 6 sigma"
        }
        Kind::PulseAboveLimit => "one pulse at the headroom below the limit",
        Kind::LampDrift => "run length of the moving average over pulses, meter off by its tolerance; noise as above",
        _ => "not judged: no noise is declared for it; see bench detection",
    }
}
