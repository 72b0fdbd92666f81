//! An autoclave: tells of the past (the last cycle, the week's biological indicator) when it is switched on, then runs its
//! loads: 134 °C for 3 to 4 minutes, with a chemical indicator in each.
//!
//! The items of a load are the clinic's pens (their reusable parts, by device id).
use std::sync::Arc;

use telemetry::{DeviceKind, IndicatorKind, Outcome, proto};

use super::core::{Core, HEARTBEAT_IDLE_US};
use super::{Emission, Who};
use crate::fault::{FaultKind, Truth};
use crate::fleet::{Device, Fleet};
use crate::registry_files::STERILIZATION_EVERY_H;
use crate::visit::{Visits, between};

/// When the autoclave is switched on, and when it tells of the past.
const POWER_ON_US: u64 = 10_000;
const HISTORY_US: u64 = 300_000;
/// Most items in one load.
const ITEMS_MAX: usize = 256;
const HOUR_US: i64 = 3_600_000_000;
/// How long ago the last indicator was for an overdue one.
const OVERDUE_US: i64 = 9 * 24 * HOUR_US;
/// How much more than the policy's time has passed since the last cycle when an overdue pen is first used.
const OVERDUE_BY_US: f64 = 48.0 * HOUR_US as f64;

/// An autoclave.
#[derive(Debug)]
pub(super) struct Autoclave {
    core: Core,
    start_us: i64,
    /// Pens that are sterilized as they should be, and those that are not.
    pens: Vec<String>,
    /// Those of them of whose last load no indicator was recorded.
    unproven: Vec<String>,
    /// With when their last cycle ended.
    overdue: Vec<(String, i64)>,
    /// Items beside pens.
    others: Vec<String>,
    indicator_us: i64,
    every_us: u64,
    next_load_us: u64,
    /// The failing load: when, and what is in it.
    failing: Option<(u64, String)>,
    cycles: u32,
    booted: bool,
}

impl Autoclave {
    pub(super) fn new(fleet: &Fleet, mut core: Core) -> Self {
        let has = |faults: &[crate::fault::Fault], kind| faults.iter().any(|f| f.kind == kind);
        let (mut pens, mut unproven, mut overdue, mut failing) = (Vec::new(), Vec::new(), Vec::new(), None);
        for device in sterilized_here(fleet, &core.device.who) {
            let id = device.who.id.to_string();
            if let Some(fault) = device.faults.iter().find(|f| f.kind == FaultKind::OverdueSterilization) {
                let used_us = Visits::new(fleet, device).next().map_or(0, |visit| visit.start_us);
                let ago_us = i64::from(STERILIZATION_EVERY_H) * HOUR_US + (OVERDUE_BY_US * fault.strength) as i64;
                overdue.push((id, fleet.start.0 + used_us as i64 - ago_us));
                continue;
            }
            if has(&device.faults, FaultKind::FailedCycle) {
                failing = failing_load_us(Visits::new(fleet, device)).map(|at_us| (at_us, id.clone()));
            }
            if has(&device.faults, FaultKind::MissingIndicator) {
                unproven.push(id.clone());
            }
            pens.push(id);
        }
        let every_us = crate::spec::micros(fleet.spec.sterilize_every);
        Self {
            start_us: fleet.start.0,
            next_load_us: core.rng.between(every_us / 2, every_us),
            cycles: core.rng.between(300, 4_000) as u32,
            core,
            pens,
            unproven,
            overdue,
            others: (0..fleet.spec.staff.other_items)
                .map(|n| format!("tip-{n:04}"))
                .collect(),
            indicator_us: crate::spec::micros(fleet.spec.staff.indicator_read_after) as i64,
            every_us,
            failing,
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
            self.history();
            return;
        }
        let failing_us = self.failing.as_ref().map_or(u64::MAX, |(at_us, _)| *at_us);
        let heartbeat = self.core.heartbeat_due_us;
        let load = self.next_load_us;
        if failing_us <= load.min(heartbeat) {
            if let Some((at_us, item)) = self.failing.take() {
                self.fail(at_us, item);
            }
        } else if load < heartbeat {
            let items = [self.pens.as_slice(), &self.others].concat();
            self.load(load, &items, None);
            self.next_load_us = load + self.every_us;
        } else {
            self.core.heartbeat(heartbeat);
        }
    }

    /// What happened before the simulation starts.
    fn history(&mut self) {
        let proven = |pen: &&String| !self.unproven.contains(pen);
        let pens: Vec<String> = self.pens.iter().filter(proven).cloned().collect();
        self.load(HISTORY_US, &pens, Some(self.start_us - HOUR_US));
        let unproven = self.unproven.clone();
        for items in unproven.chunks(ITEMS_MAX) {
            self.cycle(HISTORY_US, items.to_vec(), Some(self.start_us - HOUR_US), Vec::new());
        }
        for (item, ended_us) in std::mem::take(&mut self.overdue) {
            self.load(HISTORY_US, &[item], Some(ended_us));
        }
        let late = self
            .core
            .device
            .faults
            .iter()
            .any(|f| f.kind == FaultKind::OverdueIndicator);
        let ran_us = self.start_us - if late { OVERDUE_US } else { self.indicator_us };
        let mut truths = Vec::new();
        if late {
            let detail = "biological indicator ran nine days ago";
            truths.push(
                Truth::new(FaultKind::OverdueIndicator, self.core.who(), HISTORY_US, detail).at(self.core.place()),
            );
        }
        let cycle = self.cycles.saturating_sub(8);
        self.indicate(
            HISTORY_US,
            IndicatorKind::Biological,
            (cycle, Outcome::Pass, Some(ran_us)),
            truths,
        );
    }

    fn load(&mut self, at_us: u64, items: &[String], ended_us: Option<i64>) {
        for items in items.chunks(ITEMS_MAX) {
            self.cycle(at_us, items.to_vec(), ended_us, Vec::new());
            let (cycle, ended) = (self.cycles, ended_us);
            self.indicate(
                at_us,
                IndicatorKind::Chemical,
                (cycle, Outcome::Pass, ended),
                Vec::new(),
            );
        }
    }

    fn fail(&mut self, at_us: u64, item: String) {
        let detail = format!("cycle C{} of {item} failed", self.cycles + 1);
        let truth = Truth::new(FaultKind::FailedCycle, self.core.who(), at_us, detail).at(self.core.place());
        self.cycle(at_us, vec![item], None, vec![truth]);
        self.indicate(
            at_us,
            IndicatorKind::Chemical,
            (self.cycles, Outcome::Fail, None),
            Vec::new(),
        );
    }

    fn cycle(&mut self, at_us: u64, items: Vec<String>, ended_at_us: Option<i64>, truths: Vec<Truth>) {
        self.cycles += 1;
        let failed = !truths.is_empty();
        // A failed one is a door or vacuum fault: it never reached its temperature.
        let (outcome, hold_mdegc, hold_s) = if failed {
            (Outcome::Fail, 127_400, 40)
        } else {
            (Outcome::Pass, 134_500, 210)
        };
        let body = proto::SterilizationCycle {
            cycle_id: Some(format!("C{}", self.cycles)),
            sterilizer_id: None,
            items,
            outcome: Some(outcome.to_wire()),
            ended_at_us,
            hold_temperature_mdegc: Some(hold_mdegc + self.core.rng.between(0, 600) as i32),
            hold_time_s: Some(hold_s),
        };
        self.core
            .emit_with(at_us, proto::frame::Body::SterilizationCycle(body), truths);
        self.core.heartbeat_due_us = at_us + HEARTBEAT_IDLE_US;
    }

    fn indicate(
        &mut self,
        at_us: u64,
        kind: IndicatorKind,
        (cycle, outcome, cycle_ended_at_us): (u32, Outcome, Option<i64>),
        truths: Vec<Truth>,
    ) {
        let body = proto::IndicatorResult {
            kind: Some(kind.to_wire()),
            sterilizer_id: None,
            cycle_id: Some(format!("C{cycle}")),
            outcome: Some(outcome.to_wire()),
            cycle_ended_at_us,
        };
        self.core
            .emit_with(at_us, proto::frame::Body::IndicatorResult(body), truths);
    }
}

/// A quarter of the gap before the visit that the pen is used in although its load failed.
fn failing_load_us(visits: Visits) -> Option<u64> {
    /// Whoever waits longer than this for a fault to set in does not see it.
    const LOOK_AHEAD: usize = 10_000;
    let mut before = None;
    for visit in visits.take(LOOK_AHEAD) {
        match before {
            Some(before) if visit.from_failed_cycle => return Some(between(&before, &visit, 0.25)),
            _ => before = Some(visit),
        }
    }
    None
}

/// The pens that this autoclave has in its loads: its clinic's, or its chain's where the first clinic has them all.
fn sterilized_here<'a>(fleet: &'a Fleet, here: &'a Who) -> impl Iterator<Item = &'a Arc<Device>> {
    let one = fleet.spec.staff.one_autoclave;
    let mut autoclaves = fleet
        .devices()
        .iter()
        .filter(|d| d.kind == DeviceKind::Autoclave && d.who.tenant == here.tenant);
    let first = autoclaves.next().is_some_and(|d| d.who.id == here.id);
    fleet.devices().iter().filter(move |d| {
        let ours = if one {
            first && d.who.tenant == here.tenant
        } else {
            d.who.clinic == here.clinic
        };
        ours && d.kind == DeviceKind::Pen
    })
}
