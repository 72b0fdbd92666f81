//! Letting refused messages in again after a fix: those that are ticked, or all of one reason.
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use gateway::Replayed;
use gateway::quarantine::Filter;
use serde::{Deserialize, Serialize};

use super::{reason_of, refused};
use crate::access::{Person, Role, Sent};
use crate::answer::Refusal;
use crate::console::Console;
use crate::known::in_time;

/// The form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Form {
    /// Number of one message; empty: all of `reason`.
    id: String,
    /// A reason; empty: none.
    reason: String,
}

/// What became of the messages, as it stands in the address of the page that says so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Outcome {
    stored: u64,
    /// Stored before.
    before: u64,
    /// Refused again.
    again: u64,
    /// Could not be stored now, and wait where they were.
    waiting: u64,
    /// Cut when they were kept.
    cut: u64,
}

impl Outcome {
    fn add(&mut self, made: &Replayed) {
        self.stored += made.stored;
        self.before += made.duplicate;
        self.again += made.refused.len() as u64;
        self.waiting += made.not_kept;
        self.cut += made.cut;
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stored,
            before,
            again,
            waiting,
            cut,
        } = self;
        write!(f, "{stored}-{before}-{again}-{waiting}-{cut}")
    }
}

/// It is no outcome.
#[derive(Debug)]
pub(super) struct NoOutcome;

impl FromStr for Outcome {
    type Err = NoOutcome;

    fn from_str(text: &str) -> Result<Self, NoOutcome> {
        let numbers: Result<Vec<u64>, _> = text.splitn(6, '-').map(str::parse).collect();
        match numbers.as_deref() {
            Ok([stored, before, again, waiting, cut]) => Ok(Self {
                stored: *stored,
                before: *before,
                again: *again,
                waiting: *waiting,
                cut: *cut,
            }),
            _ => Err(NoOutcome),
        }
    }
}

/// Takes a form.
pub(crate) async fn take(State(console): State<Console>, sent: Sent<Form>) -> Response {
    let who = sent.who;
    match replay(&console, &who, &sent.said).await {
        Ok(done) => Redirect::to(&format!("/pipeline?done={done}")).into_response(),
        Err(refusal) => refusal.page(&console, Some(&who)),
    }
}

async fn replay(console: &Console, who: &Person, form: &Form) -> Result<Outcome, Refusal> {
    if !who.may(Role::Lead) {
        return Err(Refusal::NotAllowed);
    }
    let elsewhere = || Refusal::elsewhere("pipeline.elsewhere", "/pipeline");
    let gateway = console.gateway.as_ref().ok_or_else(elsewhere)?;
    let reason = reason_of(Some(&form.reason))?;
    let id = match form.id.trim() {
        "" => None,
        id => Some(
            id.parse::<i64>()
                .map_err(|_| Refusal::Asked("id is no number".to_owned()))?,
        ),
    };
    if id.is_none() && reason.is_none() {
        return Err(Refusal::Asked("say which: a message or a reason".to_owned()));
    }
    // Only what this person sees is let in again; who sees everything may take all of a reason, also what the page does not show.
    let ids = match (id, who.tenant.is_some()) {
        (None, false) => None,
        (id, _) => {
            let seen: HashSet<i64> = refused(console, who, reason)
                .await?
                .iter()
                .map(|kept| kept.id)
                .collect();
            match id {
                Some(id) if who.tenant.is_none() || seen.contains(&id) => Some(vec![id]),
                Some(_) => return Err(Refusal::NotFound),
                None => Some(seen.into_iter().collect()),
            }
        }
    };
    tracing::info!(actor = %who.name, "quarantine is replayed from the console");
    let mut filter = Filter {
        ids,
        reason: id.is_none().then_some(reason).flatten(),
        ..Filter::default()
    };
    let mut done = Outcome::default();
    // What quarantine holds is bounded, so this ends.
    loop {
        let made = in_time("the replay", gateway.replay(filter.clone())).await?;
        done.add(&made);
        filter.after = made.more_after;
        if filter.after.is_none() {
            return Ok(done);
        }
    }
}
