//! Where a packet ends: the fixed header is judged before a byte of the body is waited for.

use super::close::CloseReason;

/// Largest packet that is not a PUBLISH, in bytes: SUBSCRIBE, PUBACK and the like. CONNECT has its own limit.
pub(crate) const MAX_CONTROL_PACKET: usize = 16 * 1024;

/// Packet types, by the upper four bits of the first byte.
pub(crate) mod kind {
    pub(crate) const CONNECT: u8 = 1;
    pub(crate) const PUBLISH: u8 = 3;
    pub(crate) const PUBACK: u8 = 4;
    pub(crate) const SUBSCRIBE: u8 = 8;
    pub(crate) const UNSUBSCRIBE: u8 = 10;
    pub(crate) const PINGREQ: u8 = 12;
    pub(crate) const DISCONNECT: u8 = 14;
}

/// A fixed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Packet type.
    pub(crate) kind: u8,
    /// The lower four bits of the first byte.
    pub(crate) flags: u8,
    /// Bytes of the fixed header, 2 to 5.
    pub(crate) header_len: usize,
    /// Bytes of the whole packet.
    pub(crate) len: usize,
}

/// Reads the fixed header at the start of `bytes`; `None`: more bytes are needed to tell.
///
/// # Errors
/// `Malformed`: a remaining length of more than four bytes, or header flags that the packet type
/// does not have. `PacketTooLarge`: above `max_publish`, or [`MAX_CONTROL_PACKET`] for other packets.
pub(crate) fn head(bytes: &[u8], max_publish: usize) -> Result<Option<Head>, CloseReason> {
    let Some((&first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let (kind, flags) = (first >> 4, first & 0x0f);
    let flags_fit = match kind {
        kind::PUBLISH => true,
        // PUBREL, SUBSCRIBE and UNSUBSCRIBE carry 0010, all others 0000.
        6 | kind::SUBSCRIBE | kind::UNSUBSCRIBE => flags == 2,
        0 => false,
        _ => flags == 0,
    };
    if !flags_fit {
        return Err(CloseReason::Malformed);
    }
    let Some((remaining, size)) = variable_int(rest)? else {
        return Ok(None);
    };
    let header_len = 1 + size;
    let len = header_len + remaining;
    let limit = if kind == kind::PUBLISH {
        max_publish
    } else {
        MAX_CONTROL_PACKET.min(max_publish)
    };
    if len > limit {
        return Err(CloseReason::PacketTooLarge);
    }
    Ok(Some(Head {
        kind,
        flags,
        header_len,
        len,
    }))
}

/// Reads a variable byte integer: its value and its size in bytes; `None`: more bytes are needed.
pub(crate) fn variable_int(bytes: &[u8]) -> Result<Option<(usize, usize)>, CloseReason> {
    let mut value = 0usize;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= 4 {
        Err(CloseReason::Malformed)
    } else {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_judged_before_its_body_arrives() {
        assert_eq!(head(&[], 100), Ok(None));
        assert_eq!(head(&[0x30], 100), Ok(None));
        assert_eq!(head(&[0x30, 0x80], 1000), Ok(None));
        assert_eq!(
            head(&[0x32, 0x80, 0x01], 1000),
            Ok(Some(Head {
                kind: 3,
                flags: 2,
                header_len: 3,
                len: 131
            }))
        );
        assert_eq!(head(&[0x32, 0x80, 0x01], 130), Err(CloseReason::PacketTooLarge));
    }

    #[test]
    fn an_endless_length_and_wrong_flags_are_malformed() {
        assert_eq!(
            head(&[0x30, 0xff, 0xff, 0xff, 0xff], 1 << 30),
            Err(CloseReason::Malformed)
        );
        assert_eq!(head(&[0x80, 0x00], 100), Err(CloseReason::Malformed));
        assert_eq!(head(&[0xc1, 0x00], 100), Err(CloseReason::Malformed));
        assert_eq!(head(&[0x00, 0x00], 100), Err(CloseReason::Malformed));
    }

    #[test]
    fn a_control_packet_has_a_smaller_limit_than_a_publish() {
        assert_eq!(
            head(&[0x82, 0xff, 0xff, 0x03], 1 << 20),
            Err(CloseReason::PacketTooLarge)
        );
        assert!(head(&[0x32, 0xff, 0xff, 0x03], 1 << 20).is_ok());
    }
}
