//! What others report: a heartbeat, that another instance has paged or acknowledged the same, or what a person did there.
use axum::Json;
use axum::extract::{Path, State as Extension};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use telemetry::{DeviceId, UnixMicros};

use super::act::status;
use super::answer::TellsTo;
use super::refuse;
use crate::handle::{CommandError, Handle, SaidError};
use crate::id::{AlertId, TransitionId};
use crate::intake::Told;

/// What another instance reports.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Told")]
#[serde(untagged)]
pub enum Report {
    /// What a person did.
    Said(Said),
    /// That it paged or acknowledged.
    Step(Step),
}

/// What a person did at the instance for which this one stands by.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "CommandTold")]
pub struct Said {
    /// Which instance.
    instance: String,
    /// Its record in that one's log, in base64.
    command: String,
    /// Whether it keeps what is about an alert that was not raised here, which is answered with 409, and says it again.
    #[serde(default)]
    waits: bool,
}

/// A step that another instance has told, as its page says it.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "StepTold")]
pub struct Step {
    /// Which instance.
    instance: String,
    /// The alert.
    alert_id: AlertId,
    /// The step.
    transition_id: TransitionId,
    /// When, in microseconds since 1970-01-01 UTC.
    at_us: i64,
    /// Who acknowledged it there.
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

fn taken(result: Result<(), SaidError>) -> Response {
    match result {
        Ok(()) => done(Ok(())),
        Err(SaidError::Command(error)) => done(Err(error)),
        Err(error @ SaidError::Unknown) => refuse(StatusCode::CONFLICT, &error.to_string()),
        Err(error @ SaidError::NotKnownYet) => refuse(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        Err(error @ SaidError::Foreign) => refuse(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
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

/// Which file this instance goes on with: whoever tells it what happened elsewhere begins anew with another one.
pub(super) async fn file(Extension(handle): Extension<Handle>) -> Response {
    match handle.file().await {
        Ok(file) => Json(TellsTo { file }).into_response(),
        Err(error) => refuse(status(&error), &error.to_string()),
    }
}

/// Which silences hold, for an instance that begins anew.
pub(super) async fn silences(Extension(handle): Extension<Handle>) -> Response {
    match handle.silences_said().await {
        Ok(said) => Json(said).into_response(),
        Err(error) => refuse(status(&error), &error.to_string()),
    }
}

pub(super) async fn told(Extension(handle): Extension<Handle>, Json(report): Json<Report>) -> Response {
    let (Report::Said(Said { instance, .. }) | Report::Step(Step { instance, .. })) = &report;
    if DeviceId::new(instance).is_err() {
        return refuse(
            StatusCode::BAD_REQUEST,
            "an instance is a-z, 0-9 and -, at most 63 characters",
        );
    }
    match report {
        Report::Said(said) => match STANDARD.decode(&said.command) {
            Ok(record) => taken(handle.said_elsewhere(said.instance, &record, said.waits).await),
            Err(_) => refuse(StatusCode::BAD_REQUEST, "a command is the record of a log, in base64"),
        },
        Report::Step(step) => stepped(&handle, step).await,
    }
}

async fn stepped(handle: &Handle, report: Step) -> Response {
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
