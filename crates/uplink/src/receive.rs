//! The reader's side: takes batches from the broker that follow what it holds, writes them to its own log, syncs, acknowledges them,
//! and says to their senders how far it holds what they sent.
mod refusals;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use metrics::counter;
use service::backoff::Backoff;
use service::clock::Clock;
use service::health::Condition;
use service::mqtt::{Acker, Delivery, Link, OptionsError, Subscriber, SubscriberOptions};
use spool::{NewRecord, OpenError, Spool};
use telemetry::proto;
use telemetry::{GatewayId, UnixMicros};
use tokio::sync::mpsc;

pub use self::refusals::{Refusals, ReplayError};

use crate::batch::{Envelope, Message, Opened, Reason, Refusal};
use crate::held::{Held, Verdict};
use crate::kept::Kept;
use crate::metrics::{
    BATCHES_AHEAD, RECEIVE_RETRIES, RECEIVED_BATCHES, RECEIVED_MESSAGES, REFUSED_BATCHES, REPEATED_BATCHES,
    receiver_at_zero,
};
use crate::positions::Positions;
use crate::progress::Progress;
use crate::says::Says;
use crate::topic::{Role, Up, Way, filters};
use crate::{Config, ShardSet};

/// Batches that are opened and written at once; each is at most a mebibyte open.
const TAKEN_MAX: usize = 32;
/// Most bytes of one append, but for the last record.
const APPEND_BYTES: usize = 512 * 1024;
/// Most batches between the broker and us. At least the broker's window for one client, or its tail waits for us.
const WINDOW: usize = 1_000;
/// How often a sender hears how far we hold what it sent, if that is news.
const SAY_EVERY: Duration = Duration::from_millis(200);
/// Shortest pause between two times, so that what is waited for is said soon and a fast stream is not answered piece by piece.
const SAY_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// How often it hears it in any case: a third of [`crate::readers::AWAY_AFTER`].
const SAY_ALL_EVERY: Duration = Duration::from_secs(5);
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
    /// Where it is kept how far senders' logs are held.
    #[error("it cannot be read how far senders' logs are held")]
    Positions(#[from] std::io::Error),
}

/// Takes what the broker has for a reader.
pub struct Receiver<S> {
    subscriber: Subscriber,
    acker: Acker,
    clock: Clock,
    condition: Condition,
    writer: Option<Writer<S>>,
    refusals: Refusals,
    asks: mpsc::Receiver<refusals::Ask>,
    says: Says,
    /// When something was said, and when everything was.
    said: (Instant, Instant),
}

/// What blocks on the disk, and moves to where it may.
struct Writer<S> {
    log: Spool,
    kept: Kept,
    sink: S,
    own: ShardSet,
    progress: Progress,
    held: Held,
    positions: Positions,
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
        receiver_at_zero();
        let kept = Kept::open(dir.join("refused"), config.keep_refused_bytes)?;
        let broker = config.broker_as(format!("dermatel-{}-{}", role.as_str(), config.instance));
        let mut options = SubscriberOptions::new(broker, filters(role, config.shards));
        options.receive_window = WINDOW;
        options.filters_file = Some(dir.join(format!("{}-filters", role.as_str())));
        let subscriber = Subscriber::start(options)?;
        let says = Says::start(config, role, subscriber.subscribed())?;
        let (positions, held) = Positions::open(&dir, role)?;
        condition.red("not connected to the broker yet");
        let (ask, asks) = mpsc::channel(refusals::ASKS);
        let now = Instant::now();
        Ok(Self {
            acker: subscriber.acker(),
            subscriber,
            clock,
            condition,
            refusals: Refusals {
                kept: kept.clone(),
                asks: ask,
            },
            asks,
            writer: Some(Writer {
                log,
                kept,
                sink,
                own: config.shards,
                progress: Progress::default(),
                held,
                positions,
                backoff: Backoff::default(),
            }),
            says,
            said: (now, now),
        })
    }

    /// What it refused.
    pub fn refusals(&self) -> Refusals {
        self.refusals.clone()
    }

    /// Takes batches until `stop` resolves. What is not on disk then comes again.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut link = self.subscriber.link();
        let mut taken = Vec::new();
        let mut say = tokio::time::interval(SAY_EVERY);
        say.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let going = tokio::select! {
                () = &mut stop => break,
                changed = link.changed() => {
                    if changed.is_ok() {
                        self.tell(&link.borrow_and_update());
                    }
                    true
                }
                _ = say.tick() => self.say().await,
                Some(ask) = self.asks.recv() => self.replay(ask).await,
                got = self.subscriber.recv_many(&mut taken, TAKEN_MAX) => {
                    let written = self.write(std::mem::take(&mut taken));
                    got > 0 && tokio::select! {
                        () = &mut stop => break,
                        done = written => done,
                    } && (self.said.0.elapsed() < SAY_AGAIN_AFTER || self.say().await)
                }
            };
            if !going {
                break;
            }
        }
        self.subscriber.stop().await;
        self.says.stop().await;
    }

    /// Says to senders how far their logs are held, once that is on disk. False: the thread panicked.
    async fn say(&mut self) -> bool {
        let now = Instant::now();
        let all = now.duration_since(self.said.1) >= SAY_ALL_EVERY;
        let has_news = self.writer.as_ref().is_some_and(|writer| writer.held.has_news());
        if !all && !has_news {
            return true;
        }
        let Some(mut writer) = self.writer.take() else {
            return false;
        };
        let stored = tokio::task::spawn_blocking(move || {
            let stored = writer.positions.store(&writer.held);
            (writer, stored)
        });
        let Ok((mut writer, stored)) = stored.await else {
            return false;
        };
        match stored {
            Ok(()) => {
                let everything = all || self.says.missed();
                let said = writer.held.say(everything);
                self.says.say(&said);
                self.said = (now, if all { now } else { self.said.1 });
            }
            // Tried again with everything else, and told no more often.
            Err(error) if all => {
                self.said.1 = now;
                tracing::warn!(
                    %error,
                    "it cannot be kept how far senders' logs are held, they keep what they sent until it can"
                );
            }
            Err(_) => {}
        }
        self.writer = Some(writer);
        true
    }

    /// Takes a batch that was refused. False: the thread panicked.
    async fn replay(&mut self, ask: refusals::Ask) -> bool {
        let Some(mut writer) = self.writer.take() else {
            return false;
        };
        let now = self.clock.now();
        let done = tokio::task::spawn_blocking(move || {
            ask.answer(&mut writer, now);
            writer
        });
        self.writer = done.await.ok();
        self.writer.is_some()
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
        self.held.begin();
        let written = self.write_what_follows(taken, now);
        if written.is_err() {
            self.held.take_back();
        }
        written
    }

    fn write_what_follows(&mut self, taken: &[Delivery], now: SystemTime) -> Result<(), String> {
        let mut out = Records::default();
        let (mut batches, mut messages) = (0, 0);
        for delivery in taken {
            let envelope = match Envelope::read(&delivery.topic, delivery.payload.clone(), self.own) {
                Ok(envelope) => envelope,
                Err(refusal) => {
                    self.keep(delivery, &refusal, now)?;
                    continue;
                }
            };
            match self.judge(&envelope) {
                Verdict::Copy => counter!(REPEATED_BATCHES).increment(1),
                Verdict::Ahead => counter!(BATCHES_AHEAD).increment(1),
                Verdict::Stranger => self.keep(delivery, &stranger(&envelope), now)?,
                // What cannot be opened would not get better by being sent again: it counts as held, and is kept aside.
                Verdict::Take => match envelope.open() {
                    Ok(opened) => {
                        batches += 1;
                        messages += self.take(opened, now.into(), &mut out);
                    }
                    Err(refusal) => self.keep(delivery, &refusal, now)?,
                },
            }
        }
        append(&self.log, &out.records, now)?;
        counter!(RECEIVED_BATCHES).increment(batches);
        counter!(RECEIVED_MESSAGES).increment(messages);
        Ok(())
    }

    fn judge(&mut self, envelope: &Envelope) -> Verdict {
        let (way, introduces) = match &envelope.topic {
            Up::Progress { .. } => (Way::Uplink, true),
            Up::Clinic { way, .. } => (*way, *way == Way::Alerts),
        };
        self.held
            .judge(way, envelope.topic.shard(), &envelope.stretch, introduces)
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

fn stranger(envelope: &Envelope) -> Refusal {
    Refusal {
        reason: Reason::Stranger,
        detail: format!(
            "{} has not introduced itself on dermatel/v1/uplink/+/_progress/{0}; a gateway sends it again",
            envelope.stretch.sender
        ),
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
