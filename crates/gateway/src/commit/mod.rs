//! The committer: one thread that takes batches in, decides, writes to every log, syncs, records, and answers in order.
//!
//! Order within a commit, and why:
//! 1. Decide. What is let in is held in the ledger, not recorded.
//! 2. Append to the store. If a held frame fixed an anchor, sync it now (or, where the store refuses, a ledger snapshot): the
//!    anchor must be durable before the frame is in a log that the ledger is not rebuilt from.
//! 3. Append to the alarm logs, whatever the store said. They are tried until they take it: nothing is answered before.
//! 4. Sync all, at the same time. Quarantine commits too.
//! 5. Record in the ledger what the store has; move the mark; answer.
mod batch;
mod inbox;
mod item;
mod log;
mod mark;
mod snapshots;
mod start;
mod write;

use std::sync::Arc;
use std::time::Duration;

use registry::Registry;
use service::clock::Clock;
use service::health::Condition;
use spool::Offset;
use telemetry::{GatewayId, Origin, UnixMicros};
use tokio::time::Instant;

pub(crate) use inbox::Inbox;
pub use inbox::{BATCH_BYTES, BATCH_MESSAGES};
pub use item::Verdict;
pub(crate) use item::{Item, Reply};
pub(crate) use mark::FILE_NAME as MARK_FILE;
pub use start::{LEDGER_CURSOR, RECORD_BYTES_MIN, SEGMENT_BYTES_MIN, StartError};
pub(crate) use start::{Parts, start};

use crate::ack_up_to::AckUpTo;
use crate::admit::{Admission, Context, Delivery, Entry, admit};
use crate::ledger::{ClockPolicy, Ledger};
use crate::metrics::Metrics;
use crate::quarantine::tally::Tally;
use crate::quarantine::{Quarantine, Refused};
use inbox::{Collected, WatermarkClock};
use item::answer_all;
use snapshots::Snapshots;
use write::{Logs, StoreFate};

/// How often a watermark is written.
pub const DEFAULT_WATERMARK_EVERY: Duration = Duration::from_secs(1);
/// How often the ledger is snapshotted, if anything was recorded. The tail since then is read at the next start.
pub const SNAPSHOT_EVERY: Duration = Duration::from_secs(30);
/// Recorded frames after which it is snapshotted in any case: read at start in a few tenths of a second.
pub const SNAPSHOT_RECORDS: u64 = 100_000;

/// What the committer says about its health.
pub(crate) struct Conditions {
    pub(crate) store: Condition,
    pub(crate) alarm: Condition,
    pub(crate) quarantine: Condition,
}

/// Says so when the committer's thread ends, also by a panic: from then on nothing is taken in.
struct Ended(Condition);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.red("the committer has ended, nothing is taken in");
    }
}

/// The committer's state; it lives on its thread.
pub(crate) struct Committer {
    inbox: Inbox,
    registry: Arc<registry::Shared>,
    clocks: ClockPolicy,
    gateway: GatewayId,
    clock: Clock,
    ledger: Ledger,
    logs: Logs,
    quarantine: Arc<Quarantine>,
    snapshots: Snapshots,
    conditions: Conditions,
    metrics: Metrics,
    watermarks: WatermarkClock,
    tally: Tally,
    ack_up_to: AckUpTo,
    /// The store up to here is in the ledger.
    recorded: Offset,
    since_snapshot: u64,
    snapshot_due: Instant,
    batch: Vec<Item>,
}

/// What was decided over the messages of a batch, in their order.
#[derive(Default)]
struct Decided {
    fates: Vec<Fate>,
    entries: Vec<Entry>,
    refused: Vec<Refused>,
}

/// One message's.
enum Fate {
    /// Let in: as the store says.
    Written,
    /// A copy of one that is written.
    WrittenTwice,
    /// On disk already.
    Known,
    /// As quarantine says.
    Refused(telemetry::Rejected),
    /// Being replayed and refused again.
    RefusedAgain(telemetry::Rejected),
}

impl Committer {
    /// Works until draining has begun and everything that was taken has been answered.
    fn run(mut self) {
        let _ended = Ended(self.conditions.store.clone());
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => runtime,
            Err(e) => {
                self.conditions.store.red("the committer could not start");
                tracing::error!(error = %e, "the committer could not start, nothing is taken in");
                return;
            }
        };
        if self.logs.repay(&self.clock) {
            self.conditions.alarm.green();
            self.conditions.store.green();
            self.conditions.quarantine.green();
            while self.turn(&runtime) {}
        }
        runtime.block_on(self.inbox.leave());
        self.snapshot(true);
    }

    /// Takes and commits one batch; false when drained, or when stopped while a log could not be written.
    fn turn(&mut self, runtime: &tokio::runtime::Runtime) -> bool {
        let mut batch = std::mem::take(&mut self.batch);
        let until = self.watermarks.due().min(self.snapshot_due);
        let collected = runtime.block_on(self.inbox.collect(&mut batch, until));
        let mut alive = collected == Collected::Go;
        if !batch.is_empty() {
            alive = self.commit(&mut batch);
        }
        self.batch = batch;
        if alive {
            self.between_batches();
        }
        alive
    }

    fn between_batches(&mut self) {
        let now = Instant::now();
        self.metrics.waiting.set(self.inbox.waiting() as f64);
        let wall = UnixMicros::from(self.clock.now());
        if let Some(received_at) = self.watermarks.passed(&self.inbox, now, wall) {
            self.tell_refused(wall);
            self.logs
                .watermark(&self.gateway, received_at, self.clock.now(), &self.metrics);
        }
        if now >= self.snapshot_due || self.since_snapshot >= SNAPSHOT_RECORDS {
            self.snapshot(false);
        }
    }

    /// Commits one batch and answers it. False: stopped before a log took it; nobody was answered.
    fn commit(&mut self, batch: &mut Vec<Item>) -> bool {
        let began = std::time::Instant::now();
        let registry = self.registry.current();
        let mut decided = self.decide(&registry, batch);
        let (ledger, snapshots) = (&mut self.ledger, &self.snapshots);
        let fate = match decided.entries.is_empty() {
            true => StoreFate::Stored(self.recorded),
            false => {
                let persist = |ledger: &mut Ledger| persist(ledger, snapshots, self.recorded);
                match self.logs.write(&decided.entries, ledger, persist, &self.clock) {
                    Some(fate) => fate,
                    // Stopped: the replies are dropped with the batch, and the devices send again.
                    None => return false,
                }
            }
        };
        self.settle(&fate, decided.entries.len());
        for (device, boot, sequence) in self.ledger.take_asks() {
            self.ack_up_to.asked(device, boot, sequence, self.recorded);
        }
        let kept = self.keep(&decided.refused);
        self.count(&decided, &fate, kept);
        if kept {
            self.tally(&decided.refused);
        }
        let verdicts = verdicts(std::mem::take(&mut decided.fates), &fate, kept);
        self.metrics.batch.record(batch.len() as f64);
        self.metrics.duration.record(began.elapsed().as_secs_f64());
        answer_all(batch.drain(..).map(|item| item.reply).zip(verdicts));
        true
    }

    fn decide(&mut self, registry: &Registry, batch: &[Item]) -> Decided {
        let context = Context {
            registry,
            clocks: &self.clocks,
            gateway: &self.gateway,
        };
        let mut decided = Decided::default();
        decided.fates.reserve(batch.len());
        decided.entries.reserve(batch.len());
        for item in batch {
            let delivery = Delivery {
                topic: &item.topic,
                payload: &item.payload,
                received_at: item.received_at,
                origin: item.origin,
                peer: item.peer.as_deref(),
                retained: item.retained,
                recorded_by: item.recorded_by.as_ref(),
            };
            let fate = match admit(&context, &mut self.ledger, &delivery) {
                Admission::Admit(entry) => {
                    decided.entries.push(*entry);
                    Fate::Written
                }
                Admission::DuplicateInBatch => Fate::WrittenTwice,
                Admission::Duplicate => Fate::Known,
                Admission::Quarantine(rejected) if item.kept_already => Fate::RefusedAgain(rejected),
                Admission::Quarantine(rejected) => {
                    decided.refused.push(refused(registry, item, rejected.clone()));
                    Fate::Refused(rejected)
                }
            };
            decided.fates.push(fate);
        }
        decided
    }

    /// What the store said becomes part of the ledger. A batch that held nothing new says nothing about the store.
    fn settle(&mut self, fate: &StoreFate, entries: usize) {
        match fate {
            StoreFate::Stored(_) if entries == 0 => {}
            StoreFate::Stored(next) => {
                self.conditions.store.green();
                self.recorded = *next;
                self.since_snapshot += entries as u64;
                self.ledger.record();
                self.logs.mark(*next);
            }
            // The store is well, it is full: alerting goes on, so this process must not be taken out of service for it.
            StoreFate::AtCap => {
                self.conditions.store.green();
                if self.since_snapshot > 0 {
                    // Our own cursor must not be what keeps the store full.
                    self.snapshot_due = Instant::now();
                }
            }
            StoreFate::Failed(text) => self.conditions.store.red(text),
        }
    }

    /// Whether the refused ones are safe.
    fn keep(&mut self, refused: &[Refused]) -> bool {
        if refused.is_empty() {
            return true;
        }
        match self.quarantine.keep(refused) {
            Ok(evicted) => {
                self.metrics.evicted.increment(evicted);
                let held = self.quarantine.held();
                self.metrics.quarantined.set(held.entries as f64);
                self.metrics.quarantine_bytes.set(held.bytes as f64);
                self.conditions.quarantine.green();
                true
            }
            Err(e) => {
                self.conditions.quarantine.red(&e.source.to_string());
                tracing::error!(error = %e, source = %e.source, "refused messages cannot be kept, so they are not acknowledged");
                false
            }
        }
    }

    /// Counts what devices of the registry said just now and was refused. What a broker had retained says nothing of now.
    fn tally(&mut self, refused: &[Refused]) {
        let said_now = |r: &&Refused| matches!(r.origin, Origin::Endpoint | Origin::Broker) && !r.retained;
        for refused in refused.iter().filter(said_now) {
            let Some(device) = &refused.share else { continue };
            if !self.tally.count(device, refused.rejected.reason, refused.received_at) {
                self.metrics.refused_untold.increment(1);
            }
        }
    }

    fn tell_refused(&mut self, now: UnixMicros) {
        let Some(counts) = self.tally.due(now) else { return };
        if self.logs.refused(&self.gateway, counts, self.clock.now()) {
            self.tally.told(now);
        }
    }

    fn count(&self, decided: &Decided, fate: &StoreFate, kept: bool) {
        if let StoreFate::Stored(_) = fate {
            for Entry {
                admitted,
                unknown,
                skewed,
                ..
            } in &decided.entries
            {
                self.metrics.admitted(admitted.origin);
                self.metrics.reused.increment(u64::from(admitted.sequence_reused));
                self.metrics.maybe_seen.increment(u64::from(admitted.maybe_seen_before));
                self.metrics.skewed.increment(u64::from(*skewed));
                if !unknown.is_empty() {
                    self.metrics.unknown_fields.increment(u64::from(unknown.fields));
                    self.metrics
                        .unknown_enum_values
                        .increment(u64::from(unknown.enum_values));
                }
            }
        }
        let lost = match fate {
            StoreFate::Stored(_) => None,
            StoreFate::AtCap => Some(&self.metrics.quota_exceeded),
            StoreFate::Failed(_) => Some(&self.metrics.busy),
        };
        for message in &decided.fates {
            match (message, lost) {
                (Fate::Written, None) => {}
                (Fate::Written | Fate::WrittenTwice, Some(lost)) => lost.increment(1),
                (Fate::WrittenTwice | Fate::Known, _) => self.metrics.duplicate.increment(1),
                (Fate::Refused(rejected) | Fate::RefusedAgain(rejected), _) if kept => {
                    self.metrics.rejected(rejected.reason);
                }
                (Fate::Refused(_) | Fate::RefusedAgain(_), _) => self.metrics.busy.increment(1),
            }
        }
    }

    /// Hands a snapshot over; at the end waits for it.
    fn snapshot(&mut self, last: bool) {
        self.snapshot_due = Instant::now() + SNAPSHOT_EVERY;
        let forgotten = self.ledger.take_forgotten();
        self.metrics.forgotten_boots.increment(forgotten.boots);
        self.metrics.forgotten_holes.increment(forgotten.holes);
        self.metrics.forgotten_anchors.increment(forgotten.anchors);
        if self.since_snapshot == 0 && !last {
            return;
        }
        let registry = self.registry.current();
        self.ledger.retain(|key| registry.device(key).is_some());
        self.metrics.devices.set(self.ledger.devices() as f64);
        let bytes = self.ledger.encode(self.recorded.0);
        self.metrics.snapshot_bytes.set(bytes.len() as f64);
        let handed_over = match last {
            true => self.snapshots.persist(bytes, self.recorded),
            false => self.snapshots.offer(bytes, self.recorded),
        };
        if handed_over {
            self.since_snapshot = 0;
        }
    }
}

/// Makes the anchors of refused frames durable.
fn persist(ledger: &mut Ledger, snapshots: &Snapshots, recorded: Offset) {
    if snapshots.persist(ledger.encode(recorded.0), recorded) {
        ledger.provisional_is_durable();
    }
}

fn refused(registry: &Registry, item: &Item, rejected: telemetry::Rejected) -> Refused {
    let named = |text: &str| registry::parse_name(text).filter(|key| registry.device(key).is_some());
    let by_topic = || item.topic.parse::<telemetry::Topic>().ok().map(|topic| topic.key());
    let share = match &item.peer {
        Some(peer) => named(peer),
        None => by_topic().filter(|key| registry.device(key).is_some()),
    };
    Refused {
        received_at: item.received_at,
        share,
        peer: item.peer.as_deref().map(str::to_owned),
        topic: item.topic.to_string(),
        rejected,
        payload: item.payload.clone(),
        origin: item.origin,
        retained: item.retained,
    }
}

fn verdicts(fates: Vec<Fate>, store: &StoreFate, kept: bool) -> impl Iterator<Item = Verdict> {
    let written = |twice: bool| match store {
        StoreFate::Stored(_) if twice => Verdict::Duplicate,
        StoreFate::Stored(_) => Verdict::Stored,
        StoreFate::AtCap => Verdict::QuotaExceeded,
        StoreFate::Failed(_) => Verdict::Busy,
    };
    fates.into_iter().map(move |fate| match fate {
        Fate::Written => written(false),
        Fate::WrittenTwice => written(true),
        Fate::Known => Verdict::Duplicate,
        Fate::Refused(rejected) if kept => Verdict::Quarantined(rejected),
        Fate::RefusedAgain(rejected) => Verdict::Quarantined(rejected),
        Fate::Refused(_) => Verdict::Busy,
    })
}
