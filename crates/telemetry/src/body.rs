//! What a frame says, in types that cannot hold a bad value.
use crate::unknown::UnknownCounts;
use crate::{
    AreaMm2, BootId, CycleId, DeviceId, DeviceKind, DisinfectionLevel, EnergyMj, FaultCode, FluenceMjPerCm2,
    FlushReason, IndicatorKind, MilliCelsius, Nanometres, Outcome, Presence, Serial, SessionEndReason, SessionId,
    SkinType, StrokeBatch, Text, UnixMicros, Uptime, VisitId, WallTimeSource, WidthUs, Zone,
};

/// A decoded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// Who, when, in which session.
    pub header: Header,
    /// What.
    pub body: Body,
    /// What this version did not know of it.
    pub unknown: UnknownCounts,
}

/// Header of every frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Schema version of the sender.
    pub schema_version: u32,
    /// The device; equals the topic's.
    pub device: DeviceId,
    /// This boot.
    pub boot: BootId,
    /// Sequence number within the boot, from 0.
    pub sequence: u64,
    /// When the frame was made.
    pub uptime: Uptime,
    /// Wall time, if the device has a clock.
    pub wall: Option<WallTime>,
    /// Session, if in one.
    pub session: Option<SessionRef>,
    /// The client's visit, if in one.
    pub visit: Option<VisitId>,
    /// Below this the device keeps nothing.
    pub oldest_unacknowledged: Option<u64>,
    /// It keeps its frames until the far end has them.
    pub wants_ack_up_to: bool,
}

/// A device's wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallTime {
    /// What it showed when the frame was made.
    pub at: UnixMicros,
    /// Where it comes from; `None` if not said or not known to this version.
    pub source: Option<WallTimeSource>,
}

/// The session that a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionRef {
    /// Its id.
    pub id: SessionId,
    /// When it started; `None` if the device did not say.
    pub started: Option<Uptime>,
}

/// The bodies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// First frame after boot.
    Birth(Birth),
    /// Strokes of a pen.
    Strokes(StrokeBatch),
    /// Pulses of an IPL unit.
    Pulses(PulseBatch),
    /// A session starts.
    SessionStart(SessionStart),
    /// A session ends.
    SessionEnd(SessionEnd),
    /// A sterilizer's cycle.
    SterilizationCycle(SterilizationCycle),
    /// A wipe or bath.
    Disinfection(Disinfection),
    /// An indicator test's result.
    IndicatorResult(IndicatorResult),
    /// Sign of life.
    Heartbeat(Heartbeat),
    /// The device says that something is wrong with it.
    Fault(Fault),
}

impl Body {
    /// Name of the body; a bounded label.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Birth(_) => "birth",
            Self::Strokes(_) => "stroke_batch",
            Self::Pulses(_) => "pulse_batch",
            Self::SessionStart(_) => "session_start",
            Self::SessionEnd(_) => "session_end",
            Self::SterilizationCycle(_) => "sterilization_cycle",
            Self::Disinfection(_) => "disinfection",
            Self::IndicatorResult(_) => "indicator_result",
            Self::Heartbeat(_) => "heartbeat",
            Self::Fault(_) => "fault",
        }
    }
}

/// What a device says of itself after boot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Birth {
    /// Kind.
    pub kind: Option<DeviceKind>,
    /// Model, as the maker names it.
    pub model: Option<Text>,
    /// Firmware version.
    pub firmware: Option<Text>,
    /// Serial number.
    pub serial: Option<Serial>,
    /// Factory calibration: measured minus set depth, in micrometres, within ±[`crate::DepthUm::MAX`].
    pub depth_offset_um: Option<i32>,
    /// Standard deviation of one reading, in micrometres.
    pub depth_sigma_um: Option<u32>,
    /// Day of calibration since 1970-01-01.
    pub calibrated_day: Option<u32>,
    /// Cartridge in the pen.
    pub cartridge: Option<Serial>,
    /// Lamp in the unit.
    pub lamp: Option<Serial>,
    /// Pulses that this lamp has fired.
    pub lamp_shots: Option<u64>,
}

/// Pulses, ordinals strictly ascending, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulseBatch {
    /// The pulses.
    pub pulses: Vec<Pulse>,
    /// Why they were sent.
    pub flush_reason: Option<FlushReason>,
}

/// One pulse: one event that can burn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulse {
    /// Ordinal within the session, from 0.
    pub ordinal: u64,
    /// When.
    pub uptime: Uptime,
    /// Energy that was set.
    pub energy_set: Option<EnergyMj>,
    /// Energy that was measured.
    pub energy_measured: Option<EnergyMj>,
    /// Fluence that was set.
    pub fluence_set: Option<FluenceMjPerCm2>,
    /// Fluence that was measured.
    pub fluence_measured: Option<FluenceMjPerCm2>,
    /// Width of the whole pulse.
    pub width: Option<WidthUs>,
    /// How many sub-pulses.
    pub sub_pulses: Option<u32>,
    /// Delay between sub-pulses.
    pub sub_pulse_delay: Option<WidthUs>,
    /// Cut-off filter.
    pub filter: Option<Nanometres>,
    /// Spot area.
    pub spot: Option<AreaMm2>,
    /// Zone; `None` if missing or not known to this version.
    pub zone: Option<Zone>,
    /// Skin type; `None` if missing or not known to this version.
    pub skin_type: Option<SkinType>,
    /// Skin temperature.
    pub skin_temperature: Option<MilliCelsius>,
    /// Tip temperature.
    pub tip_temperature: Option<MilliCelsius>,
    /// Pulses that this lamp has fired.
    pub lamp_shots: Option<u64>,
    /// Whether the unit believes that it fired.
    pub fired: Option<bool>,
}

/// A session starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionStart {
    /// Cartridge in use.
    pub cartridge: Option<Serial>,
    /// Its lot.
    pub cartridge_lot: Option<Serial>,
    /// Expiry of its pack, days since 1970-01-01.
    pub pack_expiry_day: Option<u32>,
    /// Skin type of the client.
    pub skin_type: Option<SkinType>,
    /// Days since this client's last treatment, from the clinic's software.
    pub days_since_last_treatment: Option<u32>,
    /// Lamp in use.
    pub lamp: Option<Serial>,
}

/// A session ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionEnd {
    /// Strokes made in all.
    pub strokes_total: Option<u64>,
    /// Pulses fired in all.
    pub pulses_total: Option<u64>,
    /// Why.
    pub reason: Option<SessionEndReason>,
}

/// A sterilizer's cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SterilizationCycle {
    /// The sterilizer's name for it.
    pub cycle: Option<CycleId>,
    /// The sterilizer; `None`: the sender.
    pub sterilizer: Option<DeviceId>,
    /// Device ids or serials in the load.
    pub items: Vec<Serial>,
    /// How it came out; `None` is not a pass.
    pub outcome: Option<Outcome>,
    /// When it ended; `None`: the frame's own time.
    pub ended_at: Option<UnixMicros>,
    /// Temperature held.
    pub hold_temperature: Option<MilliCelsius>,
    /// Seconds held.
    pub hold_time_s: Option<u32>,
}

/// A wipe or bath.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disinfection {
    /// Device ids or serials; none: the sender itself.
    pub items: Vec<Serial>,
    /// Level.
    pub level: Option<DisinfectionLevel>,
    /// Contact time in seconds.
    pub contact_time_s: Option<u32>,
    /// When; `None`: the frame's own time.
    pub performed_at: Option<UnixMicros>,
}

/// An indicator test's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndicatorResult {
    /// What it reads.
    pub kind: Option<IndicatorKind>,
    /// The sterilizer; `None`: the sender.
    pub sterilizer: Option<DeviceId>,
    /// The tested cycle.
    pub cycle: Option<CycleId>,
    /// Result; `None` is not a pass.
    pub outcome: Option<Outcome>,
    /// When the tested cycle ran.
    pub cycle_ended_at: Option<UnixMicros>,
}

/// Sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heartbeat {
    /// Whether a session is open.
    pub in_session: Option<bool>,
    /// Battery, 0 to 100.
    pub battery_percent: Option<u32>,
    /// Frames that wait for their PUBACK.
    pub queued_frames: Option<u32>,
    /// Frames dropped since boot because the device's memory was full.
    pub dropped_frames: Option<u64>,
}

/// A fault of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What; `None` if not known to this version.
    pub code: Option<FaultCode>,
    /// The maker's number.
    pub vendor_code: Option<u32>,
}

/// A device's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// What it says; `None` if not known to this version.
    pub presence: Option<Presence>,
    /// The boot that said it.
    pub boot: Option<BootId>,
}
