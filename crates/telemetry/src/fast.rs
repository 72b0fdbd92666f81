//! The short way for the frames that are nearly all frames: a header and one stroke batch in the plainest encoding.
//!
//! It reads the wire once, copies each column in one go and knows no error: whatever is not plain (an unknown field, another
//! wire type, a column in pieces, damage) is left to the general decoder, which gives the same meaning or the reason why not. A
//! test holds the two against each other.
use crate::proto;

/// A header whose texts still lie in the payload.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct HeaderView<'p> {
    pub(crate) schema_version: Option<u32>,
    pub(crate) device_id: Option<&'p str>,
    pub(crate) boot_id: Option<u64>,
    pub(crate) sequence: Option<u64>,
    pub(crate) uptime_us: Option<u64>,
    pub(crate) wall_time_us: Option<i64>,
    pub(crate) wall_time_source: Option<i32>,
    pub(crate) session_id: Option<&'p [u8]>,
    pub(crate) session_start_uptime_us: Option<u64>,
    pub(crate) visit_id: Option<&'p [u8]>,
    pub(crate) oldest_unacknowledged_sequence: Option<u64>,
    pub(crate) wants_ack_up_to: Option<bool>,
}

impl<'p> From<&'p proto::Header> for HeaderView<'p> {
    fn from(h: &'p proto::Header) -> Self {
        Self {
            schema_version: h.schema_version,
            device_id: h.device_id.as_deref(),
            boot_id: h.boot_id,
            sequence: h.sequence,
            uptime_us: h.uptime_us,
            wall_time_us: h.wall_time_us,
            wall_time_source: h.wall_time_source,
            session_id: h.session_id.as_deref(),
            session_start_uptime_us: h.session_start_uptime_us,
            visit_id: h.visit_id.as_deref(),
            oldest_unacknowledged_sequence: h.oldest_unacknowledged_sequence,
            wants_ack_up_to: h.wants_ack_up_to,
        }
    }
}

/// Keys of the wire: number and wire type in one byte.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;

const fn key(number: u8, wire_type: u8) -> u8 {
    number << 3 | wire_type
}

const HEADER: u8 = key(1, BYTES);
const STROKE_BATCH: u8 = key(11, BYTES);

/// A plain stroke frame, with no field that the schema does not have; `None`: ask the general decoder.
pub(crate) fn stroke_frame(payload: &[u8]) -> Option<(HeaderView<'_>, proto::StrokeBatch)> {
    let mut wire = Wire(payload);
    if wire.byte()? != HEADER {
        return None;
    }
    let head = wire.bytes()?;
    if wire.byte()? != STROKE_BATCH {
        return None;
    }
    let batch = wire.bytes()?;
    if !wire.0.is_empty() {
        return None;
    }
    Some((header(Wire(head))?, stroke_batch(Wire(batch))?))
}

fn header(mut wire: Wire<'_>) -> Option<HeaderView<'_>> {
    const DEVICE_ID: u8 = key(2, BYTES);
    const BOOT_ID: u8 = key(3, FIXED64);
    const SESSION_ID: u8 = key(8, BYTES);
    const VISIT_ID: u8 = key(10, BYTES);
    let mut h = HeaderView::default();
    while !wire.0.is_empty() {
        match wire.byte()? {
            DEVICE_ID => h.device_id = Some(std::str::from_utf8(wire.bytes()?).ok()?),
            BOOT_ID => h.boot_id = Some(wire.fixed64()?),
            SESSION_ID => h.session_id = Some(wire.bytes()?),
            VISIT_ID => h.visit_id = Some(wire.bytes()?),
            other if other & 7 == VARINT => {
                let value = wire.varint()?;
                match other >> 3 {
                    1 => h.schema_version = Some(value as u32),
                    4 => h.sequence = Some(value),
                    5 => h.uptime_us = Some(value),
                    6 => h.wall_time_us = Some(value as i64),
                    7 => h.wall_time_source = Some(value as i32),
                    9 => h.session_start_uptime_us = Some(value),
                    11 => h.oldest_unacknowledged_sequence = Some(value),
                    12 => h.wants_ack_up_to = Some(value != 0),
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
    Some(h)
}

fn stroke_batch(mut wire: Wire<'_>) -> Option<proto::StrokeBatch> {
    const DEPTH: u8 = key(7, BYTES);
    const INTERVAL: u8 = key(8, BYTES);
    const UNREAD: u8 = key(9, BYTES);
    const CARTRIDGE: u8 = key(11, BYTES);
    let mut b = proto::StrokeBatch::default();
    while !wire.0.is_empty() {
        match wire.byte()? {
            DEPTH => column(&mut b.depth_um, wire.bytes()?)?,
            INTERVAL => column(&mut b.interval_us, wire.bytes()?)?,
            UNREAD => column(&mut b.unread_index, wire.bytes()?)?,
            CARTRIDGE => b.cartridge_serial = Some(std::str::from_utf8(wire.bytes()?).ok()?.to_owned()),
            other if other & 7 == VARINT => {
                let value = wire.varint()?;
                match other >> 3 {
                    1 => b.first_ordinal = Some(value),
                    2 => b.first_uptime_us = Some(value),
                    3 => b.duration_us = Some(value as u32),
                    4 => b.zone = Some(value as i32),
                    5 => b.depth_setpoint_um = Some(value as u32),
                    6 => b.depth_limit_um = Some(value as u32),
                    10 => b.flush_reason = Some(value as i32),
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
    Some(b)
}

/// Reads a packed column into an empty one.
fn column(into: &mut Vec<u32>, mut bytes: &[u8]) -> Option<()> {
    if !into.is_empty() {
        return None;
    }
    // Every number ends with the one byte whose top bit is clear.
    let count = bytes.iter().filter(|&&b| b < 0x80).count();
    let mut numbers = Vec::with_capacity(count);
    while !bytes.is_empty() {
        // Depths and intervals of a working pen have two bytes each: four of them at a time, while they last.
        while let Some((eight, rest)) = bytes.split_first_chunk::<8>() {
            let Some(four) = two_byte_numbers(u64::from_le_bytes(*eight)) else {
                break;
            };
            numbers.extend_from_slice(&four);
            bytes = rest;
        }
        let mut wire = Wire(bytes);
        // The loop may have come to the end just now.
        if !bytes.is_empty() {
            numbers.push(wire.varint()? as u32);
        }
        bytes = wire.0;
    }
    *into = numbers;
    Some(())
}

/// Four numbers of two bytes each, if these eight bytes are that.
fn two_byte_numbers(eight: u64) -> Option<[u32; 4]> {
    const TOP_BITS: u64 = 0x8080_8080_8080_8080;
    const LOW_BYTES: u64 = 0x00ff_00ff_00ff_00ff;
    // The first byte of each pair goes on, the second ends.
    if eight & TOP_BITS != TOP_BITS & LOW_BYTES {
        return None;
    }
    let joined = (eight & 0x007f_007f_007f_007f) | (eight & !LOW_BYTES) >> 1;
    let lane = |n: u32| (joined >> (16 * n)) as u32 & 0xffff;
    Some([lane(0), lane(1), lane(2), lane(3)])
}

/// What is left of the bytes.
struct Wire<'p>(&'p [u8]);

impl<'p> Wire<'p> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn bytes(&mut self) -> Option<&'p [u8]> {
        let len = usize::try_from(self.varint()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn fixed64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    /// At most nine bytes; the tenth, which only huge numbers and careless encoders have, is the general decoder's.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}
