//! Counts what a newer schema added: fields and enum values that this version does not know. The bytes themselves are
//! kept, because the logs hold the payload as it came.

mod fields {
    #![allow(dead_code, unreachable_pub)]
    include!(concat!(env!("OUT_DIR"), "/fields.rs"));
}

/// How much of a message this version did not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UnknownCounts {
    /// Fields with a number that the schema does not have.
    pub fields: u32,
    /// Enum values without a name.
    pub enum_values: u32,
}

impl UnknownCounts {
    /// Whether all of it was known.
    pub fn is_empty(self) -> bool {
        self.fields == 0 && self.enum_values == 0
    }
}

/// Unknown fields in the bytes of a `Frame`, at any depth. Bytes that are no protobuf count as none: the decoder has
/// refused them already.
pub(crate) fn in_frame(bytes: &[u8]) -> u32 {
    count(bytes, fields::FRAME).unwrap_or(0)
}

/// Unknown fields in the bytes of a `Status`.
pub(crate) fn in_status(bytes: &[u8]) -> u32 {
    count(bytes, fields::STATUS).unwrap_or(0)
}

/// The schema nests three deep and has no recursive message, so this recursion ends.
fn count(mut bytes: &[u8], message: usize) -> Option<u32> {
    let known = fields::FIELDS.get(message)?;
    let mut unknown = 0;
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let (number, wire_type) = (u32::try_from(key >> 3).ok()?, key & 7);
        let inner = match wire_type {
            0 => {
                varint(&mut bytes)?;
                None
            }
            1 => skip(&mut bytes, 8)?,
            5 => skip(&mut bytes, 4)?,
            2 => {
                let len = usize::try_from(varint(&mut bytes)?).ok()?;
                let (inner, rest) = bytes.split_at_checked(len)?;
                bytes = rest;
                Some(inner)
            }
            // A group, long deprecated, is one field: the decoder refuses a known number in this encoding.
            3 => {
                skip_group(&mut bytes)?;
                None
            }
            _ => return None,
        };
        match (known.iter().find(|(n, _)| *n == number), inner) {
            (None, _) => unknown += 1,
            (Some((_, Some(child))), Some(inner)) => unknown += count(inner, *child)?,
            _ => {}
        }
    }
    Some(unknown)
}

/// Skips to the end of a group that has just begun; groups nest. The decoder has checked that the numbers match.
fn skip_group(bytes: &mut &[u8]) -> Option<()> {
    let mut open = 1u32;
    while open > 0 {
        match varint(bytes)? & 7 {
            0 => {
                varint(bytes)?;
            }
            1 => {
                skip(bytes, 8)?;
            }
            2 => {
                let len = usize::try_from(varint(bytes)?).ok()?;
                skip(bytes, len)?;
            }
            3 => open += 1,
            4 => open -= 1,
            5 => {
                skip(bytes, 4)?;
            }
            _ => return None,
        }
    }
    Some(())
}

fn skip<'a>(bytes: &mut &'a [u8], len: usize) -> Option<Option<&'a [u8]>> {
    *bytes = bytes.get(len..)?;
    Some(None)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
