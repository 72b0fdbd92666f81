//! Depth that leaves its factory calibration: quickly enough to see within a session, or slowly over many.
//!
//! The residual is measured - (setpoint + factory offset): a mean that learns would learn the fault. Textbook settings of
//! these charts flood a fleet: k 0.5 and h 5 sigma, one sample a second, would page 10,000 pens 77,000 times a day.
use serde::{Deserialize, Serialize};

use super::control::{Cusum, CusumChart, Ewma};
use super::seconds::Second;
use super::{Judgement, Parameters, Violation};

/// Of `depth_drift`: a two-sided cumulative sum over the mean residuals of seconds. With 50 and 425 µm it is k 1 and h 8.5 for
/// means with a standard deviation of 50 µm (an assumption): 5.9e7 seconds between two false alarms, 4.9 to find 150 µm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthDrift {
    /// A mean that is off by less than this is never a drift, in micrometres.
    pub indifference_um: u32,
    /// How much beyond it must have added up, second by second, in micrometres.
    pub decision_um: u32,
    /// Over after so many seconds of strokes in a row with half of that at most.
    pub clear_after_s: u32,
}

impl Parameters for DepthDrift {
    fn check(&self) -> Result<(), String> {
        if self.indifference_um == 0 || self.decision_um < self.indifference_um {
            return Err("indifference_um must be above 0 and decision_um at least as much".to_owned());
        }
        Ok(())
    }
}

/// Of `depth_baseline_shift`: a moving average over the mean residuals of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthBaselineShift {
    /// How far the average may be off, in micrometres.
    pub limit_um: u32,
    /// How much of the average the newest session is, in thousandths.
    pub weight_permille: u32,
    /// Sessions with fewer strokes do not count.
    pub strokes_min: u32,
}

impl Parameters for DepthBaselineShift {
    fn check(&self) -> Result<(), String> {
        if self.limit_um == 0 || !(1..=1_000).contains(&self.weight_permille) {
            return Err("limit_um must be above 0 and weight_permille 1 to 1000".to_owned());
        }
        Ok(())
    }
}

/// What `depth_drift` remembers under one zone, setpoint and cartridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DriftMemory {
    chart: Cusum,
    calm_s: u32,
}

/// Judges a second. `unknown_offset_um`: the tolerance, where the device told no factory offset. A healthy pen may be off by as
/// much, so only what is beyond is drift.
pub fn judge(
    second: &Second,
    index: usize,
    rule: &DepthDrift,
    unknown_offset_um: Option<u32>,
    memory: &mut DriftMemory,
) -> Judgement {
    if second.is_shallow() {
        return Judgement::Nothing;
    }
    let indifference_um = rule.indifference_um + unknown_offset_um.unwrap_or(0);
    let chart = CusumChart {
        indifference: i64::from(indifference_um) * 1_000,
        decision: i64::from(rule.decision_um) * 1_000,
    };
    let shift = memory.chart.push(second.mean_milli(), second.first_ordinal, chart);
    if let Some(shift) = shift {
        memory.calm_s = 0;
        return Judgement::Violated(Violation {
            ordinal: shift.since,
            index,
            value: shift.by.unsigned_abs() as f64 / 1_000.0,
            limit: f64::from(indifference_um),
            margin: f64::from(indifference_um),
            single: false,
        });
    }
    memory.calm_s = if memory.chart.is_calm(chart) {
        memory.calm_s.saturating_add(1)
    } else {
        0
    };
    Judgement::cleared_if(memory.calm_s >= rule.clear_after_s)
}

/// Residuals of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SessionMean {
    residual_um: i64,
    strokes: u64,
}

impl SessionMean {
    /// Takes a second.
    pub fn push(&mut self, second: &Second) {
        self.residual_um += second.residual_um;
        self.strokes += u64::from(second.read);
    }
}

/// What `depth_baseline_shift` remembers of a device. Starts anew with every calibration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Baseline {
    average: Ewma,
    offset_um: i32,
}

impl Baseline {
    /// The calibration that holds now: another one than before starts anew.
    pub fn calibrated(&mut self, offset_um: i32) -> bool {
        let anew = self.offset_um != offset_um;
        if anew {
            *self = Self {
                offset_um,
                ..Self::default()
            };
        }
        anew
    }

    /// Takes a session that ended. The way back ends at two thirds of the limit.
    pub fn push(&mut self, session: SessionMean, rule: &DepthBaselineShift) -> Judgement {
        if session.strokes < u64::from(rule.strokes_min.max(1)) {
            return Judgement::Nothing;
        }
        let mean_milli = session.residual_um * 1_000 / session.strokes as i64;
        let average = self.average.push(mean_milli, rule.weight_permille).abs();
        let limit = i64::from(rule.limit_um) * 1_000;
        if average > limit {
            return Judgement::Violated(Violation {
                ordinal: 0,
                index: 0,
                value: average as f64 / 1_000.0,
                limit: f64::from(rule.limit_um),
                margin: f64::from(rule.limit_um),
                single: false,
            });
        }
        Judgement::cleared_if(average * 3 <= limit * 2)
    }
}
