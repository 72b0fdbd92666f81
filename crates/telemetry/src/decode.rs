//! The one door for foreign bytes: what passes is possible, complete and consistent; what does not has a reason.
//!
//! Presence is not demanded where a reading still means something without it (zone, setpoint, skin type): a missing
//! context is judged by the strictest limit later on, and a hazard must not be lost to a formality here.
mod check;

use prost::Message as _;

use check::{
    Result, at_most, bad_id, check_columns, depth_offset, id, items, malformed, missing, ordinal, out_of_range,
    range_error, too_many, total, unit, uptime,
};

use crate::body::{
    Birth, Body, Disinfection, Fault, Header, Heartbeat, IndicatorResult, Pulse, PulseBatch, SessionEnd, SessionRef,
    SessionStart, Status, SterilizationCycle, Telemetry, WallTime,
};
use crate::fast::{self, HeaderView};
use crate::strokes::{MAX_BATCH_DURATION_US, StrokeBatch};
use crate::unknown::{self, UnknownCounts};
use crate::{
    AreaMm2, BootId, Channel, CycleId, DepthUm, DeviceId, DeviceKind, DisinfectionLevel, EnergyMj, FaultCode,
    FluenceMjPerCm2, FlushReason, IndicatorKind, MilliCelsius, Nanometres, Outcome, Presence, RejectReason, Rejected,
    Serial, SessionEndReason, SessionId, SkinType, Text, Topic, UnixMicros, VisitId, WallTimeSource, WidthUs, Zone,
    proto,
};

/// Largest payload in bytes. The largest legal frame (a load of 256 items) has about 17 KiB.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;

/// Most pulses in one batch.
const MAX_PULSES: usize = 64;

/// Latest day since 1970-01-01: the year 2517.
const MAX_DAY: u32 = 200_000;

/// Longest hold or contact time: a week.
const MAX_HOLD_S: u32 = 7 * 86_400;

/// Longest time since a treatment: a century.
const MAX_DAYS_SINCE: u32 = 36_600;

/// Most sub-pulses of a pulse; units have 2 or 3.
const MAX_SUB_PULSES: u32 = 1_000;

/// Decodes a frame that came on `topic`.
///
/// # Errors
/// [`Rejected`] with a bounded reason, the schema name of the field and a text for a firmware engineer.
pub fn decode(topic: &Topic, payload: &[u8]) -> Result<Telemetry> {
    check_door(topic, payload, Channel::Telemetry)?;
    match fast::stroke_frame(payload) {
        Some((header, batch)) => plain_strokes(topic, &header, batch),
        None => decode_any(topic, payload),
    }
}

/// The short way: every field is known, so nothing is counted but enum values.
fn plain_strokes(topic: &Topic, header: &HeaderView<'_>, batch: proto::StrokeBatch) -> Result<Telemetry> {
    let mut seen = Seen::default();
    let header = seen.header(topic, header)?;
    let body = Body::Strokes(seen.strokes(batch)?);
    Ok(Telemetry {
        header,
        body,
        unknown: seen.unknown,
    })
}

fn decode_any(topic: &Topic, payload: &[u8]) -> Result<Telemetry> {
    let frame = proto::Frame::decode(payload).map_err(|e| malformed(&e))?;
    let mut seen = Seen {
        unknown: UnknownCounts {
            fields: unknown::in_frame(payload),
            enum_values: 0,
        },
    };
    let header = frame.header.ok_or_else(|| missing("header"))?;
    let header = seen.header(topic, &HeaderView::from(&header))?;
    let body = match frame.body {
        Some(body) => seen.body(body)?,
        None => {
            return Err(Rejected::new(
                RejectReason::UnknownBody,
                "body",
                "no body, or one that this version does not know: it can be replayed from quarantine after an update",
            ));
        }
    };
    Ok(Telemetry {
        header,
        body,
        unknown: seen.unknown,
    })
}

/// Decodes a status that came on `topic`.
///
/// # Errors
/// As [`decode`].
pub fn decode_status(topic: &Topic, payload: &[u8]) -> Result<(Status, UnknownCounts)> {
    check_door(topic, payload, Channel::Status)?;
    let status = proto::Status::decode(payload).map_err(|e| malformed(&e))?;
    let mut seen = Seen {
        unknown: UnknownCounts {
            fields: unknown::in_status(payload),
            enum_values: 0,
        },
    };
    let presence = seen.kind(status.presence, Presence::from_wire);
    Ok((
        Status {
            presence,
            boot: status.boot_id.map(BootId),
        },
        seen.unknown,
    ))
}

fn check_door(topic: &Topic, payload: &[u8], channel: Channel) -> Result<()> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(Rejected::new(
            RejectReason::TooLarge,
            "payload",
            format!(
                "{} bytes, at most {MAX_PAYLOAD_BYTES} are allowed: send smaller batches",
                payload.len()
            ),
        ));
    }
    if topic.channel != channel {
        return Err(Rejected::new(
            RejectReason::Topic,
            "topic",
            format!("not a {} topic", channel.as_str()),
        ));
    }
    Ok(())
}

/// The device of a header, which must be the topic's: that id is shared, not parsed again.
fn own_device(topic: &Topic, device_id: Option<&str>) -> Result<DeviceId> {
    let text = device_id.ok_or_else(|| missing("header.device_id"))?;
    if text == topic.device.as_str() {
        return Ok(topic.device.clone());
    }
    DeviceId::new(text).map_err(|e| bad_id("header.device_id", &e))?;
    Err(Rejected::new(
        RejectReason::IdentityMismatch,
        "header.device_id",
        "differs from the device level of the topic: publish each device on its own topic",
    ))
}

/// Carries the count of unknown enum values through the conversions.
#[derive(Default)]
struct Seen {
    unknown: UnknownCounts,
}

impl Seen {
    /// An enum value: unspecified is absence, an unknown number is counted.
    fn kind<T>(&mut self, number: Option<i32>, from_wire: impl Fn(i32) -> Option<T>) -> Option<T> {
        let number = number.filter(|&n| n != 0)?;
        let known = from_wire(number);
        if known.is_none() {
            self.unknown.enum_values += 1;
        }
        known
    }

    fn header(&mut self, topic: &Topic, h: &HeaderView<'_>) -> Result<Header> {
        let session_started = h
            .session_start_uptime_us
            .map(|us| uptime(us, "header.session_start_uptime_us"))
            .transpose()?;
        let session = match h.session_id.filter(|id| !id.is_empty()) {
            Some(id) => Some(SessionRef {
                id: SessionId::new(id).map_err(|e| bad_id("header.session_id", &e))?,
                started: session_started,
            }),
            None => None,
        };
        let visit = match h.visit_id.filter(|id| !id.is_empty()) {
            Some(id) => Some(VisitId::new(id).map_err(|e| bad_id("header.visit_id", &e))?),
            None => None,
        };
        let wall_source = self.kind(h.wall_time_source, WallTimeSource::from_wire);
        let device = own_device(topic, h.device_id)?;
        Ok(Header {
            schema_version: h.schema_version.unwrap_or(0),
            device,
            boot: BootId(h.boot_id.ok_or_else(|| missing("header.boot_id"))?),
            sequence: ordinal(h.sequence, "header.sequence")?,
            uptime: uptime(
                h.uptime_us.ok_or_else(|| missing("header.uptime_us"))?,
                "header.uptime_us",
            )?,
            wall: h.wall_time_us.map(|us| WallTime {
                at: UnixMicros(us),
                source: wall_source,
            }),
            session,
            visit,
            oldest_unacknowledged: total(
                h.oldest_unacknowledged_sequence,
                "header.oldest_unacknowledged_sequence",
            )?,
            wants_ack_up_to: h.wants_ack_up_to.unwrap_or(false),
        })
    }

    fn body(&mut self, body: proto::frame::Body) -> Result<Body> {
        use proto::frame::Body as Wire;
        Ok(match body {
            Wire::Birth(b) => Body::Birth(self.birth(b)?),
            Wire::StrokeBatch(b) => Body::Strokes(self.strokes(b)?),
            Wire::PulseBatch(b) => Body::Pulses(self.pulses(b)?),
            Wire::SessionStart(s) => Body::SessionStart(self.session_start(s)?),
            Wire::SessionEnd(s) => Body::SessionEnd(SessionEnd {
                strokes_total: total(s.strokes_total, "session_end.strokes_total")?,
                pulses_total: total(s.pulses_total, "session_end.pulses_total")?,
                reason: self.kind(s.reason, SessionEndReason::from_wire),
            }),
            Wire::SterilizationCycle(c) => Body::SterilizationCycle(self.cycle(c)?),
            Wire::Disinfection(d) => Body::Disinfection(Disinfection {
                items: items(&d.items, "disinfection.items")?,
                level: self.kind(d.level, DisinfectionLevel::from_wire),
                contact_time_s: at_most(d.contact_time_s, MAX_HOLD_S, "s", "disinfection.contact_time_s")?,
                performed_at: d.performed_at_us.map(UnixMicros),
            }),
            Wire::IndicatorResult(r) => Body::IndicatorResult(IndicatorResult {
                kind: self.kind(r.kind, IndicatorKind::from_wire),
                sterilizer: id(r.sterilizer_id, DeviceId::new, "indicator_result.sterilizer_id")?,
                cycle: id(r.cycle_id, CycleId::new, "indicator_result.cycle_id")?,
                outcome: self.kind(r.outcome, Outcome::from_wire),
                cycle_ended_at: r.cycle_ended_at_us.map(UnixMicros),
            }),
            Wire::Heartbeat(h) => Body::Heartbeat(Heartbeat {
                in_session: h.in_session,
                battery_percent: at_most(h.battery_percent, 100, "%", "heartbeat.battery_percent")?,
                queued_frames: h.queued_frames,
                dropped_frames: total(h.dropped_frames, "heartbeat.dropped_frames")?,
            }),
            Wire::Fault(f) => Body::Fault(Fault {
                code: self.kind(f.code, FaultCode::from_wire),
                vendor_code: f.vendor_code,
            }),
        })
    }

    fn birth(&mut self, b: proto::Birth) -> Result<Birth> {
        Ok(Birth {
            kind: self.kind(b.kind, DeviceKind::from_wire),
            model: id(b.model, Text::new, "birth.model")?,
            firmware: id(b.firmware, Text::new, "birth.firmware")?,
            serial: id(b.serial, Serial::new, "birth.serial")?,
            depth_offset_um: depth_offset(b.depth_offset_um)?,
            depth_sigma_um: unit(b.depth_sigma_um, DepthUm::new, "birth.depth_sigma_um")?.map(DepthUm::get),
            calibrated_day: at_most(b.calibrated_day, MAX_DAY, "days", "birth.calibrated_day")?,
            cartridge: id(b.cartridge_serial, Serial::new, "birth.cartridge_serial")?,
            lamp: id(b.lamp_serial, Serial::new, "birth.lamp_serial")?,
            lamp_shots: total(b.lamp_shot_count, "birth.lamp_shot_count")?,
        })
    }

    fn session_start(&mut self, s: proto::SessionStart) -> Result<SessionStart> {
        Ok(SessionStart {
            cartridge: id(s.cartridge_serial, Serial::new, "session_start.cartridge_serial")?,
            cartridge_lot: id(s.cartridge_lot, Serial::new, "session_start.cartridge_lot")?,
            pack_expiry_day: at_most(s.pack_expiry_day, MAX_DAY, "days", "session_start.pack_expiry_day")?,
            skin_type: self.kind(s.skin_type, SkinType::from_wire),
            days_since_last_treatment: at_most(
                s.days_since_last_treatment,
                MAX_DAYS_SINCE,
                "days",
                "session_start.days_since_last_treatment",
            )?,
            lamp: id(s.lamp_serial, Serial::new, "session_start.lamp_serial")?,
        })
    }

    fn cycle(&mut self, c: proto::SterilizationCycle) -> Result<SterilizationCycle> {
        Ok(SterilizationCycle {
            cycle: id(c.cycle_id, CycleId::new, "sterilization_cycle.cycle_id")?,
            sterilizer: id(c.sterilizer_id, DeviceId::new, "sterilization_cycle.sterilizer_id")?,
            items: items(&c.items, "sterilization_cycle.items")?,
            outcome: self.kind(c.outcome, Outcome::from_wire),
            ended_at: c.ended_at_us.map(UnixMicros),
            hold_temperature: c
                .hold_temperature_mdegc
                .map(MilliCelsius::new)
                .transpose()
                .map_err(|e| out_of_range("sterilization_cycle.hold_temperature_mdegc", &e))?,
            hold_time_s: at_most(c.hold_time_s, MAX_HOLD_S, "s", "sterilization_cycle.hold_time_s")?,
        })
    }

    fn strokes(&mut self, b: proto::StrokeBatch) -> Result<StrokeBatch> {
        check_columns(&b)?;
        let span: u64 = b.interval_us.iter().skip(1).map(|&us| u64::from(us)).sum();
        // A duration below its own intervals is a rounding of the sender: the intervals say how long it was at least.
        let duration = b.duration_us.map_or(span, |us| u64::from(us).max(span));
        if duration > u64::from(MAX_BATCH_DURATION_US) {
            return Err(Rejected::new(
                RejectReason::OutOfRange,
                "stroke_batch.duration_us",
                format!("{duration} µs in one batch, at most {MAX_BATCH_DURATION_US} are allowed"),
            ));
        }
        if let Some(depth) = b.depth_um.iter().copied().max().filter(|&max| max > DepthUm::MAX) {
            return Err(out_of_range("stroke_batch.depth_um", &range_error(DepthUm::new(depth))));
        }
        Ok(StrokeBatch {
            first_ordinal: ordinal(b.first_ordinal, "stroke_batch.first_ordinal")?,
            first_uptime: uptime(
                b.first_uptime_us
                    .ok_or_else(|| missing("stroke_batch.first_uptime_us"))?,
                "stroke_batch.first_uptime_us",
            )?,
            duration_us: duration as u32,
            zone: self.kind(b.zone, Zone::from_wire),
            setpoint: unit(b.depth_setpoint_um, DepthUm::new, "stroke_batch.depth_setpoint_um")?,
            device_limit: unit(b.depth_limit_um, DepthUm::new, "stroke_batch.depth_limit_um")?,
            flush_reason: self.kind(b.flush_reason, FlushReason::from_wire),
            cartridge: id(b.cartridge_serial, Serial::new, "stroke_batch.cartridge_serial")?,
            depth_um: b.depth_um,
            interval_us: b.interval_us,
            unread: b.unread_index,
        })
    }

    fn pulses(&mut self, b: proto::PulseBatch) -> Result<PulseBatch> {
        if b.pulses.is_empty() {
            return Err(missing("pulse_batch.pulses"));
        }
        if b.pulses.len() > MAX_PULSES {
            return Err(too_many("pulse_batch.pulses", b.pulses.len(), MAX_PULSES));
        }
        let flush_reason = self.kind(b.flush_reason, FlushReason::from_wire);
        let pulses = b
            .pulses
            .into_iter()
            .map(|p| self.pulse(&p))
            .collect::<Result<Vec<_>>>()?;
        if pulses
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if a.ordinal >= b.ordinal))
        {
            return Err(Rejected::new(
                RejectReason::Columns,
                "pulse.ordinal",
                "ordinals are not strictly ascending",
            ));
        }
        Ok(PulseBatch { pulses, flush_reason })
    }

    fn pulse(&mut self, p: &proto::Pulse) -> Result<Pulse> {
        Ok(Pulse {
            ordinal: ordinal(p.ordinal, "pulse.ordinal")?,
            uptime: uptime(
                p.uptime_us.ok_or_else(|| missing("pulse.uptime_us"))?,
                "pulse.uptime_us",
            )?,
            energy_set: unit(p.energy_set_mj, EnergyMj::new, "pulse.energy_set_mj")?,
            energy_measured: unit(p.energy_measured_mj, EnergyMj::new, "pulse.energy_measured_mj")?,
            fluence_set: unit(
                p.fluence_set_mj_per_cm2,
                FluenceMjPerCm2::new,
                "pulse.fluence_set_mj_per_cm2",
            )?,
            fluence_measured: unit(
                p.fluence_measured_mj_per_cm2,
                FluenceMjPerCm2::new,
                "pulse.fluence_measured_mj_per_cm2",
            )?,
            width: unit(p.width_us, WidthUs::new, "pulse.width_us")?,
            sub_pulses: at_most(p.sub_pulse_count, MAX_SUB_PULSES, "sub-pulses", "pulse.sub_pulse_count")?,
            sub_pulse_delay: unit(p.sub_pulse_delay_us, WidthUs::new, "pulse.sub_pulse_delay_us")?,
            filter: unit(p.filter_cutoff_nm, Nanometres::new, "pulse.filter_cutoff_nm")?,
            spot: unit(p.spot_area_mm2, AreaMm2::new, "pulse.spot_area_mm2")?,
            zone: self.kind(p.zone, Zone::from_wire),
            skin_type: self.kind(p.skin_type, SkinType::from_wire),
            skin_temperature: unit(
                p.skin_temperature_mdegc,
                MilliCelsius::new,
                "pulse.skin_temperature_mdegc",
            )?,
            tip_temperature: unit(
                p.tip_temperature_mdegc,
                MilliCelsius::new,
                "pulse.tip_temperature_mdegc",
            )?,
            lamp_shots: total(p.lamp_shot_count, "pulse.lamp_shot_count")?,
            fired: p.fired,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
