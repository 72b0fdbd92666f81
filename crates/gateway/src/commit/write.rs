//! A batch onto every log: the store decides what the sender is told, the alarm logs get it in any case.
use std::collections::BTreeMap;
use std::time::Duration;

use service::clock::Clock;
use service::health::Condition;
use spool::{Appended, Item, Offset};
use telemetry::{Admitted, Content, DeviceKey, GatewayId, UnixMicros};
use tokio::sync::watch;

use super::batch::Batch;
use super::inbox::stopping;
use super::log::{BesideLog, Failed, Log};
use super::mark::Mark;
use crate::admit::Entry;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::quarantine::tally::Count;

/// Pause before an alarm log that could not be written is tried again. Nothing is answered meanwhile, so devices keep their data.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Records that are handed on at once at start.
const REPAY_RECORDS: usize = 4_096;

/// Every log, and how far they agree.
pub(crate) struct Logs {
    pub(crate) store: Log,
    /// The batch as the store gets it.
    pub(crate) encoded: Batch,
    pub(crate) alarms: Vec<BesideLog>,
    pub(crate) mark: Mark,
    /// Offsets of the store that the alarm logs may lack.
    pub(crate) owed: (Offset, Offset),
    /// What every log takes at once.
    pub(crate) batch_bytes: usize,
    pub(crate) alarm: Condition,
    pub(crate) stop: watch::Receiver<bool>,
}

/// What the store did with a batch.
#[derive(Debug, Clone)]
pub(crate) enum StoreFate {
    /// It is durable; the store's next offset.
    Stored(Offset),
    /// The cap refuses.
    AtCap,
    /// It could not be written.
    Failed(String),
}

impl Logs {
    /// Writes a batch to every log and syncs. `None`: stopped while an alarm log could not be written.
    ///
    /// If the store does not take the batch, it is released from the ledger.
    pub(crate) fn write(
        &mut self,
        entries: &[Entry],
        ledger: &mut Ledger,
        persist: impl Fn(&mut Ledger),
        clock: &Clock,
    ) -> Option<StoreFate> {
        self.encode(entries);
        let mut stored = self.store.append_as_is(&self.encoded, clock.now());
        let mut synced = None;
        if ledger.holds_new_anchor() {
            if let Ok(appended) = stored {
                synced = Some(self.sync_store(appended, clock));
                stored = stored.and(synced.clone().unwrap_or(Ok(Offset::ZERO)).map(|_| appended));
            }
            if stored.is_err() {
                ledger.release();
                persist(ledger);
            }
        }
        let appended = self.append_to_alarms(entries, clock)?;
        let begun = begin(&self.alarms, &appended);
        let result = match (stored, synced) {
            (Ok(_), Some(synced)) => synced,
            (Ok(appended), None) => self.sync_store(appended, clock),
            (Err(failed), _) => Err(failed),
        };
        self.finish_alarms(begun, clock)?;
        if result.is_err() {
            ledger.release();
        }
        Some(match result {
            Ok(next) => StoreFate::Stored(next),
            Err(Failed::AtCap) => StoreFate::AtCap,
            Err(failed) => StoreFate::Failed(failed.text().to_owned()),
        })
    }

    /// Encodes a batch, once for all logs.
    fn encode(&mut self, entries: &[Entry]) {
        self.encoded.clear();
        for entry in entries {
            self.encoded.push(entry.lane, |into| entry.admitted.encode_into(into));
        }
    }

    /// Syncs the store; what failed is written once more, into the new segment that the spool begins.
    fn sync_store(&self, appended: Appended, clock: &Clock) -> Result<Offset, Failed> {
        let synced = match self.store.sync(&appended) {
            Err(Failed::Broken(_)) => {
                let again = self.store.append_as_is(&self.encoded, clock.now())?;
                self.store.sync(&again).map(|_| again.next)
            }
            Ok(_) => Ok(appended.next),
            Err(failed) => Err(failed),
        };
        if let Err(failed) = &synced {
            tracing::warn!(
                error = failed.text(),
                "the store did not take a batch, its senders keep it"
            );
        }
        synced
    }

    fn append_to_alarms(&mut self, entries: &[Entry], clock: &Clock) -> Option<Vec<Appended>> {
        let mut appended = Vec::with_capacity(self.alarms.len());
        for beside in &mut self.alarms {
            beside.log.fill(entries, &self.encoded, clock.now());
            appended.push(insist(&self.alarm, &self.stop, || beside.log.append(clock.now()))?);
        }
        Some(appended)
    }

    /// Waits for the syncs; a log that failed gets the batch again until it is durable there.
    fn finish_alarms(&self, begun: Vec<bool>, clock: &Clock) -> Option<()> {
        for (beside, begun) in self.alarms.iter().zip(begun) {
            let mut first = begun.then(|| beside.finish_sync());
            insist(&self.alarm, &self.stop, || match first.take() {
                Some(Ok(_)) => Ok(()),
                _ => write_durably(&beside.log, clock),
            })?;
            self.alarm.green();
        }
        Some(())
    }

    /// Says that every log has everything before `next`.
    pub(crate) fn mark(&self, next: Offset) {
        if self.alarms.is_empty() {
            return;
        }
        if let Err(e) = self.mark.set(next) {
            tracing::warn!(error = %e, "mark not moved, more is handed to the alarm logs again at the next start");
        }
    }

    /// Writes a watermark to each log that has them. One that fails is made up for by the next.
    pub(crate) fn watermark(
        &mut self,
        gateway: &GatewayId,
        received_at: UnixMicros,
        now: std::time::SystemTime,
        metrics: &Metrics,
    ) {
        let store = std::iter::once(&mut self.store);
        for log in store.chain(self.alarms.iter_mut().map(|beside| &mut beside.log)) {
            if !log.fill_watermark(gateway, received_at) {
                continue;
            }
            match log.append(now).and_then(|appended| log.sync(&appended)) {
                Ok(_) => metrics.watermarks.increment(1),
                Err(failed) => tracing::warn!(error = failed.text(), "watermark not written"),
            }
        }
    }

    /// Tells every log that has such records what was refused of devices. False: one did not take it.
    pub(crate) fn refused(
        &mut self,
        gateway: &GatewayId,
        counts: &BTreeMap<DeviceKey, Count>,
        now: std::time::SystemTime,
    ) -> bool {
        let mut taken = true;
        let store = std::iter::once(&mut self.store);
        for log in store.chain(self.alarms.iter_mut().map(|beside| &mut beside.log)) {
            if !log.fill_refused(gateway, counts) {
                continue;
            }
            if let Err(failed) = log.append(now).and_then(|appended| log.sync(&appended)) {
                tracing::warn!(error = failed.text(), "what was refused of devices is not told yet");
                taken = false;
            }
        }
        taken
    }

    /// At start: hands the alarm logs what the store has and they may lack. False: stopped before that was done.
    pub(crate) fn repay(&mut self, clock: &Clock) -> bool {
        let (mut from, to) = self.owed;
        if self.alarms.is_empty() {
            return true;
        }
        while from < to {
            let read = insist(&self.alarm, &self.stop, || {
                let items = self.store.spool().read_range(from, REPAY_RECORDS, self.batch_bytes);
                items.map_err(|e| Failed::Broken(e.to_string()))
            });
            let Some(items) = read else { return false };
            let Some(next) = items.last().map(Item::next) else {
                break;
            };
            let entries: Vec<Entry> = items.iter().filter_map(entry).collect();
            self.encode(&entries);
            let Some(appended) = self.append_to_alarms(&entries, clock) else {
                return false;
            };
            let begun = begin(&self.alarms, &appended);
            if self.finish_alarms(begun, clock).is_none() {
                return false;
            }
            from = next;
        }
        self.mark(to);
        true
    }
}

/// A record of the store as it was let in.
fn entry(item: &Item) -> Option<Entry> {
    let record = item.record()?;
    let admitted = Admitted::decode(&record.bytes).ok()?;
    // What others wrote into the store is not ours to hand on.
    if admitted.content == Content::Alert {
        return None;
    }
    Some(Entry {
        admitted,
        lane: record.lane,
        unknown: Default::default(),
        skewed: false,
    })
}

fn begin(alarms: &[BesideLog], appended: &[Appended]) -> Vec<bool> {
    alarms
        .iter()
        .zip(appended)
        .map(|(beside, appended)| beside.begin_sync(*appended))
        .collect()
}

fn write_durably(log: &Log, clock: &Clock) -> Result<(), Failed> {
    let appended = log.append(clock.now())?;
    log.sync(&appended).map(|_| ())
}

/// Tries until it succeeds; `None` if draining begins first.
fn insist<T>(
    alarm: &Condition,
    stop: &watch::Receiver<bool>,
    mut attempt: impl FnMut() -> Result<T, Failed>,
) -> Option<T> {
    let mut told = false;
    loop {
        let failed = match attempt() {
            Ok(done) => {
                if told {
                    alarm.green();
                }
                return Some(done);
            }
            Err(failed) => failed,
        };
        alarm.red(failed.text());
        if !told {
            tracing::error!(
                error = failed.text(),
                "an alarm log cannot be written, nothing is acknowledged until it can"
            );
            told = true;
        }
        if stopping(stop) {
            return None;
        }
        std::thread::sleep(RETRY_PAUSE);
    }
}
