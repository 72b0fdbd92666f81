//! The indicator of each load, where the registry asks for it of the sterilizer: an item of a load that is used while none has
//! passed is told, unless one is told within the grace.
//!
//! The machine's own word is the mechanical monitoring. What must come beside it is a chemical indicator, or a biological one,
//! which proves more; a mechanical result says nothing that the cycle did not say. A cycle without a name is not judged: no
//! indicator can name it.
use telemetry::{DeviceKey, IndicatorKind, IndicatorResult, Outcome, SterilizationCycle, UnixMicros};

use super::frame::Context;
use super::hygiene::finding;
use super::state::{Awaited, Item, Load, LoadIndicator, MAX_WAITING, Visit};
use super::{ColdError, Engine, Slot, Table, Why};
use crate::id::Cause;
use crate::lifecycle::Signal;
use crate::rules::Kind;
use crate::rules::disinfection::Between;

impl Engine {
    /// The load of a cycle, if the policy of its sterilizer asks for an indicator; of whoever tells of it, where the registry does
    /// not have the sterilizer.
    pub(super) fn load_to_prove(
        &mut self,
        context: &Context<'_>,
        slot: &mut Slot,
        sterilizer: &str,
        cycle: &SterilizationCycle,
    ) -> Option<Load> {
        let name = cycle.cycle.as_ref()?;
        let own = cycle.sterilizer.as_ref().and_then(|device| {
            let device = device.clone();
            let tenant = context.key.tenant.clone();
            self.fleet.facts(&DeviceKey { tenant, device })
        });
        let facts = own.or_else(|| self.stands(context.key, slot))?;
        facts.policy.indicator_each_load.then(|| Load {
            sterilizer: sterilizer.to_owned(),
            cycle: name.as_str().to_owned(),
        })
    }

    /// An item is used for a visit.
    pub(super) fn await_indicator(
        &mut self,
        context: &Context<'_>,
        slot: &mut Slot,
        item: &Item,
        last_good: Option<UnixMicros>,
        visit: Visit,
    ) -> Result<(), ColdError> {
        // A load that does not count, or that came out after the use, is no proof and needs none.
        let counts = last_good.is_some_and(|at| item.sterilized_at == Some(at) && at <= visit.first);
        let Some(load) = item.load.as_ref().filter(|_| counts) else {
            return Ok(());
        };
        let (tenant, load_key) = (context.key.tenant.as_str(), load.key());
        let known: Option<LoadIndicator> = self.book.get(Table::Load, tenant, &load_key, context.cold)?;
        let mut known = known.unwrap_or_default();
        if known.passed {
            return Ok(());
        }
        let cause = Cause::Cycle {
            sterilizer: load.sterilizer.clone(),
            cycle: load.cycle.clone(),
        };
        let what = format!(
            "used after cycle {} of {} for which no passed indicator is on record",
            load.cycle, load.sterilizer
        );
        // About the load, whoever it is used for: what is to be done is the same, and once for the load.
        let found = finding(Kind::IndicatorMissing, cause, None, what, visit.first);
        let Some(id) = self.suspected(&mut slot.device, found, context.moment) else {
            return Ok(());
        };
        let device = context.key.device.as_str();
        if known.waiting.len() < MAX_WAITING && !known.waiting.iter().any(|d| d == device) {
            known.waiting.push(device.to_owned());
            self.book.put(Table::Load, tenant, &load_key, &known)?;
        }
        if let Some(policy) = self.policy(context.key, slot) {
            let between = Between {
                last_use: visit.first,
                first_use: visit.first,
            };
            self.wait_for_evidence(context, slot, (id, between, Some(load_key.into())), &policy);
        }
        Ok(())
    }

    /// An indicator was read.
    pub(super) fn load_proven(
        &mut self,
        context: &Context<'_>,
        result: &IndicatorResult,
        sterilizer: &str,
        slot: &mut Slot,
    ) -> Result<(), ColdError> {
        let proves = matches!(result.kind, Some(IndicatorKind::Chemical | IndicatorKind::Biological));
        let Some(cycle) = result
            .cycle
            .as_ref()
            .filter(|_| proves && result.outcome == Some(Outcome::Pass))
        else {
            return Ok(());
        };
        let load = Load {
            sterilizer: sterilizer.to_owned(),
            cycle: cycle.as_str().to_owned(),
        };
        let (tenant, key) = (context.key.tenant.as_str(), load.key());
        let known: Option<LoadIndicator> = self.book.get(Table::Load, tenant, &key, context.cold)?;
        let proven = LoadIndicator {
            passed: true,
            waiting: Vec::new(),
        };
        self.book.put(Table::Load, tenant, &key, &proven)?;
        for device in known.unwrap_or_default().waiting {
            self.with_device(context, slot, &device, |engine, device, slot| {
                let of_load = |a: &&Awaited| a.load.as_deref() == Some(key.as_str());
                let ids: Vec<_> = slot.device.awaited.iter().filter(of_load).map(|a| a.id).collect();
                let moment = context.moment.of(device);
                for id in ids {
                    engine.signal(&mut slot.device, id, Signal::Retracted, Why::EvidenceArrived, &moment);
                }
            });
        }
        Ok(())
    }
}
