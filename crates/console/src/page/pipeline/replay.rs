//! Letting refused messages in again after a fix: those that are ticked, or all of one reason.
use std::collections::HashSet;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use gateway::quarantine::Filter;
use serde::Deserialize;

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

/// Takes a form.
pub(crate) async fn take(State(console): State<Console>, sent: Sent<Form>) -> Response {
    let who = sent.who;
    match replay(&console, &who, &sent.said).await {
        Ok(stored) => Redirect::to(&format!("/pipeline?done={stored}")).into_response(),
        Err(refusal) => refusal.page(&console, Some(&who)),
    }
}

async fn replay(console: &Console, who: &Person, form: &Form) -> Result<u64, Refusal> {
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
    let filter = Filter {
        ids,
        reason: id.is_none().then_some(reason).flatten(),
        ..Filter::default()
    };
    let done = in_time("the replay", gateway.replay(filter)).await?;
    Ok(done.stored)
}
