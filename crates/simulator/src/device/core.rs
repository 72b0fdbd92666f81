//! What every device has: an identity, boots, a sequence number, an uptime and perhaps a wall clock.
use std::collections::VecDeque;
use std::sync::Arc;

use telemetry::{DeviceKind, FaultCode, Presence, WallTimeSource, proto};

use super::{Content, Emission, Place, Who};
use crate::fault::{FaultKind, Truth};
use crate::fleet::{Device, Fleet};
use crate::rng::Rng;

/// A heartbeat at least every 10 s in a session and every 60 s outside one is asked for; with room to spare.
pub(super) const HEARTBEAT_IN_SESSION_US: u64 = 8_000_000;
pub(super) const HEARTBEAT_IDLE_US: u64 = 45_000_000;

/// Devices are switched on within this time of the start.
const POWER_ON_US: u64 = 1_000_000;

/// The session that frames are stamped with.
#[derive(Debug, Clone, Copy)]
pub(super) struct InSession {
    pub(super) session: [u8; 16],
    pub(super) visit: [u8; 16],
    pub(super) started_us: u64,
}

/// The common part of a device's state.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) device: Arc<Device>,
    pub(super) rng: Rng,
    pub(super) in_session: Option<InSession>,
    pub(super) heartbeat_due_us: u64,
    boot: u64,
    /// Simulated time of uptime 0: before the start for a device that runs for a while already.
    booted_us: i64,
    sequence: u64,
    battery_percent: u32,
    start_wall_us: i64,
    clock_error_us: i64,
    /// Faults that the device has told of itself.
    told: Vec<FaultKind>,
    ready: VecDeque<Emission>,
}

impl Core {
    pub(super) fn new(fleet: &Fleet, device: &Arc<Device>) -> Self {
        let mut rng = Rng::stream(
            fleet.seed,
            &["device", device.who.tenant.as_str(), device.who.id.as_str()],
        );
        // A free-running clock drifts by seconds, a disciplined one by milliseconds; assumptions.
        let error = match device.clock {
            Some(WallTimeSource::Rtc) => 2_000_000.0,
            _ => 10_000.0,
        };
        Self {
            device: Arc::clone(device),
            in_session: None,
            heartbeat_due_us: 0,
            boot: 0,
            booted_us: 0,
            sequence: 0,
            battery_percent: 100,
            start_wall_us: fleet.start.0,
            clock_error_us: rng.uniform(-error, error) as i64,
            rng,
            told: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    pub(super) fn who(&self) -> &Who {
        &self.device.who
    }

    /// When a treating device is switched on. Stations and autoclaves run before the clinic opens.
    pub(super) fn power_on_us(&mut self) -> u64 {
        self.rng.between(0, POWER_ON_US)
    }

    /// Boots: a new boot id, sequence numbers from 0, presence online, and the birth.
    pub(super) fn boot(&mut self, at_us: u64, birth: proto::Birth) {
        self.boot = self.rng.bits();
        // From power to the first frame: 2 to 20 s; an assumption.
        self.booted_us = at_us as i64 - self.rng.between(2_000_000, 20_000_000) as i64;
        self.sequence = 0;
        self.in_session = None;
        self.ready.push_back(Emission {
            at_us,
            content: Content::Status(proto::Status {
                presence: Some(Presence::Online.to_wire()),
                boot_id: Some(self.boot),
            }),
            truths: Vec::new(),
        });
        self.emit(at_us, proto::frame::Body::Birth(birth));
        self.heartbeat_due_us = at_us + HEARTBEAT_IDLE_US;
    }

    /// Microseconds since boot.
    pub(super) fn uptime_us(&self, at_us: u64) -> u64 {
        (at_us as i64 - self.booted_us).max(0) as u64
    }

    /// Where the next frame will stand.
    pub(super) fn place(&self) -> Place {
        Place {
            boot: self.boot,
            sequence: self.sequence,
            session: self.in_session.map(|s| s.session),
        }
    }

    pub(super) fn emit(&mut self, at_us: u64, body: proto::frame::Body) {
        self.emit_with(at_us, body, Vec::new());
    }

    pub(super) fn emit_with(&mut self, at_us: u64, body: proto::frame::Body, truths: Vec<Truth>) {
        let header = self.header(at_us);
        self.sequence += 1;
        let frame = proto::Frame {
            header: Some(header),
            body: Some(body),
        };
        self.ready.push_back(Emission {
            at_us,
            content: Content::Frame(Box::new(frame)),
            truths,
        });
    }

    fn header(&self, at_us: u64) -> proto::Header {
        let session = self.in_session;
        proto::Header {
            schema_version: Some(1),
            device_id: Some(self.device.who.id.to_string()),
            boot_id: Some(self.boot),
            sequence: Some(self.sequence),
            uptime_us: Some(self.uptime_us(at_us)),
            wall_time_us: self
                .device
                .clock
                .map(|_| self.start_wall_us + at_us as i64 + self.clock_error_us),
            wall_time_source: self.device.clock.map(WallTimeSource::to_wire),
            session_id: session.map(|s| s.session.to_vec()),
            session_start_uptime_us: session.map(|s| self.uptime_us(s.started_us)),
            visit_id: session.map(|s| s.visit.to_vec()),
            oldest_unacknowledged_sequence: None,
            wants_ack_up_to: None,
        }
    }

    /// What the device says is wrong with itself, beside its sign of life.
    fn own_faults(&mut self, at_us: u64) {
        let device = Arc::clone(&self.device);
        for fault in device.faults.iter().filter(|f| f.is_active(at_us)) {
            let pen = device.kind == DeviceKind::Pen;
            let code = match fault.kind {
                FaultKind::SensorFault if pen => FaultCode::DepthSensor,
                FaultKind::SensorFault => FaultCode::EnergySensor,
                FaultKind::MotorFault if pen => FaultCode::Motor,
                FaultKind::MotorFault => FaultCode::Lamp,
                _ => continue,
            };
            if self.told.contains(&fault.kind) {
                continue;
            }
            self.told.push(fault.kind);
            let truth = Truth::new(fault.kind, self.who(), at_us, format!("tells a fault: {code}")).at(self.place());
            let body = proto::Fault {
                code: Some(code.to_wire()),
                vendor_code: None,
            };
            self.emit_with(at_us, proto::frame::Body::Fault(body), vec![truth]);
        }
    }

    pub(super) fn heartbeat(&mut self, at_us: u64) {
        self.own_faults(at_us);
        let in_session = self.in_session.is_some();
        self.battery_percent = self
            .battery_percent
            .saturating_sub(u32::from(self.rng.chance(0.05)))
            .max(20);
        self.emit(
            at_us,
            proto::frame::Body::Heartbeat(proto::Heartbeat {
                in_session: Some(in_session),
                battery_percent: Some(self.battery_percent),
                queued_frames: Some(0),
                dropped_frames: Some(0),
            }),
        );
        self.heartbeat_due_us = at_us
            + if in_session {
                HEARTBEAT_IN_SESSION_US
            } else {
                HEARTBEAT_IDLE_US
            };
    }

    /// What is ready to go out.
    pub(super) fn pop(&mut self) -> Option<Emission> {
        self.ready.pop_front()
    }

    /// What every birth says.
    pub(super) fn birth(&self) -> proto::Birth {
        proto::Birth {
            kind: Some(self.device.kind.to_wire()),
            model: Some(self.device.model.to_string()),
            firmware: Some(self.device.firmware.to_owned()),
            serial: Some(self.device.serial.to_string()),
            ..proto::Birth::default()
        }
    }
}
