//! How much of each device is refused, for whoever watches over devices: counted here, told at most once an interval.
//!
//! Only registered devices are counted by name. Whoever is not known cannot flood anybody: it is a number in the metrics.
use std::collections::BTreeMap;
use std::time::Duration;

use telemetry::{DeviceKey, RejectReason, UnixMicros};

/// How often it is told.
pub const TELL_EVERY: Duration = Duration::from_secs(10);
/// Devices of one interval; at the bound further ones are counted together and not told.
pub const TALLY_DEVICES: usize = 256;

/// What was refused of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Messages.
    pub messages: u64,
    /// Why the newest was refused.
    pub reason: RejectReason,
    /// When the newest came.
    pub received_at: UnixMicros,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Tally {
    counts: BTreeMap<DeviceKey, Count>,
    told_at: UnixMicros,
}

impl Tally {
    /// Counts one refused message. `false`: there are too many devices, it will not be told.
    pub fn count(&mut self, device: &DeviceKey, reason: RejectReason, received_at: UnixMicros) -> bool {
        let count = Count {
            messages: 1,
            reason,
            received_at,
        };
        if let Some(known) = self.counts.get_mut(device) {
            *known = Count {
                messages: known.messages.saturating_add(1),
                ..count
            };
            return true;
        }
        let room = self.counts.len() < TALLY_DEVICES;
        if room {
            self.counts.insert(device.clone(), count);
        }
        room
    }

    /// What is to be told now, if anything is. It stays until [`Self::told`].
    pub fn due(&self, now: UnixMicros) -> Option<&BTreeMap<DeviceKey, Count>> {
        // A clock that was set back must not silence it.
        let waited = now < self.told_at || now.since(self.told_at) >= TELL_EVERY;
        (waited && !self.counts.is_empty()).then_some(&self.counts)
    }

    /// It was told: counting begins anew.
    pub fn told(&mut self, now: UnixMicros) {
        self.counts.clear();
        self.told_at = now;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(s: i64) -> UnixMicros {
        UnixMicros(1_800_000_000_000_000 + s * 1_000_000)
    }

    fn device(n: usize) -> DeviceKey {
        format!("acme/pen-{n}")
            .split_once('/')
            .map(|(tenant, device)| DeviceKey {
                tenant: tenant.parse().unwrap(),
                device: device.parse().unwrap(),
            })
            .unwrap()
    }

    #[test]
    fn what_is_refused_is_told_once_an_interval_with_its_count_and_newest_reason() {
        let mut tally = Tally::default();
        assert!(tally.due(at(0)).is_none(), "nothing was refused");
        tally.count(&device(1), RejectReason::Malformed, at(0));
        tally.count(&device(1), RejectReason::OutOfRange, at(1));
        let due = tally.due(at(1)).unwrap();
        let count = due[&device(1)];
        assert_eq!((count.messages, count.reason), (2, RejectReason::OutOfRange));
        tally.told(at(1));
        tally.count(&device(1), RejectReason::Malformed, at(2));
        assert!(tally.due(at(10)).is_none(), "9 s later");
        assert_eq!(tally.due(at(11)).unwrap()[&device(1)].messages, 1);
        assert!(tally.due(at(-100)).is_some(), "a clock that was set back");
    }

    #[test]
    fn a_fleet_of_garbage_is_bounded_and_those_that_are_known_go_on_counting() {
        let mut tally = Tally::default();
        for n in 0..TALLY_DEVICES {
            assert!(tally.count(&device(n), RejectReason::Malformed, at(0)));
        }
        assert!(!tally.count(&device(TALLY_DEVICES), RejectReason::Malformed, at(0)));
        assert!(tally.count(&device(0), RejectReason::Malformed, at(0)));
        assert_eq!(tally.due(at(0)).unwrap().len(), TALLY_DEVICES);
    }
}
