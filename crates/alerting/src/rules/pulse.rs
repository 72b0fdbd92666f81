//! What else can be wrong with a pulse: its figures contradict each other, it carried nothing, did not fire or came too soon,
//! skin or tip are too hot, the filter lets through what the skin type must not get.
use serde::{Deserialize, Serialize};
use telemetry::{Pulse, Zone};

use super::params::window;
use super::{Judgement, Kind, Parameters, Ruleset, Scope, Violation, Window};
use crate::fleet::Facts;

/// Of `fluence_inconsistent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FluenceInconsistent {
    /// How far fluence and energy / area may be apart, in thousandths of the latter.
    pub tolerance_permille: u32,
    /// How many pulses.
    pub k_pulses: u32,
    /// Of how many, at most 64.
    pub n_pulses: u32,
    /// The condition is over after so many pulses in a row that agree.
    pub clear_after_pulses: u32,
    /// How well a pulse must agree for that, in thousandths; the tolerance where it is not given.
    pub clear_within_permille: Option<u32>,
}

/// Of `pulse_without_energy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PulseWithoutEnergy {
    /// The condition is over after so many pulses in a row with energy.
    pub clear_after_pulses: u32,
}

/// Of `pulse_unfired`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PulseUnfired {
    /// How many pulses.
    pub k_pulses: u32,
    /// Of how many, at most 64.
    pub n_pulses: u32,
    /// The condition is over after so many pulses in a row that fired.
    pub clear_after_pulses: u32,
}

/// Of `pulse_stacking`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PulseStacking {
    /// A longer interval than the registry's, in microseconds.
    pub interval_min_us: Option<u32>,
}

/// Of `skin_too_hot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkinTooHot {
    /// A lower limit than the registry's, in thousandths of a degree Celsius.
    pub limit_mdegc: Option<i32>,
}

/// Of `tip_too_hot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TipTooHot {
    /// A lower limit than the registry's, in thousandths of a degree Celsius.
    pub limit_mdegc: Option<i32>,
    /// How much cooler it must be to count as cool again, in thousandths of a degree.
    pub hysteresis_mdegc: i32,
    /// The condition is over after so many pulses in a row with a cool tip.
    pub clear_after_pulses: u32,
}

/// Of `filter_mismatch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterMismatch {
    /// A longer cut-off than the registry's, in nanometres.
    pub cutoff_min_nm: Option<u32>,
}

impl Parameters for FluenceInconsistent {
    fn check(&self) -> Result<(), String> {
        if self
            .clear_within_permille
            .is_some_and(|within| within > self.tolerance_permille)
        {
            return Err("clear_within_permille must not be above tolerance_permille".to_owned());
        }
        window("k_pulses and n_pulses", self.k_pulses, self.n_pulses)
    }
}

impl Parameters for PulseUnfired {
    fn check(&self) -> Result<(), String> {
        window("k_pulses and n_pulses", self.k_pulses, self.n_pulses)
    }
}

impl Parameters for PulseWithoutEnergy {}
impl Parameters for PulseStacking {}
impl Parameters for SkinTooHot {}
impl Parameters for FilterMismatch {}

impl Parameters for TipTooHot {
    fn check(&self) -> Result<(), String> {
        if self.hysteresis_mdegc < 0 {
            return Err("hysteresis_mdegc must not be below 0".to_owned());
        }
        Ok(())
    }
}

/// What pulses of one device are judged by. `None`: the rule is off, or the registry has no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LightBounds {
    fluence: Option<FluenceInconsistent>,
    empty: Option<PulseWithoutEnergy>,
    unfired: Option<PulseUnfired>,
    interval_min_us: Option<u32>,
    skin_max_mdegc: Option<i32>,
    /// Limit, cool from here on, pulses until it is over.
    tip: Option<(i32, i32, u32)>,
    filter_min_nm: Option<u32>,
}

impl LightBounds {
    /// Resolves rules and registry for a scope. An override makes a bound of the registry stricter, never wider.
    pub fn resolve(rules: &Ruleset, facts: &Facts, scope: &Scope<'_>) -> Self {
        let light = &facts.light;
        Self {
            fluence: rules.fluence_inconsistent.as_ref().map(|r| *r.params(scope)),
            empty: rules.pulse_without_energy.as_ref().map(|r| *r.params(scope)),
            unfired: rules.pulse_unfired.as_ref().map(|r| *r.params(scope)),
            interval_min_us: rules.pulse_stacking.as_ref().and_then(|r| {
                let own = r.params(scope).interval_min_us;
                light
                    .pulse_interval_min_us
                    .map(|least| own.map_or(least, |own| own.max(least)))
            }),
            skin_max_mdegc: rules.skin_too_hot.as_ref().and_then(|r| {
                let own = r.params(scope).limit_mdegc;
                light
                    .skin_temperature_max_mdegc
                    .map(|most| own.map_or(most, |own| own.min(most)))
            }),
            tip: rules.tip_too_hot.as_ref().and_then(|r| {
                let own = r.params(scope);
                let most = light.tip_temperature_max_mdegc?;
                let most = own.limit_mdegc.map_or(most, |own| own.min(most));
                Some((most, most.saturating_sub(own.hysteresis_mdegc), own.clear_after_pulses))
            }),
            filter_min_nm: rules.filter_mismatch.as_ref().and_then(|r| {
                let own = r.params(scope).cutoff_min_nm;
                let least = light.filter_cutoff_min(scope.skin_type)?;
                Some(own.map_or(least, |own| own.max(least)))
            }),
        }
    }
}

/// What is remembered of a session's pulses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PulseMemory {
    /// Uptime and zone of the last that fired.
    last: Option<(u64, Option<Zone>)>,
    fluence: Window,
    empty: Window,
    unfired: Window,
    tip: Window,
}

/// Judgements of a pulse, by kind.
pub type LightVerdict = [(Kind, Judgement); 7];

/// Judges a pulse that stands at `index` in its batch.
pub fn judge(pulse: &Pulse, index: usize, bounds: &LightBounds, memory: &mut PulseMemory) -> LightVerdict {
    let seen = Seen { pulse, index };
    [
        (
            Kind::FluenceInconsistent,
            bounds.fluence.map(|rule| seen.inconsistent(rule, &mut memory.fluence)),
        ),
        (
            Kind::PulseWithoutEnergy,
            bounds.empty.map(|rule| seen.empty(rule, &mut memory.empty)),
        ),
        (
            Kind::PulseUnfired,
            bounds.unfired.map(|rule| seen.unfired(rule, &mut memory.unfired)),
        ),
        (
            Kind::PulseStacking,
            Some(seen.stacked(bounds.interval_min_us, &mut memory.last)),
        ),
        (Kind::SkinTooHot, bounds.skin_max_mdegc.map(|most| seen.skin(most))),
        (
            Kind::TipTooHot,
            bounds.tip.map(|bounds| seen.tip(bounds, &mut memory.tip)),
        ),
        (
            Kind::FilterMismatch,
            bounds.filter_min_nm.map(|least| seen.filter(least)),
        ),
    ]
    .map(|(kind, judgement)| (kind, judgement.unwrap_or_default()))
}

/// A pulse and where it stands.
#[derive(Clone, Copy)]
struct Seen<'a> {
    pulse: &'a Pulse,
    index: usize,
}

/// How far apart two figures are, in thousandths of the second. `None`: there is nothing to compare.
fn apart_permille(fluence: Option<u32>, energy: Option<u32>, area_mm2: u32) -> Option<f64> {
    // 1 mJ/mm² = 100 mJ/cm².
    let (fluence, energy) = (f64::from(fluence?), f64::from(energy?));
    let expected = energy * 100.0 / f64::from(area_mm2);
    // Two whole figures of so small a pulse differ by rounding alone.
    (expected >= 100.0 || fluence >= 100.0).then(|| (fluence - expected).abs() * 1_000.0 / expected.max(1.0))
}

impl Seen<'_> {
    fn violation(self, ordinal: u64, value: f64, limit: f64, margin: f64) -> Judgement {
        Judgement::Violated(Violation {
            ordinal,
            index: self.index,
            value,
            limit,
            margin,
            single: false,
        })
    }

    /// k of n pulses, with what each shows.
    fn of(self, bad: Option<(f64, f64)>, (k, n, clear_after): (u32, u32, u32), memory: &mut Window) -> Judgement {
        let enough = memory.push(bad.is_some(), self.pulse.ordinal, k, n);
        match bad {
            Some((value, limit)) if enough => {
                let first = memory.first_bad().unwrap_or(self.pulse.ordinal);
                self.violation(first, value, limit, limit.max(1.0))
            }
            Some(_) => Judgement::Nothing,
            None => Judgement::cleared_if(memory.clean() >= clear_after),
        }
    }

    fn inconsistent(self, rule: FluenceInconsistent, memory: &mut Window) -> Judgement {
        let pulse = self.pulse;
        let Some(spot) = pulse.spot else {
            return Judgement::Nothing;
        };
        let set = (pulse.fluence_set.map(|f| f.get()), pulse.energy_set.map(|e| e.get()));
        let measured = (
            pulse.fluence_measured.map(|f| f.get()),
            pulse.energy_measured.map(|e| e.get()),
        );
        let apart = [set, measured]
            .into_iter()
            .filter_map(|(fluence, energy)| apart_permille(fluence, energy, spot.get()))
            .reduce(f64::max);
        let Some(apart) = apart else {
            return Judgement::Nothing;
        };
        let limit = f64::from(rule.tolerance_permille);
        let bad = (apart > limit).then_some((apart, limit));
        let judged = self.of(bad, (rule.k_pulses, rule.n_pulses, rule.clear_after_pulses), memory);
        if rule
            .clear_within_permille
            .is_some_and(|within| apart > f64::from(within))
            && bad.is_none()
        {
            // Neither wrong nor well: it ends nothing.
            memory.is_unclear();
            return Judgement::Nothing;
        }
        judged
    }

    fn empty(self, rule: PulseWithoutEnergy, memory: &mut Window) -> Judgement {
        let pulse = self.pulse;
        let energy = pulse.energy_measured.map(|e| e.get());
        let measured = energy.or(pulse.fluence_measured.map(|f| f.get()));
        let (Some(measured), true) = (measured, pulse.fired != Some(false)) else {
            return Judgement::Nothing;
        };
        let set = pulse.energy_set.map_or(0.0, |e| f64::from(e.get()));
        let bad = (measured == 0).then_some((0.0, set));
        self.of(bad, (1, 1, rule.clear_after_pulses), memory)
    }

    fn unfired(self, rule: PulseUnfired, memory: &mut Window) -> Judgement {
        let Some(fired) = self.pulse.fired else {
            return Judgement::Nothing;
        };
        let energy = self.pulse.energy_set.map(|e| e.get());
        let was_set = energy
            .or(self.pulse.fluence_set.map(|f| f.get()))
            .is_some_and(|set| set > 0);
        let bad = (!fired && was_set).then(|| (f64::from(rule.k_pulses), f64::from(rule.n_pulses)));
        self.of(bad, (rule.k_pulses, rule.n_pulses, rule.clear_after_pulses), memory)
    }

    /// Pulses a second, from the last that fired on the same zone: the same zone may be the same spot.
    fn stacked(self, interval_min_us: Option<u32>, last: &mut Option<(u64, Option<Zone>)>) -> Judgement {
        if self.pulse.fired == Some(false) {
            return Judgement::Nothing;
        }
        let (now, zone) = (self.pulse.uptime.micros(), self.pulse.zone);
        let before = last.replace((now, zone)).filter(|(_, of)| *of == zone);
        let (Some(least), Some((before, _))) = (interval_min_us, before) else {
            return Judgement::Nothing;
        };
        let interval = now.saturating_sub(before);
        if interval >= u64::from(least) {
            return Judgement::Nothing;
        }
        let a_second = |us: f64| 1e6 / us.max(1.0);
        let (value, limit) = (a_second(interval as f64), a_second(f64::from(least)));
        self.violation(self.pulse.ordinal, value, limit, limit)
    }

    fn skin(self, most: i32) -> Judgement {
        let degrees = |m: i32| f64::from(m) / 1_000.0;
        match self.pulse.skin_temperature.map(|t| t.get()).filter(|&t| t > most) {
            // A degree more halves the time to a burn, about.
            Some(t) => self.violation(self.pulse.ordinal, degrees(t), degrees(most), 1.0),
            None => Judgement::Nothing,
        }
    }

    fn tip(self, (most, cool, clear_after): (i32, i32, u32), memory: &mut Window) -> Judgement {
        let Some(t) = self.pulse.tip_temperature.map(|t| t.get()) else {
            return Judgement::Nothing;
        };
        let degrees = |m: i32| f64::from(m) / 1_000.0;
        if t <= most && t > cool {
            return Judgement::Nothing;
        }
        let bad = (t > most).then(|| (degrees(t), degrees(most)));
        match self.of(bad, (1, 1, clear_after), memory) {
            Judgement::Violated(v) => self.violation(v.ordinal, v.value, v.limit, 5.0),
            other => other,
        }
    }

    fn filter(self, least: u32) -> Judgement {
        match self.pulse.filter.map(|f| f.get()).filter(|&f| f < least) {
            Some(f) => self.violation(self.pulse.ordinal, f64::from(f), f64::from(least), f64::INFINITY),
            None => Judgement::Nothing,
        }
    }
}
