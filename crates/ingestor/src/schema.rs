//! The measurements, their fields and the type of each: the one table from which line protocol and the SQLite tables derive.
//!
//! A field has one type for ever, because InfluxDB refuses a point whose field changed its type. `schema.lock` holds the
//! list that was released; a test fails when a line of it changes or goes. New fields are added to both.
//!
//! Tags of every measurement: `tenant`, `clinic`, `device`, `model`, `kind`; `zone` where there is one; `rule` (a bounded
//! set of the configuration) for alert transitions only. Sessions, visits and cartridges are fields: their number grows
//! without end.

pub mod rollup;

use std::borrow::Cow;

use telemetry::{FlushReason, Zone};

use crate::ledger::Closed;
use crate::record::{
    AlertTransition, Context, DeviceState, Hygiene, Pulse, Record, SessionSummary, State, SterilizationEvent,
    StrokeWindow,
};
use crate::value::{FieldType, Finite, Plain, Value, int};

/// One field of one measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name, with the unit.
    pub name: &'static str,
    /// Its type, for ever.
    pub ty: FieldType,
    /// What it says.
    pub what: &'static str,
}

/// How the value of a field is read from its record; the variant is the type, so the two cannot disagree.
enum Get<T: 'static> {
    Integer(fn(&T) -> Option<i64>),
    Float(fn(&T) -> Option<Finite>),
    Boolean(fn(&T) -> Option<bool>),
    Text(fn(&T) -> Option<Plain<'_>>),
}

/// A field and how it is read.
struct Column<T: 'static> {
    field: Field,
    get: Get<T>,
}

impl<T> Column<T> {
    fn value<'a>(&self, record: &'a T) -> Option<Value<'a>> {
        match self.get {
            Get::Integer(get) => get(record).map(Value::Integer),
            Get::Float(get) => get(record).map(Value::Float),
            Get::Boolean(get) => get(record).map(Value::Boolean),
            Get::Text(get) => get(record).map(Value::Text),
        }
    }
}

/// A measurement: a series of records of one type.
#[derive(Debug, PartialEq, Eq)]
pub struct Measurement {
    /// Its name, also of the SQLite table.
    pub name: &'static str,
    /// Whether it has the tag `zone`.
    pub zone: bool,
    /// Whether it has the tag `rule`.
    pub rule: bool,
    /// Whether it is a roll-up, which is kept for a time of its own.
    pub rollup: bool,
    /// Its fields, in the order in which they are written.
    pub fields: &'static [Field],
}

macro_rules! measurement {
    ($konst:ident, $columns:ident, $fields:ident, $record:ty, $name:literal, zone: $zone:literal, rule: $rule:literal,
     $($field:literal, $ty:ident, $what:literal, $get:expr;)+) => {
        static $columns: &[Column<$record>] = &[
            $(Column { field: Field { name: $field, ty: FieldType::$ty, what: $what }, get: Get::$ty($get) },)+
        ];
        static $fields: &[Field] = &[$(Field { name: $field, ty: FieldType::$ty, what: $what },)+];
        #[doc = concat!("Measurement `", $name, "`.")]
        pub static $konst: Measurement = Measurement { name: $name, zone: $zone, rule: $rule, rollup: false, fields: $fields };
    };
}

fn hex<'a>(context: &Context) -> Option<Plain<'a>> {
    context.session.map(Plain::from)
}

macro_rules! band {
    ($at:literal) => {
        |w| w.depths.bands.get($at).copied().map(int)
    };
}

measurement!(STROKE_WINDOW, STROKE_WINDOW_COLUMNS, STROKE_WINDOW_FIELDS, StrokeWindow, "stroke_window", zone: true, rule: false,
    "count", Integer, "strokes in the batch, read or not", |w| Some(int(w.count));
    "unread", Integer, "strokes that the sensor did not read", |w| Some(int(w.count) - int(w.depths.read));
    "depth_min_um", Integer, "smallest depth, micrometres", |w| w.depths.min_um.map(int);
    "depth_mean_um", Float, "mean depth, micrometres", |w| Finite::ratio(w.depths.sum_um, u64::from(w.depths.read));
    "depth_max_um", Integer, "largest depth, micrometres", |w| w.depths.max_um.map(int);
    "depth_sum_um", Integer, "sum of the depths, micrometres", |w| Some(int(w.depths.sum_um));
    "depth_sum_squares_um2", Integer, "sum of the squares of the depths, square micrometres", |w| Some(int(w.depths.sum_squares_um2));
    "band1_00", Integer, "strokes of 0 µm", band!(0);
    "band1_01", Integer, "strokes above 0 up to 125 µm", band!(1);
    "band1_02", Integer, "strokes above 125 up to 250 µm", band!(2);
    "band1_03", Integer, "strokes above 250 up to 375 µm", band!(3);
    "band1_04", Integer, "strokes above 375 up to 500 µm", band!(4);
    "band1_05", Integer, "strokes above 500 up to 625 µm", band!(5);
    "band1_06", Integer, "strokes above 625 up to 750 µm", band!(6);
    "band1_07", Integer, "strokes above 750 up to 875 µm", band!(7);
    "band1_08", Integer, "strokes above 875 up to 1,000 µm", band!(8);
    "band1_09", Integer, "strokes above 1,000 up to 1,250 µm", band!(9);
    "band1_10", Integer, "strokes above 1,250 up to 1,500 µm", band!(10);
    "band1_11", Integer, "strokes above 1,500 up to 1,750 µm", band!(11);
    "band1_12", Integer, "strokes above 1,750 up to 2,000 µm", band!(12);
    "band1_13", Integer, "strokes above 2,000 up to 2,500 µm", band!(13);
    "band1_14", Integer, "strokes above 2,500 up to 3,000 µm", band!(14);
    "band1_15", Integer, "strokes above 3,000 µm", band!(15);
    "setpoint_um", Integer, "depth that was set, micrometres", |w| w.setpoint_um.map(int);
    "limit_um", Integer, "limit that the device enforced, micrometres", |w| w.limit_um.map(int);
    "over_limit", Integer, "strokes deeper than that limit", |w| w.depths.over_limit.map(int);
    "rate_mhz", Integer, "strokes per 1,000 seconds", |w| w.rate_mhz.map(int);
    "duration_us", Integer, "from the first stroke to the end of the last, microseconds", |w| Some(int(w.duration_us));
    "first_ordinal", Integer, "session ordinal of the first stroke", |w| Some(int(w.first_ordinal));
    "flush_reason", Text, "why the batch was sent", |w| w.flush_reason.map(|r| Plain::name(FlushReason::as_str(r)));
    "cartridge", Text, "serial of the cartridge", |w| w.cartridge.as_ref().map(Plain::from);
    "session", Text, "session id, hexadecimal", |w| hex(&w.context);
    "visit", Text, "visit id, hexadecimal", |w| w.context.visit.map(Plain::from);
    "boot", Text, "boot id, hexadecimal", |w| w.context.boot.map(Plain::from);
    "sequence", Integer, "sequence number of the frame", |w| w.context.sequence.map(int);
    "clock", Text, "quality of the event time: device, received or skewed", |w| Some(Plain::name(w.context.clock.as_str()));
    "origin", Text, "where the frame came from", |w| Some(Plain::name(origin(w.context.origin)));
    "received_at_us", Integer, "when the gateway received it, microseconds since 1970", |w| Some(w.context.received_at.0);
);

measurement!(PULSE, PULSE_COLUMNS, PULSE_FIELDS, Pulse, "pulse", zone: true, rule: false,
    "ordinal", Integer, "ordinal within the session", |p| Some(int(p.pulse.ordinal));
    "energy_set_mj", Integer, "energy that was set, millijoules", |p| p.pulse.energy_set.map(|v| int(v.get()));
    "energy_measured_mj", Integer, "energy that was measured, millijoules", |p| p.pulse.energy_measured.map(|v| int(v.get()));
    "fluence_set_mj_per_cm2", Integer, "fluence that was set", |p| p.pulse.fluence_set.map(|v| int(v.get()));
    "fluence_measured_mj_per_cm2", Integer, "fluence that was measured", |p| p.pulse.fluence_measured.map(|v| int(v.get()));
    "width_us", Integer, "width of the whole pulse, microseconds", |p| p.pulse.width.map(|v| int(v.get()));
    "sub_pulses", Integer, "sub-pulses", |p| p.pulse.sub_pulses.map(int);
    "sub_pulse_delay_us", Integer, "delay between sub-pulses, microseconds", |p| p.pulse.sub_pulse_delay.map(|v| int(v.get()));
    "filter_cutoff_nm", Integer, "cut-off filter, nanometres", |p| p.pulse.filter.map(|v| int(v.get()));
    "spot_area_mm2", Integer, "area of the spot, square millimetres", |p| p.pulse.spot.map(|v| int(v.get()));
    "skin_type", Text, "Fitzpatrick skin type, I to VI", |p| p.pulse.skin_type.map(|s| Plain::name(s.as_str()));
    "skin_temperature_mdegc", Integer, "skin temperature, thousandths of a degree Celsius", |p| p.pulse.skin_temperature.map(|v| int(v.get()));
    "tip_temperature_mdegc", Integer, "tip temperature, thousandths of a degree Celsius", |p| p.pulse.tip_temperature.map(|v| int(v.get()));
    "lamp_shots", Integer, "pulses that the lamp has fired", |p| p.pulse.lamp_shots.map(int);
    "fired", Boolean, "whether the unit believes that it fired", |p| p.pulse.fired;
    "flush_reason", Text, "why its batch was sent", |p| p.flush_reason.map(|r| Plain::name(FlushReason::as_str(r)));
    "session", Text, "session id, hexadecimal", |p| hex(&p.context);
    "visit", Text, "visit id, hexadecimal", |p| p.context.visit.map(Plain::from);
    "boot", Text, "boot id, hexadecimal", |p| p.context.boot.map(Plain::from);
    "sequence", Integer, "sequence number of the frame", |p| p.context.sequence.map(int);
    "clock", Text, "quality of the event time: device, received or skewed", |p| Some(Plain::name(p.context.clock.as_str()));
    "origin", Text, "where the frame came from", |p| Some(Plain::name(origin(p.context.origin)));
    "received_at_us", Integer, "when the gateway received it, microseconds since 1970", |p| Some(p.context.received_at.0);
);

measurement!(SESSION_SUMMARY, SESSION_SUMMARY_COLUMNS, SESSION_SUMMARY_FIELDS, SessionSummary, "session_summary", zone: false, rule: false,
    "session", Text, "session id, hexadecimal", |s| Some(Plain::from(s.session));
    "visit", Text, "visit id, hexadecimal", |s| s.visit.map(Plain::from);
    "boot", Text, "boot id, hexadecimal", |s| Some(Plain::from(s.boot));
    "complete", Boolean, "whether every reading of a known total is stored", |s| s.completeness.complete();
    "strokes_stored", Integer, "strokes whose write the store confirmed", |s| Some(int(s.completeness.strokes.stored));
    "strokes_total", Integer, "strokes made, as the device said at the end", |s| s.completeness.strokes.total.map(int);
    "strokes_missing", Integer, "strokes known to be made and not stored", |s| Some(int(s.completeness.strokes.missing));
    "strokes_missing_ranges", Text, "their ordinals, at most 32 ranges", |s| s.completeness.strokes.ranges().map(Plain::made);
    "strokes_last_ordinal", Integer, "greatest ordinal stored", |s| s.completeness.strokes.last_ordinal.map(int);
    "strokes_unread", Integer, "stored strokes that the sensor did not read", |s| Some(int(s.completeness.strokes_unread));
    "pulses_stored", Integer, "pulses whose write the store confirmed", |s| Some(int(s.completeness.pulses.stored));
    "pulses_total", Integer, "pulses fired, as the device said at the end", |s| s.completeness.pulses.total.map(int);
    "pulses_missing", Integer, "pulses known to be fired and not stored", |s| Some(int(s.completeness.pulses.missing));
    "pulses_missing_ranges", Text, "their ordinals, at most 32 ranges", |s| s.completeness.pulses.ranges().map(Plain::made);
    "pulses_last_ordinal", Integer, "greatest ordinal stored", |s| s.completeness.pulses.last_ordinal.map(int);
    "readings_expired", Integer, "readings that were older than the store keeps", |s| Some(int(s.completeness.expired));
    "readings_refused", Integer, "readings that the store refused; they are in quarantine", |s| Some(int(s.completeness.refused));
    "duration_us", Integer, "from the first to the last stored reading, microseconds", |s| s.completeness.duration_us.map(int);
    "until_ms", Integer, "end of the last stored reading, milliseconds since 1970", |s| s.completeness.until_ms;
    "zones", Text, "zones of the stored readings", |s| s.completeness.zone_names().map(Plain::made);
    "start_known", Boolean, "whether the device said when the session started", |s| Some(s.completeness.start_known);
    "closed", Boolean, "whether it is over; later readings amend it all the same", |s| Some(s.completeness.closed.is_some());
    "closed_by", Text, "end, next (session or boot) or quiet", |s| s.completeness.closed.map(|c| Plain::name(Closed::as_str(c)));
    "end_reason", Text, "why the device ended it", |s| s.completeness.end_reason.map(|r| Plain::name(r.as_str()));
    "text", Text, "all of it in a sentence", |s| Some(Plain::made(s.completeness.to_string()));
);

measurement!(STERILIZATION_EVENT, STERILIZATION_EVENT_COLUMNS, STERILIZATION_EVENT_FIELDS, SterilizationEvent, "sterilization_event", zone: false, rule: false,
    "what", Text, "cycle, disinfection or indicator", |e| Some(Plain::name(hygiene_name(&e.what)));
    "outcome", Text, "how it came out", |e| match &e.what {
        Hygiene::Cycle { outcome, .. } | Hygiene::Indicator { outcome, .. } => outcome.map(|o| Plain::name(o.as_str())),
        Hygiene::Disinfection { .. } => None,
    };
    "cycle", Text, "the sterilizer's name for the cycle", |e| match &e.what {
        Hygiene::Cycle { cycle, .. } | Hygiene::Indicator { cycle, .. } => cycle.as_ref().map(Plain::from),
        Hygiene::Disinfection { .. } => None,
    };
    "sterilizer", Text, "the sterilizer, if it is not the sender", |e| match &e.what {
        Hygiene::Cycle { sterilizer, .. } | Hygiene::Indicator { sterilizer, .. } => sterilizer.as_ref().map(Plain::from),
        Hygiene::Disinfection { .. } => None,
    };
    "hold_temperature_mdegc", Integer, "temperature held, thousandths of a degree Celsius", |e| match &e.what {
        Hygiene::Cycle { hold_temperature_mdegc, .. } => hold_temperature_mdegc.map(int),
        _ => None,
    };
    "hold_time_s", Integer, "seconds held", |e| match &e.what {
        Hygiene::Cycle { hold_time_s, .. } => hold_time_s.map(int),
        _ => None,
    };
    "level", Text, "level of disinfection", |e| match &e.what {
        Hygiene::Disinfection { level, .. } => level.map(|l| Plain::name(l.as_str())),
        _ => None,
    };
    "contact_time_s", Integer, "seconds of contact", |e| match &e.what {
        Hygiene::Disinfection { contact_time_s, .. } => contact_time_s.map(int),
        _ => None,
    };
    "indicator", Text, "what the indicator reads", |e| match &e.what {
        Hygiene::Indicator { kind, .. } => kind.map(|k| Plain::name(k.as_str())),
        _ => None,
    };
    "happened_at_us", Integer, "when it happened, if told apart from the frame, microseconds since 1970", |e| e.happened_at.map(|t| t.0);
    "items", Text, "device ids or serials, separated by commas", |e| items(e);
    "item_count", Integer, "how many", |e| Some(int(e.items.len()));
    "recorded_by", Text, "who recorded it, where a person did and is known", |e| e.recorded_by.as_ref().map(|who| Plain::made(who.to_string()));
    "boot", Text, "boot id, hexadecimal", |e| e.context.boot.map(Plain::from);
    "sequence", Integer, "sequence number of the frame", |e| e.context.sequence.map(int);
    "visit", Text, "visit id, hexadecimal", |e| e.context.visit.map(Plain::from);
    "clock", Text, "quality of the event time: device, received or skewed", |e| Some(Plain::name(e.context.clock.as_str()));
    "origin", Text, "where the frame came from", |e| Some(Plain::name(origin(e.context.origin)));
    "received_at_us", Integer, "when the gateway received it, microseconds since 1970", |e| Some(e.context.received_at.0);
);

measurement!(DEVICE_STATE, DEVICE_STATE_COLUMNS, DEVICE_STATE_FIELDS, DeviceState, "device_state", zone: false, rule: false,
    "what", Text, "birth, heartbeat, fault, session_start, session_end or status", |d| Some(Plain::name(state_name(&d.what)));
    "uptime_us", Integer, "uptime, microseconds", |d| d.uptime_us.map(int);
    "firmware", Text, "firmware version", |d| birth(d).and_then(|b| b.firmware.as_ref()).map(Plain::from);
    "told_model", Text, "model as the device names it", |d| birth(d).and_then(|b| b.model.as_ref()).map(Plain::from);
    "serial", Text, "serial number", |d| birth(d).and_then(|b| b.serial.as_ref()).map(Plain::from);
    "calibration_offset_um", Integer, "factory calibration: measured minus set depth, micrometres", |d| birth(d).and_then(|b| b.depth_offset_um).map(int);
    "calibration_sigma_um", Integer, "standard deviation of one reading, micrometres", |d| birth(d).and_then(|b| b.depth_sigma_um).map(int);
    "calibrated_day", Integer, "day of calibration since 1970-01-01", |d| birth(d).and_then(|b| b.calibrated_day).map(int);
    "cartridge", Text, "serial of the cartridge", |d| match &d.what {
        State::Birth(b) => b.cartridge.as_ref().map(Plain::from),
        State::SessionStart(s) => s.cartridge.as_ref().map(Plain::from),
        _ => None,
    };
    "lamp", Text, "serial of the lamp", |d| match &d.what {
        State::Birth(b) => b.lamp.as_ref().map(Plain::from),
        State::SessionStart(s) => s.lamp.as_ref().map(Plain::from),
        _ => None,
    };
    "lamp_shots", Integer, "pulses that the lamp has fired", |d| birth(d).and_then(|b| b.lamp_shots).map(int);
    "in_session", Boolean, "whether a session is open", |d| heartbeat(d).and_then(|h| h.in_session);
    "battery_percent", Integer, "battery, 0 to 100", |d| heartbeat(d).and_then(|h| h.battery_percent).map(int);
    "queued_frames", Integer, "frames that wait in the device", |d| heartbeat(d).and_then(|h| h.queued_frames).map(int);
    "dropped_frames", Integer, "frames that the device dropped since boot", |d| heartbeat(d).and_then(|h| h.dropped_frames).map(int);
    "fault", Text, "what is wrong", |d| match &d.what {
        State::Fault(f) => f.code.map(|c| Plain::name(c.as_str())),
        _ => None,
    };
    "vendor_code", Integer, "the maker's number of the fault", |d| match &d.what {
        State::Fault(f) => f.vendor_code.map(int),
        _ => None,
    };
    "cartridge_lot", Text, "lot of the cartridge", |d| start(d).and_then(|s| s.cartridge_lot.as_ref()).map(Plain::from);
    "pack_expiry_day", Integer, "expiry of the pack, days since 1970-01-01", |d| start(d).and_then(|s| s.pack_expiry_day).map(int);
    "skin_type", Text, "Fitzpatrick skin type, I to VI", |d| start(d).and_then(|s| s.skin_type).map(|s| Plain::name(s.as_str()));
    "days_since_last_treatment", Integer, "from the clinic's software", |d| start(d).and_then(|s| s.days_since_last_treatment).map(int);
    "strokes_total", Integer, "strokes of the ended session", |d| end(d).and_then(|e| e.strokes_total).map(int);
    "pulses_total", Integer, "pulses of the ended session", |d| end(d).and_then(|e| e.pulses_total).map(int);
    "end_reason", Text, "why the session ended", |d| end(d).and_then(|e| e.reason).map(|r| Plain::name(r.as_str()));
    "presence", Text, "online, offline or lost", |d| match &d.what {
        State::Status { presence, .. } => presence.map(|p| Plain::name(p.as_str())),
        _ => None,
    };
    "retained", Boolean, "delivered as retained: no proof of life", |d| match &d.what {
        State::Status { retained, .. } => Some(*retained),
        _ => None,
    };
    "unknown_elements", Integer, "fields and values of the message that this version does not know", |d| Some(int(d.unknown_elements));
    "session", Text, "session id, hexadecimal", |d| hex(&d.context);
    "visit", Text, "visit id, hexadecimal", |d| d.context.visit.map(Plain::from);
    "boot", Text, "boot id, hexadecimal", |d| d.context.boot.map(Plain::from);
    "sequence", Integer, "sequence number of the frame", |d| d.context.sequence.map(int);
    "clock", Text, "quality of the event time: device, received or skewed", |d| Some(Plain::name(d.context.clock.as_str()));
    "origin", Text, "where the message came from", |d| Some(Plain::name(origin(d.context.origin)));
    "received_at_us", Integer, "when the gateway received it, microseconds since 1970", |d| Some(d.context.received_at.0);
);

measurement!(ALERT_TRANSITION, ALERT_TRANSITION_COLUMNS, ALERT_TRANSITION_FIELDS, AlertTransition, "alert_transition", zone: true, rule: true,
    "transition_id", Text, "hexadecimal", |a| Some(Plain::made(a.transition_id.clone()));
    "alert_id", Text, "hexadecimal; one per occurrence", |a| Some(Plain::made(a.alert_id.clone()));
    "priority", Text, "high, medium, low or info", |a| a.priority.map(|p| Plain::name(p.as_str()));
    "from_state", Text, "state before", |a| Some(a.from_state.clone());
    "to_state", Text, "state after", |a| Some(a.to_state.clone());
    "event_time_us", Integer, "when the cause happened, microseconds since 1970", |a| Some(a.event_time.0);
    "raised_at_us", Integer, "when the alert was raised, microseconds since 1970", |a| a.raised_at.map(|t| t.0);
    "value", Float, "the value that caused it, in `unit`", |a| a.value;
    "limit", Float, "what it was compared with, in `unit`", |a| a.limit;
    "unit", Text, "unit of value and limit", |a| Some(a.unit.clone());
    "received_at_us", Integer, "when it was written to the log, microseconds since 1970", |a| Some(a.context.received_at.0);
);

/// What devices say of themselves other than signs of life: few, and asked for by kind. In the words of SQL, because the index
/// of the embedded store and who asks must say it alike.
pub(crate) const RARE_STATES: &str = "what <> 'heartbeat' AND what <> 'status'";

/// Every measurement.
pub static MEASUREMENTS: [&Measurement; 10] = [
    &STROKE_WINDOW,
    &PULSE,
    &SESSION_SUMMARY,
    &STERILIZATION_EVENT,
    &DEVICE_STATE,
    &ALERT_TRANSITION,
    &rollup::STROKE_1M,
    &rollup::STROKE_1H,
    &rollup::PULSE_1M,
    &rollup::PULSE_1H,
];

/// The list that `schema.lock` holds: one line per field, `measurement field type`.
pub fn lock_lines() -> Vec<String> {
    MEASUREMENTS
        .iter()
        .flat_map(|m| {
            m.fields
                .iter()
                .map(|f| format!("{} {} {}", m.name, f.name, f.ty.as_str()))
        })
        .collect()
}

impl Record {
    /// Its measurement.
    pub fn measurement(&self) -> &'static Measurement {
        match self {
            Self::StrokeWindow(_) => &STROKE_WINDOW,
            Self::Pulse(_) => &PULSE,
            Self::SessionSummary(_) => &SESSION_SUMMARY,
            Self::SterilizationEvent(_) => &STERILIZATION_EVENT,
            Self::DeviceState(_) => &DEVICE_STATE,
            Self::AlertTransition(_) => &ALERT_TRANSITION,
            Self::Rollup(r) => r.subject.measurement(r.span),
        }
    }

    /// Every field of its measurement in order, with the value if there is one.
    pub fn each<'a>(&'a self, sink: impl FnMut(&'static Field, Option<Value<'a>>)) {
        match self {
            Self::StrokeWindow(r) => each(STROKE_WINDOW_COLUMNS, r, sink),
            Self::Pulse(r) => each(PULSE_COLUMNS, &**r, sink),
            Self::SessionSummary(r) => each(SESSION_SUMMARY_COLUMNS, &**r, sink),
            Self::SterilizationEvent(r) => each(STERILIZATION_EVENT_COLUMNS, &**r, sink),
            Self::DeviceState(r) => each(DEVICE_STATE_COLUMNS, &**r, sink),
            Self::AlertTransition(r) => each(ALERT_TRANSITION_COLUMNS, &**r, sink),
            Self::Rollup(r) => rollup::each(r, sink),
        }
    }
}

fn each<'a, T>(columns: &'static [Column<T>], record: &'a T, mut sink: impl FnMut(&'static Field, Option<Value<'a>>)) {
    for column in columns {
        sink(&column.field, column.value(record));
    }
}

fn birth(state: &DeviceState) -> Option<&telemetry::Birth> {
    match &state.what {
        State::Birth(birth) => Some(birth),
        _ => None,
    }
}

fn heartbeat(state: &DeviceState) -> Option<&telemetry::Heartbeat> {
    match &state.what {
        State::Heartbeat(heartbeat) => Some(heartbeat),
        _ => None,
    }
}

fn start(state: &DeviceState) -> Option<&telemetry::SessionStart> {
    match &state.what {
        State::SessionStart(start) => Some(start),
        _ => None,
    }
}

fn end(state: &DeviceState) -> Option<&telemetry::SessionEnd> {
    match &state.what {
        State::SessionEnd(end) => Some(end),
        _ => None,
    }
}

fn items(event: &SterilizationEvent) -> Option<Plain<'static>> {
    let names: Vec<Cow<'_, str>> = event.items.iter().map(|item| Cow::Borrowed(item.as_str())).collect();
    (!names.is_empty()).then(|| Plain::made(names.join(",")))
}

const fn hygiene_name(what: &Hygiene) -> &'static str {
    match what {
        Hygiene::Cycle { .. } => "cycle",
        Hygiene::Disinfection { .. } => "disinfection",
        Hygiene::Indicator { .. } => "indicator",
    }
}

const fn state_name(what: &State) -> &'static str {
    match what {
        State::Birth(_) => "birth",
        State::Heartbeat(_) => "heartbeat",
        State::Fault(_) => "fault",
        State::SessionStart(_) => "session_start",
        State::SessionEnd(_) => "session_end",
        State::Status { .. } => "status",
    }
}

const fn origin(origin: telemetry::Origin) -> &'static str {
    match origin {
        telemetry::Origin::Endpoint => "endpoint",
        telemetry::Origin::Broker => "broker",
        telemetry::Origin::Recorded => "recorded",
        telemetry::Origin::Replayed => "replayed",
        telemetry::Origin::Internal => "internal",
    }
}

/// Names of a set of zones in wire order, separated by commas; bit 0 stands for readings without a zone.
pub(crate) fn zone_names(bits: u32) -> Option<String> {
    let mut names: Vec<&str> = Zone::ALL
        .iter()
        .filter(|zone| bits & (1 << zone.to_wire()) != 0)
        .map(|zone| zone.as_str())
        .collect();
    if bits & 1 != 0 {
        names.push("unspecified");
    }
    (!names.is_empty()).then(|| names.join(","))
}
