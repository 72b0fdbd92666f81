//! The one table of what rules look for: name, parameters, unit and nature of each kind. A new rule begins with a row here.
use std::fmt;
use std::sync::Arc;

use super::backlog::GatewayBacklog;
use super::book::{Rule, Scope};
use super::drift::{DepthBaselineShift, DepthDrift};
use super::file::{self, Place, RawRule};
use super::lamp::{LampDrift, LampWorn};
use super::pulse::{
    FilterMismatch, FluenceInconsistent, PulseStacking, PulseUnfired, PulseWithoutEnergy, SkinTooHot, TipTooHot,
};
use super::recovery::{RecoveryNotJudged, TreatedTooSoon};
use super::refused::FramesRejected;
use super::sensor::{DepthSensorJitter, DepthSensorStuck, DepthTooShallow, StrokeRateOff};
use super::{
    CartridgeReused, DepthAboveLimit, DepthOffSetpoint, DisinfectionMissing, GatewaySilent, Head, HeartbeatMissing,
    NoParameters, PulseAboveLimit, PulseAboveSet, RuleFault, SilentDevice,
};

/// What kind of condition a rule finds: how its alerts end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// Readings of a session that may become fine again: over when they are, or with the session.
    Reading,
    /// One reading of a session that cannot be undone by a later one: latches until a person acknowledges.
    Harm,
    /// Something that happened outside a session's readings and cannot be undone: latches until a person acknowledges, and
    /// is over some minutes after that (decision 0011).
    Event,
    /// A state of the device that takes a protection away: over when it is over, and latches until a person acknowledges.
    Protection,
    /// A state of device, gateway or of ourselves: over when it is over.
    Standing,
    /// The data of a session are not good: about no person, over with its session.
    Quality,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $field:ident: $params:ty, $unit:literal, $nature:ident;)+) => {
        /// What a rule looks for. Closed: a rule is code with parameters, not an expression.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Kind { $($(#[$doc])* $variant,)+ }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in rule files; a bounded label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($field),)+ }
            }

            /// Unit of an alert's value and limit; empty: the two do not stand for themselves (a count out of another, or hours
            /// here and visits there), and only what happened says them.
            pub const fn unit(self) -> &'static str {
                match self { $(Self::$variant => $unit,)+ }
            }

            /// What kind of condition it is.
            pub const fn nature(self) -> Nature {
                match self { $(Self::$variant => Nature::$nature,)+ }
            }
        }

        /// All rules: at most one of each kind; `None` is off.
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct Ruleset {
            /// Hash of what was read.
            pub version: String,
            /// How many false pages they may make.
            pub budget: super::Budget,
            $($(#[$doc])* pub $field: Option<Rule<$params>>,)+
        }

        impl Ruleset {
            /// The rule of a kind, if it is on.
            pub fn head(&self, kind: Kind) -> Option<&Arc<Head>> {
                match kind { $(Kind::$variant => self.$field.as_ref().map(|rule| &rule.head),)+ }
            }

            /// A rule's parameters as they hold in a place, for people, and whose they are.
            pub fn said(&self, kind: Kind, scope: Option<&Scope<'_>>) -> Option<(serde_json::Value, String)> {
                match kind { $(Kind::$variant => self.$field.as_ref().map(|rule| rule.said(scope)),)+ }
            }

            /// Everything that the rules say, one line a parameter, for telling two versions apart.
            pub fn lines(&self) -> std::collections::BTreeMap<String, String> {
                let mut lines = std::collections::BTreeMap::new();
                $(if let Some(rule) = &self.$field { rule.lines(&mut lines); })+
                lines
            }

            /// Takes a rule as it was read.
            pub(super) fn take(&mut self, kind: Kind, place: Place<'_>, raw: RawRule) -> Result<(), RuleFault> {
                match kind { $(Kind::$variant => self.$field = file::rule::<$params>(place, kind, raw)?,)+ }
                Ok(())
            }
        }
    };
}

kinds! {
    // Depth
    /// Strokes deeper than the zone or the device allows.
    DepthAboveLimit = depth_above_limit: DepthAboveLimit, "µm", Reading;
    /// Strokes off their setpoint.
    DepthOffSetpoint = depth_off_setpoint: DepthOffSetpoint, "µm", Reading;
    /// The depth that was set is above the limit.
    DepthSetpointAboveLimit = depth_setpoint_above_limit: NoParameters, "µm", Reading;
    /// The mean depth left its factory calibration within a session.
    DepthDrift = depth_drift: DepthDrift, "µm", Reading;
    /// The mean depth of sessions is off the factory calibration.
    DepthBaselineShift = depth_baseline_shift: DepthBaselineShift, "µm", Standing;
    /// The depth sensor repeats one reading.
    DepthSensorStuck = depth_sensor_stuck: DepthSensorStuck, "strokes", Reading;
    /// Readings scatter far more than the sensor's declared noise.
    DepthSensorJitter = depth_sensor_jitter: DepthSensorJitter, "µm", Reading;
    /// Strokes come slower or faster than a working motor makes them.
    StrokeRateOff = stroke_rate_off: StrokeRateOff, "Hz", Reading;
    /// Needles hardly go in.
    DepthTooShallow = depth_too_shallow: DepthTooShallow, "µm", Reading;

    // Energy
    /// A pulse above what was set.
    PulseAboveSet = pulse_above_set: PulseAboveSet, "mJ/cm²", Harm;
    /// A pulse above what its skin type allows.
    PulseAboveLimit = pulse_above_limit: PulseAboveLimit, "mJ/cm²", Harm;
    /// Fluence is not energy over area.
    FluenceInconsistent = fluence_inconsistent: FluenceInconsistent, "‰", Reading;
    /// A pulse that fired and of which nothing was measured.
    PulseWithoutEnergy = pulse_without_energy: PulseWithoutEnergy, "", Reading;
    /// Pulses that were set and did not fire.
    PulseUnfired = pulse_unfired: PulseUnfired, "", Reading;
    /// Two pulses too soon after one another on one zone.
    PulseStacking = pulse_stacking: PulseStacking, "pulses/s", Harm;
    /// Skin is too hot.
    SkinTooHot = skin_too_hot: SkinTooHot, "°C", Harm;
    /// The cooled tip is too hot.
    TipTooHot = tip_too_hot: TipTooHot, "°C", Reading;
    /// A filter lets through what the skin type must not get.
    FilterMismatch = filter_mismatch: FilterMismatch, "nm", Harm;
    /// A lamp has fired more than it is made for.
    LampWorn = lamp_worn: LampWorn, "shots", Standing;
    /// A lamp no longer gives what is set.
    LampDrift = lamp_drift: LampDrift, "‰", Standing;

    // Recovery
    /// A client is treated again before the interval is over.
    TreatedTooSoon = treated_too_soon: TreatedTooSoon, "days", Event;
    /// Nobody tells when clients were last treated.
    RecoveryNotJudged = recovery_not_judged: RecoveryNotJudged, "visits", Standing;

    // The device's own
    /// The device says that a protection of its own is gone or had to act.
    DeviceProtectionFault = device_protection_fault: NoParameters, "faults", Protection;
    /// The device says that something else is wrong with it.
    DeviceFault = device_fault: NoParameters, "faults", Standing;

    // Hygiene
    /// An item is used whose sterilization is overdue.
    SterilizationOverdue = sterilization_overdue: NoParameters, "", Event;
    /// No disinfection between two visits.
    DisinfectionMissing = disinfection_missing: DisinfectionMissing, "", Event;
    /// An indicator test failed.
    IndicatorFailed = indicator_failed: NoParameters, "", Event;
    /// A sterilizer is used whose indicator test is overdue.
    IndicatorOverdue = indicator_overdue: NoParameters, "h", Standing;
    /// An item is used of whose load no indicator passed.
    IndicatorMissing = indicator_missing: NoParameters, "", Event;
    /// An item is used whose last cycle did not pass.
    FailedCycleUsed = failed_cycle_used: NoParameters, "", Event;
    /// A cartridge is used for a second visit.
    CartridgeReused = cartridge_reused: CartridgeReused, "visits", Event;
    /// A cartridge is used after its pack has expired.
    PackExpired = pack_expired: NoParameters, "d", Event;

    // Presence
    /// A device in a session is not heard.
    DeviceSilent = device_silent: SilentDevice, "s", Standing;
    /// A gateway's watermark stands still.
    GatewaySilent = gateway_silent: GatewaySilent, "s", Standing;
    /// An expected device that never said anything.
    NeverSeen = never_seen: NoParameters, "h", Standing;
    /// A device that has said nothing for days.
    NotSeen = not_seen: NoParameters, "h", Standing;

    // Data quality
    /// Readings without the context that they are judged by.
    ContextMissing = context_missing: NoParameters, "", Quality;
    /// Two frames with one sequence number.
    SequenceReused = sequence_reused: NoParameters, "", Quality;
    /// Frames that will never come.
    SequenceGap = sequence_gap: NoParameters, "frames", Quality;
    /// A device's messages are refused.
    FramesRejected = frames_rejected: FramesRejected, "messages", Standing;
    /// A device's clock is off by more than the gateway allows.
    ClockSkew = clock_skew: NoParameters, "s", Standing;
    /// Two machines under one identity.
    IdentityConflict = identity_conflict: NoParameters, "", Protection;

    // Ourselves
    /// A log beside a gateway fills.
    GatewayBacklog = gateway_backlog: GatewayBacklog, "%", Standing;
    /// A receiver does not take its pages.
    PageUndelivered = page_undelivered: NoParameters, "", Standing;
    /// A heartbeat that is expected from elsewhere does not come.
    HeartbeatMissing = heartbeat_missing: HeartbeatMissing, "s", Standing;
    /// A rota of the paging plan runs out of shifts.
    RotaEnds = rota_ends: NoParameters, "h", Standing;
}

impl Kind {
    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }

    /// Whether its alerts wait for a person from the start: something happened that cannot be undone by a later reading.
    pub const fn latches(self) -> bool {
        matches!(self.nature(), Nature::Harm | Nature::Event | Nature::Protection)
    }

    /// Whether its alerts are about the data and not about a person: the end of a session ends them.
    pub const fn is_data_quality(self) -> bool {
        matches!(self.nature(), Nature::Quality)
    }

    /// Whether its alerts are about readings of a session, so that the end of the session is the end of the condition.
    pub const fn is_about_readings(self) -> bool {
        matches!(self.nature(), Nature::Reading | Nature::Harm | Nature::Quality)
    }

    /// Whether a rule of this kind may wait before it tells: a condition over many readings, or silence. One reading that can
    /// harm must be told at once, an event has happened already, and what has a time of its own needs no second one.
    pub const fn may_wait(self) -> bool {
        let one_is_enough = matches!(self, Self::DepthAboveLimit | Self::DepthSetpointAboveLimit);
        matches!(self, Self::DeviceSilent) || matches!(self.nature(), Nature::Reading) && !one_is_enough
    }

    /// Whether the end of its condition may wait.
    pub const fn may_end_late(self) -> bool {
        matches!(self, Self::DeviceSilent) || matches!(self.nature(), Nature::Reading)
    }

    /// Whether another load of a sterilizer is another happening: other items, other people, and told although the alert of one before
    /// is open. That an indicator is overdue is one condition however many loads go by.
    pub const fn each_load(self) -> bool {
        matches!(self, Self::IndicatorMissing | Self::IndicatorFailed)
    }

    /// Whether its alerts are about a part of the installation and no tenant's: a gateway, a receiver, a heartbeat, a
    /// rota.
    pub const fn is_ours(self) -> bool {
        matches!(
            self,
            Self::GatewaySilent
                | Self::GatewayBacklog
                | Self::PageUndelivered
                | Self::HeartbeatMissing
                | Self::RotaEnds
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
