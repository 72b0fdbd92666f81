//! Acknowledgements from the far end, for devices that ask for them: "everything of this boot up to this number is on the disk of
//! whoever stores it and of whoever judges it".
//!
//! A PUBACK says that a frame is on the gateway's disk. Where gateway, ingestor and alerting run apart, a gateway's disk may die with what it
//! has not handed on; a device that keeps its frames until the far end has them loses nothing by that.
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use metrics::counter;
use prost::Message as _;
use spool::Offset;
use telemetry::{BootId, DeviceKey, proto};
use tokio::task::JoinSet;

use crate::gateway::Handle;
use crate::metrics::{ACK_UP_TO, ACK_UP_TO_FORGOTTEN};

/// Most devices that wait for one. One more is not answered until it asks again.
pub const DEVICES_MAX: usize = 100_000;
/// How often it is looked how far everything is held.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Most that are on their way at a time.
const UNDER_WAY: usize = 64;
/// Longest wait for a device's PUBACK.
const TRY_FOR: Duration = Duration::from_secs(5);

/// Who waits for what. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct AckUpTo(Arc<Mutex<HashMap<DeviceKey, Waits>>>);

#[derive(Debug)]
struct Waits {
    boot: BootId,
    /// What is told next, once everything before its offset is held.
    first: Told,
    /// The newest that can be told.
    newest: Told,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    sequence: u64,
    offset: Offset,
}

impl AckUpTo {
    /// A device has asked: of this boot everything up to `sequence` stands before `offset` in the gateway's log.
    pub(crate) fn asked(&self, device: DeviceKey, boot: BootId, sequence: u64, offset: Offset) {
        let newest = Told { sequence, offset };
        let new = Waits {
            boot,
            first: newest,
            newest,
        };
        let mut waiting = self.lock();
        let room = waiting.len() < DEVICES_MAX;
        match waiting.entry(device) {
            Entry::Occupied(mut waits) if waits.get().boot == boot => waits.get_mut().newest = newest,
            Entry::Occupied(mut waits) => {
                waits.insert(new);
            }
            Entry::Vacant(place) if room => {
                place.insert(new);
            }
            Entry::Vacant(_) => counter!(ACK_UP_TO_FORGOTTEN).increment(1),
        }
    }

    /// What can be told now that everything before `held` is held at the far end.
    fn due(&self, held: Offset) -> Vec<(DeviceKey, BootId, u64)> {
        let mut due = Vec::new();
        self.lock().retain(|device, waits| {
            if waits.first.offset > held {
                return true;
            }
            let all = waits.newest.offset <= held;
            let told = if all { waits.newest } else { waits.first };
            due.push((device.clone(), waits.boot, told.sequence));
            waits.first = waits.newest;
            !all
        });
        due
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DeviceKey, Waits>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells devices until `stop`; `held` says before which offset of the gateway's log everything is held at the far end. One that
    /// is not connected, or does not listen, asks again with its next frame.
    pub async fn run(self, gateway: Handle, held: impl Fn() -> Offset, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                () = &mut stop => return,
                _ = look.tick() => {}
            }
            for (device, boot, sequence) in self.due(held()) {
                while under_way.len() >= UNDER_WAY {
                    under_way.join_next().await;
                }
                let gateway = gateway.clone();
                under_way.spawn(async move {
                    let sent = gateway.send_command(&device, encode(boot, sequence));
                    let outcome = match tokio::time::timeout(TRY_FOR, sent).await {
                        Ok(Ok(delivered)) => delivered.as_str(),
                        Ok(Err(error)) => error.as_str(),
                        Err(_) => "timeout",
                    };
                    counter!(ACK_UP_TO, "outcome" => outcome).increment(1);
                });
            }
            while under_way.try_join_next().is_some() {}
        }
    }
}

fn encode(boot: BootId, sequence: u64) -> Bytes {
    let told = proto::AckUpTo {
        boot_id: Some(boot.0),
        sequence: Some(sequence),
    };
    let command = proto::DeviceCommand {
        command: Some(proto::device_command::Command::AckUpTo(told)),
    };
    command.encode_to_vec().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pen(id: &str) -> DeviceKey {
        DeviceKey {
            tenant: "acme".parse().unwrap(),
            device: id.parse().unwrap(),
        }
    }

    #[test]
    fn nothing_is_told_before_it_is_held_and_the_newest_that_is() {
        let acks = AckUpTo::default();
        acks.asked(pen("pen-1"), BootId(7), 3, Offset(10));
        acks.asked(pen("pen-1"), BootId(7), 5, Offset(20));
        acks.asked(pen("pen-1"), BootId(7), 9, Offset(30));
        assert_eq!(acks.due(Offset(9)), []);
        assert_eq!(acks.due(Offset(25)), [(pen("pen-1"), BootId(7), 3)]);
        assert_eq!(acks.due(Offset(29)), []);
        assert_eq!(acks.due(Offset(30)), [(pen("pen-1"), BootId(7), 9)]);
        assert_eq!(acks.due(Offset(99)), [], "once");
    }

    #[test]
    fn of_another_boot_nothing_is_told_that_was_asked_for_the_one_before() {
        let acks = AckUpTo::default();
        acks.asked(pen("pen-1"), BootId(7), 3, Offset(10));
        acks.asked(pen("pen-1"), BootId(8), 0, Offset(20));
        assert_eq!(acks.due(Offset(15)), []);
        assert_eq!(acks.due(Offset(20)), [(pen("pen-1"), BootId(8), 0)]);
    }

    #[test]
    fn one_device_more_than_there_is_room_for_is_not_answered_and_costs_nobody_else() {
        let acks = AckUpTo::default();
        for number in 0..=DEVICES_MAX {
            acks.asked(pen(&format!("pen-{number}")), BootId(1), 1, Offset(1));
        }
        assert_eq!(acks.due(Offset(1)).len(), DEVICES_MAX);
    }
}
