//! Every route of the API: what it is asked with and what it answers, as the very types that are read and answered.
//! `docs/api.md` says the same in sentences.
use alerting::api::{self as alerts, Shown as Alert, answer as told};
use alerting::id::{AlertId, SilenceId};
use alerting::lifecycle::State;
use console::Shape;
use registry::DeviceState;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};
use telemetry::{ClinicId, DeviceId, Priority, RejectReason, TenantId};

use crate::api::{answer, devices, quarantine};

/// What a route answers when all is well.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    /// JSON of this shape.
    Json(Shape),
    /// What the console shows there.
    Page,
    /// Text of this media type.
    Text(&'static str),
    /// 204.
    Nothing,
}

/// Something behind the question mark; all of it may be left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) name: &'static str,
    /// What it means.
    pub(super) what: &'static str,
    /// How it is written.
    pub(super) shape: Shape,
}

/// One route with one method.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    /// In small letters.
    pub(super) method: &'static str,
    /// With the names of what varies in braces.
    pub(super) path: &'static str,
    /// What it does.
    pub(super) summary: &'static str,
    /// What stands behind the question mark.
    pub(super) query: &'static [Asked],
    /// Shape of the body.
    pub(super) body: Option<Shape>,
    /// What it answers.
    pub(super) answer: Answer,
    /// No token is asked for.
    pub(super) open: bool,
}

/// The shape of a type.
const fn shape<T: JsonSchema>() -> Shape {
    SchemaGenerator::subschema_for::<T>
}

const fn get<A: JsonSchema>(path: &'static str, summary: &'static str) -> Route {
    Route {
        method: "get",
        path,
        summary,
        query: &[],
        body: None,
        answer: Answer::Json(shape::<A>()),
        open: false,
    }
}

const fn post<B: JsonSchema, A: JsonSchema>(path: &'static str, summary: &'static str) -> Route {
    Route {
        method: "post",
        body: Some(shape::<B>()),
        ..get::<A>(path, summary)
    }
}

/// Posts without a body.
const fn order<A: JsonSchema>(path: &'static str, summary: &'static str) -> Route {
    Route {
        method: "post",
        ..get::<A>(path, summary)
    }
}

/// A page of the console as JSON.
const fn page(path: &'static str, summary: &'static str) -> Route {
    Route {
        answer: Answer::Page,
        ..get::<()>(path, summary)
    }
}

const fn asked<T: JsonSchema>(name: &'static str, what: &'static str) -> Asked {
    Asked {
        name,
        what,
        shape: shape::<T>(),
    }
}

/// One of some names.
const fn named(name: &'static str, what: &'static str, shape: Shape) -> Asked {
    Asked { name, what, shape }
}

fn one_of<'n>(names: impl Iterator<Item = &'n str>) -> Schema {
    json_schema!({"type": "string", "enum": names.collect::<Vec<_>>()})
}

fn formats(_: &mut SchemaGenerator) -> Schema {
    one_of(["json", "text"].into_iter())
}

fn reasons(_: &mut SchemaGenerator) -> Schema {
    one_of(RejectReason::ALL.iter().map(|reason| reason.as_str()))
}

fn scopes(_: &mut SchemaGenerator) -> Schema {
    one_of(console::silence_scopes())
}

fn spans(_: &mut SchemaGenerator) -> Schema {
    one_of(console::silence_spans())
}

/// How a part of a path is written.
pub(super) fn part(path: &str, name: &str) -> Shape {
    match name {
        "tenant" => shape::<TenantId>(),
        "clinic" => shape::<ClinicId>(),
        "device" | "sender" => shape::<DeviceId>(),
        "id" if path.starts_with("/v1/quarantine/") => shape::<i64>(),
        "id" if path.starts_with("/v1/silences/") => shape::<SilenceId>(),
        "id" => shape::<AlertId>(),
        _ => shape::<String>(),
    }
}

impl Route {
    const fn with(self, query: &'static [Asked]) -> Self {
        Self { query, ..self }
    }

    const fn open(self) -> Self {
        Self { open: true, ..self }
    }

    const fn text(self, kind: &'static str) -> Self {
        Self {
            answer: Answer::Text(kind),
            ..self
        }
    }

    const fn nothing(self) -> Self {
        Self {
            answer: Answer::Nothing,
            ..self
        }
    }
}

const PLAIN: &str = "text/plain";
const HTML: &str = "text/html";
const TENANT: Asked = asked::<TenantId>("tenant", "a tenant; all if left out");
const CLINIC: Asked = asked::<ClinicId>("clinic", "a clinic; all if left out");

/// All of them.
pub(super) const ROUTES: &[Route] = &[
    get::<()>("/healthz", "The process runs").text(PLAIN).open(),
    get::<service::http::Readiness>("/readyz", "What is red, why and since when").open(),
    get::<()>("/metrics", "Metrics in Prometheus' text format")
        .text(PLAIN)
        .open(),
    get::<()>("/a/{token}", "What a page's link shows; changes nothing")
        .text(HTML)
        .open(),
    order::<()>("/a/{token}", "Acts once for whom the link was sent to")
        .text(HTML)
        .open(),
    get::<Map<String, Value>>("/v1/openapi.json", "This document"),
    post::<gateway::Record, answer::Recorded>(
        "/v1/record",
        "Records a cycle, a wipe or an indicator result; answers after it is on disk",
    ),
    get::<Vec<Alert>>("/v1/alerts", "Alerts, newest first, at most 1,000")
        .with(&[asked::<State>("state", "one state; all that are open if left out")]),
    get::<alerting::Summary>("/v1/alerts/summary", "Open alerts by state, and pages that wait"),
    get::<Alert>("/v1/alerts/{id}", "One alert"),
    get::<alerting::proof::Explanation>(
        "/v1/alerts/{id}/explain",
        "Rule and limits in force, the readings that caused it, and who was told",
    )
    .with(&[named("format", "JSON if left out", formats)]),
    post::<alerts::Said, Alert>(
        "/v1/alerts/{id}/acknowledge",
        "Acknowledges; answers after it is durable and applied",
    ),
    post::<alerts::Said, Alert>(
        "/v1/alerts/{id}/unacknowledge",
        "Takes an acknowledgement back: the alert needs a person again",
    ),
    post::<alerts::Assignment, Alert>(
        "/v1/alerts/{id}/assign",
        "Gives it to somebody; an empty assignee: nobody any more",
    ),
    post::<alerts::Said, Alert>("/v1/alerts/{id}/annotate", "Adds a comment"),
    post::<alerting::proof::Erase, told::Erased>(
        "/v1/alerts/{id}/erase-text",
        "Erases for good what people wrote about it",
    ),
    get::<told::JournalVerified>(
        "/v1/journal/verify",
        "Whether the journal is whole, how many rows it has, and its head",
    ),
    get::<Vec<told::SilenceListed>>("/v1/silences", "Those that hold or will"),
    post::<alerts::SilenceWanted, told::SilenceMade>("/v1/silences", "Makes a silence"),
    post::<alerts::SilenceWanted, told::SilencePreviewed>("/v1/silences/preview", "What a silence would hide"),
    post::<alerts::EndSilence, ()>("/v1/silences/{id}/end", "Ends a silence").nothing(),
    order::<()>("/v1/heartbeats/{sender}", "Somebody whose silence is an alarm is well").nothing(),
    get::<told::TellsTo>(
        "/v1/told",
        "Whether this instance goes on with the file that another one told",
    ),
    get::<alerting::upstream::SilencesSaid>(
        "/v1/told/silences",
        "The silences that hold, for an instance of the same group that begins with an empty disk",
    ),
    post::<alerts::Report, ()>("/v1/told", "Another instance has paged or acknowledged the same").nothing(),
    order::<told::RulesReloaded>(
        "/v1/rules/reload",
        "Reads rules and paging plan again; a fault leaves the old ones",
    ),
    get::<answer::Devices>(
        "/v1/devices",
        "Devices by tenant, clinic and id; never what proves them",
    )
    .with(&[
        TENANT,
        CLINIC,
        asked::<DeviceState>("state", "`active` or `retired`"),
        asked::<u32>("limit", "at most so many, 10,000 at most"),
        asked::<u32>("offset", "leaves out so many"),
    ]),
    post::<devices::Add, answer::Changed>("/v1/devices", "Enters a device"),
    post::<devices::Import, answer::Changed>(
        "/v1/devices/import",
        "Enters a list: all rows or none, each bad row with its line",
    ),
    get::<answer::DeviceWhole>(
        "/v1/devices/{tenant}/{device}",
        "One device, with what was changed by command",
    ),
    post::<devices::Move, answer::Changed>(
        "/v1/devices/{tenant}/{device}/move",
        "Moves it to another clinic; open alerts go along",
    ),
    post::<devices::Author, answer::Changed>("/v1/devices/{tenant}/{device}/retire", "Takes it out of use"),
    post::<devices::Author, answer::Changed>("/v1/devices/{tenant}/{device}/restore", "Takes it into use again"),
    get::<answer::RegistryShown>("/v1/registry", "Version, journal, and what the files do not say yet"),
    order::<answer::RegistryReloaded>(
        "/v1/registry/reload",
        "Reads the registry's files again; a fault leaves the old ones",
    ),
    post::<devices::Author, answer::Folded>("/v1/registry/fold", "Empties the journal of what the files say too"),
    get::<Vec<gateway::quarantine::Shown>>("/v1/quarantine", "Refused messages, newest first").with(&[
        named("reason", "one reason; all if left out", reasons),
        asked::<u32>("limit", "at most so many, 1,000 at most"),
    ]),
    get::<answer::RefusedWhole>("/v1/quarantine/{id}", "One, with its payload"),
    post::<quarantine::Replay, answer::Replayed>(
        "/v1/quarantine/replay",
        "Lets refused messages in again; stored as replayed, never a page",
    ),
    page("/v1/console/inbox", "The inbox of alerts").with(&[
        asked::<State>("state", "a state"),
        asked::<Priority>("priority", "a priority"),
        TENANT,
        CLINIC,
        asked::<DeviceId>("device", "a device"),
        asked::<String>("rule", "a rule"),
        asked::<String>(
            "by",
            "device: those of one device together; alert: each for itself, as it is without",
        ),
        asked::<u32>("page", "which page, from 1"),
    ]),
    page(
        "/v1/console/alerts/{id}",
        "One alert with its story and the readings around it",
    ),
    page(
        "/v1/console/alerts/{id}/silence",
        "What a silence of this alert would hide",
    )
    .with(&[
        named("scope", "what it silences; the first if left out", scopes),
        named("span", "for how long; the first if left out", spans),
    ]),
    page("/v1/console/silences", "The silences that hold"),
    page(
        "/v1/console/fleet",
        "Each clinic: who is there, what is open, what is owed",
    )
    .with(&[TENANT]),
    page(
        "/v1/console/clinics/{tenant}/{clinic}",
        "A clinic: its devices and the treatments of the last day",
    ),
    page(
        "/v1/console/devices/{tenant}/{device}",
        "A device: its state, its last five minutes, its hygiene and treatments",
    ),
    page(
        "/v1/console/sessions/{tenant}/{device}/{session}",
        "One treatment: course, completeness, cartridge, alerts, hygiene around it",
    ),
    page("/v1/console/sterilization", "The sterilization board")
        .with(&[asked::<TenantId>("tenant", "a tenant; the first if left out"), CLINIC]),
    page("/v1/console/pipeline", "Rates, logs, readiness, refused messages").with(&[named(
        "reason",
        "one reason; all if left out",
        reasons,
    )]),
];
