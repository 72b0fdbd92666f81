//! What routes, inhibitions and silences look at, and how they pick.
use serde::{Deserialize, Serialize};
use telemetry::Priority;

use crate::engine::Alert;

/// What an alert is picked by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// Tenant; `-` for a gateway.
    pub tenant: String,
    /// Clinic; empty for a gateway.
    pub clinic: String,
    /// Device, sterilizer or gateway.
    pub device: String,
    /// Id of its rule.
    pub rule: String,
    /// Kind of its rule.
    pub kind: String,
    /// Priority.
    pub priority: Priority,
}

impl From<&Alert> for Labels {
    fn from(alert: &Alert) -> Self {
        Self {
            tenant: alert.tenant.clone(),
            clinic: alert.clinic.clone(),
            device: alert.device.clone(),
            rule: alert.rule.clone(),
            kind: alert.kind.as_str().to_owned(),
            priority: alert.priority,
        }
    }
}

/// Picks alerts. An empty list picks any.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Matcher {
    /// Tenants; `-` is that of gateways.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<String>,
    /// Clinics.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clinics: Vec<String>,
    /// Devices, sterilizers or gateways.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Ids or kinds of rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Priorities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priorities: Vec<Priority>,
}

impl Matcher {
    /// Whether it picks an alert with these labels.
    pub fn matches(&self, labels: &Labels) -> bool {
        let among = |list: &[String], value: &str| list.is_empty() || list.iter().any(|one| one == value);
        among(&self.tenants, &labels.tenant)
            && among(&self.clinics, &labels.clinic)
            && among(&self.devices, &labels.device)
            && (among(&self.rules, &labels.rule) || among(&self.rules, &labels.kind))
            && (self.priorities.is_empty() || self.priorities.contains(&labels.priority))
    }

    /// Whether it names a place or a rule: one that does not picks everything.
    pub fn names_something(&self) -> bool {
        !(self.tenants.is_empty() && self.clinics.is_empty() && self.devices.is_empty() && self.rules.is_empty())
    }
}
