//! Foreign bytes against the reader and the session: nothing panics, nothing grows, and what the
//! codec writes is read as what it says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rumqttc::mqttbytes::{self, v4};
use rumqttc::v5::mqttbytes::{self as mqttbytes5, v5};

use super::close::CloseReason;
use super::config::EndpointConfig;
use super::connect::read_connect;
use super::frame::{self, MAX_CONTROL_PACKET};
use super::packets;
use super::peer::{Peer, Proof, Protocol};
use super::session::Session;

const MAX_PACKET: usize = 4096;
const OWN: &str = "dermatel/v1/acme/soho/pen-0042/telemetry";
const STATUS: &str = "dermatel/v1/acme/soho/pen-0042/status";
const COMMAND: &str = "dermatel/v1/acme/soho/pen-0042/command";

fn peer() -> Arc<Peer> {
    Arc::new(Peer {
        identity: "acme/pen-0042".into(),
        publish_topics: vec![OWN.into(), STATUS.into()],
        will_topic: Some(STATUS.into()),
        command_topic: COMMAND.into(),
        proof: Proof::Nothing,
    })
}

fn session(protocol: Protocol) -> Session {
    let mut bytes = BytesMut::new();
    match protocol {
        Protocol::V311 => drop(v4::Connect::new("pen").write(&mut bytes)),
        Protocol::V5 => drop(v5_connect("pen").write(&mut bytes, None)),
    }
    let head = frame::head(&bytes, MAX_CONTROL_PACKET).unwrap().unwrap();
    let connect = read_connect(head, &bytes).unwrap();
    Session::open(&connect, peer(), &EndpointConfig::default())
        .ok()
        .unwrap()
        .0
}

fn v5_connect(client_id: &str) -> v5::Packet {
    let connect = v5::Connect {
        keep_alive: 30,
        client_id: client_id.into(),
        clean_start: true,
        properties: Some(v5::ConnectProperties::new()),
    };
    v5::Packet::Connect(connect, None, None)
}

/// Feeds bytes as the connection does; returns why it ended and what it has written.
fn feed(protocol: Protocol, bytes: &[u8]) -> (Option<CloseReason>, usize, usize) {
    let (mut session, mut out, mut published) = (session(protocol), BytesMut::new(), 0);
    let mut buffer = BytesMut::from(bytes);
    loop {
        let head = match frame::head(&buffer, MAX_PACKET) {
            Ok(Some(head)) if head.len <= buffer.len() => head,
            Ok(_) => return (None, out.len(), published),
            Err(reason) => return (Some(reason), out.len(), published),
        };
        match session.packet(head, buffer.split_to(head.len).freeze(), &mut out) {
            Ok(Some(publish)) => {
                assert!(publish.payload.len() <= head.len);
                published += 1;
            }
            Ok(None) => {}
            Err(reason) => return (Some(reason), out.len(), published),
        }
    }
}

/// Packets as clients really send them, to be mutated.
fn valid_packets(protocol: Protocol) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    match protocol {
        Protocol::V311 => {
            let mut put = |packet: v4::Packet| {
                let mut bytes = BytesMut::new();
                packet.write(&mut bytes, usize::MAX).unwrap();
                all.push(bytes.to_vec());
            };
            let mut publish = v4::Publish::new(OWN, mqttbytes::QoS::AtLeastOnce, *b"payload");
            publish.pkid = 7;
            put(v4::Packet::Publish(publish));
            let mut subscribe = v4::Subscribe::new(COMMAND, mqttbytes::QoS::AtLeastOnce);
            subscribe.pkid = 8;
            put(v4::Packet::Subscribe(subscribe));
            put(v4::Packet::Unsubscribe(v4::Unsubscribe {
                pkid: 9,
                topics: vec![COMMAND.into()],
            }));
            put(v4::Packet::PubAck(v4::PubAck::new(1)));
            put(v4::Packet::PingReq);
            put(v4::Packet::Disconnect);
        }
        Protocol::V5 => {
            let mut put = |packet: v5::Packet| {
                let mut bytes = BytesMut::new();
                packet.write(&mut bytes, None).unwrap();
                all.push(bytes.to_vec());
            };
            put(v5::Packet::Publish(v5_publish(
                7,
                "payload",
                vec![("k".into(), "v".into())],
            )));
            let filter = v5::Filter::new(COMMAND, mqttbytes5::QoS::AtLeastOnce);
            let mut subscribe = v5::Subscribe::new(filter, None);
            subscribe.pkid = 8;
            put(v5::Packet::Subscribe(subscribe));
            let mut unsubscribe = v5::Unsubscribe::new(COMMAND, None);
            unsubscribe.pkid = 9;
            put(v5::Packet::Unsubscribe(unsubscribe));
            put(v5::Packet::PubAck(v5::PubAck::new(1, None)));
            put(v5::Packet::PingReq(v5::PingReq));
            let code = v5::DisconnectReasonCode::NormalDisconnection;
            put(v5::Packet::Disconnect(v5::Disconnect::new(code)));
        }
    }
    all
}

fn v5_publish(pkid: u16, payload: &str, user_properties: Vec<(String, String)>) -> v5::Publish {
    let properties = v5::PublishProperties {
        payload_format_indicator: Some(0),
        message_expiry_interval: Some(60),
        correlation_data: Some(Bytes::from_static(b"c")),
        user_properties,
        ..v5::PublishProperties::default()
    };
    let mut publish = v5::Publish::new(OWN, mqttbytes5::QoS::AtLeastOnce, payload.to_owned(), Some(properties));
    publish.pkid = pkid;
    publish
}

fn protocols() -> impl Strategy<Value = Protocol> {
    prop_oneof![Just(Protocol::V311), Just(Protocol::V5)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_never_panic_and_are_answered_in_proportion(
        protocol in protocols(),
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let (_, written, published) = feed(protocol, &bytes);
        // The largest answer per byte is a PINGRESP; a filter of four bytes costs at most one.
        prop_assert!(written <= 4 * bytes.len());
        prop_assert!(published * 5 <= bytes.len());
        if let Ok(Some(head)) = frame::head(&bytes, MAX_CONTROL_PACKET) && head.len <= bytes.len() {
            drop(read_connect(head, &bytes[..head.len]));
        }
    }

    #[test]
    fn mutated_packets_never_panic(
        protocol in protocols(),
        picks in proptest::collection::vec(any::<proptest::sample::Index>(), 1..8),
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let packets = valid_packets(protocol);
        let mut bytes: Vec<u8> = picks.iter().flat_map(|pick| pick.get(&packets).clone()).collect();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        feed(protocol, &bytes);
    }

    #[test]
    fn a_mutated_connect_never_panics(
        protocol in protocols(),
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = BytesMut::new();
        match protocol {
            Protocol::V311 => {
                let mut connect = v4::Connect::new("pen");
                connect.last_will = Some(v4::LastWill::new(STATUS, "off", mqttbytes::QoS::AtLeastOnce, true));
                connect.set_login("user", "password").write(&mut bytes).unwrap();
            }
            Protocol::V5 => drop(v5_connect("pen").write(&mut bytes, None)),
        }
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(Some(head)) = frame::head(&bytes, MAX_CONTROL_PACKET)
            && head.len <= bytes.len()
            && let Ok(connect) = read_connect(head, &bytes[..head.len])
        {
            drop(Session::open(&connect, peer(), &EndpointConfig::default()));
        }
    }

    #[test]
    fn a_publish_is_read_as_the_codec_wrote_it(
        pkid in 1u16..,
        payload in ".{0,200}",
        retain: bool,
        users in proptest::collection::vec(("[a-z]{1,5}", ".{0,20}"), 0..3),
    ) {
        prop_assume!(users.iter().all(|(_, value)| !value.contains('\0')));
        let mut publish = v5_publish(pkid, &payload, users);
        publish.retain = retain;
        let mut bytes = BytesMut::new();
        publish.write(&mut bytes).unwrap();
        let head = frame::head(&bytes, 1 << 20).unwrap().unwrap();
        prop_assert_eq!(head.len, bytes.len());
        let read = packets::read_publish(Protocol::V5, head, &bytes).unwrap();
        prop_assert_eq!((read.topic, read.packet_id, read.retain), (OWN, pkid, retain));
        prop_assert_eq!(&bytes[read.payload_at..], payload.as_bytes());
    }

    #[test]
    fn a_connect_is_read_as_the_codec_wrote_it(
        id in "[a-z0-9]{1,40}",
        user in "[a-z]{1,20}",
        password in "[ -~]{1,40}",
        will in proptest::option::of("[ -~]{0,50}"),
    ) {
        let mut connect = v4::Connect::new(&id);
        connect.set_login(&user, &password);
        connect.last_will = will.as_ref().map(|text| {
            v4::LastWill::new(STATUS, text.as_bytes(), mqttbytes::QoS::AtLeastOnce, true)
        });
        let mut bytes = BytesMut::new();
        connect.write(&mut bytes).unwrap();
        let head = frame::head(&bytes, MAX_CONTROL_PACKET).unwrap().unwrap();
        let read = read_connect(head, &bytes).unwrap();
        prop_assert_eq!((read.client_id, read.username), (&*id, Some(&*user)));
        prop_assert_eq!(read.password, Some(password.as_bytes()));
        prop_assert_eq!(read.will.map(|w| w.payload.to_vec()), will.map(String::into_bytes));
    }
}

#[test]
fn every_valid_packet_is_taken() {
    for protocol in [Protocol::V311, Protocol::V5] {
        for packet in valid_packets(protocol) {
            let (reason, ..) = feed(protocol, &packet);
            let is_disconnect = packet[0] == 0xe0;
            assert_eq!(
                reason,
                is_disconnect.then_some(CloseReason::Disconnect),
                "{packet:02x?}"
            );
        }
    }
}

#[test]
fn packets_that_have_no_business_here_end_the_connection_for_the_right_reason() {
    use CloseReason::*;
    let v311: &[(&str, &[u8], CloseReason)] = &[
        ("second connect", &[0x10, 2, 0, 4], ProtocolError),
        ("qos 2", &[0x34, 5, 0, 1, b'a', 0, 1], Qos2),
        ("qos 3", &[0x36, 5, 0, 1, b'a', 0, 1], Malformed),
        ("packet id 0", &[0x32, 5, 0, 1, b'a', 0, 0], Malformed),
        ("empty topic", &[0x30, 2, 0, 0], ProtocolError),
        ("topic with nul", &[0x30, 3, 0, 1, 0], Malformed),
        ("topic not utf-8", &[0x30, 3, 0, 1, 0xff], Malformed),
        ("pubrel", &[0x62, 2, 0, 1], ProtocolError),
        ("connack", &[0x20, 2, 0, 0], ProtocolError),
        ("subscribe without filters", &[0x82, 2, 0, 1], ProtocolError),
        ("subscribe with qos 3", &[0x82, 6, 0, 1, 0, 1, b'a', 3], Malformed),
        ("auth", &[0xf0, 0], ProtocolError),
        ("too large", &[0x30, 0xff, 0xff, 0x7f], PacketTooLarge),
    ];
    for (name, bytes, reason) in v311 {
        assert_eq!(feed(Protocol::V311, bytes).0, Some(*reason), "{name}");
    }
    let v5: &[(&str, &[u8], CloseReason)] = &[
        ("topic alias", &[0x30, 7, 0, 1, b'a', 3, 35, 0, 1], TopicAlias),
        (
            "subscription id",
            &[0x82, 9, 0, 1, 2, 11, 1, 0, 1, b'a', 0],
            SubscriptionId,
        ),
        ("property length past the end", &[0x30, 4, 0, 1, b'a', 9], Malformed),
        ("disconnect with will", &[0xe0, 1, 4], DisconnectWithWill),
        ("normal disconnect in two forms", &[0xe0, 1, 0], Disconnect),
        ("normal disconnect in three forms", &[0xe0, 2, 0, 0], Disconnect),
    ];
    for (name, bytes, reason) in v5 {
        assert_eq!(feed(Protocol::V5, bytes).0, Some(*reason), "{name}");
    }
}
