//! The devices of the registry: look at them, and change them while everything runs.
use std::collections::BTreeMap;

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use registry::{ChangeError, Device, Digest, NewDevice, Order, Row};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::{ClinicId, DeviceId, DeviceKey, TenantId};

use super::answer::{
    ByCommand, ChangeShown, Changed, DeviceWhole, Devices, Entered, Folded, RegistryReloaded, RegistryShown,
};
use super::{done, refuse};
use crate::fleet::{self, Fleet, blocking};

/// Most devices that one listing shows.
pub(crate) const LIST_MAX: usize = 10_000;
/// Devices of one change that the answer names.
const SHOWN_MAX: usize = 100;
/// Largest list that is imported.
const IMPORT_MAX_BYTES: usize = 32 * 1024 * 1024;

/// Who changes something, and why.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Author {
    /// Who.
    pub(crate) actor: String,
    /// Why: about the device, never about a client.
    pub(crate) why: String,
}

/// A device to be entered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AddDevice")]
#[serde(deny_unknown_fields)]
pub(crate) struct Add {
    /// Who.
    pub(crate) actor: String,
    /// Why: about the device, never about a client.
    pub(crate) why: String,
    /// The device: keys as in `devices.toml`.
    pub(crate) device: NewDevice,
}

/// A list of devices to be entered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ImportDevices")]
#[serde(deny_unknown_fields)]
pub(crate) struct Import {
    /// Who.
    pub(crate) actor: String,
    /// Why: about the device, never about a client.
    pub(crate) why: String,
    /// The list's name in messages.
    pub(crate) list: String,
    /// The list: a header and a row for each device.
    pub(crate) csv: String,
    /// Of devices whose row has no credential, by `tenant/device`: secrets that the caller has drawn.
    #[serde(default)]
    pub(crate) secret_sha256: BTreeMap<String, Digest>,
}

/// Where a device is moved to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "MoveDevice")]
#[serde(deny_unknown_fields)]
pub(crate) struct Move {
    /// Who.
    pub(crate) actor: String,
    /// Why: about the device, never about a client.
    pub(crate) why: String,
    /// The clinic.
    pub(crate) to: ClinicId,
}

/// What is asked of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ls {
    tenant: Option<TenantId>,
    clinic: Option<ClinicId>,
    state: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

/// The routes, below `/v1`.
pub(crate) fn router(fleet: Fleet) -> Router {
    Router::new()
        .route("/devices", get(ls).post(add))
        .route(
            "/devices/import",
            post(import).layer(DefaultBodyLimit::max(IMPORT_MAX_BYTES)),
        )
        .route("/devices/{tenant}/{device}", get(show))
        .route("/devices/{tenant}/{device}/move", post(move_to))
        .route("/devices/{tenant}/{device}/retire", post(retire))
        .route("/devices/{tenant}/{device}/restore", post(restore))
        .route("/registry", get(registry))
        .route("/registry/reload", post(reload))
        .route("/registry/fold", post(fold))
        .with_state(fleet)
}

/// Those of a process that runs apart and does not lead: a change by command would hold in this process only. `elsewhere`: what to do
/// instead.
pub(crate) fn router_of_files(fleet: Fleet, elsewhere: &'static str) -> Router {
    let not_here = move || async move { refuse(StatusCode::CONFLICT, elsewhere) };
    Router::new()
        .route("/devices", get(ls).post(not_here))
        .route("/devices/import", post(not_here))
        .route("/devices/{tenant}/{device}", get(show))
        .route("/devices/{tenant}/{device}/move", post(not_here))
        .route("/devices/{tenant}/{device}/retire", post(not_here))
        .route("/devices/{tenant}/{device}/restore", post(not_here))
        .route("/registry", get(registry))
        .route("/registry/reload", post(reload))
        .route("/registry/fold", post(not_here))
        .with_state(fleet)
}

async fn ls(State(fleet): State<Fleet>, Query(ask): Query<Ls>) -> Response {
    let registry = fleet.book.shared().current();
    let wanted = |device: &&Device| {
        ask.tenant.as_ref().is_none_or(|tenant| device.key.tenant == *tenant)
            && ask.clinic.as_ref().is_none_or(|clinic| device.clinic == *clinic)
            && ask.state.as_ref().is_none_or(|state| device.state.as_str() == state)
    };
    let total = registry.devices().filter(wanted).count();
    let devices = registry.devices().filter(wanted).skip(ask.offset.unwrap_or(0));
    let devices = devices
        .take(ask.limit.unwrap_or(LIST_MAX).min(LIST_MAX))
        .map(|device| describe(device, &fleet))
        .collect();
    let version = registry.version().to_string();
    done(Devices {
        version,
        total,
        devices,
    })
}

async fn show(State(fleet): State<Fleet>, Path((tenant, device)): Path<(TenantId, DeviceId)>) -> Response {
    let key = DeviceKey { tenant, device };
    let registry = fleet.book.shared().current();
    let Some(device) = registry.device(&key) else {
        return failed(&ChangeError::Unknown(key));
    };
    let device = describe(device, &fleet);
    let of_it = |step: &registry::Step| step.device() == key;
    let changes = fleet.book.changes();
    let changes = changes.iter().filter(|(change, _)| change.steps.iter().any(of_it));
    let shown = changes.map(|(change, _)| ChangeShown {
        n: change.n,
        at_us: change.at.0,
        actor: change.by.clone(),
        why: change.why.clone(),
        steps: change.steps.iter().filter(|step| of_it(step)).cloned().collect(),
    });
    done(DeviceWhole {
        device,
        changes: shown.collect(),
    })
}

async fn add(State(fleet): State<Fleet>, Json(ask): Json<Add>) -> Response {
    let order = Order::Add {
        list: "device".to_owned(),
        rows: vec![Row {
            line: 1,
            device: ask.device,
        }],
    };
    change(&fleet, ask.actor, ask.why, order).await
}

async fn import(State(fleet): State<Fleet>, Json(ask): Json<Import>) -> Response {
    let Import {
        actor,
        why,
        list,
        csv,
        secret_sha256,
    } = ask;
    let read = blocking(move || {
        registry::import::read_csv(&list, &csv).map(|mut rows| {
            for row in rows.iter_mut().filter(|row| !row.device.has_credential()) {
                row.device.secret_sha256 = secret_sha256.get(&row.device.key().to_string()).copied();
            }
            Order::Add { list, rows }
        })
    })
    .await;
    match read {
        Ok(order) => change(&fleet, actor, why, order).await,
        Err(errors) => failed(&ChangeError::Refused(errors)),
    }
}

async fn move_to(
    State(fleet): State<Fleet>,
    Path((tenant, device)): Path<(TenantId, DeviceId)>,
    Json(ask): Json<Move>,
) -> Response {
    let device = DeviceKey { tenant, device };
    change(&fleet, ask.actor, ask.why, Order::Move { device, to: ask.to }).await
}

async fn retire(
    State(fleet): State<Fleet>,
    Path((tenant, device)): Path<(TenantId, DeviceId)>,
    Json(author): Json<Author>,
) -> Response {
    let device = DeviceKey { tenant, device };
    change(&fleet, author.actor, author.why, Order::Retire { device }).await
}

async fn restore(
    State(fleet): State<Fleet>,
    Path((tenant, device)): Path<(TenantId, DeviceId)>,
    Json(author): Json<Author>,
) -> Response {
    let device = DeviceKey { tenant, device };
    change(&fleet, author.actor, author.why, Order::Restore { device }).await
}

async fn registry(State(fleet): State<Fleet>) -> Response {
    let version = fleet.book.shared().current().version().to_string();
    let (lines, head) = {
        let lines = fleet.book.changes();
        let head = lines.last().map(|(_, hash)| hash.to_string());
        (lines.len(), head)
    };
    match blocking(move || fleet.book.pending()).await {
        Ok(pending) => done(RegistryShown {
            version,
            journal_lines: lines,
            journal_head: head,
            by_command: pending.iter().map(ByCommand::from).collect(),
        }),
        Err(errors) => failed(&ChangeError::Refused(errors)),
    }
}

async fn reload(State(fleet): State<Fleet>) -> Response {
    match fleet.reload().await {
        Ok((version, connections_ended)) => done(RegistryReloaded {
            version: version.to_string(),
            connections_ended,
        }),
        Err(errors) => failed(&ChangeError::Refused(errors)),
    }
}

async fn fold(State(fleet): State<Fleet>, Json(author): Json<Author>) -> Response {
    match fleet.fold(author.actor, author.why).await {
        Ok(folded) => done(Folded {
            folded: folded.gone.iter().map(ToString::to_string).collect(),
            left: folded.left.iter().map(ByCommand::from).collect(),
        }),
        Err(error) => failed(&error),
    }
}

async fn change(fleet: &Fleet, actor: String, why: String, order: Order) -> Response {
    match fleet.change(actor, why, order).await {
        Ok(fleet::Changed { done: made, ended }) => done(Changed {
            change: made.change.n,
            version: made.version.to_string(),
            count: made.devices.len(),
            devices: made.devices.iter().take(SHOWN_MAX).map(Into::into).collect(),
            connections_ended: ended,
        }),
        Err(error) => failed(&error),
    }
}

fn failed(error: &ChangeError) -> Response {
    let status = match error {
        ChangeError::Unknown(_) => StatusCode::NOT_FOUND,
        ChangeError::Already { .. } | ChangeError::Retired(_) => StatusCode::CONFLICT,
        ChangeError::Who | ChangeError::Size | ChangeError::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
        ChangeError::Journal(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let text = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    refuse(status, &text)
}

/// A device, without what proves it.
fn describe(device: &Device, fleet: &Fleet) -> Entered {
    let connected = fleet.gateway.as_ref().map(|gateway| gateway.is_connected(&device.key));
    Entered::new(device, connected)
}
