//! Refused messages: look at them, and let them in again after a fix.
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use gateway::quarantine::{Filter, QuarantineError, Shown};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::RejectReason;

use super::answer::{RefusedWhole, Replayed, StillRefused};
use super::{Api, done, refuse};

/// Most that one listing shows.
pub(super) const LIST_MAX: usize = 1_000;

/// What is asked of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ls {
    pub(super) reason: Option<String>,
    pub(super) limit: Option<usize>,
}

/// What is to be replayed: these, or all of one reason.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replay {
    /// Their numbers.
    pub(crate) ids: Option<Vec<i64>>,
    /// The reason.
    pub(crate) reason: Option<String>,
    /// Only numbers above this one: where the answer before says to go on.
    pub(crate) after: Option<i64>,
}

pub(crate) async fn ls(State(api): State<Api>, Query(ask): Query<Ls>) -> Response {
    let reason = match reason(ask.reason.as_deref()) {
        Ok(reason) => reason,
        Err(refused) => return refused,
    };
    let filter = Filter {
        reason,
        replayed_too: true,
        ..Filter::default()
    };
    let limit = ask.limit.unwrap_or(LIST_MAX).min(LIST_MAX);
    match blocking(move || api.gateway.quarantine().latest(&filter, limit)).await {
        Ok(list) => done(list.into_iter().map(Shown::from).collect::<Vec<_>>()),
        Err(refused) => refused,
    }
}

pub(crate) async fn show(State(api): State<Api>, Path(id): Path<i64>) -> Response {
    match blocking(move || api.gateway.quarantine().show(id)).await {
        Ok(Some((kept, payload))) => done(RefusedWhole {
            shown: kept.into(),
            payload_hex: hex(&payload),
        }),
        Ok(None) => refuse(
            StatusCode::NOT_FOUND,
            &format!("no refused message has the number {id}"),
        ),
        Err(refused) => refused,
    }
}

pub(crate) async fn replay(State(api): State<Api>, Json(ask): Json<Replay>) -> Response {
    if ask.ids.is_none() && ask.reason.is_none() {
        return refuse(StatusCode::BAD_REQUEST, "say which: ids or a reason");
    }
    let reason = match reason(ask.reason.as_deref()) {
        Ok(reason) => reason,
        Err(refused) => return refused,
    };
    match api
        .gateway
        .replay(Filter {
            ids: ask.ids,
            reason,
            after: ask.after,
            ..Filter::default()
        })
        .await
    {
        Ok(made) => {
            let refused = made.refused.iter().map(|(id, why)| StillRefused {
                id: *id,
                why: why.to_string(),
            });
            done(Replayed {
                stored: made.stored,
                duplicate: made.duplicate,
                refused: refused.collect(),
                not_kept: made.not_kept,
                cut: made.cut,
                more: made.more_after.is_some(),
                after: made.more_after,
            })
        }
        Err(e) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &e.to_string()),
    }
}

#[allow(clippy::result_large_err)] // A response is what the caller returns at once.
fn reason(label: Option<&str>) -> Result<Option<RejectReason>, Response> {
    match label {
        None => Ok(None),
        Some(label) => RejectReason::from_label(label).map(Some).ok_or_else(|| {
            let known: Vec<&str> = RejectReason::ALL.iter().map(|reason| reason.as_str()).collect();
            refuse(
                StatusCode::BAD_REQUEST,
                &format!("no reason is called {label}; there are {}", known.join(", ")),
            )
        }),
    }
}

/// SQLite blocks: off the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, QuarantineError> + Send + 'static,
) -> Result<T, Response> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => Err(refuse(StatusCode::INTERNAL_SERVER_ERROR, &e.to_string())),
        Err(_) => Err(refuse(StatusCode::INTERNAL_SERVER_ERROR, "the process stops")),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
