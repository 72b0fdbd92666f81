//! The gateway's side: reads its log by a cursor of its own, sends batches, and moves the cursor when the broker has them.
mod in_flight;
mod pack;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics::{counter, gauge};
use prost::Message as _;
use service::config::ByteSize;
use service::health::Condition;
use service::mqtt::{Acks, Link, OptionsError, Publisher, PublisherOptions};
use spool::{Offset, Reader, ReaderError, Spool};
use telemetry::{GatewayId, proto};
use tokio::sync::{Notify, mpsc, watch};

use crate::batch::pack;
use crate::metrics::{HELD_BACK, RESTARTED};
use crate::readers::{Held, Readers, Shards, missing};
use crate::topic::{Role, Up};
use crate::{Config, ShardSet};
use in_flight::{Chunk, InFlight};
use pack::{Packer, Said};

/// The forwarder's cursor, to be declared in the gateway's log.
pub const CURSOR: &str = "forward";
/// Chunks that are packed and wait to be sent. At the bound the reading thread waits.
const PACKED_CHUNKS: usize = 2;
/// Most chunks that are sent and not acknowledged, beside the bound in bytes.
const CHUNKS_MAX: usize = 64;
/// Messages in one connection's outbox; a chunk has fewer, so that it always fits.
const OUTBOX_MESSAGES: usize = 65_536;
/// How often the cursor is moved and the readers are looked at without news.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Name of the condition for readiness.
pub const CONDITION: &str = "uplink-readers";

/// Why a forwarder was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The log's cursors lack ours.
    #[error("the gateway's log has no cursor {CURSOR:?}, declare it")]
    Cursor(#[from] ReaderError),
    /// The broker's options contradict themselves.
    #[error("the connection to the broker cannot be made")]
    Options(#[from] OptionsError),
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}

/// What a forwarder is made of, and made of again after each broken connection.
struct Plan {
    config: Config,
    gateway: GatewayId,
    log: Spool,
    shards: Shards,
    condition: Condition,
    held: watch::Receiver<Held>,
}

/// Sends what the log has.
///
/// A broker may die with what it has acknowledged and not saved. So the cursor stays behind what was acknowledged by
/// [`crate::RawConfig::resend`], and a broken connection is not taken up again: everything from the cursor on is sent again, on
/// fresh ones. Readers pass over copies.
pub struct Forwarder {
    plan: Plan,
    line: Line,
}

impl Forwarder {
    /// Connects and starts to read; sends when it runs. `shards`: those in which this gateway has clinics. Within a tokio runtime.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn start(
        config: &Config,
        gateway: GatewayId,
        log: &Spool,
        shards: Shards,
        condition: Condition,
    ) -> Result<Self, BuildError> {
        let (readers, held) = Readers::start(config, &format!("dermatel-forward-{gateway}"))?;
        tokio::spawn(readers.run());
        let plan = Plan {
            config: config.clone(),
            gateway,
            log: log.clone(),
            shards,
            condition,
            held,
        };
        let line = Line::start(&plan)?;
        Ok(Self { plan, line })
    }

    /// Sends until `stop` resolves. What is under way then, or was acknowledged a moment ago, is sent again after the next start.
    ///
    /// # Errors
    /// [`BuildError`]: after a broken connection it could not begin again.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), BuildError> {
        tokio::pin!(stop);
        let Self { plan, mut line } = self;
        while let Ended::Broken = line.run(&plan, stop.as_mut()).await {
            counter!(RESTARTED).increment(1);
            tracing::warn!("the connection to the broker broke: what it acknowledged last is sent again");
            line = Line::start(&plan)?;
        }
        Ok(())
    }
}

/// Why a line ended.
enum Ended {
    Stopped,
    Broken,
}

/// Connections that have not broken yet, and what goes over them.
struct Line {
    publishers: Vec<Publisher>,
    packed: mpsc::Receiver<Chunk>,
    in_flight: Arc<Mutex<InFlight>>,
    settled: Arc<Notify>,
    cursor: Arc<Mutex<Reader>>,
    /// What is acknowledged, and since when; the cursor follows later.
    done: VecDeque<(Instant, Offset)>,
    held: watch::Receiver<Held>,
    broken: watch::Receiver<bool>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Line {
    fn start(plan: &Plan) -> Result<Self, BuildError> {
        let config = &plan.config;
        let name = format!("dermatel-forward-{}", plan.gateway);
        let in_flight = Arc::new(Mutex::new(InFlight::default()));
        let settled = Arc::new(Notify::new());
        let (breaks, broken) = watch::channel(false);
        let breaks = Arc::new(breaks);
        let mut publishers = Vec::new();
        for lane in 0..config.connections {
            let mut options = PublisherOptions::new(config.broker_as(format!("{name}-{lane}")));
            options.outbox_messages = OUTBOX_MESSAGES;
            let bytes = 2 * (config.in_flight_bytes + 4 * config.batch_bytes.max(pack::READ_BYTES)) as u64;
            options.outbox_bytes = ByteSize::bytes(bytes.min(1 << 31));
            let (publisher, acks, _) = Publisher::start(options)?;
            tokio::spawn(settle(acks, Arc::clone(&in_flight), Arc::clone(&settled)));
            tokio::spawn(watch_link(publisher.link(), Arc::clone(&breaks)));
            publishers.push(publisher);
        }
        let (chunks, packed) = mpsc::channel(PACKED_CHUNKS);
        let stop = Arc::new(AtomicBool::new(false));
        let packer = Packer {
            spool: plan.log.clone(),
            reader: plan.log.reader(CURSOR)?,
            gateway: plan.gateway.clone(),
            linger: config.linger,
            batch_bytes: config.batch_bytes,
            connections: config.connections,
            chunks,
            stop: Arc::clone(&stop),
        };
        let thread = std::thread::Builder::new()
            .name("forward".to_owned())
            .spawn(move || packer.run())?;
        Ok(Self {
            publishers,
            packed,
            in_flight,
            settled,
            cursor: Arc::new(Mutex::new(plan.log.reader(CURSOR)?)),
            done: VecDeque::new(),
            held: plan.held.clone(),
            broken,
            stop,
            thread,
        })
    }

    async fn run(mut self, plan: &Plan, mut stop: impl Future<Output = ()> + Unpin) -> Ended {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut open, mut broken) = (false, self.broken.clone());
        let ended = loop {
            let room = open && self.has_room(plan);
            let settled = Arc::clone(&self.settled);
            tokio::select! {
                () = &mut stop => break Ended::Stopped,
                // An error: whoever watches the connections is gone, and they with it.
                () = breaks(&mut broken) => break Ended::Broken,
                () = settled.notified() => self.settle(plan).await,
                changed = self.held.changed() => match changed {
                    Ok(()) => open = self.is_open(plan),
                    Err(_) => break Ended::Broken,
                },
                _ = look.tick() => {
                    open = self.is_open(plan);
                    self.move_cursor(plan).await;
                }
                chunk = self.packed.recv(), if room => match chunk {
                    Some(chunk) => self.send(plan, chunk).await,
                    None => break Ended::Broken,
                },
            }
        };
        self.move_cursor(plan).await;
        self.stop.store(true, Ordering::Relaxed);
        self.packed.close();
        while self.packed.recv().await.is_some() {}
        for publisher in &self.publishers {
            publisher.close().await;
        }
        // It looks at the flag ten times a second.
        let _ = tokio::task::spawn_blocking(move || self.thread.join()).await;
        ended
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, InFlight> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, plan: &Plan) -> bool {
        let in_flight = self.lock();
        let bytes = in_flight.bytes() < plan.config.in_flight_bytes;
        in_flight.is_empty() || in_flight.chunks() < CHUNKS_MAX && bytes
    }

    /// Whether every shard that we send to has its readers.
    fn is_open(&self, plan: &Plan) -> bool {
        if !plan.config.wait_for_readers {
            plan.condition.green();
            return true;
        }
        let lacking = missing(&self.held.borrow(), (plan.shards)(), &Role::ALL);
        gauge!(HELD_BACK).set(if lacking.is_empty() { 0.0 } else { 1.0 });
        if lacking.is_empty() {
            plan.condition.green();
            return true;
        }
        plan.condition.red(&format!(
            "shards {lacking} lack an ingestor or an alerting instance at the broker, nothing is forwarded"
        ));
        false
    }

    async fn send(&mut self, plan: &Plan, mut chunk: Chunk) {
        let messages = std::mem::take(&mut chunk.messages);
        let token = self.lock().push(chunk);
        for message in messages {
            self.publish(message.lane, &message.topic, message.payload, token).await;
        }
        // It may have had none, or all are acknowledged already.
        self.settle(plan).await;
    }

    async fn publish(&self, lane: usize, topic: &str, payload: Bytes, token: u64) {
        let Some(publisher) = self.publishers.get(lane % self.publishers.len().max(1)) else {
            return;
        };
        if let Err(error) = publisher.publish(topic, payload, token, false).await {
            // Our own sizes are below the bounds: only a closed client gets here, and then the cursor stays.
            tracing::error!(%error, topic, "a batch could not be handed to the connection");
        }
    }

    /// Tells what was waiting for the oldest chunks, and lets them go.
    async fn settle(&mut self, plan: &Plan) {
        loop {
            let said = {
                let mut in_flight = self.lock();
                match in_flight.front_is_acked() {
                    false => return,
                    true => in_flight.take_said(),
                }
            };
            match said {
                Some((token, said)) => self.tell(plan, token, said).await,
                None => {
                    let next = self.lock().pop();
                    self.done.extend(next.map(|next| (Instant::now(), next)));
                }
            }
        }
    }

    /// Moves the cursor past what the broker has had for long enough.
    async fn move_cursor(&mut self, plan: &Plan) {
        let mut next = None;
        while let Some((since, offset)) = self.done.front()
            && since.elapsed() >= plan.config.resend
        {
            next = Some(*offset);
            self.done.pop_front();
        }
        let Some(next) = next else { return };
        let cursor = Arc::clone(&self.cursor);
        let commit = move || cursor.lock().unwrap_or_else(PoisonError::into_inner).commit(next);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(commit).await {
            tracing::warn!(%error, "the forwarder's cursor did not move, what was sent is sent again after a restart");
        }
    }

    /// A gateway's progress, on each of its shards: everything before it is acknowledged.
    async fn tell(&mut self, plan: &Plan, token: u64, said: Said) {
        let shards = (plan.shards)();
        if shards.is_empty() {
            return;
        }
        let at_home = shards.iter().next().unwrap_or_default();
        self.lock().expect(token, shards.iter().count());
        for shard in shards.iter() {
            let backlogs = if shard == at_home {
                said.backlogs.clone()
            } else {
                Vec::new()
            };
            let payload = progress(plan, &said, shards, backlogs);
            let topic = Up::Progress {
                shard,
                gateway: plan.gateway.clone(),
            };
            self.publish(usize::from(shard), &topic.to_string(), payload, token)
                .await;
        }
    }
}

fn progress(plan: &Plan, said: &Said, shards: ShardSet, backlogs: Vec<proto::Backlog>) -> Bytes {
    let progress = proto::UplinkProgress {
        gateway: plan.gateway.to_string(),
        watermark_us: said.watermark.map(|at| at.0),
        shards: shards.mask(),
        backlogs,
    };
    pack(&progress.encode_to_vec()).into()
}

async fn breaks(broken: &mut watch::Receiver<bool>) {
    let _ = broken.wait_for(|broken| *broken).await;
}

/// Says when a connection that was there breaks.
async fn watch_link(mut link: watch::Receiver<Link>, breaks: Arc<watch::Sender<bool>>) {
    if link.wait_for(Link::is_up).await.is_ok() && link.wait_for(|link| !link.is_up()).await.is_ok() {
        breaks.send_replace(true);
    }
}

/// Counts down what the broker acknowledges on one connection.
async fn settle(mut acks: Acks, in_flight: Arc<Mutex<InFlight>>, settled: Arc<Notify>) {
    while let Some(acked) = acks.recv().await {
        counter!(crate::metrics::FORWARDED_BATCHES).increment(1);
        in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .acked(acked.token);
        settled.notify_one();
    }
}
