//! Devices that talk to a broker which the fleet already has: a subscription there, acknowledged after the fsync here.
//!
//! What the PUBACK of that broker means to a device is the broker's affair: start-up says so. Identity is the topic's: the
//! broker must let each device publish on its own topics only; Dermatel cannot see who published.
//!
//! A message that cannot be kept (the store at its cap, a disk full) cannot be refused either: MQTT has no way to give a
//! delivery back. It is tried again, and nothing more is read until it is kept, so the broker's queue for us grows, by the
//! broker's limits. Alerting gets each frame at the first try.
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use metrics::{Counter, counter};
use service::backoff::Backoff;
use service::clock::Clock;
use service::mqtt::{AckToken, Acker, Delivery, Subscriber};
use telemetry::{Channel, Origin, Topic, UnixMicros};
use tokio::sync::{mpsc, oneshot, watch};

use crate::commit::{Item, Reply, Verdict};
use crate::metrics::BROKER_RETRIES;

/// Deliveries that are taken and not acknowledged. At least the broker's window for one client, or its tail waits for us.
pub const UNACKED_MAX: usize = 2_000;

/// The filters of a broker intake: telemetry and status of every device.
pub fn filters() -> Vec<String> {
    vec![Topic::filter(Channel::Telemetry), Topic::filter(Channel::Status)]
}

/// Takes deliveries to the committer and acknowledges them.
pub(crate) struct BrokerIntake {
    subscriber: Subscriber,
    acker: Acker,
    items: mpsc::Sender<Item>,
    clock: Clock,
    waiting: VecDeque<Waiting>,
    backoff: Backoff,
    retries: Counter,
}

/// A delivery that is not acknowledged.
struct Waiting {
    token: AckToken,
    topic: Arc<str>,
    payload: Bytes,
    retained: bool,
    /// When there was first room for it at the committer's.
    received_at: Option<UnixMicros>,
    fate: Fate,
}

enum Fate {
    /// The committer has it.
    Asked(oneshot::Receiver<Verdict>),
    /// It was not kept.
    NotKept,
    /// Kept and acknowledged.
    Done,
}

impl BrokerIntake {
    pub(crate) fn new(subscriber: Subscriber, items: mpsc::Sender<Item>, clock: Clock) -> Self {
        Self {
            acker: subscriber.acker(),
            subscriber,
            items,
            clock,
            waiting: VecDeque::new(),
            backoff: Backoff::default(),
            retries: counter!(BROKER_RETRIES),
        }
    }

    /// Works until `stop` says so; what was taken and can be kept is acknowledged before this returns.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut taken = Vec::new();
        while !*stop.borrow() {
            let room = UNACKED_MAX.saturating_sub(self.waiting.len());
            tokio::select! {
                _ = stop.changed() => break,
                () = front(&mut self.waiting) => {
                    if !self.settle() && !self.retry(&mut stop).await {
                        break;
                    }
                }
                got = self.subscriber.recv_many(&mut taken, room), if room > 0 => {
                    if got == 0 || !self.take(&mut taken).await {
                        break;
                    }
                }
            }
        }
        while !self.waiting.is_empty() {
            front(&mut self.waiting).await;
            if !self.settle() {
                break;
            }
        }
        self.subscriber.stop().await;
    }

    /// Passes deliveries on; false if nobody takes them any more.
    async fn take(&mut self, taken: &mut Vec<Delivery>) -> bool {
        for delivery in taken.drain(..) {
            self.waiting.push_back(Waiting {
                token: delivery.token,
                topic: delivery.topic.into(),
                payload: delivery.payload,
                retained: delivery.retain,
                received_at: None,
                fate: Fate::NotKept,
            });
            if let Some(waiting) = self.waiting.back_mut()
                && !ask(&self.items, &self.clock, waiting).await
            {
                return false;
            }
        }
        true
    }

    /// Acknowledges what was kept; false if the oldest was not. The broker hears of them in the order of receipt.
    fn settle(&mut self) -> bool {
        let mut kept = Vec::new();
        for waiting in &mut self.waiting {
            let Fate::Asked(told) = &mut waiting.fate else { continue };
            waiting.fate = match told.try_recv() {
                Ok(Verdict::Stored | Verdict::Duplicate | Verdict::Quarantined(_)) => {
                    kept.push(waiting.token);
                    Fate::Done
                }
                Ok(Verdict::QuotaExceeded | Verdict::Busy) | Err(oneshot::error::TryRecvError::Closed) => Fate::NotKept,
                Err(oneshot::error::TryRecvError::Empty) => break,
            };
        }
        self.acker.ack(&kept);
        while matches!(self.waiting.front(), Some(Waiting { fate: Fate::Done, .. })) {
            self.waiting.pop_front();
            self.backoff = Backoff::default();
        }
        !matches!(
            self.waiting.front(),
            Some(Waiting {
                fate: Fate::NotKept,
                ..
            })
        )
    }

    /// Pauses, then asks again for all that were not kept, in their order. False: stop.
    async fn retry(&mut self, stop: &mut watch::Receiver<bool>) -> bool {
        let pause = self.backoff.next(&mut rand::rng());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => return false,
        }
        for waiting in self
            .waiting
            .iter_mut()
            .filter(|waiting| matches!(waiting.fate, Fate::NotKept))
        {
            self.retries.increment(1);
            if !ask(&self.items, &self.clock, waiting).await {
                return false;
            }
        }
        true
    }
}

/// Resolves when the fate of the oldest delivery is known; never if there is none. The answer stays where it is.
async fn front(waiting: &mut VecDeque<Waiting>) {
    let Some(oldest) = waiting.front_mut() else {
        return std::future::pending().await;
    };
    if let Fate::Asked(told) = &mut oldest.fate {
        // A verdict taken out here is put back, so that there is one place that acts on it.
        let verdict = told.await.unwrap_or(Verdict::Busy);
        let (tell, told) = oneshot::channel();
        let _ = tell.send(verdict);
        oldest.fate = Fate::Asked(told);
    }
}

async fn ask(items: &mpsc::Sender<Item>, clock: &Clock, waiting: &mut Waiting) -> bool {
    let Ok(room) = items.reserve().await else {
        return false;
    };
    let (tell, told) = oneshot::channel();
    waiting.fate = Fate::Asked(told);
    room.send(Item {
        origin: Origin::Broker,
        recorded_by: None,
        peer: None,
        topic: Arc::clone(&waiting.topic),
        payload: waiting.payload.clone(),
        received_at: *waiting.received_at.get_or_insert_with(|| clock.now().into()),
        retained: waiting.retained,
        kept_already: false,
        reply: Reply::Here(tell),
    });
    true
}
