//! Whether what a device says can be trusted as data: numbers that will never come, a clock that is off, two machines under
//! one name.
use std::time::Duration;

use telemetry::ClockQuality;

use super::frame::Context;
use super::raise::Finding;
use super::state::Device;
use super::{Engine, Slot, Why};
use crate::id::Cause;
use crate::lifecycle::Signal;
use crate::rules::Kind;

/// How often a device must return to an earlier boot before it is two machines. Once can be a clock that was fixed late;
/// twice no single machine does: after a boot there is no way back to the one before.
const RETURNS: u8 = 2;
/// How long one machine must have spoken alone before two are over. Our choice: longer than a treatment.
const ALONE_FOR: Duration = Duration::from_secs(3_600);

fn finding(context: &Context<'_>, kind: Kind, cause: Cause, value: f64, what_happened: String) -> Finding {
    Finding {
        kind,
        cause,
        visit: None,
        zone: None,
        session: context.session,
        value,
        limit: 0.0,
        margin: 0.0,
        single: false,
        what_happened,
        at: context.moment.event_time,
    }
}

impl Engine {
    /// Looks at the newest frame of a device, before its session and boot are taken over.
    pub(super) fn quality(&mut self, context: &Context<'_>, slot: &mut Slot) {
        if !context.newest {
            return;
        }
        let device = &mut slot.device;
        self.boots(context, device);
        self.alone_again(context, device);
        self.gap(context, device);
        self.clock_skew(context, device);
    }

    /// Another boot than before: a new one, or the return of an old one.
    fn boots(&mut self, context: &Context<'_>, device: &mut Device) {
        let boot = context.header.boot.0;
        if device.heard.is_none_or(|heard| heard.boot == boot) {
            return;
        }
        let known = device
            .boots
            .newest()
            .is_some_and(|seen| seen.boot() == boot && seen.count() > 1);
        if !known {
            device.returns = 0;
            // What was lost of a boot that is over was told.
            self.signal_all(device, Signal::Cleared, Why::Cleared, context.moment, |a| {
                a.kind == Kind::SequenceGap
            });
            return;
        }
        device.returns = device.returns.saturating_add(1);
        device.returned_at = context.frame.admitted.received_at;
        if device.returns >= RETURNS {
            let cause = Cause::Frame {
                boot,
                sequence: context.header.sequence,
            };
            let what = "frames of two boots in turn: two machines speak under this device's identity".to_owned();
            let found = finding(context, Kind::IdentityConflict, cause, f64::from(device.returns), what);
            self.violated(device, found, context.moment);
        }
    }

    /// Its birth tells another serial than the registry has.
    pub(super) fn serial_told(&mut self, context: &Context<'_>, serial: &str, device: &mut Device) {
        let Some(registered) = self.fleet.serial(context.key) else {
            return;
        };
        if registered.as_str() == serial {
            return;
        }
        let cause = Cause::Frame {
            boot: context.header.boot.0,
            sequence: context.header.sequence,
        };
        let what = format!("it says that its serial is {serial}, the registry has {registered}");
        let found = finding(context, Kind::IdentityConflict, cause, 0.0, what);
        self.violated(device, found, context.moment);
    }

    /// Nobody else has spoken under this identity for long enough, and what it says of itself is what the registry has.
    fn alone_again(&mut self, context: &Context<'_>, device: &mut Device) {
        if !device.open.iter().any(|open| open.kind == Kind::IdentityConflict) {
            return;
        }
        let told = device.serial.as_deref().zip(self.fleet.serial(context.key));
        let another = told.is_some_and(|(told, registered)| told != registered.as_str());
        let alone_since = device.returned_at.plus(ALONE_FOR);
        if another || context.frame.admitted.received_at < alone_since {
            return;
        }
        device.returns = 0;
        self.signal_all(device, Signal::Cleared, Why::Cleared, context.moment, |a| {
            a.kind == Kind::IdentityConflict
        });
    }

    /// Numbers that did not come and that the device no longer has.
    fn gap(&mut self, context: &Context<'_>, device: &mut Device) {
        let below = context.header.oldest_unacknowledged;
        let gone = device
            .boots
            .newest_mut()
            .zip(below)
            .and_then(|(seen, below)| seen.gone_below(below));
        let Some((first, count)) = gone else {
            return;
        };
        let cause = Cause::Frame {
            boot: context.header.boot.0,
            sequence: first,
        };
        let what = format!("{count} frames from number {first} on did not arrive, and the device no longer has them");
        let found = finding(context, Kind::SequenceGap, cause, count as f64, what);
        self.violated(device, found, context.moment);
    }

    fn clock_skew(&mut self, context: &Context<'_>, device: &mut Device) {
        let open = device.open.iter().any(|open| open.kind == Kind::ClockSkew);
        let skewed = context.frame.admitted.clock == ClockQuality::Skewed;
        match (skewed, open) {
            (true, false) => {
                let received_at = context.frame.admitted.received_at;
                let off = context.header.wall.map_or(0, |wall| wall.at.0.abs_diff(received_at.0)) as f64 / 1e6;
                let cause = Cause::Boot {
                    boot: context.header.boot.0,
                };
                let what = format!("its clock is off by {off:.0} s: times are those of arrival");
                let found = finding(context, Kind::ClockSkew, cause, off, what);
                self.violated(device, found, context.moment);
            }
            (false, true) => {
                self.signal_all(device, Signal::Cleared, Why::Cleared, context.moment, |a| {
                    a.kind == Kind::ClockSkew
                });
            }
            _ => {}
        }
    }
}
