//! Devices as pure state machines over simulated time: each hands out its next emission, and what it would have done
//! without us watching is not different.
mod autoclave;
mod batch;
mod core;
mod ipl;
mod pen;
mod station;

use std::sync::Arc;

use telemetry::{ClinicId, DeviceId, DeviceKey, DeviceKind, TenantId, proto};

use crate::fault::{Truth, Wire};
use crate::fleet::{Device, Fleet};

/// Who a device is and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its clinic.
    pub clinic: ClinicId,
    /// Its id within the tenant.
    pub id: DeviceId,
}

impl Who {
    /// The device's identity.
    pub fn key(&self) -> DeviceKey {
        DeviceKey {
            tenant: self.tenant.clone(),
            device: self.id.clone(),
        }
    }

    /// A topic of the device; `channel` is the last level.
    pub fn topic(&self, channel: &str) -> String {
        format!("dermatel/v1/{}/{}/{}/{channel}", self.tenant, self.clinic, self.id)
    }
}

/// Where in a device's own count something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) boot: u64,
    pub(crate) sequence: u64,
    pub(crate) session: Option<[u8; 16]>,
}

/// What a device publishes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// A frame, with everything but what only the sender's outbox knows.
    Frame(Box<proto::Frame>),
    /// Presence, retained.
    Status(proto::Status),
    /// Bytes that are not a frame of ours, on the telemetry topic.
    Garbage(Vec<u8>),
    /// Nothing: only the truth is told.
    Nothing,
}

/// One publish of one device.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Emission {
    /// Simulated microseconds since the start.
    pub(crate) at_us: u64,
    pub(crate) content: Content,
    /// What goes wrong with this one.
    pub(crate) truths: Vec<Truth>,
}

impl Emission {
    pub(crate) fn place(&self) -> Option<Place> {
        let Content::Frame(frame) = &self.content else {
            return None;
        };
        let header = frame.header.as_ref()?;
        Some(Place {
            boot: header.boot_id?,
            sequence: header.sequence?,
            session: header.session_id.as_deref().and_then(|id| id.try_into().ok()),
        })
    }
}

#[derive(Debug)]
enum Machine {
    Pen(Box<pen::Pen>),
    Ipl(Box<ipl::Ipl>),
    Autoclave(Box<autoclave::Autoclave>),
    Station(Box<station::Station>),
}

/// The emissions of one device in the order in which it publishes them, faults included.
#[derive(Debug)]
pub(crate) struct DeviceStream {
    machine: Machine,
    wire: Wire,
}

impl DeviceStream {
    pub(crate) fn new(fleet: &Fleet, device: &Arc<Device>) -> Self {
        let core = core::Core::new(fleet, device);
        let machine = match device.kind {
            DeviceKind::Pen => Machine::Pen(Box::new(pen::Pen::new(fleet, core))),
            DeviceKind::Ipl => Machine::Ipl(Box::new(ipl::Ipl::new(fleet, core))),
            DeviceKind::Autoclave => Machine::Autoclave(Box::new(autoclave::Autoclave::new(fleet, core))),
            DeviceKind::DisinfectionStation => Machine::Station(Box::new(station::Station::new(fleet, core))),
        };
        Self {
            machine,
            wire: Wire::new(fleet, device),
        }
    }
}

impl Iterator for DeviceStream {
    type Item = Emission;

    /// Never ends: a device heartbeats for ever. Times never go backwards.
    fn next(&mut self) -> Option<Emission> {
        loop {
            if let Some(emission) = self.wire.pop() {
                return Some(emission);
            }
            let emission = match &mut self.machine {
                Machine::Pen(pen) => pen.next(),
                Machine::Ipl(ipl) => ipl.next(),
                Machine::Autoclave(autoclave) => autoclave.next(),
                Machine::Station(station) => station.next(),
            };
            self.wire.push(emission);
        }
    }
}
