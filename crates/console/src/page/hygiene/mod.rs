//! The sterilization board: what is overdue, due and done, which cycle did not pass and what it affects, and what was told lately.
//! What was done is recorded here in three taps, or by a scanner that types a name and an enter.
pub(crate) mod record;
pub(crate) mod scan;

use alerting::board::{Board as Standings, ItemStanding, Place, Standing, SterilizerStanding};
use ingestor::read::{HygieneAsk, HygieneEvent, Scope, Span};
use registry::Registry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::{ClinicId, DeviceId, DeviceKey, DisinfectionLevel, TenantId};

use super::Page;
use super::fleet::worst;
use crate::access::{Person, Role};
use crate::answer::Refusal;
use crate::console::Console;
use crate::known::{Known, in_time, stored};

pub(crate) struct Board;

/// What was told in this time is shown.
const TOLD_US: i64 = 7 * 86_400_000_000;
/// Most items of one section of the page; how many there are in all stands beside.
const MAX_SHOWN: usize = 100;
/// Most events of the page.
const MAX_TOLD: usize = 100;

/// What is asked of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    tenant: Option<TenantId>,
    clinic: Option<ClinicId>,
    /// What was just recorded, for the message above.
    done: Option<String>,
    /// The device or sterilizer of which that was.
    recorded: Option<DeviceId>,
}

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SterilizationView")]
pub(crate) struct View {
    /// The tenant.
    tenant: String,
    /// The tenants among which a person may choose.
    tenants: Vec<String>,
    /// The clinic; `null`: all.
    clinic: Option<String>,
    /// The clinics of the tenant that are judged here: id and name.
    clinics: Vec<(String, String)>,
    /// How many of its clinics other alerting instances judge.
    elsewhere: usize,
    /// Time zone of the clinic, or of the first one, by its IANA name.
    time_zone: String,
    /// Always `null` here: a message above the page.
    done: Option<String>,
    /// Always `null` here: the device or sterilizer that this message is about.
    recorded: Option<String>,
    /// Items whose last cycle did not pass.
    failed: Vec<Entry>,
    /// Items for which something is overdue.
    overdue: Vec<Entry>,
    /// Items for which something is due.
    due: Vec<Entry>,
    /// Devices for which nothing is owed.
    fine: Vec<Entry>,
    /// Items that are no devices and have nothing against them.
    others: Vec<ItemStanding>,
    /// How many there are in all of what is above; at most 100 of each are shown.
    totals: Totals,
    /// The sterilizers.
    sterilizers: Vec<SterilizerStanding>,
    /// There are more items than are looked at.
    cut: bool,
    /// What was told within seven days, newest first.
    told: Known<Vec<HygieneEvent>>,
    /// Whoever asks may record.
    may_record: bool,
    /// Drawn anew for each page: a form that is sent twice is one record.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<u64>,
}

/// An item, and the disinfection that is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "BoardItem")]
pub(crate) struct Entry {
    #[serde(flatten)]
    item: ItemStanding,
    /// Level of disinfection that is asked for.
    #[schemars(with = "DisinfectionLevel")]
    level: &'static str,
    /// Shortest contact time that counts, in seconds; `null`: none is asked for.
    contact_time_min_s: Option<u64>,
}

/// How many items stand in each section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "BoardTotals")]
pub(crate) struct Totals {
    /// Items whose last cycle did not pass.
    failed: usize,
    /// Items for which something is overdue.
    overdue: usize,
    /// Items for which something is due.
    due: usize,
    /// Devices for which nothing is owed.
    fine: usize,
    /// Other items.
    others: usize,
}

/// The board by what has to be done.
#[derive(Debug, Default, PartialEq)]
struct Sorted {
    failed: Vec<Entry>,
    overdue: Vec<Entry>,
    due: Vec<Entry>,
    fine: Vec<Entry>,
    others: Vec<ItemStanding>,
}

/// `asked`: the level of disinfection that is asked for, and the shortest contact time that counts.
fn sorted(board: &Standings, asked: impl Fn(&ItemStanding) -> (&'static str, Option<u64>)) -> Sorted {
    let mut sorted = Sorted::default();
    for item in &board.items {
        let entry = || {
            let (level, contact_time_min_s) = asked(item);
            Entry {
                item: item.clone(),
                level,
                contact_time_min_s,
            }
        };
        if item.failed.is_some() {
            sorted.failed.push(entry());
        }
        match worst(item.sterilization, item.disinfection) {
            Standing::Overdue => sorted.overdue.push(entry()),
            Standing::Due => sorted.due.push(entry()),
            // A device is shown even if nothing is asked of it: it can be wiped.
            // Nothing is in order that was in a failed cycle, whatever is owed.
            Standing::Done | Standing::NotAsked if item.failed.is_some() => {}
            Standing::Done | Standing::NotAsked if item.clinic.is_some() => sorted.fine.push(entry()),
            Standing::Done | Standing::NotAsked => sorted.others.push(item.clone()),
        }
    }
    sorted
}

/// Keeps what a page shows, and says how many there were.
fn cut<T>(list: &mut Vec<T>) -> usize {
    let all = list.len();
    list.truncate(MAX_SHOWN);
    all
}

/// The tenant that is shown: the asked one, or the first that this person sees.
pub(crate) fn tenant_of(registry: &Registry, who: &Person, wanted: Option<&TenantId>) -> Option<TenantId> {
    let mut seen = registry.tenants().filter(|tenant| who.sees(tenant.id.as_str()));
    seen.find(|tenant| wanted.is_none_or(|wanted| *wanted == tenant.id))
        .map(|tenant| tenant.id.clone())
}

impl Page for Board {
    const TEMPLATE: &'static str = "hygiene.html";
    const SECTION: &'static str = "sterilization";
    type Path = ();
    type Query = Wanted;
    type View = View;

    async fn view(console: &Console, who: &Person, _path: (), wanted: Wanted) -> Result<View, Refusal> {
        let registry = console.registry.current();
        let tenant = tenant_of(&registry, who, wanted.tenant.as_ref()).ok_or(Refusal::NotFound)?;
        let all = registry.clinics_of(&tenant);
        let (clinics, elsewhere): (Vec<_>, Vec<_>) = all.partition(|clinic| console.owns(&tenant, &clinic.id));
        let clinic = wanted.clinic.as_ref();
        if let Some(wanted) = clinic {
            let mut known = clinics.iter().chain(&elsewhere);
            known.find(|clinic| clinic.id == *wanted).ok_or(Refusal::NotFound)?;
            console.own(&tenant, wanted)?;
        }
        let shown = clinics
            .iter()
            .find(|known| clinic.is_none_or(|clinic| known.id == *clinic));
        let place = Place {
            tenant: tenant.clone(),
            clinic: wanted.clinic.clone(),
        };
        let board = in_time("the sterilization board", console.alerts.hygiene(place)).await?;
        let now_us = console.now().0;
        let ask = HygieneAsk {
            scope: Scope {
                tenant: tenant.clone(),
                clinic: wanted.clinic.clone(),
                device: None,
            },
            span: Span {
                from_us: now_us - TOLD_US,
                to_us: now_us + 86_400_000_000,
            },
            about: None,
            what: None,
            newest_first: true,
            limit: MAX_TOLD,
        };
        let mut told = stored(console, |store| async move { store.hygiene(&ask).await }).await;
        // The store has them as they came; people read when they were.
        told.value
            .iter_mut()
            .for_each(|told| told.sort_by_key(|event| std::cmp::Reverse(event.at_us)));
        let asked = |item: &ItemStanding| {
            let device = item.name.parse().ok().map(|device| DeviceKey {
                tenant: tenant.clone(),
                device,
            });
            let policy = device.and_then(|key| registry.policy(&key));
            policy.map_or(("intermediate", None), |policy| {
                let contact = policy.disinfection_contact_time_min;
                (policy.disinfection_level.as_str(), contact.map(|least| least.as_secs()))
            })
        };
        let mut sorted = sorted(&board, asked);
        let totals = Totals {
            failed: cut(&mut sorted.failed),
            overdue: cut(&mut sorted.overdue),
            due: cut(&mut sorted.due),
            fine: cut(&mut sorted.fine),
            others: cut(&mut sorted.others),
        };
        let tenants = registry.tenants().map(|tenant| tenant.id.to_string());
        let may_record = who.may(Role::Responder) && console.gateway.is_some();
        Ok(View {
            tenants: tenants.filter(|tenant| who.sees(tenant)).collect(),
            clinic: wanted.clinic.map(|clinic| clinic.to_string()),
            clinics: clinics.iter().map(|c| (c.id.to_string(), c.name.clone())).collect(),
            elsewhere: elsewhere.len(),
            time_zone: shown.map_or_else(|| "UTC".to_owned(), |clinic| clinic.time_zone.clone()),
            done: wanted.done.filter(|done| done.len() <= 128),
            recorded: wanted.recorded.map(|device| device.to_string()),
            failed: sorted.failed,
            overdue: sorted.overdue,
            due: sorted.due,
            fine: sorted.fine,
            others: sorted.others,
            totals,
            sterilizers: board.sterilizers,
            cut: board.cut,
            told,
            request: may_record.then(rand::random),
            may_record,
            tenant: tenant.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use alerting::board::{Disinfection, FailedStanding};

    use super::*;

    fn item(name: &str, sterilization: Standing, disinfection: Disinfection, failed: bool) -> ItemStanding {
        ItemStanding {
            name: name.to_owned(),
            clinic: name.starts_with("pen").then(|| "north".to_owned()),
            model: None,
            sterilized_at_us: None,
            sterilization,
            sterilization_due_us: None,
            uses: 0,
            uses_allowed: None,
            failed: failed.then(|| FailedStanding {
                sterilizer: "autoclave-1".to_owned(),
                cycle: "c2".to_owned(),
                ended_at_us: 0,
                used_since: 0,
                used_by: None,
            }),
            wiped: None,
            disinfection,
        }
    }

    #[test]
    fn the_worst_of_sterilization_and_disinfection_says_where_an_item_stands() {
        let board = Standings {
            items: vec![
                item("pen-1", Standing::Done, Disinfection::Missing, false),
                item("pen-2", Standing::Overdue, Disinfection::Done, true),
                item("pen-3", Standing::Done, Disinfection::BeforeNext, false),
                item("pen-4", Standing::NotAsked, Disinfection::InUse, false),
                item("tip-1", Standing::NotAsked, Disinfection::NotAsked, false),
                item("tip-2", Standing::NotAsked, Disinfection::NotAsked, true),
                item("pen-5", Standing::Done, Disinfection::Done, true),
            ],
            ..Standings::default()
        };
        let sorted = sorted(&board, |_| ("high", Some(60)));
        let names = |entries: &[Entry]| {
            entries
                .iter()
                .map(|e| e.item.name.clone())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(names(&sorted.failed), "pen-2 tip-2 pen-5");
        assert_eq!(
            (names(&sorted.overdue), names(&sorted.due)),
            ("pen-1 pen-2".into(), "pen-3".into())
        );
        assert_eq!((names(&sorted.fine), sorted.others.len()), ("pen-4".into(), 1));
        assert_eq!(
            (sorted.due[0].level, sorted.due[0].contact_time_min_s),
            ("high", Some(60))
        );
        let mut many = vec![(); MAX_SHOWN + 7];
        assert_eq!((cut(&mut many), many.len()), (MAX_SHOWN + 7, MAX_SHOWN));
    }
}
