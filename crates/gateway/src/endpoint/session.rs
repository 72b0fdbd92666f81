//! The protocol after CONNECT, without I/O: a packet in, bytes out, and what to do next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::v5::mqttbytes::v5::PubAckReason;

use super::close::CloseReason;
use super::config::EndpointConfig;
use super::connect::{Connect, Will};
use super::frame::{Head, kind};
use super::inbound::TopicCheck;
use super::link::{Command, Waiting};
use super::packets;
use super::peer::{Peer, Protocol};
use super::read::has_wildcard;
use super::verdict::Verdict;
use super::write::{self, Granted, Welcome};
use super::{CommandError, Delivered};

/// Commands that wait for the client's PUBACK at a time (fewer if its Receive Maximum is lower).
const COMMAND_WINDOW: usize = 16;
/// Filters in one SUBSCRIBE or UNSUBSCRIBE; a client has one topic to subscribe to.
const MAX_FILTERS: usize = 64;

/// A PUBLISH for the intake.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) topic: Arc<str>,
    pub(crate) payload: Bytes,
    pub(crate) waiting: Waiting,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
}

/// What an answered publish means for the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    /// Do not read for a moment: the store is full and the client will only send more.
    Pause,
}

/// One client, from CONNACK to the end.
pub(crate) struct Session {
    pub(crate) protocol: Protocol,
    pub(crate) peer: Arc<Peer>,
    /// Keep alive times 1.5.
    pub(crate) idle_limit: Duration,
    will: Option<Will>,
    /// The client wants reason strings.
    problem_information: bool,
    /// Largest packet that the client takes.
    client_max_packet: Option<u32>,
    receive_maximum: usize,
    /// QoS 1 publishes without PUBACK.
    unacked: usize,
    /// QoS of the subscription to the command topic.
    subscribed: Option<u8>,
    command_window: usize,
    last_command_id: u16,
    commands: VecDeque<(u16, Command)>,
    pub(crate) filters_refused: u64,
}

impl Session {
    /// Starts a session from a CONNECT whose client is known to be `peer`.
    ///
    /// # Errors
    /// `WillRefused`, `Qos2` (of the will, MQTT 5).
    pub(crate) fn open(
        connect: &Connect<'_>,
        peer: Arc<Peer>,
        config: &EndpointConfig,
    ) -> Result<(Session, Welcome), CloseReason> {
        let will = accept_will(connect, &peer)?;
        let max_keep_alive = u16::try_from(config.max_keep_alive.as_secs()).unwrap_or(u16::MAX);
        let asked = connect.keep_alive;
        // A 3.1.1 client cannot be told another value, so a longer keep alive of its own stands.
        let capped = asked == 0 || (connect.protocol == Protocol::V5 && asked > max_keep_alive);
        let keep_alive = if capped { max_keep_alive } else { asked };
        let says = Welcome {
            receive_maximum: config.max_unacked_messages,
            max_packet_size: config.max_packet_size,
            server_keep_alive: capped.then_some(keep_alive),
            assigned_client_id: connect.client_id.is_empty().then(|| peer.identity.to_string()),
        };
        let client_receive_maximum = connect.properties.receive_maximum.map_or(usize::MAX, usize::from);
        let session = Session {
            protocol: connect.protocol,
            peer,
            idle_limit: Duration::from_secs(keep_alive.into()) * 3 / 2,
            will,
            problem_information: connect.properties.problem_information != Some(0),
            client_max_packet: connect.properties.max_packet_size,
            receive_maximum: config.max_unacked_messages.into(),
            unacked: 0,
            subscribed: None,
            command_window: COMMAND_WINDOW.min(client_receive_maximum),
            last_command_id: 0,
            commands: VecDeque::new(),
            filters_refused: 0,
        };
        Ok((session, says))
    }

    /// Takes one whole packet; answers go to `out`.
    ///
    /// # Errors
    /// The reason to close with; `Disconnect` and `DisconnectWithWill` are the client's own.
    pub(crate) fn packet(
        &mut self,
        head: Head,
        frame: Bytes,
        out: &mut BytesMut,
    ) -> Result<Option<Published>, CloseReason> {
        match head.kind {
            kind::PUBLISH => return self.publish(head, frame).map(Some),
            kind::PUBACK => self.command_acked(head, &frame)?,
            kind::SUBSCRIBE => self.subscribe(head, &frame, out)?,
            kind::UNSUBSCRIBE => self.unsubscribe(head, &frame, out)?,
            kind::PINGREQ if head.len == head.header_len => write::pingresp(out),
            kind::PINGREQ => return Err(CloseReason::Malformed),
            kind::DISCONNECT => {
                return Err(match packets::read_disconnect(self.protocol, head, &frame)? {
                    true => CloseReason::Disconnect,
                    false => CloseReason::DisconnectWithWill,
                });
            }
            // A second CONNECT, AUTH without a method, the packets of QoS 2, and what only servers send.
            _ => return Err(CloseReason::ProtocolError),
        }
        Ok(None)
    }

    fn publish(&mut self, head: Head, frame: Bytes) -> Result<Published, CloseReason> {
        let read = packets::read_publish(self.protocol, head, &frame)?;
        if read.qos == 1 {
            self.unacked += 1;
            if self.protocol == Protocol::V5 && self.unacked > self.receive_maximum {
                return Err(CloseReason::ReceiveMaximum);
            }
        }
        let (topic, topic_check) = match self.peer.own_topic(read.topic.as_bytes()) {
            Some(own) => (Arc::clone(own), TopicCheck::Own),
            None if has_wildcard(read.topic.as_bytes()) => (read.topic.into(), TopicCheck::Wildcard),
            None => (read.topic.into(), TopicCheck::NotOwn),
        };
        Ok(Published {
            topic,
            waiting: Waiting {
                packet_id: read.packet_id,
                topic_check,
            },
            qos: read.qos,
            retain: read.retain,
            dup: read.dup,
            payload: frame.slice(read.payload_at..),
        })
    }

    /// Tells the client what became of a publish.
    ///
    /// # Errors
    /// The reason to close with where there is no PUBACK that says it.
    pub(crate) fn answer(
        &mut self,
        waiting: Waiting,
        verdict: Verdict,
        out: &mut BytesMut,
    ) -> Result<Flow, CloseReason> {
        match verdict {
            Verdict::ServerBusy => return Err(CloseReason::ServerBusy),
            Verdict::Lost => return Err(CloseReason::IntakeLost),
            _ => {}
        }
        let flow = if verdict == Verdict::QuotaExceeded {
            Flow::Pause
        } else {
            Flow::Continue
        };
        if waiting.packet_id == 0 {
            return Ok(flow);
        }
        self.unacked = self.unacked.saturating_sub(1);
        if self.protocol == Protocol::V311 {
            if verdict == Verdict::QuotaExceeded {
                return Err(CloseReason::QuotaExceeded);
            }
            write::puback(waiting.packet_id, out);
            return Ok(flow);
        }
        match (verdict, waiting.topic_check) {
            (Verdict::Stored, TopicCheck::Own) => write::puback(waiting.packet_id, out),
            (_, TopicCheck::Own) | (Verdict::QuotaExceeded, _) => {
                let (reason, why) = verdict.puback().ok_or(CloseReason::IntakeLost)?;
                self.puback_v5(waiting.packet_id, reason, why, out);
            }
            (_, TopicCheck::NotOwn) => {
                let why = "not a topic of this device";
                self.puback_v5(waiting.packet_id, PubAckReason::NotAuthorized, Some(why), out);
            }
            (_, TopicCheck::Wildcard) => {
                let why = "a topic name has no wildcards";
                self.puback_v5(waiting.packet_id, PubAckReason::TopicNameInvalid, Some(why), out);
            }
        }
        Ok(flow)
    }

    fn puback_v5(&self, id: u16, reason: PubAckReason, why: Option<&str>, out: &mut BytesMut) {
        let why = why.filter(|_| self.problem_information);
        write::puback_v5(id, reason, why, self.client_max_packet, out);
    }

    fn subscribe(&mut self, head: Head, frame: &[u8], out: &mut BytesMut) -> Result<(), CloseReason> {
        let (packet_id, filters) = packets::read_subscribe(self.protocol, head, frame)?;
        if filters.len() > MAX_FILTERS {
            return Err(CloseReason::ProtocolError);
        }
        let granted: Vec<Granted> = filters.iter().map(|(f, options)| self.grant(f, options & 3)).collect();
        write::suback(self.protocol, packet_id, &granted, out);
        Ok(())
    }

    fn grant(&mut self, filter: &str, qos: u8) -> Granted {
        if filter == &*self.peer.command_topic {
            self.subscribed = Some(qos.min(1));
            return if qos == 0 { Granted::Qos0 } else { Granted::Qos1 };
        }
        self.filters_refused += 1;
        if filter.starts_with("$share/") {
            Granted::NoShared
        } else if has_wildcard(filter.as_bytes()) {
            Granted::NoWildcards
        } else {
            Granted::NotAuthorized
        }
    }

    fn unsubscribe(&mut self, head: Head, frame: &[u8], out: &mut BytesMut) -> Result<(), CloseReason> {
        let (packet_id, filters) = packets::read_unsubscribe(self.protocol, head, frame)?;
        if filters.len() > MAX_FILTERS {
            return Err(CloseReason::ProtocolError);
        }
        let existed: Vec<bool> = filters
            .iter()
            .map(|filter| *filter == &*self.peer.command_topic && self.subscribed.take().is_some())
            .collect();
        write::unsuback(self.protocol, packet_id, &existed, out);
        Ok(())
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        self.subscribed.is_some()
    }

    /// Whether one more command may go down.
    pub(crate) fn takes_commands(&self) -> bool {
        self.commands.len() < self.command_window
    }

    /// Writes a command and remembers it until its PUBACK.
    pub(crate) fn command(&mut self, command: Command, out: &mut BytesMut) {
        let Some(qos) = self.subscribed else {
            command.fails(CommandError::NotSubscribed);
            return;
        };
        let packet_id = if qos == 0 { 0 } else { self.next_command_id() };
        let (topic, payload) = (&self.peer.command_topic, command.payload.clone());
        if write::command(self.protocol, topic, payload, packet_id, self.client_max_packet, out).is_err() {
            command.fails(CommandError::TooLarge);
        } else if qos == 0 {
            command.is(Delivered::Sent);
        } else {
            self.commands.push_back((packet_id, command));
        }
    }

    fn next_command_id(&mut self) -> u16 {
        loop {
            self.last_command_id = self.last_command_id.checked_add(1).unwrap_or(1);
            let id = self.last_command_id;
            if self.commands.iter().all(|(used, _)| *used != id) {
                return id;
            }
        }
    }

    fn command_acked(&mut self, head: Head, frame: &[u8]) -> Result<(), CloseReason> {
        let (packet_id, taken) = packets::read_puback(self.protocol, head, frame)?;
        let index = self.commands.iter().position(|(id, _)| *id == packet_id);
        if let Some((_, command)) = index.and_then(|index| self.commands.remove(index)) {
            match taken {
                true => command.is(Delivered::Acknowledged),
                false => command.fails(CommandError::Refused),
            }
        }
        Ok(())
    }

    /// The will, if it is due after a connection that ended for `reason`.
    pub(crate) fn due_will(&mut self, reason: CloseReason) -> Option<Will> {
        // It was not lost where we sent it away, and its topics may be no longer its own.
        let none = matches!(reason, CloseReason::Disconnect | CloseReason::FleetChanged);
        self.will.take().filter(|_| !none)
    }
}

fn accept_will(connect: &Connect<'_>, peer: &Peer) -> Result<Option<Will>, CloseReason> {
    let Some(will) = &connect.will else { return Ok(None) };
    if peer.will_topic.as_deref() != Some(will.topic) {
        return Err(CloseReason::WillRefused);
    }
    if will.qos == 2 && connect.protocol == Protocol::V5 {
        return Err(CloseReason::Qos2);
    }
    let payload = Bytes::copy_from_slice(will.payload);
    Ok(Some(Will {
        payload,
        retain: will.retain,
        qos: will.qos,
    }))
}
