//! Silences over HTTP: what one would hide, making it, ending it, and those that hold.
use axum::Json;
use axum::extract::{Path, State as Extension};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use telemetry::{Priority, UnixMicros};

use super::act::status;
use super::answer::{SilenceListed, SilenceMade, SilencePreviewed};
use super::{broken, refuse};
use crate::handle::{CommandError, Handle};
use crate::id::SilenceId;
use crate::intake::Silence;
use crate::paging::parse_time;

/// What is to be silenced; what is not said matches everything.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "SilenceWanted")]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Tenant.
    #[serde(default)]
    tenant: String,
    /// Clinic.
    #[serde(default)]
    clinic: String,
    /// Device, sterilizer or gateway.
    #[serde(default)]
    device: String,
    /// Id of a rule.
    #[serde(default)]
    rule: String,
    /// The most urgent priority that it hides; not said: medium.
    max_priority: Option<Priority>,
    /// RFC 3339; not said: now.
    from: Option<String>,
    /// Until when, RFC 3339.
    until: String,
    /// Who answers for it, and is reminded.
    #[serde(default)]
    owner: String,
    /// Why: about the device, never about a client.
    #[serde(default)]
    reason: String,
}

/// Who ends it, and why.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "EndSilence")]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Who.
    actor: String,
    /// Why.
    #[serde(default)]
    reason: String,
}

impl Wanted {
    fn silence(&self) -> Option<Silence> {
        Some(Silence {
            tenant: self.tenant.clone(),
            clinic: self.clinic.clone(),
            device: self.device.clone(),
            rule: self.rule.clone(),
            max_priority: self.max_priority.unwrap_or(Priority::Medium),
            from: match &self.from {
                Some(from) => parse_time(from)?,
                None => UnixMicros(0),
            },
            until: parse_time(&self.until)?,
        })
    }
}

fn no_time() -> Response {
    refuse(
        StatusCode::BAD_REQUEST,
        "from and until must be times like 2026-12-24T22:30:00+01:00",
    )
}

fn refused(error: &CommandError) -> Response {
    let why = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    refuse(status(error), &why)
}

pub(super) async fn list(Extension(handle): Extension<Handle>) -> Response {
    match handle.silences().await {
        Ok(silences) => {
            let one = |(id, silence)| SilenceListed { id, silence };
            Json(silences.into_iter().map(one).collect::<Vec<_>>()).into_response()
        }
        Err(error) => broken(&error),
    }
}

pub(super) async fn preview(Extension(handle): Extension<Handle>, Json(wanted): Json<Wanted>) -> Response {
    let Some(silence) = wanted.silence() else {
        return no_time();
    };
    match handle.preview_silence(silence).await {
        Ok(preview) => {
            let says = preview.to_string();
            Json(SilencePreviewed { preview, says }).into_response()
        }
        Err(error) => broken(&error),
    }
}

pub(super) async fn make(Extension(handle): Extension<Handle>, Json(wanted): Json<Wanted>) -> Response {
    let Some(silence) = wanted.silence() else {
        return no_time();
    };
    match handle.silence(silence, &wanted.owner, &wanted.reason).await {
        Ok(id) => Json(SilenceMade { id }).into_response(),
        Err(error) => refused(&error),
    }
}

pub(super) async fn end(
    Extension(handle): Extension<Handle>,
    Path(id): Path<String>,
    Json(end): Json<End>,
) -> Response {
    let Ok(id) = id.parse::<SilenceId>() else {
        return refuse(StatusCode::BAD_REQUEST, "id is not 32 hexadecimal digits");
    };
    match handle.end_silence(id, &end.actor, &end.reason).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refused(&error),
    }
}
