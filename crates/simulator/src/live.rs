//! What a running simulation has done so far, to be read while it runs.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use telemetry::proto;

use crate::device::Content;
use crate::fault::Truth;

/// Most truths kept in memory; later ones are only counted.
pub const TRUTHS_MAX: usize = 100_000;

/// Handle on a running simulation; clones see the same.
#[derive(Debug, Clone, Default)]
pub struct Live(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    connected: AtomicU64,
    published: AtomicU64,
    acked: AtomicU64,
    refused: AtomicU64,
    unsent: AtomicU64,
    strokes: AtomicU64,
    pulses: AtomicU64,
    faults: AtomicU64,
    commands: AtomicU64,
    truths: Mutex<Vec<Truth>>,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LiveCounts {
    /// Devices that are connected now.
    pub connected: u64,
    /// Messages given to the clients: frames, statuses, garbage.
    pub published: u64,
    /// Messages that the receiver acknowledged.
    pub acked: u64,
    /// Messages that the receiver refused (MQTT 5).
    pub refused: u64,
    /// Messages that were still unacknowledged when their device had to end.
    pub unsent: u64,
    /// Strokes in published frames.
    pub strokes: u64,
    /// Pulses in published frames.
    pub pulses: u64,
    /// Faults that happened.
    pub faults: u64,
    /// Commands that devices received, advisories among them.
    pub commands: u64,
}

impl Live {
    /// The counts now.
    pub fn counts(&self) -> LiveCounts {
        let inner = &self.0;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        LiveCounts {
            connected: read(&inner.connected),
            published: read(&inner.published),
            acked: read(&inner.acked),
            refused: read(&inner.refused),
            unsent: read(&inner.unsent),
            strokes: read(&inner.strokes),
            pulses: read(&inner.pulses),
            faults: read(&inner.faults),
            commands: read(&inner.commands),
        }
    }

    /// The truths from the `n`th on, for whoever follows them.
    pub fn truths_since(&self, n: usize) -> Vec<Truth> {
        let truths = self.0.truths.lock().unwrap_or_else(PoisonError::into_inner);
        truths.get(n..).map(<[Truth]>::to_vec).unwrap_or_default()
    }

    pub(crate) fn happened(&self, truths: Vec<Truth>) {
        if truths.is_empty() {
            return;
        }
        self.0.faults.fetch_add(truths.len() as u64, Ordering::Relaxed);
        let mut kept = self.0.truths.lock().unwrap_or_else(PoisonError::into_inner);
        let room = TRUTHS_MAX.saturating_sub(kept.len());
        kept.extend(truths.into_iter().take(room));
    }

    pub(crate) fn published(&self, content: &Content) {
        self.0.published.fetch_add(1, Ordering::Relaxed);
        let Content::Frame(frame) = content else { return };
        match &frame.body {
            Some(proto::frame::Body::StrokeBatch(batch)) => {
                self.0.strokes.fetch_add(batch.depth_um.len() as u64, Ordering::Relaxed);
            }
            Some(proto::frame::Body::PulseBatch(batch)) => {
                self.0.pulses.fetch_add(batch.pulses.len() as u64, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    pub(crate) fn acked(&self, accepted: bool) {
        let count = if accepted { &self.0.acked } else { &self.0.refused };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn unsent(&self, messages: usize) {
        self.0.unsent.fetch_add(messages as u64, Ordering::Relaxed);
    }

    pub(crate) fn connected(&self, change: Connected) {
        match change {
            Connected::Came => self.0.connected.fetch_add(1, Ordering::Relaxed),
            Connected::Went => self.0.connected.fetch_sub(1, Ordering::Relaxed),
        };
    }

    pub(crate) fn command(&self) {
        self.0.commands.fetch_add(1, Ordering::Relaxed);
    }
}

/// A change of one device's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connected {
    Came,
    Went,
}
