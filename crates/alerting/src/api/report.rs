//! What others report: a heartbeat, or that another instance has paged or acknowledged the same.
use axum::Json;
use axum::extract::{Path, State as Extension};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use telemetry::{DeviceId, UnixMicros};

use super::act::status;
use super::refuse;
use crate::handle::{CommandError, Handle};
use crate::id::{AlertId, TransitionId};
use crate::intake::Told;

/// A step that another instance has told, as its page says it.
#[derive(Deserialize)]
pub(super) struct Report {
    instance: String,
    alert_id: AlertId,
    transition_id: TransitionId,
    at_us: i64,
    #[serde(default)]
    acknowledged_by: Option<String>,
    /// Given by an instance for which this one stands by: who has the page.
    #[serde(default)]
    receiver: Option<String>,
}

fn done(result: Result<(), CommandError>) -> Response {
    match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refuse(status(&error), &error.to_string()),
    }
}

pub(super) async fn beat(Extension(handle): Extension<Handle>, Path(sender): Path<String>) -> Response {
    if DeviceId::new(&sender).is_err() {
        return refuse(
            StatusCode::BAD_REQUEST,
            "a sender is a-z, 0-9 and -, at most 63 characters",
        );
    }
    done(handle.beat(&sender).await)
}

pub(super) async fn told(Extension(handle): Extension<Handle>, Json(report): Json<Report>) -> Response {
    if DeviceId::new(&report.instance).is_err() {
        return refuse(
            StatusCode::BAD_REQUEST,
            "an instance is a-z, 0-9 and -, at most 63 characters",
        );
    }
    if let (Some(receiver), true) = (&report.receiver, handle.is_fenced()) {
        return done(handle.delivered_elsewhere(report.transition_id, receiver).await);
    }
    let told = Told {
        instance: report.instance,
        alert: report.alert_id,
        transition: report.transition_id,
        at: UnixMicros(report.at_us),
        acknowledged_by: report.acknowledged_by,
    };
    done(handle.told(told).await)
}
