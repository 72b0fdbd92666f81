//! What is stored: typed records, one kind per subject. There is no point made of strings in between; a store reads the columns of
//! [`crate::schema`] from these.
//!
//! The time of each record is a function of the message it came from, so that the same message is the same point on every
//! path and after every restart. One edge is known: two different frames with the same time *and* the same ordinal (modulo
//! 1,000), which only a device that reuses its ordinals can send, are one point, and the later one stands.

use std::fmt::Write as _;
use std::sync::Arc;

use telemetry::{
    Actor, Birth, BootId, ClinicId, ClockQuality, CycleId, DeviceId, DeviceKey, DeviceKind, DisinfectionLevel, Fault,
    FlushReason, Heartbeat, IndicatorKind, ModelId, Origin, Outcome, Presence, Priority, Serial, SessionEnd, SessionId,
    SessionStart, TenantId, UnixMicros, VisitId, Zone,
};

use crate::schema::rollup::{Span, Subject};
use crate::value::{Finite, Plain};
use crate::window::Depths;

/// The tags that every record has, with their line protocol made once per device.
#[derive(Debug, PartialEq, Eq)]
pub struct Tags {
    /// The tenant.
    pub tenant: TenantId,
    /// The clinic, as fixed when the message was let in.
    pub clinic: ClinicId,
    /// The device.
    pub device: DeviceId,
    /// Its model by the registry; `None` if the registry does not know the device.
    pub model: Option<ModelId>,
    /// Its kind by the registry.
    pub kind: Option<DeviceKind>,
    key: DeviceKey,
    line_head: String,
}

/// What the tags `model` and `kind` say when nobody knows.
pub const UNKNOWN: &str = "unknown";

impl Tags {
    /// Tags of a device.
    pub fn new(
        tenant: TenantId,
        clinic: ClinicId,
        device: DeviceId,
        model: Option<ModelId>,
        kind: Option<DeviceKind>,
    ) -> Self {
        let mut line_head = String::new();
        // Ids are slugs: nothing in them needs escaping. In the order of their keys, as InfluxDB likes them.
        let _ = write!(
            line_head,
            ",clinic={clinic},device={device},kind={},model={}",
            kind.map_or(UNKNOWN, DeviceKind::as_str),
            model.as_ref().map_or(UNKNOWN, ModelId::as_str),
        );
        Self {
            key: DeviceKey {
                tenant: tenant.clone(),
                device: device.clone(),
            },
            tenant,
            clinic,
            device,
            model,
            kind,
            line_head,
        }
    }

    /// The device, by its tenant.
    pub fn key(&self) -> &DeviceKey {
        &self.key
    }

    /// The tags `clinic`, `device`, `kind` and `model` in line protocol, with a leading comma.
    pub(crate) fn line_head(&self) -> &str {
        &self.line_head
    }
}

/// Where a reading or state comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Tags.
    pub tags: Arc<Tags>,
    /// When the gateway received it.
    pub received_at: UnixMicros,
    /// How good its event time is.
    pub clock: ClockQuality,
    /// The intake.
    pub origin: Origin,
    /// Boot; `None` where a message has none.
    pub boot: Option<BootId>,
    /// Sequence number of the frame; `None` where a message has none.
    pub sequence: Option<u64>,
    /// Session.
    pub session: Option<SessionId>,
    /// Visit.
    pub visit: Option<VisitId>,
}

/// One stroke batch as numbers; time: event time of its first stroke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrokeWindow {
    /// Where from.
    pub context: Context,
    /// Time in nanoseconds since 1970.
    pub time_ns: i64,
    /// Zone.
    pub zone: Option<Zone>,
    /// Strokes, read or not.
    pub count: u32,
    /// The distribution of the read ones.
    pub depths: Depths,
    /// Depth set, in micrometres.
    pub setpoint_um: Option<u32>,
    /// Limit that the device enforced, in micrometres.
    pub limit_um: Option<u32>,
    /// Strokes per second in thousandths.
    pub rate_mhz: Option<u64>,
    /// From the first stroke to the end of the last, in microseconds.
    pub duration_us: u32,
    /// Session ordinal of the first stroke.
    pub first_ordinal: u64,
    /// Why it was sent.
    pub flush_reason: Option<FlushReason>,
    /// Cartridge in use.
    pub cartridge: Option<Serial>,
    /// Ordinals of the strokes that were not read, half-open; for the ledger, not stored as such.
    pub unread: Vec<(u64, u64)>,
}

/// One pulse; time: its event time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulse {
    /// Where from.
    pub context: Context,
    /// Time in nanoseconds since 1970.
    pub time_ns: i64,
    /// What it was.
    pub pulse: telemetry::Pulse,
    /// Why its batch was sent.
    pub flush_reason: Option<FlushReason>,
}

/// How complete a session is; time: the session's start, so that whatever comes later amends the same point.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSummary {
    /// Tags.
    pub tags: Arc<Tags>,
    /// Time in nanoseconds since 1970.
    pub time_ns: i64,
    /// The session.
    pub session: SessionId,
    /// Its visit.
    pub visit: Option<VisitId>,
    /// Its boot.
    pub boot: BootId,
    /// What is there of it.
    pub completeness: crate::ledger::Completeness,
}

/// Hygiene: what was sterilized, disinfected or tested; time: that of the frame that told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SterilizationEvent {
    /// Where from.
    pub context: Context,
    /// Time in nanoseconds since 1970.
    pub time_ns: i64,
    /// What happened.
    pub what: Hygiene,
    /// When it happened, if it was told apart from the frame.
    pub happened_at: Option<UnixMicros>,
    /// Device ids or serials.
    pub items: Vec<Serial>,
    /// Who recorded it, where a person did and is known.
    pub recorded_by: Option<Actor>,
}

/// The three kinds of a [`SterilizationEvent`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hygiene {
    /// A sterilizer's cycle.
    Cycle {
        /// Its name.
        cycle: Option<CycleId>,
        /// The sterilizer, if it is not the sender.
        sterilizer: Option<DeviceId>,
        /// How it came out.
        outcome: Option<Outcome>,
        /// Temperature held, in thousandths of a degree Celsius.
        hold_temperature_mdegc: Option<i32>,
        /// Seconds held.
        hold_time_s: Option<u32>,
    },
    /// A wipe or bath.
    Disinfection {
        /// Level.
        level: Option<DisinfectionLevel>,
        /// Seconds of contact.
        contact_time_s: Option<u32>,
    },
    /// The result of an indicator test.
    Indicator {
        /// What it reads.
        kind: Option<IndicatorKind>,
        /// The tested sterilizer, if it is not the sender.
        sterilizer: Option<DeviceId>,
        /// The tested cycle.
        cycle: Option<CycleId>,
        /// The result.
        outcome: Option<Outcome>,
    },
}

/// What a device says of itself; time: that of the frame, or of its arrival for a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceState {
    /// Where from.
    pub context: Context,
    /// Time in nanoseconds since 1970.
    pub time_ns: i64,
    /// Uptime in microseconds, where there is one.
    pub uptime_us: Option<u64>,
    /// Fields and enum values of the message that this version does not know.
    pub unknown_elements: u32,
    /// What it says.
    pub what: State,
}

/// The kinds of a [`DeviceState`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// After boot.
    Birth(Birth),
    /// Sign of life.
    Heartbeat(Heartbeat),
    /// Something is wrong with the device.
    Fault(Fault),
    /// A session starts.
    SessionStart(SessionStart),
    /// A session ends.
    SessionEnd(SessionEnd),
    /// Connected or not; `retained` proves nothing.
    Status {
        /// What it says.
        presence: Option<Presence>,
        /// Delivered as retained.
        retained: bool,
    },
}

/// One step of one alert; time: when the engine took it.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertTransition {
    /// Where from.
    pub context: Context,
    /// Time in nanoseconds since 1970.
    pub time_ns: i64,
    /// Zone.
    pub zone: Option<Zone>,
    /// Rule id; a tag, because one input can move several rules of a device at the same instant.
    pub rule: Serial,
    /// Hexadecimal.
    pub transition_id: String,
    /// Hexadecimal.
    pub alert_id: String,
    /// Priority.
    pub priority: Option<Priority>,
    /// Before.
    pub from_state: Plain<'static>,
    /// After.
    pub to_state: Plain<'static>,
    /// When the cause happened.
    pub event_time: UnixMicros,
    /// When the alert was raised; `None`: an older version wrote it.
    pub raised_at: Option<UnixMicros>,
    /// The value that caused it.
    pub value: Option<Finite>,
    /// What it was compared with.
    pub limit: Option<Finite>,
    /// Unit of both.
    pub unit: Plain<'static>,
}

/// Strokes or pulses of a tag set in a period; time: the start of the period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollup {
    /// Tags.
    pub tags: Arc<Tags>,
    /// Time in nanoseconds since 1970.
    pub time_ns: i64,
    /// Zone.
    pub zone: Option<Zone>,
    /// Strokes or pulses.
    pub subject: Subject,
    /// How long the period is.
    pub span: Span,
    /// Its numbers, in the order of [`Subject::made`]; means are none of them.
    pub numbers: Vec<Option<i64>>,
}

/// One record.
// Nearly every record is a window: a box would cost each of them an allocation to save the rare others some bytes.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// See [`StrokeWindow`].
    StrokeWindow(StrokeWindow),
    /// See [`Pulse`].
    Pulse(Box<Pulse>),
    /// See [`SessionSummary`].
    SessionSummary(Box<SessionSummary>),
    /// See [`SterilizationEvent`].
    SterilizationEvent(Box<SterilizationEvent>),
    /// See [`DeviceState`].
    DeviceState(Box<DeviceState>),
    /// See [`AlertTransition`].
    AlertTransition(Box<AlertTransition>),
    /// See [`Rollup`].
    Rollup(Box<Rollup>),
}

impl Record {
    /// Tags of the device.
    pub fn tags(&self) -> &Arc<Tags> {
        match self {
            Self::StrokeWindow(r) => &r.context.tags,
            Self::Pulse(r) => &r.context.tags,
            Self::SessionSummary(r) => &r.tags,
            Self::SterilizationEvent(r) => &r.context.tags,
            Self::DeviceState(r) => &r.context.tags,
            Self::AlertTransition(r) => &r.context.tags,
            Self::Rollup(r) => &r.tags,
        }
    }

    /// Time in nanoseconds since 1970.
    pub fn time_ns(&self) -> i64 {
        match self {
            Self::StrokeWindow(r) => r.time_ns,
            Self::Pulse(r) => r.time_ns,
            Self::SessionSummary(r) => r.time_ns,
            Self::SterilizationEvent(r) => r.time_ns,
            Self::DeviceState(r) => r.time_ns,
            Self::AlertTransition(r) => r.time_ns,
            Self::Rollup(r) => r.time_ns,
        }
    }

    /// The tag `zone`.
    pub fn zone(&self) -> Option<Zone> {
        match self {
            Self::StrokeWindow(r) => r.zone,
            Self::Pulse(r) => r.pulse.zone,
            Self::AlertTransition(r) => r.zone,
            Self::Rollup(r) => r.zone,
            _ => None,
        }
    }

    /// The tag `rule`.
    pub fn rule(&self) -> Option<&Serial> {
        match self {
            Self::AlertTransition(r) => Some(&r.rule),
            _ => None,
        }
    }

    /// About how much memory it holds, in bytes: what the bounds of the pipeline count.
    pub fn size(&self) -> usize {
        let inside = match self {
            Self::StrokeWindow(r) => r.unread.len() * size_of::<(u64, u64)>(),
            Self::Pulse(_) => size_of::<Pulse>(),
            Self::SessionSummary(_) => size_of::<SessionSummary>(),
            Self::SterilizationEvent(r) => size_of::<SterilizationEvent>() + r.items.len() * 64,
            Self::DeviceState(_) => size_of::<DeviceState>(),
            Self::AlertTransition(_) => size_of::<AlertTransition>() + 128,
            Self::Rollup(r) => size_of::<Rollup>() + r.numbers.len() * size_of::<Option<i64>>(),
        };
        size_of::<Self>() + inside
    }
}
