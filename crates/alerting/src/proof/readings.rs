//! Evidence in words: what stands in the frames that were kept, the readings around the first violating one. What was trimmed
//! says so. No session, no visit.
use schemars::JsonSchema;
use serde::Serialize;
use telemetry::{Admitted, Body, PulseBatch, StrokeBatch, UnixMicros};

use crate::intake::{self, Class, Input, Said};
use crate::store::KeptFrame;

/// Readings that are shown before and after the first violating one.
const AROUND: u64 = 10;

/// One frame of the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "EvidenceFrame")]
pub struct FrameShown {
    /// Where it stood in alerting's log.
    pub offset: u64,
    /// What it was; `None`: it was trimmed from the log before it could be kept, or cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<Shown>,
    /// Why there is nothing to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// What a frame said.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Frame")]
pub struct Shown {
    /// Device.
    pub device: String,
    /// Boot of the device.
    pub boot: u64,
    /// Sequence number within the boot.
    pub sequence: u64,
    /// Kind of its body.
    #[schemars(extend("enum" = [
        "strokes", "pulses", "cycle", "disinfection", "indicator", "session start", "session end", "birth", "heartbeat", "fault"
    ]))]
    pub body: &'static str,
    /// When it happened.
    pub event_time: UnixMicros,
    /// When the gateway received it.
    pub received_at: UnixMicros,
    /// When it stood in alerting's log.
    pub logged_at: UnixMicros,
    /// The gateway.
    pub gateway: String,
    /// How fresh it was.
    pub class: Class,
    /// What it says as a whole.
    pub says: String,
    /// The readings around the first violating one; none in the other frames.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub readings: Vec<Reading>,
}

/// One stroke or pulse.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Reading {
    /// Ordinal within its session.
    pub ordinal: u64,
    /// When.
    pub at: UnixMicros,
    /// It is the first that violated the rule.
    pub first: bool,
    /// What was read, with unit; `None`: the device did not read it.
    pub read: Option<String>,
    /// What was set, with unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
}

/// Shows a frame as it was kept; `first` is the boot and ordinal of the first violating reading.
pub(super) fn shown(kept: &KeptFrame, first: Option<(u64, u64)>) -> FrameShown {
    let (offset, bytes) = kept;
    let missing = |why: &str| FrameShown {
        offset: *offset,
        frame: None,
        missing: Some(why.to_owned()),
    };
    let Some(bytes) = bytes else {
        return missing("trimmed from the log before it could be kept");
    };
    match intake::decode(bytes) {
        Ok(Input::Frame(frame)) => match &frame.said {
            Said::Telemetry(said) => {
                let header = &said.header;
                let boot = header.boot.0;
                let first = first.filter(|(at, _)| *at == boot).map(|(_, ordinal)| ordinal);
                let (body, says, readings) = says(&frame.admitted, &said.body, first);
                let frame = Shown {
                    device: frame.admitted.device.to_string(),
                    boot,
                    sequence: header.sequence,
                    body,
                    event_time: frame.admitted.event_time(header.uptime),
                    received_at: frame.admitted.received_at,
                    logged_at: frame.logged_at,
                    gateway: frame.admitted.gateway.to_string(),
                    class: frame.class,
                    says,
                    readings,
                };
                FrameShown {
                    offset: *offset,
                    frame: Some(frame),
                    missing: None,
                }
            }
            Said::Status(_) => missing("is a status, which says nothing that a rule judges"),
        },
        Ok(_) => missing("is no frame"),
        Err(_) => missing("cannot be read by this version"),
    }
}

fn says(admitted: &Admitted, body: &Body, first: Option<u64>) -> (&'static str, String, Vec<Reading>) {
    match body {
        Body::Strokes(batch) => ("strokes", all_strokes(batch), strokes(admitted, batch, first)),
        Body::Pulses(batch) => ("pulses", all_pulses(batch), pulses(admitted, batch, first)),
        Body::SterilizationCycle(cycle) => {
            let name = cycle
                .cycle
                .as_ref()
                .map_or("without a number".to_owned(), ToString::to_string);
            let items: Vec<_> = cycle.items.iter().map(ToString::to_string).collect();
            let outcome = cycle.outcome.map_or("not said", |outcome| outcome.as_str());
            (
                "cycle",
                format!("cycle {name}: {outcome}, items {}", items.join(", ")),
                Vec::new(),
            )
        }
        Body::Disinfection(wipe) => {
            let level = wipe.level.map_or("not said", |level| level.as_str());
            (
                "disinfection",
                format!("level {level}, {} items", wipe.items.len()),
                Vec::new(),
            )
        }
        Body::IndicatorResult(result) => {
            let kind = result.kind.map_or("not said", |kind| kind.as_str());
            let outcome = result.outcome.map_or("not said", |outcome| outcome.as_str());
            ("indicator", format!("{kind} indicator: {outcome}"), Vec::new())
        }
        Body::SessionStart(start) => {
            let cartridge = start.cartridge.as_ref().map_or("none".to_owned(), ToString::to_string);
            ("session start", format!("cartridge {cartridge}"), Vec::new())
        }
        Body::SessionEnd(_) => ("session end", String::new(), Vec::new()),
        Body::Birth(birth) => {
            let offset = birth.depth_offset_um.unwrap_or(0);
            ("birth", format!("depth calibrated to {offset} µm"), Vec::new())
        }
        Body::Heartbeat(_) => ("heartbeat", String::new(), Vec::new()),
        Body::Fault(_) => ("fault", String::new(), Vec::new()),
    }
}

fn is_near(ordinal: u64, first: u64) -> bool {
    ordinal.abs_diff(first) <= AROUND
}

fn all_strokes(batch: &StrokeBatch) -> String {
    let (mut least, mut most) = (u32::MAX, 0);
    for (_, depth) in batch.depths() {
        (least, most) = (least.min(depth), most.max(depth));
    }
    let zone = batch.zone.map_or("no zone", |zone| zone.as_str());
    let set = batch
        .setpoint
        .map_or("no set depth".to_owned(), |set| format!("set to {} µm", set.get()));
    if least > most {
        return format!("{} strokes, none read, {zone}, {set}", batch.len());
    }
    let unread = batch.unread();
    format!(
        "{} strokes ({unread} not read), {least} to {most} µm, {zone}, {set}",
        batch.len()
    )
}

fn strokes(admitted: &Admitted, batch: &StrokeBatch, first: Option<u64>) -> Vec<Reading> {
    let Some(first) = first.filter(|f| (batch.first_ordinal..batch.next_ordinal()).contains(f)) else {
        return Vec::new();
    };
    let near = batch.strokes().filter(|stroke| is_near(stroke.ordinal, first));
    near.map(|stroke| Reading {
        ordinal: stroke.ordinal,
        at: admitted.event_time(stroke.uptime),
        first: stroke.ordinal == first,
        read: stroke.depth_um.map(|depth| format!("{depth} µm")),
        set: batch.setpoint.map(|set| format!("{} µm", set.get())),
    })
    .collect()
}

fn all_pulses(batch: &PulseBatch) -> String {
    let zones: std::collections::BTreeSet<_> = batch.pulses.iter().filter_map(|p| p.zone).map(|z| z.as_str()).collect();
    let skins: std::collections::BTreeSet<_> = batch
        .pulses
        .iter()
        .filter_map(|p| p.skin_type)
        .map(|s| s.as_str())
        .collect();
    let list = |names: std::collections::BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
    format!(
        "{} pulses, zone {}, skin type {}",
        batch.pulses.len(),
        list(zones),
        list(skins)
    )
}

fn pulses(admitted: &Admitted, batch: &PulseBatch, first: Option<u64>) -> Vec<Reading> {
    let Some(first) = first.filter(|first| batch.pulses.iter().any(|p| p.ordinal == *first)) else {
        return Vec::new();
    };
    let near = batch.pulses.iter().filter(|pulse| is_near(pulse.ordinal, first));
    near.map(|pulse| Reading {
        ordinal: pulse.ordinal,
        at: admitted.event_time(pulse.uptime),
        first: pulse.ordinal == first,
        read: energy(
            pulse.fluence_measured.map(|f| f.get()),
            pulse.energy_measured.map(|e| e.get()),
        ),
        set: energy(pulse.fluence_set.map(|f| f.get()), pulse.energy_set.map(|e| e.get())),
    })
    .collect()
}

fn energy(fluence: Option<u32>, energy: Option<u32>) -> Option<String> {
    let fluence = fluence.map(|fluence| format!("{fluence} mJ/cm²"));
    let energy = energy.map(|energy| format!("{energy} mJ"));
    let both: Vec<_> = [fluence, energy].into_iter().flatten().collect();
    (!both.is_empty()).then(|| both.join(", "))
}
