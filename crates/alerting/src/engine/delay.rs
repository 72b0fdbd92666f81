//! On-delay and off-delay: a condition must hold for a while before it is told, and must be over for a while before that is.
//! Both run on the gateway's watermark. What is high or decided by one reading is never delayed: the rule file refuses that.
use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry::{DeviceKey, UnixMicros};

use super::presence::Due;
use super::state::Device;
use super::{Alert, Engine, Moment, Slot, Why};
use crate::id::{AlertId, Trigger};
use crate::lifecycle::{Signal, State};

/// What an alert waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delay {
    /// It is told when it still holds then.
    On {
        /// When, on the gateway's clock.
        due: UnixMicros,
    },
    /// It is over when it has not come back by then.
    Off {
        /// When, on the gateway's clock.
        due: UnixMicros,
    },
}

impl Delay {
    const fn due(self) -> UnixMicros {
        match self {
            Self::On { due } | Self::Off { due } => due,
        }
    }
}

/// What becomes of a signal: given on as it is or as another one, or kept; and what the alert waits for afterwards.
fn delayed(
    alert: &Alert,
    signal: Signal,
    now: UnixMicros,
    on: Duration,
    off: Duration,
) -> (Option<Signal>, Option<Delay>) {
    let new = !alert.life.is_confirmed();
    match (signal, alert.delay) {
        (
            Signal::Violated {
                single: false,
                worse: false,
            },
            None,
        ) if new && !on.is_zero() => (Some(Signal::Suspected), Some(Delay::On { due: now.plus(on) })),
        (
            Signal::Violated {
                single: false,
                worse: false,
            },
            Some(Delay::On { due }),
        ) => (None, Some(Delay::On { due })),
        (Signal::Cleared, None) if alert.life.is_active() && !off.is_zero() => {
            (None, Some(Delay::Off { due: now.plus(off) }))
        }
        (Signal::Cleared, Some(Delay::Off { due })) => (None, Some(Delay::Off { due })),
        (Signal::Violated { .. } | Signal::Cleared | Signal::SessionOver | Signal::Retracted, _) => {
            (Some(signal), None)
        }
        (_, waits) => (Some(signal), waits),
    }
}

impl Engine {
    /// Gives a signal to an open alert, now or when its delay has passed.
    pub(super) fn signal(&mut self, device: &mut Device, id: AlertId, signal: Signal, why: Why, moment: &Moment<'_>) {
        let Some(alert) = self.alerts.get_mut(&id) else {
            return;
        };
        let head = self.rules.head(alert.kind);
        let (on, off) = head.map_or_else(Default::default, |head| (head.on_delay, head.off_delay));
        let now = match moment.trigger {
            Trigger::Due { at } => UnixMicros(at),
            _ => device.received_at,
        };
        let (given, waits) = delayed(alert, signal, now, on, off);
        if waits != alert.delay {
            alert.delay = waits;
            let alert = alert.clone();
            self.changed_alerts.insert(id, alert);
            if let Some(waits) = waits {
                self.timers.arm(&device.gateway, waits.due(), moment.key, Due::Delay);
            }
        }
        if let Some(given) = given {
            let why = if given == Signal::Suspected {
                Why::Suspected
            } else {
                why
            };
            self.signal_now(device, id, given, why, moment);
        }
    }

    /// Puts the deadlines into the timers again after a restart.
    pub(super) fn rearm_delays(&mut self, key: &DeviceKey, device: &Device) {
        for open in &device.open {
            if let Some(delay) = self.alerts.get(&open.id).and_then(|alert| alert.delay) {
                self.timers.arm(&device.gateway, delay.due(), key, Due::Delay);
            }
        }
    }

    /// A delay of the device may have passed.
    pub(super) fn delay_due(&mut self, due: UnixMicros, key: &DeviceKey, slot: &mut Slot) {
        let ids: Vec<AlertId> = slot.device.open.iter().map(|open| open.id).collect();
        for id in ids {
            let Some(alert) = self.alerts.get_mut(&id) else {
                continue;
            };
            let Some(delay) = alert.delay.filter(|delay| delay.due() <= due) else {
                continue;
            };
            if matches!(delay, Delay::Off { .. }) && alert.state() == State::Unknown {
                // It was over, and then nothing more was heard: that does not end it.
                alert.delay = None;
                continue;
            }
            alert.delay = None;
            let mut moment = Moment::due(key, Trigger::Due { at: due.0 }, alert.event_time);
            moment.class = alert.class;
            moment.evidence = slot.device.offsets.iter().copied().collect();
            let (signal, why) = match delay {
                Delay::On { .. } => (
                    Signal::Violated {
                        single: false,
                        worse: false,
                    },
                    Why::Raised,
                ),
                Delay::Off { .. } => (Signal::Cleared, Why::Cleared),
            };
            self.signal_now(&mut slot.device, id, signal, why, &moment);
        }
        self.changed_devices.insert(key.clone());
    }
}
