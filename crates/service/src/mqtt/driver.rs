//! One connection of rumqttc, 3.1.1 or 5, behind one face; made anew for every attempt and thrown away at its end.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use rumqttc::v5::mqttbytes::v5 as p5;
use rumqttc::{StateError, TlsConfiguration, Transport, v5};

use super::link::{DisconnectReason, Ended};
use super::options::{Broker, PACKET_IDS, Version, Will};

/// Requests that fit into the library's channel: every acknowledgement that can be owed, and our few others. The channel
/// grows with what is in it.
const REQUESTS: usize = PACKET_IDS + 64;
/// Packet ids beyond the window, so that subscribing does not collide with a publish.
const SPARE_IDS: u16 = 8;

/// What a connection reports, in one vocabulary for both versions.
#[derive(Debug)]
pub(super) enum Event {
    Connected {
        session_present: bool,
        receive_max: Option<u16>,
        max_packet: Option<usize>,
    },
    Publish {
        topic: String,
        payload: Bytes,
        retain: bool,
        dup: bool,
        qos: u8,
        pkid: u16,
    },
    PubAck {
        pkid: u16,
        reason: Option<u8>,
    },
    /// A publish was given this packet id and written.
    Sent {
        pkid: u16,
    },
    /// One entry per filter, true if granted.
    SubAck(Vec<bool>),
    Disconnected,
    Other,
}

/// What a connection is made with, beside the broker.
pub(super) struct Terms<'a> {
    pub(super) version: Version,
    pub(super) clean_session: bool,
    pub(super) manual_acks: bool,
    pub(super) window: u16,
    /// Largest packet to read, in bytes.
    pub(super) read_limit: usize,
    pub(super) will: Option<&'a Will>,
}

pub(super) struct Driver {
    inner: Inner,
    /// A poll yields at least once per keep alive (the ping); without that for so long, the peer or the library hangs.
    silence: Duration,
}

enum Inner {
    V311(Box<rumqttc::EventLoop>),
    V5(Box<v5::EventLoop>),
}

/// The side that asks; cheap to clone, dead when its driver is gone.
#[derive(Clone, Debug)]
pub(super) enum Sender {
    V311(rumqttc::AsyncClient),
    V5(v5::AsyncClient),
}

impl Driver {
    pub(super) fn new(broker: &Broker, terms: &Terms<'_>) -> (Self, Sender) {
        let silence = broker.keep_alive.saturating_mul(2) + broker.connect_timeout;
        let (inner, sender) = match terms.version {
            Version::V311 => {
                let (client, mut events) = rumqttc::AsyncClient::new(options_v311(broker, terms), REQUESTS);
                events.network_options = network(broker);
                (Inner::V311(Box::new(events)), Sender::V311(client))
            }
            Version::V5 => {
                let (client, events) = v5::AsyncClient::new(options_v5(broker, terms), REQUESTS);
                (Inner::V5(Box::new(events)), Sender::V5(client))
            }
        };
        (Self { inner, silence }, sender)
    }

    /// The next event. After an error the driver is spent. Cancelling this may lose a request: only do so to end the connection.
    pub(super) async fn poll(&mut self) -> Result<Event, Ended> {
        let silence = self.silence;
        let polled = tokio::time::timeout(silence, async {
            match &mut self.inner {
                Inner::V311(events) => contained(events.poll())
                    .await
                    .map(|polled| polled.map(event_v311).map_err(ended_v311)),
                Inner::V5(events) => contained(events.poll()).await.map(|polled| match polled {
                    Ok(event) => Ok(event_v5(event, &mut events.options)),
                    Err(error) => Err(ended_v5(error)),
                }),
            }
        });
        match polled.await {
            Ok(Some(result)) => result,
            Ok(None) => Err(Ended::new(DisconnectReason::Panicked, "the MQTT library panicked")),
            Err(_) => Err(Ended::new(
                DisconnectReason::Timeout,
                "nothing moved for two keep alives",
            )),
        }
    }

    /// Events that were read before the connection broke: acknowledgements among them are as good as any.
    pub(super) fn leftovers(&mut self) -> Vec<Event> {
        match &mut self.inner {
            Inner::V311(events) => events.state.events.drain(..).map(event_v311).collect(),
            Inner::V5(events) => {
                let left: Vec<_> = events.state.events.drain(..).collect();
                left.into_iter()
                    .map(|event| event_v5(event, &mut events.options))
                    .collect()
            }
        }
    }
}

/// Runs a future of the library; none when it panicked (it has unwraps on what a broker sends).
async fn contained<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// Polls once: the library's channel has room for all that we can owe, so a send is done or the connection is dead.
fn once<F: Future<Output = Result<(), E>>, E>(future: F) -> bool {
    let mut future = pin!(future);
    matches!(
        future.as_mut().poll(&mut Context::from_waker(Waker::noop())),
        Poll::Ready(Ok(()))
    )
}

impl Sender {
    pub(super) fn publish(&self, topic: &str, payload: Bytes, retain: bool) -> bool {
        match self {
            Self::V311(client) => once(client.publish_bytes(topic, rumqttc::QoS::AtLeastOnce, retain, payload)),
            Self::V5(client) => once(client.publish_bytes(topic, v5::mqttbytes::QoS::AtLeastOnce, retain, payload)),
        }
    }

    pub(super) fn ack(&self, pkid: u16) -> bool {
        match self {
            Self::V311(client) => {
                let mut publish = rumqttc::Publish::from_bytes("", rumqttc::QoS::AtLeastOnce, Bytes::new());
                publish.pkid = pkid;
                client.try_ack(&publish).is_ok()
            }
            Self::V5(client) => {
                let mut publish = p5::Publish::new("", v5::mqttbytes::QoS::AtLeastOnce, Bytes::new(), None);
                publish.pkid = pkid;
                client.try_ack(&publish).is_ok()
            }
        }
    }

    pub(super) fn subscribe(&self, filters: &[String]) -> bool {
        match self {
            Self::V311(client) => {
                let filters = filters
                    .iter()
                    .map(|f| rumqttc::SubscribeFilter::new(f.clone(), rumqttc::QoS::AtLeastOnce));
                client.try_subscribe_many(filters).is_ok()
            }
            Self::V5(client) => {
                let filters = filters
                    .iter()
                    .map(|f| p5::Filter::new(f.clone(), v5::mqttbytes::QoS::AtLeastOnce));
                client.try_subscribe_many(filters).is_ok()
            }
        }
    }

    pub(super) fn unsubscribe(&self, filter: &str) -> bool {
        match self {
            Self::V311(client) => client.try_unsubscribe(filter).is_ok(),
            Self::V5(client) => client.try_unsubscribe(filter).is_ok(),
        }
    }

    pub(super) fn disconnect(&self) -> bool {
        match self {
            Self::V311(client) => client.try_disconnect().is_ok(),
            Self::V5(client) => client.try_disconnect().is_ok(),
        }
    }
}

fn network(broker: &Broker) -> rumqttc::NetworkOptions {
    let mut options = rumqttc::NetworkOptions::new();
    options.set_tcp_nodelay(true);
    options.set_connection_timeout(broker.connect_timeout.as_secs());
    options
}

fn transport(broker: &Broker) -> Transport {
    match &broker.tls {
        None => Transport::Tcp,
        Some(config) => Transport::Tls(TlsConfiguration::Rustls(config.clone())),
    }
}

fn options_v311(broker: &Broker, terms: &Terms<'_>) -> rumqttc::MqttOptions {
    let mut options = rumqttc::MqttOptions::new(&broker.client_id, &broker.host, broker.port);
    options
        .set_transport(transport(broker))
        .set_keep_alive(broker.keep_alive)
        .set_clean_session(terms.clean_session)
        .set_manual_acks(terms.manual_acks)
        .set_max_packet_size(terms.read_limit, broker.max_packet_size.as_usize())
        .set_inflight(terms.window.saturating_add(SPARE_IDS));
    if let Some(username) = &broker.username {
        options.set_credentials(
            username,
            broker.password.as_ref().map_or("", |password| password.reveal()),
        );
    }
    if let Some(will) = terms.will {
        options.set_last_will(rumqttc::LastWill::new(
            &will.topic,
            will.payload.to_vec(),
            rumqttc::QoS::AtLeastOnce,
            will.retain,
        ));
    }
    options
}

fn options_v5(broker: &Broker, terms: &Terms<'_>) -> v5::MqttOptions {
    let mut options = v5::MqttOptions::new(&broker.client_id, &broker.host, broker.port);
    options
        .set_transport(transport(broker))
        .set_keep_alive(broker.keep_alive)
        .set_connection_timeout(broker.connect_timeout.as_secs())
        .set_network_options(network(broker))
        .set_clean_start(terms.clean_session)
        .set_manual_acks(terms.manual_acks)
        .set_max_packet_size(Some(u32::try_from(terms.read_limit).unwrap_or(u32::MAX)))
        .set_outgoing_inflight_upper_limit(terms.window.saturating_add(SPARE_IDS));
    if !terms.clean_session {
        // Without this a broker ends the session with the connection.
        options.set_session_expiry_interval(Some(u32::MAX));
    }
    if let Some(username) = &broker.username {
        options.set_credentials(
            username,
            broker.password.as_ref().map_or("", |password| password.reveal()),
        );
    }
    if let Some(will) = terms.will {
        let qos = v5::mqttbytes::QoS::AtLeastOnce;
        options.set_last_will(p5::LastWill::new(
            &will.topic,
            will.payload.to_vec(),
            qos,
            will.retain,
            None,
        ));
    }
    options
}

fn event_v311(event: rumqttc::Event) -> Event {
    use rumqttc::{Event as E, Outgoing, Packet, SubscribeReasonCode};
    match event {
        E::Incoming(Packet::ConnAck(connack)) => Event::Connected {
            session_present: connack.session_present,
            receive_max: None,
            max_packet: None,
        },
        E::Incoming(Packet::Publish(p)) => Event::Publish {
            topic: p.topic,
            payload: p.payload,
            retain: p.retain,
            dup: p.dup,
            qos: p.qos as u8,
            pkid: p.pkid,
        },
        E::Incoming(Packet::PubAck(puback)) => Event::PubAck {
            pkid: puback.pkid,
            reason: None,
        },
        E::Incoming(Packet::SubAck(suback)) => Event::SubAck(
            suback
                .return_codes
                .iter()
                .map(|code| matches!(code, SubscribeReasonCode::Success(_)))
                .collect(),
        ),
        E::Outgoing(Outgoing::Publish(pkid)) => Event::Sent { pkid },
        E::Outgoing(Outgoing::Disconnect) => Event::Disconnected,
        _ => Event::Other,
    }
}

fn event_v5(event: v5::Event, options: &mut v5::MqttOptions) -> Event {
    use rumqttc::Outgoing;
    match event {
        v5::Event::Incoming(p5::Packet::ConnAck(connack)) => {
            if options.keep_alive().is_zero() {
                // The broker said "no keep alive"; the library would ping without a pause.
                options.set_keep_alive(Duration::from_secs(u64::from(u16::MAX)));
            }
            let properties = connack.properties.as_ref();
            Event::Connected {
                session_present: connack.session_present,
                receive_max: properties.and_then(|p| p.receive_max),
                max_packet: properties.and_then(|p| p.max_packet_size).map(|max| max as usize),
            }
        }
        v5::Event::Incoming(p5::Packet::Publish(p)) => Event::Publish {
            topic: String::from_utf8_lossy(&p.topic).into_owned(),
            payload: p.payload,
            retain: p.retain,
            dup: p.dup,
            qos: p.qos as u8,
            pkid: p.pkid,
        },
        v5::Event::Incoming(p5::Packet::PubAck(puback)) => Event::PubAck {
            pkid: puback.pkid,
            reason: Some(reason_code(puback.reason)),
        },
        v5::Event::Incoming(p5::Packet::SubAck(suback)) => Event::SubAck(
            suback
                .return_codes
                .iter()
                .map(|code| matches!(code, p5::SubscribeReasonCode::Success(_)))
                .collect(),
        ),
        v5::Event::Outgoing(Outgoing::Publish(pkid)) => Event::Sent { pkid },
        v5::Event::Outgoing(Outgoing::Disconnect) => Event::Disconnected,
        _ => Event::Other,
    }
}

/// The codes of MQTT 5, section 3.4.2.1.
fn reason_code(reason: p5::PubAckReason) -> u8 {
    use p5::PubAckReason as R;
    match reason {
        R::Success => 0x00,
        R::NoMatchingSubscribers => 0x10,
        R::UnspecifiedError => 0x80,
        R::ImplementationSpecificError => 0x83,
        R::NotAuthorized => 0x87,
        R::TopicNameInvalid => 0x90,
        R::PacketIdentifierInUse => 0x91,
        R::QuotaExceeded => 0x97,
        R::PayloadFormatInvalid => 0x99,
    }
}

fn ended_v311(error: rumqttc::ConnectionError) -> Ended {
    use DisconnectReason as R;
    use rumqttc::ConnectionError as E;
    use rumqttc::mqttbytes::Error as Bytes;
    let reason = match &error {
        E::MqttState(StateError::Deserialization(Bytes::PayloadSizeLimitExceeded(bytes))) => {
            return Ended::oversize(*bytes);
        }
        E::MqttState(StateError::ConnectionAborted) => R::ClosedByPeer,
        E::MqttState(StateError::AwaitPingResp) | E::NetworkTimeout | E::FlushTimeout => R::Timeout,
        E::MqttState(StateError::Io(_) | StateError::Deserialization(Bytes::Io(_))) | E::Io(_) => R::Io,
        E::MqttState(_) | E::NotConnAck(_) | E::RequestsDone => R::Protocol,
        E::Tls(_) => R::Tls,
        E::ConnectionRefused(_) => R::Refused,
    };
    Ended::new(reason, error)
}

fn ended_v5(error: v5::ConnectionError) -> Ended {
    use DisconnectReason as R;
    use v5::ConnectionError as E;
    use v5::StateError as S;
    use v5::mqttbytes::Error as Bytes;
    let reason = match &error {
        E::MqttState(S::Deserialization(Bytes::PayloadSizeLimitExceeded { pkt_size, .. })) => {
            return Ended::oversize(*pkt_size);
        }
        E::MqttState(S::ConnectionAborted | S::ServerDisconnect { .. }) => R::ClosedByPeer,
        E::MqttState(S::AwaitPingResp) | E::Timeout(_) => R::Timeout,
        E::MqttState(S::Io(_) | S::Deserialization(Bytes::Io(_))) | E::Io(_) => R::Io,
        E::MqttState(_) | E::NotConnAck(_) | E::RequestsDone => R::Protocol,
        E::Tls(_) => R::Tls,
        E::ConnectionRefused(_) => R::Refused,
    };
    Ended::new(reason, error)
}
