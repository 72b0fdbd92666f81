//! Why an alert fired, what caused it, how long each step took, who was told and what came back: a pure function over the
//! alert, its rows of the journal and its evidence. Nothing is asked of rules or registry as they are now.
use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use telemetry::UnixMicros;

use super::readings::{FrameShown, shown};
use crate::api::Shown as AlertShown;
use crate::engine::{Alert, Raised};
use crate::id::TransitionId;
use crate::lifecycle::State;
use crate::store::KeptFrame;
use crate::store::journal::{EntryKind, Row};

/// All that is known of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Explanation {
    /// The alert as it stands.
    pub alert: AlertShown,
    /// What was in force when it was raised, and what raised it; `None`: an older program raised it.
    pub raised: Option<Raised>,
    /// The frames that were kept as evidence, oldest first.
    pub evidence: Vec<FrameShown>,
    /// How long each step took, from the reading to the acknowledgement.
    pub delays: Vec<Delay>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// Who was told, or was to be, and what came back.
    pub told: Vec<Told>,
    /// What held a first page back, or took its place.
    pub held: Vec<Held>,
    /// What people and other instances did, and what else happened to its pages.
    pub happenings: Vec<Happening>,
    /// What cannot be said, and why.
    pub missing: Vec<String>,
}

/// A moment on the way, and how long after the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Delay {
    /// What was reached.
    pub reached: String,
    /// When.
    pub at: UnixMicros,
    /// Microseconds after the moment before; below 0: its clock is behind.
    pub after_us: i64,
}

/// A step of the alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "AlertStep")]
pub struct Step {
    /// Row of the journal.
    pub n: i64,
    /// When it was committed.
    pub at: UnixMicros,
    /// Its id.
    pub transition: String,
    /// Before.
    #[schemars(with = "State")]
    pub from: String,
    /// After.
    #[schemars(with = "State")]
    pub to: String,
    /// Why.
    pub why: String,
    /// A person had to be told.
    pub page: bool,
    /// The instance that had told it already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told_by: Option<String>,
}

/// How a page came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(rename = "PageOutcome")]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It has not come out yet.
    #[default]
    Waits,
    /// The receiver has it.
    Delivered,
    /// The receiver never will have it.
    Undelivered,
    /// It was taken back before it left: a person knows, or it is over.
    Cancelled,
    /// A later call took its place.
    #[serde(rename = "superseded by a later call")]
    Superseded,
}

impl Outcome {
    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waits => "waits",
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded by a later call",
        }
    }
}

/// One page to one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default, JsonSchema)]
#[schemars(rename = "PageTold")]
pub struct Told {
    /// The receiver.
    pub receiver: String,
    /// The step that it tells of, or the page of a chain's step.
    pub page: String,
    /// Which step of which chain, and why this receiver; empty where there is no chain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// The plan's chain whose step it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// That step, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// Why this receiver, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// When it was put into the outbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned_at: Option<UnixMicros>,
    /// Before this it does not leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<UnixMicros>,
    /// It leaves in a digest.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_digest: bool,
    /// The receiver that did not take it, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
    /// Attempts: all of the first eight, then fewer.
    pub attempts: Vec<Attempt>,
    /// How many attempts there were in the end.
    pub attempts_in_all: u64,
    /// How it came out, or that it waits.
    pub outcome: Outcome,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<UnixMicros>,
    /// The receipt, or why it never will arrive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// The receiver may have got it more than once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub possible_repeat: bool,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Attempt {
    /// Which one, from 1.
    pub attempt: u64,
    /// When it began.
    pub at: UnixMicros,
    /// When it had failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<UnixMicros>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What held a page back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Held {
    /// When.
    pub at: UnixMicros,
    /// By what.
    pub by: String,
    /// Until when at the longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMicros>,
}

/// Anything else that stands in the journal about it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Happening {
    /// Row of the journal.
    pub n: i64,
    /// When.
    pub at: UnixMicros,
    /// Kind of the row.
    pub what: String,
    /// Who, if a person or an instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// What the row holds: the fields of its kind in the documentation of the journal.
    #[schemars(with = "Map<String, Value>")]
    pub says: Value,
    /// What the person wrote, if that was asked for and not erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or_default().to_owned()
}

fn time(body: &Value, name: &str) -> Option<UnixMicros> {
    body[name].as_i64().map(UnixMicros)
}

/// Explains an alert by its rows of the journal, in their order, and the frames that were kept by transition.
pub fn explain(alert: &Alert, rows: &[Row], evidence: &BTreeMap<TransitionId, Vec<KeptFrame>>) -> Explanation {
    let raised = alert.raised.as_deref().cloned();
    let steps: Vec<Step> = rows
        .iter()
        .filter(|row| is(row, EntryKind::Transition))
        .map(step)
        .collect();
    let told = told(rows);
    let mut missing = Vec::new();
    if raised.is_none() {
        missing.push("an older version raised it and did not keep what was in force".to_owned());
    }
    if steps.first().is_none_or(|step| step.from != "inactive") {
        missing.push("the journal begins after it was raised: older rows were cut off".to_owned());
    }
    let evidence = frames(&raised, evidence);
    if evidence.is_empty() {
        missing.push(
            "no frame is kept as evidence: no frame caused it, or the evidence was forgotten at its bound".to_owned(),
        );
    }
    let trimmed = evidence.iter().filter(|frame| frame.missing.is_some()).count();
    if trimmed > 0 {
        missing.push(format!(
            "{trimmed} frames of the evidence cannot be shown: each says why"
        ));
    }
    Explanation {
        delays: delays(alert, raised.as_ref(), rows, &told),
        alert: AlertShown::from(alert.clone()),
        held: held(rows),
        happenings: happenings(rows),
        raised,
        evidence,
        steps,
        told,
        missing,
    }
}

fn is(row: &Row, kind: EntryKind) -> bool {
    row.kind == kind.as_str()
}

fn step(row: &Row) -> Step {
    let body = &row.body;
    Step {
        n: row.n,
        at: row.at,
        transition: text(body, "transition"),
        from: text(body, "from"),
        to: text(body, "to"),
        why: text(body, "why"),
        page: body["page"] == true,
        told_by: body["told_by"].as_str().map(str::to_owned),
    }
}

/// Each frame once; one that was trimmed for one step may have been kept for another.
fn frames(raised: &Option<Raised>, evidence: &BTreeMap<TransitionId, Vec<KeptFrame>>) -> Vec<FrameShown> {
    let cause = raised.as_ref().map(|raised| &raised.cause["reading"]);
    let first = cause.and_then(|cause| Some((cause["boot"].as_u64()?, cause["ordinal"].as_u64()?)));
    let mut kept: BTreeMap<u64, &KeptFrame> = BTreeMap::new();
    for frame in evidence.values().flatten() {
        let known = kept.entry(frame.0).or_insert(frame);
        if known.1.is_none() {
            *known = frame;
        }
    }
    kept.into_values().map(|frame| shown(frame, first)).collect()
}

/// The page that a row is about: receiver and id.
type Key = (String, String);

fn key(body: &Value) -> Key {
    (text(body, "receiver"), text(body, "transition"))
}

/// Pages in the order in which they were planned or first heard of.
#[derive(Default)]
struct Pages {
    order: Vec<Key>,
    pages: BTreeMap<Key, Told>,
}

impl Pages {
    fn of(&mut self, key: Key) -> &mut Told {
        if !self.pages.contains_key(&key) {
            self.order.push(key.clone());
        }
        self.pages.entry(key.clone()).or_insert_with(|| Told {
            receiver: key.0,
            page: key.1,
            ..Told::default()
        })
    }

    fn end(&mut self, row: &Row, outcome: Outcome, says: &str) {
        let page = self.of(key(&row.body));
        page.outcome = outcome;
        page.at = Some(row.at);
        page.says = row.body[says].as_str().map(str::to_owned);
        page.attempts_in_all = row.body["attempts"].as_u64().unwrap_or(page.attempts_in_all);
        page.possible_repeat |= row.body["possible_repeat"] == true;
    }
}

fn told(rows: &[Row]) -> Vec<Told> {
    let mut pages = Pages::default();
    for row in rows {
        page_row(&mut pages, row);
    }
    let Pages { order, mut pages } = pages;
    order.iter().filter_map(|key| pages.remove(key)).collect()
}

fn page_row(pages: &mut Pages, row: &Row) {
    let body = &row.body;
    match EntryKind::from_name(&row.kind) {
        Some(EntryKind::Planned) => {
            let page = pages.of(key(body));
            page.planned_at = Some(row.at);
            page.not_before = time(body, "not_before_us").filter(|at| *at > row.at);
            page.in_digest = !body["digest"].is_null();
        }
        Some(EntryKind::Paged) => {
            let place = match body["chain"].as_str() {
                Some(chain) => format!("step {} of chain {chain}, route {}", body["step"], text(body, "route")),
                None => "everybody: no route is for it".to_owned(),
            };
            for (receiver, because) in body["told"].as_object().into_iter().flatten() {
                let page = pages.of((receiver.clone(), text(body, "page")));
                page.because = because.as_str().map(str::to_owned);
                page.by = match &page.because {
                    Some(because) => format!("{place}: {because}"),
                    None => place.clone(),
                };
                page.chain = body["chain"].as_str().map(str::to_owned);
                page.step = body["step"].as_u64();
            }
        }
        Some(EntryKind::Sent) => {
            let page = pages.of(key(body));
            let attempt = body["attempt"].as_u64().unwrap_or(0);
            page.attempts_in_all = page.attempts_in_all.max(attempt);
            page.possible_repeat |= body["possible_repeat"] == true;
            page.attempts.push(Attempt {
                attempt,
                at: row.at,
                failed_at: None,
                reason: None,
            });
        }
        Some(EntryKind::Failed) => {
            let attempt = body["attempt"].as_u64();
            let page = pages.of(key(body));
            if let Some(tried) = page.attempts.iter_mut().rfind(|tried| Some(tried.attempt) == attempt) {
                tried.failed_at = Some(row.at);
                tried.reason = Some(text(body, "reason"));
            }
        }
        Some(EntryKind::Delivered) => pages.end(row, Outcome::Delivered, "receipt"),
        Some(EntryKind::Undelivered) => pages.end(row, Outcome::Undelivered, "reason"),
        Some(EntryKind::Superseded) => pages.end(row, Outcome::Superseded, "by"),
        Some(EntryKind::Fallback) => {
            let page = pages.of((text(body, "fallback"), text(body, "transition")));
            page.instead_of = Some(format!("{} ({})", text(body, "receiver"), text(body, "reason")));
            page.planned_at = page.planned_at.or(Some(row.at));
        }
        Some(EntryKind::Cancelled) => {
            for page in pages.pages.values_mut().filter(|page| page.outcome == Outcome::Waits) {
                page.outcome = Outcome::Cancelled;
                page.at = Some(row.at);
                page.says = body["because"].as_str().map(str::to_owned);
            }
        }
        _ => {}
    }
}

fn held(rows: &[Row]) -> Vec<Held> {
    let held = rows.iter().filter_map(|row| {
        let body = &row.body;
        let by = match EntryKind::from_name(&row.kind)? {
            EntryKind::Held => format!("{} {}", text(body, "by"), text(body, "id")),
            EntryKind::ToldElsewhere => "another instance has done the first step".to_owned(),
            EntryKind::EndedWhileHeld => "it was over while its first page was held back: nobody was told".to_owned(),
            EntryKind::NoRoute if body["everybody_is_told"] == true => {
                "no route is for it: everybody is told".to_owned()
            }
            EntryKind::NoRoute => "no route is for it: nobody is told".to_owned(),
            _ => return None,
        };
        Some(Held {
            at: row.at,
            by: by.trim().to_owned(),
            until: time(body, "until_us"),
        })
    });
    held.collect()
}

fn happenings(rows: &[Row]) -> Vec<Happening> {
    let shown_elsewhere: BTreeSet<&str> = [
        EntryKind::Transition,
        EntryKind::Planned,
        EntryKind::Paged,
        EntryKind::Sent,
        EntryKind::Failed,
        EntryKind::Delivered,
        EntryKind::Undelivered,
        EntryKind::Superseded,
        EntryKind::Held,
        EntryKind::NoRoute,
        EntryKind::EndedWhileHeld,
        EntryKind::ToldElsewhere,
    ]
    .iter()
    .map(|kind| kind.as_str())
    .collect();
    let rest = rows.iter().filter(|row| !shown_elsewhere.contains(row.kind.as_str()));
    rest.map(|row| {
        let who = row.body["actor"].as_str().or_else(|| row.body["instance"].as_str());
        let mut says = row.body.clone();
        if let Some(says) = says.as_object_mut() {
            says.retain(|name, _| !["alert", "actor", "instance", "command"].contains(&name.as_str()));
        }
        Happening {
            n: row.n,
            at: row.at,
            what: row.kind.clone(),
            who: who.map(str::to_owned),
            says,
            text: row.text.clone(),
        }
    })
    .collect()
}

/// From the reading to the acknowledgement. Clocks of device, gateway and ours meet here, so a difference may be below 0.
fn delays(alert: &Alert, raised: Option<&Raised>, rows: &[Row], told: &[Told]) -> Vec<Delay> {
    let mut at: Vec<(String, UnixMicros)> = vec![("it happened".to_owned(), alert.event_time)];
    let mut reach = |what: &str, when: Option<UnixMicros>| {
        if let Some(when) = when {
            at.push((what.to_owned(), when));
        }
    };
    reach("the gateway received it", raised.and_then(|raised| raised.received_at));
    reach("it stood in alerting's log", raised.and_then(|raised| raised.logged_at));
    reach("it was decided to raise the alert", Some(alert.decided_at));
    let steps = || rows.iter().filter(|row| is(row, EntryKind::Transition));
    reach("that was committed", steps().next().map(|row| row.at));
    let paged = steps().find(|row| row.body["page"] == true);
    let sent = told
        .iter()
        .flat_map(|page| page.attempts.iter().map(move |tried| (tried.at, page)));
    if paged.is_some() {
        let first = sent.min_by_key(|(at, _)| *at);
        let what = first.map(|(_, page)| format!("a page was sent first, to {}", page.receiver));
        reach(&what.unwrap_or_default(), first.map(|(at, _)| at));
        let taken = told
            .iter()
            .filter(|page| page.outcome == Outcome::Delivered)
            .min_by_key(|page| page.at);
        let what = taken.map(|page| format!("a receiver took it first, {}", page.receiver));
        reach(&what.unwrap_or_default(), taken.and_then(|page| page.at));
    }
    let known = steps().find(|row| row.body["why"] == "acknowledged");
    let what = known.map(|row| format!("{} acknowledged it", text(&row.body, "actor")));
    reach(
        &what.unwrap_or_default(),
        known.and_then(|row| time(&row.body, "decided_us")),
    );
    let mut before = alert.event_time;
    at.into_iter()
        .map(|(reached, at)| {
            let after_us = at.0 - before.0;
            before = at;
            Delay { reached, at, after_us }
        })
        .collect()
}
