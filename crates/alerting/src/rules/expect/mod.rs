//! How many pages rules make of noise alone, computed from what the registry declares: before they page anybody.
//!
//! What it rests on is said in [`Assumptions`]; a rule whose noise nobody declares is not judged, and that is said too.
mod arl;
mod light;
mod pen;
mod window;

use std::sync::Arc;

use telemetry::{DeviceKey, Zone};

pub use self::arl::{cusum, ewma, shewhart};
pub use self::window::{effective, k_of_n, k_of_n_independent};
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
    /// How it was computed, or why not.
    pub how: &'static str,
    /// Whether there is noise in what it looks at.
    pub noise: Noise,
}

/// What noise there is in what a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noise {
    /// The registry can declare it.
    Declared,
    /// There is some, and nobody declares it.
    Undeclared,
    /// None: it looks at what is set, counted, dated or told, where there is true or false and no scatter.
    None,
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
        noise: noise(head.kind),
    };
    let (mut sum, mut worst) = (0.0, None);
    for (key, facts) in known {
        let zones = std::iter::once(None).chain(Zone::ALL.iter().copied().map(Some));
        let of = |zone| {
            let scope = scope(key, facts, zone);
            pen::per_day(rules, head.kind, facts, &scope, assumed)
                .or_else(|| light::per_day(rules, head.kind, facts, &scope, assumed))
        };
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

/// Run length of an average whose limit, samples' sigma and their mean are in one unit.
fn ewma_of(weight_permille: u32, limit: f64, sigma: f64, mean: f64) -> f64 {
    let lambda = f64::from(weight_permille) / 1_000.0;
    let limit = limit / (sigma * (lambda / (2.0 - lambda)).sqrt());
    ewma(lambda, limit, mean / sigma)
}

const fn noise(kind: Kind) -> Noise {
    match kind {
        Kind::DepthAboveLimit
        | Kind::DepthOffSetpoint
        | Kind::DepthDrift
        | Kind::DepthBaselineShift
        | Kind::DepthSensorStuck
        | Kind::DepthSensorJitter
        | Kind::DepthTooShallow
        | Kind::PulseAboveSet
        | Kind::PulseAboveLimit
        | Kind::PulseWithoutEnergy
        | Kind::LampDrift => Noise::Declared,
        // How a motor's rate and temperatures scatter, whether a unit measures fluence and energy apart, and how long
        // a line or a process may hang.
        Kind::StrokeRateOff
        | Kind::FluenceInconsistent
        | Kind::SkinTooHot
        | Kind::TipTooHot
        | Kind::DeviceSilent
        | Kind::GatewaySilent
        | Kind::GatewayBacklog
        | Kind::PageUndelivered
        | Kind::HeartbeatMissing
        | Kind::ClockSkew => Noise::Undeclared,
        _ => Noise::None,
    }
}

const fn how(kind: Kind) -> &'static str {
    match kind {
        Kind::DepthAboveLimit => "one stroke beyond the guard band at the limit; k of n at the headroom",
        Kind::DepthOffSetpoint => "k of n beyond the tolerance, both sides, correlated strokes",
        Kind::DepthDrift => "run length of the cumulative sum, seconds as noisy as one stroke",
        Kind::DepthBaselineShift => "run length of the moving average over sessions",
        Kind::DepthSensorStuck => "n times the likeliest whole micrometre, given the stroke before",
        Kind::DepthSensorJitter => {
            "any stroke of a second beyond half the range, both sides, however correlated; k of n seconds"
        }
        Kind::DepthTooShallow => "twice one stroke's chance, set as deep as the tolerance; k of n seconds",
        Kind::PulseAboveSet => {
            "one pulse, meter off by its tolerance; without declared noise that rest is taken for 6 sigma"
        }
        Kind::PulseAboveLimit => "one pulse at the headroom below the limit",
        Kind::PulseWithoutEnergy => "one pulse whose noise takes all of it, meter off by its tolerance; noise as above",
        Kind::LampDrift => "run length of the moving average over pulses, meter off by its tolerance; noise as above",
        _ => match noise(kind) {
            Noise::None => "not computed: there is no noise in what it looks at",
            _ => "not judged: no noise is declared for it; see bench detection",
        },
    }
}
