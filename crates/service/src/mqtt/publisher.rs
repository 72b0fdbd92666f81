//! Publishes with an outbox of its own: what was accepted arrives, whatever happens to the connection.

mod session;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, watch};

use self::session::Session;
use super::driver::Sender;
use super::link::{Complaints, Link};
use super::options::{OptionsError, PublisherOptions};
use super::outbox::{Message, Outbox};
use crate::telemetry_names::{
    MQTT_PUBLISHES, MQTT_PUBLISHES_ACKED, MQTT_PUBLISHES_REFUSED, MQTT_RESENT, MQTT_SUBSCRIPTIONS_REFUSED,
};

/// Bytes of a PUBLISH beside topic and payload, at most: fixed header 5, topic length 2, packet id 2, properties length 1.
const PUBLISH_OVERHEAD: usize = 10;
/// MQTT 5 reason "packet too large", for a message that the broker cannot take.
const PACKET_TOO_LARGE: u8 = 0x95;
/// Reasons from here on are failures (MQTT 5, section 2.4).
const FIRST_FAILURE: u8 = 0x80;
/// How long a clean disconnect may take.
const DISCONNECT_WITHIN: Duration = Duration::from_secs(2);

/// A client that publishes with QoS 1; see [`super`] for its guards. Clones publish through the same connection; dropping the
/// last one cuts it. A message that was sent on a broken connection is sent again: the receiver deduplicates by its content.
#[derive(Clone, Debug)]
pub struct Publisher {
    shared: Arc<Shared>,
    control: Arc<Control>,
}

/// What the broker said of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acked {
    /// As given to [`Publisher::publish`].
    pub token: u64,
    /// Reason code of MQTT 5, none with 3.1.1. From 0x80 on the broker did not take the message, and it is no longer in the outbox.
    pub reason: Option<u8>,
}

impl Acked {
    /// Whether the broker took the message.
    pub fn is_accepted(self) -> bool {
        self.reason.is_none_or(|reason| reason < FIRST_FAILURE)
    }
}

/// A message to this client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// Whether it is a retained message.
    pub retain: bool,
}

/// Why a message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The outbox is full (messages, bytes, or acknowledgements that were not taken from [`Acks`]).
    #[error("the outbox is full, try again when messages are acknowledged")]
    Full,
    /// Larger than `max_packet_size` or than the outbox.
    #[error("the message is larger than max_packet_size or the outbox")]
    TooLarge,
    /// The topic is empty or has wildcards.
    #[error("the topic is empty or has wildcards")]
    BadTopic,
    /// The client is closed.
    #[error("the client is closed")]
    Closed,
}

/// The stream of acknowledgements. A message holds its place in the outbox until its acknowledgement is taken from here;
/// dropping this makes them free their places by themselves.
#[derive(Debug)]
pub struct Acks {
    acked: mpsc::Receiver<(Acked, u32)>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    slots: Semaphore,
    bytes: Semaphore,
    bytes_total: usize,
    packet_max: usize,
    window: usize,
    acks: mpsc::Sender<(Acked, u32)>,
    /// Messages that the broker has not acknowledged.
    pending: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    outbox: Outbox,
    sender: Option<Sender>,
    /// Limits that the broker announced for this connection.
    window: usize,
    packet_max: Option<usize>,
}

/// What is wanted of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Online,
    Offline,
    Closed,
}

#[derive(Debug)]
struct Control {
    /// What is wanted, and how often a cut was asked for.
    wanted: watch::Sender<(Wanted, u64)>,
    link: watch::Receiver<Link>,
    task: tokio::task::AbortHandle,
}

impl Publisher {
    /// Starts the client on the current tokio runtime; it connects, and keeps trying for ever. Commands arrive on the receiver, if
    /// a command topic is given.
    ///
    /// # Errors
    /// When an option cannot work.
    pub fn start(options: PublisherOptions) -> Result<(Self, Acks, mpsc::Receiver<Command>), OptionsError> {
        ::metrics::counter!(MQTT_SUBSCRIPTIONS_REFUSED).increment(0);
        options.check()?;
        let (acks, acked) = mpsc::channel(options.outbox_messages);
        let (commands, commanded) = mpsc::channel(options.command_capacity);
        let (wanted, wanted_rx) = watch::channel((Wanted::Online, 0));
        let (link_tx, link) = watch::channel(Link::Connecting { attempt: 1 });
        let bytes_total = options.outbox_bytes.as_usize();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            slots: Semaphore::new(options.outbox_messages),
            bytes: Semaphore::new(bytes_total),
            bytes_total,
            packet_max: options.broker.max_packet_size.as_usize(),
            window: usize::from(options.window),
            acks,
            pending: watch::Sender::new(0),
        });
        let session = Session {
            shared: shared.clone(),
            options,
            wanted: wanted_rx,
            link: link_tx,
            commands,
            complaints: Complaints::default(),
        };
        let task = tokio::spawn(session.run()).abort_handle();
        let publisher = Self {
            shared: shared.clone(),
            control: Arc::new(Control { wanted, link, task }),
        };
        Ok((publisher, Acks { acked, shared }, commanded))
    }

    /// Puts a message into the outbox; waits while it is full. `token` comes back with the acknowledgement. Cancel-safe.
    ///
    /// # Errors
    /// When the message can never be sent, or the client is closed.
    pub async fn publish(&self, topic: &str, payload: Bytes, token: u64, retain: bool) -> Result<(), PublishError> {
        let bytes = self.shared.check(topic, &payload)?;
        let slot = self.shared.slots.acquire().await.map_err(|_| PublishError::Closed)?;
        let room = self
            .shared
            .bytes
            .acquire_many(bytes)
            .await
            .map_err(|_| PublishError::Closed)?;
        slot.forget();
        room.forget();
        self.shared.accept(Message {
            token,
            topic: topic.to_owned(),
            payload,
            retain,
        });
        Ok(())
    }

    /// Puts a message into the outbox if it has room now.
    ///
    /// # Errors
    /// [`PublishError::Full`] if it has not; or when the message can never be sent, or the client is closed.
    pub fn try_publish(&self, topic: &str, payload: Bytes, token: u64, retain: bool) -> Result<(), PublishError> {
        let bytes = self.shared.check(topic, &payload)?;
        let full = |error| match error {
            tokio::sync::TryAcquireError::NoPermits => PublishError::Full,
            tokio::sync::TryAcquireError::Closed => PublishError::Closed,
        };
        let slot = self.shared.slots.try_acquire().map_err(full)?;
        let room = self.shared.bytes.try_acquire_many(bytes).map_err(full)?;
        slot.forget();
        room.forget();
        self.shared.accept(Message {
            token,
            topic: topic.to_owned(),
            payload,
            retain,
        });
        Ok(())
    }

    /// Messages that the broker has not acknowledged.
    pub fn pending(&self) -> usize {
        *self.shared.pending.borrow()
    }

    /// Resolves when the broker has acknowledged everything accepted so far (and nothing new was accepted meanwhile).
    pub async fn drained(&self) {
        // The sender lives in `shared`, so this cannot fail.
        let _ = self.shared.pending.subscribe().wait_for(|pending| *pending == 0).await;
    }

    /// The state of the connection.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.control.link.clone()
    }

    /// Cuts the connection without DISCONNECT, as a lost network does: the broker publishes the last will. It reconnects.
    pub fn cut(&self) {
        self.control.wanted.send_modify(|(_, cuts)| *cuts += 1);
    }

    /// Cuts the connection without DISCONNECT and stays away (`false`), or comes back (`true`). The outbox goes on to accept.
    pub fn set_online(&self, online: bool) {
        let next = if online { Wanted::Online } else { Wanted::Offline };
        // A wish that changes nothing must not disturb a connection.
        self.control.wanted.send_if_modified(|(wanted, _)| {
            *wanted != Wanted::Closed && *wanted != next && {
                *wanted = next;
                true
            }
        });
    }

    /// Disconnects cleanly (no last will) and closes. What is still in the outbox is lost with it: see [`Publisher::drained`].
    pub async fn close(&self) {
        self.shared.slots.close();
        self.shared.bytes.close();
        self.control.wanted.send_modify(|(wanted, _)| *wanted = Wanted::Closed);
        let mut link = self.control.link.clone();
        let _ = tokio::time::timeout(DISCONNECT_WITHIN * 2, link.wait_for(|link| *link == Link::Closed)).await;
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Acks {
    /// The next acknowledgement; none when the client is gone. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Acked> {
        let (acked, bytes) = self.acked.recv().await?;
        self.shared.free(bytes);
        Some(acked)
    }

    /// Takes what comes until the client ends, for whom acknowledgements mean nothing.
    pub async fn ignore(mut self) {
        while self.recv().await.is_some() {}
    }

    /// An acknowledgement if there is one now.
    pub fn try_recv(&mut self) -> Option<Acked> {
        let (acked, bytes) = self.acked.try_recv().ok()?;
        self.shared.free(bytes);
        Some(acked)
    }
}

impl Drop for Acks {
    fn drop(&mut self) {
        self.acked.close();
        while self.try_recv().is_some() {}
    }
}

impl Shared {
    /// The message's share of the outbox, in bytes.
    fn check(&self, topic: &str, payload: &Bytes) -> Result<u32, PublishError> {
        if topic.is_empty() || !rumqttc::valid_topic(topic) {
            return Err(PublishError::BadTopic);
        }
        let packet = packet_bytes(topic, payload);
        if packet > self.packet_max || payload.len() > self.bytes_total || topic.len() > usize::from(u16::MAX) {
            return Err(PublishError::TooLarge);
        }
        u32::try_from(payload.len()).map_err(|_| PublishError::TooLarge)
    }

    fn accept(&self, message: Message) {
        ::metrics::counter!(MQTT_PUBLISHES).increment(1);
        let mut state = self.lock();
        state.outbox.push(message);
        self.pump(&mut state);
    }

    /// Gives the library what the window allows.
    fn pump(&self, state: &mut State) {
        while let Some(sender) = state.sender.clone() {
            let Some((message, resent)) = state.outbox.next(state.window) else {
                break;
            };
            if state
                .packet_max
                .is_some_and(|max| packet_bytes(&message.topic, &message.payload) > max)
            {
                // Sent, it would cost the connection again and again.
                if let Some(message) = state.outbox.take_back() {
                    self.report(message, Some(PACKET_TOO_LARGE));
                }
                continue;
            }
            ::metrics::counter!(MQTT_RESENT).increment(u64::from(resent));
            if !sender.publish(&message.topic, message.payload, message.retain) {
                // The connection is on its way out; everything is sent again on the next.
                state.sender = None;
            }
        }
        self.pending
            .send_if_modified(|pending| std::mem::replace(pending, state.outbox.len()) != state.outbox.len());
    }

    fn report(&self, message: Message, reason: Option<u8>) {
        let acked = Acked {
            token: message.token,
            reason,
        };
        if acked.is_accepted() {
            ::metrics::counter!(MQTT_PUBLISHES_ACKED).increment(1);
        } else {
            ::metrics::counter!(MQTT_PUBLISHES_REFUSED).increment(1);
        }
        let bytes = message.payload.len() as u32;
        // Never full: the places in it are those of the outbox. Closed: nobody listens, and the place is free at once.
        if self.acks.try_send((acked, bytes)).is_err() {
            self.free(bytes);
        }
    }

    fn free(&self, bytes: u32) {
        self.slots.add_permits(1);
        self.bytes.add_permits(bytes as usize);
    }

    fn connected(&self, sender: Sender, receive_max: Option<u16>, packet_max: Option<usize>) {
        let mut state = self.lock();
        state.window = receive_max.map_or(self.window, |max| self.window.min(usize::from(max.max(1))));
        state.packet_max = packet_max;
        state.sender = Some(sender);
        self.pump(&mut state);
    }

    fn lost(&self) {
        let mut state = self.lock();
        state.sender = None;
        state.outbox.lost();
    }

    fn sent(&self, pkid: u16) {
        self.lock().outbox.sent(pkid);
    }

    fn acked(&self, pkid: u16, reason: Option<u8>) {
        let mut state = self.lock();
        if let Some(message) = state.outbox.acked(pkid) {
            self.report(message, reason);
            self.pump(&mut state);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn packet_bytes(topic: &str, payload: &Bytes) -> usize {
    topic.len() + payload.len() + PUBLISH_OVERHEAD
}
