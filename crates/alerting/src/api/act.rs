//! What people do to an alert: acknowledge and take that back, assign, annotate.
use axum::Json;
use axum::extract::{Path, State as Extension};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Shown, refuse};
use crate::handle::{CommandError, Handle};
use crate::id::AlertId;
use crate::intake::Action;

/// Who says so, and why.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// Who.
    actor: String,
    /// A comment about the device, never about a client.
    #[serde(default)]
    comment: String,
}

/// Who is to take care of it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// Who says so.
    actor: String,
    /// Empty: nobody any more.
    assignee: String,
    /// A comment about the device, never about a client.
    #[serde(default)]
    comment: String,
}

pub(super) async fn acknowledge(handle: Extension<Handle>, id: Path<String>, Json(said): Json<Said>) -> Response {
    act(handle, id, &said.actor, &said.comment, Action::Acknowledge).await
}

pub(super) async fn unacknowledge(handle: Extension<Handle>, id: Path<String>, Json(said): Json<Said>) -> Response {
    act(handle, id, &said.actor, &said.comment, Action::Unacknowledge).await
}

pub(super) async fn annotate(handle: Extension<Handle>, id: Path<String>, Json(said): Json<Said>) -> Response {
    if said.comment.is_empty() {
        return refuse(StatusCode::BAD_REQUEST, "comment is empty: say something");
    }
    act(handle, id, &said.actor, &said.comment, Action::Annotate).await
}

pub(super) async fn assign(handle: Extension<Handle>, id: Path<String>, Json(said): Json<Assignment>) -> Response {
    let assignee = said.assignee;
    act(handle, id, &said.actor, &said.comment, |alert| Action::Assign {
        alert,
        assignee,
    })
    .await
}

async fn act(
    Extension(handle): Extension<Handle>,
    Path(id): Path<String>,
    actor: &str,
    comment: &str,
    action: impl FnOnce(AlertId) -> Action,
) -> Response {
    let Ok(id) = id.parse::<AlertId>() else {
        return refuse(StatusCode::BAD_REQUEST, "id is not 32 hexadecimal digits");
    };
    match handle.on_alert(action(id), actor, comment).await {
        Ok(alert) => Json(Shown::from(alert)).into_response(),
        Err(error) => refuse(status(&error), &error.to_string()),
    }
}

/// What a failed command is in HTTP.
pub(crate) fn status(error: &CommandError) -> StatusCode {
    match error {
        CommandError::NotFound => StatusCode::NOT_FOUND,
        CommandError::Text => StatusCode::BAD_REQUEST,
        CommandError::Silence(_) => StatusCode::UNPROCESSABLE_ENTITY,
        CommandError::StandsBy => StatusCode::CONFLICT,
        CommandError::NotYet => StatusCode::ACCEPTED,
        CommandError::Busy | CommandError::Append(_) | CommandError::Sync(_) | CommandError::Store(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}
