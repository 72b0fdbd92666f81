//! A message that was let in, as it stands in the logs: the payload as it came, and what the gateway fixed once and for
//! ever (when it was received, the anchor of its boot, where it came from).
use bytes::Bytes;
use prost::Message as _;

use crate::{
    BootId, Channel, ClinicId, DeviceId, DeviceKey, GatewayId, IdError, Rejected, SessionId, Status, Telemetry,
    TenantId, Topic, UnixMicros, Uptime, decode, decode_status, proto,
};

/// How good event times of a boot are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClockQuality {
    /// From the device's trusted wall clock.
    Device,
    /// The device has no trusted clock: from the arrival of the boot's first frame.
    Received,
    /// The device's clock was off by more than the bound: as received.
    Skewed,
}

impl ClockQuality {
    /// The name in tags and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Received => "received",
            Self::Skewed => "skewed",
        }
    }
}

/// Where a message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The devices' endpoint.
    Endpoint,
    /// A subscription at an existing broker.
    Broker,
    /// Recorded by a person through the local API.
    Recorded,
    /// Replayed from quarantine: stored, never a page.
    Replayed,
    /// Written by Dermatel itself.
    Internal,
}

/// What the payload of an [`Admitted`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// A frame of a device.
    Telemetry,
    /// A device's status.
    Status,
    /// A step of an alert, written by alerting for the store.
    Alert,
}

/// A message that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The tenant.
    pub tenant: TenantId,
    /// The clinic.
    pub clinic: ClinicId,
    /// The device.
    pub device: DeviceId,
    /// What the payload is.
    pub content: Content,
    /// As it came.
    pub payload: Bytes,
    /// Wall clock of the gateway.
    pub received_at: UnixMicros,
    /// Wall time of uptime 0 of this boot; `None` where there is no boot.
    pub anchor: Option<UnixMicros>,
    /// How good event times are.
    pub clock: ClockQuality,
    /// Where it came from.
    pub origin: Origin,
    /// Same (device, boot, sequence) as an earlier message with another payload.
    pub sequence_reused: bool,
    /// The sequence number was seen before, too long ago to compare payloads.
    pub maybe_seen_before: bool,
    /// Which gateway let it in.
    pub gateway: GatewayId,
    /// The broker delivered it as retained: no proof of life.
    pub retained: bool,
}

/// Why bytes of a log are not an [`Admitted`]. It passed a checksum, so another version of the program wrote it.
#[derive(Debug, thiserror::Error)]
pub enum AdmittedError {
    /// No protobuf of this schema.
    #[error("record is no admitted message")]
    Malformed(#[source] prost::DecodeError),
    /// An id in it is bad.
    #[error("record holds a bad id")]
    Id(#[source] IdError),
    /// It is of a kind that this version does not know.
    #[error("record is of kind {0}, which this version does not know")]
    UnknownContent(i32),
}

impl Admitted {
    /// Identity of the device.
    pub fn key(&self) -> DeviceKey {
        DeviceKey {
            tenant: self.tenant.clone(),
            device: self.device.clone(),
        }
    }

    /// The topic that it came on, or would have come on.
    pub fn topic(&self, channel: Channel) -> Topic {
        Topic {
            tenant: self.tenant.clone(),
            clinic: self.clinic.clone(),
            device: self.device.clone(),
            channel,
        }
    }

    /// Event time of an uptime of this message's boot; the received time where there is no anchor.
    pub fn event_time(&self, uptime: Uptime) -> UnixMicros {
        self.anchor.map_or(self.received_at, |anchor| uptime.at(anchor))
    }

    /// Decodes the payload as a frame.
    ///
    /// # Errors
    /// As [`crate::decode`]: another version of the program let it in.
    pub fn telemetry(&self) -> Result<Telemetry, Rejected> {
        decode(&self.topic(Channel::Telemetry), &self.payload)
    }

    /// Decodes the payload as a status.
    ///
    /// # Errors
    /// As [`crate::decode_status`].
    pub fn status(&self) -> Result<Status, Rejected> {
        decode_status(&self.topic(Channel::Status), &self.payload).map(|(status, _)| status)
    }

    /// The bytes for a log.
    pub fn encode(&self) -> Vec<u8> {
        self.to_wire().encode_to_vec()
    }

    /// As a message of the schema, for logs that wrap it in one of their own.
    pub fn to_wire(&self) -> proto::Admitted {
        proto::Admitted {
            tenant: self.tenant.to_string(),
            clinic: self.clinic.to_string(),
            device: self.device.to_string(),
            channel: match self.content {
                Content::Telemetry => proto::Channel::Telemetry,
                Content::Status => proto::Channel::Status,
                Content::Alert => proto::Channel::Alert,
            } as i32,
            payload: self.payload.clone(),
            received_at_us: self.received_at.0,
            anchor_us: self.anchor.map(|a| a.0),
            clock_quality: match self.clock {
                ClockQuality::Device => proto::ClockQuality::Device,
                ClockQuality::Received => proto::ClockQuality::Received,
                ClockQuality::Skewed => proto::ClockQuality::Skewed,
            } as i32,
            origin: match self.origin {
                Origin::Endpoint => proto::Origin::Endpoint,
                Origin::Broker => proto::Origin::Broker,
                Origin::Recorded => proto::Origin::Recorded,
                Origin::Replayed => proto::Origin::Replayed,
                Origin::Internal => proto::Origin::Internal,
            } as i32,
            sequence_reused: self.sequence_reused,
            maybe_seen_before: self.maybe_seen_before,
            gateway: self.gateway.to_string(),
            retained: self.retained,
        }
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`AdmittedError`]: written by another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, AdmittedError> {
        Self::from_wire(proto::Admitted::decode(bytes).map_err(AdmittedError::Malformed)?)
    }

    /// Reads what [`Self::to_wire`] made.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn from_wire(wire: proto::Admitted) -> Result<Self, AdmittedError> {
        Ok(Self {
            tenant: TenantId::new(&wire.tenant).map_err(AdmittedError::Id)?,
            clinic: ClinicId::new(&wire.clinic).map_err(AdmittedError::Id)?,
            device: DeviceId::new(&wire.device).map_err(AdmittedError::Id)?,
            content: match wire.channel() {
                proto::Channel::Telemetry => Content::Telemetry,
                proto::Channel::Status => Content::Status,
                proto::Channel::Alert => Content::Alert,
                proto::Channel::Unspecified => return Err(AdmittedError::UnknownContent(wire.channel)),
            },
            received_at: UnixMicros(wire.received_at_us),
            anchor: wire.anchor_us.map(UnixMicros),
            clock: match wire.clock_quality() {
                proto::ClockQuality::Device => ClockQuality::Device,
                proto::ClockQuality::Skewed => ClockQuality::Skewed,
                _ => ClockQuality::Received,
            },
            origin: match wire.origin() {
                proto::Origin::Endpoint => Origin::Endpoint,
                proto::Origin::Broker => Origin::Broker,
                proto::Origin::Recorded => Origin::Recorded,
                proto::Origin::Internal => Origin::Internal,
                // An origin that is not known must not page.
                _ => Origin::Replayed,
            },
            sequence_reused: wire.sequence_reused,
            maybe_seen_before: wire.maybe_seen_before,
            gateway: GatewayId::new(&wire.gateway).map_err(AdmittedError::Id)?,
            retained: wire.retained,
            payload: wire.payload,
        })
    }
}

/// What names one occurrence within a device: where a reading happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadingRef {
    /// The boot.
    pub boot: BootId,
    /// The session, if in one.
    pub session: Option<SessionId>,
    /// Ordinal within the session.
    pub ordinal: u64,
}
