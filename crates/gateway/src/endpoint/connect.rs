//! CONNECT: both protocol versions behind one port, read into one checked value.

use bytes::Bytes;

use super::close::CloseReason;
use super::frame::Head;
use super::peer::Protocol;
use super::read::{Allowed, Cursor, Properties, Read, has_wildcard, properties};

/// Longest client identifier taken, in bytes. MQTT 3.1.1 only promises 23.
pub(crate) const MAX_CLIENT_ID: usize = 256;

/// A CONNECT, borrowed from its packet.
#[derive(Debug)]
pub(crate) struct Connect<'a> {
    pub(crate) protocol: Protocol,
    /// Seconds; 0: none.
    pub(crate) keep_alive: u16,
    pub(crate) client_id: &'a str,
    pub(crate) will: Option<ReadWill<'a>>,
    pub(crate) username: Option<&'a str>,
    pub(crate) password: Option<&'a [u8]>,
    pub(crate) properties: Properties,
}

/// The will part of a CONNECT.
#[derive(Debug)]
pub(crate) struct ReadWill<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) qos: u8,
    pub(crate) retain: bool,
}

/// A will that was accepted, in memory of its own: it may wait for weeks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Will {
    pub(crate) payload: Bytes,
    pub(crate) retain: bool,
    pub(crate) qos: u8,
}

/// A CONNECT that is not taken: why, and in which version to say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) protocol: Protocol,
    pub(crate) reason: CloseReason,
}

/// Reads the CONNECT in `frame`, whose fixed header is `head`.
///
/// # Errors
/// [`Refused`]; before the protocol level is known, the version is taken to be 3.1.1.
pub(crate) fn read_connect(head: Head, frame: &[u8]) -> Result<Connect<'_>, Refused> {
    let mut cursor = Cursor::new(frame, head.header_len);
    let v311 = |reason| Refused {
        protocol: Protocol::V311,
        reason,
    };
    let name = cursor.string().map_err(v311)?;
    let level = cursor.u8().map_err(v311)?;
    let protocol = match (name, level) {
        ("MQTT", 4) => Protocol::V311,
        ("MQTT", 5) => Protocol::V5,
        ("MQTT" | "MQIsdp", _) => return Err(v311(CloseReason::UnsupportedVersion)),
        _ => return Err(v311(CloseReason::Malformed)),
    };
    let connect = body(protocol, cursor).map_err(|reason| Refused { protocol, reason })?;
    Ok(connect)
}

fn body(protocol: Protocol, mut cursor: Cursor<'_>) -> Read<Connect<'_>> {
    let flags = cursor.u8()?;
    let keep_alive = cursor.u16()?;
    let flag = |bit: u8| flags & bit != 0;
    if flag(0x01) || (protocol == Protocol::V311 && flag(0x40) && !flag(0x80)) {
        return Err(CloseReason::Malformed);
    }
    let found = match protocol {
        Protocol::V5 => properties(&mut cursor, Allowed::CONNECT)?,
        Protocol::V311 => Properties::default(),
    };
    let client_id = cursor.string()?;
    let will = will(protocol, flags, &mut cursor)?;
    let username = if flag(0x80) { Some(cursor.string()?) } else { None };
    let password = if flag(0x40) { Some(cursor.binary()?) } else { None };
    cursor.finish()?;
    let clean = flag(0x02);
    let id_ok = client_id.len() <= MAX_CLIENT_ID && (protocol == Protocol::V5 || clean || !client_id.is_empty());
    if !id_ok {
        return Err(CloseReason::ClientIdInvalid);
    }
    if found.has_auth_method {
        return Err(CloseReason::AuthMethod);
    }
    Ok(Connect {
        protocol,
        keep_alive,
        client_id,
        will,
        username,
        password,
        properties: found,
    })
}

fn will<'a>(protocol: Protocol, flags: u8, cursor: &mut Cursor<'a>) -> Read<Option<ReadWill<'a>>> {
    let (qos, retain) = ((flags >> 3) & 3, flags & 0x20 != 0);
    if flags & 0x04 == 0 {
        return if qos == 0 && !retain {
            Ok(None)
        } else {
            Err(CloseReason::Malformed)
        };
    }
    if protocol == Protocol::V5 {
        // A will delay has no effect: the session ends with the connection, and the will is due then.
        properties(cursor, Allowed::WILL)?;
    }
    let topic = cursor.string()?;
    let payload = cursor.binary()?;
    if qos > 2 || topic.is_empty() || has_wildcard(topic.as_bytes()) {
        return Err(CloseReason::Malformed);
    }
    Ok(Some(ReadWill {
        topic,
        payload,
        qos,
        retain,
    }))
}
