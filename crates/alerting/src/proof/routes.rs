//! The routes of proof: why an alert, and erasing what people wrote.
use axum::extract::{Path, Query, State as Extension};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Explanation, of, text};
use crate::api::answer::{Erased, JournalVerified};
use crate::handle::Handle;
use crate::id::AlertId;
use crate::intake::MAX_ACTOR_BYTES;
use crate::store::StoreError;

/// The routes, with their state.
pub(crate) fn router(handle: Handle) -> Router {
    Router::new()
        .route("/alerts/{id}/explain", get(explain_one))
        .route("/alerts/{id}/erase-text", post(erase))
        .route("/journal/verify", get(verify))
        .with_state(handle)
}

impl Handle {
    /// Why an alert fired, what caused it and who was told; `None`: there is no such alert, or it was forgotten.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn explain(&self, id: AlertId) -> Result<Option<Explanation>, StoreError> {
        self.blocking(move |own| of(&own.store, id)).await
    }

    /// Erases for good what people wrote about an alert; the journal says so and still holds. Returns how many texts.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was erased.
    pub async fn erase_text(&self, id: AlertId, actor: &str) -> Result<usize, StoreError> {
        let actor = actor.to_owned();
        self.blocking(move |own| own.store.erase_comments(id, &actor, own.clock.now().into()))
            .await
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct As {
    /// `text` for people; JSON if not given.
    format: Option<String>,
}

async fn explain_one(
    Extension(handle): Extension<Handle>,
    Path(id): Path<String>,
    Query(wanted): Query<As>,
) -> Response {
    let as_text = match wanted.format.as_deref() {
        None | Some("json") => false,
        Some("text") => true,
        Some(_) => return refuse(StatusCode::BAD_REQUEST, "format must be json or text"),
    };
    let Ok(id) = id.parse::<AlertId>() else {
        return refuse(StatusCode::BAD_REQUEST, "id is not 32 hexadecimal digits");
    };
    match handle.explain(id).await {
        Ok(Some(explanation)) if as_text => text(&explanation).into_response(),
        Ok(Some(explanation)) => Json(explanation).into_response(),
        Ok(None) => refuse(StatusCode::NOT_FOUND, "no alert has this id"),
        Err(error) => broken(&error),
    }
}

/// Who erases.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "EraseText")]
#[serde(deny_unknown_fields)]
pub struct Erase {
    /// Who.
    actor: String,
}

async fn erase(Extension(handle): Extension<Handle>, Path(id): Path<String>, Json(said): Json<Erase>) -> Response {
    let Ok(id) = id.parse::<AlertId>() else {
        return refuse(StatusCode::BAD_REQUEST, "id is not 32 hexadecimal digits");
    };
    if said.actor.is_empty() || said.actor.len() > MAX_ACTOR_BYTES {
        return refuse(StatusCode::BAD_REQUEST, "actor is missing or too long");
    }
    match handle.erase_text(id, &said.actor).await {
        Ok(erased) => Json(Erased { erased }).into_response(),
        Err(error) => broken(&error),
    }
}

async fn verify(Extension(handle): Extension<Handle>) -> Response {
    match handle.verify_journal().await {
        Ok(found) => {
            let said = JournalVerified {
                whole: found.broken_at.is_none(),
                rows: found.rows,
                head: crate::id::hex(&found.head),
                broken_at: found.broken_at,
            };
            Json(said).into_response()
        }
        Err(error) => broken(&error),
    }
}

fn refuse(status: StatusCode, what: &str) -> Response {
    (status, Json(json!({"error": what}))).into_response()
}

fn broken(error: &StoreError) -> Response {
    tracing::warn!(error = %error, "cannot answer from alerting's file");
    refuse(StatusCode::SERVICE_UNAVAILABLE, "alerting's file cannot be read")
}
