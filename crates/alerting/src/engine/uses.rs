//! What must have happened before an item is used for the next client.
use telemetry::{DeviceKey, Serial, UnixMicros};

use super::frame::Context;
use super::hygiene::{finding, truncate};
use super::state::{Awaited, Device, Item, Visit};
use super::{ColdError, Engine, Moment, Slot, Table, Why, words};
use crate::fleet::{Facts, Hygiene};
use crate::id::{AlertId, Cause, Trigger};
use crate::lifecycle::Signal;
use crate::plural::counted;
use crate::rules::Kind;
use crate::rules::cartridge::{self, CartridgeUse};
use crate::rules::disinfection::{self, Between};
use crate::rules::sterilization::{self, Overdue};

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

impl Engine {
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
            item.absorb(other);
            truncate(&mut item);
        }
        item.use_at(visit.first, name);
        self.book.put(Table::Item, context.key.tenant.as_str(), name, &item)?;
        let Some(facts) = self.stands(context.key, slot) else {
            return Ok(());
        };
        let policy = &facts.policy;
        let last_good = item.last_good(facts.clinic.as_str(), policy.evidence_from_other_clinics);
        let uses = item.uses_since(last_good);
        if let Some(overdue) = sterilization::overdue(last_good, uses, visit.first, policy) {
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
        if sterilization::used_after_failure(item.failed.as_ref(), last_good, visit.first) {
            self.failed_cycle_used(
                &mut slot.device,
                item.failed.as_ref(),
                visit.key,
                visit.first,
                context.moment,
            );
        }
        self.await_indicator(context, slot, &item, last_good, visit)?;
        if policy.disinfection_between_visits
            && let Some(before) = before
        {
            self.await_disinfection(context, slot, &item, (before, visit), &facts);
        }
        Ok(())
    }

    fn await_disinfection(
        &mut self,
        context: &Context<'_>,
        slot: &mut Slot,
        item: &Item,
        (before, visit): (Visit, Visit),
        facts: &Facts,
    ) {
        let (policy, clinic) = (&facts.policy, facts.clinic.as_str());
        let between = Between {
            last_use: before.last,
            first_use: visit.first,
        };
        let slack = self.slack(context.key, slot);
        if item
            .wipes
            .iter()
            .any(|wipe| disinfection::proves(wipe, between, slack, policy, clinic))
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
            self.wait_for_evidence(context, slot, (id, between, None), policy);
        }
    }

    /// Something is suspected: evidence may take its time.
    pub(super) fn wait_for_evidence(
        &mut self,
        context: &Context<'_>,
        slot: &mut Slot,
        (id, between, load): (AlertId, Between, Option<Box<str>>),
        policy: &Hygiene,
    ) {
        let due = context.frame.admitted.received_at.plus(policy.evidence_grace);
        slot.device.awaited.push(Awaited {
            id,
            between,
            due: Some(due),
            load,
        });
        self.timers
            .arm(&slot.device.gateway, due, context.key, super::presence::Due::Evidence);
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

    /// A session starts with a cartridge from a pack. It is good to the end of its last day wherever on earth that ends last
    /// (UTC-12): whose calendar the device goes by is not told, and half a day later is early enough.
    pub(super) fn pack(&mut self, context: &Context<'_>, slot: &mut Slot, visit: Option<Visit>, expiry: Option<u32>) {
        let Some((visit, expiry)) = visit.zip(expiry) else {
            return;
        };
        if !self.policy(context.key, slot).is_some_and(|p| p.pack_expiry_checked) {
            return;
        }
        let at = context.moment.event_time;
        let days = at.0.div_euclid(DAY_US / 2) - (i64::from(expiry) + 1) * 2 - 1;
        if days < 0 {
            return;
        }
        let days = days / 2 + 1;
        let what = format!(
            "a cartridge whose pack expired {} ago is in use",
            counted(days, "day", "days")
        );
        let mut found = finding(Kind::PackExpired, Cause::Use, Some(visit.key), what, at);
        (found.value, found.limit) = (days as f64, 0.0);
        self.violated(&mut slot.device, found, context.moment);
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
