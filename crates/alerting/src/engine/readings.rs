//! Strokes and pulses: judged by depth and energy rules, with or without the context that they are judged by.
use std::sync::Arc;

use telemetry::{Pulse, PulseBatch, StrokeBatch, UnixMicros, Zone};

use super::frame::{Context, StrokeBounds};
use super::light::LampRules;
use super::raise::Finding;
use super::state::{Device, Visit};
use super::{Engine, Slot, Why, words};
use crate::id::{Cause, Opaque};
use crate::lifecycle::Signal;
use crate::rules::depth::{self, DepthMemory, DepthVerdict};
use crate::rules::energy::{self, PulseBounds};
use crate::rules::pen;
use crate::rules::pulse::LightBounds;
use crate::rules::seconds::Column;
use crate::rules::{Kind, Violation};

/// What strokes lack of what they are judged by.
fn missing_of_strokes(batch: &StrokeBatch, visit: Option<Visit>) -> Option<&'static str> {
    if batch.zone.is_none() {
        Some("strokes without a zone: judged by the strictest")
    } else if batch.setpoint.is_none() {
        Some("strokes without a set depth: what is off it cannot be seen")
    } else if visit.is_none_or(|v| !v.given) {
        Some("strokes without a visit: clients can be told apart by sessions only")
    } else {
        None
    }
}

/// What a pulse lacks of what it is judged by.
fn missing_of_pulse(pulse: &Pulse, visit: Option<Visit>) -> Option<&'static str> {
    if pulse.skin_type.is_none() {
        Some("pulses without a skin type: judged by the strictest")
    } else if visit.is_none_or(|v| !v.given) {
        Some("pulses without a visit: clients can be told apart by sessions only")
    } else {
        None
    }
}

/// What readings are about.
#[derive(Clone, Copy)]
pub(super) struct About {
    pub(super) visit: Option<Opaque>,
    pub(super) zone: Option<Zone>,
}

impl About {
    pub(super) fn finding(
        self,
        context: &Context<'_>,
        kind: Kind,
        v: &Violation,
        what_happened: String,
        at: UnixMicros,
    ) -> Finding {
        Finding {
            kind,
            cause: context.reading(v.ordinal),
            visit: self.visit,
            zone: self.zone,
            session: context.session,
            value: v.value,
            limit: v.limit,
            margin: v.margin,
            single: v.single,
            what_happened,
            at,
        }
    }
}

impl Engine {
    pub(super) fn strokes(
        &mut self,
        context: &Context<'_>,
        batch: &StrokeBatch,
        visit: Option<Visit>,
        at: UnixMicros,
        slot: &mut Slot,
    ) {
        let missing = missing_of_strokes(batch, visit);
        self.context(context, missing, batch.first_ordinal, visit, at, slot);
        let rules = Arc::clone(&self.rules);
        if self.judged(context.key, slot).is_none() {
            return;
        }
        let Slot { judged, device, .. } = slot;
        let Some(judged) = judged else { return };
        let StrokeBounds { depth: bounds, pen, .. } = judged.strokes(&rules, context.key, batch.zone, &mut self.common);
        let column = Column::of(batch);
        let expected = bounds.expected(batch, device.depth_offset_um.unwrap_or(0));
        // A frame out of order is judged by itself: what came before it is not what the device did before it.
        let mut alone = DepthMemory::default();
        let memory = if context.newest { &mut device.depth } else { &mut alone };
        let verdict = depth::judge(batch, column, expected.as_ref(), &bounds, memory);
        let about = About {
            visit: visit.map(|v| v.key),
            zone: batch.zone,
        };
        let found = [
            (Kind::DepthAboveLimit, verdict.above),
            (Kind::DepthOffSetpoint, verdict.off),
            (Kind::DepthSetpointAboveLimit, verdict.setpoint),
        ];
        for (kind, violation) in found {
            let Some(v) = violation else { continue };
            let stroke = batch.stroke(v.index);
            let at = stroke.map_or(at, |s| context.frame.admitted.event_time(s.uptime));
            let finding = about.finding(context, kind, &v, words::depth(kind, &v), at);
            self.violated(device, finding, context.moment);
        }
        // What happened before does not end what fires now.
        if context.newest {
            self.strokes_fine_again(context, about, &verdict, device);
            let calibrated = device.depth_offset_um.is_some();
            let memory = device.pen.get_or_insert_default();
            let verdict = pen::judge(batch, column, expected.as_ref(), &pen, calibrated, memory);
            self.pen(context, batch, about.visit, &verdict, at, device);
        }
    }

    fn strokes_fine_again(&mut self, context: &Context<'_>, about: About, verdict: &DepthVerdict, device: &mut Device) {
        if device.open.is_empty() {
            return;
        }
        let over = |kind| match kind {
            Kind::DepthAboveLimit => verdict.above_cleared,
            Kind::DepthOffSetpoint => verdict.off_cleared,
            Kind::DepthSetpointAboveLimit => verdict.setpoint_cleared,
            _ => false,
        };
        self.signal_all(device, Signal::Cleared, Why::Cleared, context.moment, |a| {
            a.visit == about.visit && a.zone == about.zone && a.session == context.session && over(a.kind)
        });
    }

    pub(super) fn pulses(&mut self, context: &Context<'_>, batch: &PulseBatch, visit: Option<Visit>, slot: &mut Slot) {
        let rules = Arc::clone(&self.rules);
        for (index, pulse) in batch.pulses.iter().enumerate() {
            let at = context.frame.admitted.event_time(pulse.uptime);
            self.context(context, missing_of_pulse(pulse, visit), pulse.ordinal, visit, at, slot);
            let Some(judged) = self.judged(context.key, slot) else {
                return;
            };
            let scope = judged.scope(context.key, pulse.zone, pulse.skin_type);
            let bounds = PulseBounds::resolve(&rules, &judged.facts, &scope);
            let light = LightBounds::resolve(&rules, &judged.facts, &scope);
            let lamp = LampRules::resolve(&rules, &judged.facts, &scope);
            let verdict = energy::judge(pulse, index, &bounds);
            let about = About {
                visit: visit.map(|v| v.key),
                zone: pulse.zone,
            };
            if let Some(v) = &verdict.above_set {
                let words = words::above_set(v.value, v.limit);
                let finding = about.finding(context, Kind::PulseAboveSet, v, words, at);
                self.violated_on(&mut slot.device, finding, pulse.skin_type, context.moment);
            }
            if let Some(v) = &verdict.above_limit {
                let words = words::above_limit(v.value, v.limit, pulse.skin_type.is_some());
                let finding = about.finding(context, Kind::PulseAboveLimit, v, words, at);
                self.violated_on(&mut slot.device, finding, pulse.skin_type, context.moment);
            }
            self.light(context, (pulse, index), about, &light, at, &mut slot.device);
            if context.newest {
                self.lamp(context, (pulse, index), &lamp, at, &mut slot.device);
            }
        }
    }

    /// Readings with or without what they are judged by.
    fn context(
        &mut self,
        context: &Context<'_>,
        missing: Option<&str>,
        ordinal: u64,
        visit: Option<Visit>,
        at: UnixMicros,
        slot: &mut Slot,
    ) {
        let unknown = self.judged(context.key, slot).is_none();
        let missing = if unknown {
            Some("device is not in the registry: its limits are not known")
        } else {
            missing
        };
        let Some(what) = missing else {
            return;
        };
        let finding = Finding {
            kind: Kind::ContextMissing,
            cause: context.reading(ordinal),
            visit: visit.map(|v| v.key),
            zone: None,
            session: context.session,
            value: 0.0,
            limit: 0.0,
            margin: 0.0,
            single: false,
            what_happened: what.to_owned(),
            at,
        };
        self.violated(&mut slot.device, finding, context.moment);
    }

    pub(super) fn sequence_reused(&mut self, context: &Context<'_>, slot: &mut Slot) {
        let finding = Finding {
            kind: Kind::SequenceReused,
            cause: Cause::Frame {
                boot: context.header.boot.0,
                sequence: context.header.sequence,
            },
            visit: None,
            zone: None,
            session: context.session,
            value: 0.0,
            limit: 0.0,
            margin: 0.0,
            single: false,
            what_happened:
                "two different frames with one sequence number: firmware fault, or one identity on two devices"
                    .to_owned(),
            at: context.moment.event_time,
        };
        self.violated(&mut slot.device, finding, context.moment);
    }
}
