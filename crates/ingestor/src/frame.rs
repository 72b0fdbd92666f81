//! One record of the spool to what it means here: typed records, and what the ledger should know of its session.

use std::fmt::Write as _;
use std::sync::Arc;

use prost::Message as _;
use telemetry::{
    Admitted, Body, ClinicId, Content, DeviceKey, DeviceKind, ModelId, Priority, Serial, Telemetry, TenantId,
    UnixMicros, proto, reading_time_ns,
};

use crate::ledger::Sighting;
use crate::record::{
    AlertTransition, Context, DeviceState, Hygiene, Pulse, Record, State, SterilizationEvent, StrokeWindow, Tags,
};
use crate::value::{Finite, Plain};
use crate::window;

/// Devices whose tags are kept ready; beyond it the memory is emptied, which costs a little time and nothing else.
const MAX_TAGS: usize = 65_536;

/// What the registry says of devices, as far as tags need it.
pub trait Fleet: Send + Sync + 'static {
    /// Model and kind of a device; `None` for a device that the registry does not know.
    fn describe(&self, device: &DeviceKey) -> Option<(ModelId, DeviceKind)>;

    /// Changes whenever an answer of [`Fleet::describe`] may have changed.
    fn version(&self) -> u64;
}

/// What a record of the spool gave.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Records to store.
    pub records: Vec<Record>,
    /// What the ledger should know.
    pub sighting: Option<Sighting>,
    /// When the gateway received it.
    pub received_at: UnixMicros,
}

/// Why a record of the spool gave nothing: another version of the program let it in. It is kept in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Undecodable {
    /// A bounded label.
    pub reason: &'static str,
    /// For a person.
    pub detail: String,
    /// Whose, if that much could be read.
    pub tenant: Option<TenantId>,
    /// When it was received, if that much could be read.
    pub received_at: Option<UnixMicros>,
}

/// Decodes records of the spool. Keeps nothing between them but the tags of devices.
pub struct FrameReader {
    fleet: Arc<dyn Fleet>,
    version: u64,
    tags: foldhash::HashMap<DeviceKey, Arc<Tags>>,
}

impl FrameReader {
    /// Reads with the registry's names for models and kinds.
    pub fn new(fleet: Arc<dyn Fleet>) -> Self {
        Self {
            version: fleet.version(),
            fleet,
            tags: foldhash::HashMap::default(),
        }
    }

    /// Decodes one record of the spool.
    ///
    /// # Errors
    /// [`Undecodable`]: it goes to quarantine, and its neighbours are not touched.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Decoded, Undecodable> {
        let admitted = Admitted::decode(bytes).map_err(|e| Undecodable {
            reason: "not_admitted",
            detail: sources(&e),
            tenant: None,
            received_at: None,
        })?;
        let tags = self.tags(admitted.key(), &admitted.clinic);
        let undecodable = |reason, detail| Undecodable {
            reason,
            detail,
            tenant: Some(admitted.tenant.clone()),
            received_at: Some(admitted.received_at),
        };
        let mut decoded = match admitted.content {
            Content::Telemetry => {
                let telemetry = admitted
                    .telemetry()
                    .map_err(|e| undecodable(e.reason.as_str(), e.to_string()))?;
                frame(&admitted, telemetry, tags)
            }
            Content::Status => {
                let status = admitted
                    .status()
                    .map_err(|e| undecodable(e.reason.as_str(), e.to_string()))?;
                Decoded {
                    records: vec![device_status(&admitted, &status, tags)],
                    ..Decoded::default()
                }
            }
            Content::Alert => {
                let record = alert(&admitted, tags).map_err(|detail| undecodable("bad_alert", detail))?;
                Decoded {
                    records: vec![record],
                    ..Decoded::default()
                }
            }
        };
        decoded.received_at = admitted.received_at;
        Ok(decoded)
    }

    fn tags(&mut self, key: DeviceKey, clinic: &ClinicId) -> Arc<Tags> {
        let version = self.fleet.version();
        if version != self.version || self.tags.len() >= MAX_TAGS {
            self.version = version;
            self.tags.clear();
        }
        if let Some(tags) = self.tags.get(&key).filter(|tags| tags.clinic == *clinic) {
            return Arc::clone(tags);
        }
        let (model, kind) = self.fleet.describe(&key).unzip();
        let tags = Arc::new(Tags::new(
            key.tenant.clone(),
            clinic.clone(),
            key.device.clone(),
            model,
            kind,
        ));
        self.tags.insert(key, Arc::clone(&tags));
        tags
    }
}

/// An error with all its sources, on one line.
fn sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let _ = write!(text, ": {inner}");
        source = inner.source();
    }
    text
}

fn frame(admitted: &Admitted, telemetry: Telemetry, tags: Arc<Tags>) -> Decoded {
    let header = telemetry.header;
    let event_time = admitted.event_time(header.uptime);
    let context = Context {
        tags: Arc::clone(&tags),
        received_at: admitted.received_at,
        clock: admitted.clock,
        origin: admitted.origin,
        boot: Some(header.boot),
        sequence: Some(header.sequence),
        session: header.session.map(|session| session.id),
        visit: header.visit,
    };
    let mut sighting = Sighting {
        tags,
        boot: header.boot,
        // What a person recorded has a boot of its own, which ends no session of the device.
        anchor: admitted
            .anchor
            .filter(|_| admitted.origin != telemetry::Origin::Recorded),
        session: header.session,
        visit: header.visit,
        event_time,
        received_at: admitted.received_at,
        end: None,
    };
    let at_frame = reading_time_ns(event_time, header.sequence);
    let unknown = telemetry.unknown.fields.saturating_add(telemetry.unknown.enum_values);
    let state = |context: Context, what: State| {
        vec![Record::DeviceState(Box::new(DeviceState {
            context,
            time_ns: at_frame,
            uptime_us: Some(header.uptime.micros()),
            unknown_elements: unknown,
            what,
        }))]
    };
    let hygiene = |context: Context, (what, happened_at, items): Done| {
        vec![Record::SterilizationEvent(Box::new(SterilizationEvent {
            context,
            time_ns: at_frame,
            what,
            happened_at,
            items,
            recorded_by: admitted.recorded_by.clone(),
        }))]
    };
    let records = match telemetry.body {
        Body::Strokes(batch) => vec![stroke_window(admitted, context, batch)],
        Body::Pulses(batch) => pulses(admitted, &context, batch),
        Body::SterilizationCycle(told) => hygiene(context, cycle(told)),
        Body::Disinfection(told) => hygiene(context, disinfection(told)),
        Body::IndicatorResult(told) => hygiene(context, indicator(told)),
        Body::Birth(birth) => state(context, State::Birth(birth)),
        Body::Heartbeat(heartbeat) => state(context, State::Heartbeat(heartbeat)),
        Body::Fault(fault) => state(context, State::Fault(fault)),
        Body::SessionStart(start) => state(context, State::SessionStart(start)),
        Body::SessionEnd(end) => {
            sighting.end = Some(end.clone());
            state(context, State::SessionEnd(end))
        }
    };
    Decoded {
        records,
        sighting: Some(sighting),
        received_at: admitted.received_at,
    }
}

fn stroke_window(admitted: &Admitted, context: Context, batch: telemetry::StrokeBatch) -> Record {
    let depths = window::depths(&batch);
    Record::StrokeWindow(StrokeWindow {
        time_ns: reading_time_ns(admitted.event_time(batch.first_uptime), batch.first_ordinal),
        context,
        zone: batch.zone,
        count: batch.len() as u32,
        depths,
        setpoint_um: batch.setpoint.map(|depth| depth.get()),
        limit_um: batch.device_limit.map(|depth| depth.get()),
        rate_mhz: batch.rate_mhz(),
        duration_us: batch.duration_us,
        first_ordinal: batch.first_ordinal,
        flush_reason: batch.flush_reason,
        unread: window::unread_ordinals(&batch),
        cartridge: batch.cartridge,
    })
}

fn pulses(admitted: &Admitted, context: &Context, batch: telemetry::PulseBatch) -> Vec<Record> {
    let flush_reason = batch.flush_reason;
    let record = |pulse: telemetry::Pulse| {
        Record::Pulse(Box::new(Pulse {
            context: context.clone(),
            time_ns: reading_time_ns(admitted.event_time(pulse.uptime), pulse.ordinal),
            pulse,
            flush_reason,
        }))
    };
    batch.pulses.into_iter().map(record).collect()
}

/// What was done, when if it was told apart from the frame, and what it was done to.
type Done = (Hygiene, Option<UnixMicros>, Vec<Serial>);

fn cycle(told: telemetry::SterilizationCycle) -> Done {
    let what = Hygiene::Cycle {
        cycle: told.cycle,
        sterilizer: told.sterilizer,
        outcome: told.outcome,
        hold_temperature_mdegc: told.hold_temperature.map(|t| t.get()),
        hold_time_s: told.hold_time_s,
    };
    (what, told.ended_at, told.items)
}

fn disinfection(told: telemetry::Disinfection) -> Done {
    let what = Hygiene::Disinfection {
        level: told.level,
        contact_time_s: told.contact_time_s,
    };
    (what, told.performed_at, told.items)
}

fn indicator(told: telemetry::IndicatorResult) -> Done {
    let what = Hygiene::Indicator {
        kind: told.kind,
        sterilizer: told.sterilizer,
        cycle: told.cycle,
        outcome: told.outcome,
    };
    (what, told.cycle_ended_at, Vec::new())
}

/// Context of a message without a frame's header.
fn bare_context(admitted: &Admitted, tags: Arc<Tags>) -> Context {
    Context {
        tags,
        received_at: admitted.received_at,
        clock: admitted.clock,
        origin: admitted.origin,
        boot: None,
        sequence: None,
        session: None,
        visit: None,
    }
}

fn device_status(admitted: &Admitted, status: &telemetry::Status, tags: Arc<Tags>) -> Record {
    let mut context = bare_context(admitted, tags);
    context.boot = status.boot;
    // A lost and an online within one microsecond are two points.
    let digits = status.presence.map_or(0, telemetry::Presence::to_wire).unsigned_abs();
    Record::DeviceState(Box::new(DeviceState {
        time_ns: reading_time_ns(admitted.received_at, u64::from(digits)),
        context,
        uptime_us: None,
        unknown_elements: 0,
        what: State::Status {
            presence: status.presence,
            retained: admitted.retained,
        },
    }))
}

fn alert(admitted: &Admitted, tags: Arc<Tags>) -> Result<Record, String> {
    let wire = proto::AlertTransition::decode(admitted.payload.as_ref()).map_err(|e| e.to_string())?;
    let [a, b, ..] = wire.transition_id.as_slice() else {
        return Err("transition_id has fewer than 2 bytes".to_owned());
    };
    // The digits below a microsecond come from the id: two instances may take a step at the same instant, and earlier
    // versions gave several steps of one input the same time.
    let digits = u64::from(u16::from_le_bytes([*a, *b]));
    Ok(Record::AlertTransition(Box::new(AlertTransition {
        context: bare_context(admitted, tags),
        time_ns: reading_time_ns(UnixMicros(wire.decided_at_us), digits),
        zone: wire.zone.parse().ok(),
        rule: Serial::new(&wire.rule).map_err(|e| format!("rule: {e}"))?,
        transition_id: hex(&wire.transition_id),
        alert_id: hex(&wire.alert_id),
        priority: Priority::from_wire(wire.priority),
        from_state: Plain::clean(&wire.from_state),
        to_state: Plain::clean(&wire.to_state),
        event_time: UnixMicros(wire.event_time_us),
        raised_at: wire.raised_at_us.map(UnixMicros),
        value: Finite::new(wire.value),
        limit: Finite::new(wire.limit),
        unit: Plain::clean(&wire.unit),
    })))
}

/// At most 32 bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(32).fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
