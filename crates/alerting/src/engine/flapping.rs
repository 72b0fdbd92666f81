//! What keeps coming and going is told once: from the third time within ten minutes on, the alert stays raised until it has
//! been quiet for as long.
//!
//! ISA-18.2 counts three raises of one alarm within a minute as chattering (target: none); ten minutes also catch a cartridge
//! that slips with every pass. Both numbers are our choice.
use std::time::Duration;

use telemetry::{DeviceKey, UnixMicros, Zone};

use super::presence::Due;
use super::state::Device;
use super::{Engine, Moment, Slot, Why};
use crate::id::Trigger;
use crate::lifecycle::Signal;
use crate::rules::{Kind, Nature};

/// From how many raises on it flaps.
pub(super) const FLAPS: usize = 3;
/// Within how long, and how long it must then be quiet.
pub(super) const FLAPS_WITHIN: Duration = Duration::from_secs(600);

/// Whether a condition that is raised at `at` flaps; remembers the raise.
pub(super) fn raised(device: &mut Device, kind: Kind, zone: Option<Zone>, at: UnixMicros) -> bool {
    if !matches!(kind.nature(), Nature::Reading | Nature::Standing) || kind.is_ours() {
        return false;
    }
    let since = at.minus(FLAPS_WITHIN);
    device.raises.retain(|&(_, _, raised)| raised >= since);
    device.raises.push_back((kind, zone, at));
    if device.raises.len() > super::state::MAX_RAISES {
        device.raises.pop_front();
    }
    let same = device.raises.iter().filter(|&&(k, z, _)| (k, z) == (kind, zone));
    same.count() >= FLAPS
}

impl Engine {
    /// After a signal: remembers since when a flapping alert is quiet, and when that is long enough.
    pub(super) fn settling(&mut self, device: &Device, id: crate::id::AlertId, key: &DeviceKey) {
        let Some(alert) = self.alerts.get_mut(&id).filter(|alert| alert.life.is_flapping()) else {
            return;
        };
        if alert.life.is_active() {
            alert.quiet_since = None;
        } else if alert.quiet_since.is_none() {
            alert.quiet_since = Some(device.received_at);
            let due = device.received_at.plus(FLAPS_WITHIN);
            let alert = alert.clone();
            self.changed_alerts.insert(id, alert);
            self.timers.arm(&device.gateway, due, key, Due::Settle);
        }
    }

    /// Puts the deadlines into the timers again after a restart.
    pub(super) fn rearm_settling(&mut self, key: &DeviceKey, device: &Device) {
        for open in &device.open {
            let quiet = self.alerts.get(&open.id).and_then(|alert| alert.quiet_since);
            if let Some(since) = quiet {
                self.timers
                    .arm(&device.gateway, since.plus(FLAPS_WITHIN), key, Due::Settle);
            }
        }
    }

    /// A flapping alert of the device may have been quiet for long enough.
    pub(super) fn settle_due(&mut self, due: UnixMicros, key: &DeviceKey, slot: &mut Slot) {
        let moment = Moment::due(key, Trigger::Due { at: due.0 }, due);
        self.signal_all(&mut slot.device, Signal::Settled, Why::Settled, &moment, |alert| {
            let quiet = alert.quiet_since.is_some_and(|since| since.plus(FLAPS_WITHIN) <= due);
            alert.life.is_flapping() && !alert.life.is_active() && quiet
        });
        self.changed_devices.insert(key.clone());
    }
}
