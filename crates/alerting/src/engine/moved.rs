//! What a new registry means for what is known already: a device that moved takes its open alerts along, and one that is retired
//! is not missed any more. Nothing is told a second time, and what needs a person goes on needing one.
use telemetry::DeviceKey;

use super::{Alert, Engine, Moment, Slot, Why};
use crate::fleet::Place;
use crate::id::Trigger;
use crate::lifecycle::Signal;
use crate::rules::Kind;

/// Alerts that say no more than that a device is not heard: a retired one need not be.
const fn is_about_presence(kind: Kind) -> bool {
    matches!(kind, Kind::DeviceSilent | Kind::NeverSeen | Kind::NotSeen)
}

impl Engine {
    /// Goes through all devices after the registry was replaced. One that is not registered any more is left as it is: that may
    /// be a mistake in a file, and no reason to end an alert.
    pub(super) fn follow_registry(&mut self) {
        let place = |key: &DeviceKey, slot: &Slot| {
            let place = self.fleet.place(key)?;
            let differs = self.has_moved(slot, &place) || !place.in_use && self.is_missed(slot);
            differs.then(|| (key.clone(), place))
        };
        let mut due: Vec<(DeviceKey, Place)> = self.devices.iter().filter_map(|(key, slot)| place(key, slot)).collect();
        due.sort_by(|a, b| a.0.cmp(&b.0));
        for (key, place) in due {
            let Some(mut slot) = self.devices.remove(&key) else {
                continue;
            };
            let moment = Moment::due(&key, Trigger::Due { at: self.clock.0 }, self.clock);
            if self.has_moved(&slot, &place) {
                self.carry_along(&mut slot, &place, &moment);
            }
            if !place.in_use {
                self.not_missed(&mut slot, &moment);
            }
            self.changed_devices.insert(key.clone());
            self.devices.insert(key, slot);
        }
    }

    fn open_alerts<'s>(&'s self, slot: &'s Slot) -> impl Iterator<Item = &'s Alert> {
        slot.device.open.iter().filter_map(|open| self.alerts.get(&open.id))
    }

    fn has_moved(&self, slot: &Slot, place: &Place) -> bool {
        let elsewhere = |clinic: &str| !clinic.is_empty() && clinic != place.clinic.as_str();
        // A frame from the new clinic may have come before this registry was announced.
        elsewhere(&slot.device.clinic) || self.open_alerts(slot).any(|alert| elsewhere(&alert.clinic))
    }

    fn is_missed(&self, slot: &Slot) -> bool {
        slot.device.in_session || self.open_alerts(slot).any(|alert| is_about_presence(alert.kind))
    }

    /// Same alerts, same ids, told as an update.
    fn carry_along(&mut self, slot: &mut Slot, place: &Place, moment: &Moment<'_>) {
        slot.device.clinic = self.common.name(place.clinic.as_str());
        for open in &slot.device.open {
            let Some(alert) = self.alerts.get_mut(&open.id) else {
                continue;
            };
            if alert.clinic == place.clinic.as_str() {
                continue;
            }
            alert.clinic = place.clinic.to_string();
            alert.updated_at = self.clock;
            let (state, alert) = (alert.state(), alert.clone());
            self.tell(&alert, (state, state), Why::Moved, false, moment);
            self.changed_alerts.insert(open.id, alert);
        }
    }

    fn not_missed(&mut self, slot: &mut Slot, moment: &Moment<'_>) {
        slot.device.in_session = false;
        slot.device.silent = false;
        self.signal_all(&mut slot.device, Signal::Retracted, Why::Retired, moment, |alert| {
            is_about_presence(alert.kind)
        });
    }
}
