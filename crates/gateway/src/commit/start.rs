//! The committer's start: the ledger from its snapshot and the store's tail, the logs brought to agree, the threads.
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use service::clock::Clock;
use spool::{Disk, Item, Offset, Reader};
use telemetry::admitted::AdmittedError;
use telemetry::{Admitted, GatewayId};
use tokio::time::Instant;

use super::batch::Batch;
use super::inbox::{BATCH_BYTES, Inbox, RECORD_OVERHEAD_BYTES, WatermarkClock};
use super::log::{BesideLog, Log};
use super::mark::{self, Mark};
use super::snapshots::{Keeper, Snapshots};
use super::write::Logs;
use super::{Committer, Conditions, SNAPSHOT_EVERY};
use crate::ledger::{ClockPolicy, Ledger, file};
use crate::metrics::Metrics;
use crate::outlet::{Outlet, Role};
use crate::quarantine::Quarantine;
use crate::quarantine::tally::Tally;

/// The ledger's cursor, to be declared in the telemetry spool: it holds the tail that the ledger is rebuilt from.
pub const LEDGER_CURSOR: &str = "gateway-ledger";
/// Half a segment is one batch, and the last messages of a batch may go beyond it by two of the largest payloads.
pub const SEGMENT_BYTES_MIN: u64 = 512 * 1024;
/// The largest payload, and what a log adds to it.
pub const RECORD_BYTES_MIN: u32 = (telemetry::MAX_PAYLOAD_BYTES + RECORD_OVERHEAD_BYTES) as u32;
const READ_RECORDS: usize = 4_096;
const READ_BYTES: usize = 4 * 1024 * 1024;

/// Why the committer does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// None, or more than one.
    #[error("there are {0} outlets of role store, there must be exactly one: the ledger is rebuilt from it")]
    Stores(usize),
    /// A log that cannot take a batch.
    #[error(
        "a log has segments of {segment} and records of at most {record} bytes; allowed are {SEGMENT_BYTES_MIN} and {RECORD_BYTES_MIN} or more"
    )]
    Small {
        /// Its `segment_bytes`.
        segment: u64,
        /// Its `max_record_bytes`.
        record: u32,
    },
    /// The store's cursors lack ours.
    #[error("the telemetry spool has no cursor {LEDGER_CURSOR:?}, declare it")]
    Cursor(#[source] spool::ReaderError),
    /// The store's tail cannot be read.
    #[error("the telemetry spool cannot be read, so it is not known which frames are in it")]
    Read(#[source] spool::ReadError),
    /// The gateway's own directory.
    #[error("cannot use {path}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// What the committer is made of.
pub(crate) struct Parts {
    /// Who asks to be told how far the far end has everything.
    pub(crate) ack_up_to: crate::ack_up_to::AckUpTo,
    pub(crate) inbox: Inbox,
    pub(crate) registry: Arc<registry::Shared>,
    pub(crate) clocks: ClockPolicy,
    pub(crate) gateway: GatewayId,
    pub(crate) clock: Clock,
    pub(crate) outlets: Vec<Arc<dyn Outlet>>,
    pub(crate) quarantine: Arc<Quarantine>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) conditions: Conditions,
    pub(crate) watermark_every: Duration,
}

/// Rebuilds what was known and starts the thread.
pub(crate) fn start(mut parts: Parts) -> Result<JoinHandle<()>, StartError> {
    let batch_bytes = batch_bytes(&parts.outlets)?;
    parts.inbox.bound(batch_bytes);
    let (stores, alarms): (Vec<_>, Vec<_>) = parts.outlets.iter().cloned().partition(|o| o.role() == Role::Store);
    let [store] = stores.as_slice() else {
        return Err(StartError::Stores(stores.len()));
    };
    let metrics = Metrics::new();
    let cursor = store.spool().reader(LEDGER_CURSOR).map_err(StartError::Cursor)?;
    let rebuilt = rebuild(&parts, cursor)?;
    let logs = open_logs(&parts, store, alarms, &rebuilt, batch_bytes)?;
    let keeper = Keeper {
        disk: parts.disk,
        dir: parts.dir,
        cursor: rebuilt.cursor,
        store: store.spool().clone(),
        clock: parts.clock.clone(),
        failed: metrics::counter!(crate::metrics::LEDGER_SNAPSHOTS_FAILED),
    };
    let now = Instant::now();
    let committer = Committer {
        registry: parts.registry,
        clocks: parts.clocks,
        gateway: parts.gateway,
        clock: parts.clock,
        ledger: rebuilt.ledger,
        logs,
        quarantine: parts.quarantine,
        snapshots: Snapshots::start(keeper).map_err(StartError::Thread)?,
        conditions: parts.conditions,
        metrics,
        watermarks: WatermarkClock::new(parts.watermark_every, now),
        tally: Tally::default(),
        ack_up_to: parts.ack_up_to,
        recorded: rebuilt.next,
        since_snapshot: rebuilt.replayed,
        snapshot_due: now + SNAPSHOT_EVERY,
        batch: Vec::new(),
        inbox: parts.inbox,
    };
    let thread = std::thread::Builder::new().name("gateway-commit".to_owned());
    thread.spawn(move || committer.run()).map_err(StartError::Thread)
}

fn open_logs(
    parts: &Parts,
    store: &Arc<dyn Outlet>,
    alarms: Vec<Arc<dyn Outlet>>,
    rebuilt: &Rebuilt,
    batch_bytes: usize,
) -> Result<Logs, StartError> {
    let path = parts.dir.join(mark::FILE_NAME);
    let (mark, said) = Mark::open(parts.disk.as_ref(), &parts.dir).map_err(|source| StartError::Io { path, source })?;
    // A mark beyond the store's end is of a store that was replaced.
    let said = said.filter(|said| *said <= rebuilt.next).unwrap_or(Offset::ZERO);
    let alarms: Result<Vec<_>, _> = alarms.into_iter().map(BesideLog::start).collect();
    Ok(Logs {
        store: Log::new(Arc::clone(store), "store"),
        encoded: Batch::default(),
        alarms: alarms.map_err(StartError::Thread)?,
        mark,
        owed: (said.max(rebuilt.from), rebuilt.next),
        batch_bytes,
        alarm: parts.conditions.alarm.clone(),
        stop: parts.inbox.stop.clone(),
    })
}

/// What every log takes in one append.
fn batch_bytes(outlets: &[Arc<dyn Outlet>]) -> Result<usize, StartError> {
    let mut bytes = BATCH_BYTES;
    for config in outlets.iter().map(|outlet| outlet.spool().config()) {
        let (segment, record) = (config.segment_bytes, config.max_record_bytes);
        if segment < SEGMENT_BYTES_MIN || record < RECORD_BYTES_MIN {
            return Err(StartError::Small { segment, record });
        }
        bytes = bytes.min(usize::try_from(segment / 2).unwrap_or(usize::MAX));
    }
    Ok(bytes)
}

struct Rebuilt {
    ledger: Ledger,
    cursor: Reader,
    /// The snapshot's offset: everything before is in every log.
    from: Offset,
    next: Offset,
    replayed: u64,
}

/// The ledger as it was: the snapshot, and the records of the store since.
fn rebuild(parts: &Parts, mut cursor: Reader) -> Result<Rebuilt, StartError> {
    let held = cursor.committed();
    let (ledger, covered) = match file::load(parts.disk.as_ref(), &parts.dir) {
        Ok(Some((ledger, covered))) => (ledger, Offset(covered)),
        Ok(None) => (Ledger::new(), held),
        Err(e) => {
            let source = std::error::Error::source(&e).map(ToString::to_string);
            tracing::warn!(error = %e, source, "ledger rebuilt from the log's tail alone, old copies may be stored again");
            (Ledger::new(), held)
        }
    };
    let mut ledger = ledger;
    let mut from = cursor.seek(covered.max(held));
    if from < covered {
        tracing::warn!(%covered, end = %from, "the ledger is ahead of the store, which lost its tail or was replaced");
        from = cursor.seek(held);
    }
    let (mut replayed, mut unreadable) = (0, 0_u64);
    loop {
        let items = cursor.read(READ_RECORDS, READ_BYTES).map_err(StartError::Read)?;
        if items.is_empty() {
            break;
        }
        for record in items.iter().filter_map(Item::record) {
            match Admitted::decode(&record.bytes) {
                Ok(admitted) => ledger.replay(&admitted),
                // A report for alerting, where this log is forwarded.
                Err(AdmittedError::UnknownContent(_)) => {}
                Err(_) => unreadable += 1,
            }
            replayed += 1;
        }
    }
    if unreadable > 0 {
        tracing::warn!(
            records = unreadable,
            "records of the store are of another version, their copies may be stored again"
        );
    }
    let registry = parts.registry.current();
    ledger.retain(|key| registry.device(key).is_some());
    let next = cursor.position();
    tracing::info!(devices = ledger.devices(), records = replayed, "ledger rebuilt");
    Ok(Rebuilt {
        ledger,
        cursor,
        from,
        next,
        replayed,
    })
}
