//! Devices that should be there: those that the registry expects and that never said anything, by our own log's clock, and
//! those that were heard and have said nothing for days, by their gateway's watermark.
//!
//! A queue of deadlines is filled when rules and registry are announced; a tick looks at what is due only, and at a bounded
//! number of that: a fleet that was registered yesterday and is not plugged in yet must not hold up a page.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use telemetry::{DeviceKey, UnixMicros};

use super::presence::Due;
use super::raise::Finding;
use super::state::Device;
use super::{Engine, Moment, Slot, Why};
use crate::id::{AlertId, Cause, Trigger};
use crate::lifecycle::Signal;
use crate::rules::Kind;

/// Most devices that one tick tells as never seen; the rest a second later.
const MAX_PER_TICK: usize = 500;
/// When those are looked at.
const NEXT_TICK: Duration = Duration::from_secs(1);
/// Shortest time after which a device can count as not seen: policies say it in hours.
const NOT_SEEN_AT_LEAST: Duration = Duration::from_secs(3_600);

/// Expected devices that were never heard, by when that counts.
#[derive(Debug, Default)]
pub(super) struct Expected {
    due: BTreeSet<(UnixMicros, DeviceKey)>,
    /// The next tick's turn, where one was not enough.
    not_before: UnixMicros,
}

fn finding(kind: Kind, cause: Cause, hours: f64, what_happened: String, at: UnixMicros) -> Finding {
    Finding {
        kind,
        cause,
        visit: None,
        zone: None,
        session: None,
        value: hours,
        limit: hours,
        margin: 0.0,
        single: false,
        what_happened,
        at,
    }
}

fn hours(span: Duration) -> f64 {
    span.as_secs_f64() / 3_600.0
}

fn is_open(device: &Device, kind: Kind) -> bool {
    device.open.iter().any(|open| open.kind == kind)
}

impl Engine {
    /// Fills the queue from the registry.
    pub(super) fn expect_devices(&mut self) {
        self.expected = Expected::default();
        if self.rules.never_seen.is_none() {
            return;
        }
        let fleet = Arc::clone(&self.fleet);
        for expected in fleet.expected() {
            let heard = |slot: &Slot| slot.device.was_heard() || is_open(&slot.device, Kind::NeverSeen);
            if !self.devices.get(&expected.key).is_some_and(|slot| heard(slot)) {
                self.expected
                    .due
                    .insert((expected.since.plus(expected.after), expected.key));
            }
        }
    }

    /// What was never seen and is not expected any more is over: it was retired, or the rule is off.
    pub(super) fn forget_unexpected(&mut self) {
        let open: Vec<AlertId> = self
            .alerts
            .values()
            .filter(|a| a.kind == Kind::NeverSeen)
            .map(|a| a.id)
            .collect();
        if open.is_empty() {
            return;
        }
        let fleet = Arc::clone(&self.fleet);
        let on = self.rules.never_seen.is_some();
        let expected: BTreeSet<DeviceKey> = fleet.expected().filter(|_| on).map(|e| e.key).collect();
        for id in open {
            let Some(key) = self.owners.get(&id).filter(|key| !expected.contains(key)).cloned() else {
                continue;
            };
            self.on_slot(&key, |engine, slot| {
                let moment = Moment::due(&key, Trigger::Due { at: engine.clock.0 }, engine.clock);
                engine.signal(&mut slot.device, id, Signal::Cleared, Why::NotExpected, &moment);
            });
        }
    }

    /// Runs `then` for a device that is taken out of the table meanwhile.
    pub(super) fn on_slot(&mut self, key: &DeviceKey, then: impl FnOnce(&mut Self, &mut Slot)) {
        let mut slot = self.devices.remove(key).unwrap_or_default();
        then(self, &mut slot);
        self.changed_devices.insert(key.clone());
        self.devices.insert(key.clone(), slot);
    }

    /// When the next expected device counts as never seen.
    pub(super) fn next_expected(&self) -> Option<UnixMicros> {
        let (due, _) = self.expected.due.first()?;
        Some((*due).max(self.expected.not_before))
    }

    /// Time passed: which expected devices were never seen.
    pub(super) fn tick_expected(&mut self) {
        if self.next_expected().is_none_or(|due| due > self.clock) {
            return;
        }
        for _ in 0..MAX_PER_TICK {
            if self.expected.due.first().is_none_or(|(due, _)| *due > self.clock) {
                return;
            }
            if let Some((due, key)) = self.expected.due.pop_first() {
                self.never_seen(due, &key);
            }
        }
        self.expected.not_before = self.clock.plus(NEXT_TICK);
    }

    fn never_seen(&mut self, due: UnixMicros, key: &DeviceKey) {
        if self.devices.get(key).is_some_and(|slot| slot.device.was_heard()) {
            return;
        }
        self.on_slot(key, |engine, slot| {
            let Some(facts) = engine.judged(key, slot).map(|judged| Arc::clone(&judged.facts)) else {
                return;
            };
            if slot.device.clinic.is_empty() {
                slot.device.clinic = engine.common.name(facts.clinic.as_str());
            }
            let after = facts.policy.never_seen_after;
            let since = due.minus(after);
            let what = format!(
                "expected and never heard, {:.0} h after it should have been there",
                hours(after)
            );
            let found = finding(Kind::NeverSeen, Cause::Since { at: since.0 }, hours(after), what, due);
            let moment = Moment::due(key, Trigger::Due { at: due.0 }, due);
            engine.violated(&mut slot.device, found, &moment);
        });
    }

    /// Arms what a device outside a session has to be heard by; put off when due, not moved with every frame.
    pub(super) fn arm_not_seen(&mut self, key: &DeviceKey, slot: &mut Slot) {
        let device = &slot.device;
        let armed = slot.awaited_at.as_ref() == Some(&device.gateway);
        if armed || device.in_session || !device.was_heard() || self.rules.not_seen.is_none() {
            return;
        }
        let at = device.received_at.plus(NOT_SEEN_AT_LEAST);
        self.timers.arm(&device.gateway, at, key, Due::NotSeen);
        slot.awaited_at = Some(device.gateway.clone());
    }

    /// A device may not have been heard for days.
    pub(super) fn not_seen_due(&mut self, gateway: &str, due: UnixMicros, key: &DeviceKey, slot: &mut Slot) {
        slot.awaited_at = None;
        let Some(after) = self.judged(key, slot).map(|judged| judged.facts.policy.silent_after) else {
            return;
        };
        let device = &mut slot.device;
        if device.in_session || after.is_zero() || is_open(device, Kind::NotSeen) || self.rules.not_seen.is_none() {
            return;
        }
        let real = device.received_at.plus(after);
        if real > due || *device.gateway != *gateway {
            self.timers.arm(&device.gateway, real, key, Due::NotSeen);
            slot.awaited_at = Some(device.gateway.clone());
            return;
        }
        let Some(heard) = device.heard else { return };
        let cause = Cause::Silence {
            boot: heard.boot,
            sequence: heard.sequence,
        };
        let what = format!("not heard for {:.0} h outside a session", hours(after));
        let moment = Moment::due(key, Trigger::Due { at: real.0 }, heard.event_time);
        let found = finding(Kind::NotSeen, cause, hours(after), what, heard.event_time);
        self.violated(device, found, &moment);
        self.changed_devices.insert(key.clone());
    }
}
