//! Foreign bytes become checked values: a cursor that cannot run over, and MQTT 5 properties.
//!
//! Reading is our own, writing is rumqttc's codec. The codec (0.25.1) takes properties that run over
//! their declared length, repeated ones, reserved flags, trailing bytes and NUL in strings, refuses a
//! DISCONNECT without properties and a password that is not UTF-8, and copies each 3.1.1 topic.
//! A property test reads what the codec writes, so the two agree on every packet that both allow.

use super::close::CloseReason;
use super::frame::variable_int;

pub(crate) type Read<T> = Result<T, CloseReason>;

/// Walks a packet's body. Positions stay valid offsets of the original slice.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Cursor { bytes, at }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Everything that is left must have been read.
    pub(crate) fn finish(self) -> Read<()> {
        if self.is_at_end() {
            Ok(())
        } else {
            Err(CloseReason::Malformed)
        }
    }

    pub(crate) fn take(&mut self, len: usize) -> Read<&'a [u8]> {
        let end = self.at.checked_add(len).ok_or(CloseReason::Malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or(CloseReason::Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| CloseReason::Malformed)
    }

    pub(crate) fn u8(&mut self) -> Read<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Read<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Read<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A packet identifier, which is never zero.
    pub(crate) fn packet_id(&mut self) -> Read<u16> {
        match self.u16()? {
            0 => Err(CloseReason::Malformed),
            id => Ok(id),
        }
    }

    pub(crate) fn variable_int(&mut self) -> Read<usize> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (value, size) = variable_int(rest)?.ok_or(CloseReason::Malformed)?;
        self.at += size;
        Ok(value)
    }

    /// Length-prefixed bytes.
    pub(crate) fn binary(&mut self) -> Read<&'a [u8]> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// A length-prefixed UTF-8 string without NUL, as MQTT 1.5.4 demands of both sides.
    pub(crate) fn string(&mut self) -> Read<&'a str> {
        let text = std::str::from_utf8(self.binary()?).map_err(|_| CloseReason::Malformed)?;
        if text.as_bytes().contains(&0) {
            Err(CloseReason::Malformed)
        } else {
            Ok(text)
        }
    }
}

/// The properties that change what the endpoint does; all others are checked and let go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Properties {
    pub(crate) session_expiry: Option<u32>,
    pub(crate) receive_maximum: Option<u16>,
    pub(crate) max_packet_size: Option<u32>,
    pub(crate) problem_information: Option<u8>,
    pub(crate) has_auth_method: bool,
    pub(crate) has_topic_alias: bool,
    pub(crate) has_subscription_id: bool,
}

/// Property identifiers that a packet may carry, one bit each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed(u64);

impl Allowed {
    const fn of(ids: &[u8]) -> Allowed {
        let mut bits = 1u64 << USER_PROPERTY;
        let mut index = 0;
        while index < ids.len() {
            bits |= 1 << ids[index];
            index += 1;
        }
        Allowed(bits)
    }

    pub(crate) const CONNECT: Allowed = Allowed::of(&[17, 21, 22, 23, 25, 33, 34, 39]);
    pub(crate) const WILL: Allowed = Allowed::of(&[1, 2, 3, 8, 9, 24]);
    pub(crate) const PUBLISH: Allowed = Allowed::of(&[1, 2, 3, 8, 9, 35]);
    pub(crate) const SUBSCRIBE: Allowed = Allowed::of(&[11]);
    pub(crate) const UNSUBSCRIBE: Allowed = Allowed::of(&[]);
    pub(crate) const PUBACK: Allowed = Allowed::of(&[31]);
    pub(crate) const DISCONNECT: Allowed = Allowed::of(&[17, 28, 31]);
}

const USER_PROPERTY: u8 = 38;

/// Reads a property section: each property allowed here, at most once, and exactly as long as declared.
///
/// # Errors
/// `Malformed` or `ProtocolError`, as MQTT 5 section 2.2.2 sorts them.
pub(crate) fn properties(cursor: &mut Cursor<'_>, allowed: Allowed) -> Read<Properties> {
    let len = cursor.variable_int()?;
    let mut found = Properties::default();
    if len == 0 {
        return Ok(found);
    }
    let mut section = Cursor::new(cursor.take(len)?, 0);
    let mut seen = 0u64;
    while !section.is_at_end() {
        let id = section.u8()?;
        let bit = 1u64.checked_shl(u32::from(id)).ok_or(CloseReason::Malformed)?;
        if allowed.0 & bit == 0 {
            return Err(CloseReason::Malformed);
        }
        if seen & bit != 0 && id != USER_PROPERTY {
            return Err(CloseReason::ProtocolError);
        }
        seen |= bit;
        property(id, &mut section, &mut found)?;
    }
    Ok(found)
}

fn property(id: u8, section: &mut Cursor<'_>, found: &mut Properties) -> Read<()> {
    match id {
        1 | 25 => drop(flag(section)?),
        2 | 24 => drop(section.u32()?),
        3 | 8 | 28 | 31 => drop(section.string()?),
        9 | 22 => drop(section.binary()?),
        11 => {
            let id = section.variable_int()?;
            found.has_subscription_id = id != 0;
            if id == 0 {
                return Err(CloseReason::ProtocolError);
            }
        }
        17 => found.session_expiry = Some(section.u32()?),
        21 => {
            section.string()?;
            found.has_auth_method = true;
        }
        23 => found.problem_information = Some(flag(section)?),
        33 => found.receive_maximum = Some(nonzero(section.u16()?)?),
        34 => drop(section.u16()?),
        35 => {
            section.u16()?;
            found.has_topic_alias = true;
        }
        USER_PROPERTY => {
            section.string()?;
            section.string()?;
        }
        39 => found.max_packet_size = Some(nonzero(section.u32()?)?),
        _ => return Err(CloseReason::Malformed),
    }
    Ok(())
}

fn flag(section: &mut Cursor<'_>) -> Read<u8> {
    match section.u8()? {
        value @ (0 | 1) => Ok(value),
        _ => Err(CloseReason::ProtocolError),
    }
}

fn nonzero<T: Default + PartialEq>(value: T) -> Read<T> {
    if value == T::default() {
        Err(CloseReason::ProtocolError)
    } else {
        Ok(value)
    }
}

/// Whether a well-formed topic name has wildcards, which no topic name may have.
pub(crate) fn has_wildcard(topic: &[u8]) -> bool {
    topic.iter().any(|byte| matches!(byte, b'+' | b'#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], allowed: Allowed) -> Read<Properties> {
        let mut cursor = Cursor::new(bytes, 0);
        properties(&mut cursor, allowed)
    }

    #[test]
    fn properties_end_where_their_length_says() {
        // A user property whose value runs one byte over the declared seven.
        assert_eq!(
            read(&[7, 38, 0, 1, b'k', 0, 2, b'v', b'w'], Allowed::PUBLISH),
            Err(CloseReason::Malformed)
        );
        assert!(read(&[7, 38, 0, 1, b'k', 0, 1, b'v', b'w'], Allowed::PUBLISH).is_ok());
    }

    #[test]
    fn a_repeated_or_misplaced_property_is_refused() {
        assert_eq!(
            read(&[6, 35, 0, 1, 35, 0, 2], Allowed::PUBLISH),
            Err(CloseReason::ProtocolError)
        );
        assert_eq!(read(&[3, 33, 0, 1], Allowed::PUBLISH), Err(CloseReason::Malformed));
        assert_eq!(read(&[3, 33, 0, 0], Allowed::CONNECT), Err(CloseReason::ProtocolError));
        assert_eq!(read(&[1, 200], Allowed::CONNECT), Err(CloseReason::Malformed));
    }

    #[test]
    fn strings_with_nul_or_bad_utf8_are_malformed() {
        assert_eq!(Cursor::new(&[0, 1, 0], 0).string(), Err(CloseReason::Malformed));
        assert_eq!(Cursor::new(&[0, 1, 0xff], 0).string(), Err(CloseReason::Malformed));
        assert_eq!(Cursor::new(&[0, 9, b'a'], 0).string(), Err(CloseReason::Malformed));
    }
}
