//! What stations, sterilizers and people tell of items, before or after these are used.
use std::time::Duration;

use telemetry::{DeviceKey, Disinfection, IndicatorKind, IndicatorResult, Outcome, SterilizationCycle, UnixMicros};

use super::frame::Context;
use super::hygiene::{finding, truncate};
use super::state::{Awaited, Item, MAX_TELLERS, Sterilizer};
use super::{ColdError, Engine, Slot, Table, Why, words};
use crate::id::Cause;
use crate::lifecycle::Signal;
use crate::rules::Kind;
use crate::rules::disinfection::{self, Wipe};
use crate::rules::sterilization::{self, FailedCycle};

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
            clinic: Some(context.frame.admitted.clinic.as_str().into()),
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
            item.wipes.push_back(wipe.clone());
            truncate(&mut item);
            self.book.put(Table::Item, context.key.tenant.as_str(), &name, &item)?;
            self.with_device(context, slot, &name, |engine, key, slot| {
                engine.retract(context, &wipe, key, slot)
            });
        }
        Ok(())
    }

    fn retract(&mut self, context: &Context<'_>, wipe: &Wipe, key: &DeviceKey, slot: &mut Slot) {
        let Some(facts) = self.stands(key, slot) else {
            return;
        };
        let slack = self.slack(key, slot);
        let (policy, clinic) = (&facts.policy, facts.clinic.as_str());
        let proven = |a: &&Awaited| a.load.is_none() && disinfection::proves(wipe, a.between, slack, policy, clinic);
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
        let clinic = context.frame.admitted.clinic.as_str();
        let load = self.load_to_prove(context, slot, &sterilizer, cycle);
        for item_name in &cycle.items {
            let item_name = self.item_name(context, item_name)?;
            let mut item = self.item(context, &item_name)?;
            let passed = cycle.outcome == Some(Outcome::Pass);
            if passed {
                item.sterilized(at, clinic, load.clone());
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
        let Some(facts) = self.stands(key, slot) else { return };
        let last_good = item.last_good(facts.clinic.as_str(), facts.policy.evidence_from_other_clinics);
        if sterilization::used_after_failure(item.failed.as_ref(), last_good, visit.last) {
            let moment = context.moment.of(key);
            self.failed_cycle_used(&mut slot.device, item.failed.as_ref(), visit.key, visit.first, &moment);
        }
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
            let what = words::indicator_overdue(sterilizer, hours, limit, known.biological_pass_at.is_some());
            let mut found = finding(Kind::IndicatorOverdue, cause, None, what, at);
            (found.value, found.limit) = (hours, limit);
            self.violated(&mut slot.device, found, context.moment);
            let teller = context.key.device.as_str();
            let tellers = &mut known.overdue_told_by;
            if teller != sterilizer && tellers.len() < MAX_TELLERS && !tellers.iter().any(|t| t == teller) {
                tellers.push(teller.to_owned());
                self.book.put(Table::Sterilizer, tenant, sterilizer, &known)?;
            }
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
        self.load_proven(context, result, &sterilizer, slot)?;
        match result.outcome {
            Some(Outcome::Pass) if result.kind == Some(IndicatorKind::Biological) => {
                let known: Option<Sterilizer> = self.book.get(Table::Sterilizer, tenant, &sterilizer, context.cold)?;
                let mut known = known.unwrap_or_default();
                known.biological_pass_at = known.biological_pass_at.max(Some(at));
                // The alert stands at whoever told of the cycle: the sterilizer itself, or a station that reports for it.
                let mut tellers = std::mem::take(&mut known.overdue_told_by);
                self.book.put(Table::Sterilizer, tenant, &sterilizer, &known)?;
                tellers.push(sterilizer);
                for teller in tellers {
                    self.with_device(context, slot, &teller, |engine, key, slot| {
                        let moment = context.moment.of(key);
                        engine.signal_all(&mut slot.device, Signal::Cleared, Why::Cleared, &moment, |a| {
                            a.kind == Kind::IndicatorOverdue
                        });
                    });
                }
            }
            Some(Outcome::Fail) => {
                let kind = result.kind.map_or("indicator", |k| k.as_str());
                let frame_name = || format!("{}-{}", context.header.boot, context.header.sequence);
                let cause = Cause::Cycle {
                    cycle: result.cycle.as_ref().map_or_else(frame_name, |c| c.as_str().to_owned()),
                    sterilizer: sterilizer.clone(),
                };
                let cycle = result.cycle.as_ref();
                let of = cycle.map_or_else(String::new, |cycle| format!(" (cycle {})", cycle.as_str()));
                let what = format!("{kind} indicator of {sterilizer} failed{of}");
                let found = finding(Kind::IndicatorFailed, cause, None, what, at);
                self.violated(&mut slot.device, found, context.moment);
            }
            // Aborted, or not said: proves nothing in either direction.
            _ => {}
        }
        Ok(())
    }
}
