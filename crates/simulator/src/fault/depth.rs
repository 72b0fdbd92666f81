//! Faults of a pen's depth: what the sensor reads instead.
use telemetry::Zone;

use super::{Fault, FaultKind};
use crate::noise::SCALE_TOLERANCE_UM;

/// How fast the depth creeps, in micrometres a second.
const CREEP_UM_PER_S: f64 = 60.0;
/// How far it creeps.
const CREEP_MAX_UM: f64 = 400.0;
/// How far beyond the limit the needles go around the eyes: more than tolerance and six sigma.
const OVERSHOOT_UM: f64 = 500.0;

/// A healthy reading and what it was made under.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) at_us: u64,
    pub(crate) zone: Zone,
    pub(crate) setpoint_um: u32,
    pub(crate) limit_um: u32,
    /// What a healthy pen would read.
    pub(crate) depth_um: u32,
    /// The noise in it.
    pub(crate) noise_um: f64,
    /// What was read before, in this session.
    pub(crate) previous_um: Option<u32>,
}

/// One depth fault of one pen.
#[derive(Debug, Clone)]
pub(crate) struct DepthFault {
    pub(crate) fault: Fault,
    told: bool,
    frozen: Option<u32>,
}

impl DepthFault {
    /// The faults among these that change depths.
    pub(crate) fn among(faults: &[Fault]) -> Vec<Self> {
        let changes_depth = |fault: &&Fault| {
            matches!(
                fault.kind,
                FaultKind::DepthCreep
                    | FaultKind::DepthOvershootEye
                    | FaultKind::StuckSensor
                    | FaultKind::SetpointAboveLimit
            )
        };
        faults
            .iter()
            .filter(changes_depth)
            .map(|&fault| Self {
                fault,
                told: false,
                frozen: None,
            })
            .collect()
    }

    /// What the sensor reads instead, and whether this is the first stroke that offends.
    pub(crate) fn apply(&mut self, reading: Reading) -> (u32, bool) {
        if !self.fault.is_active(reading.at_us) {
            return (reading.depth_um, false);
        }
        let (depth_um, offends) = match self.fault.kind {
            FaultKind::DepthCreep => self.creep(reading),
            FaultKind::DepthOvershootEye if reading.zone == Zone::Periorbital => {
                let beyond = OVERSHOOT_UM * self.fault.strength + reading.noise_um;
                ((f64::from(reading.limit_um) + beyond).max(0.0) as u32, true)
            }
            FaultKind::StuckSensor => self.stuck(reading),
            // The pen does as it is told: the fault is the setpoint.
            FaultKind::SetpointAboveLimit => (reading.depth_um, reading.setpoint_um > reading.limit_um),
            _ => (reading.depth_um, false),
        };
        let first = offends && !self.told;
        self.told |= offends;
        (depth_um, first)
    }

    fn creep(&self, reading: Reading) -> (u32, bool) {
        let seconds = (reading.at_us - self.fault.after_us) as f64 / 1e6;
        let deviation = (CREEP_UM_PER_S * seconds).min(CREEP_MAX_UM) * self.fault.strength;
        let depth_um = reading.depth_um + deviation as u32;
        (depth_um, deviation > f64::from(SCALE_TOLERANCE_UM))
    }

    fn stuck(&mut self, reading: Reading) -> (u32, bool) {
        match self.frozen.or(reading.previous_um) {
            Some(frozen) => {
                self.frozen = Some(frozen);
                (frozen, true)
            }
            None => {
                self.frozen = Some(reading.depth_um);
                (reading.depth_um, false)
            }
        }
    }

    /// What was done, for the report.
    pub(crate) fn detail(&self, depth_um: u32, reading: &Reading) -> String {
        let (setpoint, limit) = (reading.setpoint_um, reading.limit_um);
        format!(
            "depth {depth_um} µm, setpoint {setpoint} µm, limit {limit} µm, zone {}",
            reading.zone
        )
    }
}
