//! Measured values with their unit in the type. Every bound here is *physical possibility* with a wide margin, chosen to
//! refuse garbage; it is no limit of treatment (those are configuration of the registry).
use std::fmt;

use serde::{Deserialize, Serialize};

/// A number that is not physically possible for its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{value} {unit} is outside {min} to {max} {unit}")]
pub struct OutOfRange {
    /// The unit.
    pub unit: &'static str,
    /// The number that came.
    pub value: i64,
    /// The least that is possible.
    pub min: i64,
    /// The most that is possible.
    pub max: i64,
}

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($inner:ty), $unit:literal, $min:literal ..= $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "i64", into = "i64")]
        pub struct $name($inner);

        impl $name {
            /// The unit, as written in messages.
            pub const UNIT: &'static str = $unit;
            /// The least value that is possible.
            pub const MIN: $inner = $min;
            /// The greatest value that is possible.
            pub const MAX: $inner = $max;
            /// [`Self::MIN`] as a value.
            pub const LEAST: Self = Self($min);

            /// Takes a number within [`Self::MIN`] and [`Self::MAX`].
            pub const fn new(value: $inner) -> Result<Self, OutOfRange> {
                #[allow(unused_comparisons, clippy::absurd_extreme_comparisons)]
                if value < $min || value > $max {
                    return Err(OutOfRange { unit: $unit, value: value as i64, min: $min, max: $max });
                }
                Ok(Self(value))
            }

            /// The number, in the unit of the type.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = OutOfRange;
            fn try_from(value: i64) -> Result<Self, OutOfRange> {
                match <$inner>::try_from(value) {
                    Ok(inner) => Self::new(inner),
                    Err(_) => Err(OutOfRange { unit: $unit, value, min: $min, max: $max }),
                }
            }
        }

        impl From<$name> for i64 {
            fn from(value: $name) -> i64 {
                i64::from(value.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} {}", self.0, $unit)
            }
        }
    };
}

unit!(
    /// Needle depth in micrometres. Cleared pens go to 2.5 mm, one to 3.0 mm (domain survey, 1.1).
    DepthUm(u32), "µm", 0..=10_000
);
unit!(
    /// Energy of one pulse in millijoules. 60 J/cm² on 12 cm² would be 720 J.
    EnergyMj(u32), "mJ", 0..=1_000_000
);
unit!(
    /// Fluence in millijoules per square centimetre. Clinical settings found: 5.5 to 45 J/cm².
    FluenceMjPerCm2(u32), "mJ/cm²", 0..=200_000
);
unit!(
    /// Area of the spot in square millimetres. A 10 x 48 mm spot is 480.
    AreaMm2(u32), "mm²", 1..=5_000
);
unit!(
    /// Temperature in thousandths of a degree Celsius.
    MilliCelsius(i32), "m°C", -50_000..=300_000
);
unit!(
    /// Wavelength of a cut-off filter in nanometres. IPL spectra span 400 to 1200 nm.
    Nanometres(u32), "nm", 200..=3_000
);
unit!(
    /// Width of a pulse, or a delay, in microseconds.
    WidthUs(u32), "µs", 0..=10_000_000
);
