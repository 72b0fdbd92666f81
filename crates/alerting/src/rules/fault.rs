//! What a device says of itself: which of its faults take away a protection, and which only its use.
use serde::{Deserialize, Serialize};
use telemetry::FaultCode;

use super::Kind;

/// The rule that a fault is for. What this version does not know is taken for the worse.
pub fn kind_of(code: Option<FaultCode>) -> Kind {
    match code {
        Some(FaultCode::Motor | FaultCode::Lamp | FaultCode::StorageFull | FaultCode::Battery) => Kind::DeviceFault,
        Some(
            FaultCode::DepthSensor
            | FaultCode::EnergySensor
            | FaultCode::TemperatureSensor
            | FaultCode::Cooling
            | FaultCode::LimitCutoff,
        )
        | None => Kind::DeviceProtectionFault,
    }
}

/// Faults that a device told since it was switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Faults {
    boot: u64,
    /// A bit for each code, the lowest for one that is not known.
    codes: u32,
}

impl Faults {
    /// The device told a fault. Tells how many it has told for the same rule.
    pub fn take(&mut self, boot: u64, code: Option<FaultCode>) -> u32 {
        self.booted(boot);
        self.codes |= bit(code);
        self.of(kind_of(code)).count() as u32
    }

    /// The device was switched on. `true`: it had faults before.
    pub fn booted(&mut self, boot: u64) -> bool {
        let anew = self.boot != boot;
        let had = anew && self.codes != 0;
        if anew {
            *self = Self { boot, codes: 0 };
        }
        had
    }

    /// The codes that were told for a rule.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = Option<FaultCode>> {
        let codes = self.codes;
        let known = FaultCode::ALL.iter().copied().map(Some);
        std::iter::once(None)
            .chain(known)
            .filter(move |&code| codes & bit(code) != 0 && kind_of(code) == kind)
    }
}

fn bit(code: Option<FaultCode>) -> u32 {
    1 << code.map_or(0, |c| c.to_wire().clamp(0, 31))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_counts_once_for_its_rule_until_the_device_is_switched_on_again() {
        let mut faults = Faults::default();
        assert_eq!(faults.take(7, Some(FaultCode::Cooling)), 1);
        assert_eq!(faults.take(7, Some(FaultCode::Cooling)), 1);
        assert_eq!(faults.take(7, Some(FaultCode::Lamp)), 1);
        assert_eq!(faults.take(7, None), 2);
        assert!(!faults.booted(7));
        assert!(faults.booted(8));
        assert!(!faults.booted(8));
        assert_eq!(faults.of(Kind::DeviceProtectionFault).count(), 0);
    }

    #[test]
    fn every_code_has_a_bit_of_its_own() {
        let bits: std::collections::BTreeSet<u32> = FaultCode::ALL.iter().map(|&c| bit(Some(c))).collect();
        assert_eq!(bits.len(), FaultCode::ALL.len());
        assert!(!bits.contains(&bit(None)));
    }
}
