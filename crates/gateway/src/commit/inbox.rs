//! Where batches come from: the endpoint's channel and that of everybody else, in the order of arrival of each.
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::item::Item;
use crate::endpoint::{CloseReason, Inbound, Kind};

/// Messages of one commit. More would only add waiting: batches grow by themselves while a sync is under way.
pub const BATCH_MESSAGES: usize = 4_096;
/// Bytes of one commit; less where a log's segments are small, for an append goes into one segment.
pub const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// What a log adds to a payload, at most: ids, times, framing.
pub(crate) const RECORD_OVERHEAD_BYTES: usize = 1_024;

/// Both channels and the signal to stop.
pub(crate) struct Inbox {
    pub(crate) endpoint: mpsc::Receiver<Inbound>,
    pub(crate) others: mpsc::Receiver<Item>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) wills_ignored: metrics::Counter,
    /// Messages taken since start, by channel.
    taken: [u64; 2],
    batch_bytes: usize,
}

/// Why collecting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collected {
    /// The batch holds something, or the time was up.
    Go,
    /// Draining has begun and both channels are empty.
    Drained,
}

impl Inbox {
    pub(crate) fn new(
        endpoint: mpsc::Receiver<Inbound>,
        others: mpsc::Receiver<Item>,
        stop: watch::Receiver<bool>,
        wills_ignored: metrics::Counter,
    ) -> Self {
        Self {
            endpoint,
            others,
            stop,
            wills_ignored,
            taken: [0; 2],
            batch_bytes: BATCH_BYTES,
        }
    }

    /// Takes no more than this into a batch, but for the last two messages.
    pub(crate) fn bound(&mut self, batch_bytes: usize) {
        self.batch_bytes = batch_bytes.min(BATCH_BYTES);
    }

    /// Waits for the first message, until `until` at most, then takes what is there.
    pub(crate) async fn collect(&mut self, batch: &mut Vec<Item>, until: Instant) -> Collected {
        let mut bytes = 0;
        let stopping = stopping(&self.stop);
        if stopping {
            self.endpoint.close();
            self.others.close();
        } else {
            let first = tokio::select! {
                Some(inbound) = self.endpoint.recv() => self.take_inbound(inbound),
                Some(item) = self.others.recv() => self.take_other(item),
                () = sleep_until(until) => None,
                _ = self.stop.changed() => None,
            };
            push(batch, &mut bytes, first);
        }
        while batch.len() < BATCH_MESSAGES && bytes < self.batch_bytes {
            let inbound = self.endpoint.try_recv().ok();
            let item = self.others.try_recv().ok();
            if inbound.is_none() && item.is_none() {
                break;
            }
            let inbound = inbound.and_then(|inbound| self.take_inbound(inbound));
            push(batch, &mut bytes, inbound);
            let item = item.and_then(|item| self.take_other(item));
            push(batch, &mut bytes, item);
        }
        if stopping && batch.is_empty() {
            Collected::Drained
        } else {
            Collected::Go
        }
    }

    /// Ends the taking: drops what is still on its way, so that whoever waits for an answer learns that there is none. A message
    /// that got its place before and is sent after the receivers are gone would keep its sender waiting for ever.
    pub(crate) async fn leave(&mut self) {
        self.endpoint.close();
        self.others.close();
        let rest = async {
            while self.endpoint.recv().await.is_some() {}
            while self.others.recv().await.is_some() {}
        };
        let _ = timeout(LEAVE_WITHIN, rest).await;
    }

    fn take_inbound(&mut self, inbound: Inbound) -> Option<Item> {
        self.taken[0] += 1;
        // Our own end says nothing about the device: recorded, it would read as a device that was lost.
        if inbound.kind
            == (Kind::Will {
                cause: CloseReason::ServerShuttingDown,
            })
        {
            self.wills_ignored.increment(1);
            return None;
        }
        Some(Item::from(inbound))
    }

    fn take_other(&mut self, item: Item) -> Option<Item> {
        self.taken[1] += 1;
        Some(item)
    }

    /// Messages that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.endpoint.len() + self.others.len()
    }

    /// Once this many were taken from each channel, everything that stands in them now has been.
    pub(crate) fn horizon(&self) -> Horizon {
        Horizon {
            endpoint: self.taken[0] + self.endpoint.len() as u64,
            others: self.taken[1] + self.others.len() as u64,
        }
    }

    /// Whether everything that waited when the horizon was drawn has been taken.
    pub(crate) fn passed(&self, horizon: Horizon) -> bool {
        self.taken[0] >= horizon.endpoint && self.taken[1] >= horizon.others
    }
}

/// Whether draining has begun; a gateway that was dropped without being run to its end counts as stopped.
pub(crate) fn stopping(stop: &watch::Receiver<bool>) -> bool {
    *stop.borrow() || stop.has_changed().is_err()
}

fn push(batch: &mut Vec<Item>, bytes: &mut usize, item: Option<Item>) {
    if let Some(item) = item {
        *bytes += item.payload.len() + RECORD_OVERHEAD_BYTES;
        batch.push(item);
    }
}

/// See [`Inbox::horizon`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Horizon {
    endpoint: u64,
    others: u64,
}

/// When a watermark may be written, and what it may say.
///
/// A message is stamped when there is room for it in a channel, and put into it at once: one that waits for room is not stamped
/// yet. So whatever was stamped before an instant has been committed once everything is through that stood in the channels then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WatermarkClock {
    every: Duration,
    due: Instant,
    drawn: Option<(Horizon, telemetry::UnixMicros)>,
}

/// Longest wait at the end for senders that have got a place and have not sent yet; none of them waits for anything between the two.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
/// What is stamped and not in a channel yet is younger than this: between the two there is no wait, only the scheduler.
const STAMPED_UNSENT: Duration = Duration::from_secs(1);

impl WatermarkClock {
    pub(crate) fn new(every: Duration, now: Instant) -> Self {
        Self {
            every,
            due: now + every,
            drawn: None,
        }
    }

    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Called after each commit: gives the instant up to which everything is in the logs, when one is due.
    pub(crate) fn passed(
        &mut self,
        inbox: &Inbox,
        now: Instant,
        wall: telemetry::UnixMicros,
    ) -> Option<telemetry::UnixMicros> {
        if now >= self.due && self.drawn.is_none() {
            self.drawn = Some((inbox.horizon(), wall.minus(STAMPED_UNSENT)));
            self.due = now + self.every;
        }
        let (horizon, received_at) = self.drawn?;
        if !inbox.passed(horizon) {
            return None;
        }
        self.drawn = None;
        Some(received_at)
    }
}
