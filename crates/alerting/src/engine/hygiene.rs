//! Hygiene: what must have happened before an item is used for the next client, and what comes to light afterwards.
use std::time::Duration;

use telemetry::{
    DeviceId, DeviceKey, Disinfection, IndicatorKind, IndicatorResult, Outcome, Serial, SterilizationCycle, UnixMicros,
};

use super::frame::Context;
use super::raise::Finding;
use super::state::{Awaited, Device, Item, MAX_WIPES, Sterilizer, Visit};
use super::{ColdError, Engine, Moment, Slot, Table, Why, words};
use crate::fleet::Hygiene;
use crate::id::{Cause, Opaque, Trigger};
use crate::lifecycle::Signal;
use crate::rules::cartridge::{self, CartridgeUse};
use crate::rules::disinfection::{self, Between, Wipe};
use crate::rules::sterilization::{self, FailedCycle, Overdue};
use crate::rules::{Kind, Ruleset};

fn finding(kind: Kind, cause: Cause, visit: Option<Opaque>, what_happened: String, at: UnixMicros) -> Finding {
    Finding {
        kind,
        cause,
        visit,
        zone: None,
        session: None,
        value: 0.0,
        limit: 0.0,
        margin: 0.0,
        single: false,
        what_happened,
        at,
    }
}

/// How far a told time may lie after the frame that tells it: clocks disagree.
const AHEAD: Duration = Duration::from_secs(30);

/// When something happened that a frame tells of: not after it was told. A date in the future would prove for years that
/// something is clean, or hide for years that it is not.
fn told_at(told: Option<UnixMicros>, context: &Context<'_>) -> UnixMicros {
    let event_time = context.moment.event_time;
    let latest = event_time.min(context.frame.admitted.received_at);
    told.map_or(event_time, |at| if at > latest.plus(AHEAD) { latest } else { at })
}

impl Engine {
    fn policy(&self, key: &DeviceKey, slot: &mut Slot) -> Option<Hygiene> {
        self.judged(key, slot).map(|judged| judged.facts.policy.clone())
    }

    fn slack(rules: &Ruleset) -> Duration {
        let seconds = rules.disinfection_missing.as_ref().map_or(0, |r| r.base.clock_slack_s);
        Duration::from_secs(u64::from(seconds))
    }

    fn item(&self, context: &Context<'_>, key: &str) -> Result<Item, ColdError> {
        let tenant = context.key.tenant.as_str();
        Ok(self
            .book
            .get(Table::Item, tenant, key, context.cold)?
            .unwrap_or_default())
    }

    /// The name under which an item's facts stand: its device's id where a serial is a device's.
    fn item_name(&self, context: &Context<'_>, name: &Serial) -> Result<String, ColdError> {
        let tenant = context.key.tenant.as_str();
        let device = self
            .book
            .get::<String>(Table::Serial, tenant, name.as_str(), context.cold)?;
        Ok(device.unwrap_or_else(|| name.as_str().to_owned()))
    }

    /// A device is used for another client.
    pub(super) fn new_visit(
        &mut self,
        context: &Context<'_>,
        slot: &mut Slot,
        visit: Visit,
        before: Option<Visit>,
    ) -> Result<(), ColdError> {
        let name = context.key.device.as_str();
        let mut item = self.item(context, name)?;
        if let Some(serial) = &slot.device.serial {
            // What was recorded under its serial before its birth told whose that is.
            let other = self.item(context, serial)?;
            item.sterilized_at = item.sterilized_at.max(other.sterilized_at);
            item.failed = item.failed.or(other.failed);
            item.wipes.extend(other.wipes);
            truncate(&mut item);
        }
        item.use_at(visit.first, name);
        self.book.put(Table::Item, context.key.tenant.as_str(), name, &item)?;
        let Some(policy) = self.policy(context.key, slot) else {
            return Ok(());
        };
        let uses = item.uses_since(item.sterilized_at);
        if let Some(overdue) = sterilization::overdue(item.sterilized_at, uses, visit.first, &policy) {
            let (value, limit) = match overdue {
                Overdue::ByTime { hours, limit } => (hours.unwrap_or(0.0), limit),
                Overdue::ByUses { uses, limit } => (f64::from(uses), f64::from(limit)),
            };
            let what = words::overdue(overdue);
            let mut found = finding(
                Kind::SterilizationOverdue,
                Cause::Use,
                Some(visit.key),
                what,
                visit.first,
            );
            (found.value, found.limit) = (value, limit);
            self.violated(&mut slot.device, found, context.moment);
        }
        if sterilization::used_after_failure(item.failed.as_ref(), item.sterilized_at, visit.first) {
            self.failed_cycle_used(
                &mut slot.device,
                item.failed.as_ref(),
                visit.key,
                visit.first,
                context.moment,
            );
        }
        if policy.disinfection_between_visits
            && let Some(before) = before
        {
            self.await_disinfection(context, slot, &item, (before, visit), &policy);
        }
        Ok(())
    }

    fn await_disinfection(
        &mut self,
        context: &Context<'_>,
        slot: &mut Slot,
        item: &Item,
        (before, visit): (Visit, Visit),
        policy: &Hygiene,
    ) {
        let between = Between {
            last_use: before.last,
            first_use: visit.first,
        };
        let slack = Self::slack(&self.rules);
        if item
            .wipes
            .iter()
            .any(|wipe| disinfection::proves(wipe, between, slack, policy))
        {
            return;
        }
        let what = "used for the next client without a disinfection since the last one".to_owned();
        let found = finding(
            Kind::DisinfectionMissing,
            Cause::Use,
            Some(visit.key),
            what,
            visit.first,
        );
        if let Some(id) = self.suspected(&mut slot.device, found, context.moment) {
            let due = context.frame.admitted.received_at.plus(policy.evidence_grace);
            slot.device.awaited.push(Awaited {
                id,
                between,
                due: Some(due),
            });
            self.timers
                .arm(&slot.device.gateway, due, context.key, super::presence::Due::Evidence);
        }
    }

    /// Waiting for evidence ends.
    pub(super) fn evidence_due(&mut self, due: UnixMicros, key: &DeviceKey, device: &mut Device) {
        let ended: Vec<_> = device
            .awaited
            .iter_mut()
            .filter(|a| a.due.is_some_and(|at| at <= due))
            .collect();
        let ids: Vec<_> = ended
            .into_iter()
            .map(|awaited| {
                awaited.due = None;
                (awaited.id, awaited.between.first_use)
            })
            .collect();
        for (id, used_at) in ids {
            let mut moment = Moment::due(key, Trigger::Due { at: due.0 }, used_at);
            moment.evidence = device.offsets.iter().copied().collect();
            // The class of the use that raised it: what happened yesterday does not become live by waiting.
            moment.class = self.alerts.get(&id).map_or(moment.class, |alert| alert.class);
            let signal = Signal::Violated {
                single: false,
                worse: false,
            };
            self.signal(device, id, signal, Why::Raised, &moment);
            self.changed_devices.insert(key.clone());
        }
    }

    /// A wipe or bath was told, by a station, by the device itself or by a person.
    pub(super) fn wiped(
        &mut self,
        context: &Context<'_>,
        told: &Disinfection,
        slot: &mut Slot,
    ) -> Result<(), ColdError> {
        let wipe = Wipe {
            at: told_at(told.performed_at, context),
            level: told.level,
            contact_time_s: told.contact_time_s,
        };
        let mut names = Vec::with_capacity(told.items.len().max(1));
        if told.items.is_empty() {
            names.push(context.key.device.to_string());
        }
        for item in &told.items {
            names.push(self.item_name(context, item)?);
        }
        for name in names {
            let mut item = self.item(context, &name)?;
            item.wipes.push_back(wipe);
            truncate(&mut item);
            self.book.put(Table::Item, context.key.tenant.as_str(), &name, &item)?;
            self.with_device(context, slot, &name, |engine, key, slot| {
                engine.retract(context, &wipe, key, slot)
            });
        }
        Ok(())
    }

    /// Runs `then` for a device of the tenant, which may be the one that speaks.
    fn with_device(
        &mut self,
        context: &Context<'_>,
        speaker: &mut Slot,
        name: &str,
        then: impl FnOnce(&mut Self, &DeviceKey, &mut Slot),
    ) {
        if name == context.key.device.as_str() {
            return then(self, context.key, speaker);
        }
        let Ok(device) = DeviceId::new(name) else {
            return;
        };
        let key = DeviceKey {
            tenant: context.key.tenant.clone(),
            device,
        };
        if let Some(mut slot) = self.devices.remove(&key) {
            then(self, &key, &mut slot);
            self.changed_devices.insert(key.clone());
            self.devices.insert(key, slot);
        }
    }

    fn retract(&mut self, context: &Context<'_>, wipe: &Wipe, key: &DeviceKey, slot: &mut Slot) {
        let Some(policy) = self.policy(key, slot) else {
            return;
        };
        let slack = Self::slack(&self.rules);
        let proven = |a: &&Awaited| disinfection::proves(wipe, a.between, slack, &policy);
        let ids: Vec<_> = slot.device.awaited.iter().filter(proven).map(|a| a.id).collect();
        let moment = context.moment.of(key);
        for id in ids {
            self.signal(&mut slot.device, id, Signal::Retracted, Why::EvidenceArrived, &moment);
        }
    }

    /// A sterilizer's cycle was told.
    pub(super) fn cycle(
        &mut self,
        context: &Context<'_>,
        cycle: &SterilizationCycle,
        slot: &mut Slot,
    ) -> Result<(), ColdError> {
        let at = told_at(cycle.ended_at, context);
        let sterilizer = cycle.sterilizer.as_ref().unwrap_or(&context.key.device).to_string();
        let frame_name = || format!("{}-{}", context.header.boot, context.header.sequence);
        let name = cycle.cycle.as_ref().map_or_else(frame_name, |c| c.as_str().to_owned());
        self.sterilizer_used(context, slot, &sterilizer, &name, at)?;
        for item_name in &cycle.items {
            let item_name = self.item_name(context, item_name)?;
            let mut item = self.item(context, &item_name)?;
            let passed = cycle.outcome == Some(Outcome::Pass);
            if passed {
                item.sterilized_at = item.sterilized_at.max(Some(at));
            } else if item.failed.as_ref().is_none_or(|f| f.ended_at <= at) {
                item.failed = Some(FailedCycle {
                    ended_at: at,
                    sterilizer: sterilizer.clone(),
                    cycle: name.clone(),
                });
            }
            self.book
                .put(Table::Item, context.key.tenant.as_str(), &item_name, &item)?;
            if !passed && let Some(device) = item.used_by.clone() {
                self.with_device(context, slot, &device, |engine, key, slot| {
                    engine.used_since(context, &item, key, slot);
                });
            }
        }
        Ok(())
    }

    /// A cycle that did not pass is told after its items were used.
    fn used_since(&mut self, context: &Context<'_>, item: &Item, key: &DeviceKey, slot: &mut Slot) {
        let Some(used_at) = item.uses.back().copied() else {
            return;
        };
        let Some(visit) = slot
            .device
            .visit
            .filter(|v| v.first <= used_at && used_at <= v.last.max(v.first))
        else {
            return;
        };
        if sterilization::used_after_failure(item.failed.as_ref(), item.sterilized_at, visit.last) {
            let moment = context.moment.of(key);
            self.failed_cycle_used(&mut slot.device, item.failed.as_ref(), visit.key, visit.first, &moment);
        }
    }

    fn failed_cycle_used(
        &mut self,
        device: &mut Device,
        failed: Option<&FailedCycle>,
        visit: Opaque,
        at: UnixMicros,
        moment: &Moment<'_>,
    ) {
        let Some(failed) = failed else {
            return;
        };
        let cause = Cause::Cycle {
            sterilizer: failed.sterilizer.clone(),
            cycle: failed.cycle.clone(),
        };
        let what = format!(
            "used after cycle {} of {} that did not pass",
            failed.cycle, failed.sterilizer
        );
        self.violated(
            device,
            finding(Kind::FailedCycleUsed, cause, Some(visit), what, at),
            moment,
        );
    }

    fn sterilizer_used(
        &mut self,
        context: &Context<'_>,
        slot: &mut Slot,
        sterilizer: &str,
        cycle: &str,
        at: UnixMicros,
    ) -> Result<(), ColdError> {
        let tenant = context.key.tenant.as_str();
        let known: Option<Sterilizer> = self.book.get(Table::Sterilizer, tenant, sterilizer, context.cold)?;
        let mut known = known.unwrap_or_default();
        let first_cycle = match known.first_cycle_at {
            Some(first) => first,
            None => {
                // When it was told: a record of old cycles is no use without a test here.
                known.first_cycle_at = Some(context.moment.event_time);
                self.book.put(Table::Sterilizer, tenant, sterilizer, &known)?;
                context.moment.event_time
            }
        };
        let Some(policy) = self.policy(context.key, slot) else {
            return Ok(());
        };
        let limit = policy.indicator_every.map_or(0.0, |e| e.as_secs_f64() / 3_600.0);
        if let Some(hours) = sterilization::indicator_overdue(known.biological_pass_at, first_cycle, at, &policy) {
            let cause = Cause::Cycle {
                sterilizer: sterilizer.to_owned(),
                cycle: cycle.to_owned(),
            };
            let what = words::indicator_overdue(hours, limit, known.biological_pass_at.is_some());
            let mut found = finding(Kind::IndicatorOverdue, cause, None, what, at);
            (found.value, found.limit) = (hours, limit);
            self.violated(&mut slot.device, found, context.moment);
        }
        Ok(())
    }

    /// An indicator test was read, perhaps days after its cycle.
    pub(super) fn indicator(
        &mut self,
        context: &Context<'_>,
        result: &IndicatorResult,
        slot: &mut Slot,
    ) -> Result<(), ColdError> {
        let tenant = context.key.tenant.as_str();
        let sterilizer = result.sterilizer.as_ref().unwrap_or(&context.key.device).to_string();
        let at = told_at(result.cycle_ended_at, context);
        match result.outcome {
            Some(Outcome::Pass) if result.kind == Some(IndicatorKind::Biological) => {
                let known: Option<Sterilizer> = self.book.get(Table::Sterilizer, tenant, &sterilizer, context.cold)?;
                let mut known = known.unwrap_or_default();
                known.biological_pass_at = known.biological_pass_at.max(Some(at));
                self.book.put(Table::Sterilizer, tenant, &sterilizer, &known)?;
                self.with_device(context, slot, &sterilizer, |engine, key, slot| {
                    let moment = context.moment.of(key);
                    engine.signal_all(&mut slot.device, Signal::Cleared, Why::Cleared, &moment, |a| {
                        a.kind == Kind::IndicatorOverdue
                    });
                });
            }
            Some(Outcome::Fail) => {
                let kind = result.kind.map_or("indicator", |k| k.as_str());
                let frame_name = || format!("{}-{}", context.header.boot, context.header.sequence);
                let cause = Cause::Cycle {
                    cycle: result.cycle.as_ref().map_or_else(frame_name, |c| c.as_str().to_owned()),
                    sterilizer: sterilizer.clone(),
                };
                let what = format!("{kind} indicator of {sterilizer} failed");
                let found = finding(Kind::IndicatorFailed, cause, None, what, at);
                self.violated(&mut slot.device, found, context.moment);
            }
            // Aborted, or not said: proves nothing in either direction.
            _ => {}
        }
        Ok(())
    }

    /// A cartridge is in use.
    pub(super) fn cartridge(
        &mut self,
        context: &Context<'_>,
        slot: &mut Slot,
        visit: Visit,
        serial: &Serial,
        at: UnixMicros,
    ) -> Result<(), ColdError> {
        let current = slot.device.visit.is_some_and(|v| v.key == visit.key);
        if current && slot.device.cartridge.as_deref() == Some(serial.as_str()) {
            return Ok(());
        }
        let tenant = context.key.tenant.as_str();
        let known: Option<CartridgeUse> = self.book.get(Table::Cartridge, tenant, serial.as_str(), context.cold)?;
        if current {
            slot.device.cartridge = Some(serial.as_str().to_owned());
        }
        let Some(mut first) = known else {
            let first = CartridgeUse {
                visit: visit.key,
                device: context.key.device.to_string(),
                clinic: context.frame.admitted.clinic.to_string(),
                at,
                visits: 1,
            };
            return self.book.put(Table::Cartridge, tenant, serial.as_str(), &first);
        };
        let single_use = self.policy(context.key, slot).is_some_and(|p| p.cartridge_single_use);
        if !cartridge::reused(&first, visit.key) {
            return Ok(());
        }
        first.visits = first.visits.saturating_add(1);
        self.book.put(Table::Cartridge, tenant, serial.as_str(), &first)?;
        if single_use {
            let cause = Cause::Cartridge {
                serial: serial.as_str().to_owned(),
            };
            let what = format!(
                "cartridge {serial} was used before, on {} at {}",
                first.device, first.clinic
            );
            let mut found = finding(Kind::CartridgeReused, cause, Some(visit.key), what, at);
            (found.value, found.limit) = (f64::from(first.visits), 1.0);
            self.violated(&mut slot.device, found, context.moment);
        }
        Ok(())
    }
}

impl Moment<'_> {
    /// The same moment for another device.
    fn of<'b>(&'b self, key: &'b DeviceKey) -> Moment<'b> {
        Moment {
            key,
            trigger: self.trigger.clone(),
            class: self.class,
            event_time: self.event_time,
            evidence: self.evidence.clone(),
        }
    }
}

/// Keeps the newest wipes.
fn truncate(item: &mut Item) {
    item.wipes.make_contiguous().sort_by_key(|wipe| wipe.at);
    while item.wipes.len() > MAX_WIPES {
        item.wipes.pop_front();
    }
}
