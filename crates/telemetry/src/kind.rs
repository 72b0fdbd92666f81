//! Closed sets of the field. A number on the wire that this version does not know becomes `None` and is counted: it is
//! never refused, because newer firmware may speak to older servers.
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A name that is none of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is none of: {allowed}")]
pub struct UnknownName {
    /// Which set.
    pub what: &'static str,
    /// Its names.
    pub allowed: &'static str,
}

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$vdoc:meta])* $variant:ident = $wire:literal, $text:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// Every value, in wire order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// From the number on the wire; `None` for unspecified and for numbers that this version does not know.
            pub const fn from_wire(number: i32) -> Option<Self> {
                match number { $($wire => Some(Self::$variant),)+ _ => None }
            }

            /// The number on the wire.
            pub const fn to_wire(self) -> i32 {
                match self { $(Self::$variant => $wire,)+ }
            }

            /// The name in files, tags and labels.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;
            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownName { what: $what, allowed: concat!($($text, " ",)+) }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

kind!(
    /// What kind of device speaks.
    DeviceKind, "device kind" {
        /// A microneedling pen.
        Pen = 1, "pen";
        /// An intense pulsed light unit.
        Ipl = 2, "ipl";
        /// A steam sterilizer.
        Autoclave = 3, "autoclave";
        /// A station that disinfects reusable parts.
        DisinfectionStation = 4, "disinfection-station";
    }
);

kind!(
    /// Where on the body.
    Zone, "zone" {
        /// Forehead.
        Forehead = 1, "forehead";
        /// Between the brows.
        Glabella = 2, "glabella";
        /// Around the eyes, outside the orbital rim.
        Periorbital = 3, "periorbital";
        /// Nose.
        Nose = 4, "nose";
        /// Cheekbone.
        Cheekbone = 5, "cheekbone";
        /// Cheek.
        Cheek = 6, "cheek";
        /// Around the mouth.
        Perioral = 7, "perioral";
        /// Chin.
        Chin = 8, "chin";
        /// Jaw line.
        Jaw = 9, "jaw";
        /// Neck.
        Neck = 10, "neck";
        /// Scalp.
        Scalp = 11, "scalp";
        /// Décolleté.
        Decollete = 12, "decollete";
        /// Back.
        Back = 13, "back";
        /// Abdomen.
        Abdomen = 14, "abdomen";
        /// Upper arm.
        UpperArm = 15, "upper-arm";
        /// Forearm.
        Forearm = 16, "forearm";
        /// Hand.
        Hand = 17, "hand";
        /// Underarm.
        Underarm = 18, "underarm";
        /// Bikini line.
        Bikini = 19, "bikini";
        /// Thigh.
        Thigh = 20, "thigh";
        /// Lower leg.
        LowerLeg = 21, "lower-leg";
    }
);

kind!(
    /// Fitzpatrick skin type.
    SkinType, "skin type" {
        /// Type I.
        I = 1, "I";
        /// Type II.
        II = 2, "II";
        /// Type III.
        III = 3, "III";
        /// Type IV.
        IV = 4, "IV";
        /// Type V.
        V = 5, "V";
        /// Type VI.
        VI = 6, "VI";
    }
);

kind!(
    /// Why a batch was sent when it was.
    FlushReason, "flush reason" {
        /// Full, or a second had passed.
        Period = 1, "period";
        /// A reading crossed the device's own limit.
        Limit = 2, "limit";
        /// Zone, setpoint or cartridge changed.
        Context = 3, "context";
        /// The session ended.
        SessionEnd = 4, "session-end";
    }
);

kind!(
    /// Where a device's wall time comes from.
    WallTimeSource, "wall time source" {
        /// A free-running clock.
        Rtc = 1, "rtc";
        /// Disciplined since this boot.
        Ntp = 2, "ntp";
        /// Set by the paired host since this boot.
        Host = 3, "host";
    }
);

kind!(
    /// How a cycle or a test came out.
    Outcome, "outcome" {
        /// Passed.
        Pass = 1, "pass";
        /// Failed.
        Fail = 2, "fail";
        /// Aborted: proves nothing.
        Aborted = 3, "aborted";
    }
);

kind!(
    /// Level of disinfection after Spaulding.
    DisinfectionLevel, "disinfection level" {
        /// Low.
        Low = 1, "low";
        /// Intermediate.
        Intermediate = 2, "intermediate";
        /// High.
        High = 3, "high";
    }
);

kind!(
    /// What an indicator test reads.
    IndicatorKind, "indicator kind" {
        /// Spores.
        Biological = 1, "biological";
        /// A colour change.
        Chemical = 2, "chemical";
        /// Temperature, pressure and time as the sterilizer recorded them.
        Mechanical = 3, "mechanical";
    }
);

kind!(
    /// Why a session ended.
    SessionEndReason, "session end reason" {
        /// The operator ended it.
        Operator = 1, "operator";
        /// Nothing happened for a while.
        Idle = 2, "idle";
        /// The battery was empty.
        Battery = 3, "battery";
        /// The device stopped itself.
        Fault = 4, "fault";
    }
);

kind!(
    /// What a device says is wrong with itself.
    FaultCode, "fault code" {
        /// Depth sensor.
        DepthSensor = 1, "depth-sensor";
        /// Energy sensor.
        EnergySensor = 2, "energy-sensor";
        /// Temperature sensor.
        TemperatureSensor = 3, "temperature-sensor";
        /// Motor.
        Motor = 4, "motor";
        /// Lamp.
        Lamp = 5, "lamp";
        /// Cooling.
        Cooling = 6, "cooling";
        /// The device cut itself out at its own limit.
        LimitCutoff = 7, "limit-cutoff";
        /// Its memory is full.
        StorageFull = 8, "storage-full";
        /// Battery.
        Battery = 9, "battery";
    }
);

kind!(
    /// What a status says.
    Presence, "presence" {
        /// Connected.
        Online = 1, "online";
        /// Said good-bye.
        Offline = 2, "offline";
        /// The last will spoke.
        Lost = 3, "lost";
    }
);

kind!(
    /// Priority of an alarm, named and ordered as in IEC 60601-1-8; `info` is its information signal.
    Priority, "priority" {
        /// No response is needed.
        Info = 1, "info";
        /// Awareness.
        Low = 2, "low";
        /// Prompt response.
        Medium = 3, "medium";
        /// Immediate response.
        High = 4, "high";
    }
);
