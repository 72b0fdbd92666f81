//! Frames of devices: deduplicated, placed in session and visit, judged by the rules of their body.
use std::sync::Arc;

use telemetry::{Body, DeviceKey, Header, Origin, SkinType, Telemetry, UnixMicros, Zone};
use xxhash_rust::xxh3::xxh3_64;

use super::intern::Common;
use super::presence::Due;
use super::state::{Device, Heard, Repeat};
use super::{Cold, ColdError, Engine, Moment, Slot, Table, Why};
use crate::fleet::Facts;
use crate::id::{Cause, Opaque, Trigger};
use crate::intake::{Class, Frame, Said};
use crate::lifecycle::Signal;
use crate::rules::depth::DepthBounds;
use crate::rules::pen::PenBounds;
use crate::rules::{Kind, Ruleset, Scope};

/// What a device is judged by, resolved once per configuration.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) facts: Arc<Facts>,
    /// Of the zone that was judged last: zones change every few minutes, strokes come a hundred a second.
    strokes: Option<Arc<StrokeBounds>>,
}

/// What strokes in one zone are judged by. Most devices of a model have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct StrokeBounds {
    zone: Option<Zone>,
    pub(super) depth: DepthBounds,
    pub(super) pen: PenBounds,
}

impl Judged {
    pub(super) fn scope<'a>(
        &'a self,
        key: &'a DeviceKey,
        zone: Option<Zone>,
        skin_type: Option<SkinType>,
    ) -> Scope<'a> {
        Scope {
            tenant: &key.tenant,
            clinic: &self.facts.clinic,
            device: &key.device,
            model: &self.facts.model,
            zone,
            skin_type,
        }
    }

    pub(super) fn strokes(
        &mut self,
        rules: &Ruleset,
        key: &DeviceKey,
        zone: Option<Zone>,
        common: &mut Common,
    ) -> StrokeBounds {
        if let Some(known) = self.strokes.as_deref().filter(|known| known.zone == zone) {
            return *known;
        }
        let scope = self.scope(key, zone, None);
        let bounds = StrokeBounds {
            zone,
            depth: DepthBounds::resolve(rules, &self.facts, &scope),
            pen: PenBounds::resolve(rules, &self.facts, &scope),
        };
        self.strokes = Some(common.bounds(bounds));
        bounds
    }
}

/// What a frame is, beside what it says.
pub(super) struct Context<'a> {
    pub(super) key: &'a DeviceKey,
    pub(super) header: &'a Header,
    pub(super) session: Option<Opaque>,
    /// The newest of its device, no copy, no replay and no person's record: it says where the device stands now.
    pub(super) newest: bool,
    pub(super) moment: &'a Moment<'a>,
    pub(super) frame: &'a Frame,
    pub(super) cold: &'a dyn Cold,
}

impl Context<'_> {
    pub(super) fn reading(&self, ordinal: u64) -> Cause {
        Cause::Reading {
            boot: self.header.boot.0,
            session: self.session,
            ordinal,
        }
    }
}

impl Engine {
    /// What a device is judged by; `None`: the registry does not know it.
    pub(super) fn judged<'a>(&mut self, key: &DeviceKey, slot: &'a mut Slot) -> Option<&'a mut Judged> {
        if slot.judged.is_none() {
            slot.judged = self.fleet.facts(key).map(|facts| Judged {
                facts: self.common.facts(facts),
                strokes: None,
            });
        }
        slot.judged.as_mut()
    }

    /// Takes a frame. `false`: a copy of an earlier one.
    pub(super) fn frame(&mut self, offset: u64, frame: &Frame, cold: &dyn Cold) -> Result<bool, ColdError> {
        let Said::Telemetry(telemetry) = &frame.said else {
            // A status is no proof of anything that a rule asks for.
            return Ok(true);
        };
        let key = frame.admitted.key();
        // The key that is kept stays: timers have it too, and the frame's own would be a second one.
        let (key, mut slot) = self
            .devices
            .remove_entry(&key)
            .unwrap_or_else(|| (self.common.key(key), Box::default()));
        let taken = self.take_frame(offset, frame, telemetry, &key, &mut slot, cold);
        self.arm_silence(&key, &mut slot);
        if !matches!(taken, Ok(false)) {
            self.changed_devices.insert(key.clone());
        }
        self.devices.insert(key, slot);
        taken
    }

    fn take_frame(
        &mut self,
        offset: u64,
        frame: &Frame,
        telemetry: &Telemetry,
        key: &DeviceKey,
        slot: &mut Slot,
        cold: &dyn Cold,
    ) -> Result<bool, ColdError> {
        let header = &telemetry.header;
        let hash = xxh3_64(&frame.admitted.payload);
        let repeat = slot.device.take(header.boot.0, header.sequence, hash);
        if repeat == Repeat::Duplicate {
            return Ok(false);
        }
        let event_time = frame.admitted.event_time(header.uptime);
        slot.device.remember(offset);
        let moment = Moment {
            key,
            trigger: Trigger::Frame {
                boot: header.boot.0,
                sequence: header.sequence,
                hash,
            },
            class: frame.class,
            event_time,
            received_at: Some(frame.admitted.received_at),
            evidence: slot.device.offsets.iter().copied().collect(),
        };
        let context = Context {
            key,
            header,
            session: header.session.map(|s| Opaque(*s.id.bytes())),
            newest: repeat == Repeat::New
                && frame.class != Class::Replayed
                && frame.admitted.origin != Origin::Recorded
                && is_newest(&slot.device, header, event_time),
            moment: &moment,
            frame,
            cold,
        };
        self.heard(&context, slot);
        self.let_in(&context, slot);
        if repeat == Repeat::Reused {
            self.sequence_reused(&context, slot);
        }
        self.quality(&context, slot);
        self.session(&context, &telemetry.body, slot);
        self.body(&context, &telemetry.body, slot)?;
        Ok(true)
    }

    /// Proof of life.
    fn heard(&mut self, context: &Context<'_>, slot: &mut Slot) {
        let device = &mut slot.device;
        let admitted = &context.frame.admitted;
        // A copy from the past and what a person typed prove no life; yet a device that was never heard has its place.
        if context.frame.class == Class::Replayed || admitted.origin == Origin::Recorded {
            if device.clinic.is_empty() {
                device.clinic = self.common.name(admitted.clinic.as_str());
                device.gateway = self.common.name(admitted.gateway.as_str());
            }
            return;
        }
        // Where it stands is the registry's to say: a frame may have been on its way when its device was moved.
        let stands = self.judged(context.key, slot).map(|judged| Arc::clone(&judged.facts));
        let clinic = stands.as_ref().map_or(&admitted.clinic, |facts| &facts.clinic);
        let device = &mut slot.device;
        device.received_at = device.received_at.max(admitted.received_at);
        if *device.clinic != *clinic.as_str() {
            device.clinic = self.common.name(clinic.as_str());
        }
        if *device.gateway != *admitted.gateway.as_str() {
            device.gateway = self.common.name(admitted.gateway.as_str());
            // What is awaited must not hang on the watermark of a gateway that may never speak again.
            for due in device.awaited.iter().filter_map(|awaited| awaited.due) {
                self.timers.arm(&device.gateway, due, context.key, Due::Evidence);
            }
        }
        if std::mem::take(&mut device.silent) {
            self.signal_all(device, Signal::Cleared, Why::Heard, context.moment, |a| {
                a.kind == Kind::DeviceSilent
            });
        }
        if !device.open.is_empty() {
            self.signal_all(device, Signal::Cleared, Why::Heard, context.moment, |a| {
                matches!(a.kind, Kind::NeverSeen | Kind::NotSeen)
            });
            self.signal_all(device, Signal::Heard, Why::Heard, context.moment, |_| true);
        }
    }

    /// Where the device stands between boots, sessions and frames.
    fn session(&mut self, context: &Context<'_>, body: &Body, slot: &mut Slot) {
        if !context.newest {
            return;
        }
        let device = &mut slot.device;
        let ends = matches!(body, Body::SessionEnd(_)) || context.session.is_none();
        let next = if ends {
            None
        } else {
            context.session.filter(|s| device.ended != Some(*s))
        };
        if let Some(old) = device.session.filter(|old| Some(*old) != next) {
            device.ended = Some(old);
            device.depth = Default::default();
            if let Some(pen) = device.pen.take() {
                self.session_mean(context, pen.mean, old, slot);
            }
            let device = &mut slot.device;
            self.signal_all(device, Signal::SessionOver, Why::SessionOver, context.moment, |a| {
                a.session == Some(old) && a.kind.is_about_readings() && !a.kind.is_data_quality()
            });
            // About the data and not about a person: over with its session.
            self.signal_all(device, Signal::Cleared, Why::SessionOver, context.moment, |a| {
                a.session == Some(old) && a.kind.is_data_quality()
            });
        }
        let device = &mut slot.device;
        if device.session != next {
            (device.pen, device.light) = (None, None);
        }
        device.session = next;
        device.in_session = next.is_some() && context.frame.class == Class::Live;
        device.heard = Some(Heard {
            boot: context.header.boot.0,
            sequence: context.header.sequence,
            event_time: context.moment.event_time,
        });
    }

    fn body(&mut self, context: &Context<'_>, body: &Body, slot: &mut Slot) -> Result<(), ColdError> {
        match body {
            Body::Strokes(batch) => {
                let at = context.frame.admitted.event_time(batch.first_uptime);
                let visit = self.visit(context, slot, at, batch.cartridge.as_ref())?;
                self.strokes(context, batch, visit, at, slot);
            }
            Body::Pulses(batch) => {
                let first = batch.pulses.first().map_or(context.header.uptime, |p| p.uptime);
                let at = context.frame.admitted.event_time(first);
                let visit = self.visit(context, slot, at, None)?;
                self.pulses(context, batch, visit, slot);
            }
            Body::SessionStart(start) => {
                self.lamp_in_use(context, start.lamp.as_ref(), slot);
                let at = context.moment.event_time;
                let visit = self.visit(context, slot, at, start.cartridge.as_ref())?;
                self.pack(context, slot, visit, start.pack_expiry_day);
                if let Some(visit) = visit {
                    self.recovery(context, start.days_since_last_treatment, visit, slot);
                }
            }
            Body::Birth(birth) => self.birth(context, birth, slot)?,
            Body::SterilizationCycle(cycle) => self.cycle(context, cycle, slot)?,
            Body::Disinfection(wipe) => self.wiped(context, wipe, slot)?,
            Body::IndicatorResult(result) => self.indicator(context, result, slot)?,
            Body::Fault(fault) => self.device_fault(context, fault, slot),
            Body::SessionEnd(_) | Body::Heartbeat(_) => {}
        }
        Ok(())
    }

    fn birth(&mut self, context: &Context<'_>, birth: &telemetry::Birth, slot: &mut Slot) -> Result<(), ColdError> {
        if context.newest {
            self.calibrated(context, birth.depth_offset_um, slot);
            self.lamp_in_use(context, birth.lamp.as_ref(), slot);
            self.booted(context, &mut slot.device);
        }
        let Some(serial) = birth.serial.as_ref().map(|s| s.as_str().to_owned()) else {
            return Ok(());
        };
        self.serial_told(context, &serial, &mut slot.device);
        if slot.device.serial.as_ref() != Some(&serial) {
            let tenant = context.key.tenant.as_str();
            self.book
                .put(Table::Serial, tenant, &serial, &context.key.device.to_string())?;
            slot.device.serial = Some(serial);
        }
        Ok(())
    }
}

/// Whether a frame comes after everything that was heard.
fn is_newest(device: &Device, header: &Header, event_time: UnixMicros) -> bool {
    device.heard.is_none_or(|heard| {
        if heard.boot == header.boot.0 {
            header.sequence > heard.sequence
        } else {
            event_time >= heard.event_time
        }
    })
}
