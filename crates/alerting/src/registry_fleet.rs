//! The registry as the engine sees it: limits and policy of a device, flattened.
use std::sync::Arc;

use registry::Registry;
use telemetry::{DeviceKey, SkinType, Zone};

use crate::fleet::{Facts, Fleet, Hygiene};

/// One version of the registry.
pub struct RegistryFleet(pub Arc<Registry>);

impl Fleet for RegistryFleet {
    fn facts(&self, key: &DeviceKey) -> Option<Arc<Facts>> {
        let (device, limits, policy) = (self.0.device(key)?, self.0.limits(key)?, self.0.policy(key)?);
        // A device without needles that says strokes is judged by 0: nothing is allowed.
        let depth = |zone: Option<Zone>| limits.depth_max(zone).map_or(0, |d| d.get());
        let fluence = |skin: Option<SkinType>| limits.fluence_max(skin).map_or(0, |f| f.get());
        let mut facts = Facts {
            clinic: device.clinic.clone(),
            model: device.model.clone(),
            kind: device.kind,
            depth_max_um: [depth(None); Zone::ALL.len() + 1],
            depth_tolerance_um: limits.needle.as_ref().map_or(0, |n| n.depth_tolerance.get()),
            depth_guard_band_um: limits.needle.as_ref().map_or(0, |n| n.depth_guard_band.get()),
            fluence_max_mj_per_cm2: [fluence(None); SkinType::ALL.len() + 1],
            fluence_tolerance_permille: limits.light.as_ref().map_or(0, |l| l.fluence_tolerance_permille),
            policy: Hygiene {
                disinfection_between_visits: policy.disinfection_between_visits,
                disinfection_level: Some(policy.disinfection_level),
                disinfection_contact_time_min: policy.disinfection_contact_time_min,
                evidence_grace: policy.evidence_grace,
                sterilization_every: policy.sterilization_every,
                sterilization_uses: policy.sterilization_every_uses,
                indicator_every: Some(policy.biological_indicator_every),
                cartridge_single_use: policy.cartridge_single_use,
                silent_in_session_after: policy.silent_in_session_after,
            },
        };
        for (at, zone) in facts.depth_max_um.iter_mut().skip(1).zip(Zone::ALL) {
            *at = depth(Some(*zone));
        }
        for (at, skin) in facts.fluence_max_mj_per_cm2.iter_mut().skip(1).zip(SkinType::ALL) {
            *at = fluence(Some(*skin));
        }
        Some(Arc::new(facts))
    }

    fn version(&self) -> String {
        self.0.version().to_string()
    }
}
