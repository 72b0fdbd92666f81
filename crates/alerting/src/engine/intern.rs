//! What many devices have in common is kept once: names of clinics and gateways, and what the registry says.
use std::collections::HashSet;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

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

/// What is kept once.
#[derive(Debug, Default)]
pub(super) struct Common {
    names: HashSet<Arc<str>>,
    facts: HashSet<Arc<Facts>>,
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
        self.names.retain(|name| Arc::strong_count(name) > 1);
    }
}
