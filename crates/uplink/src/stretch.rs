//! Which part of its log a sender sends with a publish, as it stands unpacked before the packed message.
//!
//! It stands outside of what is packed, so that a message which cannot be opened costs that message and not the order.
use std::collections::BTreeMap;

use bytes::{BufMut as _, Bytes};
use prost::Message as _;
use telemetry::{GatewayId, proto};

use crate::batch::Packed;
use crate::topic::Up;

/// Most bytes of an encoded stretch: ids of 63 bytes and numbers.
const STRETCH_BYTES_MAX: usize = 256;

/// See `UplinkStretch` in the schema, where each field is explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The gateway, or `alerting-{instance}`.
    pub sender: GatewayId,
    /// Drawn when the sender started.
    pub era: u64,
    /// How often it went back since.
    pub line: u32,
    /// Everything of the shard before this offset was sent before.
    pub after: u64,
    /// With this, everything before this one was.
    pub next: u64,
    /// Which of the parts, from 0.
    pub part: u32,
    /// How many; none: it only says how far the sender is.
    pub parts: u32,
    /// Everything before this is with every reader.
    pub floor: u64,
    /// The oldest offset in the log.
    pub oldest: u64,
    /// The era before, and up to where this log is that one's.
    pub continues: Option<(u64, u64)>,
}

/// Why bytes begin with no stretch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StretchError {
    /// Shorter than it says, or too long.
    #[error("its head is cut, or longer than {STRETCH_BYTES_MAX} bytes")]
    Cut,
    /// No message of the schema, or no sender's id.
    #[error("its head is none of ours")]
    Malformed,
    /// Offsets or parts contradict themselves.
    #[error("its head says impossible offsets or parts")]
    Impossible,
}

impl Stretch {
    /// The beginning of a sender's era: nothing was sent.
    pub fn of(sender: GatewayId, era: u64) -> Self {
        Self {
            sender,
            era,
            line: 0,
            after: 0,
            next: 0,
            part: 0,
            parts: 0,
            floor: 0,
            oldest: 0,
            continues: None,
        }
    }

    /// Appends it with its length in front.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        let message = proto::UplinkStretch {
            sender: self.sender.to_string(),
            era: self.era,
            line: self.line,
            after: self.after,
            next: self.next,
            part: self.part,
            parts: self.parts,
            floor: self.floor,
            oldest: self.oldest,
            continues: self.continues.map(|(era, _)| era),
            continues_at: self.continues.map_or(0, |(_, at)| at),
        };
        // An id has at most 63 bytes, and ten numbers at most 11 each: it fits two bytes of length.
        into.put_u16(message.encoded_len() as u16);
        // A Vec grows: encoding into it cannot fail.
        let _ = message.encode(into);
    }

    /// Takes it off the front.
    ///
    /// # Errors
    /// [`StretchError`].
    pub(crate) fn decode(bytes: &mut Bytes) -> Result<Self, StretchError> {
        let Some((length, _)) = bytes.split_first_chunk::<2>() else {
            return Err(StretchError::Cut);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if length > STRETCH_BYTES_MAX || bytes.len() < 2 + length {
            return Err(StretchError::Cut);
        }
        let head = bytes.split_to(2 + length).slice(2..);
        let said = proto::UplinkStretch::decode(head).map_err(|_| StretchError::Malformed)?;
        let stretch = Self {
            sender: GatewayId::new(&said.sender).map_err(|_| StretchError::Malformed)?,
            era: said.era,
            line: said.line,
            after: said.after,
            next: said.next,
            part: said.part,
            parts: said.parts,
            floor: said.floor,
            oldest: said.oldest,
            continues: said.continues.map(|era| (era, said.continues_at)),
        };
        let parts = stretch.parts == 0 && stretch.part == 0 || stretch.part < stretch.parts;
        if stretch.after <= stretch.next && parts {
            Ok(stretch)
        } else {
            Err(StretchError::Impossible)
        }
    }
}

/// Says of each message which part of how many of its shard it is, in their order; `stretch` gives the rest, by shard.
pub(crate) fn address(messages: Vec<(Up, Packed)>, stretch: impl Fn(u16) -> Stretch) -> Vec<(Up, Bytes)> {
    let mut parts: BTreeMap<u16, u32> = BTreeMap::new();
    for (topic, _) in &messages {
        *parts.entry(topic.shard()).or_default() += 1;
    }
    let mut next: BTreeMap<u16, u32> = BTreeMap::new();
    let addressed = messages.into_iter().map(|(topic, packed)| {
        let shard = topic.shard();
        let part = next.entry(shard).or_default();
        let stretch = Stretch {
            part: *part,
            parts: parts.get(&shard).copied().unwrap_or_default(),
            ..stretch(shard)
        };
        *part += 1;
        (topic, packed.payload(&stretch))
    });
    addressed.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A batch in one part.
    pub(crate) fn stretch(line: u32, after: u64, next: u64) -> Stretch {
        Stretch {
            line,
            after,
            next,
            parts: 1,
            ..Stretch::of("gw-1".parse().unwrap(), 7)
        }
    }

    proptest! {
        #[test]
        fn a_stretch_is_read_as_it_is_written(
            after: u64, longer in 0u64..1_000, line: u32, era: u64, floor: u64, oldest: u64, continues: Option<(u64, u64)>, parts in 0u32..5,
        ) {
            let next = after.saturating_add(longer);
            let part = parts.saturating_sub(1);
            let said = Stretch { era, part, parts, floor, oldest, continues, ..stretch(line, after, next) };
            let mut bytes = Vec::new();
            said.encode(&mut bytes);
            bytes.extend(b"rest");
            let mut bytes = Bytes::from(bytes);
            prop_assert_eq!(Stretch::decode(&mut bytes), Ok(said));
            prop_assert_eq!(&bytes[..], b"rest");
        }

        #[test]
        fn any_bytes_are_a_stretch_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut bytes = Bytes::from(bytes);
            if let Ok(stretch) = Stretch::decode(&mut bytes) {
                prop_assert!(stretch.after <= stretch.next && stretch.part <= stretch.parts);
            }
        }
    }

    #[test]
    fn impossible_offsets_and_parts_are_refused() {
        for wrong in [
            stretch(0, 2, 1),
            Stretch {
                part: 1,
                ..stretch(0, 1, 2)
            },
            Stretch {
                part: 1,
                parts: 0,
                ..stretch(0, 1, 2)
            },
        ] {
            let mut bytes = Vec::new();
            wrong.encode(&mut bytes);
            assert_eq!(Stretch::decode(&mut bytes.into()), Err(StretchError::Impossible));
        }
    }
}
