//! The reader's side: takes batches from the broker, writes them to its own log, syncs, and only then acknowledges them.
use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::time::SystemTime;

use metrics::counter;
use service::backoff::Backoff;
use service::clock::Clock;
use service::health::Condition;
use service::mqtt::{Acker, Delivery, Link, OptionsError, Subscriber, SubscriberOptions};
use spool::{NewRecord, OpenError, Spool};
use telemetry::proto;
use telemetry::{GatewayId, UnixMicros};
use tokio::sync::watch;
use xxhash_rust::xxh3::xxh3_128;

use crate::batch::{Message, Opened, Refusal, open};
use crate::kept::Kept;
use crate::metrics::{RECEIVE_RETRIES, RECEIVED_BATCHES, RECEIVED_MESSAGES, REFUSED_BATCHES, REPEATED_BATCHES};
use crate::progress::Progress;
use crate::topic::{Role, filters};
use crate::{Config, ShardSet};

/// Batches that are opened and written at once; each is at most a mebibyte open.
const TAKEN_MAX: usize = 32;
/// Most bytes of one append, but for the last record.
const APPEND_BYTES: usize = 512 * 1024;
/// Most batches between the broker and us. At least the broker's window for one client, or its tail waits for us.
const WINDOW: usize = 1_000;
/// Batches that are remembered, to pass over what the broker or a gateway sends again.
const REMEMBERED: usize = 16_384;
/// Name of the condition for readiness.
pub const CONDITION: &str = "uplink-broker";

/// What a reader makes of what came: the records of its own log.
pub trait Sink: Send + 'static {
    /// Appends the record of a message.
    fn message(&mut self, message: &Message, now: UnixMicros, out: &mut Records);
    /// Appends the record of what a gateway refused, if this log has such records.
    fn refused(&mut self, refused: proto::Refused, out: &mut Records) {
        let _ = (refused, out);
    }
    /// Appends a watermark, if this log has them.
    fn watermark(&mut self, gateway: &GatewayId, at: UnixMicros, out: &mut Records) {
        let _ = (gateway, at, out);
    }
    /// Appends how full a gateway's log is, if this log has such records.
    fn backlog(&mut self, backlog: proto::Backlog, out: &mut Records) {
        let _ = (backlog, out);
    }
}

/// Records to be appended, with their lanes.
#[derive(Debug, Default)]
pub struct Records {
    records: Vec<(u32, Vec<u8>)>,
}

impl Records {
    /// What was added, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.records.iter().map(|(_, record)| record.as_slice())
    }

    /// Adds one.
    pub fn push(&mut self, lane: u32, record: Vec<u8>) {
        self.records.push((lane, record));
    }
}

/// Why a receiver was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The broker's options contradict themselves.
    #[error("the subscription at the broker cannot be made")]
    Options(#[from] OptionsError),
    /// Where refused batches are kept.
    #[error("the place for batches that are not taken cannot be opened")]
    Kept(#[from] OpenError),
}

/// Takes what the broker has for a reader.
pub struct Receiver<S> {
    subscriber: Subscriber,
    acker: Acker,
    clock: Clock,
    condition: Condition,
    writer: Option<Writer<S>>,
}

/// What blocks on the disk, and moves to where it may.
struct Writer<S> {
    log: Spool,
    kept: Kept,
    sink: S,
    own: ShardSet,
    progress: Progress,
    recent: Recent,
    backoff: Backoff,
}

impl<S: Sink> Receiver<S> {
    /// Connects with a session that the broker keeps. `dir` is where refused batches and the session's filters are kept. Within a
    /// tokio runtime.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn start(
        config: &Config,
        role: Role,
        log: Spool,
        sink: S,
        dir: PathBuf,
        clock: Clock,
        condition: Condition,
    ) -> Result<Self, BuildError> {
        let kept = Kept::open(dir.join("refused"), config.keep_refused_bytes)?;
        let broker = config.broker_as(format!("dermatel-{}-{}", role.as_str(), config.instance));
        let mut options = SubscriberOptions::new(broker, filters(role, config.shards));
        options.receive_window = WINDOW;
        options.filters_file = Some(dir.join(format!("{}-filters", role.as_str())));
        let subscriber = Subscriber::start(options)?;
        condition.red("not connected to the broker yet");
        Ok(Self {
            acker: subscriber.acker(),
            subscriber,
            clock,
            condition,
            writer: Some(Writer {
                log,
                kept,
                sink,
                own: config.shards,
                progress: Progress::default(),
                recent: Recent::default(),
                backoff: Backoff::default(),
            }),
        })
    }

    /// Whether the broker keeps what is published for us; for [`crate::readers::announce`].
    pub fn subscribed(&self) -> watch::Receiver<bool> {
        self.subscriber.subscribed()
    }

    /// Takes batches until `stop` resolves. What is not on disk then comes again.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut link = self.subscriber.link();
        let mut taken = Vec::new();
        loop {
            tokio::select! {
                () = &mut stop => break,
                changed = link.changed() => {
                    if changed.is_ok() {
                        self.tell(&link.borrow_and_update());
                    }
                }
                got = self.subscriber.recv_many(&mut taken, TAKEN_MAX) => {
                    if got == 0 {
                        break;
                    }
                    let written = self.write(std::mem::take(&mut taken));
                    tokio::select! {
                        () = &mut stop => break,
                        done = written => if !done { break },
                    }
                }
            }
        }
        self.subscriber.stop().await;
    }

    fn tell(&self, link: &Link) {
        match link {
            Link::Connected { .. } => self.condition.green(),
            other => self.condition.red(&format!("the broker does not answer: {other:?}")),
        }
    }

    /// Writes and acknowledges. False: the thread panicked.
    async fn write(&mut self, mut taken: Vec<Delivery>) -> bool {
        loop {
            let Some(mut writer) = self.writer.take() else {
                return false;
            };
            let now = self.clock.now();
            let done = tokio::task::spawn_blocking(move || {
                let wrote = writer.write(&taken, now);
                (writer, taken, wrote)
            });
            let Ok((mut writer, back, wrote)) = done.await else {
                return false;
            };
            taken = back;
            match wrote {
                Ok(()) => {
                    writer.backoff = Backoff::default();
                    self.writer = Some(writer);
                    let tokens: Vec<_> = taken.iter().map(|delivery| delivery.token).collect();
                    self.acker.ack(&tokens);
                    return true;
                }
                Err(error) => {
                    let pause = writer.backoff.next(&mut rand::rng());
                    self.writer = Some(writer);
                    counter!(RECEIVE_RETRIES).increment(1);
                    tracing::warn!(
                        error,
                        "what came from the broker cannot be written, nothing more is read until it can"
                    );
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

impl<S: Sink> Writer<S> {
    fn write(&mut self, taken: &[Delivery], now: SystemTime) -> Result<(), String> {
        let mut out = Records::default();
        let (mut batches, mut messages) = (0, 0);
        let mut fresh = Vec::with_capacity(taken.len());
        for delivery in taken {
            let digest = digest(delivery);
            if self.recent.has(digest) || fresh.contains(&digest) {
                counter!(REPEATED_BATCHES).increment(1);
                continue;
            }
            match open(&delivery.topic, &delivery.payload, self.own) {
                Ok(opened) => {
                    batches += 1;
                    messages += self.take(opened, now.into(), &mut out);
                }
                Err(refusal) => self.keep(delivery, &refusal, now)?,
            }
            fresh.push(digest);
        }
        append(&self.log, &out.records, now)?;
        // Only what is on disk may be passed over when it comes again.
        fresh.into_iter().for_each(|digest| self.recent.add(digest));
        counter!(RECEIVED_BATCHES).increment(batches);
        counter!(RECEIVED_MESSAGES).increment(messages);
        Ok(())
    }

    fn take(&mut self, opened: Opened, now: UnixMicros, out: &mut Records) -> u64 {
        match opened {
            Opened::Messages { messages, refused } => {
                let count = messages.len() as u64;
                messages.iter().for_each(|message| self.sink.message(message, now, out));
                refused.into_iter().for_each(|one| self.sink.refused(one, out));
                count
            }
            Opened::Progress {
                gateway,
                shard,
                shards,
                watermark,
                backlogs,
            } => {
                let least = watermark.and_then(|at| self.progress.heard(&gateway, shard, at, shards, self.own));
                if let Some(at) = least {
                    self.sink.watermark(&gateway, at, out);
                }
                backlogs.into_iter().for_each(|one| self.sink.backlog(one, out));
                0
            }
        }
    }

    fn keep(&self, delivery: &Delivery, refusal: &Refusal, now: SystemTime) -> Result<(), String> {
        counter!(REFUSED_BATCHES, "reason" => refusal.reason.as_str()).increment(1);
        tracing::warn!(
            topic = service::logging::clean(&delivery.topic, service::logging::FIELD_MAX),
            bytes = delivery.payload.len(),
            error = %refusal,
            "a batch from the broker is not taken, it is kept aside"
        );
        self.kept.keep(delivery, refusal, now)
    }
}

fn append(log: &Spool, records: &[(u32, Vec<u8>)], now: SystemTime) -> Result<(), String> {
    let mut rest = records;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|(_, record)| {
            let room = bytes < APPEND_BYTES;
            bytes += record.len();
            room
        });
        let (piece, later) = rest.split_at(fits.count().max(1));
        let new: Vec<NewRecord<'_>> = piece
            .iter()
            .map(|(lane, bytes)| NewRecord { lane: *lane, bytes })
            .collect();
        let appended = log.append(&new, now).map_err(|error| error.to_string())?;
        log.sync_appended(&appended).map_err(|error| error.to_string())?;
        rest = later;
    }
    Ok(())
}

fn digest(delivery: &Delivery) -> u128 {
    // A topic has no zero byte: nothing but the same topic and payload gives the same text.
    let mut hashed = Vec::with_capacity(delivery.topic.len() + 1 + delivery.payload.len());
    hashed.extend_from_slice(delivery.topic.as_bytes());
    hashed.push(0);
    hashed.extend_from_slice(&delivery.payload);
    xxh3_128(&hashed)
}

/// The last batches. A copy that comes later, or after a restart, is found further on: alerting knows each message by its key, and
/// the same message gives the same points.
#[derive(Default)]
struct Recent {
    known: HashSet<u128>,
    order: VecDeque<u128>,
}

impl Recent {
    fn has(&self, digest: u128) -> bool {
        self.known.contains(&digest)
    }

    fn add(&mut self, digest: u128) {
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        if self.known.insert(digest) {
            self.order.push_back(digest);
        }
    }
}
