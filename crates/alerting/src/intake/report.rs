//! What parts of the installation report: receivers that fail, rotas that run out, heartbeats, another instance that has paged already.
use serde::{Deserialize, Serialize};
use telemetry::{DeviceId, DeviceKey, GatewayId, TenantId, UnixMicros, proto};

use super::{InputError, id16, put};
use crate::id::{AlertId, TransitionId};

/// A receiver does not take its pages, or takes them again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverState {
    /// Its name.
    pub receiver: String,
    /// Whether it fails.
    pub failing: bool,
    /// A bounded name of why.
    pub reason: String,
    /// Since when.
    pub at: UnixMicros,
}

/// Somebody whose silence is an alarm was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// As the rule names it.
    pub sender: String,
    /// When.
    pub at: UnixMicros,
}

/// How long a rota of the paging plan has shifts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotaState {
    /// Its name.
    pub rota: String,
    /// When its last shift ends, soon or already; `None`: not within sight.
    pub ends: Option<UnixMicros>,
    /// By when this was found.
    pub at: UnixMicros,
}

/// Another instance has done this already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Which instance.
    pub instance: String,
    /// The alert, which both compute alike.
    pub alert: AlertId,
    /// The step that it paged, or by which it was acknowledged.
    pub transition: TransitionId,
    /// When.
    pub at: UnixMicros,
    /// Who acknowledged it there; `None`: nobody yet.
    pub acknowledged_by: Option<String>,
}

/// What a gateway refused of a registered device since it told the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The gateway.
    pub gateway: GatewayId,
    /// Whose messages.
    pub device: DeviceKey,
    /// How many.
    pub count: u64,
    /// A bounded name of why: that of the newest.
    pub reason: String,
    /// When the gateway received the newest.
    pub received_at: UnixMicros,
}

impl Refused {
    /// Its record in the log.
    pub fn encode(&self) -> Vec<u8> {
        encode(proto::input::Input::Refused(proto::Refused {
            gateway: self.gateway.to_string(),
            tenant: self.device.tenant.to_string(),
            device: self.device.device.to_string(),
            count: self.count,
            reason: self.reason.clone(),
            received_at_us: self.received_at.0,
        }))
    }

    pub(super) fn from_wire(wire: proto::Refused) -> Result<Self, InputError> {
        Ok(Self {
            gateway: GatewayId::new(&wire.gateway).map_err(InputError::Id)?,
            device: DeviceKey {
                tenant: TenantId::new(&wire.tenant).map_err(InputError::Id)?,
                device: DeviceId::new(&wire.device).map_err(InputError::Id)?,
            },
            count: wire.count,
            reason: wire.reason,
            received_at: UnixMicros(wire.received_at_us),
        })
    }
}

/// How full a log beside a gateway is of what its slowest reader has not consumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The gateway.
    pub gateway: GatewayId,
    /// Which log: named like an id.
    pub log: DeviceId,
    /// Per cent of what it may take.
    pub percent: u32,
    /// When.
    pub at: UnixMicros,
}

impl Backlog {
    /// Its record in the log.
    pub fn encode(&self) -> Vec<u8> {
        encode(proto::input::Input::Backlog(proto::Backlog {
            gateway: self.gateway.to_string(),
            log: self.log.to_string(),
            percent: self.percent,
            at_us: self.at.0,
        }))
    }

    pub(super) fn from_wire(wire: proto::Backlog) -> Result<Self, InputError> {
        Ok(Self {
            gateway: GatewayId::new(&wire.gateway).map_err(InputError::Id)?,
            log: DeviceId::new(&wire.log).map_err(InputError::Id)?,
            percent: wire.percent,
            at: UnixMicros(wire.at_us),
        })
    }
}

fn encode(input: proto::input::Input) -> Vec<u8> {
    let mut into = Vec::new();
    put(input, &mut into);
    into
}

impl ReceiverState {
    /// Its record in the log.
    pub fn encode(&self) -> Vec<u8> {
        encode(proto::input::Input::ReceiverState(proto::ReceiverState {
            receiver: self.receiver.clone(),
            failing: self.failing,
            reason: self.reason.clone(),
            at_us: self.at.0,
        }))
    }
}

impl From<proto::ReceiverState> for ReceiverState {
    fn from(wire: proto::ReceiverState) -> Self {
        Self {
            receiver: wire.receiver,
            failing: wire.failing,
            reason: wire.reason,
            at: UnixMicros(wire.at_us),
        }
    }
}

impl Beat {
    /// Its record in the log.
    pub fn encode(&self) -> Vec<u8> {
        encode(proto::input::Input::Beat(proto::Beat {
            sender: self.sender.clone(),
            at_us: self.at.0,
        }))
    }
}

impl From<proto::Beat> for Beat {
    fn from(wire: proto::Beat) -> Self {
        Self {
            sender: wire.sender,
            at: UnixMicros(wire.at_us),
        }
    }
}

impl RotaState {
    /// Its record in the log.
    pub fn encode(&self) -> Vec<u8> {
        encode(proto::input::Input::RotaState(proto::RotaState {
            rota: self.rota.clone(),
            ends_us: self.ends.map_or(0, |ends| ends.0),
            at_us: self.at.0,
        }))
    }
}

impl From<proto::RotaState> for RotaState {
    fn from(wire: proto::RotaState) -> Self {
        Self {
            rota: wire.rota,
            ends: Some(wire.ends_us).filter(|us| *us != 0).map(UnixMicros),
            at: UnixMicros(wire.at_us),
        }
    }
}

impl Told {
    /// Its record in the log.
    pub fn encode(&self) -> Vec<u8> {
        encode(proto::input::Input::Told(proto::Told {
            instance: self.instance.clone(),
            alert_id: self.alert.0.to_vec(),
            transition_id: self.transition.0.to_vec(),
            at_us: self.at.0,
            acknowledged_by: self.acknowledged_by.clone().unwrap_or_default(),
        }))
    }

    pub(super) fn from_wire(wire: proto::Told) -> Result<Self, InputError> {
        Ok(Self {
            alert: AlertId(id16(&wire.alert_id)?),
            transition: TransitionId(id16(&wire.transition_id)?),
            instance: wire.instance,
            at: UnixMicros(wire.at_us),
            acknowledged_by: Some(wire.acknowledged_by).filter(|who| !who.is_empty()),
        })
    }
}
