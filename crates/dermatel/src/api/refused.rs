//! Batches that an ingestor or alerting apart refused: looked at and replayed as a gateway's refused messages are.
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use uplink::kept::Listed;
use uplink::receive::Refusals;

use super::quarantine::{LIST_MAX, Ls, Replay, hex};
use super::{done, refuse};
use crate::fleet::blocking;

/// The routes, below `/v1`.
pub(crate) fn router(refusals: Refusals) -> Router {
    Router::new()
        .route("/quarantine", get(ls))
        .route("/quarantine/{id}", get(show))
        .route("/quarantine/replay", post(replay))
        .with_state(refusals)
}

/// As a gateway's refused message, so that whoever asks needs not know where it was refused.
#[derive(Serialize)]
struct Shown {
    id: u64,
    received_at_us: i64,
    /// Of whom it says that it is; `None`: its topic does not say.
    device: Option<String>,
    topic: String,
    reason: String,
    field: &'static str,
    detail: String,
    payload_bytes: usize,
}

#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    shown: Shown,
    payload_hex: String,
}

#[derive(Serialize)]
struct Replayed {
    /// Messages that are stored, or were before.
    stored: u64,
    refused: Vec<StillRefused>,
    /// More of the reason are kept.
    more: bool,
}

#[derive(Serialize)]
struct StillRefused {
    id: u64,
    why: String,
}

impl From<Listed> for Shown {
    fn from(kept: Listed) -> Self {
        let place = kept.topic.rsplitn(3, '/').take(2).collect::<Vec<_>>();
        let clinic = place
            .get(1)
            .zip(place.first())
            .map(|(tenant, clinic)| format!("{tenant}/{clinic}"));
        Self {
            id: kept.id,
            received_at_us: kept.received_at.0,
            device: clinic,
            topic: kept.topic,
            reason: kept.reason,
            field: "batch",
            detail: kept.detail,
            payload_bytes: kept.payload_bytes,
        }
    }
}

async fn ls(State(refusals): State<Refusals>, Query(ask): Query<Ls>) -> Response {
    let limit = ask.limit.unwrap_or(LIST_MAX).min(LIST_MAX);
    match blocking(move || refusals.list(ask.reason.as_deref(), limit)).await {
        Ok(list) => done(list.into_iter().map(Shown::from).collect::<Vec<_>>()),
        Err(why) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &why),
    }
}

async fn show(State(refusals): State<Refusals>, Path(id): Path<u64>) -> Response {
    match blocking(move || refusals.show(id)).await {
        Ok(Some(kept)) => done(Whole {
            payload_hex: hex(&kept.payload),
            shown: Shown::from(Listed {
                id,
                payload_bytes: kept.payload.len(),
                topic: kept.topic,
                reason: kept.reason,
                detail: kept.detail,
                received_at: telemetry::UnixMicros(kept.received_at_us),
            }),
        }),
        Ok(None) => refuse(StatusCode::NOT_FOUND, &format!("no refused batch has the number {id}")),
        Err(why) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &why),
    }
}

async fn replay(State(refusals): State<Refusals>, Json(ask): Json<Replay>) -> Response {
    let mut ids: Vec<u64> = match (ask.ids, ask.reason) {
        (Some(ids), _) => ids.into_iter().filter_map(|id| u64::try_from(id).ok()).collect(),
        (None, Some(reason)) => {
            let listing = refusals.clone();
            match blocking(move || listing.list(Some(&reason), LIST_MAX)).await {
                Ok(list) => list.into_iter().map(|one| one.id).collect(),
                Err(why) => return refuse(StatusCode::INTERNAL_SERVER_ERROR, &why),
            }
        }
        (None, None) => return refuse(StatusCode::BAD_REQUEST, "say which: ids or a reason"),
    };
    // In the order in which they came.
    ids.sort_unstable();
    let mut made = Replayed {
        stored: 0,
        refused: Vec::new(),
        more: ids.len() >= LIST_MAX,
    };
    for id in ids {
        match refusals.replay(id).await {
            Ok(messages) => made.stored += messages,
            Err(error) => made.refused.push(StillRefused {
                id,
                why: error.to_string(),
            }),
        }
    }
    done(made)
}
