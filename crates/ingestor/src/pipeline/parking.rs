//! Tenants that are parked while the pipeline flows: when one is, what becomes of its records in memory, and how the logs are
//! drained beside what comes in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use service::health::Condition;
use telemetry::TenantId;

use super::flow::{Pipeline, blocking};
use super::intake::Slice;
use super::lanes::Whence;
use super::parked::{ParkError, Parked};
use super::track::Track;
use super::troubles::{Trouble, Verdict, verdict};
use super::write::{LaneKey, Outcome};
use crate::frame::FrameReader;
use crate::metrics;
use crate::record::Record;

/// Wait after frames could not be brought into a tenant's own log.
const PARK_RETRY: Duration = Duration::from_secs(1);
/// Lanes of which a record is remembered, so that there is one of another tenant to ask the store with.
const SAMPLES: usize = 2;
/// A store that took something longer ago than so many waits between two tries may be down by now.
const FRESH_TRIES: u32 = 3;

/// What the pipeline knows of parked tenants.
pub(super) struct Parking {
    parked: Parked,
    frames: FrameReader,
    condition: Condition,
    /// A stored record of each of some lanes.
    samples: VecDeque<(LaneKey, Record)>,
    /// One is on its way to the store again.
    probing: bool,
    /// Why frames are not in their tenant's log, and when that is tried again.
    held_up: Option<(String, Instant)>,
    /// Why a tenant has no log that should have one.
    no_log: Option<String>,
    /// The process ends: nothing more is read.
    stopping: bool,
}

impl Parking {
    pub(super) fn new(parked: Parked, frames: FrameReader, condition: Condition) -> Self {
        condition.green();
        Self {
            parked,
            frames,
            condition,
            samples: VecDeque::with_capacity(SAMPLES),
            probing: false,
            held_up: None,
            no_log: None,
            stopping: false,
        }
    }

    /// Whether frames of this tenant go to its own log.
    pub(super) fn takes(&self, tenant: &TenantId) -> bool {
        self.parked.takes(tenant)
    }

    /// Tenants that have a log.
    pub(super) fn tenants(&self) -> Vec<TenantId> {
        self.parked.lanes.keys().cloned().collect()
    }

    pub(super) fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.parked.lanes.values().map(|lane| &lane.track)
    }

    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.held_up.as_ref().map(|(_, at)| *at)
    }

    /// The store took this record.
    pub(super) fn seen(&mut self, lane: &LaneKey, record: &Record) {
        if self.samples.iter().any(|(known, _)| known == lane) {
            return;
        }
        if self.samples.len() >= SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((lane.clone(), record.clone()));
    }

    pub(super) fn probed(&mut self) {
        self.probing = false;
    }

    /// Notes the fate of a record of its tenant's own log.
    pub(super) fn settle(&mut self, number: u64, record: &Record, outcome: Outcome) {
        if let Some(lane) = self.parked.lanes.get_mut(&record.tags().tenant) {
            lane.track.settle(number, record, outcome);
        }
    }
}

impl Pipeline {
    /// Parks tenants whose trouble is theirs alone.
    pub(super) fn consider_parking(&mut self) {
        if !self.writer.store.per_tenant() || self.flow.parking.lanes == 0 {
            return;
        }
        let fresh = self.flow.fatal_retry.max(self.flow.retry_cap) * FRESH_TRIES;
        let mut no_log = None;
        for (lane, trouble) in self.writer.troubles.stuck() {
            let Some(tenant) = lane.tenant.clone().filter(|tenant| !self.parking.takes(tenant)) else {
                continue;
            };
            let others = self.writer.troubles.others_through(&lane);
            let waiting = self.lanes.waiting(&lane);
            match verdict(&self.flow.parking, &trouble, waiting, others, fresh, Instant::now()) {
                Verdict::Wait => {}
                Verdict::Ask => self.ask_with_another(&lane),
                Verdict::Park => no_log = self.park(&lane, &tenant, &trouble).err().or(no_log),
            }
        }
        if self.parking.no_log != no_log {
            if let Some(why) = &no_log {
                tracing::error!(why, "all tenants wait for one that cannot be parked");
            }
            self.parking.no_log = no_log;
            self.tell_parked();
        }
    }

    fn park(&mut self, lane: &LaneKey, tenant: &TenantId, trouble: &Trouble) -> Result<(), String> {
        if !self.parking.parked.may_park(tenant) {
            let most = self.flow.parking.lanes;
            return Err(format!(
                "tenant {tenant} cannot be parked, {most} tenants have a log of their own already (ingestor.parked.lanes)"
            ));
        }
        let now = self.clock.now();
        blocking(|| self.parking.parked.park(tenant, now))
            .map_err(|e| format!("tenant {tenant} cannot be parked: {e}"))?;
        tracing::error!(
            tenant = %tenant,
            why = trouble.said,
            "the store does not take this tenant's points: they wait in a log of its own, and nobody waits for them"
        );
        self.writer.troubles.parked(tenant, true);
        for (record, whence) in self.lanes.give_up(lane) {
            self.given_up(record, whence);
        }
        self.look_after_parked();
        Ok(())
    }

    /// A record was not written because its tenant was parked.
    pub(super) fn given_up(&mut self, record: Record, whence: Whence) {
        match whence {
            // It counts as held until its frame is in the tenant's log.
            Whence::Slice(number) => {
                self.held.bytes -= record.size();
                self.log.owe(number, &record.tags().tenant);
            }
            // It is the next to be tried.
            Whence::Parked(_) if !self.parking.stopping => {
                self.lanes.push(self.lane_of(&record), record, whence, Instant::now());
            }
            Whence::Parked(_) => {}
            // The ledger knows that it is not told.
            Whence::Summary(key, _) => _ = self.summaries.remove(&key),
            // Roll-ups have a lane of their own, which is not parked.
            Whence::Rollup(period) => self.rollup_arrived(period),
            Whence::Probe => self.parking.probed(),
        }
    }

    /// Writes a record of another lane again that the store has, to see whether it takes points.
    fn ask_with_another(&mut self, stuck: &LaneKey) {
        if self.parking.probing {
            return;
        }
        let troubles = &self.writer.troubles;
        let fit = |lane: &LaneKey| lane != stuck && troubles.of(lane).is_none();
        let found = self.parking.samples.iter().find(|(lane, _)| fit(lane));
        if let Some((lane, record)) = found.cloned() {
            self.parking.probing = true;
            self.lanes.push(lane.clone(), record, Whence::Probe, Instant::now());
            self.lanes.hurry(&lane);
        }
    }

    /// Brings the frames that the oldest slice owes into the logs of their tenants; tells whether they all are there.
    pub(super) fn park_front(&mut self) -> bool {
        let Some(slice) = self.log.confirmed() else {
            return false;
        };
        if slice.owed.is_empty() {
            return true;
        }
        if self.parking.retry_at().is_some_and(|at| at > Instant::now()) {
            return false;
        }
        let now = self.clock.now();
        match blocking(|| self.parking.parked.take_in(slice, now)) {
            Ok(()) => {
                self.go_on();
                true
            }
            Err(e) => {
                self.hold_up(said(&e));
                false
            }
        }
    }

    fn hold_up(&mut self, why: String) {
        if self.parking.held_up.is_none() {
            tracing::error!(why, "all tenants wait for one that cannot be parked");
        }
        self.parking.held_up = Some((why, Instant::now() + PARK_RETRY));
        self.tell_parked();
    }

    fn go_on(&mut self) {
        if self.parking.held_up.take().is_some() {
            tracing::info!("nobody waits for a parked tenant any more");
            self.tell_parked();
        }
    }

    /// Sends the next window of each log to the store that has none under way.
    pub(super) fn feed_parked(&mut self) {
        for tenant in self.parking.parked.hungry() {
            let Parking { parked, frames, .. } = &mut self.parking;
            let slice = match blocking(|| parked.read(&tenant, frames)) {
                Ok(Some(slice)) => slice,
                Ok(None) => continue,
                Err(e) => {
                    tracing::warn!(tenant = %tenant, error = %e, "the log of a parked tenant cannot be read, trying again");
                    continue;
                }
            };
            self.send_parked(&tenant, slice);
        }
    }

    fn send_parked(&mut self, tenant: &TenantId, mut slice: Slice) {
        let records = std::mem::take(&mut slice.records);
        let Some(lane) = self.parking.parked.lanes.get_mut(tenant) else {
            return;
        };
        let number = lane.track.admit(slice, records.len());
        let now = Instant::now();
        for record in records {
            let key = self.lane_of(&record);
            self.lanes.push(key.clone(), record, Whence::Parked(number), now);
            self.lanes.hurry(&key);
        }
    }

    /// Takes what is confirmed of the parked tenants' logs into the ledger, and lets go who has nothing left there.
    pub(super) fn advance_parked(&mut self) {
        for tenant in self.parking.tenants() {
            let Some(lane) = self.parking.parked.lanes.get_mut(&tenant) else {
                continue;
            };
            while lane.track.confirmed().is_some() {
                lane.track.take_confirmed();
            }
            let committed = lane.track.commit(&mut self.ledger, &mut self.rolling);
            if committed == Ok(true) {
                self.parking.parked.drained(&tenant);
            }
            self.note_commit(committed);
        }
        let log = &self.log;
        for tenant in self.parking.parked.settle(|tenant| log.owes(tenant)) {
            self.unpark(&tenant);
        }
    }

    fn unpark(&mut self, tenant: &TenantId) {
        if let Err(e) = blocking(|| self.parking.parked.remove(tenant)) {
            tracing::warn!(tenant = %tenant, error = %e, "the drained log of a tenant cannot be removed; the next start tries again");
        }
        self.writer.troubles.parked(tenant, false);
        tracing::info!(tenant = %tenant, "the tenant is no longer parked");
        self.look_after_parked();
    }

    /// Does not wait at the end for tenants that are parked.
    pub(super) fn stop_parked(&mut self) {
        self.parking.stopping = true;
        for tenant in self.parking.tenants() {
            let lane = LaneKey {
                tenant: Some(tenant),
                rollups: false,
            };
            if self.writer.troubles.of(&lane).is_none() {
                continue;
            }
            for (record, whence) in self.lanes.give_up(&lane) {
                self.given_up(record, whence);
            }
        }
    }

    /// Gives room back, sets gauges, and says who is parked and why.
    pub(super) fn look_after_parked(&mut self) {
        let now = self.clock.now();
        blocking(|| self.parking.parked.keep_house(now));
        self.tell_parked();
    }

    fn tell_parked(&self) {
        let held_up = self.parking.held_up.as_ref().map(|(why, _)| why);
        let waits = held_up.or(self.parking.no_log.as_ref());
        ::metrics::gauge!(metrics::PARKING_WAITS).set(f64::from(u8::from(waits.is_some())));
        let mut told = Vec::new();
        for (tenant, lane) in &self.parking.parked.lanes {
            let key = LaneKey {
                tenant: Some(tenant.clone()),
                rollups: false,
            };
            let trouble = self.writer.troubles.of(&key);
            let why = trouble.map_or("its log is being drained".to_owned(), |trouble| trouble.said);
            let frames = self.parking.parked.backlog(tenant);
            let since = httpdate::fmt_http_date(lane.since);
            let said = format!("tenant {tenant} since {since}, {frames} frames: {why}");
            told.push((tenant.to_string(), said));
        }
        match waits {
            Some(why) => self.parking.condition.red(why),
            None => {
                let all: Vec<&str> = told.iter().map(|(_, said)| said.as_str()).collect();
                self.parking.condition.remark(&all.join("; "));
            }
        }
        self.parking.condition.tell_tenants(told);
    }
}

/// What went wrong, and what to do where the choice for the cap is the reason.
fn said(error: &ParkError) -> String {
    match error.is_cap() {
        true => format!("{error}; all wait for it: make the store take its points, or raise ingestor.parked.cap"),
        false => error.to_string(),
    }
}
