//! The inbox: the alerts that need somebody, the most urgent first, filtered by what stands in the address.
use std::collections::BTreeSet;

use alerting::lifecycle::State;
use alerting::store::{Count, Listing, Wanted, Which};
use serde::{Deserialize, Serialize};
use telemetry::Priority;

use super::Page;
use super::row::Row;
use crate::access::{Person, Role};
use crate::answer::Refusal;
use crate::console::Console;
use crate::url;

/// Alerts of one page.
const PAGE: usize = 50;
/// Most pages that are turned to.
const MAX_PAGES: usize = 20_000;
/// States that one may choose, in the order in which they are offered.
const STATES: [State; 6] = [
    State::Firing,
    State::Latched,
    State::Unknown,
    State::Acknowledged,
    State::Pending,
    State::Resolved,
];
const PRIORITIES: [Priority; 4] = [Priority::High, Priority::Medium, Priority::Low, Priority::Info];

pub(crate) struct Inbox;

/// What is asked of it; what is empty matches everything.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Asked {
    tenant: String,
    clinic: String,
    device: String,
    rule: String,
    state: String,
    priority: String,
    page: String,
    /// What was just done, by the name of its text.
    #[serde(skip_serializing)]
    done: String,
}

/// One choice of many.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Choice {
    /// The name of its text.
    name: &'static str,
    /// How many alerts that would show; `None`: not counted.
    alerts: Option<u64>,
    /// Where it leads.
    link: String,
    /// It is chosen.
    chosen: bool,
}

/// What it shows.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    alerts: Vec<Row>,
    total: u64,
    page: usize,
    pages: usize,
    /// Where the page before this one is.
    before: Option<String>,
    /// Where the page after this one is.
    after: Option<String>,
    states: Vec<Choice>,
    priorities: Vec<Choice>,
    asked: Asked,
    /// Something but everything is asked for.
    filtered: bool,
    tenants: Vec<String>,
    clinics: Vec<String>,
    /// This person may act.
    may_act: bool,
    /// This page, to come back to.
    here: String,
    done: Option<&'static str>,
}

impl Asked {
    fn link(&self, state: &str, priority: &str, page: usize) -> String {
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
    fn wanted(&self, who: &Person) -> Result<(Wanted, usize), Refusal> {
        let unknown = |name: &str, value: &str| Refusal::Asked(format!("{name}={value}"));
        let which = match self.state.as_str() {
            "" => Which::Open,
            name => Which::In(State::from_name(name).ok_or_else(|| unknown("state", name))?),
        };
        let priority = match self.priority.as_str() {
            "" => None,
            name => {
                let found = PRIORITIES.into_iter().find(|priority| priority.as_str() == name);
                Some(found.ok_or_else(|| unknown("priority", name))?)
            }
        };
        let page = match self.page.as_str() {
            "" => 1,
            number => number
                .parse()
                .ok()
                .filter(|page| (1..=MAX_PAGES).contains(page))
                .ok_or_else(|| unknown("page", number))?,
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

fn counted(counts: &[Count], fits: impl Fn(&Count) -> bool) -> u64 {
    counts
        .iter()
        .filter(|count| fits(count))
        .map(|count| count.alerts)
        .sum()
}

fn states(asked: &Asked, counts: &[Count]) -> Vec<Choice> {
    let in_priority = |count: &Count| asked.priority.is_empty() || count.priority.as_str() == asked.priority;
    let all = Choice {
        name: "open",
        alerts: Some(counted(counts, |c| in_priority(c) && c.state != State::Pending)),
        link: asked.link("", &asked.priority, 1),
        chosen: asked.state.is_empty(),
    };
    let each = STATES.into_iter().map(|state| Choice {
        name: state.as_str(),
        // What is over is not counted: there may be years of it.
        alerts: (state != State::Resolved).then(|| counted(counts, |c| in_priority(c) && c.state == state)),
        link: asked.link(state.as_str(), &asked.priority, 1),
        chosen: asked.state == state.as_str(),
    });
    std::iter::once(all).chain(each).collect()
}

fn priorities(asked: &Asked, counts: &[Count]) -> Vec<Choice> {
    let in_state = |count: &Count| match asked.state.as_str() {
        "" => count.state != State::Pending,
        state => count.state.as_str() == state,
    };
    let over = asked.state == State::Resolved.as_str();
    let all = Choice {
        name: "any",
        alerts: None,
        link: asked.link(&asked.state, "", 1),
        chosen: asked.priority.is_empty(),
    };
    let each = PRIORITIES.into_iter().map(|priority| Choice {
        name: priority.as_str(),
        alerts: (!over).then(|| counted(counts, |c| in_state(c) && c.priority == priority)),
        link: asked.link(&asked.state, priority.as_str(), 1),
        chosen: asked.priority == priority.as_str(),
    });
    std::iter::once(all).chain(each).collect()
}

/// Tenants and clinics that one may choose.
fn places(registry: &registry::Registry, who: &Person, tenant: &str) -> (Vec<String>, Vec<String>) {
    let tenants = registry
        .tenants()
        .map(|tenant| tenant.id.as_str())
        .filter(|id| who.sees(id));
    let own = who.tenant.as_ref().map_or(tenant, |own| own.as_str());
    let clinics = registry.clinics().filter(|clinic| {
        let of = clinic.tenant.as_str();
        who.sees(of) && (own.is_empty() || own == of)
    });
    let clinics: BTreeSet<String> = clinics.map(|clinic| clinic.id.as_str().to_owned()).collect();
    (tenants.map(str::to_owned).collect(), clinics.into_iter().collect())
}

/// What was just done, of the names that have a text.
pub(super) fn done(name: &str) -> Option<&'static str> {
    const DONE: [&str; 8] = [
        "acknowledged",
        "unacknowledged",
        "assigned",
        "unassigned",
        "commented",
        "silenced",
        "silence_ended",
        "over",
    ];
    DONE.into_iter().find(|done| *done == name)
}

fn view(listing: Listing, asked: Asked, page: usize, who: &Person, places: (Vec<String>, Vec<String>)) -> View {
    let pages = usize::try_from(listing.total)
        .unwrap_or(usize::MAX)
        .div_ceil(PAGE)
        .clamp(1, MAX_PAGES);
    let turn = |to: usize| asked.link(&asked.state, &asked.priority, to);
    let parts = [
        &asked.tenant,
        &asked.clinic,
        &asked.device,
        &asked.rule,
        &asked.state,
        &asked.priority,
    ];
    View {
        alerts: listing.alerts.into_iter().map(Row::from).collect(),
        total: listing.total,
        page,
        pages,
        before: (page > 1).then(|| turn(page.min(pages + 1) - 1)),
        after: (page < pages).then(|| turn(page + 1)),
        states: states(&asked, &listing.counts),
        priorities: priorities(&asked, &listing.counts),
        filtered: parts.iter().any(|part| !part.is_empty()),
        tenants: places.0,
        clinics: places.1,
        may_act: who.may(Role::Responder),
        here: turn(page),
        done: done(&asked.done),
        asked,
    }
}

impl Page for Inbox {
    const TEMPLATE: &'static str = "inbox.html";
    const SECTION: &'static str = "alerts";
    type Path = ();
    type Query = Asked;
    type View = View;

    async fn view(console: &Console, who: &Person, _path: (), mut asked: Asked) -> Result<View, Refusal> {
        if who.tenant.is_some() {
            // There is no choice.
            asked.tenant.clear();
        }
        let (wanted, page) = asked.wanted(who)?;
        let listing = console.alerts.list(wanted, (page - 1) * PAGE, PAGE).await;
        let listing = listing.map_err(|error| Refusal::failed("the list of alerts", error))?;
        let places = places(&console.registry.current(), who, &asked.tenant);
        Ok(view(listing, asked, page, who, places))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn count(state: State, priority: Priority, alerts: u64) -> Count {
        Count {
            state,
            priority,
            alerts,
        }
    }

    #[test]
    fn a_choice_says_how_many_alerts_it_would_show_and_keeps_the_other_choices() {
        let asked = Asked {
            clinic: "north wing".to_owned(),
            priority: "high".to_owned(),
            ..Asked::default()
        };
        let counts = [
            count(State::Firing, Priority::High, 3),
            count(State::Firing, Priority::Low, 5),
            count(State::Pending, Priority::High, 7),
            count(State::Acknowledged, Priority::High, 11),
        ];
        let states = states(&asked, &counts);
        let shown: Vec<_> = states.iter().map(|c| (c.name, c.alerts)).collect();
        assert_eq!(shown[0], ("open", Some(14)));
        assert_eq!(shown[1], ("firing", Some(3)));
        assert_eq!(shown[5], ("pending", Some(7)));
        assert_eq!(shown[6], ("resolved", None));
        assert_eq!(states[1].link, "/?clinic=north%20wing&state=firing&priority=high");
        let priorities = priorities(&asked, &counts);
        let shown: Vec<_> = priorities.iter().map(|c| (c.name, c.alerts, c.chosen)).collect();
        assert_eq!(shown[1], ("high", Some(14), true));
        assert_eq!(shown[3], ("low", Some(5), false));
    }

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
