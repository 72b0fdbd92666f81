//! The inbox: the alerts that need somebody, the most urgent first, filtered by what stands in the address.
mod asked;
mod choices;

use std::collections::BTreeSet;

use alerting::store::Listing;
use registry::Registry;
use schemars::JsonSchema;
use serde::Serialize;

use super::Page;
use super::row::Row;
use crate::access::{Person, Role};
use crate::answer::Refusal;
use crate::console::Console;
use asked::{Asked, MAX_PAGES};
use choices::{Choice, priorities, states};

/// Alerts of one page.
const PAGE: usize = 50;
pub(crate) struct Inbox;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "InboxView")]
pub(crate) struct View {
    /// At most 50: what needs a person first, then the most urgent, then the newest.
    alerts: Vec<Row>,
    /// How many there are in all.
    total: u64,
    /// Which page this is, from 1.
    page: usize,
    /// How many pages there are.
    pages: usize,
    /// Where the page before this one is.
    before: Option<String>,
    /// Where the page after this one is.
    after: Option<String>,
    /// The states that one may choose, with how many alerts each would show.
    states: Vec<Choice>,
    /// The priorities that one may choose, with how many alerts each would show.
    priorities: Vec<Choice>,
    /// What was asked for.
    asked: Asked,
    /// Something but everything is asked for.
    filtered: bool,
    /// Tenants that one may choose.
    tenants: Vec<String>,
    /// Clinics that one may choose.
    clinics: Vec<String>,
    /// This person may act.
    may_act: bool,
    /// This page, to come back to.
    here: String,
    /// Always `null` here: a message above the page.
    done: Option<&'static str>,
}

/// Tenants and clinics that one may choose.
fn places(registry: &Registry, who: &Person, tenant: &str) -> (Vec<String>, Vec<String>) {
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

fn view(listing: Listing, asked: Asked, page: usize, who: &Person, registry: &Registry) -> View {
    let places = places(registry, who, &asked.tenant);
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
        alerts: (listing.alerts.into_iter())
            .map(|alert| Row::new(alert, registry))
            .collect(),
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
        Ok(view(listing, asked, page, who, &console.registry.current()))
    }
}
