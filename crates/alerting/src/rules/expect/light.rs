//! False pages about the energy of an IPL unit, by the declared noise of one pulse's measurement.
use super::arl::above;
use super::{Assumptions, ewma_of};
use crate::fleet::Facts;
use crate::rules::{Kind, Ruleset, Scope};

/// False pages of one device in a day, at most; `None`: the rule is not about energy, or nobody declares its noise.
pub(super) fn per_day(
    rules: &Ruleset,
    kind: Kind,
    facts: &Facts,
    scope: &Scope<'_>,
    assumed: &Assumptions,
) -> Option<f64> {
    match kind {
        Kind::PulseAboveSet => {
            let rule = rules.pulse_above_set.as_ref()?.params(scope);
            let energy = Energy::of(facts, assumed)?;
            let declared = f64::from(facts.fluence_tolerance_permille);
            let tolerance = rule
                .tolerance_permille
                .map_or(declared, |own| f64::from(own).min(declared));
            // A meter that is as much off as it may be.
            Some(assumed.pulses_per_day * above((tolerance - energy.off) / energy.sigma))
        }
        Kind::PulseAboveLimit => {
            rules.pulse_above_limit.as_ref()?;
            facts.light.energy_sigma_permille?;
            Some(assumed.pulses_per_day * above(assumed.headroom_sigma))
        }
        Kind::PulseWithoutEnergy => {
            rules.pulse_without_energy.as_ref()?;
            let energy = Energy::of(facts, assumed)?;
            Some(assumed.pulses_per_day * above((1_000.0 - energy.off) / energy.sigma))
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
