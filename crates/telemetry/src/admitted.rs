//! A message that was let in, as it stands in the logs: the payload as it came, and what the gateway fixed once and for
//! ever (when it was received, the anchor of its boot, where it came from).
use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::{
    Actor, BootId, Channel, ClinicId, DeviceId, DeviceKey, GatewayId, IdError, Rejected, SessionId, Status, Telemetry,
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
    /// Who recorded it, where it is [`Origin::Recorded`] and somebody said who.
    pub recorded_by: Option<Actor>,
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
        let mut bytes = Vec::with_capacity(self.payload.len() + OTHER_BYTES);
        self.encode_into(&mut bytes);
        bytes
    }

    /// Appends the bytes for a log: those of [`Self::to_wire`], without copying each id into a string first.
    pub fn encode_into(&self, into: &mut Vec<u8>) {
        let mut out = Fields(into);
        out.bytes(1, self.tenant.as_str().as_bytes());
        out.bytes(2, self.clinic.as_str().as_bytes());
        out.bytes(3, self.device.as_str().as_bytes());
        out.number(4, self.wire_channel() as u64);
        out.bytes(5, &self.payload);
        // A negative number is its two's complement in 64 bits.
        out.number(6, self.received_at.0 as u64);
        if let Some(anchor) = self.anchor {
            out.present(7, anchor.0 as u64);
        }
        out.number(8, self.wire_clock() as u64);
        out.number(9, self.wire_origin() as u64);
        out.number(10, self.sequence_reused.into());
        out.number(11, self.maybe_seen_before.into());
        out.bytes(12, self.gateway.as_str().as_bytes());
        out.number(13, self.retained.into());
        if let Some(actor) = &self.recorded_by {
            out.bytes(14, actor.as_str().as_bytes());
        }
    }

    fn wire_channel(&self) -> proto::Channel {
        match self.content {
            Content::Telemetry => proto::Channel::Telemetry,
            Content::Status => proto::Channel::Status,
            Content::Alert => proto::Channel::Alert,
        }
    }

    fn wire_clock(&self) -> proto::ClockQuality {
        match self.clock {
            ClockQuality::Device => proto::ClockQuality::Device,
            ClockQuality::Received => proto::ClockQuality::Received,
            ClockQuality::Skewed => proto::ClockQuality::Skewed,
        }
    }

    fn wire_origin(&self) -> proto::Origin {
        match self.origin {
            Origin::Endpoint => proto::Origin::Endpoint,
            Origin::Broker => proto::Origin::Broker,
            Origin::Recorded => proto::Origin::Recorded,
            Origin::Replayed => proto::Origin::Replayed,
            Origin::Internal => proto::Origin::Internal,
        }
    }

    /// As a message of the schema, for logs that wrap it in one of their own.
    pub fn to_wire(&self) -> proto::Admitted {
        proto::Admitted {
            tenant: self.tenant.to_string(),
            clinic: self.clinic.to_string(),
            device: self.device.to_string(),
            channel: self.wire_channel() as i32,
            payload: self.payload.clone(),
            received_at_us: self.received_at.0,
            anchor_us: self.anchor.map(|a| a.0),
            clock_quality: self.wire_clock() as i32,
            origin: self.wire_origin() as i32,
            sequence_reused: self.sequence_reused,
            maybe_seen_before: self.maybe_seen_before,
            gateway: self.gateway.to_string(),
            retained: self.retained,
            recorded_by: self.recorded_by.as_ref().map(ToString::to_string).unwrap_or_default(),
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
            // First: a record of another kind need not have ids.
            content: match wire.channel() {
                proto::Channel::Telemetry => Content::Telemetry,
                proto::Channel::Status => Content::Status,
                proto::Channel::Alert => Content::Alert,
                proto::Channel::Unspecified | proto::Channel::Report => {
                    return Err(AdmittedError::UnknownContent(wire.channel));
                }
            },
            tenant: TenantId::new(&wire.tenant).map_err(AdmittedError::Id)?,
            clinic: ClinicId::new(&wire.clinic).map_err(AdmittedError::Id)?,
            device: DeviceId::new(&wire.device).map_err(AdmittedError::Id)?,
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
            recorded_by: match wire.recorded_by.as_str() {
                "" => None,
                name => Some(Actor::new(name).map_err(AdmittedError::Id)?),
            },
            payload: wire.payload,
        })
    }
}

/// What stands beside the payload: at most four ids of 64 bytes, two times, flags. Who recorded it is seldom there.
const OTHER_BYTES: usize = 320;

/// Fields of a message, appended one by one; as in proto3, what is zero or empty is left out.
struct Fields<'a>(&'a mut Vec<u8>);

impl Fields<'_> {
    fn bytes(&mut self, tag: u32, value: &[u8]) {
        if !value.is_empty() {
            encode_key(tag, WireType::LengthDelimited, self.0);
            encode_varint(value.len() as u64, self.0);
            self.0.extend_from_slice(value);
        }
    }

    fn number(&mut self, tag: u32, value: u64) {
        if value != 0 {
            self.present(tag, value);
        }
    }

    fn present(&mut self, tag: u32, value: u64) {
        encode_key(tag, WireType::Varint, self.0);
        encode_varint(value, self.0);
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
