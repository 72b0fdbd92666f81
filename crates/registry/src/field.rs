//! The table of every limit and every policy setting: key, unit, what is physically possible, which way is stricter, and the
//! cautious default where there is one.
//!
//! Reading, overriding, bounding and clamping all walk these tables, so a new setting is one line here and one in the typed
//! view. Ranges here are physical possibility, not limits of treatment.
use std::ops::RangeInclusive;

use telemetry::{AreaMm2, DepthUm, EnergyMj, FluenceMjPerCm2, MilliCelsius, Nanometres, WidthUs};

/// Which way is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stricter {
    Lower,
    Higher,
}

/// What a value is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Number,
    Bool,
    /// `low`, `intermediate`, `high`.
    Level,
}

/// Which devices a setting is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Needle,
    Light,
    Any,
}

/// One setting.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) shape: Shape,
    pub(crate) unit: &'static str,
    pub(crate) possible: RangeInclusive<i64>,
    pub(crate) stricter: Stricter,
    pub(crate) of: Of,
    /// A model of this kind must give it.
    pub(crate) required: bool,
    /// What holds if a model does not give it.
    pub(crate) default: Option<i64>,
}

impl Field {
    /// Whether `value` is looser than `bound`.
    pub(crate) fn looser(&self, value: i64, bound: i64) -> bool {
        match self.stricter {
            Stricter::Lower => value > bound,
            Stricter::Higher => value < bound,
        }
    }

    /// A value as it would stand in the file.
    pub(crate) fn show(&self, value: i64) -> String {
        match self.shape {
            Shape::Number => format!("{value} {}", self.unit),
            Shape::Bool => (value != 0).to_string(),
            Shape::Level => crate::policy::level(value).map_or("none", |l| l.as_str()).to_owned(),
        }
    }
}

macro_rules! fields {
    ($(#[$doc:meta])* $index:ident, $table:ident: $($variant:ident = $field:expr;)+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $index { $($variant,)+ }

        pub(crate) static $table: &[Field] = &[$($field,)+];
    };
}

const fn number(
    key: &'static str,
    unit: &'static str,
    possible: RangeInclusive<i64>,
    stricter: Stricter,
    of: Of,
) -> Field {
    Field {
        key,
        shape: Shape::Number,
        unit,
        possible,
        stricter,
        of,
        required: false,
        default: None,
    }
}

const fn flag(key: &'static str, stricter: Stricter, of: Of, default: bool) -> Field {
    Field {
        key,
        shape: Shape::Bool,
        unit: "",
        possible: 0..=1,
        stricter,
        of,
        required: false,
        default: Some(default as i64),
    }
}

impl Field {
    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn or(mut self, default: i64) -> Self {
        self.default = Some(default);
        self
    }
}

use Of::{Any, Light, Needle};
use Stricter::{Higher, Lower};

const DEPTH: RangeInclusive<i64> = DepthUm::MIN as i64..=DepthUm::MAX as i64;
const FLUENCE: RangeInclusive<i64> = FluenceMjPerCm2::MIN as i64..=FluenceMjPerCm2::MAX as i64;
const TEMPERATURE: RangeInclusive<i64> = MilliCelsius::MIN as i64..=MilliCelsius::MAX as i64;

fields!(
    /// Index of a limit that is one number.
    Limit, LIMITS:
    DepthMax = number("depth_max_um", "µm", 1..=*DEPTH.end(), Lower, Needle).required();
    DepthTolerance = number("depth_tolerance_um", "µm", DEPTH, Lower, Needle).required();
    DepthSigma = number("depth_sigma_um", "µm", 0..=1_000, Lower, Needle).required();
    StrokeRateMin = number("stroke_rate_min_hz", "Hz", 0..=1_000, Higher, Needle).required();
    StrokeRateMax = number("stroke_rate_max_hz", "Hz", 1..=1_000, Lower, Needle).required();
    FluenceMax = number("fluence_max_mj_per_cm2", "mJ/cm²", FLUENCE, Lower, Light).required();
    FluenceTolerance = number("fluence_tolerance_permille", "‰", 0..=1_000, Lower, Light).required();
    EnergySigma = number("energy_sigma_permille", "‰", 1..=1_000, Lower, Light);
    EnergyMeterTolerance = number("energy_meter_tolerance_permille", "‰", 0..=1_000, Lower, Light);
    EnergyMax = number("energy_max_mj", "mJ", EnergyMj::MIN as i64..=EnergyMj::MAX as i64, Lower, Light);
    SpotAreaMin = number("spot_area_min_mm2", "mm²", AreaMm2::MIN as i64..=AreaMm2::MAX as i64, Higher, Light);
    PulseIntervalMin = number("pulse_interval_min_us", "µs", 0..=WidthUs::MAX as i64, Higher, Light);
    SkinTemperatureMax = number("skin_temperature_max_mdegc", "m°C", TEMPERATURE, Lower, Light);
    TipTemperatureMax = number("tip_temperature_max_mdegc", "m°C", TEMPERATURE, Lower, Light);
    TipTemperatureMin = number("tip_temperature_min_mdegc", "m°C", TEMPERATURE, Higher, Light);
    LampLife = number("lamp_life_shots", "shots", 1..=1_000_000_000, Lower, Light);
);

/// Depth limit of a zone.
pub(crate) static ZONE_DEPTH: Field = number("zone_depth_max_um", "µm", DEPTH, Lower, Needle).required();
/// Fluence limit of a skin type; 0: must not be treated.
pub(crate) static SKIN_FLUENCE: Field =
    number("skin_fluence_max_mj_per_cm2", "mJ/cm²", FLUENCE, Lower, Light).required();
/// Shortest cut-off filter of a skin type.
pub(crate) static SKIN_FILTER: Field = number(
    "skin_filter_cutoff_min_nm",
    "nm",
    Nanometres::MIN as i64..=Nanometres::MAX as i64,
    Higher,
    Light,
);

fields!(
    /// Index of a policy setting. Sources of the defaults stand at the fields of [`crate::Policy`].
    Setting, SETTINGS:
    DisinfectionBetweenVisits = flag("disinfection_between_visits", Higher, Any, true);
    DisinfectionLevel = Field { shape: Shape::Level, ..number("disinfection_level", "", 1..=3, Higher, Any).or(2) };
    DisinfectionContactTimeMin = number("disinfection_contact_time_min_s", "s", 0..=86_400, Higher, Any);
    EvidenceGrace = number("evidence_grace_s", "s", 0..=86_400, Lower, Any).or(120);
    EvidenceFromOtherClinics = flag("evidence_from_other_clinics", Lower, Any, false);
    SterilizationEvery = number("sterilization_every_h", "h", 1..=87_600, Lower, Any);
    SterilizationEveryUses = number("sterilization_every_uses", "uses", 1..=1_000_000, Lower, Any);
    BiologicalIndicatorEvery = number("biological_indicator_every_days", "days", 1..=366, Lower, Any).or(7);
    IndicatorEachLoad = flag("indicator_each_load", Higher, Any, false);
    CartridgeSingleUse = flag("cartridge_single_use", Higher, Any, true);
    PackExpiryChecked = flag("pack_expiry_checked", Higher, Any, true);
    SilentInSessionAfter = number("silent_in_session_after_s", "s", 5..=86_400, Lower, Any).or(30);
    SilentAfter = number("silent_after_h", "h", 1..=87_600, Lower, Any).or(72);
    NeverSeenAfter = number("never_seen_after_h", "h", 1..=87_600, Lower, Any).or(24);
    TreatmentIntervalMin = number("treatment_interval_min_days", "days", 0..=3_660, Higher, Any);
);
