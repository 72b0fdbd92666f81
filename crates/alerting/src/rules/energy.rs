//! Energy rules: one pulse above what was set or above what its skin type allows. One pulse can burn, so one is enough.
use telemetry::Pulse;

use super::{Ruleset, Scope, Violation};
use crate::fleet::Facts;

/// How much worse a later pulse must be to page again after an acknowledgement: 5 % of the limit.
const WORSE_BY: f64 = 0.05;

/// What pulses of one device are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PulseBounds {
    tolerance_permille: Option<u32>,
    limit_mj_per_cm2: Option<u32>,
}

impl PulseBounds {
    /// Resolves rules and registry for a scope. An override makes a bound of the registry stricter, never wider.
    pub fn resolve(rules: &Ruleset, facts: &Facts, scope: &Scope<'_>) -> Self {
        let registry = facts.fluence_max(scope.skin_type);
        Self {
            tolerance_permille: rules.pulse_above_set.as_ref().map(|r| {
                let own = r.params(scope).tolerance_permille;
                own.map_or(facts.fluence_tolerance_permille, |own| {
                    own.min(facts.fluence_tolerance_permille)
                })
            }),
            limit_mj_per_cm2: rules.pulse_above_limit.as_ref().map(|r| {
                let own = r.params(scope).limit_mj_per_cm2;
                own.map_or(registry, |own| own.min(registry))
            }),
        }
    }
}

/// What a pulse showed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PulseVerdict {
    /// Above set fluence and tolerance.
    pub above_set: Option<Violation>,
    /// Above the skin type's limit.
    pub above_limit: Option<Violation>,
}

/// Fluence of a pulse in mJ/cm²: as measured, else from measured energy and spot area (1 mJ/mm² = 100 mJ/cm²).
pub fn measured_fluence(pulse: &Pulse) -> Option<f64> {
    let direct = pulse.fluence_measured.map(|f| f64::from(f.get()));
    direct.or_else(|| {
        let (energy, spot) = (pulse.energy_measured?, pulse.spot?);
        Some(f64::from(energy.get()) * 100.0 / f64::from(spot.get()))
    })
}

/// Judges a pulse. What was set counts where nothing was measured.
pub fn judge(pulse: &Pulse, index: usize, bounds: &PulseBounds) -> PulseVerdict {
    let measured = measured_fluence(pulse);
    let set = pulse.fluence_set.map(|f| f64::from(f.get()));
    let found = |value: f64, limit: f64| {
        (value > limit).then_some(Violation {
            ordinal: pulse.ordinal,
            index,
            value,
            limit,
            margin: limit * WORSE_BY,
            single: true,
        })
    };
    PulseVerdict {
        above_set: bounds
            .tolerance_permille
            .zip(measured)
            .zip(set)
            .and_then(|((permille, measured), set)| found(measured, set * f64::from(1_000 + permille) / 1_000.0)),
        above_limit: bounds
            .limit_mj_per_cm2
            .zip(measured.or(set))
            .and_then(|(limit, value)| found(value, f64::from(limit))),
    }
}
