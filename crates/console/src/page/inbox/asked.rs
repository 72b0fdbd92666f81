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
                ("page", &page),
            ],
        )
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
