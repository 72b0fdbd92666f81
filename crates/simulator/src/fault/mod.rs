//! What goes wrong, by name: which devices it can befall, when it does, and which rule must say so.
//!
//! A fault changes behaviour where the harm happens (a depth, an energy, a skipped wipe) or frames where the fault is in
//! firmware or network; the rest of the simulator does not know about it. Every fault tells its [`Truth`].
mod depth;
mod light;
mod presence;
mod selection;
mod truth;
mod wire;

use std::fmt;

use serde::{Deserialize, Serialize};
use telemetry::DeviceKind;

pub(crate) use depth::{DepthFault, Reading};
pub(crate) use light::LightFault;
pub(crate) use selection::resolve;
pub use selection::{FaultSpec, SelectionError};
pub use truth::Truth;
pub(crate) use wire::Wire;

/// The faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The depth leaves its setpoint by 60 µm a second, up to 400 µm.
    DepthCreep,
    /// Around the eyes the needles go 500 µm deeper than the zone's limit.
    DepthOvershootEye,
    /// All depths are 120 µm more than before: within the tolerance, and no longer as calibrated.
    DepthShift,
    /// All depths are 45 µm more than the factory calibration says: too little to see in one session.
    CalibrationOff,
    /// The depth sensor repeats its last reading.
    StuckSensor,
    /// Readings scatter five times as wide as the sensor's noise does.
    SensorJitter,
    /// The motor makes 40 % fewer strokes than set: wrong where that is slower than its model may be.
    SlowMotor,
    /// Needles that are not seated: they go in a tenth of what is set.
    NeedleNotSeated,
    /// The operator dials 300 µm more than the zone's limit, and the pen follows.
    SetpointAboveLimit,
    /// The operator sets 15 % more fluence than the client's skin type bears, and the unit follows.
    FluenceAboveLimit,
    /// Pulses carry 35 % more energy than set.
    LampOverEnergy,
    /// A worn lamp: from -10 % on, each pulse carries 0.5 % less than the one before, down to -40 %.
    LampAgeing,
    /// The tip that is told is smaller than the one that is on: fluence is no longer energy over area.
    WrongTip,
    /// Pulses fire and the energy sensor reads nothing.
    EnergySensorDead,
    /// Pulses are set and do not fire.
    Misfiring,
    /// The operator pulses every 0.4 s.
    HastyPulses,
    /// Skin is at 46 °C.
    HotSkin,
    /// The cooled tip is at 26 °C.
    CoolingFailure,
    /// A filter from 480 nm, which no skin type may get.
    WrongFilter,
    /// The lamp has fired all the shots that it is made for, and goes on.
    LampPastLife,
    /// A client comes back after five days.
    TreatedTooSoon,
    /// The clinic's software never tells when a client was last treated.
    IntervalUntold,
    /// The device tells, once, that a sensor of its own is at fault.
    SensorFault,
    /// The device tells, once, that its motor or its lamp is at fault.
    MotorFault,
    /// One wipe between two visits does not happen.
    MissedDisinfection,
    /// A second client is treated with the first one's cartridge.
    ReusedCartridge,
    /// A client is treated with a cartridge that was used at another clinic of the chain before. With a strength below 0 the visit
    /// of that client goes on here, so that nothing is wrong. Needs a tenant with several clinics.
    TravelledCartridge,
    /// A cartridge is used whose pack expired three days ago.
    ExpiredPack,
    /// A sterilization cycle fails, and what was in it is used all the same.
    FailedCycle,
    /// The pen's last cycle was nine days before its first use, two more than its policy allows. `strength` scales what is
    /// beyond the week, so that -0.01 is half an hour before it is due.
    OverdueSterilization,
    /// Nobody records the chemical indicator of the load that the pen came from before the start.
    MissingIndicator,
    /// The autoclave's last biological indicator ran nine days ago, and it is used.
    OverdueIndicator,
    /// The connection breaks for a while; the device keeps its frames and sends them afterwards.
    DroppedNetwork,
    /// The wall clock is two hours ahead.
    ClockSkew,
    /// Between good frames the firmware publishes garbage of four kinds.
    GarbageFirmware,
    /// Once, the sequence number is not counted on: two different frames carry the same.
    DuplicateSequence,
    /// Readings come without zone, setpoint and skin type.
    ContextMissing,
    /// In a session the device says nothing for a while, and what it would have said is lost.
    SilentInSession,
    /// The device is registered and expected, and never says anything.
    NeverSpeaks,
    /// After a session the device is put away and says nothing any more.
    GoneAway,
    /// A second machine speaks under the device's identity: every five seconds, frames of a boot of its own.
    SharedIdentity,
}

use DeviceKind::{Autoclave, Ipl, Pen};

impl FaultKind {
    /// Every fault.
    pub const ALL: &'static [Self] = &[
        Self::DepthCreep,
        Self::DepthOvershootEye,
        Self::DepthShift,
        Self::CalibrationOff,
        Self::StuckSensor,
        Self::SensorJitter,
        Self::SlowMotor,
        Self::NeedleNotSeated,
        Self::SetpointAboveLimit,
        Self::FluenceAboveLimit,
        Self::LampOverEnergy,
        Self::LampAgeing,
        Self::WrongTip,
        Self::EnergySensorDead,
        Self::Misfiring,
        Self::HastyPulses,
        Self::HotSkin,
        Self::CoolingFailure,
        Self::WrongFilter,
        Self::LampPastLife,
        Self::TreatedTooSoon,
        Self::IntervalUntold,
        Self::SensorFault,
        Self::MotorFault,
        Self::MissedDisinfection,
        Self::ReusedCartridge,
        Self::TravelledCartridge,
        Self::ExpiredPack,
        Self::FailedCycle,
        Self::OverdueSterilization,
        Self::MissingIndicator,
        Self::OverdueIndicator,
        Self::DroppedNetwork,
        Self::ClockSkew,
        Self::GarbageFirmware,
        Self::DuplicateSequence,
        Self::ContextMissing,
        Self::SilentInSession,
        Self::NeverSpeaks,
        Self::GoneAway,
        Self::SharedIdentity,
    ];

    /// The name in scenario files and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DepthCreep => "depth-creep",
            Self::DepthOvershootEye => "depth-overshoot-eye",
            Self::DepthShift => "depth-shift",
            Self::CalibrationOff => "calibration-off",
            Self::StuckSensor => "stuck-sensor",
            Self::SensorJitter => "sensor-jitter",
            Self::SlowMotor => "slow-motor",
            Self::NeedleNotSeated => "needle-not-seated",
            Self::SetpointAboveLimit => "setpoint-above-limit",
            Self::FluenceAboveLimit => "fluence-above-limit",
            Self::LampOverEnergy => "lamp-over-energy",
            Self::LampAgeing => "lamp-ageing",
            Self::WrongTip => "wrong-tip",
            Self::EnergySensorDead => "energy-sensor-dead",
            Self::Misfiring => "misfiring",
            Self::HastyPulses => "hasty-pulses",
            Self::HotSkin => "hot-skin",
            Self::CoolingFailure => "cooling-failure",
            Self::WrongFilter => "wrong-filter",
            Self::LampPastLife => "lamp-past-life",
            Self::TreatedTooSoon => "treated-too-soon",
            Self::IntervalUntold => "interval-untold",
            Self::SensorFault => "sensor-fault",
            Self::MotorFault => "motor-fault",
            Self::MissedDisinfection => "missed-disinfection",
            Self::ReusedCartridge => "reused-cartridge",
            Self::TravelledCartridge => "travelled-cartridge",
            Self::ExpiredPack => "expired-pack",
            Self::FailedCycle => "failed-cycle",
            Self::OverdueSterilization => "overdue-sterilization",
            Self::MissingIndicator => "missing-indicator",
            Self::OverdueIndicator => "overdue-indicator",
            Self::DroppedNetwork => "dropped-network",
            Self::ClockSkew => "clock-skew",
            Self::GarbageFirmware => "garbage-firmware",
            Self::DuplicateSequence => "duplicate-sequence",
            Self::ContextMissing => "context-missing",
            Self::SilentInSession => "silent-in-session",
            Self::NeverSpeaks => "never-speaks",
            Self::GoneAway => "gone-away",
            Self::SharedIdentity => "shared-identity",
        }
    }

    /// The kinds of device that it can befall.
    pub const fn befalls(self) -> &'static [DeviceKind] {
        match self {
            Self::DepthCreep
            | Self::DepthOvershootEye
            | Self::DepthShift
            | Self::CalibrationOff
            | Self::StuckSensor
            | Self::SensorJitter
            | Self::SlowMotor
            | Self::NeedleNotSeated
            | Self::SetpointAboveLimit
            | Self::ReusedCartridge
            | Self::TravelledCartridge
            | Self::ExpiredPack
            | Self::MissingIndicator
            | Self::OverdueSterilization => &[Pen],
            Self::FluenceAboveLimit
            | Self::LampOverEnergy
            | Self::LampAgeing
            | Self::WrongTip
            | Self::EnergySensorDead
            | Self::Misfiring
            | Self::HastyPulses
            | Self::HotSkin
            | Self::CoolingFailure
            | Self::WrongFilter
            | Self::LampPastLife => &[Ipl],
            Self::TreatedTooSoon
            | Self::IntervalUntold
            | Self::SensorFault
            | Self::MotorFault
            | Self::MissedDisinfection
            | Self::DuplicateSequence
            | Self::ContextMissing
            | Self::SilentInSession
            | Self::NeverSpeaks
            | Self::GoneAway
            | Self::SharedIdentity => &[Pen, Ipl],
            Self::FailedCycle | Self::OverdueIndicator => &[Autoclave],
            Self::DroppedNetwork | Self::ClockSkew | Self::GarbageFirmware => DeviceKind::ALL,
        }
    }

    /// The rule of alerting that must fire for it; for silence and a broken network, if they last longer than the device's
    /// policy bears.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::DepthCreep => "depth-off-setpoint",
            Self::DepthOvershootEye => "depth-above-limit",
            Self::DepthShift => "depth-drift",
            Self::CalibrationOff => "depth-baseline-shift",
            Self::StuckSensor => "depth-sensor-stuck",
            Self::SensorJitter => "depth-sensor-jitter",
            Self::SlowMotor => "stroke-rate-off",
            Self::NeedleNotSeated => "depth-too-shallow",
            Self::SetpointAboveLimit => "depth-setpoint-above-limit",
            Self::FluenceAboveLimit => "pulse-above-limit",
            Self::LampOverEnergy => "pulse-above-set",
            Self::LampAgeing => "lamp-drift",
            Self::WrongTip => "fluence-inconsistent",
            Self::EnergySensorDead => "pulse-without-energy",
            Self::Misfiring => "pulse-unfired",
            Self::HastyPulses => "pulse-stacking",
            Self::HotSkin => "skin-too-hot",
            Self::CoolingFailure => "tip-too-hot",
            Self::WrongFilter => "filter-mismatch",
            Self::LampPastLife => "lamp-worn",
            Self::TreatedTooSoon => "treated-too-soon",
            Self::IntervalUntold => "recovery-not-judged",
            Self::SensorFault => "device-protection-fault",
            Self::MotorFault => "device-fault",
            Self::MissedDisinfection => "disinfection-missing",
            Self::ReusedCartridge | Self::TravelledCartridge => "cartridge-reused",
            Self::ExpiredPack => "pack-expired",
            Self::FailedCycle => "indicator-failed",
            Self::OverdueSterilization => "sterilization-overdue",
            Self::MissingIndicator => "indicator-missing",
            Self::OverdueIndicator => "indicator-overdue",
            Self::DroppedNetwork | Self::SilentInSession => "device-silent",
            Self::ClockSkew => "clock-skew",
            Self::GarbageFirmware => "frames-rejected",
            Self::DuplicateSequence => "sequence-reused",
            Self::ContextMissing => "context-missing",
            Self::NeverSpeaks => "never-seen",
            Self::GoneAway => "not-seen",
            Self::SharedIdentity => "identity-conflict",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A fault at one device, in simulated time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) after_us: u64,
    pub(crate) until_us: u64,
    /// Scales the deviation; 1 is as [`FaultKind`] says.
    pub(crate) strength: f64,
}

impl Fault {
    pub(crate) fn is_active(&self, at_us: u64) -> bool {
        (self.after_us..self.until_us).contains(&at_us)
    }
}
