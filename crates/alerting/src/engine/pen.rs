//! What a pen shows over seconds and over sessions: raised, and over again.
use telemetry::{StrokeBatch, UnixMicros};

use super::frame::Context;
use super::readings::About;
use super::state::Device;
use super::{Engine, Slot, Why, words};
use crate::id::{Cause, Opaque};
use crate::lifecycle::Signal;
use crate::rules::drift::SessionMean;
use crate::rules::pen::PenVerdict;
use crate::rules::{Judgement, Kind, Violation};

impl Engine {
    pub(super) fn pen(
        &mut self,
        context: &Context<'_>,
        batch: &StrokeBatch,
        visit: Option<Opaque>,
        verdict: &PenVerdict,
        at: UnixMicros,
        device: &mut Device,
    ) {
        for (kind, judgement) in verdict {
            match judgement {
                Judgement::Nothing => {}
                Judgement::Violated(v) => {
                    let stroke = batch.stroke(v.index);
                    let at = stroke.map_or(at, |s| context.frame.admitted.event_time(s.uptime));
                    let about = About { visit, zone: None };
                    let finding = about.finding(context, *kind, v, words::pen(*kind, v), at);
                    self.violated(device, finding, context.moment);
                }
                Judgement::Cleared => self.over(context, device, *kind, |visit_of| visit_of == visit),
            }
        }
    }

    /// Readings prove that what a rule fired for is over.
    pub(super) fn over(
        &mut self,
        context: &Context<'_>,
        device: &mut Device,
        kind: Kind,
        visit: impl Fn(Option<Opaque>) -> bool,
    ) {
        if device.open.iter().any(|open| open.kind == kind) {
            self.signal_all(device, Signal::Cleared, Why::Cleared, context.moment, |a| {
                a.kind == kind && visit(a.visit)
            });
        }
    }

    /// A session ended: its mean goes into the average over sessions.
    pub(super) fn session_mean(&mut self, context: &Context<'_>, mean: SessionMean, session: Opaque, slot: &mut Slot) {
        let rules = std::sync::Arc::clone(&self.rules);
        let Some(rule) = &rules.depth_baseline_shift else {
            return;
        };
        let Some(judged) = self.judged(context.key, slot) else {
            return;
        };
        let params = *rule.params(&judged.scope(context.key, None, None));
        let device = &mut slot.device;
        // Without a calibration there is nothing that it could be off.
        let Some(offset_um) = device.depth_offset_um else {
            return;
        };
        device.baseline.calibrated(offset_um);
        match device.baseline.push(mean, &params) {
            Judgement::Nothing => {}
            Judgement::Violated(v) => self.baseline_shift(context, &v, session, device),
            Judgement::Cleared => self.over(context, device, Kind::DepthBaselineShift, |_| true),
        }
    }

    fn baseline_shift(&mut self, context: &Context<'_>, v: &Violation, session: Opaque, device: &mut Device) {
        let about = About {
            visit: None,
            zone: None,
        };
        let what = words::pen(Kind::DepthBaselineShift, v);
        let at = context.moment.event_time;
        let mut finding = about.finding(context, Kind::DepthBaselineShift, v, what, at);
        // The session that tipped it, on whatever boot it was heard to end.
        finding.session = None;
        finding.cause = Cause::Reading {
            boot: 0,
            session: Some(session),
            ordinal: 0,
        };
        self.violated(device, finding, context.moment);
    }

    /// The newest birth told a factory calibration, or none. Another one than before starts averages anew.
    pub(super) fn calibrated(&mut self, context: &Context<'_>, offset_um: Option<i32>, slot: &mut Slot) {
        let device = &mut slot.device;
        if device.depth_offset_um == offset_um {
            return;
        }
        device.depth_offset_um = offset_um;
        device.baseline = Default::default();
        self.over(context, device, Kind::DepthBaselineShift, |_| true);
    }
}
