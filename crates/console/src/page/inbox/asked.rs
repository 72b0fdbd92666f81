//! What stands in the inbox's address, and what alerting is asked for by it.
use alerting::lifecycle::State;
use alerting::store::{Wanted, Which};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::Priority;

use crate::access::Person;
use crate::answer::Refusal;
use crate::url;

/// Most pages that are turned to.
pub(super) const MAX_PAGES: usize = 20_000;
/// Priorities that one may choose.
pub(super) const PRIORITIES: [Priority; 4] = [Priority::High, Priority::Medium, Priority::Low, Priority::Info];

/// How alerts are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Those of one device together.
    Device,
    /// Each for itself.
    Alert,
}

impl By {
    /// As it stands in an address.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Alert => "alert",
        }
    }
}

/// What is asked of it; what is empty matches everything.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "InboxAsked")]
#[serde(default)]
pub(crate) struct Asked {
    /// Tenant; empty: all.
    pub(super) tenant: String,
    /// Clinic; empty: all.
    pub(super) clinic: String,
    /// Device; empty: all.
    pub(super) device: String,
    /// Id of a rule; empty: all.
    pub(super) rule: String,
    /// State; empty: what is open.
    pub(super) state: String,
    /// Priority; empty: all.
    pub(super) priority: String,
    /// `device`: alerts of one device stand together; `alert`: each for itself. Empty: by device on the page where that shortens it,
    /// one by one as JSON.
    pub(super) by: String,
    /// Page, from 1; empty: the first.
    pub(super) page: String,
    /// What was just done, by the name of its text.
    #[serde(skip_serializing)]
    pub(super) done: String,
}

impl Asked {
    pub(super) fn link(&self, state: &str, priority: &str, page: usize) -> String {
        let page = if page > 1 { page.to_string() } else { String::new() };
        url::with(
            "/",
            &[
                ("tenant", &self.tenant),
                ("clinic", &self.clinic),
                ("device", &self.device),
                ("rule", &self.rule),
                ("state", state),
                ("priority", priority),
                ("by", &self.by),
                ("page", &page),
            ],
        )
    }

    /// Where all that is asked for of one device stands, each alert for itself.
    pub(super) fn link_of_device(&self, tenant: &str, device: &str) -> String {
        let of_device = Self {
            tenant: tenant.to_owned(),
            device: device.to_owned(),
            by: String::new(),
            ..self.clone()
        };
        of_device.link(&self.state, &self.priority, 1)
    }

    /// The same, by device or one by one.
    pub(super) fn link_by(&self, by: By) -> String {
        let other = Self {
            by: by.as_str().to_owned(),
            ..self.clone()
        };
        other.link(&self.state, &self.priority, 1)
    }

    /// Whether alerts stand by device; `usual` where nothing is said.
    pub(super) fn by(&self, usual: By) -> Result<By, Refusal> {
        let is_over = [State::Resolved, State::Inactive]
            .iter()
            .any(|over| over.as_str() == self.state);
        match self.by.as_str() {
            // Of one device there is one group.
            "" if !self.device.is_empty() => Ok(By::Alert),
            // Of what is over there may be years, and groups are made by walking over all.
            "" | "device" if is_over => Ok(By::Alert),
            "" => Ok(usual),
            "alert" => Ok(By::Alert),
            "device" => Ok(By::Device),
            other => Err(Refusal::Asked(format!("by={other}: device, alert"))),
        }
    }

    /// What alerting is asked for, and the page. A person of one tenant is shown that one, whatever they ask.
    pub(super) fn wanted(&self, who: &Person) -> Result<(Wanted, usize), Refusal> {
        let unknown = |name: &str, value: &str, known: &str| Refusal::Asked(format!("{name}={value}: {known}"));
        let states = || {
            State::ALL
                .iter()
                .map(|state| state.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let priorities = || PRIORITIES.map(Priority::as_str).join(", ");
        let which = match self.state.as_str() {
            "" => Which::Open,
            name => Which::In(State::from_name(name).ok_or_else(|| unknown("state", name, &states()))?),
        };
        let priority = match self.priority.as_str() {
            "" => None,
            name => {
                let found = PRIORITIES.into_iter().find(|priority| priority.as_str() == name);
                Some(found.ok_or_else(|| unknown("priority", name, &priorities()))?)
            }
        };
        let page = match self.page.as_str() {
            "" => 1,
            number => number
                .parse()
                .ok()
                .filter(|page| (1..=MAX_PAGES).contains(page))
                .ok_or_else(|| unknown("page", number, &format!("1 to {MAX_PAGES}")))?,
        };
        let said = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let own = who.tenant.as_ref().map(|tenant| tenant.as_str().to_owned());
        let wanted = Wanted {
            which,
            tenant: own.or_else(|| said(&self.tenant)),
            clinic: said(&self.clinic),
            device: said(&self.device),
            rule: said(&self.rule),
            priority,
        };
        Ok((wanted, page))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn who_belongs_to_one_tenant_is_shown_that_one_whatever_they_ask() {
        let who = Person {
            tenant: Some("acme".parse().unwrap()),
            ..Person::of_api()
        };
        for tenant in ["", "other", "acme"] {
            let asked = Asked {
                tenant: tenant.to_owned(),
                ..Asked::default()
            };
            assert_eq!(asked.wanted(&who).unwrap().0.tenant.as_deref(), Some("acme"));
        }
    }

    #[test]
    fn an_address_that_no_page_makes_is_refused_and_says_what() {
        for (state, priority, page) in [
            ("on", "", ""),
            ("", "severe", ""),
            ("", "", "0"),
            ("", "", "x"),
            ("", "", "99999999"),
        ] {
            let asked = Asked {
                state: state.to_owned(),
                priority: priority.to_owned(),
                page: page.to_owned(),
                ..Asked::default()
            };
            let refused = asked.wanted(&Person::of_api());
            assert!(matches!(refused, Err(Refusal::Asked(what)) if what.contains('=')));
        }
    }
}
