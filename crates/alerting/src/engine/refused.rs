//! Messages of a device that its gateway refuses, as the gateway counts them: many within minutes are a fault of the device.
use std::sync::Arc;

use telemetry::DeviceKey;

use super::frame::Context;
use super::hygiene::finding;
use super::state::Device;
use super::{Engine, Moment, Slot, Why, words};
use crate::id::{Cause, Trigger};
use crate::intake::Refused;
use crate::lifecycle::Signal;
use crate::rules::Kind;
use crate::rules::refused::{FramesRejected, Refusals};

impl Engine {
    /// A gateway refused messages of a device.
    pub(super) fn refused(&mut self, refused: &Refused) {
        let key = &refused.device;
        // Of a device that is not in use nothing is asked, and of one that nobody knows nothing is kept.
        if !self.fleet.place(key).is_some_and(|place| place.in_use) || self.rules.frames_rejected.is_none() {
            return;
        }
        self.on_slot(key, |engine, slot| {
            let Some(rule) = engine.refused_rule(key, slot) else {
                return;
            };
            let Some(clinic) = engine.judged(key, slot).map(|judged| judged.facts.clinic.clone()) else {
                return;
            };
            let device = &mut slot.device;
            if device.clinic.is_empty() {
                // Nothing of it was ever let in.
                device.clinic = engine.common.name(clinic.as_str());
                device.gateway = engine.common.name(refused.gateway.as_str());
            }
            let known = device.refused.get_or_insert_default();
            if let Some(messages) = known.take(refused.received_at, refused.count, &rule) {
                engine.too_many_refused(refused, device, messages, &rule);
            }
        });
    }

    fn too_many_refused(&mut self, refused: &Refused, device: &mut Device, messages: u64, rule: &FramesRejected) {
        let at = refused.received_at;
        let what = words::refused(messages, rule.within_s, &refused.reason);
        let mut found = finding(Kind::FramesRejected, Cause::Since { at: at.0 }, None, what, at);
        (found.value, found.limit) = (messages as f64, f64::from(rule.k_messages));
        // More of the same is nothing new to whoever knows it.
        found.margin = f64::MAX;
        let moment = Moment::due(&refused.device, Trigger::Gateway { at: at.0 }, at);
        self.violated(device, found, &moment);
    }

    fn refused_rule(&mut self, key: &DeviceKey, slot: &mut Slot) -> Option<FramesRejected> {
        let rules = Arc::clone(&self.rules);
        let rule = rules.frames_rejected.as_ref()?;
        let judged = self.judged(key, slot)?;
        Some(*rule.params(&judged.scope(key, None, None)))
    }

    /// A message of the device was let in: when none was refused for long enough, it is over.
    pub(super) fn let_in(&mut self, context: &Context<'_>, slot: &mut Slot) {
        if !context.newest || slot.device.refused.is_none() {
            return;
        }
        let received_at = context.frame.admitted.received_at;
        let rule = self.refused_rule(context.key, slot);
        let device = &mut slot.device;
        let over = |known: &Refusals| rule.is_none_or(|rule| known.is_over(received_at, &rule));
        if device.refused.as_deref().is_some_and(over) {
            device.refused = None;
            self.signal_all(device, Signal::Cleared, Why::Cleared, context.moment, |a| {
                a.kind == Kind::FramesRejected
            });
        }
    }
}
