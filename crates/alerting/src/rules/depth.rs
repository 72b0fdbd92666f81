//! Depth rules: above the limit of zone or device, off the setpoint, and a setpoint above the limit.
//!
//! A batch whose greatest and least depth are fine is passed by one look over the column; strokes are only walked when one
//! of them violates something.
use serde::{Deserialize, Serialize};
use telemetry::{StrokeBatch, Zone};

use super::{Ruleset, Scope, Violation, Window};
use crate::fleet::Facts;

/// What strokes of one device in one zone are judged by. Resolved once per configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepthBounds {
    /// Greatest depth, in micrometres.
    pub limit_um: u32,
    /// Above this one stroke fires alone.
    pub alone_um: u32,
    above: Option<(u32, u32, u32)>,
    off: Option<(u32, u32, u32)>,
    tolerance_um: u32,
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
            setpoint: rules.depth_setpoint_above_limit.is_some(),
        }
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

/// Judges a batch. `offset_um`: the device's own factory offset, measured minus set depth. A healthy pen may sit anywhere
/// within its scale tolerance (±0.15 mm for a cleared one, K182407), so what is off is judged from there; an offset beyond the
/// tolerance counts as the tolerance. Limits are judged by what was measured.
pub fn judge(batch: &StrokeBatch, bounds: &DepthBounds, offset_um: i32, memory: &mut DepthMemory) -> DepthVerdict {
    let set = batch.setpoint.map(|s| s.get());
    if memory.context != Some((batch.zone, set)) {
        *memory = DepthMemory {
            context: Some((batch.zone, set)),
            ..DepthMemory::default()
        };
    }
    // Without a setpoint nothing is off it.
    let tolerance = i32::try_from(bounds.tolerance_um).unwrap_or(i32::MAX);
    let expected = set.map(|s| s.saturating_add_signed(offset_um.clamp(-tolerance, tolerance)));
    let low = expected.map_or(0, |e| e.saturating_sub(bounds.tolerance_um));
    let high = expected.map_or(u32::MAX, |e| e.saturating_add(bounds.tolerance_um));
    let mut verdict = DepthVerdict::default();
    let fine = batch.depths_if_all_read().is_some_and(|depths| {
        let (least, most) = extremes(depths);
        most <= bounds.limit_um.min(high) && least >= low
    });
    if fine {
        let count = u32::try_from(batch.len()).unwrap_or(u32::MAX);
        memory.above.push_clean(count);
        memory.off.push_clean(count);
    } else {
        walk(batch, bounds, memory, expected.unwrap_or(0), (low, high), &mut verdict);
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

/// Least and greatest of a column. Two independent folds without branches: the compiler vectorises them.
#[inline]
fn extremes(depths: &[u32]) -> (u32, u32) {
    depths.iter().fold((u32::MAX, 0), |(least, most), &depth| {
        (least.min(depth), most.max(depth))
    })
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
    expected: u32,
    (low, high): (u32, u32),
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
        if let Some((k, n, _)) = bounds.off
            && memory.off.push(depth < low || depth > high, ordinal, k, n)
        {
            let first = memory.off.first_bad().unwrap_or(ordinal);
            let off_by = depth.abs_diff(expected);
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
