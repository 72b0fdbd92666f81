//! The registry as the engine sees it: limits and policy of a device, flattened.
use std::sync::Arc;

use registry::{DeviceState, LightLimits, Registry};
use telemetry::{ClinicId, DeviceKey, Serial, SkinType, TenantId, Zone, shard};

use crate::fleet::{Expectation, Facts, Fleet, Hygiene, Light, Place};

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
            depth_sigma_um: limits.needle.as_ref().map_or(0, |n| n.depth_sigma.get()),
            stroke_rate_min_hz: limits.needle.as_ref().map_or(0, |n| n.stroke_rate_min_hz),
            stroke_rate_max_hz: limits.needle.as_ref().map_or(0, |n| n.stroke_rate_max_hz),
            fluence_max_mj_per_cm2: [fluence(None); SkinType::ALL.len() + 1],
            fluence_tolerance_permille: limits.light.as_ref().map_or(0, |l| l.fluence_tolerance_permille),
            light: limits.light.as_ref().map(light).unwrap_or_default(),
            policy: Hygiene {
                disinfection_between_visits: policy.disinfection_between_visits,
                disinfection_level: Some(policy.disinfection_level),
                disinfection_contact_time_min: policy.disinfection_contact_time_min,
                evidence_grace: policy.evidence_grace,
                sterilization_every: policy.sterilization_every,
                sterilization_uses: policy.sterilization_every_uses,
                indicator_every: Some(policy.biological_indicator_every),
                treatment_interval_min: policy.treatment_interval_min,
                cartridge_single_use: policy.cartridge_single_use,
                silent_in_session_after: policy.silent_in_session_after,
                silent_after: policy.silent_after,
                never_seen_after: policy.never_seen_after,
                evidence_from_other_clinics: policy.evidence_from_other_clinics,
                indicator_each_load: policy.indicator_each_load,
                pack_expiry_checked: policy.pack_expiry_checked,
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

    fn place(&self, key: &DeviceKey) -> Option<Place> {
        self.0.device(key).map(|device| Place {
            clinic: device.clinic.clone(),
            in_use: device.state == DeviceState::Active,
        })
    }

    fn expected(&self) -> Box<dyn Iterator<Item = Expectation> + '_> {
        let active = self.0.devices().filter(|device| device.state == DeviceState::Active);
        Box::new(active.filter_map(|device| {
            let since = device.expected_since?;
            Some(Expectation {
                key: device.key.clone(),
                since,
                after: self.0.policy(&device.key)?.never_seen_after,
            })
        }))
    }

    fn serial(&self, device: &DeviceKey) -> Option<Serial> {
        Some(self.0.device(device)?.serial.clone())
    }

    fn version(&self) -> String {
        self.0.version().to_string()
    }
}

/// One version of the registry, of which only some shards are ours: devices elsewhere are not awaited here. Bit s stands for shard s.
pub(crate) struct OwnedFleet {
    pub(crate) all: RegistryFleet,
    pub(crate) shards: u64,
}

impl OwnedFleet {
    /// Whether a clinic is judged here.
    pub(crate) fn owns(&self, tenant: &TenantId, clinic: &ClinicId) -> bool {
        self.shards & (1 << shard(tenant, clinic)) != 0
    }
}

impl Fleet for OwnedFleet {
    fn facts(&self, key: &DeviceKey) -> Option<Arc<Facts>> {
        self.all.facts(key)
    }

    fn place(&self, key: &DeviceKey) -> Option<Place> {
        self.all.place(key)
    }

    fn expected(&self) -> Box<dyn Iterator<Item = Expectation> + '_> {
        let ours = |expected: &Expectation| {
            let device = self.all.0.device(&expected.key);
            device.is_some_and(|device| self.owns(&device.key.tenant, &device.clinic))
        };
        Box::new(self.all.expected().filter(ours))
    }

    fn serial(&self, device: &DeviceKey) -> Option<Serial> {
        self.all.serial(device)
    }

    fn version(&self) -> String {
        self.all.version()
    }
}

fn light(limits: &LightLimits) -> Light {
    let filter = |skin| limits.filter_cutoff_min(skin).map(|w| w.get());
    let mut light = Light {
        energy_sigma_permille: limits.energy_sigma_permille,
        energy_meter_tolerance_permille: limits.energy_meter_tolerance_permille,
        pulse_interval_min_us: limits.pulse_interval_min.map(|w| w.get()),
        skin_temperature_max_mdegc: limits.skin_temperature_max.map(|t| t.get()),
        tip_temperature_max_mdegc: limits.tip_temperature_max.map(|t| t.get()),
        filter_cutoff_min_nm: [filter(None); SkinType::ALL.len() + 1],
        lamp_life_shots: limits.lamp_life_shots,
    };
    for (at, skin) in light.filter_cutoff_min_nm.iter_mut().skip(1).zip(SkinType::ALL) {
        *at = filter(Some(*skin));
    }
    light
}
