//! What leaves: every packet to a client, through rumqttc's codec, in the client's version.

use bytes::{BufMut, Bytes, BytesMut};
use rumqttc::mqttbytes::{self, v4};
use rumqttc::v5::mqttbytes::{self as mqttbytes5, v5};

use super::close::CloseReason;
use super::peer::Protocol;

/// The codec refused to write; carries nothing, as the only cause is the client's own size limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// What the CONNACK of MQTT 5 tells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Welcome {
    pub(crate) receive_maximum: u16,
    pub(crate) max_packet_size: u32,
    /// Seconds, where it is not what the client asked for.
    pub(crate) server_keep_alive: Option<u16>,
    pub(crate) assigned_client_id: Option<String>,
}

/// CONNACK that lets the client in. No session is ever present: nothing is kept between connections.
pub(crate) fn welcome(protocol: Protocol, says: Welcome, out: &mut BytesMut) {
    match protocol {
        Protocol::V311 => put_v4(
            out,
            &v4::Packet::ConnAck(v4::ConnAck::new(v4::ConnectReturnCode::Success, false)),
        ),
        Protocol::V5 => {
            let properties = v5::ConnAckProperties {
                session_expiry_interval: Some(0),
                receive_max: Some(says.receive_maximum),
                max_qos: Some(1),
                retain_available: Some(1),
                max_packet_size: Some(says.max_packet_size),
                assigned_client_identifier: says.assigned_client_id,
                topic_alias_max: Some(0),
                reason_string: None,
                user_properties: Vec::new(),
                wildcard_subscription_available: Some(0),
                subscription_identifiers_available: Some(0),
                shared_subscription_available: Some(0),
                server_keep_alive: says.server_keep_alive,
                response_information: None,
                server_reference: None,
                authentication_method: None,
                authentication_data: None,
            };
            let code = v5::ConnectReturnCode::Success;
            let connack = v5::ConnAck {
                session_present: false,
                code,
                properties: Some(properties),
            };
            put_v5(out, &v5::Packet::ConnAck(connack), None).ok();
        }
    }
}

/// CONNACK that refuses, where there is a code for it.
pub(crate) fn refuse(protocol: Protocol, reason: CloseReason, out: &mut BytesMut) {
    match protocol {
        Protocol::V311 => {
            if let Some(code) = refusal_v4(reason) {
                put_v4(out, &v4::Packet::ConnAck(v4::ConnAck::new(code, false)));
            }
        }
        Protocol::V5 => {
            let code = refusal_v5(reason);
            let connack = v5::ConnAck {
                session_present: false,
                code,
                properties: None,
            };
            put_v5(out, &v5::Packet::ConnAck(connack), None).ok();
        }
    }
}

/// 3.1.1 knows five codes; for anything else the connection is closed without a word.
fn refusal_v4(reason: CloseReason) -> Option<v4::ConnectReturnCode> {
    use v4::ConnectReturnCode as Code;
    match reason {
        CloseReason::UnsupportedVersion => Some(Code::RefusedProtocolVersion),
        CloseReason::ClientIdInvalid => Some(Code::BadClientId),
        CloseReason::BadCredentials => Some(Code::BadUserNamePassword),
        CloseReason::NotAuthorized | CloseReason::WillRefused => Some(Code::NotAuthorized),
        CloseReason::TooManyConnections
        | CloseReason::ServerBusy
        | CloseReason::TakeoverTimeout
        | CloseReason::ServerShuttingDown => Some(Code::ServiceUnavailable),
        _ => None,
    }
}

fn refusal_v5(reason: CloseReason) -> v5::ConnectReturnCode {
    use v5::ConnectReturnCode as Code;
    match reason {
        CloseReason::UnsupportedVersion => Code::UnsupportedProtocolVersion,
        CloseReason::ClientIdInvalid => Code::ClientIdentifierNotValid,
        CloseReason::BadCredentials => Code::BadUserNamePassword,
        CloseReason::NotAuthorized | CloseReason::WillRefused => Code::NotAuthorized,
        CloseReason::Qos2 => Code::QoSNotSupported,
        CloseReason::AuthMethod => Code::BadAuthenticationMethod,
        CloseReason::PacketTooLarge => Code::PacketTooLarge,
        CloseReason::Malformed => Code::MalformedPacket,
        CloseReason::ProtocolError => Code::ProtocolError,
        CloseReason::TooManyConnections => Code::QuotaExceeded,
        CloseReason::ServerShuttingDown => Code::ServerUnavailable,
        _ => Code::ServerBusy,
    }
}

/// PUBACK without a reason: four bytes, on the hot path, so not through the codec.
pub(crate) fn puback(packet_id: u16, out: &mut BytesMut) {
    out.put_slice(&[0x40, 0x02]);
    out.put_u16(packet_id);
}

/// MQTT 5 PUBACK with a reason code; the reason string is left out where `limit` has no room for it.
pub(crate) fn puback_v5(
    packet_id: u16,
    reason: v5::PubAckReason,
    why: Option<&str>,
    limit: Option<u32>,
    out: &mut BytesMut,
) {
    let properties = why.map(|why| v5::PubAckProperties {
        reason_string: Some(why.to_owned()),
        user_properties: Vec::new(),
    });
    let full = v5::Packet::PubAck(v5::PubAck {
        pkid: packet_id,
        reason,
        properties,
    });
    if put_v5(out, &full, limit).is_err() {
        let bare = v5::PubAck {
            pkid: packet_id,
            reason,
            properties: None,
        };
        put_v5(out, &v5::Packet::PubAck(bare), None).ok();
    }
}

/// What a filter got in the SUBACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Granted {
    Qos0,
    Qos1,
    NotAuthorized,
    NoWildcards,
    NoShared,
}

/// SUBACK, one code per filter.
pub(crate) fn suback(protocol: Protocol, packet_id: u16, granted: &[Granted], out: &mut BytesMut) {
    match protocol {
        Protocol::V311 => {
            let codes = granted.iter().map(|g| match g {
                Granted::Qos0 => v4::SubscribeReasonCode::Success(mqttbytes::QoS::AtMostOnce),
                Granted::Qos1 => v4::SubscribeReasonCode::Success(mqttbytes::QoS::AtLeastOnce),
                _ => v4::SubscribeReasonCode::Failure,
            });
            put_v4(out, &v4::Packet::SubAck(v4::SubAck::new(packet_id, codes.collect())));
        }
        Protocol::V5 => {
            use v5::SubscribeReasonCode as Code;
            let codes = granted.iter().map(|g| match g {
                Granted::Qos0 => Code::Success(mqttbytes5::QoS::AtMostOnce),
                Granted::Qos1 => Code::Success(mqttbytes5::QoS::AtLeastOnce),
                Granted::NotAuthorized => Code::NotAuthorized,
                Granted::NoWildcards => Code::WildcardSubscriptionsNotSupported,
                Granted::NoShared => Code::SharedSubscriptionsNotSupported,
            });
            let suback = v5::SubAck {
                pkid: packet_id,
                return_codes: codes.collect(),
                properties: None,
            };
            put_v5(out, &v5::Packet::SubAck(suback), None).ok();
        }
    }
}

/// UNSUBACK; MQTT 5 says for each filter whether there was a subscription.
pub(crate) fn unsuback(protocol: Protocol, packet_id: u16, existed: &[bool], out: &mut BytesMut) {
    match protocol {
        Protocol::V311 => put_v4(out, &v4::Packet::UnsubAck(v4::UnsubAck::new(packet_id))),
        Protocol::V5 => {
            let reasons = existed.iter().map(|existed| match existed {
                true => v5::UnsubAckReason::Success,
                false => v5::UnsubAckReason::NoSubscriptionExisted,
            });
            let unsuback = v5::UnsubAck {
                pkid: packet_id,
                reasons: reasons.collect(),
                properties: None,
            };
            put_v5(out, &v5::Packet::UnsubAck(unsuback), None).ok();
        }
    }
}

/// PUBLISH of a command; `packet_id` 0 is QoS 0.
///
/// # Errors
/// [`TooLarge`] for the Maximum Packet Size of the client; nothing was written.
pub(crate) fn command(
    protocol: Protocol,
    topic: &str,
    payload: Bytes,
    packet_id: u16,
    limit: Option<u32>,
    out: &mut BytesMut,
) -> Result<(), TooLarge> {
    match protocol {
        Protocol::V311 => {
            let qos = if packet_id == 0 {
                mqttbytes::QoS::AtMostOnce
            } else {
                mqttbytes::QoS::AtLeastOnce
            };
            let mut publish = v4::Publish::from_bytes(topic, qos, payload);
            publish.pkid = packet_id;
            put_v4(out, &v4::Packet::Publish(publish));
            Ok(())
        }
        Protocol::V5 => {
            let qos = if packet_id == 0 {
                mqttbytes5::QoS::AtMostOnce
            } else {
                mqttbytes5::QoS::AtLeastOnce
            };
            let mut publish = v5::Publish::new(topic, qos, payload, None);
            publish.pkid = packet_id;
            put_v5(out, &v5::Packet::Publish(publish), limit)
        }
    }
}

/// PINGRESP.
pub(crate) fn pingresp(out: &mut BytesMut) {
    out.put_slice(&[0xd0, 0x00]);
}

/// DISCONNECT towards an MQTT 5 client; 3.1.1 has none in this direction.
pub(crate) fn disconnect(protocol: Protocol, reason: CloseReason, out: &mut BytesMut) {
    if let (Protocol::V5, Some(code)) = (protocol, reason.disconnect_code()) {
        put_v5(out, &v5::Packet::Disconnect(v5::Disconnect::new(code)), None).ok();
    }
}

/// The codec's 3.1.1 writer fails for sizes alone, and none of ours comes near MQTT's 256 MiB.
fn put_v4(out: &mut BytesMut, packet: &v4::Packet) {
    packet.write(out, usize::MAX).ok();
}

fn put_v5(out: &mut BytesMut, packet: &v5::Packet, limit: Option<u32>) -> Result<(), TooLarge> {
    packet.write(out, limit).map(drop).map_err(|_| TooLarge)
}
