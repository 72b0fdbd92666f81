//! Alerting's way to the store: transitions go to the ingestors as batches of their own kind. They stand in alerting's own table
//! until the ingestors say that they have them, so this keeps nothing.
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use service::config::ByteSize;
use service::mqtt::{Acks, OptionsError, PublishError, Publisher, PublisherOptions};
use telemetry::{Admitted, ClinicId, GatewayId, TenantId, proto, shard};
use tokio::sync::{oneshot, watch};

use crate::batch::{Packed, pack_messages};
use crate::readers::{AWAY_AFTER, ReaderId, Readers, Seen, missing};
use crate::stretch::{Stretch, address};
use crate::topic::{Role, Up, Way, downlink};
use crate::{Config, ShardSet};

/// Longest wait for an answer; then the sender tries again.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Longest wait for one that has said nothing for long.
const WORD_WITHIN: Duration = Duration::from_secs(2);
/// How often something is sent to one that has said nothing for long, to see whether it is back: what it does not answer is sent
/// again, and its broker need not keep it all.
const KNOCK_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked who has gone away.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most messages under way.
const OUTBOX_MESSAGES: usize = 2_048;

/// Why something was not sent, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The connection does not take it.
    #[error("the connection to the broker does not take it")]
    Publish(#[from] PublishError),
    /// No answer in time.
    #[error("the broker did not acknowledge it within {} s", ANSWER_WITHIN.as_secs())]
    Late,
}

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<()>>>>;

/// Publishes and waits for answers. Clones share the connection.
#[derive(Clone)]
pub struct Sender {
    publisher: Publisher,
    waiting: Waiting,
    next: Arc<AtomicU64>,
    calls: Arc<AtomicU64>,
    seen: watch::Receiver<Seen>,
    /// What all stretches have in common.
    line: Stretch,
    wait_for_readers: bool,
    /// When it was last seen whether one is back that had said nothing for long.
    knocked: Arc<Mutex<Option<Instant>>>,
}

/// The name under which alerting sends, and under which its own alerts are told.
///
/// # Errors
/// The instance's name is too long.
pub fn sender_id(config: &Config) -> Result<GatewayId, telemetry::IdError> {
    GatewayId::new(&format!("alerting-{}", config.instance))
}

impl Sender {
    /// Connects as this alerting instance. Within a tokio runtime.
    ///
    /// # Errors
    /// The broker's options contradict themselves.
    pub fn start(config: &Config, id: &GatewayId) -> Result<Self, OptionsError> {
        let name = format!("dermatel-alerting-{}-sends", config.instance);
        let (readers, seen) = Readers::start(config, &name, Way::Alerts, id)?;
        tokio::spawn(readers.run());
        let mut options = PublisherOptions::new(config.broker_as(name));
        options.outbox_messages = OUTBOX_MESSAGES;
        options.outbox_bytes = ByteSize::mib(16);
        let (publisher, acks, _) = Publisher::start(options)?;
        let waiting = Waiting::default();
        tokio::spawn(hand_out(acks, Arc::clone(&waiting)));
        Ok(Self {
            publisher,
            waiting,
            next: Arc::default(),
            calls: Arc::default(),
            seen,
            line: Stretch::of(id.clone(), rand::random()),
            wait_for_readers: config.wait_for_readers,
            knocked: Arc::default(),
        })
    }

    /// Sends transitions to the ingestors of their clinics, and waits until each of those says that it has them on its disk. Gives
    /// the shards of which one has not, or is not there: what is of those has to wait, and comes again.
    ///
    /// # Errors
    /// [`SendError`]: some may have been taken; sending all again is harmless.
    pub async fn transitions(&self, transitions: &[Admitted]) -> Result<ShardSet, SendError> {
        let shards = transitions.iter().map(|one| shard(&one.tenant, &one.clinic)).collect();
        let (waiting, knocks) = self.wait_for(shards);
        let mut clinics: BTreeMap<(&TenantId, &ClinicId, &GatewayId), Vec<Bytes>> = BTreeMap::new();
        for one in transitions {
            if !waiting.contains(shard(&one.tenant, &one.clinic)) {
                let clinic = (&one.tenant, &one.clinic, &one.gateway);
                clinics.entry(clinic).or_default().push(one.encode().into());
            }
        }
        let batches: Vec<(Up, Packed)> = clinics
            .into_iter()
            .map(|((tenant, clinic, gateway), encoded)| {
                let topic = Up::clinic(Way::Alerts, tenant.clone(), clinic.clone());
                (topic, pack_messages(gateway.as_str(), encoded, Vec::new()))
            })
            .collect();
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let mut answers = Vec::with_capacity(batches.len());
        let stretch = |_| Stretch {
            next: call,
            ..self.line.clone()
        };
        for (topic, payload) in address(batches, stretch) {
            answers.push(self.publish(&topic.to_string(), payload)?);
        }
        for answer in answers {
            answered(answer).await?;
        }
        Ok(waiting.or(self.not_held(call, shards.without(waiting), knocks).await))
    }

    /// Of these shards, those for which nothing is sent now, and whether something is sent to an ingestor that may be away.
    fn wait_for(&self, shards: ShardSet) -> (ShardSet, bool) {
        let (unread, away) = {
            let seen = self.seen.borrow();
            let unread = match self.wait_for_readers {
                true => missing(&seen.announced, shards, &[Role::Ingestor]),
                false => ShardSet::EMPTY,
            };
            (unread, self.away(&seen).and(shards).without(unread))
        };
        let mut knocked = self.knocked.lock().unwrap_or_else(PoisonError::into_inner);
        let knocks = !away.is_empty() && knocked.is_none_or(|last| last.elapsed() >= KNOCK_EVERY);
        if knocks {
            *knocked = Some(Instant::now());
            return (unread, true);
        }
        (unread.or(away), false)
    }

    /// Shards of ingestors that have said nothing for long.
    fn away(&self, seen: &Seen) -> ShardSet {
        let ingestors = seen
            .announced
            .iter()
            .filter(|(reader, _)| reader.role == Role::Ingestor);
        let away = ingestors.filter(|(reader, _)| {
            let heard = self.said(seen, reader).map(|(_, heard)| heard.elapsed());
            heard.is_none_or(|ago| ago > AWAY_AFTER)
        });
        away.fold(ShardSet::EMPTY, |all, (_, shards)| all.or(*shards))
    }

    fn said<'a>(&self, seen: &'a Seen, reader: &ReaderId) -> Option<&'a (proto::UplinkHeld, Instant)> {
        seen.said.get(reader).filter(|(said, _)| said.era == self.line.era)
    }

    /// Waits until every ingestor of these shards says that it has this call; gives the shards of which one has not in time.
    async fn not_held(&self, call: u64, shards: ShardSet, knocks: bool) -> ShardSet {
        let began = Instant::now();
        let mut seen = self.seen.clone();
        loop {
            let (late, away) = {
                let seen = seen.borrow_and_update();
                (self.late(&seen, call, shards), self.away(&seen))
            };
            let there = !late.without(away).is_empty();
            let patience = match (there, knocks) {
                (true, _) => ANSWER_WITHIN,
                (false, true) => WORD_WITHIN,
                (false, false) => Duration::ZERO,
            };
            let left = patience.saturating_sub(began.elapsed());
            if late.is_empty() || left.is_zero() {
                return late;
            }
            // Whoever goes away does so silently.
            let _ = tokio::time::timeout(left.min(LOOK_EVERY), seen.changed()).await;
        }
    }

    fn late(&self, seen: &Seen, call: u64, shards: ShardSet) -> ShardSet {
        let ingestors = seen
            .announced
            .iter()
            .filter(|(reader, _)| reader.role == Role::Ingestor);
        let late = ingestors.map(|(reader, own)| {
            let said = self.said(seen, reader);
            let holds = |shard: u16| {
                let of = said.and_then(|(said, _)| said.shards.iter().find(|held| held.shard == u32::from(shard)));
                of.and_then(|held| held.position)
                    .is_some_and(|position| position >= call)
            };
            own.and(shards).iter().filter(|shard| !holds(*shard)).collect()
        });
        late.fold(ShardSet::EMPTY, ShardSet::or)
    }

    /// Sends a command down to the gateway where a device is; Ok: the broker has it.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn command(&self, gateway: &GatewayId, command: Bytes) -> Result<(), SendError> {
        answered(self.publish(&downlink(gateway), command)?).await
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
}

async fn answered(mut answer: Answer) -> Result<(), SendError> {
    match tokio::time::timeout(ANSWER_WITHIN, &mut answer.told).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(SendError::Late),
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

async fn hand_out(mut acks: Acks, waiting: Waiting) {
    while let Some(acked) = acks.recv().await {
        if let Some(tell) = lock(&waiting).remove(&acked.token) {
            // Who waited may have given up.
            let _ = tell.send(());
        }
    }
}
