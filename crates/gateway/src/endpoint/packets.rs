//! The packets that a connected client may send, read without a copy.

use super::close::CloseReason;
use super::frame::Head;
use super::peer::Protocol;
use super::read::{Allowed, Cursor, Properties, Read, properties};

/// A PUBLISH; topic borrowed, payload as its range in the frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReadPublish<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload_at: usize,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    /// 0 for QoS 0.
    pub(crate) packet_id: u16,
}

/// Reads a PUBLISH. QoS 2 and topic aliases are refused here.
///
/// # Errors
/// The reason to close the connection with. Wildcards in the topic are left for the caller to judge.
pub(crate) fn read_publish(protocol: Protocol, head: Head, frame: &[u8]) -> Read<ReadPublish<'_>> {
    let qos = (head.flags >> 1) & 3;
    let (retain, dup) = (head.flags & 1 != 0, head.flags & 8 != 0);
    match qos {
        2 => return Err(CloseReason::Qos2),
        3 => return Err(CloseReason::Malformed),
        _ => {}
    }
    if dup && qos == 0 {
        return Err(CloseReason::Malformed);
    }
    let mut cursor = Cursor::new(frame, head.header_len);
    let topic = cursor.string()?;
    let packet_id = if qos == 0 { 0 } else { cursor.packet_id()? };
    if protocol == Protocol::V5 && properties(&mut cursor, Allowed::PUBLISH)?.has_topic_alias {
        return Err(CloseReason::TopicAlias);
    }
    if topic.is_empty() {
        return Err(CloseReason::ProtocolError);
    }
    Ok(ReadPublish {
        topic,
        payload_at: cursor.position(),
        qos,
        retain,
        dup,
        packet_id,
    })
}

/// Reads a SUBSCRIBE: packet id, and each filter with its options byte.
pub(crate) fn read_subscribe(protocol: Protocol, head: Head, frame: &[u8]) -> Read<(u16, Vec<(&str, u8)>)> {
    let mut cursor = Cursor::new(frame, head.header_len);
    let packet_id = cursor.packet_id()?;
    if properties_of(protocol, &mut cursor, Allowed::SUBSCRIBE)?.has_subscription_id {
        return Err(CloseReason::SubscriptionId);
    }
    // Bits that must be zero, and a QoS of at most 2 and retain handling of at most 2.
    let reserved = if protocol == Protocol::V5 { 0xc0 } else { 0xfc };
    let mut filters = Vec::new();
    while !cursor.is_at_end() {
        let (filter, options) = (filter(&mut cursor)?, cursor.u8()?);
        if options & reserved != 0 || options & 0x03 == 3 || options & 0x30 == 0x30 {
            return Err(CloseReason::Malformed);
        }
        filters.push((filter, options));
    }
    if filters.is_empty() {
        Err(CloseReason::ProtocolError)
    } else {
        Ok((packet_id, filters))
    }
}

/// Reads an UNSUBSCRIBE: packet id and filters.
pub(crate) fn read_unsubscribe(protocol: Protocol, head: Head, frame: &[u8]) -> Read<(u16, Vec<&str>)> {
    let mut cursor = Cursor::new(frame, head.header_len);
    let packet_id = cursor.packet_id()?;
    properties_of(protocol, &mut cursor, Allowed::UNSUBSCRIBE)?;
    let mut filters = Vec::new();
    while !cursor.is_at_end() {
        filters.push(filter(&mut cursor)?);
    }
    if filters.is_empty() {
        Err(CloseReason::ProtocolError)
    } else {
        Ok((packet_id, filters))
    }
}

/// Reads a PUBACK: packet id and whether the client took the message.
pub(crate) fn read_puback(protocol: Protocol, head: Head, frame: &[u8]) -> Read<(u16, bool)> {
    let mut cursor = Cursor::new(frame, head.header_len);
    let packet_id = cursor.packet_id()?;
    let mut code = 0;
    if protocol == Protocol::V5 && !cursor.is_at_end() {
        code = cursor.u8()?;
        if !cursor.is_at_end() {
            properties(&mut cursor, Allowed::PUBACK)?;
        }
    }
    cursor.finish()?;
    Ok((packet_id, code < 0x80))
}

/// Reads a DISCONNECT: whether the client gives up its will.
pub(crate) fn read_disconnect(protocol: Protocol, head: Head, frame: &[u8]) -> Read<bool> {
    let mut cursor = Cursor::new(frame, head.header_len);
    let mut code = 0;
    if protocol == Protocol::V5 && !cursor.is_at_end() {
        code = cursor.u8()?;
        if !cursor.is_at_end() {
            properties(&mut cursor, Allowed::DISCONNECT)?;
        }
    }
    cursor.finish()?;
    Ok(code == 0)
}

fn properties_of(protocol: Protocol, cursor: &mut Cursor<'_>, allowed: Allowed) -> Read<Properties> {
    match protocol {
        Protocol::V5 => properties(cursor, allowed),
        Protocol::V311 => Ok(Properties::default()),
    }
}

fn filter<'a>(cursor: &mut Cursor<'a>) -> Read<&'a str> {
    match cursor.string()? {
        "" => Err(CloseReason::Malformed),
        filter => Ok(filter),
    }
}
