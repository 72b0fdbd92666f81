//! The inbox: the alerts that need somebody, the most urgent first, filtered by what stands in the address.
mod asked;
mod choices;
mod groups;

use std::collections::BTreeSet;

use alerting::store::{Count, MAX_OF_DEVICE};
use registry::Registry;
use schemars::JsonSchema;
use serde::Serialize;

use super::Page;
use super::row::Row;
use crate::access::{Person, Role};
use crate::answer::Refusal;
use crate::console::Console;
use asked::{Asked, By, MAX_PAGES};
use choices::{Choice, priorities, states};
use groups::Group;

/// Alerts of one page.
const PAGE: usize = 50;
/// Devices of one page.
const DEVICES: usize = 25;

/// The inbox as a page: by device, so that a flood stays readable.
pub(crate) struct Inbox;

/// The same as JSON: one by one if nothing else is asked for.
pub(crate) struct Listed;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "InboxView")]
pub(crate) struct View {
    /// At most 50: what needs a person first, then the most urgent, then the newest. Empty where they stand by device.
    alerts: Vec<Row>,
    /// With `by=device` at most 25: the alerts of each device behind its most urgent one, which the groups are ordered by.
    groups: Vec<Group>,
    /// With `by=device`: how many groups there are in all.
    groups_total: Option<u64>,
    /// How many alerts there are in all.
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
    /// The same one by one, or by device.
    otherwise: String,
    /// Something but everything is asked for.
    filtered: bool,
    /// Tenants that one may choose.
    tenants: Vec<String>,
    /// Clinics that one may choose.
    clinics: Vec<String>,
    /// Clinics that another alerting instance looks after: their alerts are in its inbox.
    elsewhere: usize,
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

/// What alerting has of it.
struct Found {
    alerts: Vec<Row>,
    groups: Vec<Group>,
    groups_total: Option<u64>,
    total: u64,
    counts: Vec<Count>,
}

fn view(found: Found, asked: Asked, page: usize, who: &Person, (registry, elsewhere): (&Registry, usize)) -> View {
    let places = places(registry, who, &asked.tenant);
    let (rows, per_page, otherwise) = match found.groups_total {
        Some(groups) => (groups, DEVICES, By::Alert),
        None => (found.total, PAGE, By::Device),
    };
    let pages = usize::try_from(rows)
        .unwrap_or(usize::MAX)
        .div_ceil(per_page)
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
        alerts: found.alerts,
        groups: found.groups,
        groups_total: found.groups_total,
        total: found.total,
        page,
        pages,
        before: (page > 1).then(|| turn(page.min(pages + 1) - 1)),
        after: (page < pages).then(|| turn(page + 1)),
        states: states(&asked, &found.counts),
        priorities: priorities(&asked, &found.counts),
        otherwise: asked.link_by(otherwise),
        filtered: parts.iter().any(|part| !part.is_empty()),
        tenants: places.0,
        clinics: places.1,
        elsewhere,
        may_act: who.may(Role::Responder),
        here: turn(page),
        done: done(&asked.done),
        asked,
    }
}

async fn shown(console: &Console, who: &Person, mut asked: Asked, usual: By) -> Result<View, Refusal> {
    if who.tenant.is_some() {
        // There is no choice.
        asked.tenant.clear();
    }
    let (wanted, page) = asked.wanted(who)?;
    let by = asked.by(usual)?;
    let registry = console.registry.current();
    let row = |alert| Row::new(alert, &registry);
    let failed = |error| Refusal::failed("the list of alerts", error);
    let found = match by {
        By::Alert => {
            let listing = console.alerts.list(wanted, (page - 1) * PAGE, PAGE).await;
            let listing = listing.map_err(failed)?;
            Found {
                alerts: listing.alerts.into_iter().map(row).collect(),
                groups: Vec::new(),
                groups_total: None,
                total: listing.total,
                counts: listing.counts,
            }
        }
        By::Device => {
            let from = (page - 1) * DEVICES;
            let grouped = console
                .alerts
                .list_by_device(wanted, from, DEVICES, MAX_OF_DEVICE)
                .await;
            let grouped = grouped.map_err(failed)?;
            let groups = grouped.groups.into_iter();
            Found {
                alerts: Vec::new(),
                groups: groups.filter_map(|group| Group::new(group, &asked, row)).collect(),
                groups_total: Some(grouped.total),
                total: grouped.each.total,
                counts: grouped.each.counts,
            }
        }
    };
    let others =
        |clinic: &registry::Clinic| who.sees(clinic.tenant.as_str()) && !console.owns(&clinic.tenant, &clinic.id);
    let elsewhere = registry.clinics().filter(|clinic| others(clinic)).count();
    Ok(view(found, asked, page, who, (&registry, elsewhere)))
}

impl Page for Inbox {
    const TEMPLATE: &'static str = "inbox.html";
    const SECTION: &'static str = "alerts";
    type Path = ();
    type Query = Asked;
    type View = View;

    async fn view(console: &Console, who: &Person, _path: (), asked: Asked) -> Result<View, Refusal> {
        shown(console, who, asked, By::Device).await
    }

    fn also_asked(view: &View) -> &'static str {
        match view.groups_total.is_some() && view.asked.by.is_empty() {
            true => "by=device",
            false => "",
        }
    }
}

impl Page for Listed {
    const TEMPLATE: &'static str = Inbox::TEMPLATE;
    const SECTION: &'static str = Inbox::SECTION;
    type Path = ();
    type Query = Asked;
    type View = View;

    async fn view(console: &Console, who: &Person, _path: (), asked: Asked) -> Result<View, Refusal> {
        shown(console, who, asked, By::Alert).await
    }
}
