//! Routes: which alerts take which chain, and what their first page waits for.
use std::time::Duration;

use telemetry::Priority;

use super::super::labels::{Labels, Matcher};

/// By what alerts are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// Tenant.
    Tenant,
    /// Clinic.
    Clinic,
    /// Device.
    Device,
    /// Rule.
    Rule,
}

/// First pages that leave together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What they have in common; the tenant always.
    pub by: Vec<GroupBy>,
    /// How long the first of them waits for others.
    pub wait: Duration,
}

/// Only within some hours, or only outside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    /// Which hours.
    pub hours: String,
    /// Within them, or outside.
    pub inside: bool,
}

/// Which alerts take which chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// For people and the journal.
    pub name: String,
    /// Which alerts.
    pub matcher: Matcher,
    /// When, by opening hours; `None`: always.
    pub when: Option<When>,
    /// The chain.
    pub chain: String,
    /// Whether first pages wait for others; never of high priority.
    pub group: Option<Group>,
    /// How long the first page waits for word that an instance in the clinic has told somebody.
    pub hold: Duration,
    /// Later routes are looked at too.
    pub goes_on: bool,
}

impl Route {
    /// The group of an alert that takes this route; `None`: it leaves alone. High priority never waits for others.
    pub fn group_key(&self, labels: &Labels) -> Option<(String, Duration)> {
        let group = self.group.as_ref().filter(|_| labels.priority < Priority::High)?;
        let mut key = format!("{}/{}", labels.tenant, self.name);
        for by in &group.by {
            let value = match by {
                GroupBy::Tenant => continue,
                GroupBy::Clinic => &labels.clinic,
                GroupBy::Device => &labels.device,
                GroupBy::Rule => &labels.rule,
            };
            key.push('/');
            key.push_str(value);
        }
        Some((key, group.wait))
    }
}
