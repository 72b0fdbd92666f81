//! Presence: devices that fall silent in a session and gateways whose watermark stands still.
//!
//! A device's deadlines run on its gateway's watermark: what is not received yet cannot be missing. Only the standstill of
//! a watermark itself is judged by our own log's clock.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use telemetry::{DeviceKey, UnixMicros};

use super::raise::{Finding, our_key_of};
use super::state::Device;
use super::{Engine, Moment, Slot, Why};
use crate::id::{Cause, Trigger};
use crate::intake::Class;
use crate::lifecycle::Signal;
use crate::plural::counted;
use crate::rules::{Kind, silence};

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// The device may be silent.
    Silence,
    /// Evidence of a disinfection may be missing.
    Evidence,
    /// A flapping alert may have been quiet for long enough.
    Settle,
    /// The device may not have been heard for days.
    NotSeen,
    /// An alert that is delayed may be told.
    Delay,
}

/// Deadlines by gateway, on the clock of its watermark. An entry may be too early (it is then put off), never too late.
#[derive(Debug, Default)]
pub(super) struct Timers {
    by_gateway: BTreeMap<String, BTreeSet<(UnixMicros, DeviceKey, Due)>>,
}

impl Timers {
    pub(super) fn arm(&mut self, gateway: &str, at: UnixMicros, key: &DeviceKey, due: Due) {
        match self.by_gateway.get_mut(gateway) {
            Some(set) => {
                set.insert((at, key.clone(), due));
            }
            None => {
                let set = BTreeSet::from([(at, key.clone(), due)]);
                self.by_gateway.insert(gateway.to_owned(), set);
            }
        }
    }

    fn pop(&mut self, gateway: &str, until: UnixMicros) -> Option<(UnixMicros, DeviceKey, Due)> {
        let set = self.by_gateway.get_mut(gateway)?;
        set.first().filter(|(at, _, _)| *at <= until)?;
        set.pop_first()
    }
}

impl Engine {
    /// Puts a device's deadlines into the timers again after a restart.
    pub(super) fn rearm(&mut self, key: &DeviceKey, slot: &mut Slot) {
        let device = &slot.device;
        if device.in_session && !device.silent {
            self.timers.arm(&device.gateway, device.received_at, key, Due::Silence);
            slot.armed = Some(device.gateway.clone());
        }
        for due in device.awaited.iter().filter_map(|a| a.due) {
            self.timers.arm(&device.gateway, due, key, Due::Evidence);
        }
        self.arm_not_seen(key, slot);
    }

    /// A gateway says how far it is.
    pub(super) fn watermark(&mut self, gateway: &str, at: UnixMicros) {
        let clock = self.clock;
        let state = self.gateways.entry(gateway.to_owned()).or_default();
        if at <= state.watermark {
            return;
        }
        state.watermark = at;
        state.moved_at = clock;
        let alert = state.alert.take();
        self.changed_gateways.insert(gateway.to_owned());
        if let (Some(id), Some(key)) = (alert, our_key_of(gateway)) {
            let moment = Moment::due(&key, Trigger::Gateway { at: at.0 }, at);
            self.signal(&mut Device::default(), id, Signal::Cleared, Why::Heard, &moment);
        }
        while let Some((due, key, what)) = self.timers.pop(gateway, at) {
            let Some(mut slot) = self.devices.remove(&key) else {
                continue;
            };
            match what {
                Due::Silence => self.silence_due(gateway, due, &key, &mut slot),
                Due::Evidence => self.evidence_due(due, &key, &mut slot.device),
                Due::Settle => self.settle_due(due, &key, &mut slot),
                Due::Delay => self.delay_due(due, &key, &mut slot),
                Due::NotSeen => self.not_seen_due(gateway, due, &key, &mut slot),
            }
            self.devices.insert(key, slot);
        }
    }

    fn silence_due(&mut self, gateway: &str, due: UnixMicros, key: &DeviceKey, slot: &mut Slot) {
        slot.armed = None;
        let device = &slot.device;
        if !device.in_session || device.silent {
            return;
        }
        let (received_at, here) = (device.received_at, *device.gateway == *gateway);
        let Some(real) = self.silence_at(key, slot, received_at) else {
            return;
        };
        if real > due || !here {
            self.timers.arm(&slot.device.gateway, real, key, Due::Silence);
            slot.armed = Some(slot.device.gateway.clone());
            return;
        }
        self.fall_silent(key, &mut slot.device, real);
    }

    fn silence_at(&mut self, key: &DeviceKey, slot: &mut Slot, received_at: UnixMicros) -> Option<UnixMicros> {
        let judged = self.judged(key, slot)?;
        silence::due(&self.rules, &judged.facts, &judged.scope(key, None, None), received_at)
    }

    fn fall_silent(&mut self, key: &DeviceKey, device: &mut Device, due: UnixMicros) {
        let Some(heard) = device.heard else {
            return;
        };
        device.silent = true;
        self.changed_devices.insert(key.clone());
        let mut moment = Moment::due(key, Trigger::Due { at: due.0 }, heard.event_time);
        moment.evidence = device.offsets.iter().copied().collect();
        let after = due.since(device.received_at).as_secs_f64();
        self.signal_all(device, Signal::Silent, Why::Silent, &moment, |a| {
            a.kind != Kind::DeviceSilent
        });
        let finding = Finding {
            kind: Kind::DeviceSilent,
            cause: Cause::Silence {
                boot: heard.boot,
                sequence: heard.sequence,
            },
            visit: None,
            zone: None,
            session: device.session,
            value: after,
            limit: after,
            margin: 0.0,
            single: false,
            what_happened: format!("nothing was heard for {after:.0} s within a session"),
            at: heard.event_time,
        };
        self.violated(device, finding, &moment);
    }

    /// Arms the silence of a device in a session; entries are put off when due, not moved with every frame.
    pub(super) fn arm_silence(&mut self, key: &DeviceKey, slot: &mut Slot) {
        if slot.device.in_session && slot.armed.as_ref() != Some(&slot.device.gateway) {
            self.timers
                .arm(&slot.device.gateway, slot.device.received_at, key, Due::Silence);
            slot.armed = Some(slot.device.gateway.clone());
        }
        self.arm_not_seen(key, slot);
    }

    /// The process started or was configured: a gateway gets its whole time again before it counts as standing still.
    pub(super) fn restarted(&mut self) {
        for (id, gateway) in &mut self.gateways {
            gateway.moved_at = self.clock;
            self.changed_gateways.insert(id.clone());
        }
    }

    /// How long this gateway may stand still: an override names it as a device.
    fn gateway_silent_after(&self, gateway: &str) -> Option<Duration> {
        let rule = self.rules.gateway_silent.as_ref()?;
        let seconds = rule.params_of(gateway).silent_after_s;
        Some(Duration::from_secs(u64::from(seconds)))
    }

    /// When a tick is needed, on the input log's clock: for a watermark that may stand still, a heartbeat that may not come, an
    /// alert that a person acknowledged and that nothing else ends.
    pub fn next_deadline(&self) -> Option<UnixMicros> {
        let waiting = self.gateways.iter().filter(|(_, g)| g.alert.is_none());
        let standstill = waiting.filter_map(|(id, g)| Some(g.moved_at.plus(self.gateway_silent_after(id)?)));
        let others = [self.next_beat(), self.next_expected(), self.next_past()];
        standstill.chain(others.into_iter().flatten()).min()
    }

    pub(super) fn tick(&mut self) {
        self.tick_past();
        self.tick_beats();
        self.tick_expected();
        let waiting = self.gateways.iter().filter(|(_, g)| g.alert.is_none());
        let still = waiting.filter_map(|(id, g)| {
            let after = self.gateway_silent_after(id)?;
            (g.moved_at.plus(after) <= self.clock).then(|| (id.clone(), after))
        });
        for (gateway, after) in still.collect::<Vec<_>>() {
            self.standing_still(&gateway, after);
        }
    }

    fn standing_still(&mut self, gateway: &str, after: Duration) {
        let Some(state) = self.gateways.get(gateway).cloned() else {
            return;
        };
        self.changed_gateways.insert(gateway.to_owned());
        // Whatever is behind it is unknown from here on: sessions, and alerts outside of one.
        let behind = |slot: &Slot| {
            let device = &slot.device;
            *device.gateway == *gateway && (device.in_session || !device.open.is_empty())
        };
        let behind = self.devices.iter().filter(|(_, slot)| behind(slot));
        let mut keys: Vec<DeviceKey> = behind.map(|(key, _)| key.clone()).collect();
        keys.sort();
        let sessions = keys.iter().filter_map(|key| self.devices.get(key));
        let sessions = sessions.filter(|slot| slot.device.in_session).count();
        let trigger = Trigger::Due {
            at: state.moved_at.plus(after).0,
        };
        let mut alert = None;
        // A clinic that is closed may switch its gateway off.
        if let (true, Some(key)) = (sessions > 0, our_key_of(gateway)) {
            let moment = Moment::due(&key, trigger.clone(), state.watermark);
            let finding = Finding {
                kind: Kind::GatewaySilent,
                cause: Cause::Watermark { at: state.watermark.0 },
                visit: None,
                zone: None,
                session: None,
                value: after.as_secs_f64(),
                limit: after.as_secs_f64(),
                margin: 0.0,
                single: false,
                what_happened: format!(
                    "gateway said nothing for {} s while {} in a session",
                    after.as_secs(),
                    counted(sessions, "device was", "devices were")
                ),
                at: state.watermark,
            };
            alert = self.violated(&mut Device::default(), finding, &moment);
        }
        for key in keys {
            if let Some(mut slot) = self.devices.remove(&key) {
                let moment = Moment::due(&key, trigger.clone(), state.watermark);
                self.signal_all(&mut slot.device, Signal::Silent, Why::Silent, &moment, |_| true);
                self.changed_devices.insert(key.clone());
                self.devices.insert(key, slot);
            }
        }
        if let Some(state) = self.gateways.get_mut(gateway) {
            state.alert = alert;
            state.moved_at = self.clock;
        }
    }
}

impl<'a> Moment<'a> {
    /// A moment that a deadline or a gateway made.
    pub(super) fn due(key: &'a DeviceKey, trigger: Trigger, event_time: UnixMicros) -> Self {
        Self {
            key,
            trigger,
            class: Class::Live,
            event_time,
            received_at: None,
            evidence: Vec::new(),
        }
    }
}
