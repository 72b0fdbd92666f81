//! A decoded frame as JSON, in the words of `proto/vectors`: what is absent is left out, numbers stay numbers.
use serde_json::{Map, Value, json};
use telemetry::{Body, Header, Pulse, Status, StrokeBatch, Telemetry};

/// Collects what is there.
#[derive(Default)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    pub(crate) fn with(mut self, key: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.insert(key.to_owned(), value.into());
        }
        self
    }

    pub(crate) fn done(self) -> Value {
        Value::Object(self.0)
    }
}

macro_rules! name {
    ($kind:expr) => {
        $kind.map(|kind| kind.as_str())
    };
}

macro_rules! number {
    ($unit:expr) => {
        $unit.map(|unit| unit.get())
    };
}

pub(crate) fn telemetry(t: &Telemetry) -> Value {
    json!({
        "header": header(&t.header),
        "body": { t.body.name(): body(&t.body) },
        "unknown": { "fields": t.unknown.fields, "enum_values": t.unknown.enum_values },
    })
}

pub(crate) fn status(s: &Status) -> Value {
    Fields::default()
        .with("presence", name!(s.presence))
        .with("boot", s.boot.map(|b| b.to_string()))
        .done()
}

fn header(h: &Header) -> Value {
    let wall = h.wall.map(|w| {
        Fields::default()
            .with("at_us", Some(w.at.0))
            .with("source", name!(w.source))
            .done()
    });
    let session = h.session.map(|s| {
        Fields::default()
            .with("id", Some(s.id.to_hex()))
            .with("started_us", s.started.map(|u| u.micros()))
            .done()
    });
    Fields::default()
        .with("schema_version", Some(h.schema_version))
        .with("device", Some(h.device.as_str()))
        .with("boot", Some(h.boot.to_string()))
        .with("sequence", Some(h.sequence))
        .with("uptime_us", Some(h.uptime.micros()))
        .with("wall", wall)
        .with("session", session)
        .with("visit", h.visit.map(|v| v.to_hex()))
        .with("oldest_unacknowledged", h.oldest_unacknowledged)
        .with("wants_ack_up_to", h.wants_ack_up_to.then_some(true))
        .done()
}

fn body(body: &Body) -> Value {
    let text = |id: &Option<telemetry::Serial>| id.as_ref().map(|s| s.as_str().to_owned());
    let fields = Fields::default();
    match body {
        Body::Birth(b) => fields
            .with("kind", name!(b.kind))
            .with("model", b.model.as_ref().map(|m| m.as_str()))
            .with("firmware", b.firmware.as_ref().map(|f| f.as_str()))
            .with("serial", text(&b.serial))
            .with("depth_offset_um", b.depth_offset_um)
            .with("depth_sigma_um", b.depth_sigma_um)
            .with("calibrated_day", b.calibrated_day)
            .with("cartridge", text(&b.cartridge))
            .with("lamp", text(&b.lamp))
            .with("lamp_shots", b.lamp_shots),
        Body::Strokes(b) => return strokes(b),
        Body::Pulses(b) => fields
            .with("flush_reason", name!(b.flush_reason))
            .with("pulses", Some(b.pulses.iter().map(pulse).collect::<Vec<_>>())),
        Body::SessionStart(s) => fields
            .with("cartridge", text(&s.cartridge))
            .with("cartridge_lot", text(&s.cartridge_lot))
            .with("pack_expiry_day", s.pack_expiry_day)
            .with("skin_type", name!(s.skin_type))
            .with("days_since_last_treatment", s.days_since_last_treatment)
            .with("lamp", text(&s.lamp)),
        Body::SessionEnd(s) => fields
            .with("strokes_total", s.strokes_total)
            .with("pulses_total", s.pulses_total)
            .with("reason", name!(s.reason)),
        Body::SterilizationCycle(c) => fields
            .with("cycle", c.cycle.as_ref().map(|c| c.as_str()))
            .with("sterilizer", c.sterilizer.as_ref().map(|d| d.as_str()))
            .with("items", Some(items(&c.items)))
            .with("outcome", name!(c.outcome))
            .with("ended_at_us", c.ended_at.map(|t| t.0))
            .with("hold_temperature_mdegc", number!(c.hold_temperature))
            .with("hold_time_s", c.hold_time_s),
        Body::Disinfection(d) => fields
            .with("items", Some(items(&d.items)))
            .with("level", name!(d.level))
            .with("contact_time_s", d.contact_time_s)
            .with("performed_at_us", d.performed_at.map(|t| t.0)),
        Body::IndicatorResult(r) => fields
            .with("kind", name!(r.kind))
            .with("sterilizer", r.sterilizer.as_ref().map(|d| d.as_str()))
            .with("cycle", r.cycle.as_ref().map(|c| c.as_str()))
            .with("outcome", name!(r.outcome))
            .with("cycle_ended_at_us", r.cycle_ended_at.map(|t| t.0)),
        Body::Heartbeat(h) => fields
            .with("in_session", h.in_session)
            .with("battery_percent", h.battery_percent)
            .with("queued_frames", h.queued_frames)
            .with("dropped_frames", h.dropped_frames),
        Body::Fault(f) => fields.with("code", name!(f.code)).with("vendor_code", f.vendor_code),
    }
    .done()
}

fn items(items: &[telemetry::Serial]) -> Vec<String> {
    items.iter().map(|i| i.as_str().to_owned()).collect()
}

fn strokes(b: &StrokeBatch) -> Value {
    let strokes: Vec<Value> = b
        .strokes()
        .map(|s| json!([s.ordinal, s.uptime.micros(), s.depth_um]))
        .collect();
    Fields::default()
        .with("first_ordinal", Some(b.first_ordinal))
        .with("first_uptime_us", Some(b.first_uptime.micros()))
        .with("duration_us", Some(b.duration_us))
        .with("zone", name!(b.zone))
        .with("setpoint_um", number!(b.setpoint))
        .with("device_limit_um", number!(b.device_limit))
        .with("flush_reason", name!(b.flush_reason))
        .with("cartridge", b.cartridge.as_ref().map(|c| c.as_str()))
        .with("strokes", Some(strokes))
        .with("next_ordinal", Some(b.next_ordinal()))
        .with("rate_mhz", b.rate_mhz())
        .done()
}

fn pulse(p: &Pulse) -> Value {
    Fields::default()
        .with("ordinal", Some(p.ordinal))
        .with("uptime_us", Some(p.uptime.micros()))
        .with("energy_set_mj", number!(p.energy_set))
        .with("energy_measured_mj", number!(p.energy_measured))
        .with("fluence_set_mj_per_cm2", number!(p.fluence_set))
        .with("fluence_measured_mj_per_cm2", number!(p.fluence_measured))
        .with("width_us", number!(p.width))
        .with("sub_pulses", p.sub_pulses)
        .with("sub_pulse_delay_us", number!(p.sub_pulse_delay))
        .with("filter_nm", number!(p.filter))
        .with("spot_mm2", number!(p.spot))
        .with("zone", name!(p.zone))
        .with("skin_type", name!(p.skin_type))
        .with("skin_temperature_mdegc", number!(p.skin_temperature))
        .with("tip_temperature_mdegc", number!(p.tip_temperature))
        .with("lamp_shots", p.lamp_shots)
        .with("fired", p.fired)
        .done()
}
