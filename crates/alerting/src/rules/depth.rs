//! Depth rules: above the limit of zone or device, off the setpoint, and a setpoint above the limit.
//!
//! A batch whose greatest and least depth are fine is passed by one look over the column; strokes are only walked when one
//! of them violates something.
use serde::{Deserialize, Serialize};
use telemetry::{StrokeBatch, Zone};

use super::seconds::{Column, Expected};
use super::{Ruleset, Scope, Violation, Window};
use crate::fleet::Facts;

/// What strokes of one device in one zone are judged by. Resolved once per configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DepthBounds {
    /// Greatest depth, in micrometres.
    pub limit_um: u32,
    /// Above this one stroke fires alone.
    pub alone_um: u32,
    above: Option<(u32, u32, u32)>,
    off: Option<(u32, u32, u32)>,
    tolerance_um: u32,
    /// Strokes shallower than this share of what is expected are `depth_too_shallow`'s; 0: nobody's.
    shallow_permille: u32,
    setpoint: bool,
}

impl DepthBounds {
    /// Resolves rules and registry for a scope. An override makes a bound of the registry stricter, never wider.
    pub fn resolve(rules: &Ruleset, facts: &Facts, scope: &Scope<'_>) -> Self {
        let above = rules.depth_above_limit.as_ref().map(|r| *r.params(scope));
        let off = rules.depth_off_setpoint.as_ref().map(|r| *r.params(scope));
        let registry = facts.depth_max_um(scope.zone);
        let limit_um = above.and_then(|p| p.limit_um).map_or(registry, |own| own.min(registry));
        let band = above
            .and_then(|p| p.guard_band_um)
            .map_or(facts.depth_guard_band_um, |own| own.min(facts.depth_guard_band_um));
        let tolerance_um = off
            .and_then(|p| p.tolerance_um)
            .map_or(facts.depth_tolerance_um, |own| own.min(facts.depth_tolerance_um));
        Self {
            limit_um,
            alone_um: limit_um.saturating_add(band),
            above: above.map(|p| (p.k_strokes, p.n_strokes, p.clear_after_strokes)),
            off: off.map(|p| (p.k_strokes, p.n_strokes, p.clear_after_strokes)),
            tolerance_um,
            shallow_permille: rules
                .depth_too_shallow
                .as_ref()
                .map_or(0, |r| r.params(scope).share_permille),
            setpoint: rules.depth_setpoint_above_limit.is_some(),
        }
    }

    /// What is expected of a batch's strokes; `None` without a setpoint. `offset_um`: the device's own factory offset, measured
    /// minus set depth. A healthy pen may sit anywhere within its scale tolerance (±0.15 mm for a cleared one, K182407), so
    /// what is off is judged from there; an offset beyond the tolerance counts as the tolerance.
    pub fn expected(&self, batch: &StrokeBatch, offset_um: i32) -> Option<Expected> {
        let tolerance = i32::try_from(self.tolerance_um).unwrap_or(i32::MAX);
        let set = batch.setpoint?.get();
        let depth_um = set.saturating_add_signed(offset_um.clamp(-tolerance, tolerance));
        // Of what is no deeper than the tolerance nobody can say that it hardly goes in.
        let shallow_below_um = if depth_um > self.tolerance_um {
            depth_um * self.shallow_permille / 1_000
        } else {
            0
        };
        Some(Expected {
            depth_um,
            tolerance_um: self.tolerance_um,
            shallow_below_um,
        })
    }
}

/// What the depth rules remember of a session: windows start anew with session, zone and setpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DepthMemory {
    above: Window,
    off: Window,
    context: Option<(Option<Zone>, Option<u32>)>,
}

/// What a batch showed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DepthVerdict {
    /// Above the limit.
    pub above: Option<Violation>,
    /// Enough strokes in a row within the limit.
    pub above_cleared: bool,
    /// Off the setpoint.
    pub off: Option<Violation>,
    /// Enough strokes in a row within the tolerance.
    pub off_cleared: bool,
    /// The setpoint is above the limit.
    pub setpoint: Option<Violation>,
    /// The setpoint is known and within the limit.
    pub setpoint_cleared: bool,
}

/// Judges a batch of which `column` is what one look showed. Without a setpoint nothing is off it. Limits are judged by what
/// was measured.
pub fn judge(
    batch: &StrokeBatch,
    column: Option<Column>,
    expected: Option<&Expected>,
    bounds: &DepthBounds,
    memory: &mut DepthMemory,
) -> DepthVerdict {
    let set = batch.setpoint.map(|s| s.get());
    if memory.context != Some((batch.zone, set)) {
        *memory = DepthMemory {
            context: Some((batch.zone, set)),
            ..DepthMemory::default()
        };
    }
    let low = expected.map_or(0, |e| e.depth_um.saturating_sub(e.tolerance_um));
    let high = expected.map_or(u32::MAX, |e| e.depth_um.saturating_add(e.tolerance_um));
    let mut verdict = DepthVerdict::default();
    if column.is_some_and(|all| all.most <= bounds.limit_um.min(high) && all.least >= low) {
        let count = u32::try_from(batch.len()).unwrap_or(u32::MAX);
        memory.above.push_clean(count);
        memory.off.push_clean(count);
    } else {
        walk(batch, bounds, memory, expected, &mut verdict);
    }
    verdict.above_cleared = verdict.above.is_none() && cleared(&memory.above, bounds.above);
    verdict.off_cleared = verdict.off.is_none() && set.is_some() && cleared(&memory.off, bounds.off);
    if let Some(set) = set.filter(|_| bounds.setpoint) {
        verdict.setpoint = (set > bounds.limit_um).then(|| violation(batch.first_ordinal, 0, set, bounds.limit_um, 0));
        verdict.setpoint_cleared = set <= bounds.limit_um;
    }
    verdict
}

fn cleared(window: &Window, rule: Option<(u32, u32, u32)>) -> bool {
    rule.is_some_and(|(_, n, after)| window.clean() >= after.max(n))
}

fn violation(ordinal: u64, index: usize, value: u32, limit: u32, margin: u32) -> Violation {
    Violation {
        ordinal,
        index,
        value: f64::from(value),
        limit: f64::from(limit),
        margin: f64::from(margin),
        single: false,
    }
}

/// The slow way: stroke by stroke.
fn walk(
    batch: &StrokeBatch,
    bounds: &DepthBounds,
    memory: &mut DepthMemory,
    expected: Option<&Expected>,
    verdict: &mut DepthVerdict,
) {
    let band = bounds.alone_um - bounds.limit_um;
    for (index, depth) in batch.depths() {
        let ordinal = batch.first_ordinal + index as u64;
        if let Some((k, n, _)) = bounds.above {
            let over = depth > bounds.limit_um;
            let enough = memory.above.push(over, ordinal, k, n);
            let alone = depth > bounds.alone_um;
            if enough || alone {
                let first = memory.above.first_bad().unwrap_or(ordinal);
                let mut found = violation(first, index, depth, bounds.limit_um, band);
                found.single = alone;
                worse(&mut verdict.above, found);
            }
        }
        if let (Some((k, n, _)), Some(expected)) = (bounds.off, expected)
            && memory.off.push(expected.is_off(depth), ordinal, k, n)
        {
            let first = memory.off.first_bad().unwrap_or(ordinal);
            let off_by = depth.abs_diff(expected.depth_um);
            worse(
                &mut verdict.off,
                violation(first, index, off_by, bounds.tolerance_um, bounds.tolerance_um),
            );
        }
    }
}

/// Keeps the first ordinal and the worst value.
fn worse(known: &mut Option<Violation>, found: Violation) {
    match known {
        None => *known = Some(found),
        Some(known) => {
            known.single |= found.single;
            if found.value > known.value {
                known.value = found.value;
                known.index = found.index;
            }
        }
    }
}
