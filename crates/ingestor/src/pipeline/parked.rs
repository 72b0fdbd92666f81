//! Logs of tenants whose points the store does not take: a frame that is in one no longer holds the telemetry log's cursor.
//!
//! ```text
//! ingestor/parked/<tenant>/    a log of the spool crate, with one cursor
//! ```
//! A frame is appended and synced there before the cursor of the telemetry log moves over it, and the cursor here moves only
//! over what the store and the ledger have. A kill in between leaves a frame in both logs: it is written twice, as one point.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use spool::{AppendError, Item, LookBack, NewRecord, Offset, OpenError, OsDisk, ReadError, Reader, Spool, SyncError};
use telemetry::{Admitted, TenantId};

use super::intake::{self, Slice};
use super::track::{Open, Track};
use crate::config::Parking;
use crate::frame::FrameReader;
use crate::ledger::LostRange;
use crate::metrics;

/// Name of the folder of these logs within [`crate::Config::dir`].
pub const PARKED_FOLDER: &str = "parked";
/// The cursor of such a log.
pub const PARKED_CURSOR: &str = "ingestor";
/// Added to the name of a log that is being removed; no tenant is called so.
const LEAVING: &str = ".gone";
/// Frames of such a log in memory while nobody knows whether the store takes them.
const FIRST_WINDOW: usize = 64;
/// Frames of such a log in memory at most. One window of a tenant is under way at a time: so its backlog is drained beside
/// what others send and does not crowd it out.
const MAX_WINDOW: usize = 2_048;
/// Their bytes, about.
const WINDOW_BYTES: usize = 1024 * 1024;
/// Bytes of frames in one append, at most half of a file.
const APPEND_BYTES: u64 = 256 * 1024;
/// What a frame takes in a file besides itself, bytes, rounded up.
const FRAME_OVERHEAD: u64 = 64;
/// Largest frame with its context, bytes: as in the telemetry log.
const MAX_FRAME_BYTES: u64 = 1024 * 1024;
/// Items of the telemetry log that are read back at a time.
const READ_ITEMS: usize = 1_000;

/// Why frames of a parked tenant are not in its log.
#[derive(Debug, thiserror::Error)]
pub(super) enum ParkError {
    /// They cannot be read back.
    #[error("the telemetry log cannot be read back")]
    Read(#[from] ReadError),
    /// The log takes no more.
    #[error("the log of parked tenant {0}: {1}")]
    Append(TenantId, #[source] AppendError),
    /// The disk.
    #[error("the log of parked tenant {0}: {1}")]
    Sync(TenantId, #[source] SyncError),
    /// The tenant has no log: a bound of the code is broken.
    #[error("tenant {0} has no log of its own; restart to read its frames again")]
    NoLog(TenantId),
}

impl ParkError {
    /// Whether it is the choice for the cap that speaks.
    pub(super) fn is_cap(&self) -> bool {
        matches!(self, Self::Append(_, AppendError::AtCap { .. }))
    }
}

/// One parked tenant.
pub(super) struct Lane {
    log: Spool,
    reader: Reader,
    pub(super) track: Track,
    /// Whether what comes in goes to the log; if not, the rest of it is drained beside.
    pub(super) takes: bool,
    /// The store took something of this log since the tenant was parked.
    proved: bool,
    window: usize,
    shed: u64,
    /// Since when, for people.
    pub(super) since: SystemTime,
}

impl Lane {
    fn open(dir: &Path, limits: &Parking, now: SystemTime) -> Result<Self, OpenError> {
        let segment_bytes = limits.segment_bytes();
        let max_record_bytes = MAX_FRAME_BYTES.min(segment_bytes / 2);
        let config = spool::Config {
            segment_bytes,
            cap_bytes: limits.cap_bytes,
            at_cap: limits.at_cap,
            max_record_bytes: u32::try_from(max_record_bytes).unwrap_or(u32::MAX),
            ..spool::Config::new(dir, &[PARKED_CURSOR])
        };
        let undeclared = |e: spool::ReaderError| OpenError::Config {
            dir: dir.to_owned(),
            what: e.to_string(),
        };
        let (log, found) = Spool::open(config, Arc::new(OsDisk))?;
        if found.lost_tail_records > 0 {
            tracing::error!(dir = %dir.display(), records = found.lost_tail_records, "the log of a parked tenant lost its tail");
        }
        Ok(Self {
            reader: log.reader(PARKED_CURSOR).map_err(undeclared)?,
            track: Track::new(log.reader(PARKED_CURSOR).map_err(undeclared)?),
            log,
            takes: true,
            proved: false,
            window: FIRST_WINDOW,
            shed: 0,
            since: now,
        })
    }

    /// Frames in the log that are not stored and in the ledger.
    fn backlog(&self) -> u64 {
        self.log.next().since(self.track.cursor.committed())
    }

    /// Whether everything in the log is stored and in the ledger.
    fn is_drained(&self) -> bool {
        self.track.is_idle() && self.backlog() == 0
    }

    /// Appends frames from `done` on and makes them durable; `done` then stands behind them.
    fn take(
        &mut self,
        tenant: &TenantId,
        frames: &[(Offset, Vec<u8>)],
        done: &mut Offset,
        now: SystemTime,
    ) -> Result<(), ParkError> {
        let todo: Vec<&(Offset, Vec<u8>)> = frames.iter().filter(|(at, _)| at >= done).collect();
        let (mut appended, mut refused) = (0, None);
        while let Some(rest) = todo.get(appended..).filter(|rest| !rest.is_empty()) {
            let records = one_append(rest, self.log.config().segment_bytes / 2);
            match self.log.append(&records, now) {
                Ok(_) => appended += records.len(),
                Err(e) => {
                    refused = Some(ParkError::Append(tenant.clone(), e));
                    break;
                }
            }
        }
        // What fits is durable, so that it is not appended again with the next try.
        self.log.sync().map_err(|e| ParkError::Sync(tenant.clone(), e))?;
        if let Some((last, _)) = todo.get(..appended).and_then(|appended| appended.last()) {
            *done = last.successor();
        }
        ::metrics::counter!(metrics::PARKED).increment(appended as u64);
        self.count_shed(tenant);
        refused.map_or(Ok(()), Err)
    }

    fn count_shed(&mut self, tenant: &TenantId) {
        let shed = self.log.counters().shed_records;
        let new = shed.saturating_sub(self.shed);
        if new > 0 {
            self.shed = shed;
            ::metrics::counter!(metrics::PARKED_SHED).increment(new);
            tracing::error!(tenant = %tenant, records = new, "the log of a parked tenant is at its cap: its oldest frames were shed");
        }
    }
}

/// As many frames as go into one append.
fn one_append<'a>(frames: &[&'a (Offset, Vec<u8>)], most: u64) -> Vec<NewRecord<'a>> {
    let mut bytes = 0;
    let mut records = Vec::new();
    for (_, frame) in frames {
        bytes += frame.len() as u64 + FRAME_OVERHEAD;
        if bytes > APPEND_BYTES.min(most) && !records.is_empty() {
            break;
        }
        records.push(NewRecord { lane: 0, bytes: frame });
    }
    records
}

/// All of them, by name.
pub(super) struct Parked {
    dir: PathBuf,
    limits: Parking,
    pub(super) lanes: BTreeMap<TenantId, Lane>,
    /// For reading frames of the telemetry log back.
    look_back: LookBack,
}

impl Parked {
    /// Opens the logs that are there, whatever the configuration says now: their frames are to be stored. With `drain`, what
    /// comes in goes to the store at once.
    pub(super) fn open(
        dir: &Path,
        limits: Parking,
        log: &Spool,
        drain: bool,
        now: SystemTime,
    ) -> Result<Self, OpenError> {
        let mut parked = Self {
            dir: dir.join(PARKED_FOLDER),
            limits,
            lanes: BTreeMap::new(),
            look_back: log.look_back(),
        };
        let failed = |source| OpenError::Io {
            path: parked.dir.clone(),
            source,
        };
        for name in names(&parked.dir).map_err(failed)? {
            let path = parked.dir.join(&name);
            if let Ok(tenant) = TenantId::new(&name) {
                let mut lane = Lane::open(&path, &limits, now)?;
                lane.takes = !drain && !lane.is_drained();
                let oldest = lane
                    .log
                    .state()
                    .cursors
                    .first()
                    .and_then(|cursor| cursor.oldest_unread_at);
                lane.since = oldest.unwrap_or(now);
                parked.lanes.insert(tenant, lane);
            } else if name.ends_with(LEAVING) {
                std::fs::remove_dir_all(&path).map_err(|source| OpenError::Io { path, source })?;
            }
        }
        Ok(parked)
    }

    /// Whether frames of this tenant go to its own log.
    pub(super) fn takes(&self, tenant: &TenantId) -> bool {
        !self.lanes.is_empty() && self.lanes.get(tenant).is_some_and(|lane| lane.takes)
    }

    /// Whether a tenant has a log, or may have one.
    pub(super) fn may_park(&self, tenant: &TenantId) -> bool {
        self.lanes.contains_key(tenant) || self.lanes.len() < self.limits.lanes
    }

    /// Gives a tenant a log, or lets the one that it has take what comes in again.
    pub(super) fn park(&mut self, tenant: &TenantId, now: SystemTime) -> Result<(), OpenError> {
        if let Some(lane) = self.lanes.get_mut(tenant) {
            (lane.takes, lane.proved, lane.since) = (true, false, now);
            return Ok(());
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| OpenError::Io { path, source }
        };
        std::fs::create_dir_all(&self.dir).map_err(failed(&self.dir))?;
        let lane = Lane::open(&self.dir.join(tenant.as_str()), &self.limits, now)?;
        // Its name is durable before a frame counts on it.
        for dir in std::iter::once(self.dir.as_path()).chain(self.dir.parent()) {
            std::fs::File::open(dir)
                .and_then(|dir| dir.sync_all())
                .map_err(failed(dir))?;
        }
        self.lanes.insert(tenant.clone(), lane);
        Ok(())
    }

    /// Brings the frames that a slice of the telemetry log owes into their logs, durably.
    pub(super) fn take_in(&mut self, slice: &mut Open, now: SystemTime) -> Result<(), ParkError> {
        let mut frames: BTreeMap<TenantId, Vec<(Offset, Vec<u8>)>> = BTreeMap::new();
        let mut at = slice.from;
        while at < slice.next {
            let most = usize::try_from(slice.next.since(at)).unwrap_or(READ_ITEMS);
            let items = self.look_back.read(at, most.min(READ_ITEMS), WINDOW_BYTES)?;
            let Some(last) = items.last() else { break };
            at = last.next();
            for item in items {
                match item {
                    Item::Record(record) => {
                        let Ok(admitted) = Admitted::decode(&record.bytes) else {
                            continue;
                        };
                        if slice.owed.iter().any(|(tenant, _)| *tenant == admitted.tenant) {
                            frames
                                .entry(admitted.tenant)
                                .or_default()
                                .push((record.offset, record.bytes));
                        }
                    }
                    Item::Gap(gap) => note_lost(slice, &gap),
                }
            }
        }
        for (tenant, done) in &mut slice.owed {
            let lane = self
                .lanes
                .get_mut(tenant)
                .ok_or_else(|| ParkError::NoLog(tenant.clone()))?;
            lane.take(tenant, frames.get(tenant).map_or(&[][..], Vec::as_slice), done, now)?;
        }
        slice.owed.clear();
        Ok(())
    }

    /// Tenants whose log has something to read and nothing under way.
    pub(super) fn hungry(&self) -> Vec<TenantId> {
        let hungry = |lane: &Lane| lane.track.is_idle() && lane.reader.position() < lane.log.durable();
        let lanes = self.lanes.iter().filter(|(_, lane)| hungry(lane));
        lanes.map(|(tenant, _)| tenant.clone()).collect()
    }

    /// Reads the next window of a log.
    pub(super) fn read(&mut self, tenant: &TenantId, frames: &mut FrameReader) -> Result<Option<Slice>, ReadError> {
        let Some(lane) = self.lanes.get_mut(tenant) else {
            return Ok(None);
        };
        let from = lane.reader.position();
        let items = lane.reader.read(lane.window, WINDOW_BYTES)?;
        let mut slice = intake::slice(frames, items, from, lane.reader.position());
        // The ledger has the ordinals of the telemetry log; what is missing of a session shows in its own.
        slice.step.lost.clear();
        Ok(Some(slice))
    }

    /// What a commit of a log means for its tenant.
    pub(super) fn drained(&mut self, tenant: &TenantId) {
        let Some(lane) = self.lanes.get_mut(tenant) else {
            return;
        };
        lane.proved = true;
        lane.window = (lane.window * 2).min(MAX_WINDOW);
    }

    /// Lets tenants go live again whose points the store takes and whose log is nearly drained; gives those that need no log any
    /// more. `owes` tells whether frames of a tenant are still on their way to its log.
    pub(super) fn settle(&mut self, owes: impl Fn(&TenantId) -> bool) -> Vec<TenantId> {
        let mut over = Vec::new();
        for (tenant, lane) in &mut self.lanes {
            // With less than that left: of a tenant that goes on sending, the log is never empty.
            if lane.takes && lane.proved && lane.backlog() <= MAX_WINDOW as u64 {
                lane.takes = false;
                tracing::info!(tenant = %tenant, "the store takes the parked tenant's points again, what comes in goes there");
            }
            if !lane.takes && lane.is_drained() && !owes(tenant) {
                over.push(tenant.clone());
            }
        }
        over
    }

    /// Removes a log that is drained. A kill in between leaves a folder that the next start removes.
    pub(super) fn remove(&mut self, tenant: &TenantId) -> io::Result<()> {
        if self.lanes.remove(tenant).is_none() {
            return Ok(());
        }
        let dir = self.dir.join(tenant.as_str());
        let leaving = self.dir.join(format!("{tenant}{LEAVING}"));
        std::fs::rename(&dir, &leaving)?;
        std::fs::remove_dir_all(&leaving)
    }

    /// Gives room back, and tells how much the logs hold.
    pub(super) fn keep_house(&mut self, now: SystemTime) {
        let (mut records, mut bytes) = (0, 0);
        for (tenant, lane) in &mut self.lanes {
            let done = lane.log.maintain(now);
            lane.count_shed(tenant);
            if let Some(failed) = done.failed {
                tracing::warn!(tenant = %tenant, error = failed, "looking after the log of a parked tenant failed");
            }
            let state = lane.log.state();
            for cursor in &state.cursors {
                records += cursor.backlog_records;
                bytes += cursor.backlog_bytes;
            }
        }
        ::metrics::gauge!(metrics::LANES_PARKED).set(self.lanes.len() as f64);
        ::metrics::gauge!(metrics::PARKED_RECORDS).set(records as f64);
        ::metrics::gauge!(metrics::PARKED_BYTES).set(bytes as f64);
    }

    /// Frames of a tenant's log that are not stored.
    pub(super) fn backlog(&self, tenant: &TenantId) -> u64 {
        self.lanes.get(tenant).map_or(0, Lane::backlog)
    }
}

/// The log lost what it held when it was first read: it shed at its cap meanwhile.
fn note_lost(slice: &mut Open, gap: &spool::Gap) {
    let known = |lost: &LostRange| Offset(lost.from) <= gap.from && gap.to <= Offset(lost.to);
    if !slice.step.lost.iter().any(known) {
        slice.step.lost.push(intake::lost(gap));
    }
}

/// Names in a folder; none if it is not there.
fn names(dir: &Path) -> io::Result<Vec<String>> {
    match std::fs::read_dir(dir) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}
