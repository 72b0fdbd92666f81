//! One outlet as the committer uses it: a batch appended in one call, and synced.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use spool::{AppendError, Appended, NewRecord, Offset, SyncError};
use telemetry::{DeviceKey, GatewayId, UnixMicros};

use super::batch::Batch;
use crate::admit::Entry;
use crate::metrics::Metrics;
use crate::outlet::Outlet;
use crate::quarantine::tally::Count;

/// An outlet with what goes to it.
pub(crate) struct Log {
    outlet: Arc<dyn Outlet>,
    label: &'static str,
    /// Records that are this log's alone.
    own: Batch,
}

/// Why a batch is not in a log.
#[derive(Debug, Clone)]
pub(crate) enum Failed {
    /// At its cap, and it refuses.
    AtCap,
    /// The disk is full: the next try may do.
    DiskFull(String),
    /// Anything else.
    Broken(String),
}

impl Log {
    pub(crate) fn new(outlet: Arc<dyn Outlet>, label: &'static str) -> Self {
        Self {
            outlet,
            label,
            own: Batch::default(),
        }
    }

    pub(crate) fn spool(&self) -> &spool::Spool {
        self.outlet.spool()
    }

    /// Takes a batch as it is: what the store gets.
    pub(crate) fn append_as_is(&self, batch: &Batch, now: SystemTime) -> Result<Appended, Failed> {
        let records: Vec<NewRecord<'_>> = batch.records().collect();
        self.outlet
            .spool()
            .append(&records, now)
            .map_err(|e| self.append_failed(&e))
    }

    /// Makes this log's records of a batch.
    pub(crate) fn fill(&mut self, entries: &[Entry], encoded: &Batch, now: SystemTime) {
        self.own.clear();
        for (entry, record) in entries.iter().zip(encoded.records()) {
            self.own.push(record.lane, |into| {
                self.outlet.wrap(&entry.admitted, record.bytes, now, into);
            });
        }
    }

    /// Encodes a watermark; false if this log has none.
    pub(crate) fn fill_watermark(&mut self, gateway: &GatewayId, received_at: UnixMicros) -> bool {
        self.own.clear();
        let mut wants = false;
        self.own.push(0, |into| {
            wants = self.outlet.encode_watermark(gateway, received_at, into)
        });
        wants
    }

    /// Encodes what was refused of devices; false if this log has no such records.
    pub(crate) fn fill_refused(&mut self, gateway: &GatewayId, counts: &BTreeMap<DeviceKey, Count>) -> bool {
        self.own.clear();
        let mut wants = false;
        for (device, count) in counts {
            self.own.push(0, |into| {
                wants = self.outlet.encode_refused(gateway, device, count, into);
            });
        }
        wants
    }

    /// Appends what it was filled with: written, not durable.
    pub(crate) fn append(&self, now: SystemTime) -> Result<Appended, Failed> {
        self.append_as_is(&self.own, now)
    }

    pub(crate) fn sync(&self, appended: &Appended) -> Result<Offset, Failed> {
        self.outlet
            .spool()
            .sync_appended(appended)
            .map_err(|e| self.sync_failed(&e))
    }

    fn append_failed(&self, error: &AppendError) -> Failed {
        Metrics::failed(self.label, error.reason().as_str());
        match error {
            AppendError::AtCap { .. } => Failed::AtCap,
            AppendError::DiskFull { .. } => Failed::DiskFull(error.to_string()),
            _ => Failed::Broken(error.to_string()),
        }
    }

    fn sync_failed(&self, error: &SyncError) -> Failed {
        Metrics::failed(self.label, if error.disk_full { "disk_full" } else { "suspect" });
        match error.disk_full {
            true => Failed::DiskFull(error.to_string()),
            false => Failed::Broken(error.to_string()),
        }
    }
}

/// A log that is synced beside the store's: its fsync runs on a thread of its own.
pub(crate) struct BesideLog {
    pub(crate) log: Log,
    orders: Option<SyncSender<Appended>>,
    done: Receiver<Result<Offset, SyncError>>,
    thread: Option<JoinHandle<()>>,
}

impl BesideLog {
    /// Starts the thread, which ends when this is dropped.
    pub(crate) fn start(outlet: Arc<dyn Outlet>) -> std::io::Result<Self> {
        let (orders, ordered) = sync_channel::<Appended>(1);
        let (tell, done) = sync_channel(1);
        let spool = outlet.spool().clone();
        let thread = thread::Builder::new().name("gateway-sync".to_owned()).spawn(move || {
            while let Ok(appended) = ordered.recv() {
                if tell.send(spool.sync_appended(&appended)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self {
            log: Log::new(outlet, "alarm"),
            orders: Some(orders),
            done,
            thread: Some(thread),
        })
    }

    /// Begins to sync; [`Self::finish_sync`] must follow.
    pub(crate) fn begin_sync(&self, appended: Appended) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.send(appended).is_ok())
    }

    pub(crate) fn finish_sync(&self) -> Result<Offset, Failed> {
        match self.done.recv() {
            Ok(result) => result.map_err(|e| self.log.sync_failed(&e)),
            Err(_) => Err(Failed::Broken("the thread that syncs the log has ended".to_owned())),
        }
    }
}

/// The log is free for another opener only when the thread has let go of it.
impl Drop for BesideLog {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was told as a failed sync.
            let _ = thread.join();
        }
    }
}

impl Failed {
    /// In words, for a health condition.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::AtCap => "at its cap",
            Self::DiskFull(text) | Self::Broken(text) => text,
        }
    }
}
