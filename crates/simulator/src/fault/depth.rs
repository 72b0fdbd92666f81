//! Faults of a pen's strokes: what the sensor reads instead, or how fast the motor runs.
use telemetry::Zone;

use super::{Fault, FaultKind};
use crate::noise::SCALE_TOLERANCE_UM;
use crate::treatment::PEN_RATE_HZ;

/// How fast the depth creeps, in micrometres a second.
const CREEP_UM_PER_S: f64 = 60.0;
/// How far it creeps.
const CREEP_MAX_UM: f64 = 400.0;
/// How far beyond the limit the needles go around the eyes: more than tolerance and six sigma.
const OVERSHOOT_UM: f64 = 500.0;

/// How much deeper a pen goes whose depth has shifted.
const SHIFT_UM: f64 = 120.0;
/// How far off its calibration a pen is that ought to be calibrated again.
const CALIBRATION_OFF_UM: f64 = 45.0;
/// How many more times its noise a jittering sensor adds.
const JITTER: f64 = 4.0;
/// Share of its strokes that a slow motor does not make.
const SLOWER_BY: f64 = 0.4;
/// A motor is slow that makes fewer strokes a second than this share of the model's slowest rate. What a pen was set to is told
/// nowhere, so one that was set fast and is slow could as well have been set slower.
const TOO_SLOW: f64 = 0.95;
/// Share of the set depth that needles go in which are not seated.
const NOT_SEATED: f64 = 0.1;
/// Needles set no deeper than this could as well be a healthy pen at the end of its scale.
const NOT_SEATED_FROM_UM: u32 = 2 * SCALE_TOLERANCE_UM;

/// A healthy reading and what it was made under.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) at_us: u64,
    pub(crate) zone: Zone,
    pub(crate) setpoint_um: u32,
    pub(crate) limit_um: u32,
    /// Strokes a second that are set, in thousandths.
    pub(crate) rate_mhz: u32,
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
                    | FaultKind::DepthShift
                    | FaultKind::CalibrationOff
                    | FaultKind::StuckSensor
                    | FaultKind::SensorJitter
                    | FaultKind::SlowMotor
                    | FaultKind::NeedleNotSeated
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
                let beyond = OVERSHOOT_UM * self.fault.strength;
                let depth_um = f64::from(reading.limit_um) + beyond + reading.noise_um;
                (depth_um.max(0.0) as u32, beyond > 0.0)
            }
            FaultKind::DepthShift => (self.shifted(reading, SHIFT_UM), true),
            FaultKind::CalibrationOff => (self.shifted(reading, CALIBRATION_OFF_UM), true),
            FaultKind::StuckSensor => self.stuck(reading),
            FaultKind::SensorJitter => (self.shifted(reading, JITTER * reading.noise_um), true),
            FaultKind::SlowMotor => {
                let makes_hz = f64::from(reading.rate_mhz) / 1_000.0 / self.slower(reading.at_us);
                (reading.depth_um, makes_hz < TOO_SLOW * f64::from(PEN_RATE_HZ.0))
            }
            FaultKind::NeedleNotSeated => {
                let depth_um = f64::from(reading.setpoint_um) * NOT_SEATED + reading.noise_um * NOT_SEATED;
                (depth_um.max(0.0) as u32, reading.setpoint_um > NOT_SEATED_FROM_UM)
            }
            // The pen does as it is told: the fault is the setpoint.
            FaultKind::SetpointAboveLimit => (reading.depth_um, reading.setpoint_um > reading.limit_um),
            _ => (reading.depth_um, false),
        };
        let first = offends && !self.told;
        self.told |= offends;
        (depth_um, first)
    }

    /// By how much longer a stroke takes.
    pub(crate) fn slower(&self, at_us: u64) -> f64 {
        let slow = self.fault.kind == FaultKind::SlowMotor && self.fault.is_active(at_us);
        if slow {
            1.0 / (1.0 - (SLOWER_BY * self.fault.strength).min(0.9))
        } else {
            1.0
        }
    }

    fn shifted(&self, reading: Reading, by_um: f64) -> u32 {
        (f64::from(reading.depth_um) + by_um * self.fault.strength)
            .round()
            .max(0.0) as u32
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
