//! A set of rules that was validated as a whole, and which parameters hold where.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use telemetry::{ClinicId, DeviceId, ModelId, SkinType, TenantId, Zone};

use super::Head;

/// Where a reading was made, for overrides.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Tenant.
    pub tenant: &'a TenantId,
    /// Clinic.
    pub clinic: &'a ClinicId,
    /// Device.
    pub device: &'a DeviceId,
    /// Model.
    pub model: &'a ModelId,
    /// Zone, if known.
    pub zone: Option<Zone>,
    /// Skin type, if known.
    pub skin_type: Option<SkinType>,
}

/// Other parameters for a part of the fleet. What is `None` matches everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override<P> {
    pub(super) matcher: Matcher,
    pub(super) params: P,
    /// The same as it was read, for people.
    pub(super) said: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Matcher {
    pub(super) model: Option<ModelId>,
    pub(super) zone: Option<Zone>,
    pub(super) skin_type: Option<SkinType>,
    pub(super) tenant: Option<TenantId>,
    pub(super) clinic: Option<ClinicId>,
    pub(super) device: Option<DeviceId>,
}

fn fits<T: PartialEq>(want: Option<&T>, have: Option<&T>) -> bool {
    want.is_none() || want == have
}

fn lines_of(prefix: &str, said: &Value, into: &mut BTreeMap<String, String>) {
    for (name, value) in said.as_object().into_iter().flatten() {
        into.insert(format!("{prefix} {name}"), value.to_string());
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            ("tenant", self.tenant.as_ref().map(ToString::to_string)),
            ("clinic", self.clinic.as_ref().map(ToString::to_string)),
            ("device", self.device.as_ref().map(ToString::to_string)),
            ("model", self.model.as_ref().map(ToString::to_string)),
            ("zone", self.zone.map(|zone| zone.as_str().to_owned())),
            ("skin type", self.skin_type.map(|skin| skin.as_str().to_owned())),
        ];
        let named = named
            .into_iter()
            .filter_map(|(what, value)| Some(format!("{what} {}", value?)));
        f.write_str(&named.collect::<Vec<_>>().join(", "))
    }
}

impl Matcher {
    /// Which things it names, most specific highest; two that match one reading with the same rank are equal.
    pub(super) fn rank(&self) -> u8 {
        [
            self.device.is_some(),
            self.clinic.is_some(),
            self.tenant.is_some(),
            self.model.is_some(),
            self.zone.is_some(),
            self.skin_type.is_some(),
        ]
        .into_iter()
        .fold(0, |rank, named| rank << 1 | u8::from(named))
    }

    fn matches(&self, scope: &Scope<'_>) -> bool {
        fits(self.device.as_ref(), Some(scope.device))
            && fits(self.clinic.as_ref(), Some(scope.clinic))
            && fits(self.tenant.as_ref(), Some(scope.tenant))
            && fits(self.model.as_ref(), Some(scope.model))
            && fits(self.zone.as_ref(), scope.zone.as_ref())
            && fits(self.skin_type.as_ref(), scope.skin_type.as_ref())
    }
}

/// A rule with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule<P> {
    /// What every rule has.
    pub head: Arc<Head>,
    pub(crate) base: P,
    /// The same as it was read, for people.
    pub(super) said: Value,
    /// Most specific first.
    pub(super) overrides: Vec<Override<P>>,
}

impl<P> Rule<P> {
    /// The parameters for a part of the installation that is no device of a tenant, a gateway for example: an override that
    /// names nothing but a device names it.
    pub fn params_of(&self, name: &str) -> &P {
        let names = |m: &Matcher| {
            let others = Matcher {
                device: None,
                ..m.clone()
            };
            others == Matcher::default() && m.device.as_ref().is_some_and(|device| device.as_str() == name)
        };
        let found = self.overrides.iter().find(|o| names(&o.matcher));
        found.map_or(&self.base, |o| &o.params)
    }

    /// The parameters that hold here: those of the most specific override that matches, else the rule's own.
    pub fn params(&self, scope: &Scope<'_>) -> &P {
        self.overrides
            .iter()
            .find(|o| o.matcher.matches(scope))
            .map_or(&self.base, |o| &o.params)
    }

    /// The same for people, and whose they are; without a place, the rule's own.
    pub(super) fn said(&self, scope: Option<&Scope<'_>>) -> (Value, String) {
        match scope.and_then(|scope| self.overrides.iter().find(|o| o.matcher.matches(scope))) {
            Some(found) => (found.said.clone(), format!("the override for {}", found.matcher)),
            None => (self.said.clone(), "the rule".to_owned()),
        }
    }

    /// Everything that it says, one line a parameter, for telling two versions apart.
    pub(super) fn lines(&self, into: &mut BTreeMap<String, String>) {
        let id = &self.head.id;
        into.insert(format!("{id} priority"), self.head.priority.as_str().to_owned());
        into.insert(format!("{id} what_to_do"), self.head.what_to_do.to_string());
        lines_of(id, &self.said, into);
        for other in &self.overrides {
            lines_of(&format!("{id} for {}", other.matcher), &other.said, into);
        }
    }
}
