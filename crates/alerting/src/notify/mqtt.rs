//! An annunciator on MQTT: a buzzer or a lamp in the clinic. The receipt is the broker's PUBACK.
//!
//! The connection is made with the first page and kept. What was published and not acknowledged in time is thrown away
//! with its connection: the outbox is the durable one, and a page must not come out twice because two of them wait.
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use service::mqtt::{Acked, Acks, Broker, DisconnectReason, Link, PublishError, Publisher, PublisherOptions};
use tokio::sync::oneshot;

use super::failure::{FailReason, Failure};
use super::template::{cut, render_one};
use super::{Message, TargetError, page};
use crate::config::Mqtt;

/// Port without TLS, and with.
const PORTS: (u16, u16) = (1883, 8883);
/// Longest text in bytes: an annunciator's display is small.
const TEXT_MAX: usize = 1_000;

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Acked>>>>;

#[derive(Clone)]
pub(crate) struct MqttReceiver {
    broker: Broker,
    topic: String,
    timeout: Duration,
    connection: Arc<Mutex<Option<Connection>>>,
    next: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Connection {
    publisher: Publisher,
    waiting: Waiting,
}

impl MqttReceiver {
    pub(super) fn new(name: &str, config: &Mqtt) -> Result<Self, TargetError> {
        let port = config
            .port
            .unwrap_or(if config.ca.is_some() { PORTS.1 } else { PORTS.0 });
        let client_id = config.client_id.clone().unwrap_or_else(|| format!("dermatel-{name}"));
        let mut broker = Broker::new(config.host.clone(), port, client_id);
        broker.username = config.username.clone();
        broker.password = config.password.clone();
        if let Some(ca) = &config.ca {
            broker.tls = Some(service::tls::client_config(ca, None)?);
        }
        Ok(Self {
            broker,
            topic: config.topic.clone(),
            timeout: config.timeout,
            connection: Arc::default(),
            next: Arc::default(),
        })
    }

    pub(super) async fn send(&self, message: &Message) -> Result<String, Failure> {
        let topic = topic(&self.topic, &message.page).map_err(|what| Failure::new(FailReason::Rejected, what))?;
        let connection = self.connection()?;
        match tokio::time::timeout(self.timeout, connection.publish(&topic, message, &self.next)).await {
            Ok(done) => done,
            Err(_) => {
                let link = connection.publisher.link().borrow().clone();
                self.forget();
                Err(late(&link))
            }
        }
    }

    fn connection(&self) -> Result<Connection, Failure> {
        let mut kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = &*kept {
            return Ok(connection.clone());
        }
        let (publisher, acks, _) = Publisher::start(PublisherOptions::new(self.broker.clone()))
            .map_err(|error| Failure::of(FailReason::Rejected, &error))?;
        let waiting = Waiting::default();
        tokio::spawn(hand_out(acks, Arc::clone(&waiting)));
        let connection = Connection { publisher, waiting };
        *kept = Some(connection.clone());
        Ok(connection)
    }

    /// The last clone cuts the connection, and what waits in it is gone.
    fn forget(&self) {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Connection {
    /// Waits for the connection first: what was not handed over was certainly not taken.
    async fn publish(&self, topic: &str, message: &Message, next: &AtomicU64) -> Result<String, Failure> {
        let closed = |_| Failure::new(FailReason::Connect, "the connection was given up");
        self.publisher.link().wait_for(Link::is_up).await.map_err(closed)?;
        let token = next.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        let lock = || self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        lock().insert(token, tell);
        let payload = payload(message).to_string().into();
        if let Err(error) = self.publisher.try_publish(topic, payload, token, false) {
            lock().remove(&token);
            let reason = match error {
                PublishError::Full => FailReason::Throttled,
                PublishError::TooLarge | PublishError::BadTopic => FailReason::Rejected,
                PublishError::Closed => FailReason::Connect,
            };
            return Err(Failure::of(reason, &error));
        }
        match told.await {
            Ok(acked) if acked.is_accepted() => Ok("puback".to_owned()),
            Ok(acked) => Err(Failure::new(
                FailReason::Denied,
                format!("puback with reason {:?}", acked.reason),
            )),
            Err(_) => Err(Failure::new(FailReason::Broken, "the connection was given up")),
        }
    }
}

/// Gives each acknowledgement to whoever waits for it, until the connection is gone.
async fn hand_out(mut acks: Acks, waiting: Waiting) {
    while let Some(acked) = acks.recv().await {
        let waiter = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&acked.token);
        if let Some(waiter) = waiter {
            // Who waited may have given up.
            let _ = waiter.send(acked);
        }
    }
    waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// Why there is no acknowledgement yet.
fn late(link: &Link) -> Failure {
    match link {
        Link::Connected { .. } => Failure::new(FailReason::Timeout, "the broker did not acknowledge in time"),
        Link::Disconnected { reason, detail } => {
            let reason = match reason {
                DisconnectReason::Tls => FailReason::Certificate,
                DisconnectReason::Refused => FailReason::Denied,
                _ => FailReason::Connect,
            };
            Failure::new(reason, detail)
        }
        Link::Connecting { .. } | Link::Offline | Link::Closed => {
            Failure::new(FailReason::Connect, "no connection to the broker in time")
        }
    }
}

/// What an annunciator gets. `sound` says all that a buzzer has to know.
fn payload(message: &Message) -> Value {
    let page = &message.page;
    let state = page["state"].as_str();
    let calls = matches!(state, Some("firing" | "latched" | "unknown" | page::TEST));
    json!({
        "alert_id": message.alert, "page_id": message.key, "state": state, "sound": calls, "priority": page["priority"],
        "title": message.words.title, "text": cut(&message.words.text, TEXT_MAX), "where": page["where"],
        "possible_repeat": page["possible_repeat"],
    })
}

/// The topic of a page; a digest has no clinic and goes to the topic of its tenant.
fn topic(source: &str, page: &Value) -> Result<String, String> {
    let mut known = page.clone();
    for field in ["tenant", "clinic", "device", "priority", "state", "rule", "kind"] {
        if known.get(field).is_none() {
            known[field] = json!("");
        }
    }
    let topic = render_one(source, &known).map_err(|error| error.to_string())?;
    let fine = topic.len() <= 1_024 && !topic.contains(['+', '#', '\0', '\n']);
    fine.then_some(topic)
        .ok_or_else(|| "topic has wildcards, more than one line or more than 1024 bytes".to_owned())
}

/// Looks at a topic's template with sample pages.
pub(crate) fn check_topic(source: &str) -> Result<(), String> {
    super::template::samples()
        .iter()
        .try_for_each(|page| topic(source, page).map(drop))
}
