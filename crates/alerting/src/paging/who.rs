//! Who would be told of an alert at a time, and why: the plan asked without anything happening.
use std::time::Duration;

use serde::Serialize;
use telemetry::UnixMicros;

use super::labels::Labels;
use super::plan::{Addressee, Plan, Route};

/// Most steps along one route that are told of: enough to see every chain begin anew.
const MAX_STEPS: usize = 40;

/// One step that would be told if nobody acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// When.
    pub at: UnixMicros,
    /// How long after the alert.
    #[serde(skip)]
    pub after: Duration,
    /// The route.
    pub route: String,
    /// The chain.
    pub chain: String,
    /// Its step, from 1.
    pub step: u16,
    /// How often the chain began anew.
    pub repetition: u32,
    /// Receivers, each with why it is told.
    pub whom: Vec<(String, String)>,
    /// What its first page would wait for, in words.
    pub waits: Option<String>,
}

/// Who would be told at once and later: along each route up to where its last chain has begun anew. Nothing: nobody.
pub fn who(plan: &Plan, labels: &Labels, at: UnixMicros) -> Vec<Told> {
    let mut told: Vec<Told> = plan
        .ways(labels, at)
        .into_iter()
        .flat_map(|way| along(plan, labels, way, at))
        .collect();
    told.sort_by_key(|step| step.at);
    told
}

fn along(plan: &Plan, labels: &Labels, route: &Route, at: UnixMicros) -> Vec<Told> {
    let group = route.group_key(labels).map(|(_, wait)| wait);
    let first = group.unwrap_or_default().max(route.hold);
    let waits = match group {
        Some(wait) => Some(format!(
            "at most {} for others of its group",
            service::config::duration::format(wait)
        )),
        None if !route.hold.is_zero() => {
            let hold = service::config::duration::format(route.hold);
            Some(format!(
                "{hold} for word that the clinic's own instance has told somebody"
            ))
        }
        None => None,
    };
    let (mut chain, mut step, mut repetition, mut now) = (route.chain.clone(), 0u16, 0u32, at.plus(first));
    let mut steps: Vec<Told> = Vec::new();
    while steps.len() < MAX_STEPS && repetition < 2 {
        let tells = plan.chains.get(&chain).and_then(|c| c.steps.get(usize::from(step)));
        let Some(here) = tells else { break };
        let whom: Vec<Addressee> = here.tell.iter().flat_map(|tell| plan.addressees(tell, now)).collect();
        let admitted = whom
            .into_iter()
            .filter(|one| plan.admits(&one.receiver, &labels.tenant, labels.priority));
        let mut whom: Vec<(String, String)> = admitted.map(|one| (one.receiver, one.because)).collect();
        if whom.is_empty() {
            let everybody = plan.everybody(&labels.tenant).into_iter();
            whom = everybody.map(|one| (one.receiver, one.because)).collect();
        }
        steps.push(Told {
            at: now,
            after: now.since(at),
            route: route.name.clone(),
            chain: chain.clone(),
            step: step.saturating_add(1),
            repetition,
            whom,
            waits: waits.clone().filter(|_| steps.is_empty()),
        });
        let Some(turn) = plan.after(&chain, step, repetition) else {
            break;
        };
        (chain, step, repetition, now) = (turn.chain, turn.step, turn.repetition, now.plus(turn.wait));
        if repetition == 1 && step > 0 {
            break;
        }
    }
    steps
}

/// A time in RFC 3339.
pub fn parse_time(text: &str) -> Option<UnixMicros> {
    let at = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some(UnixMicros(at.timestamp_micros()))
}

/// RFC 3339 in UTC.
pub fn show_time(at: UnixMicros) -> String {
    crate::notify::rfc3339(at)
}
