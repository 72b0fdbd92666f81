//! `GET` shows and changes nothing; `POST` acts, once.
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State as Extension};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Form, Router};
use serde::Deserialize;
use telemetry::{Priority, UnixMicros};

use super::{Act, Bound, Signer, html};
use crate::api::{Shown, status};
use crate::engine::Alert;
use crate::handle::{CommandError, Handle};
use crate::id::{AlertId, TransitionId};
use crate::intake::{Action, Silence};
use crate::lifecycle::State;

/// How long a silence by link lasts.
const SILENCE: Duration = Duration::from_secs(3_600);

/// Links of one installation.
pub(crate) struct Links {
    pub(crate) signer: Signer,
    pub(crate) base_url: String,
    pub(crate) valid_for: Duration,
}

impl Links {
    /// The link for a page of `step`, sent to `recipient`.
    pub(crate) fn url(&self, alert: AlertId, step: TransitionId, recipient: &str, now: UnixMicros) -> String {
        let token = self.signer.token(&Bound {
            act: Act::Look,
            alert,
            step,
            recipient: recipient.to_owned(),
            expires: now.plus(self.valid_for),
        });
        format!("{}/a/{token}", self.base_url.trim_end_matches('/'))
    }
}

/// What stands behind links.
#[derive(Clone)]
struct Door {
    handle: Handle,
    /// The console is at the same address.
    console: bool,
}

/// The routes of links, for the open HTTP address: the link itself is what lets in. `console`: the console is served there too, and
/// what a link shows leads on to it.
pub fn router(handle: Handle, console: bool) -> Router {
    Router::new()
        .route("/a/{token}", get(show).post(act))
        .with_state(Door { handle, console })
}

/// What is said in the form; nothing is needed.
#[derive(Deserialize, Default)]
struct Said {
    #[serde(default)]
    comment: String,
}

/// A time for people.
pub(super) fn time(at: UnixMicros) -> String {
    crate::notify::rfc3339(at)
}

fn answer(status: StatusCode, page: String) -> Response {
    let mut response = (status, Html(page)).into_response();
    let fixed = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
        ),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn say(status: StatusCode, text: &str) -> Response {
    answer(status, html::message(text, None))
}

/// What stands behind a token, or the answer that nothing does.
async fn behind(Door { handle, console }: &Door, token: &str) -> Result<(Arc<Links>, Bound, String, Alert), Response> {
    let links = handle.links().filter(|_| !token.is_empty());
    let opened = links.and_then(|links| links.signer.open(token).map(|(bound, mac)| (links, bound, mac)));
    let Some((links, bound, mac)) = opened else {
        return Err(say(
            StatusCode::NOT_FOUND,
            "This link is not one of ours, or it was cut off. Open it from the message again, whole.",
        ));
    };
    if handle.now() > bound.expires {
        let text = "This link has expired, and nothing was done. Open the newest message about this alert, or sign in to the console.";
        let page = html::message(text, console.then_some(bound.alert));
        return Err(answer(StatusCode::GONE, page));
    }
    match handle.alert(bound.alert).await {
        Ok(Some(alert)) => Ok((links, bound, mac, alert)),
        Ok(None) => Err(say(
            StatusCode::NOT_FOUND,
            "This alert is no longer kept: it was over long ago. There is nothing to do.",
        )),
        Err(_) => Err(say(
            StatusCode::SERVICE_UNAVAILABLE,
            "The alert cannot be read now, and nothing was done. Try again in a moment; others are told as planned.",
        )),
    }
}

/// What makes sense now.
fn fits(act: Act, alert: &Alert) -> bool {
    let open = alert.state() != State::Resolved;
    match act {
        Act::Look => false,
        Act::Acknowledge => open && alert.acknowledged_by.is_none(),
        Act::Unacknowledge => open && alert.acknowledged_by.is_some(),
        Act::Assign => open,
        Act::Annotate => true,
        Act::Silence => open && alert.priority < Priority::High,
    }
}

fn shown(
    Door { handle, console }: &Door,
    (links, bound): (&Links, &Bound),
    alert: Alert,
    note: Option<&str>,
) -> String {
    let may = |act: &Act| fits(*act, &alert) && (bound.act == Act::Look || bound.act == *act);
    let acts = Act::ACTING.into_iter().filter(may);
    let actions: Vec<(Act, String)> = acts
        .map(|act| (act, links.signer.token(&Bound { act, ..bound.clone() })))
        .collect();
    html::alert(&Shown::from(alert), handle.now(), note, (&actions, *console))
}

async fn show(Extension(door): Extension<Door>, Path(token): Path<String>) -> Response {
    match behind(&door, &token).await {
        Ok((links, bound, _, alert)) => answer(StatusCode::OK, shown(&door, (&links, &bound), alert, None)),
        Err(answer) => answer,
    }
}

async fn act(Extension(door): Extension<Door>, Path(token): Path<String>, Form(said): Form<Said>) -> Response {
    let handle = &door.handle;
    let (links, bound, mac, alert) = match behind(&door, &token).await {
        Ok(behind) => behind,
        Err(answer) => return answer,
    };
    if bound.act == Act::Look {
        return say(
            StatusCode::METHOD_NOT_ALLOWED,
            "This link only shows. Open it and choose what to do.",
        );
    }
    if let Some(why) = too_late(&bound, &alert) {
        return answer(
            StatusCode::CONFLICT,
            shown(&door, (&links, &look(&bound)), alert, Some(&why)),
        );
    }
    match handle.spend_link(&mac).await {
        Ok(true) => {}
        Ok(false) => {
            let note = "This was done with this link already; nothing changed now.";
            return answer(
                StatusCode::CONFLICT,
                shown(&door, (&links, &look(&bound)), alert, Some(note)),
            );
        }
        Err(_) => return say(StatusCode::SERVICE_UNAVAILABLE, "Nothing was done. Try again."),
    }
    match carry_out(handle, &bound, &alert, &said.comment).await {
        Ok(now) => {
            // Two at once: the log has an order, and the second one changed nothing.
            let first = (bound.act == Act::Acknowledge).then(|| taken(&bound, &now)).flatten();
            let (status, note) = match &first {
                Some(why) => (StatusCode::CONFLICT, why.as_str()),
                None => (StatusCode::OK, "Done."),
            };
            answer(status, shown(&door, (&links, &look(&bound)), now, Some(note)))
        }
        Err(error) => {
            if !matches!(error, CommandError::NotYet) {
                // What failed may be tried again with the same link; if that cannot be kept, a newer page has one.
                let _ = handle.unspend_link(&mac).await;
            }
            let why = match &error {
                CommandError::Silence(why) => format!("{error}: {why}"),
                other => other.to_string(),
            };
            say(status(&error), &why)
        }
    }
}

/// Who acknowledged it, if somebody else did.
fn taken(bound: &Bound, alert: &Alert) -> Option<String> {
    let by = alert.acknowledged_by.as_ref().filter(|by| **by != bound.recipient)?;
    let at = alert
        .acknowledged_at
        .map_or_else(String::new, |at| format!(" at {}", time(at)));
    Some(format!("{by} acknowledged this{at}: nothing changed now."))
}

/// Why it makes no sense any more, in words; `None`: it does.
fn too_late(bound: &Bound, alert: &Alert) -> Option<String> {
    if fits(bound.act, alert) {
        return None;
    }
    if bound.act == Act::Acknowledge
        && let Some(why) = taken(bound, alert)
    {
        return Some(why);
    }
    let why = match (alert.state(), bound.act) {
        (State::Resolved, _) => "This is over since you opened it: nothing changed now.",
        (_, Act::Acknowledge) => "You acknowledged this already: nothing changed now.",
        (_, Act::Unacknowledge) => "Nobody has acknowledged this: nothing changed now.",
        (_, Act::Silence) => "This has become too urgent to be silenced: nothing changed now.",
        _ => "Nothing changed now.",
    };
    Some(why.to_owned())
}

fn look(bound: &Bound) -> Bound {
    Bound {
        act: Act::Look,
        ..bound.clone()
    }
}

async fn carry_out(handle: &Handle, bound: &Bound, alert: &Alert, comment: &str) -> Result<Alert, CommandError> {
    let id = bound.alert;
    // Whoever has the link acts as the one to whom it was sent.
    let actor = bound.recipient.as_str();
    let action = match bound.act {
        Act::Look => return Ok(alert.clone()),
        Act::Acknowledge => Action::Acknowledge(id),
        Act::Unacknowledge => Action::Unacknowledge(id),
        Act::Annotate => Action::Annotate(id),
        Act::Assign => Action::Assign {
            alert: id,
            assignee: actor.to_owned(),
        },
        Act::Silence => {
            let now = handle.now();
            let silence = Silence {
                tenant: alert.tenant.clone(),
                clinic: String::new(),
                device: alert.device.clone(),
                rule: alert.rule.clone(),
                max_priority: alert.priority.min(Priority::Medium),
                from: now,
                until: now.plus(SILENCE),
            };
            // Under the plan's policy, as any other.
            handle.silence(silence, actor, comment).await?;
            return Ok(alert.clone());
        }
    };
    handle.on_alert(action, actor, comment).await
}
