//! The reading half: a thread that takes items from the spool, decodes them and hands slices on. It stops reading when the
//! channel is full, so a slow store is felt by the spool and by nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use spool::{Gap, Item, Offset, Reader, Spool};
use telemetry::{BootId, DeviceKey, SessionId, UnixMicros};
use tokio::sync::mpsc;

use crate::frame::{Decoded, FrameReader, Undecodable};
use crate::ledger::{LostRange, Quarantined, QuarantinedKind, Sighting, Step};
use crate::metrics;
use crate::record::Record;

/// Items per slice: some milliseconds of work, so that a stop is prompt.
const SLICE_ITEMS: usize = 1_000;
/// Bytes of payload per slice.
const SLICE_BYTES: usize = 1024 * 1024;
/// Slices that wait for the writing half. At the bound the thread waits.
pub(super) const SLICES: usize = 2;
/// Longest wait for new records before looking whether to stop.
const IDLE: Duration = Duration::from_millis(100);
/// Wait after the spool could not be read.
const READ_RETRY: Duration = Duration::from_secs(1);

/// Consecutive items of the spool, decoded.
pub(super) struct Slice {
    /// The offset of the first.
    pub(super) from: Offset,
    /// The offset after the last.
    pub(super) next: Offset,
    /// What to store.
    pub(super) records: Vec<Record>,
    /// What the ledger should know besides.
    pub(super) step: Step,
}

/// Reads until told to stop or nobody takes slices any more.
pub(super) fn read(
    spool: &Spool,
    reader: &mut Reader,
    frames: &mut FrameReader,
    out: &mpsc::Sender<Slice>,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::Relaxed) && !out.is_closed() {
        let from = reader.position();
        match reader.read(SLICE_ITEMS, SLICE_BYTES) {
            Ok(items) if items.is_empty() => {
                let _durable = spool.wait_durable(reader.position(), IDLE);
            }
            Ok(items) => {
                if out
                    .blocking_send(slice(frames, items, from, reader.position()))
                    .is_err()
                {
                    return;
                }
            }
            Err(e) => {
                tracing::warn!(error = %e, "spool cannot be read, trying again");
                std::thread::sleep(READ_RETRY);
            }
        }
    }
}

/// Decodes items that stand at `from..next`.
pub(super) fn slice(frames: &mut FrameReader, items: Vec<Item>, from: Offset, next: Offset) -> Slice {
    let mut records = Vec::with_capacity(items.len());
    let mut step = Step::default();
    let mut sightings = Sightings::default();
    for item in items {
        match item {
            Item::Gap(gap) => step.lost.push(lost(&gap)),
            Item::Record(record) => match frames.decode(&record.bytes) {
                Ok(Decoded {
                    records: made,
                    sighting,
                    received_at,
                }) => {
                    records.extend(made);
                    step.watermark = step.watermark.max(received_at);
                    sightings.add(sighting);
                }
                Err(e) => {
                    metrics::counter_reason(metrics::FRAMES_QUARANTINED, e.reason, 1);
                    step.quarantined.push(kept(e, record.bytes, record.appended_at));
                }
            },
        }
    }
    step.sightings = sightings.list;
    Slice {
        from,
        next,
        records,
        step,
    }
}

fn kept(e: Undecodable, bytes: Vec<u8>, appended_at: SystemTime) -> Quarantined {
    Quarantined {
        kind: QuarantinedKind::Frame,
        at: e.received_at.unwrap_or_else(|| UnixMicros::from(appended_at)),
        tenant: e.tenant,
        reason: e.reason,
        detail: e.detail,
        bytes,
    }
}

/// The spool does not know whose records it lost; how many of which session are missing shows in the session's ordinals.
pub(super) fn lost(gap: &Gap) -> LostRange {
    let reason = gap.reason.as_str();
    metrics::counter_reason(metrics::RECORDS_LOST, reason, gap.count());
    tracing::error!(
        from = gap.from.0,
        to = gap.to.0,
        reason,
        "records of the spool are lost"
    );
    LostRange {
        from: gap.from.0,
        to: gap.to.0,
        reason,
    }
}

/// Sightings of a slice: frames that say the same of one session become one.
#[derive(Default)]
struct Sightings {
    list: Vec<Sighting>,
    known: foldhash::HashMap<(DeviceKey, BootId, Option<SessionId>), usize>,
}

impl Sightings {
    fn add(&mut self, sighting: Option<Sighting>) {
        let Some(sighting) = sighting else {
            return;
        };
        let device = DeviceKey {
            tenant: sighting.tags.tenant.clone(),
            device: sighting.tags.device.clone(),
        };
        let key = (device, sighting.boot, sighting.session.map(|session| session.id));
        let known = self.known.get(&key).and_then(|&at| self.list.get_mut(at));
        match known {
            Some(known) if sighting.end.is_none() && says_the_same(known, &sighting) => {
                known.received_at = known.received_at.max(sighting.received_at);
            }
            _ => {
                self.known.insert(key, self.list.len());
                self.list.push(sighting);
            }
        }
    }
}

fn says_the_same(a: &Sighting, b: &Sighting) -> bool {
    a.session == b.session && a.anchor == b.anchor && a.visit == b.visit && Arc::ptr_eq(&a.tags, &b.tags)
}
