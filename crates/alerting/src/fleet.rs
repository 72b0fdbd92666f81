//! What the engine has to know of a device to judge it: limits and policy, flattened once per configuration.
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use telemetry::{ClinicId, DeviceKey, DeviceKind, DisinfectionLevel, ModelId, Serial, SkinType, UnixMicros, Zone};

/// Zones and "unknown", by wire number.
const ZONES: usize = 22;
/// Skin types and "unknown", by wire number.
const SKIN_TYPES: usize = 7;

/// Limits and policy of one device. Every number is configuration of the registry; none is a claim about treatment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Where it is.
    pub clinic: ClinicId,
    /// Its model.
    pub model: ModelId,
    /// Its kind.
    pub kind: DeviceKind,
    /// Greatest depth by zone in micrometres, never above the device's absolute maximum; index 0: zone not known.
    pub depth_max_um: [u32; ZONES],
    /// How far a stroke may be off its setpoint, in micrometres.
    pub depth_tolerance_um: u32,
    /// What a single stroke must be above the limit to fire alone, in micrometres.
    pub depth_guard_band_um: u32,
    /// Declared standard deviation of one stroke's reading, in micrometres; 0: none.
    pub depth_sigma_um: u32,
    /// Slowest stroke rate of a working motor, in hertz.
    pub stroke_rate_min_hz: u32,
    /// Fastest stroke rate, in hertz; 0: it makes no strokes.
    pub stroke_rate_max_hz: u32,
    /// Greatest fluence by skin type in mJ/cm²; index 0: skin type not known.
    pub fluence_max_mj_per_cm2: [u32; SKIN_TYPES],
    /// How far a pulse may be above its set fluence, in thousandths.
    pub fluence_tolerance_permille: u32,
    /// Other limits of light.
    pub light: Light,
    /// Hygiene and presence.
    pub policy: Hygiene,
}

/// Limits of pulses beside their fluence. `None`: the registry declares none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Light {
    /// Standard deviation of one pulse's measured energy, in thousandths of what is set.
    pub energy_sigma_permille: Option<u32>,
    /// How far its meter may be off for good, in thousandths.
    pub energy_meter_tolerance_permille: Option<u32>,
    /// Shortest time between two pulses, in microseconds.
    pub pulse_interval_min_us: Option<u32>,
    /// Hottest skin, in thousandths of a degree Celsius.
    pub skin_temperature_max_mdegc: Option<i32>,
    /// Hottest tip, in thousandths of a degree Celsius.
    pub tip_temperature_max_mdegc: Option<i32>,
    /// Shortest cut-off by skin type, in nanometres; index 0: skin type not known.
    pub filter_cutoff_min_nm: [Option<u32>; SKIN_TYPES],
    /// Shots after which a lamp is to be replaced.
    pub lamp_life_shots: Option<u64>,
}

impl Light {
    /// Shortest cut-off in nanometres for a skin type, the strictest where it is not known.
    pub fn filter_cutoff_min(&self, skin: Option<SkinType>) -> Option<u32> {
        self.filter_cutoff_min_nm.get(skin_index(skin)).copied().flatten()
    }
}

/// What a clinic has decided about hygiene and presence. `None`: not demanded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Hygiene {
    /// A disinfection must stand between two visits.
    pub disinfection_between_visits: bool,
    /// Lowest level that counts.
    pub disinfection_level: Option<DisinfectionLevel>,
    /// Shortest contact time that counts.
    pub disinfection_contact_time_min: Option<Duration>,
    /// How long evidence on another connection may take.
    pub evidence_grace: Duration,
    /// Longest time since the last good sterilization when it is used.
    pub sterilization_every: Option<Duration>,
    /// Most visits since the last good sterilization.
    pub sterilization_uses: Option<u32>,
    /// Longest time since the last passed biological indicator when the sterilizer is used.
    pub indicator_every: Option<Duration>,
    /// Shortest time between two treatments of one client.
    pub treatment_interval_min: Option<Duration>,
    /// A cartridge is for one visit.
    pub cartridge_single_use: bool,
    /// A device in a session that is not heard for this long is silent.
    pub silent_in_session_after: Duration,
    /// A device outside a session that is not heard for this long is told; zero: never.
    pub silent_after: Duration,
    /// An expected device that was never heard is told this long after it should have been there.
    pub never_seen_after: Duration,
    /// A cycle or wipe that was recorded at another clinic of the tenant counts.
    pub evidence_from_other_clinics: bool,
    /// Of a sterilizer: each load needs a passed indicator.
    pub indicator_each_load: bool,
    /// The expiry of a cartridge's pack is compared with the day of treatment.
    pub pack_expiry_checked: bool,
}

impl Facts {
    /// Greatest depth in micrometres for a zone, the strictest where it is not known.
    pub fn depth_max_um(&self, zone: Option<Zone>) -> u32 {
        self.depth_max_um.get(zone_index(zone)).copied().unwrap_or(0)
    }

    /// What holds for a zone and a skin type, for people to read: only what a device of its kind is judged by.
    pub fn in_force(&self, zone: Option<Zone>, skin: Option<SkinType>) -> Value {
        let mut limits = match self.kind {
            DeviceKind::Pen => {
                json!({"depth_max_um": self.depth_max_um(zone), "depth_tolerance_um": self.depth_tolerance_um,
                "depth_guard_band_um": self.depth_guard_band_um, "depth_sigma_um": self.depth_sigma_um,
                "stroke_rate_min_hz": self.stroke_rate_min_hz, "stroke_rate_max_hz": self.stroke_rate_max_hz})
            }
            DeviceKind::Ipl => json!({"fluence_max_mj_per_cm2": self.fluence_max(skin),
                "fluence_tolerance_permille": self.fluence_tolerance_permille,
                "energy_sigma_permille": self.light.energy_sigma_permille,
                "energy_meter_tolerance_permille": self.light.energy_meter_tolerance_permille,
                "filter_cutoff_min_nm": self.light.filter_cutoff_min(skin),
                "pulse_interval_min_us": self.light.pulse_interval_min_us,
                "skin_temperature_max_mdegc": self.light.skin_temperature_max_mdegc,
                "tip_temperature_max_mdegc": self.light.tip_temperature_max_mdegc,
                "lamp_life_shots": self.light.lamp_life_shots}),
            _ => json!({}),
        };
        let policy = &self.policy;
        let hours = |time: Option<Duration>| time.map(|time| time.as_secs_f64() / 3_600.0);
        limits["sterilization_every_h"] = json!(hours(policy.sterilization_every));
        limits["sterilization_every_uses"] = json!(policy.sterilization_uses);
        limits["indicator_every_h"] = json!(hours(policy.indicator_every));
        limits["indicator_each_load"] = json!(policy.indicator_each_load);
        limits["evidence_from_other_clinics"] = json!(policy.evidence_from_other_clinics);
        limits["disinfection_between_visits"] = json!(policy.disinfection_between_visits);
        limits["cartridge_single_use"] = json!(policy.cartridge_single_use);
        limits["evidence_grace_s"] = json!(policy.evidence_grace.as_secs_f64());
        limits["silent_in_session_after_s"] = json!(policy.silent_in_session_after.as_secs_f64());
        limits
    }

    /// Greatest fluence in mJ/cm² for a skin type, the strictest where it is not known.
    pub fn fluence_max(&self, skin: Option<SkinType>) -> u32 {
        self.fluence_max_mj_per_cm2.get(skin_index(skin)).copied().unwrap_or(0)
    }
}

/// Index of a skin type in tables by skin type; 0 for unknown.
fn skin_index(skin: Option<SkinType>) -> usize {
    skin.map_or(0, |s| usize::try_from(s.to_wire()).unwrap_or(0))
}

/// Index of a zone in tables by zone; 0 for unknown.
pub(crate) fn zone_index(zone: Option<Zone>) -> usize {
    zone.map_or(0, |z| usize::try_from(z.to_wire()).unwrap_or(0))
}

/// Where a device stands by the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its clinic.
    pub clinic: ClinicId,
    /// Not retired.
    pub in_use: bool,
}

/// A device that must be heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Which one.
    pub key: DeviceKey,
    /// From when on.
    pub since: UnixMicros,
    /// How long after that it counts as never seen.
    pub after: Duration,
}

/// Where [`Facts`] come from.
pub trait Fleet: Send + Sync {
    /// What is known of a device; `None` for one that is not registered.
    fn facts(&self, device: &DeviceKey) -> Option<Arc<Facts>>;
    /// Where a device stands and whether it is in use; `None` for one that is not registered.
    fn place(&self, device: &DeviceKey) -> Option<Place> {
        self.facts(device).map(|facts| Place {
            clinic: facts.clinic.clone(),
            in_use: true,
        })
    }

    /// The devices in use that are expected to be heard from some day on, whether they were or not.
    fn expected(&self) -> Box<dyn Iterator<Item = Expectation> + '_> {
        Box::new(std::iter::empty())
    }
    /// A device's serial as it was registered.
    fn serial(&self, device: &DeviceKey) -> Option<Serial> {
        let _ = device;
        None
    }
    /// Which version of the registry speaks.
    fn version(&self) -> String;
}
