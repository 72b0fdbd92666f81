//! The pipeline: how much comes in, how far readers are behind and for how long there is room, what is red, and what was refused.
pub(crate) mod replay;

use gateway::quarantine::{Filter, Kept, Shown};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service::health::ConditionReport;
use telemetry::RejectReason;

use self::replay::Outcome;
use super::Page;
use crate::access::{Person, Role};
use crate::answer::Refusal;
use crate::console::Console;
use crate::known::in_time;
use crate::pipeline::{Figures, Log};

pub(crate) struct Pipeline;

/// Most refused messages of the page.
const MAX_REFUSED: usize = 100;
/// Most of them that are looked at for one tenant's.
const MAX_LOOKED_AT: usize = 2_000;

/// What is asked of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    reason: Option<String>,
    /// What became of what was just replayed, for the message above.
    done: Option<String>,
}

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PipelineView")]
pub(crate) struct View {
    /// Whether every condition is green.
    ready: bool,
    /// Every condition, green or red.
    conditions: Vec<ConditionReport>,
    /// What only other processes know, and where to ask them; `null`: nothing.
    elsewhere: Option<String>,
    /// `null`: the process has just begun, or others have what is counted.
    figures: Option<Figures>,
    /// `null`: the process has not run for some minutes.
    rates: Option<Rates>,
    /// The logs, each with how long it lasts.
    logs: Vec<LogRow>,
    /// Refused messages, newest first; of a tenant's own devices for a person of a tenant.
    refused: Vec<Shown>,
    /// The reason that was asked for.
    reason: Option<String>,
    /// All reasons there are.
    reasons: Vec<&'static str>,
    /// Always `null` here: a message above the page.
    #[schemars(with = "Option<()>")]
    done: Option<Outcome>,
    /// Whoever asks may let them in again.
    may_replay: bool,
}

/// What happens in a second, over the last minutes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Rates {
    /// Over how many seconds.
    over_s: f64,
    /// Messages that were let in; `null`, as the next two: other processes know.
    messages_per_s: Option<f64>,
    /// Messages that were refused.
    refused_per_s: Option<f64>,
    /// Points that the store took.
    points_per_s: Option<f64>,
    /// Pages that left.
    pages_per_s: f64,
}

/// A log, and how long it lasts.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct LogRow {
    #[serde(flatten)]
    log: Log,
    /// What its slowest reader has not read, in per cent of what it may take.
    full_percent: u64,
    /// How its backlog moves.
    room: Room,
}

/// How a backlog moves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(crate) enum Room {
    /// Its readers keep up.
    Even,
    /// It grows: full in so many hours at this rate.
    Fills {
        /// Hours.
        hours: f64,
    },
    /// It shrinks: read in so many hours at this rate.
    Drains {
        /// Hours.
        hours: f64,
    },
    /// It stands, or nobody knows yet.
    Stands,
}

/// A backlog below this is no backlog: readers are always a little behind.
const EVEN_BYTES: u64 = 256 * 1024;

fn slowest(log: &Log) -> u64 {
    log.readers.iter().map(|reader| reader.backlog_bytes).max().unwrap_or(0)
}

/// How long a log lasts: from its slowest reader's backlog now and some minutes ago.
fn room(now: &Log, before: Option<&Log>, seconds: f64) -> Room {
    let backlog = slowest(now);
    if backlog < EVEN_BYTES {
        return Room::Even;
    }
    let Some(before) = before.filter(|_| seconds > 0.0) else {
        return Room::Stands;
    };
    let grown_per_s = (backlog as f64 - slowest(before) as f64) / seconds;
    let hours = |bytes: u64, rate: f64| bytes as f64 / rate / 3_600.0;
    if grown_per_s >= 1.0 {
        Room::Fills {
            hours: hours(now.cap_bytes.saturating_sub(backlog), grown_per_s),
        }
    } else if grown_per_s <= -1.0 {
        Room::Drains {
            hours: hours(backlog, -grown_per_s),
        }
    } else {
        Room::Stands
    }
}

fn log_rows(now: &Figures, before: Option<&Figures>) -> Vec<LogRow> {
    let seconds = before.map_or(0.0, |before| (now.at_us - before.at_us) as f64 / 1e6);
    let row = |log: &Log| LogRow {
        full_percent: slowest(log).saturating_mul(100) / log.cap_bytes.max(1),
        room: room(
            log,
            before.and_then(|before| before.logs.iter().find(|other| other.name == log.name)),
            seconds,
        ),
        log: log.clone(),
    };
    now.logs.iter().map(row).collect()
}

/// Rates; `apart`: of alerting alone.
fn rates(now: &Figures, before: &Figures, apart: bool) -> Option<Rates> {
    let over_s = (now.at_us - before.at_us) as f64 / 1e6;
    let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / over_s;
    let here = |now: u64, before: u64| (!apart).then(|| rate(now, before));
    (over_s > 0.0).then(|| Rates {
        over_s,
        messages_per_s: here(now.messages, before.messages),
        refused_per_s: here(now.refused, before.refused),
        points_per_s: here(now.points, before.points),
        pages_per_s: rate(now.pages, before.pages),
    })
}

/// Whether a refused message is for this person: of its tenant's devices, or everything for whoever sees all.
fn is_for(who: &Person, kept: &Kept) -> bool {
    let owner = kept.share.as_deref().and_then(|share| share.split_once('/'));
    who.tenant.is_none() || owner.is_some_and(|(tenant, _)| who.sees(tenant))
}

/// The refused messages that this person may see.
pub(crate) async fn refused(
    console: &Console,
    who: &Person,
    reason: Option<RejectReason>,
) -> Result<Vec<Kept>, Refusal> {
    let filter = Filter {
        reason,
        replayed_too: true,
        ..Filter::default()
    };
    // Another process has it, and the page says so.
    let Some(gateway) = console.gateway.clone() else {
        return Ok(Vec::new());
    };
    let asked = tokio::task::spawn_blocking(move || gateway.quarantine().latest(&filter, MAX_LOOKED_AT));
    let kept = in_time("the quarantine", async {
        asked
            .await
            .map_err(std::io::Error::other)?
            .map_err(std::io::Error::other)
    });
    let kept = kept.await?.into_iter().filter(|kept| is_for(who, kept));
    Ok(kept.take(MAX_REFUSED).collect())
}

/// How everything is. Whoever belongs to one tenant is told what is red, and of the words those about that tenant alone.
fn conditions(console: &Console, who: &Person) -> Vec<ConditionReport> {
    let Some(tenant) = &who.tenant else {
        return console.health.report();
    };
    let mut conditions = console.health.report_to(tenant.as_str());
    let others = console.templates.texts().get("pipeline.not_yours");
    for condition in conditions.iter_mut().filter(|c| !c.green && c.reason.is_empty()) {
        condition.reason = others.to_owned();
    }
    conditions
}

pub(crate) fn reason_of(label: Option<&str>) -> Result<Option<RejectReason>, Refusal> {
    let unknown = |label: &str| Refusal::Asked(format!("no reason is called {label}"));
    label
        .filter(|label| !label.is_empty())
        .map(|label| RejectReason::from_label(label).ok_or_else(|| unknown(label)))
        .transpose()
}

impl Page for Pipeline {
    const TEMPLATE: &'static str = "pipeline.html";
    const SECTION: &'static str = "pipeline";
    type Path = ();
    type Query = Wanted;
    type View = View;

    async fn view(console: &Console, who: &Person, _path: (), wanted: Wanted) -> Result<View, Refusal> {
        let reason = reason_of(wanted.reason.as_deref())?;
        let refused = refused(console, who, reason).await?;
        let conditions = conditions(console, who);
        // What all tenants together do is for whoever looks after all.
        let known = console.pipeline.figures().filter(|_| who.tenant.is_none());
        let (figures, before) = known.map_or((None, None), |(now, before)| (Some(now), before));
        let apart = console.gateway.is_none();
        let texts = console.templates.texts();
        Ok(View {
            elsewhere: apart.then(|| texts.get("apart.pipeline").to_owned()),
            ready: conditions.iter().all(|condition| condition.green),
            conditions,
            rates: figures
                .as_ref()
                .zip(before.as_ref())
                .and_then(|(now, before)| rates(now, before, apart)),
            logs: figures
                .as_ref()
                .map(|now| log_rows(now, before.as_ref()))
                .unwrap_or_default(),
            figures: figures.filter(|_| !apart),
            refused: refused.into_iter().map(Shown::from).collect(),
            reason: wanted.reason.filter(|reason| !reason.is_empty()),
            reasons: RejectReason::ALL.iter().map(|reason| reason.as_str()).collect(),
            done: wanted.done.and_then(|done| done.parse().ok()),
            may_replay: who.may(Role::Lead) && console.gateway.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Reader;

    fn log(backlog_bytes: u64) -> Log {
        Log {
            name: "telemetry".to_owned(),
            cap_bytes: 10_000_000,
            readers: vec![
                Reader {
                    backlog_bytes,
                    ..Reader::default()
                },
                Reader::default(),
            ],
            ..Log::default()
        }
    }

    #[test]
    fn a_backlog_says_in_how_many_hours_it_is_full_or_read_at_its_own_rate() {
        // 3.6 MB more in an hour; 4.6 MB are left.
        let fills = room(&log(5_400_000), Some(&log(1_800_000)), 3_600.0);
        assert_eq!(
            fills,
            Room::Fills {
                hours: 4_600_000.0 / 3_600_000.0
            }
        );
        let drains = room(&log(900_000), Some(&log(1_800_000)), 60.0);
        assert_eq!(drains, Room::Drains { hours: 60.0 / 3_600.0 });
        assert_eq!(room(&log(900_000), Some(&log(900_000)), 60.0), Room::Stands);
        assert_eq!(room(&log(900_000), None, 0.0), Room::Stands);
        assert_eq!(room(&log(1_000), Some(&log(9_000_000)), 60.0), Room::Even);
    }

    #[test]
    fn rates_are_differences_and_a_counter_that_began_anew_is_no_negative_rate() {
        let at = |at_us, messages, points| Figures {
            at_us,
            messages,
            points,
            ..Figures::default()
        };
        let told = rates(&at(70_000_000, 700, 5), &at(10_000_000, 100, 9), false);
        let told = told.map(|rates| (rates.over_s, rates.messages_per_s, rates.points_per_s));
        assert_eq!(told, Some((60.0, Some(10.0), Some(0.0))));
        assert_eq!(rates(&at(0, 1, 1), &at(0, 0, 0), false), None);
        // What another process counts is not 0 here.
        let apart = rates(&at(70_000_000, 0, 0), &at(10_000_000, 0, 0), true);
        assert_eq!(apart.and_then(|rates| rates.messages_per_s), None);
    }
}
