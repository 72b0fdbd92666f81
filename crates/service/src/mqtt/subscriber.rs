//! Takes deliveries from a broker that the fleet already has, and lets none go before the consumer said that it is safe.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, watch};

use super::acks::{AckToken, Acker};
use super::driver::{Driver, Event, Sender, Terms};
use super::link::{Complaints, DisconnectReason, Ended, Link};
use super::options::{OptionsError, SubscriberOptions, Version};
use super::subscriptions::Subscriptions;
use crate::logging::{FIELD_MAX, clean};
use crate::telemetry_names::{
    MQTT_CONNECTIONS, MQTT_DELIVERIES, MQTT_DELIVERY_BYTES, MQTT_DISCONNECTS, MQTT_OVERSIZE, MQTT_REPEATED,
    MQTT_STALLS, MQTT_SUBSCRIPTIONS_REFUSED,
};

/// How often a consumer that does not take its deliveries is complained about.
const COMPLAIN_EVERY: Duration = Duration::from_secs(15);
/// How long a clean disconnect may take.
const DISCONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Longest wait for the broker to close the connection that we said goodbye on.
const FAREWELL: Duration = Duration::from_secs(1);
/// Our own publishes on this connection: none, but the library needs a window.
const NO_WINDOW: u16 = 1;

/// One message from the broker, not acknowledged yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// Whether it is a retained message: the last known value, not news.
    pub retain: bool,
    /// Whether the broker says that it may have sent it before.
    pub dup: bool,
    /// Quality of service, 0 or 1.
    pub qos: u8,
    /// For [`Acker::ack`].
    pub token: AckToken,
}

/// A client that only receives; see [`super`] for its guards. Dropping it cuts the connection; the broker keeps the session.
#[derive(Debug)]
pub struct Subscriber {
    deliveries: mpsc::Receiver<Delivery>,
    budget: Budget,
    acker: Acker,
    link: watch::Receiver<Link>,
    subscribed: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

/// Bytes between us and the consumer.
#[derive(Clone, Debug)]
struct Budget {
    free: Arc<Semaphore>,
    total: u32,
}

impl Budget {
    /// A delivery larger than the whole budget takes all of it, so that it can pass.
    fn cost(&self, delivery: &Delivery) -> u32 {
        u32::try_from(delivery.topic.len() + delivery.payload.len())
            .unwrap_or(u32::MAX)
            .min(self.total)
    }
}

impl Subscriber {
    /// Starts the client on the current tokio runtime; it connects, and keeps trying for ever.
    ///
    /// # Errors
    /// When an option cannot work.
    pub fn start(options: SubscriberOptions) -> Result<Self, OptionsError> {
        ::metrics::counter!(MQTT_SUBSCRIPTIONS_REFUSED).increment(0);
        options.check()?;
        let total = u32::try_from(options.receive_bytes.as_u64()).unwrap_or(u32::MAX);
        let budget = Budget {
            free: Arc::new(Semaphore::new(total as usize)),
            total,
        };
        let (tx, deliveries) = mpsc::channel(options.receive_window);
        let (link_tx, link) = watch::channel(Link::Connecting { attempt: 1 });
        let (stop, stopped) = watch::channel(false);
        let (holds, subscribed) = watch::channel(false);
        let acker = Acker::new();
        let session = Session {
            subscriptions: Subscriptions::new(options.filters.clone(), options.filters_file.clone()),
            read_limit: options.broker.max_packet_size.as_usize(),
            options,
            tx,
            budget: budget.clone(),
            acker: acker.clone(),
            link: link_tx,
            holds,
            stopped,
            complaints: Complaints::default(),
        };
        let task = tokio::spawn(session.run());
        Ok(Self {
            deliveries,
            budget,
            acker,
            link,
            subscribed,
            stop,
            task,
        })
    }

    /// The next delivery; none after [`Subscriber::stop`], when all that had arrived is taken. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Delivery> {
        let delivery = self.deliveries.recv().await?;
        self.budget.free.add_permits(self.budget.cost(&delivery) as usize);
        Some(delivery)
    }

    /// Up to `max` deliveries at once, appended to `out`; waits for the first. 0 means the end. Cancel-safe.
    pub async fn recv_many(&mut self, out: &mut Vec<Delivery>, max: usize) -> usize {
        let before = out.len();
        let n = self.deliveries.recv_many(out, max).await;
        let bytes: usize = out
            .iter()
            .skip(before)
            .map(|delivery| self.budget.cost(delivery) as usize)
            .sum();
        self.budget.free.add_permits(bytes);
        n
    }

    /// For acknowledging, from anywhere.
    pub fn acker(&self) -> Acker {
        self.acker.clone()
    }

    /// The state of the connection.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Whether the session at the broker has every filter: what is published from now on arrives, unless the session is lost.
    pub fn subscribed(&self) -> watch::Receiver<bool> {
        self.subscribed.clone()
    }

    /// Disconnects cleanly, after the acknowledgements given so far. What arrived and is not acknowledged comes again with the next connection.
    pub async fn stop(&mut self) {
        let _ = self.stop.send(true);
        self.acker.disconnect();
        if tokio::time::timeout(DISCONNECT_WITHIN, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Session {
    options: SubscriberOptions,
    subscriptions: Subscriptions,
    /// Largest packet to read, in bytes; grows when the broker holds a larger one for us.
    read_limit: usize,
    tx: mpsc::Sender<Delivery>,
    budget: Budget,
    acker: Acker,
    link: watch::Sender<Link>,
    holds: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    complaints: Complaints,
}

impl Session {
    async fn run(mut self) {
        let broker = self.options.broker.address();
        let mut backoff = self.options.broker.backoff.clone();
        loop {
            self.link.send_replace(Link::Connecting {
                attempt: self.complaints.attempt(),
            });
            let mut up_since = None;
            let ended = self.connection(&mut up_since).await;
            self.acker.end();
            self.holds.send_replace(false);
            ::metrics::counter!(MQTT_DISCONNECTS, "role" => "subscriber", "reason" => ended.reason.as_str())
                .increment(1);
            if ended.reason == DisconnectReason::Closed {
                break;
            }
            let now = Instant::now();
            self.complaints.down(now, &broker, &ended);
            self.make_room_for(ended.oversize);
            self.link.send_replace(Link::Disconnected {
                reason: ended.reason,
                detail: ended.detail,
            });
            let up_for = up_since.map_or(Duration::ZERO, |since| now.duration_since(since));
            let pause = backoff.next_after(up_for, &mut rand::rng());
            if tokio::time::timeout(pause, stop_requested(&mut self.stopped))
                .await
                .is_ok()
            {
                break;
            }
        }
        self.link.send_replace(Link::Closed);
    }

    /// One connection, from the first packet to its end.
    async fn connection(&mut self, up_since: &mut Option<Instant>) -> Ended {
        let terms = Terms {
            version: Version::V311,
            clean_session: self.options.clean_session,
            manual_acks: true,
            window: NO_WINDOW,
            read_limit: self.read_limit,
            will: None,
        };
        let (mut driver, sender) = Driver::new(&self.options.broker, &terms);
        loop {
            let polled = if up_since.is_none() {
                // Nothing is in the library yet that a cancelled poll could lose.
                tokio::select! {
                    polled = driver.poll() => polled,
                    () = stop_requested(&mut self.stopped) => return Ended::new(DisconnectReason::Closed, "stopped"),
                }
            } else {
                driver.poll().await
            };
            let result = match polled {
                Ok(Event::Connected { session_present, .. }) => {
                    *up_since = Some(Instant::now());
                    self.connected(session_present, &sender)
                }
                Ok(Event::Publish {
                    topic,
                    payload,
                    retain,
                    dup,
                    qos,
                    pkid,
                }) => self.deliver(topic, payload, retain, dup, qos, pkid).await,
                Ok(Event::SubAck(granted)) => self.subscribed(&granted),
                Ok(Event::Disconnected) => {
                    farewell(&mut driver).await;
                    Err(Ended::new(DisconnectReason::Closed, "stopped"))
                }
                Ok(_) => Ok(()),
                Err(ended) if *self.stopped.borrow() => Err(Ended {
                    reason: DisconnectReason::Closed,
                    ..ended
                }),
                Err(ended) => Err(ended),
            };
            if let Err(ended) = result {
                return ended;
            }
            if let Some(refused) = self.subscriptions.again(Instant::now()) {
                sender.subscribe(&refused);
            }
        }
    }

    fn connected(&mut self, session_present: bool, sender: &Sender) -> Result<(), Ended> {
        self.acker.begin(sender.clone());
        if *self.stopped.borrow() {
            self.acker.disconnect();
        }
        ::metrics::counter!(MQTT_CONNECTIONS, "role" => "subscriber").increment(1);
        self.complaints
            .up(Instant::now(), &self.options.broker.address(), session_present);
        let ask = self.subscriptions.connected(session_present);
        for filter in &ask.unsubscribe {
            tracing::info!(filter, "unsubscribing a filter that the session still has");
            sender.unsubscribe(filter);
        }
        if !ask.subscribe.is_empty() && !sender.subscribe(&ask.subscribe) {
            return Err(Ended::new(DisconnectReason::Protocol, "cannot subscribe"));
        }
        self.holds.send_replace(ask.subscribe.is_empty());
        self.link.send_replace(Link::Connected { session_present });
        Ok(())
    }

    fn subscribed(&mut self, granted: &[bool]) -> Result<(), Ended> {
        let refused = self.subscriptions.answered(granted, Instant::now());
        self.holds.send_replace(refused.is_empty());
        for filter in refused {
            ::metrics::counter!(MQTT_SUBSCRIPTIONS_REFUSED).increment(1);
            tracing::error!(
                filter,
                "the broker refused the subscription, nothing will arrive on it; check its access rules"
            );
        }
        Ok(())
    }

    async fn deliver(
        &mut self,
        topic: String,
        payload: Bytes,
        retain: bool,
        dup: bool,
        qos: u8,
        pkid: u16,
    ) -> Result<(), Ended> {
        if qos > 1 {
            return Err(Ended::new(
                DisconnectReason::Protocol,
                "a delivery with QoS 2, never asked for",
            ));
        }
        let Some(token) = self.acker.receive(pkid) else {
            ::metrics::counter!(MQTT_REPEATED).increment(1);
            return Ok(());
        };
        if payload.len() > self.options.broker.max_packet_size.as_usize() {
            ::metrics::counter!(MQTT_OVERSIZE).increment(1);
            let bytes = payload.len();
            tracing::warn!(
                topic = clean(&topic, FIELD_MAX),
                bytes,
                "a delivery over max_packet_size is handed on"
            );
        }
        let delivery = Delivery {
            topic,
            payload,
            retain,
            dup,
            qos,
            token,
        };
        ::metrics::counter!(MQTT_DELIVERIES).increment(1);
        ::metrics::counter!(MQTT_DELIVERY_BYTES).increment(delivery.payload.len() as u64);
        self.hand_over(delivery).await
    }

    /// Waits for the consumer when it is behind. Nothing is read meanwhile, pings neither: a broker that is not held back
    /// by its own window disconnects us in the end, and delivers again.
    async fn hand_over(&mut self, delivery: Delivery) -> Result<(), Ended> {
        let cost = self.budget.cost(&delivery);
        let room = async {
            let permits = self.budget.free.acquire_many(cost).await.ok()?;
            let slot = self.tx.reserve().await.ok()?;
            permits.forget();
            slot.send(delivery);
            Some(())
        };
        tokio::pin!(room);
        let mut stopped = self.stopped.clone();
        let mut stalled = false;
        loop {
            let patience = if stalled { COMPLAIN_EVERY } else { Duration::ZERO };
            tokio::select! {
                biased;
                done = &mut room => {
                    return done.ok_or_else(|| Ended::new(DisconnectReason::Closed, "the consumer is gone"));
                }
                () = stop_requested(&mut stopped) => return Err(Ended::new(DisconnectReason::Closed, "stopped")),
                () = tokio::time::sleep(patience) => {}
            }
            if stalled {
                tracing::warn!("the consumer is behind, reading from the broker waits");
            } else {
                ::metrics::counter!(MQTT_STALLS).increment(1);
            }
            stalled = true;
        }
    }

    /// A message over the limit would be sent again for ever: read on with a larger limit, or say that it cannot be read.
    fn make_room_for(&mut self, oversize: Option<usize>) {
        let Some(bytes) = oversize else { return };
        let cap = self.options.packet_hard_cap.as_usize();
        if bytes > cap {
            tracing::error!(
                bytes,
                packet_hard_cap = cap,
                "the broker holds a message for us that is over packet_hard_cap, nothing behind it arrives; raise the cap or delete the message"
            );
            return;
        }
        self.read_limit = bytes.checked_next_power_of_two().unwrap_or(bytes).min(cap);
        tracing::error!(
            bytes,
            read_limit = self.read_limit,
            "the broker holds a message over max_packet_size, reading on with a larger limit"
        );
    }
}

/// Until the broker has closed the connection: only then has it read the last acknowledgements. One that gets a connection of
/// our successor first throws away what it has not read of this one, and delivers again what was acknowledged.
async fn farewell(driver: &mut Driver) {
    let closed = async { while driver.poll().await.is_ok() {} };
    let _ = tokio::time::timeout(FAREWELL, closed).await;
}

async fn stop_requested(stopped: &mut watch::Receiver<bool>) {
    // An error means that the subscriber was dropped, which is a stop too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
