//! Whose device an alert is about, as people name it, and where there is more about it: the pen has to be found and put aside.
use alerting::engine::Alert;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use registry::Registry;
use schemars::JsonSchema;
use serde::Serialize;
use telemetry::DeviceKey;

use super::known;
use crate::access::{Named, Person};
use crate::answer::Refusal;
use crate::console::Console;

/// Whose device an alert is about, as people name it. Whatever the registry does not know is `null`.
#[derive(Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "AlertPlace")]
pub(crate) struct Place {
    /// What its model is called.
    model_name: Option<String>,
    /// What stands on it. The registry knows the device, and it has a page.
    serial: Option<String>,
    /// It happened in a treatment, which has a page. Which one is said there only: no session leaves the engine with an alert.
    treatment: bool,
}

/// Looks the device of an alert up.
pub(super) fn place(alert: &Alert, registry: &Registry) -> Place {
    let key = (alert.tenant.parse().ok()).zip(alert.device.parse().ok());
    let device = key.and_then(|(tenant, device)| registry.device(&DeviceKey { tenant, device }));
    let Some(device) = device else { return Place::default() };
    Place {
        model_name: registry.model(&device.model).map(|model| model.name.clone()),
        serial: Some(device.serial.to_string()),
        treatment: alert.session.is_some(),
    }
}

/// Leads to the treatment in which an alert happened.
pub(crate) async fn treatment(State(console): State<Console>, who: Person, Named(id): Named) -> Response {
    let alert = match known(&console, &who, &id).await {
        Ok((_, alert)) => alert,
        Err(refusal) => return refusal.page(&console, Some(&who)),
    };
    match alert.session {
        Some(session) => {
            let (tenant, device, session) = (&alert.tenant, &alert.device, session.to_hex());
            Redirect::to(&format!("/sessions/{tenant}/{device}/{session}")).into_response()
        }
        None => Refusal::NotFound.page(&console, Some(&who)),
    }
}
