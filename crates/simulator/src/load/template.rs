//! A stroke batch that is encoded once and patched: varints of fixed width (padded with continuation bits, which protobuf
//! allows) stand where a number changes from message to message.
use bytes::Bytes;
use prost::Message as _;
use telemetry::{FlushReason, Zone, proto};

use crate::behaviour::Noise;
use crate::noise::Residual;
use crate::rng::Rng;

/// Bytes of a patched varint: 56 bits.
const WIDTH: usize = 8;
/// A value that is encoded in exactly [`WIDTH`] bytes and stands nowhere else; the fields' markers count up from it.
const MARKER: u64 = (1 << 55) + 0x00aa_bbcc_ddee;
/// What the strokes are made under: well inside what the generated registry allows.
const SETPOINT_UM: u32 = 700;
const LIMIT_UM: u32 = 1_500;

/// What changes from message to message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patch {
    pub(super) sequence: u64,
    pub(super) oldest: u64,
    pub(super) uptime_us: u64,
    pub(super) first_ordinal: u64,
    pub(super) first_uptime_us: u64,
}

/// A batch with holes for a [`Patch`].
#[derive(Debug, Clone)]
pub(super) struct Template {
    bytes: Vec<u8>,
    /// Where the holes are, in the order of the fields of [`Patch`].
    holes: [usize; 5],
}

impl Template {
    /// Encodes a batch of `strokes` at `rate_hz` under a session's header; `None` if a hole cannot be found, which cannot
    /// happen with a header of this schema.
    pub(super) fn new(header: &proto::Header, strokes: u32, rate_hz: u32, rng: &mut Rng) -> Option<Self> {
        let mut residual = Residual::new(30, &Noise::default(), rng);
        let interval_us = 1_000_000 / rate_hz.max(1);
        let batch = proto::StrokeBatch {
            first_ordinal: Some(MARKER + 3),
            first_uptime_us: Some(MARKER + 4),
            duration_us: Some(strokes * interval_us),
            zone: Some(Zone::Cheek.to_wire()),
            depth_setpoint_um: Some(SETPOINT_UM),
            depth_limit_um: Some(LIMIT_UM),
            depth_um: (0..strokes)
                .map(|_| (f64::from(SETPOINT_UM) + residual.next(rng)).max(0.0) as u32)
                .collect(),
            interval_us: Vec::new(),
            unread_index: Vec::new(),
            flush_reason: Some(FlushReason::Period.to_wire()),
            cartridge_serial: Some("NC-LOAD-00001".to_owned()),
        };
        let header = proto::Header {
            sequence: Some(MARKER),
            oldest_unacknowledged_sequence: Some(MARKER + 1),
            wants_ack_up_to: None,
            uptime_us: Some(MARKER + 2),
            ..header.clone()
        };
        let frame = proto::Frame {
            header: Some(header),
            body: Some(proto::frame::Body::StrokeBatch(batch)),
        };
        let bytes = frame.encode_to_vec();
        let mut holes = [0; 5];
        for (n, hole) in holes.iter_mut().enumerate() {
            let mut marker = Vec::with_capacity(WIDTH);
            prost::encoding::encode_varint(MARKER + n as u64, &mut marker);
            *hole = bytes.windows(WIDTH).position(|window| window == marker)?;
        }
        Some(Self { bytes, holes })
    }

    /// The payload of one message.
    pub(super) fn message(&mut self, patch: Patch) -> Bytes {
        let values = [
            patch.sequence,
            patch.oldest,
            patch.uptime_us,
            patch.first_ordinal,
            patch.first_uptime_us,
        ];
        for (&hole, value) in self.holes.iter().zip(values) {
            if let Some(bytes) = self.bytes.get_mut(hole..hole + WIDTH) {
                padded_varint(value, bytes);
            }
        }
        Bytes::copy_from_slice(&self.bytes)
    }
}

/// Writes a varint that fills `bytes`; what does not fit into 7 bits a byte is cut off.
fn padded_varint(mut value: u64, bytes: &mut [u8]) {
    let last = bytes.len().saturating_sub(1);
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = (value & 0x7f) as u8 | if n == last { 0 } else { 0x80 };
        value >>= 7;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use telemetry::{Body, Topic, decode};

    use super::{Patch, Template, proto};
    use crate::rng::Rng as Stream;

    fn header() -> proto::Header {
        proto::Header {
            schema_version: Some(1),
            device_id: Some("pen-0001".to_owned()),
            boot_id: Some(u64::MAX),
            session_id: Some(vec![0xaa; 16]),
            visit_id: Some(vec![0xbb; 16]),
            session_start_uptime_us: Some(1),
            ..proto::Header::default()
        }
    }

    proptest! {
        #[test]
        fn a_patched_message_decodes_to_what_was_patched(
            sequence in 0u64..1 << 48,
            oldest in 0u64..1 << 48,
            uptime_us in 0u64..1 << 50,
            first_ordinal in 0u64..1 << 48,
            first_uptime_us in 0u64..1 << 50,
        ) {
            let topic: Topic = "dermatel/v1/a/b/pen-0001/telemetry".parse().unwrap();
            let mut template = Template::new(&header(), 120, 120, &mut Stream::stream(1, &["test"])).unwrap();
            let patch = Patch { sequence, oldest, uptime_us, first_ordinal, first_uptime_us };
            // Twice: a patch leaves nothing of the one before.
            template.message(Patch { sequence: (1 << 48) - 1, ..patch });
            let telemetry = decode(&topic, &template.message(patch)).unwrap();
            prop_assert_eq!(telemetry.header.sequence, sequence);
            prop_assert_eq!(telemetry.header.oldest_unacknowledged, Some(oldest));
            prop_assert_eq!(telemetry.header.uptime.micros(), uptime_us);
            let Body::Strokes(batch) = telemetry.body else { return Err(TestCaseError::fail("no batch")) };
            prop_assert_eq!((batch.first_ordinal, batch.first_uptime.micros()), (first_ordinal, first_uptime_us));
            prop_assert_eq!(batch.len(), 120);
            prop_assert!(batch.depths().all(|(_, depth)| (400..1_000).contains(&depth)));
        }
    }
}
