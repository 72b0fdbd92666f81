//! Limits of a device, resolved: plain lookups for the hot path, every one of them at least as strict as the model's safety
//! bound.
//!
//! No number stands here: all of them come from the files. Context that is missing or unknown is judged by the strictest.
use telemetry::{AreaMm2, DepthUm, EnergyMj, FluenceMjPerCm2, MilliCelsius, Nanometres, SkinType, WidthUs, Zone};

use crate::field::Limit;
use crate::patch::{Patch, filter_slot, skin_slot, zone_slot};

/// Limits of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// For a device with needles.
    pub needle: Option<NeedleLimits>,
    /// For a device with a lamp.
    pub light: Option<LightLimits>,
}

impl Limits {
    /// Deepest stroke that a zone allows; the strictest of all for `None` (missing or unknown context). `None` for a device
    /// without needles.
    pub fn depth_max(&self, zone: Option<Zone>) -> Option<DepthUm> {
        self.needle.as_ref().map(|n| n.depth_max(zone))
    }

    /// Highest fluence that a skin type allows; the strictest of all for `None` (missing or unknown context); 0: must not be
    /// treated. `None` for a device without a lamp.
    pub fn fluence_max(&self, skin: Option<SkinType>) -> Option<FluenceMjPerCm2> {
        self.light.as_ref().map(|l| l.fluence_max(skin))
    }
}

/// Limits of a pen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeedleLimits {
    /// By zone in the order of [`Zone::ALL`]; the last is the strictest.
    depth_max: [DepthUm; Zone::ALL.len() + 1],
    /// Deepest stroke in any zone.
    pub depth_max_absolute: DepthUm,
    /// How far a healthy device's reading may be off its setpoint: the maker's scale tolerance, a constant offset per device
    /// and not noise.
    pub depth_tolerance: DepthUm,
    /// Standard deviation of one stroke's reading.
    pub depth_sigma: DepthUm,
    /// Tolerance plus 6 sigma: a single stroke within it above a limit may be the sensor.
    pub depth_guard_band: DepthUm,
    /// Slowest stroke rate of a working motor, in hertz.
    pub stroke_rate_min_hz: u32,
    /// Fastest stroke rate, in hertz.
    pub stroke_rate_max_hz: u32,
}

impl NeedleLimits {
    /// Deepest stroke that a zone allows; the strictest of all for `None`.
    #[inline]
    pub fn depth_max(&self, zone: Option<Zone>) -> DepthUm {
        let at = zone.map_or(Zone::ALL.len(), |z| z.to_wire() as usize - 1);
        self.depth_max.get(at).copied().unwrap_or(self.depth_max_absolute)
    }
}

/// Limits of an IPL unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LightLimits {
    /// By skin type I to VI; the last is the strictest.
    fluence_max: [FluenceMjPerCm2; SkinType::ALL.len() + 1],
    filter_cutoff_min: [Option<Nanometres>; SkinType::ALL.len() + 1],
    /// Highest fluence of the unit, whatever the skin.
    pub fluence_max_absolute: FluenceMjPerCm2,
    /// How far measured may be off set, in thousandths of what is set.
    pub fluence_tolerance_permille: u32,
    /// Standard deviation of one pulse's measured energy, in thousandths of what is set: the unit's and its meter's together.
    pub energy_sigma_permille: Option<u32>,
    /// How far the meter may be off for good, in thousandths.
    pub energy_meter_tolerance_permille: Option<u32>,
    /// Highest energy of one pulse.
    pub energy_max: Option<EnergyMj>,
    /// Smallest spot that the unit has: a smaller one in a message would overstate nothing but understate fluence.
    pub spot_area_min: Option<AreaMm2>,
    /// Shortest time between two pulses; below it they stack.
    pub pulse_interval_min: Option<WidthUs>,
    /// Hottest skin.
    pub skin_temperature_max: Option<MilliCelsius>,
    /// Hottest tip.
    pub tip_temperature_max: Option<MilliCelsius>,
    /// Coldest tip.
    pub tip_temperature_min: Option<MilliCelsius>,
    /// Shots after which the lamp is to be replaced.
    pub lamp_life_shots: Option<u64>,
}

impl LightLimits {
    /// Highest fluence that a skin type allows; the strictest of all for `None`; 0: must not be treated.
    #[inline]
    pub fn fluence_max(&self, skin: Option<SkinType>) -> FluenceMjPerCm2 {
        self.fluence_max
            .get(skin_index(skin))
            .copied()
            .unwrap_or(self.fluence_max_absolute)
    }

    /// Shortest cut-off wavelength of a filter for a skin type; the strictest (longest) of all for `None`. `None`: no limit is
    /// declared.
    pub fn filter_cutoff_min(&self, skin: Option<SkinType>) -> Option<Nanometres> {
        self.filter_cutoff_min.get(skin_index(skin)).copied().flatten()
    }
}

fn skin_index(skin: Option<SkinType>) -> usize {
    skin.map_or(SkinType::ALL.len(), |s| s.to_wire() as usize - 1)
}

/// The typed view of resolved values. Values outside of their type cannot come from the reader, which has checked them; they
/// would become the strictest.
pub(crate) fn from_patch(patch: &Patch, needle: bool, light: bool) -> Limits {
    Limits {
        needle: needle.then(|| needle_limits(patch)),
        light: light.then(|| light_limits(patch)),
    }
}

fn unsigned(value: Option<i64>) -> u32 {
    value.and_then(|v| u32::try_from(v).ok()).unwrap_or(0)
}

fn depth(value: Option<i64>) -> DepthUm {
    DepthUm::new(unsigned(value)).unwrap_or(DepthUm::LEAST)
}

fn needle_limits(patch: &Patch) -> NeedleLimits {
    let get = |limit: Limit| patch.get(limit as usize);
    let absolute = depth(get(Limit::DepthMax));
    let mut depth_max = [absolute; Zone::ALL.len() + 1];
    let mut strictest = absolute;
    for (at, &zone) in depth_max.iter_mut().zip(Zone::ALL) {
        // A zone's limit above the absolute one never holds.
        *at = depth(patch.get(zone_slot(zone))).min(absolute);
        strictest = strictest.min(*at);
    }
    if let Some(last) = depth_max.last_mut() {
        *last = strictest;
    }
    let (tolerance, sigma) = (depth(get(Limit::DepthTolerance)), depth(get(Limit::DepthSigma)));
    NeedleLimits {
        depth_max,
        depth_max_absolute: absolute,
        depth_tolerance: tolerance,
        depth_sigma: sigma,
        depth_guard_band: DepthUm::new((tolerance.get() + 6 * sigma.get()).min(DepthUm::MAX)).unwrap_or(DepthUm::LEAST),
        stroke_rate_min_hz: unsigned(get(Limit::StrokeRateMin)),
        stroke_rate_max_hz: unsigned(get(Limit::StrokeRateMax)),
    }
}

fn light_limits(patch: &Patch) -> LightLimits {
    let get = |limit: Limit| patch.get(limit as usize);
    let fluence = |value| FluenceMjPerCm2::new(unsigned(value)).unwrap_or(FluenceMjPerCm2::LEAST);
    let absolute = fluence(get(Limit::FluenceMax));
    let mut fluence_max = [absolute; SkinType::ALL.len() + 1];
    let mut filter_cutoff_min = [None; SkinType::ALL.len() + 1];
    let (mut strictest, mut longest) = (absolute, None);
    for (at, &skin) in SkinType::ALL.iter().enumerate() {
        let limit = fluence(patch.get(skin_slot(skin))).min(absolute);
        let filter = patch
            .get(filter_slot(skin))
            .and_then(|v| Nanometres::new(unsigned(Some(v))).ok());
        strictest = strictest.min(limit);
        longest = longest.max(filter);
        if let (Some(f), Some(w)) = (fluence_max.get_mut(at), filter_cutoff_min.get_mut(at)) {
            (*f, *w) = (limit, filter);
        }
    }
    if let (Some(f), Some(w)) = (fluence_max.last_mut(), filter_cutoff_min.last_mut()) {
        (*f, *w) = (strictest, longest);
    }
    let temperature = |limit| get(limit).and_then(|v| MilliCelsius::try_from(v).ok());
    LightLimits {
        fluence_max,
        filter_cutoff_min,
        fluence_max_absolute: absolute,
        fluence_tolerance_permille: unsigned(get(Limit::FluenceTolerance)),
        energy_sigma_permille: get(Limit::EnergySigma).and_then(|v| u32::try_from(v).ok()),
        energy_meter_tolerance_permille: get(Limit::EnergyMeterTolerance).and_then(|v| u32::try_from(v).ok()),
        energy_max: get(Limit::EnergyMax).and_then(|v| EnergyMj::try_from(v).ok()),
        spot_area_min: get(Limit::SpotAreaMin).and_then(|v| AreaMm2::try_from(v).ok()),
        pulse_interval_min: get(Limit::PulseIntervalMin).and_then(|v| WidthUs::try_from(v).ok()),
        skin_temperature_max: temperature(Limit::SkinTemperatureMax),
        tip_temperature_max: temperature(Limit::TipTemperatureMax),
        tip_temperature_min: temperature(Limit::TipTemperatureMin),
        lamp_life_shots: get(Limit::LampLife).and_then(|v| u64::try_from(v).ok()),
    }
}
