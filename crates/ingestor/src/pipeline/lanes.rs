//! Records waiting to fill a batch, by lane, and when a lane flushes: pure decisions, `now` is an argument.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::write::LaneKey;
use crate::config::Flow;
use crate::ledger::SessionKey;
use crate::record::Record;
use crate::rollup::Period;

/// A flush below this part of a full batch makes the lane wait longer next time.
const FEW: usize = 8;

/// Whom to tell what became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whence {
    /// The slice of the telemetry log with this number.
    Slice(u64),
    /// The slice of its tenant's own log with this number.
    Parked(u64),
    /// The ledger: a summary of this version.
    Summary(SessionKey, i64),
    /// The roll-ups of this period.
    Rollup(Period),
    /// Nobody: the store has it already, and it was only to be seen whether it takes points.
    Probe,
}

/// A batch to write.
pub(super) struct Batch {
    pub(super) lane: LaneKey,
    pub(super) records: Vec<Record>,
    pub(super) whences: Vec<Whence>,
    /// Told to give up.
    pub(super) give_up: watch::Receiver<bool>,
}

/// Records that go together, and whom to tell of each.
#[derive(Default)]
struct Load {
    records: Vec<Record>,
    whences: Vec<Whence>,
}

struct Lane {
    /// Full batches, the oldest first: behind a slow store there are some, and none is ever copied.
    full: VecDeque<Load>,
    /// The one that fills.
    open: Load,
    /// Since when the oldest waits.
    since: Option<Instant>,
    linger: Duration,
    in_flight: usize,
    /// Goes as soon as it may.
    hurried: bool,
    /// Records of the telemetry log that wait here or are in flight.
    waiting: usize,
    /// Tells the batches in flight to give up.
    give_up: watch::Sender<bool>,
}

/// All lanes: as many as tenants, or one.
pub(super) struct Lanes {
    flow: Flow,
    lanes: HashMap<LaneKey, Lane>,
}

impl Lanes {
    pub(super) fn new(flow: Flow) -> Self {
        Self {
            flow,
            lanes: HashMap::new(),
        }
    }

    /// Adds a record to its lane.
    pub(super) fn push(&mut self, key: LaneKey, record: Record, whence: Whence, now: Instant) {
        let linger = self.flow.linger;
        let lane = self.lanes.entry(key).or_insert_with(|| Lane {
            full: VecDeque::new(),
            open: Load::default(),
            since: None,
            linger,
            in_flight: 0,
            hurried: false,
            waiting: 0,
            give_up: watch::Sender::new(false),
        });
        lane.waiting += usize::from(matches!(whence, Whence::Slice(_)));
        lane.open.records.push(record);
        lane.open.whences.push(whence);
        if lane.open.records.len() >= self.flow.batch_points {
            lane.full.push_back(std::mem::take(&mut lane.open));
        }
        lane.since.get_or_insert(now);
    }

    /// Batches that are full or have waited long enough; with `all`, every one that may go.
    pub(super) fn due(&mut self, now: Instant, all: bool) -> Vec<Batch> {
        let flow = self.flow;
        let mut batches = Vec::new();
        for (key, lane) in &mut self.lanes {
            while lane.in_flight < flow.in_flight_per_tenant && lane.is_due(now, all) {
                batches.push(lane.take(key, &flow));
                lane.in_flight += 1;
                // What is left has waited as long.
                lane.since = (!lane.is_empty()).then_some(now);
            }
        }
        batches
    }

    /// A batch of this lane is back.
    pub(super) fn done(&mut self, key: &LaneKey, whences: &[Whence]) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            lane.waiting = lane.waiting.saturating_sub(from_slices(whences));
        }
    }

    /// What waits here does not wait for company.
    pub(super) fn hurry(&mut self, key: &LaneKey) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.hurried = true;
        }
    }

    /// Records of the telemetry log that wait in a lane or are in flight.
    pub(super) fn waiting(&self, key: &LaneKey) -> usize {
        self.lanes.get(key).map_or(0, |lane| lane.waiting)
    }

    /// Tells the batches of a lane that are in flight to give up, and gives what waits there.
    pub(super) fn give_up(&mut self, key: &LaneKey) -> Vec<(Record, Whence)> {
        let Some(lane) = self.lanes.get_mut(key) else {
            return Vec::new();
        };
        // Those to come are not meant.
        let told = std::mem::replace(&mut lane.give_up, watch::Sender::new(false));
        told.send_replace(true);
        let loads = lane
            .full
            .drain(..)
            .chain(std::iter::once(std::mem::take(&mut lane.open)));
        let mut given = Vec::new();
        for load in loads {
            lane.waiting = lane.waiting.saturating_sub(from_slices(&load.whences));
            given.extend(load.records.into_iter().zip(load.whences));
        }
        lane.since = None;
        given
    }

    /// When the next batch has waited long enough; `None` if none waits that could go.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.lanes
            .values()
            .filter(|lane| lane.in_flight < self.flow.in_flight_per_tenant)
            .filter_map(|lane| lane.since.map(|since| since + lane.linger))
            .min()
    }
}

fn from_slices(whences: &[Whence]) -> usize {
    let of_the_log = |whence: &&Whence| matches!(whence, Whence::Slice(_));
    whences.iter().filter(of_the_log).count()
}

impl Lane {
    fn is_empty(&self) -> bool {
        self.full.is_empty() && self.open.records.is_empty()
    }

    fn is_due(&self, now: Instant, all: bool) -> bool {
        let waited = self
            .since
            .is_some_and(|since| now.saturating_duration_since(since) >= self.linger);
        !self.is_empty() && (all || waited || self.hurried || !self.full.is_empty())
    }

    fn take(&mut self, key: &LaneKey, flow: &Flow) -> Batch {
        let load = self.full.pop_front().unwrap_or_else(|| std::mem::take(&mut self.open));
        // A tenant with little to say waits longer for company, up to the cap; with more to say, shorter.
        self.linger = if load.records.len() < flow.batch_points / FEW {
            (self.linger * 2).min(flow.max_linger)
        } else {
            (self.linger / 2).max(flow.linger)
        };
        self.hurried &= !self.is_empty();
        Batch {
            lane: key.clone(),
            records: load.records,
            whences: load.whences,
            give_up: self.give_up.subscribe(),
        }
    }
}
