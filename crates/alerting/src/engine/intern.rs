//! What many devices have in common is kept once: names of clinics and gateways, and what the registry says.
use std::collections::HashSet;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use telemetry::{DeviceKey, TenantId};

use super::frame::StrokeBounds;
use super::state::Device;
use crate::fleet::Facts;

/// A name that other devices have too. Empty: not known yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Name(Arc<str>);

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for Name {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.as_ref().to_owned()
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Most bounds that are kept to be shared.
const MAX_BOUNDS: usize = 4_096;

/// What is kept once.
#[derive(Debug, Default)]
pub(super) struct Common {
    names: HashSet<Arc<str>>,
    facts: HashSet<Arc<Facts>>,
    bounds: HashSet<Arc<StrokeBounds>>,
    tenants: HashSet<TenantId>,
}

impl Common {
    pub(super) fn name(&mut self, name: &str) -> Name {
        if let Some(known) = self.names.get(name) {
            return Name(Arc::clone(known));
        }
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name));
        Name(name)
    }

    /// What strokes are judged by. Devices with limits of their own in many zones may have more than are worth keeping: at
    /// the bound those that nobody has any more go, and what is beyond is shared with nobody.
    pub(super) fn bounds(&mut self, bounds: StrokeBounds) -> Arc<StrokeBounds> {
        if let Some(known) = self.bounds.get(&bounds) {
            return Arc::clone(known);
        }
        let bounds = Arc::new(bounds);
        if self.bounds.len() >= MAX_BOUNDS {
            self.bounds.retain(|known| Arc::strong_count(known) > 1);
        }
        if self.bounds.len() < MAX_BOUNDS {
            self.bounds.insert(Arc::clone(&bounds));
        }
        bounds
    }

    /// A key as it was read gets the tenant's name of the others.
    pub(super) fn key(&mut self, mut key: DeviceKey) -> DeviceKey {
        match self.tenants.get(&key.tenant) {
            Some(known) => key.tenant = known.clone(),
            None => {
                self.tenants.insert(key.tenant.clone());
            }
        }
        key
    }

    /// A device as it was read gets the names of the others.
    pub(super) fn share(&mut self, device: &mut Device) {
        device.clinic = self.name(&device.clinic);
        device.gateway = self.name(&device.gateway);
    }

    pub(super) fn facts(&mut self, facts: Arc<Facts>) -> Arc<Facts> {
        if let Some(known) = self.facts.get(&facts) {
            return Arc::clone(known);
        }
        self.facts.insert(Arc::clone(&facts));
        facts
    }

    /// The registry changed: its facts are asked anew, and names that nobody has go.
    pub(super) fn forget(&mut self) {
        self.facts.clear();
        self.bounds.clear();
        self.tenants.clear();
        self.names.retain(|name| Arc::strong_count(name) > 1);
    }
}
