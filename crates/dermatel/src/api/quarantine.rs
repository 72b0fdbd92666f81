//! Refused messages: look at them, and let them in again after a fix.
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use gateway::quarantine::{Filter, Kept, QuarantineError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use telemetry::RejectReason;

use super::{Api, answer, refuse};

/// Most that one listing shows.
const LIST_MAX: usize = 1_000;

/// What is asked of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ls {
    reason: Option<String>,
    limit: Option<usize>,
}

/// What is to be replayed: these, or all of one reason.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replay {
    pub(crate) ids: Option<Vec<i64>>,
    pub(crate) reason: Option<String>,
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
        Ok(list) => answer(StatusCode::OK, Value::Array(list.iter().map(describe).collect())),
        Err(refused) => refused,
    }
}

pub(crate) async fn show(State(api): State<Api>, Path(id): Path<i64>) -> Response {
    match blocking(move || api.gateway.quarantine().show(id)).await {
        Ok(Some((kept, payload))) => {
            let mut body = describe(&kept);
            body["payload_hex"] = Value::String(hex(&payload));
            answer(StatusCode::OK, body)
        }
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
            ..Filter::default()
        })
        .await
    {
        Ok(done) => {
            let refused: Vec<Value> = done
                .refused
                .iter()
                .map(|(id, why)| json!({ "id": id, "why": why.to_string() }))
                .collect();
            let body = json!({
                "stored": done.stored, "duplicate": done.duplicate, "refused": refused,
                "not_kept": done.not_kept, "cut": done.cut, "more": done.more,
            });
            answer(StatusCode::OK, body)
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

fn describe(kept: &Kept) -> Value {
    json!({
        "id": kept.id,
        "received_at_us": kept.received_at.0,
        "device": kept.share,
        "topic": kept.topic,
        "reason": kept.reason,
        "field": kept.field,
        "detail": kept.detail,
        "payload_bytes": kept.payload_bytes,
        "replayed": kept.replayed_at.is_some(),
    })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
