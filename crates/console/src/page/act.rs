//! What people do: each form is sent once, answered by going to a page, and refused in plain words when somebody else was first.
use alerting::CommandError;
use alerting::engine::Alert;
use alerting::id::{AlertId, SilenceId};
use alerting::intake::Action;
use alerting::lifecycle::State as Stands;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use serde::Deserialize;

use super::alert::known;
use super::row::is_worse_than;
use super::silence::{self, may_end};
use crate::access::{Named, Person, Role, Sent};
use crate::answer::Refusal;
use crate::console::Console;
use crate::metrics::ACTIONS;
use crate::render::utc;
use crate::text::fill;
use crate::url;

/// The routes of forms.
pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/alerts/{id}/acknowledge", post(acknowledge))
        .route("/alerts/{id}/unacknowledge", post(unacknowledge))
        .route("/alerts/{id}/assign", post(assign))
        .route("/alerts/{id}/comment", post(comment))
        .route("/alerts/{id}/silence", post(make_silence))
        .route("/silences/{id}/end", post(end_silence))
}

/// What a form about an alert says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    comment: String,
    assignee: String,
    /// What the page showed of the alert.
    seen: String,
    /// Where to go afterwards; empty: to the alert.
    next: String,
}

/// What is done, and how it is called.
type Done = Result<String, Refusal>;

/// Counts, and goes on or says why not.
fn finish(console: &Console, who: &Person, action: &'static str, done: Done) -> Response {
    let outcome = match &done {
        Ok(_) => "done",
        Err(Refusal::Not { status, .. }) if *status == StatusCode::CONFLICT => "stale",
        Err(_) => "refused",
    };
    ::metrics::counter!(ACTIONS, "action" => action, "outcome" => outcome).increment(1);
    match done {
        Ok(next) => Redirect::to(&next).into_response(),
        Err(refusal) => refusal.page(console, Some(who)),
    }
}

/// The page to go to, which says what was done.
fn next(said: &Said, id: AlertId, done: &str) -> String {
    // From the inbox back to the same place of it, and to no other address.
    if let Some(next) = url::own(&said.next).filter(|next| *next == "/" || next.starts_with("/?")) {
        let joint = if next == "/" { "?" } else { "&" };
        return format!("{next}{joint}done={done}");
    }
    url::with(&format!("/alerts/{id}"), &[("done", done)])
}

/// The alert, for somebody who may act on it.
async fn actable(console: &Console, who: &Person, id: &str) -> Result<(AlertId, Alert), Refusal> {
    let found = known(console, who, id).await?;
    match who.may(Role::Responder) {
        true => Ok(found),
        false => Err(Refusal::NotAllowed),
    }
}

/// It was not done, because it is no longer as it was when this person looked.
fn stale(id: AlertId, more: String) -> Refusal {
    Refusal::Not {
        status: StatusCode::CONFLICT,
        key: "message.stale",
        more,
        back: format!("/alerts/{id}"),
    }
}

/// Who acknowledged it and when, in words; `None`: it needs somebody.
fn taken(console: &Console, alert: &Alert) -> Option<String> {
    let texts = console.templates.texts();
    if alert.state() == Stands::Resolved {
        let at = utc(alert.updated_at.0);
        return Some(fill(texts.get("message.stale.over"), &[("at", &at)]));
    }
    if alert.life.needs_person() {
        return None;
    }
    let nobody = texts.get("message.stale.somebody").to_owned();
    let name = alert.acknowledged_by.as_ref().unwrap_or(&nobody);
    let at = alert.acknowledged_at.map_or_else(String::new, |at| utc(at.0));
    Some(fill(
        texts.get("message.stale.acknowledged"),
        &[("name", name), ("at", &at)],
    ))
}

/// A command that was not carried out, in words.
fn failed(console: &Console, error: CommandError, back: String) -> Refusal {
    let not = |status, key, more: String| Refusal::Not {
        status,
        key,
        more,
        back,
    };
    match error {
        CommandError::NotFound => Refusal::NotFound,
        CommandError::Text => not(StatusCode::BAD_REQUEST, "message.too_long", String::new()),
        CommandError::NotYet => not(StatusCode::ACCEPTED, "message.not_yet", String::new()),
        CommandError::StandsBy => not(StatusCode::CONFLICT, "message.stands_by", String::new()),
        CommandError::Busy => not(StatusCode::SERVICE_UNAVAILABLE, "message.busy", String::new()),
        CommandError::Silence(why) => not(
            StatusCode::UNPROCESSABLE_ENTITY,
            "message.silence_refused",
            why.to_string(),
        ),
        error @ (CommandError::Append(_) | CommandError::Sync(_) | CommandError::Store(_)) => {
            let _ = console;
            Refusal::failed("a command of a person", error)
        }
    }
}

async fn carry_out(
    console: &Console,
    who: &Person,
    id: AlertId,
    action: Action,
    comment: &str,
) -> Result<Alert, Refusal> {
    let done = console.alerts.on_alert(action, &who.name, comment.trim()).await;
    done.map_err(|error| failed(console, error, format!("/alerts/{id}")))
}

async fn acknowledge(State(console): State<Console>, Named(id): Named, sent: Sent<Said>) -> Response {
    let Sent { who, said } = sent;
    let done = do_acknowledge(&console, &who, &id, &said).await;
    finish(&console, &who, "acknowledge", done)
}

async fn do_acknowledge(console: &Console, who: &Person, id: &str, said: &Said) -> Done {
    let (id, alert) = actable(console, who, id).await?;
    if let Some(why) = taken(console, &alert) {
        return Err(stale(id, why));
    }
    if is_worse_than(&said.seen, &alert) {
        let text = fill(
            console.templates.texts().get("message.stale.worse"),
            &[("what", &alert.what_happened)],
        );
        return Err(stale(id, text));
    }
    let now = carry_out(console, who, id, Action::Acknowledge(id), &said.comment).await?;
    // Two at once: the log has an order, and the second one changes nothing.
    if now.acknowledged_by.as_ref().is_some_and(|by| *by != who.name) {
        return Err(stale(id, taken(console, &now).unwrap_or_default()));
    }
    Ok(next(said, id, "acknowledged"))
}

async fn unacknowledge(State(console): State<Console>, Named(id): Named, sent: Sent<Said>) -> Response {
    let Sent { who, said } = sent;
    let done = async {
        let (id, alert) = actable(&console, &who, &id).await?;
        if alert.state() == Stands::Resolved {
            return Err(stale(id, taken(&console, &alert).unwrap_or_default()));
        }
        carry_out(&console, &who, id, Action::Unacknowledge(id), &said.comment).await?;
        Ok(next(&said, id, "unacknowledged"))
    };
    let done = done.await;
    finish(&console, &who, "unacknowledge", done)
}

async fn assign(State(console): State<Console>, Named(id): Named, sent: Sent<Said>) -> Response {
    let Sent { who, said } = sent;
    let done = async {
        let (id, alert) = actable(&console, &who, &id).await?;
        if alert.state() == Stands::Resolved {
            return Err(stale(id, taken(&console, &alert).unwrap_or_default()));
        }
        let assignee = said.assignee.trim().to_owned();
        let name = if assignee.is_empty() { "unassigned" } else { "assigned" };
        let action = Action::Assign { alert: id, assignee };
        carry_out(&console, &who, id, action, &said.comment).await?;
        Ok(next(&said, id, name))
    };
    let done = done.await;
    finish(&console, &who, "assign", done)
}

async fn comment(State(console): State<Console>, Named(id): Named, sent: Sent<Said>) -> Response {
    let Sent { who, said } = sent;
    let done = async {
        let (id, _) = actable(&console, &who, &id).await?;
        if said.comment.trim().is_empty() {
            let key = "message.say_something";
            let back = format!("/alerts/{id}");
            return Err(Refusal::Not {
                status: StatusCode::BAD_REQUEST,
                key,
                more: String::new(),
                back,
            });
        }
        carry_out(&console, &who, id, Action::Annotate(id), &said.comment).await?;
        Ok(next(&said, id, "commented"))
    };
    let done = done.await;
    finish(&console, &who, "comment", done)
}

async fn make_silence(State(console): State<Console>, Named(id): Named, sent: Sent<silence::Asked>) -> Response {
    let Sent { who, said } = sent;
    let done = async {
        let (id, alert) = actable(&console, &who, &id).await?;
        let (scope, span, silence) =
            silence::wanted(&alert, &who, &said, &console.alerts.silence_policy(), console.now())?;
        let made = console.alerts.silence(silence, &who.name, said.reason.trim()).await;
        let back = url::with(&format!("/alerts/{id}/silence"), &[("scope", scope), ("span", span)]);
        made.map_err(|error| failed(&console, error, back))?;
        Ok("/silences?done=silenced".to_owned())
    };
    let done = done.await;
    finish(&console, &who, "silence", done)
}

async fn end_silence(State(console): State<Console>, Named(id): Named, sent: Sent<Said>) -> Response {
    let Sent { who, said } = sent;
    let done = async {
        let id: SilenceId = id.parse().map_err(|_| Refusal::NotFound)?;
        let held = console.alerts.silences().await;
        let held = held.map_err(|error| Refusal::failed("the silences", error))?;
        let held = held
            .into_iter()
            .find(|(of, silence)| *of == id && who.sees(&silence.what.tenant));
        let (_, held) = held.ok_or(Refusal::NotFound)?;
        if !may_end(&who, &held.owner, &held.what) {
            return Err(Refusal::NotAllowed);
        }
        let ended = console.alerts.end_silence(id, &who.name, said.comment.trim()).await;
        ended.map_err(|error| failed(&console, error, "/silences".to_owned()))?;
        Ok("/silences?done=silence_ended".to_owned())
    };
    let done = done.await;
    finish(&console, &who, "end_silence", done)
}
