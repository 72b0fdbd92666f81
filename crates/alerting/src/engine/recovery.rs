//! What a session's start says of the client's skin, and what a device says of itself.
use telemetry::Fault;

use super::frame::Context;
use super::hygiene::finding;
use super::state::{Device, Visit};
use super::{Engine, Slot, words};
use crate::id::Cause;
use crate::rules::recovery::interval_days;
use crate::rules::{Kind, fault};

impl Engine {
    /// A session starts. `days`: since the client's last treatment, if the clinic's software told.
    pub(super) fn recovery(&mut self, context: &Context<'_>, days: Option<u32>, visit: Visit, slot: &mut Slot) {
        let rules = std::sync::Arc::clone(&self.rules);
        let Some(judged) = self.judged(context.key, slot) else {
            return;
        };
        let scope = judged.scope(context.key, None, None);
        let Some(rule) = rules.treated_too_soon.as_ref().map(|r| *r.params(&scope)) else {
            return;
        };
        let Some(least) = interval_days(judged.facts.policy.treatment_interval_min, &rule) else {
            return;
        };
        let unjudged = rules.recovery_not_judged.as_ref().map(|r| r.params(&scope).n_visits);
        if let Some(days) = days.filter(|&days| days < least) {
            let what = words::too_soon(days, least);
            let at = context.moment.event_time;
            let mut found = finding(Kind::TreatedTooSoon, Cause::Use, Some(visit.key), what, at);
            // The fewer days the worse, and a visit has one number of them: never told again.
            (found.value, found.limit, found.margin) = (f64::from(days), f64::from(least), f64::INFINITY);
            self.violated(&mut slot.device, found, context.moment);
        }
        if context.newest {
            self.told_or_not(context, days.is_some(), visit, unjudged, &mut slot.device);
        }
    }

    fn told_or_not(
        &mut self,
        context: &Context<'_>,
        told: bool,
        visit: Visit,
        n_visits: Option<u32>,
        device: &mut Device,
    ) {
        let visits = device.untold.start(visit.key, told);
        if told {
            self.over(context, device, Kind::RecoveryNotJudged, |_| true);
        } else if let Some(n) = n_visits.filter(|&n| visits >= n) {
            let what = words::untold(visits);
            let at = context.moment.event_time;
            let mut found = finding(Kind::RecoveryNotJudged, frame_of(context), None, what, at);
            (found.value, found.limit, found.margin) = (f64::from(visits), f64::from(n), f64::INFINITY);
            self.violated(device, found, context.moment);
        }
    }

    /// The device says that something is wrong with it.
    pub(super) fn device_fault(&mut self, context: &Context<'_>, told: &Fault, slot: &mut Slot) {
        let device = &mut slot.device;
        // A frame out of order is judged by itself: what came before it is not what the device did before it.
        let mut faults = if context.newest {
            device.faults
        } else {
            fault::Faults::default()
        };
        let count = faults.take(context.header.boot.0, told.code);
        let kind = fault::kind_of(told.code);
        let what = words::faults(faults.of(kind), told.vendor_code);
        let mut found = finding(kind, frame_of(context), None, what, context.moment.event_time);
        // Another fault is worse, the same one again is not.
        found.value = f64::from(count);
        if context.newest {
            device.faults = faults;
        }
        self.violated(device, found, context.moment);
    }

    /// The device was switched on: what it still has it will tell again.
    pub(super) fn booted(&mut self, context: &Context<'_>, device: &mut Device) {
        if device.faults.booted(context.header.boot.0) {
            for kind in [Kind::DeviceProtectionFault, Kind::DeviceFault] {
                self.over(context, device, kind, |_| true);
            }
        }
    }
}

fn frame_of(context: &Context<'_>) -> Cause {
    Cause::Frame {
        boot: context.header.boot.0,
        sequence: context.header.sequence,
    }
}
