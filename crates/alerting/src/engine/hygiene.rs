//! What hygiene rules share: policies, items under one name, a failed cycle that was used.
use std::sync::Arc;
use std::time::Duration;

use telemetry::{DeviceId, DeviceKey, Serial, UnixMicros};

use super::frame::Context;
use super::raise::Finding;
use super::state::{Device, Item, MAX_WIPES};
use super::{ColdError, Engine, Moment, Slot, Table};
use crate::fleet::{Facts, Hygiene};
use crate::id::{Cause, Opaque};
use crate::rules::Kind;
use crate::rules::sterilization::FailedCycle;

pub(super) fn finding(
    kind: Kind,
    cause: Cause,
    visit: Option<Opaque>,
    what_happened: String,
    at: UnixMicros,
) -> Finding {
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

impl Engine {
    pub(super) fn policy(&mut self, key: &DeviceKey, slot: &mut Slot) -> Option<Hygiene> {
        self.judged(key, slot).map(|judged| judged.facts.policy.clone())
    }

    /// Policy and clinic of a device.
    pub(super) fn stands(&mut self, key: &DeviceKey, slot: &mut Slot) -> Option<Arc<Facts>> {
        self.judged(key, slot).map(|judged| Arc::clone(&judged.facts))
    }

    pub(super) fn slack(&mut self, key: &DeviceKey, slot: &mut Slot) -> Duration {
        let rules = Arc::clone(&self.rules);
        let seconds = rules.disinfection_missing.as_ref().zip(self.judged(key, slot));
        let seconds = seconds.map_or(0, |(rule, judged)| {
            rule.params(&judged.scope(key, None, None)).clock_slack_s
        });
        Duration::from_secs(u64::from(seconds))
    }

    pub(super) fn item(&self, context: &Context<'_>, key: &str) -> Result<Item, ColdError> {
        let tenant = context.key.tenant.as_str();
        Ok(self
            .book
            .get(Table::Item, tenant, key, context.cold)?
            .unwrap_or_default())
    }

    /// The name under which an item's facts stand: its device's id where a serial is a device's.
    pub(super) fn item_name(&self, context: &Context<'_>, name: &Serial) -> Result<String, ColdError> {
        let tenant = context.key.tenant.as_str();
        let device = self
            .book
            .get::<String>(Table::Serial, tenant, name.as_str(), context.cold)?;
        Ok(device.unwrap_or_else(|| name.as_str().to_owned()))
    }

    /// Runs `then` for a device of the tenant, which may be the one that speaks.
    pub(super) fn with_device(
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

    pub(super) fn failed_cycle_used(
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
}

impl Moment<'_> {
    /// The same moment for another device.
    pub(super) fn of<'b>(&'b self, key: &'b DeviceKey) -> Moment<'b> {
        Moment {
            key,
            trigger: self.trigger.clone(),
            class: self.class,
            event_time: self.event_time,
            received_at: self.received_at,
            evidence: self.evidence.clone(),
        }
    }
}

/// Keeps the newest wipes.
pub(super) fn truncate(item: &mut Item) {
    item.wipes.make_contiguous().sort_by_key(|wipe| wipe.at);
    while item.wipes.len() > MAX_WIPES {
        item.wipes.pop_front();
    }
}
