//! What holds for a device: model < tenant < clinic < device, within a level all < kind < model; and never looser than the
//! model's safety bound, which is checked (an error) and enforced (clamped) independently of each other.
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use telemetry::ModelId;

use crate::error::LoadReason;
use crate::field::{LIMITS, Limit};
use crate::fleet::Model;
use crate::limits::{self, Limits};
use crate::patch::{Patch, Set, Space, skin_slot, zone_slot};
use crate::policy::{self, Policy};
use crate::raw::{Override, RawDevice, RawModel, parts};
use crate::source::{Place, Problems};

/// The overrides above a device.
#[derive(Clone, Copy)]
pub(crate) struct Levels<'r> {
    pub(crate) tenant: &'r [Override],
    pub(crate) clinic: &'r [Override],
}

const TENANT: u8 = 1;
const CLINIC: u8 = 4;
const DEVICE: u8 = 7;

/// Most devices have no override of their own, so what was resolved for (clinic, model) is shared.
#[derive(Default)]
pub(crate) struct Resolver {
    shared: HashMap<(usize, ModelId), Resolved>,
    /// One place is told once, however many devices it is for.
    reported: HashSet<Place>,
}

#[derive(Clone)]
struct Resolved {
    limits_patch: Arc<Patch>,
    policy_patch: Arc<Patch>,
    limits: Arc<Limits>,
    policy: Arc<Policy>,
}

/// The public view of a model, its own values checked.
pub(crate) fn model_of(id: &ModelId, raw: &RawModel, resolver: &mut Resolver, problems: &mut Problems<'_>) -> Model {
    resolver.check_together(&raw.limits, problems);
    resolver.check_together(&raw.limits_bound, problems);
    let (needle, light) = parts(raw.kind);
    Model {
        id: id.clone(),
        kind: raw.kind,
        name: raw.name.clone(),
        maker: raw.maker.clone(),
        limits: Arc::new(limits::from_patch(&raw.limits, needle, light)),
        bound: Arc::new(limits::from_patch(&raw.limits_bound, needle, light)),
        policy: Arc::new(policy::from_patch(&raw.policy)),
    }
}

impl Resolver {
    /// What holds for a device.
    pub(crate) fn device(
        &mut self,
        clinic: usize,
        levels: &Levels<'_>,
        device: &RawDevice,
        model: &RawModel,
        problems: &mut Problems<'_>,
    ) -> (Arc<Limits>, Arc<Policy>) {
        let id = &device.model.value;
        let key = (clinic, id.clone());
        let shared = match self.shared.get(&key) {
            Some(shared) => shared.clone(),
            None => {
                let resolved = self.resolve_shared(levels, id, model, problems);
                self.shared.insert(key, resolved.clone());
                resolved
            }
        };
        let (needle, light) = parts(model.kind);
        for own in device.limits.iter().chain(&device.policy) {
            own.check_fits(needle, light, model.kind.as_str(), problems);
        }
        let limits = device.limits.as_ref().map_or(shared.limits, |own| {
            let patch = self.lay(&shared.limits_patch, own, &model.limits_bound, id, problems);
            Arc::new(limits::from_patch(&patch, needle, light))
        });
        let policy = device.policy.as_ref().map_or(shared.policy, |own| {
            let patch = self.lay(&shared.policy_patch, own, &model.policy_bound, id, problems);
            Arc::new(policy::from_patch(&patch))
        });
        (limits, policy)
    }

    fn lay(
        &mut self,
        under: &Patch,
        own: &Patch,
        bound: &Patch,
        model: &ModelId,
        problems: &mut Problems<'_>,
    ) -> Patch {
        let mut under = under.clone();
        under.override_with(own, DEVICE);
        self.check(&under, bound, model, problems);
        clamp(under, bound)
    }

    fn resolve_shared(
        &mut self,
        levels: &Levels<'_>,
        id: &ModelId,
        model: &RawModel,
        problems: &mut Problems<'_>,
    ) -> Resolved {
        let (mut limits_patch, mut policy_patch) = (model.limits.clone(), model.policy.clone());
        for (overrides, level) in [(levels.tenant, TENANT), (levels.clinic, CLINIC)] {
            for specific in 0..=2 {
                for one in overrides.iter().filter(|o| specificity(o, id, model) == Some(specific)) {
                    if let Some(limits) = &one.limits {
                        limits_patch.override_with(limits, level + specific);
                    }
                    if let Some(policy) = &one.policy {
                        policy_patch.override_with(policy, level + specific);
                    }
                }
            }
        }
        self.check(&limits_patch, &model.limits_bound, id, problems);
        self.check(&policy_patch, &model.policy_bound, id, problems);
        let (needle, light) = parts(model.kind);
        let limits_patch = clamp(limits_patch, &model.limits_bound);
        let policy_patch = clamp(policy_patch, &model.policy_bound);
        Resolved {
            limits: Arc::new(limits::from_patch(&limits_patch, needle, light)),
            policy: Arc::new(policy::from_patch(&policy_patch)),
            limits_patch: Arc::new(limits_patch),
            policy_patch: Arc::new(policy_patch),
        }
    }

    fn check(&mut self, patch: &Patch, bound: &Patch, model: &ModelId, problems: &mut Problems<'_>) {
        for (slot, set) in patch.declared().filter(|(_, s)| s.level > 0) {
            let (Some((field, _)), Some(bound)) = (patch.space.field(slot), bound.get(slot)) else {
                continue;
            };
            if field.looser(set.value, bound) && self.reported.insert(set.place) {
                problems.add(
                    LoadReason::TooLoose,
                    set.place,
                    patch.space.key(slot),
                    format!(
                        "{} is looser than the safety bound of model {model}",
                        field.show(set.value)
                    ),
                    format!("{} or stricter is allowed", field.show(bound)),
                );
            }
        }
        if patch.space == Space::Limits {
            self.check_together(patch, problems);
        }
    }

    /// Limits that cannot hold together. The more specific one is told; where a less specific level tightened what a more
    /// specific one leaves alone, the tighter simply holds.
    fn check_together(&mut self, patch: &Patch, problems: &mut Problems<'_>) {
        let zones = telemetry::Zone::ALL.iter().map(|&z| (zone_slot(z), Limit::DepthMax));
        let skins = telemetry::SkinType::ALL
            .iter()
            .map(|&s| (skin_slot(s), Limit::FluenceMax));
        for (slot, whole) in zones.chain(skins) {
            if let (Some(part), Some(all)) = (patch.set(slot), patch.set(whole as usize))
                && part.value > all.value
                && part.level >= all.level
            {
                let wrong = format!("{} is above the limit of {} for all", part.value, all.value);
                self.contradiction(
                    patch.space.key(slot),
                    part,
                    wrong,
                    "lower it, it would never hold",
                    problems,
                );
            }
        }
        let get = |limit: Limit| patch.set(limit as usize);
        if let (Some(min), Some(max)) = (get(Limit::StrokeRateMin), get(Limit::StrokeRateMax))
            && min.value > max.value
        {
            let wrong = format!("from {} Hz to {} Hz is no range", min.value, max.value);
            self.contradiction(
                key(Limit::StrokeRateMin),
                later(min, max),
                wrong,
                "min must not be above max",
                problems,
            );
        }
        if let (Some(tolerance), Some(sigma), Some(max)) =
            (get(Limit::DepthTolerance), get(Limit::DepthSigma), get(Limit::DepthMax))
            && tolerance.value + 6 * sigma.value >= max.value
        {
            let band = tolerance.value + 6 * sigma.value;
            let wrong = format!(
                "tolerance + 6 sigma is {band} µm and reaches the depth limit of {} µm",
                max.value
            );
            let place = later(later(tolerance, sigma), max);
            self.contradiction(
                key(Limit::DepthTolerance),
                place,
                wrong,
                "a limit must be above its own noise",
                problems,
            );
        }
        if let (Some(min), Some(max)) = (get(Limit::TipTemperatureMin), get(Limit::TipTemperatureMax))
            && min.value > max.value
        {
            let wrong = format!("from {} m°C to {} m°C is no range", min.value, max.value);
            self.contradiction(
                key(Limit::TipTemperatureMin),
                later(min, max),
                wrong,
                "min must not be above max",
                problems,
            );
        }
    }

    fn contradiction(&mut self, key: String, set: Set, wrong: String, allowed: &str, problems: &mut Problems<'_>) {
        if self.reported.insert(set.place) {
            problems.add(LoadReason::Contradiction, set.place, key, wrong, allowed);
        }
    }
}

fn key(limit: Limit) -> String {
    LIMITS.get(limit as usize).map_or("", |f| f.key).to_owned()
}

fn later(a: Set, b: Set) -> Set {
    if b.level > a.level { b } else { a }
}

/// 0 for all, 1 by kind, 2 by model; `None`: not for this model.
fn specificity(one: &Override, id: &ModelId, model: &RawModel) -> Option<u8> {
    match (&one.model, one.kind) {
        (Some(named), _) => (named.value == *id).then_some(2),
        (None, Some(kind)) => (kind == model.kind).then_some(1),
        (None, None) => Some(0),
    }
}

fn clamp(mut patch: Patch, bound: &Patch) -> Patch {
    for (slot, limit) in bound.declared() {
        if let (Some((field, _)), Some(set)) = (patch.space.field(slot), patch.set(slot))
            && field.looser(set.value, limit.value)
        {
            patch.put(
                slot,
                Set {
                    value: limit.value,
                    ..set
                },
            );
        }
    }
    patch
}
