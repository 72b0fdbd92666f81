//! Alerting's HTTP interface: lists, one alert, what people do to it, what others report, reloading rules. Who may ask is decided
//! by whoever mounts it.
mod act;
pub mod answer;
mod report;
mod silences;

pub(crate) use act::status;
pub use act::{Assignment, Said};
pub use report::Report;
pub use silences::{End as EndSilence, Wanted as SilenceWanted};

use axum::extract::{Path, Query, State as Extension};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use telemetry::{Priority, UnixMicros, Zone};

use crate::engine::Alert;
use crate::handle::Handle;
use crate::id::AlertId;
use crate::intake::Class;
use crate::lifecycle::State;
use crate::rules::RulesError;
use crate::store::StoreError;

/// The routes, with their state.
pub fn router(handle: Handle) -> Router {
    Router::new()
        .route("/alerts", get(list))
        .route("/alerts/summary", get(summary))
        .route("/alerts/{id}", get(one))
        .route("/alerts/{id}/acknowledge", post(act::acknowledge))
        .route("/alerts/{id}/unacknowledge", post(act::unacknowledge))
        .route("/alerts/{id}/assign", post(act::assign))
        .route("/alerts/{id}/annotate", post(act::annotate))
        .route("/heartbeats/{sender}", post(report::beat))
        .route("/told/silences", get(report::silences))
        .route("/told", get(report::file).post(report::told))
        .route("/silences", get(silences::list).post(silences::make))
        .route("/silences/preview", post(silences::preview))
        .route("/silences/{id}/end", post(silences::end))
        .route("/rules/reload", post(reload))
        .with_state(handle.clone())
        .merge(crate::proof::router(handle))
}

/// An alert as it is shown: without session and visit.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Alert")]
pub struct Shown {
    /// Its id.
    pub id: AlertId,
    /// Where it stands.
    pub state: State,
    /// Id of its rule.
    pub rule: String,
    /// Priority.
    pub priority: Priority,
    /// Tenant.
    pub tenant: String,
    /// Clinic.
    pub clinic: String,
    /// Device, sterilizer or gateway.
    pub device: String,
    /// Zone of the body; `None`: it is about none.
    pub zone: Option<Zone>,
    /// What happened.
    pub what_happened: String,
    /// What to do.
    pub what_to_do: String,
    /// Worst value, in `unit`.
    pub value: f64,
    /// Limit, in `unit`.
    pub limit: f64,
    /// Unit of value and limit; empty: what happened says them, and the two alone say nothing.
    pub unit: &'static str,
    /// How many frames violated it.
    pub violations: u64,
    /// When it happened, in microseconds since 1970-01-01 UTC.
    pub event_time: UnixMicros,
    /// When it was raised, in microseconds since 1970-01-01 UTC.
    pub decided_at: UnixMicros,
    /// When it last moved, in microseconds since 1970-01-01 UTC.
    pub updated_at: UnixMicros,
    /// How fresh the frame was that raised it.
    pub class: Class,
    /// Who acknowledged it; `None`: nobody, or it was taken back.
    pub acknowledged_by: Option<String>,
    /// Who takes care of it; `None`: nobody.
    pub assigned_to: Option<String>,
    /// Whether it keeps coming and going.
    pub flapping: bool,
}

impl From<Alert> for Shown {
    fn from(alert: Alert) -> Self {
        Self {
            id: alert.id,
            state: alert.state(),
            unit: alert.kind.unit(),
            rule: alert.rule,
            priority: alert.priority,
            tenant: alert.tenant,
            clinic: alert.clinic,
            device: alert.device,
            zone: alert.zone,
            what_happened: alert.what_happened,
            what_to_do: alert.what_to_do,
            value: alert.value,
            limit: alert.limit,
            violations: alert.violations,
            event_time: alert.event_time,
            decided_at: alert.decided_at,
            updated_at: alert.updated_at,
            class: alert.class,
            acknowledged_by: alert.acknowledged_by,
            assigned_to: alert.assigned_to,
            flapping: alert.life.is_flapping(),
        }
    }
}

#[derive(Deserialize)]
struct Wanted {
    state: Option<String>,
}

async fn list(Extension(handle): Extension<Handle>, Query(wanted): Query<Wanted>) -> Response {
    let state = match wanted.state.as_deref().map(|name| State::from_name(name).ok_or(name)) {
        None => None,
        Some(Ok(state)) => Some(state),
        Some(Err(_)) => {
            let names: Vec<_> = State::ALL.iter().map(|s| s.as_str()).collect();
            return refuse(
                StatusCode::BAD_REQUEST,
                &format!("state is none of {}", names.join(", ")),
            );
        }
    };
    match handle.alerts(state).await {
        Ok(alerts) => Json(alerts.into_iter().map(Shown::from).collect::<Vec<_>>()).into_response(),
        Err(error) => broken(&error),
    }
}

async fn one(Extension(handle): Extension<Handle>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<AlertId>() else {
        return refuse(StatusCode::BAD_REQUEST, "id is not 32 hexadecimal digits");
    };
    match handle.alert(id).await {
        Ok(Some(alert)) => Json(Shown::from(alert)).into_response(),
        Ok(None) => refuse(StatusCode::NOT_FOUND, "no alert has this id"),
        Err(error) => broken(&error),
    }
}

async fn summary(Extension(handle): Extension<Handle>) -> Response {
    match handle.summary().await {
        Ok(summary) => Json(summary).into_response(),
        Err(error) => broken(&error),
    }
}

/// Reads the rules again. A fault leaves the old ones, and names every fault.
async fn reload(Extension(handle): Extension<Handle>) -> Response {
    match handle.reload_rules().await {
        Ok(version) => Json(answer::RulesReloaded { version }).into_response(),
        Err(RulesError::Faults(faults)) => {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            let said = json!({"error": "rules or plan are refused, the old ones hold", "faults": faults});
            (StatusCode::UNPROCESSABLE_ENTITY, Json(said)).into_response()
        }
        Err(error @ RulesError::Io { .. }) => {
            refuse(StatusCode::SERVICE_UNAVAILABLE, &format!("{error}, the old ones hold"))
        }
    }
}

fn refuse(status: StatusCode, what: &str) -> Response {
    (status, Json(json!({"error": what}))).into_response()
}

fn broken(error: &StoreError) -> Response {
    tracing::warn!(error = %error, "cannot answer from alerting's file");
    refuse(StatusCode::SERVICE_UNAVAILABLE, "alerting's file cannot be read")
}
