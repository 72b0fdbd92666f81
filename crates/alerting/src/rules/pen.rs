//! What a pen shows over seconds and sessions, put together: bounds resolved once, memory kept, one judgement per rule.
use serde::{Deserialize, Serialize};
use telemetry::{StrokeBatch, Zone};
use xxhash_rust::xxh3::xxh3_64;

use super::drift::{self, DepthDrift, DriftMemory, SessionMean};
use super::seconds::{Column, Expected, Gather, Second};
use super::sensor::{self, DepthSensorStuck, Seconds, StuckMemory};
use super::{Judgement, Kind, Ruleset, Scope, Window};
use crate::fleet::Facts;

/// What one device's seconds are judged by in one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PenBounds {
    drift: Option<DepthDrift>,
    stuck: Option<DepthSensorStuck>,
    /// Declared noise of one reading.
    sigma_um: u32,
    jitter: Option<(u32, Seconds)>,
    rate: Option<((u64, u64), Seconds)>,
    shallow: Option<Seconds>,
}

impl PenBounds {
    /// Resolves rules and registry for a scope. An override makes a bound of the registry stricter, never wider.
    pub fn resolve(rules: &Ruleset, facts: &Facts, scope: &Scope<'_>) -> Self {
        // Without a declared noise nobody can say what is far above it, or that readings must differ at all.
        let noisy = facts.depth_sigma_um > 0;
        let (slow, fast) = (facts.stroke_rate_min_hz, facts.stroke_rate_max_hz);
        Self {
            drift: rules.depth_drift.as_ref().map(|r| *r.params(scope)),
            stuck: rules
                .depth_sensor_stuck
                .as_ref()
                .filter(|_| noisy)
                .map(|r| *r.params(scope)),
            sigma_um: facts.depth_sigma_um,
            jitter: rules.depth_sensor_jitter.as_ref().filter(|_| noisy).map(|r| {
                let p = r.params(scope);
                (p.range_sigma * facts.depth_sigma_um, of(p.k_s, p.n_s, p.clear_after_s))
            }),
            rate: rules.stroke_rate_off.as_ref().filter(|_| fast > 0).map(|r| {
                let p = r.params(scope);
                let least = p.min_hz.map_or(slow, |own| own.max(slow));
                let most = p.max_hz.map_or(fast, |own| own.min(fast));
                // Hertz x permille are thousandths of a hertz.
                let bounds = (
                    u64::from(least) * u64::from(1_000 - p.tolerance_permille.min(1_000)),
                    u64::from(most) * u64::from(1_000 + p.tolerance_permille),
                );
                (bounds, of(p.k_s, p.n_s, p.clear_after_s))
            }),
            shallow: rules.depth_too_shallow.as_ref().map(|r| {
                let p = r.params(scope);
                of(p.k_s, p.n_s, p.clear_after_s)
            }),
        }
    }
}

/// Whether many readings of 0 in a row mean something. Zero is the end of the sensor's scale: where hardly more is expected a
/// healthy pen reads it now and then, and one whose factory offset nobody told may read nothing else. Two sigma above that, one
/// reading in 44 of a healthy pen is 0 (the normal tail), and a row of hundreds never is.
fn zero_counts(expected: &Expected, sigma_um: u32, calibrated: bool) -> bool {
    let unknown = if calibrated { 0 } else { expected.tolerance_um };
    expected.depth_um > unknown.saturating_add(2 * sigma_um)
}

fn of(k: u32, n: u32, clear_after: u32) -> Seconds {
    Seconds { k, n, clear_after }
}

/// What is remembered under one zone, setpoint and cartridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Setting {
    of: (Option<Zone>, Option<u32>, Option<u32>),
    gather: Gather,
    drift: DriftMemory,
    shallow: Window,
}

/// What is remembered of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PenMemory {
    setting: Setting,
    stuck: StuckMemory,
    jitter: Window,
    rate: Window,
    /// For the rule over sessions.
    pub mean: SessionMean,
}

/// Judgements of a batch, by kind. All are about the pen in this visit and not about a zone.
pub type PenVerdict = [(Kind, Judgement); 5];

/// Judges a batch. `calibrated`: whether the device told its factory offset.
pub fn judge(
    batch: &StrokeBatch,
    column: Option<Column>,
    expected: Option<&Expected>,
    bounds: &PenBounds,
    calibrated: bool,
    memory: &mut PenMemory,
) -> PenVerdict {
    let mut verdict = [
        (Kind::DepthSensorStuck, Judgement::Nothing),
        (Kind::DepthDrift, Judgement::Nothing),
        (Kind::DepthSensorJitter, Judgement::Nothing),
        (Kind::StrokeRateOff, Judgement::Nothing),
        (Kind::DepthTooShallow, Judgement::Nothing),
    ];
    let [stuck, seconds @ ..] = &mut verdict;
    if let Some(rule) = &bounds.stuck {
        let zero_counts = expected.is_some_and(|e| zero_counts(e, bounds.sigma_um, calibrated));
        stuck.1 = memory.stuck.judge(batch, zero_counts, rule);
    }
    memory.setting.change(batch);
    if let Some(expected) = expected
        && let Some(second) = memory.setting.gather.push(batch, column, expected)
    {
        let index = batch.len().saturating_sub(1);
        for ((_, judgement), judged) in seconds
            .iter_mut()
            .zip(memory.second(&second, index, expected, bounds, calibrated))
        {
            *judgement = judged;
        }
    }
    verdict
}

impl Setting {
    /// Charts start anew with every change of zone, setpoint or cartridge.
    fn change(&mut self, batch: &StrokeBatch) {
        let cartridge = batch.cartridge.as_ref().map(|c| xxh3_64(c.as_str().as_bytes()) as u32);
        let of = (batch.zone, batch.setpoint.map(|s| s.get()), cartridge);
        if self.of != of {
            *self = Self { of, ..Self::default() };
        }
    }
}

impl PenMemory {
    /// In the order of [`PenVerdict`], without the first.
    fn second(
        &mut self,
        second: &Second,
        index: usize,
        expected: &Expected,
        bounds: &PenBounds,
        calibrated: bool,
    ) -> [Judgement; 4] {
        self.mean.push(second);
        let unknown_offset = (!calibrated).then_some(expected.tolerance_um);
        let setting = &mut self.setting;
        [
            bounds
                .drift
                .map(|rule| drift::judge(second, index, &rule, unknown_offset, &mut setting.drift)),
            bounds
                .jitter
                .map(|(range_um, rule)| sensor::jitter(second, index, range_um, rule, &mut self.jitter)),
            bounds
                .rate
                .map(|(bounds, rule)| sensor::rate(second, index, bounds, rule, &mut self.rate)),
            bounds
                .shallow
                .map(|rule| sensor::shallow(second, index, expected, rule, &mut setting.shallow)),
        ]
        .map(Option::unwrap_or_default)
    }
}
