//! A batch, packed and opened: one byte for the packing, the stretch of the sender's log, then a compressed message. Opening trusts
//! nothing.
use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use prost::Message as _;
use telemetry::{Admitted, Content, GatewayId, SHARDS, UnixMicros, proto};

use crate::ShardSet;
use crate::stretch::Stretch;
use crate::topic::{TopicError, Up, Way};

/// The only packing so far: zlib, after the stretch.
const ZLIB: u8 = 2;
/// Most bytes of a batch before packing and after unpacking. A decompression bomb ends here.
pub const OPENED_BYTES_MAX: usize = 1024 * 1024;
/// Most messages of a batch.
pub const MESSAGES_MAX: usize = 8_192;
/// What packing may add to bytes that cannot be compressed.
pub const PACKED_OVERHEAD_BYTES: usize = 1_024;
/// Level of compression: telemetry is small integers beside repeated ids, and more CPU gains little.
const LEVEL: Compression = Compression::fast();

/// Why a batch was not taken; a bounded label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The topic is none of ours, or its shard is not that of its clinic.
    Topic,
    /// The topic is of a shard that this reader does not own.
    NotOwned,
    /// Larger than the bounds, packed or unpacked.
    TooLarge,
    /// No packing that this version knows, or damaged.
    Packing,
    /// No message of the schema.
    Malformed,
    /// A message inside is of another tenant, clinic or gateway than the outside says.
    Identity,
    /// A message inside is of a kind that does not travel this way.
    Kind,
    /// Its sender has not introduced itself on its own topic.
    Stranger,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Topic,
        Self::NotOwned,
        Self::TooLarge,
        Self::Packing,
        Self::Malformed,
        Self::Identity,
        Self::Kind,
        Self::Stranger,
    ];

    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::NotOwned => "not_owned",
            Self::TooLarge => "too_large",
            Self::Packing => "packing",
            Self::Malformed => "malformed",
            Self::Identity => "identity",
            Self::Kind => "kind",
            Self::Stranger => "stranger",
        }
    }
}

/// A batch that was not taken, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("batch refused ({}): {detail}", reason.as_str())]
pub struct Refusal {
    /// A bounded name.
    pub reason: Reason,
    /// In words.
    pub detail: String,
}

fn refused<T>(reason: Reason, detail: impl ToString) -> Result<T, Refusal> {
    Err(Refusal {
        reason,
        detail: detail.to_string(),
    })
}

impl From<TopicError> for Refusal {
    fn from(error: TopicError) -> Self {
        Self {
            reason: Reason::Topic,
            detail: error.to_string(),
        }
    }
}

/// A message and its bytes as the sender had them.
#[derive(Debug, Clone)]
pub struct Message {
    /// What it is.
    pub admitted: Admitted,
    /// As [`Admitted::encode`] wrote it, with fields that only a newer version knows.
    pub encoded: Bytes,
}

/// What came, checked.
#[derive(Debug, Clone)]
pub enum Opened {
    /// Messages of one clinic.
    Messages {
        /// In the order of the sender's log.
        messages: Vec<Message>,
        /// What the gateway refused of devices of this clinic.
        refused: Vec<proto::Refused>,
    },
    /// A gateway's progress.
    Progress {
        /// Whose.
        gateway: GatewayId,
        /// On which shard it is told here.
        shard: u16,
        /// On which it is told at all.
        shards: ShardSet,
        /// Everything before this, for this shard, has come.
        watermark: Option<UnixMicros>,
        /// How full its logs are.
        backlogs: Vec<proto::Backlog>,
    },
}

/// An encoded message, packed, before it is known which stretch of the log it is.
#[derive(Debug, Clone)]
pub struct Packed(Vec<u8>);

impl Packed {
    /// The payload of a publish.
    pub fn payload(&self, stretch: &Stretch) -> Bytes {
        let mut into = Vec::with_capacity(self.0.len() + PACKED_OVERHEAD_BYTES);
        into.push(ZLIB);
        stretch.encode(&mut into);
        into.extend_from_slice(&self.0);
        into.into()
    }
}

/// Packs an encoded message.
pub fn pack(message: &[u8]) -> Packed {
    let into = Vec::with_capacity(message.len() / 2 + PACKED_OVERHEAD_BYTES);
    let mut encoder = ZlibEncoder::new(into, LEVEL);
    // A Vec grows: writing into it cannot fail.
    let _ = encoder.write_all(message);
    Packed(encoder.finish().unwrap_or_default())
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, Refusal> {
    if packed.len() > OPENED_BYTES_MAX + PACKED_OVERHEAD_BYTES {
        return refused(Reason::TooLarge, format!("{} bytes packed", packed.len()));
    }
    let mut opened = Vec::with_capacity(packed.len() * 2);
    let mut decoder = ZlibDecoder::new(packed).take(OPENED_BYTES_MAX as u64 + 1);
    if let Err(error) = decoder.read_to_end(&mut opened) {
        return refused(Reason::Packing, format!("it cannot be unpacked: {error}"));
    }
    if opened.len() > OPENED_BYTES_MAX {
        return refused(Reason::TooLarge, format!("more than {OPENED_BYTES_MAX} bytes unpacked"));
    }
    Ok(opened)
}

/// What came on a topic, with only its outside looked at.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Where it came.
    pub topic: Up,
    /// Which part of its sender's log it is.
    pub stretch: Stretch,
    packed: Bytes,
}

impl Envelope {
    /// Looks at the outside of what came, for a reader of these shards.
    ///
    /// # Errors
    /// [`Refusal`]: it costs this batch and nothing else.
    pub fn read(topic: &str, mut payload: Bytes, own: ShardSet) -> Result<Self, Refusal> {
        let topic = Up::parse(topic)?;
        if !own.contains(topic.shard()) {
            return refused(Reason::NotOwned, format!("shard {} is not ours", topic.shard()));
        }
        match payload.first() {
            Some(&ZLIB) => {}
            Some(kind) => return refused(Reason::Packing, format!("packing {kind} is not known to this version")),
            None => return refused(Reason::Packing, "it is empty"),
        }
        let mut packed = payload.split_off(1);
        let stretch = match Stretch::decode(&mut packed) {
            Ok(stretch) => stretch,
            Err(error) => return refused(Reason::Malformed, error),
        };
        // A batch has parts, and progress none.
        if matches!(topic, Up::Progress { .. }) != (stretch.parts == 0) {
            return refused(Reason::Malformed, "its head is not that of its topic");
        }
        if let Up::Progress { gateway, .. } = &topic
            && *gateway != stretch.sender
        {
            return refused(
                Reason::Identity,
                format!("it is of {}, not of {gateway}", stretch.sender),
            );
        }
        Ok(Self { topic, stretch, packed })
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn open(&self) -> Result<Opened, Refusal> {
        let opened = Bytes::from(unpack(&self.packed)?);
        let sender = &self.stretch.sender;
        match &self.topic {
            topic @ Up::Clinic { .. } => open_messages(topic, sender, opened),
            Up::Progress { shard, .. } => open_progress(*shard, sender.clone(), opened),
        }
    }
}

fn open_messages(topic: &Up, sender: &GatewayId, opened: Bytes) -> Result<Opened, Refusal> {
    let batch = decoded::<proto::UplinkBatch>(opened)?;
    if let Up::Clinic { way: Way::Uplink, .. } = topic
        && batch.gateway != sender.as_str()
    {
        return refused(Reason::Identity, format!("it is of {}, not of {sender}", batch.gateway));
    }
    if batch.admitted.len() + batch.refused.len() > MESSAGES_MAX {
        return refused(Reason::TooLarge, format!("more than {MESSAGES_MAX} messages"));
    }
    let mut messages = Vec::with_capacity(batch.admitted.len());
    for encoded in batch.admitted {
        let admitted = match Admitted::decode(&encoded) {
            Ok(admitted) => admitted,
            Err(error) => return refused(Reason::Malformed, error),
        };
        check_inner(topic, &batch.gateway, &admitted)?;
        messages.push(Message { admitted, encoded });
    }
    let Up::Clinic { way, tenant, .. } = topic else {
        return refused(Reason::Topic, "no clinic");
    };
    for one in &batch.refused {
        if *way != Way::Uplink {
            return refused(Reason::Kind, "alerting refuses no messages");
        }
        if one.gateway != batch.gateway || one.tenant != tenant.as_str() {
            return refused(
                Reason::Identity,
                "a count of refused messages is of another gateway or tenant",
            );
        }
    }
    Ok(Opened::Messages {
        messages,
        refused: batch.refused,
    })
}

fn check_inner(topic: &Up, gateway: &str, admitted: &Admitted) -> Result<(), Refusal> {
    let Up::Clinic {
        way, tenant, clinic, ..
    } = topic
    else {
        return refused(Reason::Topic, "no clinic");
    };
    if admitted.tenant != *tenant || admitted.clinic != *clinic || admitted.gateway.as_str() != gateway {
        let said = format!("{}/{} by {}", admitted.tenant, admitted.clinic, admitted.gateway);
        return refused(Reason::Identity, format!("a message inside is of {said}"));
    }
    let fits = match way {
        Way::Uplink => admitted.content != Content::Alert,
        Way::Alerts => admitted.content == Content::Alert,
    };
    match fits {
        true => Ok(()),
        false => refused(
            Reason::Kind,
            format!("{:?} does not travel on {}", admitted.content, way.as_str()),
        ),
    }
}

fn open_progress(shard: u16, gateway: GatewayId, opened: Bytes) -> Result<Opened, Refusal> {
    let said = decoded::<proto::UplinkProgress>(opened)?;
    let foreign = |backlog: &proto::Backlog| backlog.gateway != said.gateway;
    if said.gateway != gateway.as_str() || said.backlogs.iter().any(foreign) {
        return refused(Reason::Identity, format!("it is of {}, not of {gateway}", said.gateway));
    }
    if said.backlogs.len() > usize::from(SHARDS) {
        return refused(Reason::TooLarge, "too many logs");
    }
    let shards = ShardSet::from_mask(said.shards);
    if !shards.contains(shard) {
        return refused(
            Reason::Identity,
            format!("it does not count shard {shard} among its own"),
        );
    }
    Ok(Opened::Progress {
        gateway,
        shard,
        shards,
        watermark: said.watermark_us.map(UnixMicros),
        backlogs: said.backlogs,
    })
}

fn decoded<M: prost::Message + Default>(opened: Bytes) -> Result<M, Refusal> {
    M::decode(opened).or_else(|error| refused(Reason::Malformed, error))
}

/// Packs messages of one clinic that are encoded already.
pub fn pack_messages(gateway: &str, admitted: Vec<Bytes>, refused: Vec<proto::Refused>) -> Packed {
    let batch = proto::UplinkBatch {
        gateway: gateway.to_owned(),
        admitted,
        refused,
    };
    pack(&batch.encode_to_vec())
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
