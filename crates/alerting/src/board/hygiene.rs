//! Where an item or a sterilizer stands: what was done last, until when that is enough, and what is owed.
//!
//! The same facts and limits as the rules judge by, but of now and not of the moment of use: an item that nobody uses is an
//! entry here and never a page.
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use telemetry::{DisinfectionLevel, UnixMicros};

use super::Seen;
use crate::engine::state::{Item, Sterilizer};
use crate::fleet::Facts;
use crate::rules::Kind;
use crate::rules::disinfection::{self, Between};
use crate::rules::sterilization;

/// What is owed within this is due: a working day ahead.
pub const DUE_WITHIN: Duration = Duration::from_secs(24 * 3_600);

/// How something that has to be done again and again stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Must have been done already.
    Overdue,
    /// Has to be done soon, or before the next client.
    Due,
    /// Done, and still good.
    Done,
    /// Nobody asks for it.
    NotAsked,
}

impl Standing {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::Due => "due",
            Self::Done => "done",
            Self::NotAsked => "not_asked",
        }
    }
}

/// An item: a device that is used on people, a tip, a hand piece.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ItemStanding {
    /// Its name: the device's id, or the serial of an item that is none.
    pub name: String,
    /// Its clinic; `None`: it is no device.
    pub clinic: Option<String>,
    /// Its model; `None`: it is no device.
    pub model: Option<String>,
    /// End of the last cycle that passed and counts here, in microseconds since 1970-01-01 UTC.
    pub sterilized_at_us: Option<i64>,
    /// How its sterilization stands.
    pub sterilization: Standing,
    /// Until when that is good, in microseconds since 1970-01-01 UTC; `None`: no time is set, or nothing is on record.
    pub sterilization_due_us: Option<i64>,
    /// Visits since.
    pub uses: u32,
    /// Visits that are allowed.
    pub uses_allowed: Option<u32>,
    /// Its last cycle did not pass, and none that passed came after.
    pub failed: Option<FailedStanding>,
    /// Its newest disinfection.
    pub wiped: Option<WipeStanding>,
    /// How its disinfection stands.
    pub disinfection: Disinfection,
}

/// A cycle that did not pass, and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FailedStanding {
    /// The sterilizer.
    pub sterilizer: String,
    /// Its name for the cycle.
    pub cycle: String,
    /// When it ended, in microseconds since 1970-01-01 UTC.
    pub ended_at_us: i64,
    /// Visits for which the item was used since.
    pub used_since: u32,
    /// The device that used it last.
    pub used_by: Option<String>,
}

/// A disinfection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WipeStanding {
    /// When, in microseconds since 1970-01-01 UTC.
    pub at_us: i64,
    /// Level.
    pub level: Option<DisinfectionLevel>,
    /// Contact time in seconds.
    pub contact_time_s: Option<u32>,
}

/// How the disinfection between two clients stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "DisinfectionStanding")]
#[serde(rename_all = "snake_case")]
pub enum Disinfection {
    /// It was used for the next client without one: an alert says so.
    Missing,
    /// Used since the last one that counts: before the next client.
    BeforeNext,
    /// In use: after this client.
    InUse,
    /// Done since its last use.
    Done,
    /// Nobody asks for it, or it was never used.
    NotAsked,
}

impl Disinfection {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::BeforeNext => "before_next",
            Self::InUse => "in_use",
            Self::Done => "done",
            Self::NotAsked => "not_asked",
        }
    }
}

/// A sterilizer.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SterilizerStanding {
    /// Its device id.
    pub name: String,
    /// Its clinic.
    pub clinic: String,
    /// When the newest cycle ran whose biological indicator passed, in microseconds since 1970-01-01 UTC.
    pub biological_pass_at_us: Option<i64>,
    /// When its first cycle was told, in microseconds since 1970-01-01 UTC: what counts while no test is on record.
    pub first_cycle_at_us: Option<i64>,
    /// How its indicator test stands.
    pub indicator: Standing,
    /// Until when the last test is good, in microseconds since 1970-01-01 UTC.
    pub indicator_due_us: Option<i64>,
    /// Each load needs a passed indicator.
    pub each_load: bool,
}

/// Where an item stands. `device`: what it is judged by and what was heard of it, if it is a device.
pub fn item_standing(name: &str, item: &Item, device: Option<(&Facts, &Seen)>, now: UnixMicros) -> ItemStanding {
    let policy = device.map(|(facts, _)| &facts.policy);
    let clinic = device.map(|(facts, _)| facts.clinic.as_str());
    let from_others = policy.is_none_or(|policy| policy.evidence_from_other_clinics);
    let last_good = item.last_good(clinic.unwrap_or_default(), from_others);
    let (uses, uses_allowed) = (
        item.uses_since(last_good),
        policy.and_then(|policy| policy.sterilization_uses),
    );
    let every = policy.and_then(|policy| policy.sterilization_every);
    let failed = item.failed.as_ref();
    let failed = failed.filter(|failed| sterilization::used_after_failure(Some(failed), last_good, now));
    let wiped = item.wipes.iter().max_by_key(|wipe| wipe.at);
    ItemStanding {
        name: name.to_owned(),
        clinic: clinic.map(str::to_owned),
        model: device.map(|(facts, _)| facts.model.to_string()),
        sterilized_at_us: last_good.map(|at| at.0),
        sterilization: sterilization_standing(last_good, (uses, uses_allowed), every, now),
        sterilization_due_us: last_good.zip(every).map(|(at, every)| at.plus(every).0),
        uses,
        uses_allowed,
        failed: failed.map(|failed| FailedStanding {
            sterilizer: failed.sterilizer.clone(),
            cycle: failed.cycle.clone(),
            ended_at_us: failed.ended_at.0,
            used_since: item.uses_since(Some(failed.ended_at)),
            used_by: item.used_by.clone(),
        }),
        wiped: wiped.map(|wipe| WipeStanding {
            at_us: wipe.at.0,
            level: wipe.level,
            contact_time_s: wipe.contact_time_s,
        }),
        disinfection: device.map_or(Disinfection::NotAsked, |(facts, seen)| {
            disinfection_standing(item, facts, seen, now)
        }),
    }
}

fn sterilization_standing(
    last_good: Option<UnixMicros>,
    (uses, allowed): (u32, Option<u32>),
    every: Option<Duration>,
    now: UnixMicros,
) -> Standing {
    let by_time = every.map(|every| match last_good {
        None => Standing::Overdue,
        Some(at) if now.since(at) > every => Standing::Overdue,
        Some(at) if now.plus(DUE_WITHIN.min(every / 2)).since(at) > every => Standing::Due,
        Some(_) => Standing::Done,
    });
    // The rule counts the use that is about to happen: with the last one allowed used up, the next is one too many.
    let by_uses = allowed.map(|allowed| match uses {
        uses if uses > allowed => Standing::Overdue,
        uses if uses == allowed => Standing::Due,
        _ => Standing::Done,
    });
    by_time.into_iter().chain(by_uses).min().unwrap_or(Standing::NotAsked)
}

fn disinfection_standing(item: &Item, facts: &Facts, seen: &Seen, now: UnixMicros) -> Disinfection {
    if !facts.policy.disinfection_between_visits {
        return Disinfection::NotAsked;
    }
    if seen.open.iter().any(|open| open.kind == Kind::DisinfectionMissing) {
        return Disinfection::Missing;
    }
    let Some(visit) = seen.visit else {
        return Disinfection::NotAsked;
    };
    if seen.in_session {
        return Disinfection::InUse;
    }
    let between = Between {
        last_use: visit.last,
        first_use: now,
    };
    let counts = |wipe| disinfection::proves(wipe, between, Duration::ZERO, &facts.policy, facts.clinic.as_str());
    match item.wipes.iter().any(counts) {
        true => Disinfection::Done,
        false => Disinfection::BeforeNext,
    }
}

/// Where a sterilizer stands.
pub fn sterilizer_standing(name: &str, known: &Sterilizer, facts: &Facts, now: UnixMicros) -> SterilizerStanding {
    let since = known.biological_pass_at.or(known.first_cycle_at);
    let every = facts.policy.indicator_every;
    let indicator = match (since, every) {
        (_, None) => Standing::NotAsked,
        // Nothing is on record: the first test is worth one before it is owed.
        (None, Some(_)) => Standing::Due,
        (Some(at), Some(every)) if now.since(at) > every => Standing::Overdue,
        (Some(at), Some(every)) if now.plus(DUE_WITHIN.min(every / 2)).since(at) > every => Standing::Due,
        _ if known.biological_pass_at.is_none() => Standing::Due,
        _ => Standing::Done,
    };
    SterilizerStanding {
        name: name.to_owned(),
        clinic: facts.clinic.to_string(),
        biological_pass_at_us: known.biological_pass_at.map(|at| at.0),
        first_cycle_at_us: known.first_cycle_at.map(|at| at.0),
        indicator,
        indicator_due_us: since.zip(every).map(|(at, every)| at.plus(every).0),
        each_load: facts.policy.indicator_each_load,
    }
}
