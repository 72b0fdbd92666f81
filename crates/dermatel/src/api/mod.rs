//! The local API: whoever changes something goes through the running process. Served on a Unix socket that only its owner may
//! open, and on the HTTP address to whoever holds the token.
mod answer;
mod auth;
pub(crate) mod devices;
mod openapi;
pub(crate) mod quarantine;
mod refusal;
pub(crate) mod refused;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use gateway::{Handle, Record, Verdict};
use serde::Serialize;
use service::config::Secret;

use crate::fleet::Fleet;
use answer::Recorded;
pub(crate) use refusal::in_json;
use refusal::refuse;

/// What the routes ask.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) gateway: Handle,
}

/// The routes that change something or show what is not for everybody, without a lock: for the Unix socket.
pub(crate) fn router(api: Api, fleet: Fleet, alerting: Router) -> Router {
    of_gateway(api)
        .route("/v1/openapi.json", get(openapi::serve))
        .nest("/v1", alerting.merge(devices::router(fleet)))
}

/// The routes that the gateway answers.
pub(crate) fn of_gateway(api: Api) -> Router {
    Router::new()
        .route("/v1/record", post(take_record))
        .route("/v1/quarantine", get(quarantine::ls))
        .route("/v1/quarantine/{id}", get(quarantine::show))
        .route("/v1/quarantine/replay", post(quarantine::replay))
        .with_state(api)
}

/// The same routes behind a token; without one they do not exist there. `people`: the pages as JSON, with and without a token, for
/// whoever may see the pages.
pub(crate) fn remote(router: Router, token: Option<Secret>, people: Option<Router>) -> Router {
    match (token, people) {
        (Some(token), people) => {
            let lock = auth::Lock { token, people };
            router.layer(axum::middleware::from_fn_with_state(lock, auth::check))
        }
        (None, Some(people)) => people,
        (None, None) => Router::new(),
    }
}

async fn take_record(State(api): State<Api>, Json(record): Json<Record>) -> Response {
    match api.gateway.submit(record.submission()).await {
        Verdict::Stored => done(Recorded {
            verdict: answer::Verdict::Stored,
        }),
        Verdict::Duplicate => done(Recorded {
            verdict: answer::Verdict::Before,
        }),
        Verdict::Quarantined(why) => refuse(StatusCode::UNPROCESSABLE_ENTITY, &why.to_string()),
        other => refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("not stored ({other:?}): try again"),
        ),
    }
}

pub(crate) fn done(answer: impl Serialize) -> Response {
    Json(answer).into_response()
}
