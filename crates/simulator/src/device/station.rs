//! A disinfection station: wipes every treating device of its clinic before the first visit and between any two.
//!
//! The level reported is intermediate, for pens (semicritical by a reading of Spaulding's classes) and IPL tips alike. In a
//! compressed day the nominal contact time is reported although less time has passed.
use std::collections::BTreeSet;

use telemetry::{DisinfectionLevel, proto};

use super::Emission;
use super::core::{Core, HEARTBEAT_IDLE_US};
use crate::behaviour::Staff;
use crate::fleet::Fleet;
use crate::rng::Rng;
use crate::visit::{Visit, Visits, between};

/// When the station is switched on, and when it tells of the morning's wipes.
const POWER_ON_US: u64 = 20_000;
const MORNING_US: u64 = 400_000;
/// Contact time of an intermediate-level wipe; an assumption (product labels differ).
const CONTACT_S: u32 = 60;
/// Most items in one report.
const ITEMS_MAX: usize = 256;

/// A station.
#[derive(Debug)]
pub(super) struct Station {
    core: Core,
    staff: Staff,
    rng: Rng,
    wards: Vec<Ward>,
    /// Wipes that are done and not recorded yet: when they will be, which, and when they were done.
    unrecorded: BTreeSet<(u64, String, u64)>,
    start_us: i64,
    booted: bool,
}

/// One device that is wiped here.
#[derive(Debug)]
struct Ward {
    id: String,
    visits: Visits,
    /// The visit after the next wipe.
    next: Option<Visit>,
    due_us: u64,
}

impl Ward {
    /// Looks for the next gap in which the wipe happens.
    fn plan(&mut self) {
        loop {
            let (Some(before), Some(after)) = (self.next.take(), self.visits.next()) else {
                self.due_us = u64::MAX;
                return;
            };
            self.due_us = between(&before, &after, 0.5);
            let wiped = !after.unclean;
            self.next = Some(after);
            if wiped {
                return;
            }
        }
    }
}

impl Station {
    pub(super) fn new(fleet: &Fleet, core: Core) -> Self {
        let wards = fleet
            .treating(&core.device.who.clinic)
            .map(|device| {
                let mut visits = Visits::new(fleet, device);
                let next = visits.next();
                let mut ward = Ward {
                    id: device.who.id.to_string(),
                    visits,
                    next,
                    due_us: 0,
                };
                ward.plan();
                ward
            })
            .collect();
        let who = core.who();
        Self {
            staff: fleet.spec.staff.clone(),
            rng: Rng::stream(fleet.seed, &["records", who.tenant.as_str(), who.id.as_str()]),
            start_us: fleet.start.0,
            unrecorded: BTreeSet::new(),
            core,
            wards,
            booted: false,
        }
    }

    /// The next emission.
    pub(super) fn next(&mut self) -> Emission {
        loop {
            if let Some(emission) = self.core.pop() {
                return emission;
            }
            self.advance();
        }
    }

    fn advance(&mut self) {
        if !self.booted {
            self.booted = true;
            let birth = self.core.birth();
            self.core.boot(POWER_ON_US, birth);
            let all: Vec<String> = self.wards.iter().map(|ward| ward.id.clone()).collect();
            for items in all.chunks(ITEMS_MAX) {
                self.wipe(MORNING_US, items.to_vec(), None);
            }
            return;
        }
        let heartbeat = self.core.heartbeat_due_us;
        let done = self.wards.iter().map(|ward| ward.due_us).min().unwrap_or(u64::MAX);
        let recorded = self
            .unrecorded
            .first()
            .filter(|(at_us, _, _)| *at_us <= done.min(heartbeat))
            .cloned();
        if let Some(record) = recorded {
            self.unrecorded.remove(&record);
            let (at_us, id, done_us) = record;
            self.wipe(at_us, vec![id], Some(done_us));
            return;
        }
        match self.wards.iter_mut().min_by_key(|ward| ward.due_us) {
            Some(ward) if ward.due_us < heartbeat => {
                let (at_us, id) = (ward.due_us, ward.id.clone());
                ward.plan();
                match self.recorded_us(at_us) {
                    later if later > at_us => {
                        self.unrecorded.insert((later, id, at_us));
                    }
                    _ => self.wipe(at_us, vec![id], None),
                }
            }
            _ => self.core.heartbeat(heartbeat),
        }
    }

    /// When a wipe that is done at `at_us` is recorded.
    fn recorded_us(&mut self, at_us: u64) -> u64 {
        if let Some(closes_us) = self.staff.closes_us(at_us).filter(|_| self.staff.wipes_at_days_end) {
            return closes_us.max(at_us);
        }
        if self.staff.late_wipes > 0.0 && self.rng.chance(self.staff.late_wipes) {
            let (least, most) = self.staff.late_by.micros();
            return at_us + self.rng.between(least, most);
        }
        at_us
    }

    fn wipe(&mut self, at_us: u64, items: Vec<String>, done_us: Option<u64>) {
        let wipe = proto::Disinfection {
            items,
            level: Some(DisinfectionLevel::Intermediate.to_wire()),
            contact_time_s: Some(CONTACT_S),
            performed_at_us: done_us.map(|done_us| self.start_us + done_us as i64),
        };
        self.core.emit(at_us, proto::frame::Body::Disinfection(wipe));
        self.core.heartbeat_due_us = at_us + HEARTBEAT_IDLE_US;
    }
}
