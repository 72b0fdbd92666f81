//! Faults of an IPL unit's pulses beside their energy: what a pulse tells instead, or how soon it comes.
use telemetry::proto::Pulse;

use super::{Fault, FaultKind};

/// Spot of the tip that is told, where another one is on, in square millimetres.
const WRONG_SPOT_MM2: u32 = 400;
/// Between two pulses of somebody in a hurry.
const HASTY_US: u64 = 400_000;
/// Below this two pulses on one zone stack, as the generated registry has it.
const STACKED_BELOW_US: u64 = 800_000;
/// Skin that was not cooled, and how much warmer each fault's strength makes it, in thousandths of a degree Celsius.
const HOT_SKIN_MDEGC: f64 = 46_000.0;
/// A tip whose cooling failed, in thousandths of a degree Celsius.
const HOT_TIP_MDEGC: f64 = 26_000.0;
/// A filter for nobody, in nanometres.
const WRONG_FILTER_NM: u32 = 480;

/// One fault of one unit.
#[derive(Debug, Clone)]
pub(crate) struct LightFault {
    pub(crate) fault: Fault,
    told: bool,
}

impl LightFault {
    /// The faults among these that change what a pulse tells.
    pub(crate) fn among(faults: &[Fault]) -> Vec<Self> {
        let changes = |fault: &&Fault| {
            matches!(
                fault.kind,
                FaultKind::WrongTip
                    | FaultKind::EnergySensorDead
                    | FaultKind::Misfiring
                    | FaultKind::HastyPulses
                    | FaultKind::HotSkin
                    | FaultKind::CoolingFailure
                    | FaultKind::WrongFilter
                    | FaultKind::LampPastLife
            )
        };
        let of = |&fault: &Fault| Self { fault, told: false };
        faults.iter().filter(changes).map(of).collect()
    }

    /// Spoils a pulse. `previous_us`: when the last one fired on this zone. `true`: the first that offends.
    pub(crate) fn apply(&mut self, pulse: &mut Pulse, at_us: u64, previous_us: Option<u64>) -> bool {
        if !self.fault.is_active(at_us) {
            return false;
        }
        let offends = match self.fault.kind {
            FaultKind::WrongTip => {
                pulse.spot_area_mm2 = Some(WRONG_SPOT_MM2);
                true
            }
            FaultKind::EnergySensorDead => {
                (pulse.energy_measured_mj, pulse.fluence_measured_mj_per_cm2) = (Some(0), Some(0));
                true
            }
            FaultKind::Misfiring => {
                (pulse.energy_measured_mj, pulse.fluence_measured_mj_per_cm2) = (None, None);
                pulse.fired = Some(false);
                true
            }
            FaultKind::HastyPulses => previous_us.is_some_and(|before| at_us - before < STACKED_BELOW_US),
            FaultKind::HotSkin => {
                pulse.skin_temperature_mdegc = Some((HOT_SKIN_MDEGC * self.fault.strength) as i32);
                true
            }
            FaultKind::CoolingFailure => {
                pulse.tip_temperature_mdegc = Some((HOT_TIP_MDEGC * self.fault.strength) as i32);
                true
            }
            FaultKind::WrongFilter => {
                pulse.filter_cutoff_nm = Some(WRONG_FILTER_NM);
                true
            }
            // The counter stands there from the start.
            FaultKind::LampPastLife => true,
            _ => false,
        };
        let first = offends && !self.told;
        self.told |= offends;
        first
    }

    /// How soon the next pulse comes, if the fault says so.
    pub(crate) fn repeat_us(&self, at_us: u64) -> Option<u64> {
        let hasty = self.fault.kind == FaultKind::HastyPulses && self.fault.is_active(at_us);
        hasty.then_some((HASTY_US as f64 / self.fault.strength) as u64)
    }
}
