//! Slices of one log on their way to the store, and the prefix of them that is confirmed.
//!
//! The telemetry log has a track, and each log of a parked tenant has one. Both end alike: what is confirmed in one piece goes
//! into the ledger, then the cursor of that log moves.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use spool::{Offset, Reader};
use telemetry::TenantId;

use super::flow::blocking;
use super::intake::Slice;
use super::rollups::Rolling;
use super::write::Outcome;
use crate::ledger::{Fate, Ledger, Quarantined, QuarantinedKind, Reading, Step, Stepped};
use crate::record::Record;
use crate::{line, metrics};

/// Wait after the ledger or the cursor could not be written.
const COMMIT_RETRY: Duration = Duration::from_secs(1);

/// A slice whose records are on their way.
pub(super) struct Open {
    pub(super) from: Offset,
    pub(super) next: Offset,
    pub(super) step: Step,
    /// Records without a fate.
    waiting: usize,
    /// Tenants whose frames of it go to their own logs, and before which offset they are there durably.
    pub(super) owed: Vec<(TenantId, Offset)>,
    /// Records of these frames: they are in no lane, and count as held until the slice goes.
    kept: usize,
}

/// See the module.
pub(super) struct Track {
    pub(super) cursor: Reader,
    /// Oldest first; bounded by what is held. The first has the number `first`.
    slices: VecDeque<Open>,
    first: u64,
    /// Confirmed, and not in the ledger and before the cursor yet.
    ready: Option<(Step, Offset)>,
    /// No commit before this, after one that failed.
    pub(super) retry_at: Option<Instant>,
}

/// What is said of a commit that failed.
pub(super) type Failed = String;

impl Track {
    pub(super) fn new(cursor: Reader) -> Self {
        Self {
            cursor,
            slices: VecDeque::new(),
            first: 0,
            ready: None,
            retry_at: None,
        }
    }

    /// Whether nothing of it is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.slices.is_empty() && self.ready.is_none()
    }

    /// Takes a slice in of which so many records are on their way; gives its number.
    pub(super) fn admit(&mut self, slice: Slice, waiting: usize) -> u64 {
        let number = self.first + self.slices.len() as u64;
        self.slices.push_back(Open {
            from: slice.from,
            next: slice.next,
            step: slice.step,
            waiting,
            owed: Vec::new(),
            kept: 0,
        });
        number
    }

    fn slice(&mut self, number: u64) -> Option<&mut Open> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.slices.get_mut(at)
    }

    /// A record of the slice with this number will not be written: its frame goes to its tenant's own log.
    pub(super) fn owe(&mut self, number: u64, tenant: &TenantId) {
        let Some(slice) = self.slice(number) else {
            return;
        };
        slice.waiting -= 1;
        slice.kept += 1;
        if slice.owed.iter().all(|(known, _)| known != tenant) {
            slice.owed.push((tenant.clone(), slice.from));
        }
    }

    /// Whether frames of a tenant are on their way to its own log.
    pub(super) fn owes(&self, tenant: &TenantId) -> bool {
        self.slices
            .iter()
            .any(|slice| slice.owed.iter().any(|(known, _)| known == tenant))
    }

    /// Notes the fate of a record of the slice with this number.
    pub(super) fn settle(&mut self, number: u64, record: &Record, outcome: Outcome) {
        let Some(slice) = self.slice(number) else {
            return;
        };
        slice.waiting -= 1;
        let fate = match outcome {
            Outcome::Fate(fate) => fate,
            Outcome::Refused(reason, detail) => {
                slice.step.quarantined.push(Quarantined {
                    kind: QuarantinedKind::Point,
                    tenant: Some(record.tags().tenant.clone()),
                    reason: reason.as_str(),
                    detail,
                    at: slice.step.watermark,
                    bytes: line::of(record).into_bytes(),
                });
                Fate::Refused
            }
            // Whoever notes it does so elsewhere.
            Outcome::Unwritten => return,
        };
        slice.step.readings.extend(Reading::of(record, fate));
    }

    /// The oldest slice, if every record of it has a fate.
    pub(super) fn confirmed(&mut self) -> Option<&mut Open> {
        self.slices.front_mut().filter(|slice| slice.waiting == 0)
    }

    /// Makes the oldest slice ready for the ledger; gives how many of its records were held without being in a lane.
    pub(super) fn take_confirmed(&mut self) -> usize {
        let Some(slice) = self.slices.pop_front() else {
            return 0;
        };
        self.first += 1;
        match &mut self.ready {
            Some((step, next)) => {
                step.append(slice.step);
                *next = slice.next;
            }
            None => self.ready = Some((slice.step, slice.next)),
        }
        slice.kept
    }

    /// Takes what is ready into the ledger and moves the cursor over it; tells whether there was something.
    ///
    /// # Errors
    /// Neither is lost: the same again, after a while.
    pub(super) fn commit(&mut self, ledger: &mut Ledger, rolling: &mut Rolling) -> Result<bool, Failed> {
        if self.retry_at.is_some_and(|at| at > Instant::now()) {
            return Ok(false);
        }
        let Some((mut step, next)) = self.ready.take() else {
            return Ok(false);
        };
        step.touched.extend(rolling.touched.take_fresh());
        let stepped = match blocking(|| ledger.apply(&step)) {
            Ok(stepped) => stepped,
            Err(e) => return Err(self.later(step, next, &e)),
        };
        count_step(&stepped);
        rolling.touched.noted(&step.touched);
        match blocking(|| self.cursor.commit(next)) {
            Ok(()) => {
                self.retry_at = None;
                Ok(true)
            }
            // The ledger has the step; to have it again changes nothing.
            Err(e) => Err(self.later(Step::default(), next, &e)),
        }
    }

    fn later(&mut self, step: Step, next: Offset, error: &dyn std::error::Error) -> Failed {
        if self.retry_at.is_none() {
            tracing::error!(error = %error, "progress cannot be noted, trying again");
        }
        self.ready = Some((step, next));
        self.retry_at = Some(Instant::now() + COMMIT_RETRY);
        error.to_string()
    }
}

impl Step {
    /// Adds a later step to this one.
    fn append(&mut self, later: Self) {
        self.sightings.extend(later.sightings);
        self.readings.extend(later.readings);
        self.quarantined.extend(later.quarantined);
        self.lost.extend(later.lost);
        self.touched.extend(later.touched);
        self.watermark = self.watermark.max(later.watermark);
    }
}

fn count_step(stepped: &Stepped) {
    ::metrics::counter!(metrics::SESSIONS_TOO_LATE).increment(stepped.too_late);
    ::metrics::counter!(metrics::QUARANTINE_DROPPED).increment(stepped.quarantine_dropped);
    let old = stepped.forgotten.saturating_sub(stepped.evicted);
    metrics::counter_reason(metrics::SESSIONS_FORGOTTEN, "age", old);
    metrics::counter_reason(metrics::SESSIONS_FORGOTTEN, "excess", stepped.evicted);
}
