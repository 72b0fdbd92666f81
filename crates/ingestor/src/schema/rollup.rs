//! Roll-ups of strokes and pulses by the minute and by the hour: one table that says each field and how it is made, from
//! which come the schema, the SQL of the embedded store, the InfluxQL of InfluxDB, and the hour made of its minutes.
//!
//! A roll-up has the tags of its source, and as time the start of its period. A window belongs to the period in which its
//! first stroke fell. Everything but a mean adds up (sums, counts, least, greatest), so a dashboard may roll up further;
//! means of several are to be made of sums and counts.

use super::{Field, Measurement, PULSE, STROKE_WINDOW};
use crate::record::Rollup;
use crate::value::{FieldType, Finite, Value};

/// How a field of a roll-up is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// How many points of the source there are.
    Points,
    /// In how many of them this field stands.
    Count(&'static str),
    /// In how many of them it is true.
    True(&'static str),
    /// Its sum.
    Sum(&'static str),
    /// Its smallest value.
    Least(&'static str),
    /// Its largest value.
    Greatest(&'static str),
    /// Of other fields of the same roll-up: `sum` divided by (`of` less `less`); nothing where that is 0.
    Mean {
        /// The dividend.
        sum: &'static str,
        /// The divisor.
        of: &'static str,
        /// What the divisor counts too much.
        less: Option<&'static str>,
    },
}

/// What is rolled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// Windows of strokes.
    Strokes,
    /// Pulses.
    Pulses,
}

/// How long a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Span {
    /// A minute, made of points.
    Minute,
    /// An hour, made of the roll-ups of its minutes.
    Hour,
}

impl Made {
    /// Whether nothing counts as 0: a store says nothing or 0 where there is nothing to count.
    pub const fn counts(self) -> bool {
        matches!(self, Self::Points | Self::Count(_) | Self::True(_))
    }
}

impl Span {
    /// Its length in seconds.
    pub const fn seconds(self) -> u32 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
        }
    }
}

impl Subject {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Strokes, Self::Pulses];

    /// The measurement of its roll-ups.
    pub const fn measurement(self, span: Span) -> &'static Measurement {
        match (self, span) {
            (Self::Strokes, Span::Minute) => &STROKE_1M,
            (Self::Strokes, Span::Hour) => &STROKE_1H,
            (Self::Pulses, Span::Minute) => &PULSE_1M,
            (Self::Pulses, Span::Hour) => &PULSE_1H,
        }
    }

    /// The measurement that they are made of.
    pub const fn source(self, span: Span) -> &'static Measurement {
        match (self, span) {
            (Self::Strokes, Span::Minute) => &STROKE_WINDOW,
            (Self::Pulses, Span::Minute) => &PULSE,
            (_, Span::Hour) => self.measurement(Span::Minute),
        }
    }

    /// How each field is made of the fields of [`Subject::source`]: an hour adds up its minutes.
    pub fn made_of_source(self, span: Span) -> impl Iterator<Item = Made> {
        let fields = self.measurement(span).fields;
        self.made()
            .iter()
            .zip(fields)
            .map(move |(made, field)| match (span, *made) {
                (Span::Minute, made) | (Span::Hour, made @ Made::Mean { .. }) => made,
                (Span::Hour, Made::Points | Made::Count(_) | Made::True(_) | Made::Sum(_)) => Made::Sum(field.name),
                (Span::Hour, Made::Least(_)) => Made::Least(field.name),
                (Span::Hour, Made::Greatest(_)) => Made::Greatest(field.name),
            })
    }

    /// A field that every point of the source of minutes has.
    pub const fn always(self) -> &'static str {
        match self {
            Self::Strokes => "count",
            Self::Pulses => "ordinal",
        }
    }

    /// How each field is made of the points, in the order of the measurement's fields.
    pub const fn made(self) -> &'static [Made] {
        match self {
            Self::Strokes => STROKE_MADE,
            Self::Pulses => PULSE_MADE,
        }
    }
}

/// Every field of a roll-up in order, with the value if there is one.
pub(super) fn each<'a>(rollup: &'a Rollup, mut sink: impl FnMut(&'static Field, Option<Value<'a>>)) {
    let measurement = rollup.subject.measurement(rollup.span);
    let number = |name: &str| {
        let at = measurement.fields.iter().position(|field| field.name == name)?;
        rollup.numbers.get(at).copied().flatten()
    };
    for ((field, made), own) in measurement
        .fields
        .iter()
        .zip(rollup.subject.made())
        .zip(&rollup.numbers)
    {
        let value = match made {
            Made::Mean { sum, of, less } => {
                let divisor = number(of).map(|of| of - less.and_then(&number).unwrap_or(0));
                number(sum)
                    .zip(divisor)
                    .and_then(|(sum, of)| Finite::quotient(sum, of))
                    .map(Value::Float)
            }
            _ => own.map(Value::Integer),
        };
        sink(field, value);
    }
}

macro_rules! rollup {
    ($minute:ident $minute_name:literal, $hour:ident $hour_name:literal, $fields:ident, $made:ident,
     $($field:literal, $ty:ident, $how:expr, $what:literal;)+) => {
        static $fields: &[Field] = &[$(Field { name: $field, ty: FieldType::$ty, what: $what },)+];
        static $made: &[Made] = &[$($how,)+];
        #[doc = concat!("Measurement `", $minute_name, "`.")]
        pub static $minute: Measurement =
            Measurement { name: $minute_name, zone: true, rule: false, rollup: true, fields: $fields };
        #[doc = concat!("Measurement `", $hour_name, "`.")]
        pub static $hour: Measurement =
            Measurement { name: $hour_name, zone: true, rule: false, rollup: true, fields: $fields };
    };
}

rollup!(STROKE_1M "stroke_1m", STROKE_1H "stroke_1h", STROKE_FIELDS, STROKE_MADE,
    "windows", Integer, Made::Points, "windows";
    "count", Integer, Made::Sum("count"), "strokes, read or not";
    "unread", Integer, Made::Sum("unread"), "strokes that the sensor did not read";
    "depth_min_um", Integer, Made::Least("depth_min_um"), "smallest depth, micrometres";
    "depth_mean_um", Float, Made::Mean { sum: "depth_sum_um", of: "count", less: Some("unread") }, "mean depth, micrometres";
    "depth_max_um", Integer, Made::Greatest("depth_max_um"), "largest depth, micrometres";
    "depth_sum_um", Integer, Made::Sum("depth_sum_um"), "sum of the depths, micrometres";
    "depth_sum_squares_um2", Integer, Made::Sum("depth_sum_squares_um2"), "sum of the squares of the depths, square micrometres";
    "band1_00", Integer, Made::Sum("band1_00"), "strokes of 0 µm";
    "band1_01", Integer, Made::Sum("band1_01"), "strokes above 0 up to 125 µm";
    "band1_02", Integer, Made::Sum("band1_02"), "strokes above 125 up to 250 µm";
    "band1_03", Integer, Made::Sum("band1_03"), "strokes above 250 up to 375 µm";
    "band1_04", Integer, Made::Sum("band1_04"), "strokes above 375 up to 500 µm";
    "band1_05", Integer, Made::Sum("band1_05"), "strokes above 500 up to 625 µm";
    "band1_06", Integer, Made::Sum("band1_06"), "strokes above 625 up to 750 µm";
    "band1_07", Integer, Made::Sum("band1_07"), "strokes above 750 up to 875 µm";
    "band1_08", Integer, Made::Sum("band1_08"), "strokes above 875 up to 1,000 µm";
    "band1_09", Integer, Made::Sum("band1_09"), "strokes above 1,000 up to 1,250 µm";
    "band1_10", Integer, Made::Sum("band1_10"), "strokes above 1,250 up to 1,500 µm";
    "band1_11", Integer, Made::Sum("band1_11"), "strokes above 1,500 up to 1,750 µm";
    "band1_12", Integer, Made::Sum("band1_12"), "strokes above 1,750 up to 2,000 µm";
    "band1_13", Integer, Made::Sum("band1_13"), "strokes above 2,000 up to 2,500 µm";
    "band1_14", Integer, Made::Sum("band1_14"), "strokes above 2,500 up to 3,000 µm";
    "band1_15", Integer, Made::Sum("band1_15"), "strokes above 3,000 µm";
    "setpoint_min_um", Integer, Made::Least("setpoint_um"), "smallest depth that was set, micrometres";
    "setpoint_max_um", Integer, Made::Greatest("setpoint_um"), "largest depth that was set, micrometres";
    "limit_min_um", Integer, Made::Least("limit_um"), "smallest limit that the device enforced, micrometres";
    "limit_max_um", Integer, Made::Greatest("limit_um"), "largest limit that the device enforced, micrometres";
    "over_limit", Integer, Made::Sum("over_limit"), "strokes deeper than the device's limit; absent if it told none";
    "duration_us", Integer, Made::Sum("duration_us"), "time in which strokes were made, microseconds";
);

rollup!(PULSE_1M "pulse_1m", PULSE_1H "pulse_1h", PULSE_FIELDS, PULSE_MADE,
    "count", Integer, Made::Points, "pulses";
    "fired", Integer, Made::True("fired"), "pulses of which the unit believes that it fired them";
    "fired_told", Integer, Made::Count("fired"), "pulses of which it said whether it fired them";
    "energy_set_count", Integer, Made::Count("energy_set_mj"), "pulses with an energy that was set";
    "energy_set_min_mj", Integer, Made::Least("energy_set_mj"), "smallest, millijoules";
    "energy_set_mean_mj", Float, Made::Mean { sum: "energy_set_sum_mj", of: "energy_set_count", less: None }, "mean, millijoules";
    "energy_set_max_mj", Integer, Made::Greatest("energy_set_mj"), "largest, millijoules";
    "energy_set_sum_mj", Integer, Made::Sum("energy_set_mj"), "sum, millijoules";
    "energy_measured_count", Integer, Made::Count("energy_measured_mj"), "pulses with an energy that was measured";
    "energy_measured_min_mj", Integer, Made::Least("energy_measured_mj"), "smallest, millijoules";
    "energy_measured_mean_mj", Float, Made::Mean { sum: "energy_measured_sum_mj", of: "energy_measured_count", less: None }, "mean, millijoules";
    "energy_measured_max_mj", Integer, Made::Greatest("energy_measured_mj"), "largest, millijoules";
    "energy_measured_sum_mj", Integer, Made::Sum("energy_measured_mj"), "sum, millijoules";
    "fluence_set_count", Integer, Made::Count("fluence_set_mj_per_cm2"), "pulses with a fluence that was set";
    "fluence_set_min_mj_per_cm2", Integer, Made::Least("fluence_set_mj_per_cm2"), "smallest";
    "fluence_set_mean_mj_per_cm2", Float, Made::Mean { sum: "fluence_set_sum_mj_per_cm2", of: "fluence_set_count", less: None }, "mean";
    "fluence_set_max_mj_per_cm2", Integer, Made::Greatest("fluence_set_mj_per_cm2"), "largest";
    "fluence_set_sum_mj_per_cm2", Integer, Made::Sum("fluence_set_mj_per_cm2"), "sum";
    "fluence_measured_count", Integer, Made::Count("fluence_measured_mj_per_cm2"), "pulses with a fluence that was measured";
    "fluence_measured_min_mj_per_cm2", Integer, Made::Least("fluence_measured_mj_per_cm2"), "smallest";
    "fluence_measured_mean_mj_per_cm2", Float, Made::Mean { sum: "fluence_measured_sum_mj_per_cm2", of: "fluence_measured_count", less: None }, "mean";
    "fluence_measured_max_mj_per_cm2", Integer, Made::Greatest("fluence_measured_mj_per_cm2"), "largest";
    "fluence_measured_sum_mj_per_cm2", Integer, Made::Sum("fluence_measured_mj_per_cm2"), "sum";
    "skin_temperature_min_mdegc", Integer, Made::Least("skin_temperature_mdegc"), "lowest, thousandths of a degree Celsius";
    "skin_temperature_max_mdegc", Integer, Made::Greatest("skin_temperature_mdegc"), "highest, thousandths of a degree Celsius";
    "tip_temperature_min_mdegc", Integer, Made::Least("tip_temperature_mdegc"), "lowest, thousandths of a degree Celsius";
    "tip_temperature_max_mdegc", Integer, Made::Greatest("tip_temperature_mdegc"), "highest, thousandths of a degree Celsius";
    "lamp_shots_min", Integer, Made::Least("lamp_shots"), "fewest pulses that the lamp had fired";
    "lamp_shots_max", Integer, Made::Greatest("lamp_shots"), "most pulses that the lamp had fired";
);
