//! Alerting's way to the store: transitions go to the ingestors as batches of their own kind. They stand in alerting's own table
//! until the broker has them, so this keeps nothing.
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use service::config::ByteSize;
use service::mqtt::{Acks, Link, OptionsError, PublishError, Publisher, PublisherOptions};
use telemetry::{Admitted, ClinicId, GatewayId, TenantId};
use tokio::sync::{oneshot, watch};

use crate::batch::pack_messages;
use crate::readers::{Held, Readers, missing};
use crate::topic::{Role, Up, Way, downlink};
use crate::{Config, ShardSet};

/// Longest wait for the broker's answer; then the sender tries again.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Most batches that are sent again.
const RECENT_MAX: usize = 512;
/// Token of what nobody waits for.
const AGAIN: u64 = u64::MAX;
/// Most messages under way.
const OUTBOX_MESSAGES: usize = 2_048;

/// Why something was not sent, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nobody would get it.
    #[error("shards {0} have no ingestor at the broker, what is for them waits")]
    NoReader(ShardSet),
    /// The connection does not take it.
    #[error("the connection to the broker does not take it")]
    Publish(#[from] PublishError),
    /// No answer in time.
    #[error("the broker did not answer within {} s", ANSWER_WITHIN.as_secs())]
    Late,
}

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<()>>>>;

/// Publishes and waits for the broker. Clones share the connection.
#[derive(Clone)]
pub struct Sender {
    publisher: Publisher,
    waiting: Waiting,
    next: Arc<AtomicU64>,
    held: watch::Receiver<Held>,
    wait_for_readers: bool,
    recent: Arc<Mutex<Recent>>,
}

/// What the broker had a moment ago, to be sent again if the connection breaks: it may die with what it has not saved.
#[derive(Debug)]
struct Recent {
    keep: Duration,
    sent: VecDeque<(Instant, String, Bytes)>,
}

impl Recent {
    fn add(&mut self, topic: &str, payload: &Bytes) {
        let old = |(at, _, _): &(Instant, String, Bytes)| at.elapsed() > self.keep;
        while self.sent.len() >= RECENT_MAX || self.sent.front().is_some_and(old) {
            self.sent.pop_front();
        }
        self.sent.push_back((Instant::now(), topic.to_owned(), payload.clone()));
    }
}

impl Sender {
    /// Connects as this alerting instance. Within a tokio runtime.
    ///
    /// # Errors
    /// The broker's options contradict themselves.
    pub fn start(config: &Config) -> Result<Self, OptionsError> {
        let name = format!("dermatel-alerting-{}-sends", config.instance);
        let (readers, held) = Readers::start(config, &name)?;
        tokio::spawn(readers.run());
        let mut options = PublisherOptions::new(config.broker_as(name));
        options.outbox_messages = OUTBOX_MESSAGES;
        options.outbox_bytes = ByteSize::mib(16);
        let (publisher, acks, _) = Publisher::start(options)?;
        let waiting = Waiting::default();
        tokio::spawn(hand_out(acks, Arc::clone(&waiting)));
        let recent = Arc::new(Mutex::new(Recent {
            keep: config.resend,
            sent: VecDeque::new(),
        }));
        tokio::spawn(send_again(publisher.link(), publisher.clone(), Arc::downgrade(&recent)));
        Ok(Self {
            publisher,
            waiting,
            next: Arc::default(),
            held,
            wait_for_readers: config.wait_for_readers,
            recent,
        })
    }

    /// Sends transitions to the ingestors of their clinics; Ok: the broker has all of them.
    ///
    /// # Errors
    /// [`SendError`]: some may have been taken; sending all again is harmless.
    pub async fn transitions(&self, transitions: &[Admitted]) -> Result<(), SendError> {
        let mut clinics: BTreeMap<(&TenantId, &ClinicId, &GatewayId), Vec<Bytes>> = BTreeMap::new();
        for one in transitions {
            let clinic = (&one.tenant, &one.clinic, &one.gateway);
            clinics.entry(clinic).or_default().push(one.encode().into());
        }
        let batches: Vec<(Up, Bytes)> = clinics
            .into_iter()
            .map(|((tenant, clinic, gateway), encoded)| {
                let topic = Up::clinic(Way::Alerts, tenant.clone(), clinic.clone());
                (topic, pack_messages(gateway.as_str(), encoded, Vec::new()))
            })
            .collect();
        let shards = batches.iter().map(|(topic, _)| topic.shard()).collect();
        let lacking = missing(&self.held.borrow(), shards, &[Role::Ingestor]);
        if self.wait_for_readers && !lacking.is_empty() {
            return Err(SendError::NoReader(lacking));
        }
        let mut answers = Vec::with_capacity(batches.len());
        for (topic, payload) in batches {
            let topic = topic.to_string();
            self.recent
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .add(&topic, &payload);
            answers.push(self.publish(&topic, payload)?);
        }
        for answer in answers {
            self.answered(answer).await?;
        }
        Ok(())
    }

    /// Sends a command down to the gateway where a device is; Ok: the broker has it.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn command(&self, gateway: &GatewayId, command: Bytes) -> Result<(), SendError> {
        let answer = self.publish(&downlink(gateway), command)?;
        self.answered(answer).await
    }

    fn publish(&self, topic: &str, payload: Bytes) -> Result<Answer, SendError> {
        let token = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        let answer = Answer {
            token,
            told,
            waiting: Arc::clone(&self.waiting),
        };
        lock(&self.waiting).insert(token, tell);
        self.publisher.try_publish(topic, payload, token, false)?;
        Ok(answer)
    }

    async fn answered(&self, mut answer: Answer) -> Result<(), SendError> {
        match tokio::time::timeout(ANSWER_WITHIN, &mut answer.told).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(SendError::Late),
        }
    }
}

/// A place among those that wait; given back when it is dropped.
struct Answer {
    token: u64,
    told: oneshot::Receiver<()>,
    waiting: Waiting,
}

impl Drop for Answer {
    fn drop(&mut self) {
        lock(&self.waiting).remove(&self.token);
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<()>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whenever the connection is back, what was sent last is sent again; readers pass over copies.
async fn send_again(mut link: watch::Receiver<Link>, publisher: Publisher, recent: Weak<Mutex<Recent>>) {
    loop {
        if link.wait_for(Link::is_up).await.is_err() || link.wait_for(|link| !link.is_up()).await.is_err() {
            return;
        }
        let Some(recent) = recent.upgrade() else { return };
        let sent: Vec<_> = recent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .sent
            .drain(..)
            .collect();
        for (_, topic, payload) in sent {
            // A full outbox has what is newer; alerting's table sends again what it has no answer for.
            let _ = publisher.try_publish(&topic, payload, AGAIN, false);
        }
    }
}

async fn hand_out(mut acks: Acks, waiting: Waiting) {
    while let Some(acked) = acks.recv().await {
        if let Some(tell) = lock(&waiting).remove(&acked.token) {
            // Who waited may have given up.
            let _ = tell.send(());
        }
    }
}
