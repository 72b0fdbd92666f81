//! Connections that have not broken yet, and what goes over them, from one place of the log on.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics::counter;
use prost::Message as _;
use service::config::ByteSize;
use service::mqtt::{Acks, Link, Publisher, PublisherOptions};
use spool::Offset;
use telemetry::proto;
use tokio::sync::{Notify, mpsc, watch};

use super::cut::{Cutter, Said};
use super::far::{Back, Far};
use super::in_flight::{Chunk, InFlight};
use super::pack::{self, Packer};
use super::{BuildError, CURSOR, Plan, heard, overdue};
use crate::ShardSet;
use crate::batch::pack;
use crate::stretch::Stretch;
use crate::topic::Up;

/// Chunks that are packed and wait to be sent. At the bound the reading thread waits.
const PACKED_CHUNKS: usize = 2;
/// Most chunks that are sent and not acknowledged, beside the bound in bytes.
const CHUNKS_MAX: usize = 64;
/// Messages in one connection's outbox; a chunk has fewer, so that it always fits.
const OUTBOX_MESSAGES: usize = 65_536;
/// How often the cursor is moved and the readers are looked at without news.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a stop goes on with what is in the log: what a device was told is kept here is judged elsewhere, and whoever stops a
/// gateway may not start it again soon.
const FINISH: Duration = Duration::from_secs(10);
/// Token of what nobody waits for.
const HELLO: u64 = u64::MAX;

/// Why a line ended.
pub(super) enum Ended {
    Stopped,
    Broken,
    /// A reader lacks what was sent.
    Back(Back),
}

/// See the module.
pub(super) struct Line {
    publishers: Vec<Publisher>,
    packed: mpsc::Receiver<Chunk>,
    in_flight: Arc<Mutex<InFlight>>,
    settled: Arc<Notify>,
    /// Everything before it was sent, and the broker has acknowledged it.
    done: Offset,
    /// What all stretches of this line have in common.
    stretch: Stretch,
    greeted: bool,
    broken: watch::Receiver<bool>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Line {
    /// Connects, and reads the log from `from` on.
    pub(super) fn start(plan: &Plan, far: &Far, from: Offset) -> Result<Self, BuildError> {
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
        let stretch = Stretch {
            line: far.line,
            floor: plan.committed().0,
            oldest: plan.log.state().oldest.0,
            continues: plan.era.continues,
            ..Stretch::of(plan.gateway.clone(), far.era)
        };
        let (chunks, packed) = mpsc::channel(PACKED_CHUNKS);
        let stop = Arc::new(AtomicBool::new(false));
        let mut reader = plan.log.reader(CURSOR)?;
        reader.seek(from);
        let packer = Packer {
            spool: plan.log.clone(),
            reader,
            cutter: Cutter {
                line: stretch.clone(),
                sent: far.sent,
                batch_bytes: config.batch_bytes,
                connections: config.connections,
            },
            linger: config.linger,
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
            done: from,
            stretch,
            greeted: false,
            broken,
            stop,
            thread,
        })
    }

    /// Sends until it has to end; gives why, and before where everything was sent and acknowledged. When `stop` resolves it goes on to
    /// where the log was durable then, for at most [`FINISH`].
    pub(super) async fn run(
        mut self,
        plan: &Plan,
        far: &mut Far,
        mut stop: impl Future<Output = ()> + Unpin,
    ) -> (Ended, Offset) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut open, mut broken, mut seen) = (false, self.broken.clone(), plan.seen.clone());
        let mut finish: Option<(Offset, Instant)> = None;
        let ended = loop {
            if finish.is_some_and(|(upto, until)| self.done >= upto || Instant::now() >= until) {
                break Ended::Stopped;
            }
            let room = open && self.has_room(plan);
            let settled = Arc::clone(&self.settled);
            tokio::select! {
                () = &mut stop, if finish.is_none() => finish = Some((plan.log.durable(), Instant::now() + FINISH)),
                // An error: whoever watches the connections is gone, and they with it.
                () = breaks(&mut broken) => break Ended::Broken,
                () = settled.notified() => self.settle(plan).await,
                changed = seen.changed() => {
                    if changed.is_err() {
                        break Ended::Broken;
                    }
                    if let Some(back) = heard(plan, far) {
                        break Ended::Back(back);
                    }
                    open = self.open(plan, far).await;
                }
                _ = look.tick() => {
                    open = self.open(plan, far).await;
                    self.move_cursor(plan, far).await;
                    if let Some(back) = overdue(plan, far, Instant::now()) {
                        break Ended::Back(back);
                    }
                }
                chunk = self.packed.recv(), if room => match chunk {
                    Some(chunk) => self.send(plan, far, chunk).await,
                    None => break Ended::Broken,
                },
            }
        };
        // Whoever is to end does not begin again.
        let ended = if finish.is_some() { Ended::Stopped } else { ended };
        self.move_cursor(plan, far).await;
        self.lock().unsent(&mut far.sent);
        self.stop.store(true, Ordering::Relaxed);
        self.packed.close();
        while self.packed.recv().await.is_some() {}
        for publisher in &self.publishers {
            publisher.close().await;
        }
        // It looks at the flag ten times a second.
        let _ = tokio::task::spawn_blocking(move || self.thread.join()).await;
        (ended, self.done)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, InFlight> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, plan: &Plan) -> bool {
        let in_flight = self.lock();
        let bytes = in_flight.bytes() < plan.config.in_flight_bytes;
        in_flight.is_empty() || in_flight.chunks() < CHUNKS_MAX && bytes
    }

    /// Whether something may be sent. The first thing is how far everything was sent before: by that a reader knows this era and line,
    /// and what it lacks.
    async fn open(&mut self, plan: &Plan, far: &mut Far) -> bool {
        let open = plan.is_open(far);
        if open && !self.greeted {
            self.greeted = true;
            let shards = (plan.shards)();
            far.used = far.used.or(shards);
            for shard in shards.iter() {
                let sent = far.sent[usize::from(shard)];
                let payload = self.progress(plan, (shard, shards), &Said::default(), (sent, sent));
                self.tell_shard(plan, shard, payload, HELLO).await;
            }
        }
        open
    }

    async fn send(&mut self, plan: &Plan, far: &mut Far, mut chunk: Chunk) {
        let messages = std::mem::take(&mut chunk.messages);
        for (shard, _, sent) in &chunk.sent {
            far.sent[usize::from(*shard)] = *sent;
            far.used = far.used.with(*shard);
        }
        let token = self.lock().push(chunk, messages.len());
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
                    self.done = next.unwrap_or(self.done);
                }
            }
        }
    }

    /// Moves the cursor past what every reader holds.
    async fn move_cursor(&self, plan: &Plan, far: &Far) {
        let Some(next) = plan.cursor(far, self.done) else {
            return;
        };
        if next <= plan.committed() {
            return;
        }
        let cursor = Arc::clone(&plan.cursor);
        let commit = move || cursor.lock().unwrap_or_else(PoisonError::into_inner).commit(next);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(commit).await {
            tracing::warn!(%error, "the forwarder's cursor did not move, what was sent is sent again after a restart");
        }
    }

    /// A gateway's progress, on each of its shards: everything before it is acknowledged by the broker.
    async fn tell(&self, plan: &Plan, token: u64, said: Said) {
        let shards = (plan.shards)();
        self.lock().expect(token, shards.iter().count());
        for shard in shards.iter() {
            let sent = said.sent.get(usize::from(shard)).copied().unwrap_or_default();
            let payload = self.progress(plan, (shard, shards), &said, (sent, said.next));
            self.tell_shard(plan, shard, payload, token).await;
        }
    }

    async fn tell_shard(&self, plan: &Plan, shard: u16, payload: Bytes, token: u64) {
        let gateway = plan.gateway.clone();
        let topic = Up::Progress { shard, gateway }.to_string();
        self.publish(usize::from(shard), &topic, payload, token).await;
    }

    fn progress(&self, plan: &Plan, (shard, shards): (u16, ShardSet), said: &Said, (after, next): (u64, u64)) -> Bytes {
        // How full the logs are is told once.
        let at_home = shards.iter().next() == Some(shard);
        let progress = proto::UplinkProgress {
            gateway: plan.gateway.to_string(),
            watermark_us: said.watermark.map(|at| at.0),
            shards: shards.mask(),
            backlogs: if at_home { said.backlogs.clone() } else { Vec::new() },
        };
        let stretch = Stretch {
            after,
            next,
            ..self.stretch.clone()
        };
        pack(&progress.encode_to_vec()).payload(&stretch)
    }
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
