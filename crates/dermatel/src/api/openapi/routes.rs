//! Every route of the API: what it is asked with and what it answers. `docs/api.md` says the same in sentences.

/// What a route answers when all is well.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    /// JSON of this schema.
    Json(&'static str),
    /// Text of this media type.
    Text(&'static str),
    /// 204.
    Nothing,
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
    /// What stands behind the question mark: name and meaning; all of it may be left out.
    pub(super) query: &'static [(&'static str, &'static str)],
    /// Schema of the body.
    pub(super) body: Option<&'static str>,
    /// What it answers.
    pub(super) answer: Answer,
    /// No token is asked for.
    pub(super) open: bool,
}

const fn get(path: &'static str, answer: &'static str, summary: &'static str) -> Route {
    Route {
        method: "get",
        path,
        summary,
        query: &[],
        body: None,
        answer: Answer::Json(answer),
        open: false,
    }
}

const fn post(path: &'static str, body: &'static str, answer: &'static str, summary: &'static str) -> Route {
    Route {
        method: "post",
        body: Some(body),
        ..get(path, answer, summary)
    }
}

/// Posts without a body.
const fn order(path: &'static str, answer: &'static str, summary: &'static str) -> Route {
    Route {
        method: "post",
        ..get(path, answer, summary)
    }
}

impl Route {
    const fn with(self, query: &'static [(&'static str, &'static str)]) -> Self {
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
const TENANT: (&str, &str) = ("tenant", "a tenant; all if left out");
const CLINIC: (&str, &str) = ("clinic", "a clinic; all if left out");

/// All of them.
pub(super) const ROUTES: &[Route] = &[
    get("/healthz", "", "The process runs").text(PLAIN).open(),
    get("/readyz", "Readiness", "What is red, why and since when").open(),
    get("/metrics", "", "Metrics in Prometheus' text format")
        .text(PLAIN)
        .open(),
    get("/a/{token}", "", "What a page's link shows; changes nothing")
        .text(HTML)
        .open(),
    order("/a/{token}", "", "Acts once for whom the link was sent to")
        .text(HTML)
        .open(),
    get("/v1/openapi.json", "Anything", "This document"),
    post(
        "/v1/record",
        "Record",
        "Recorded",
        "Records a cycle, a wipe or an indicator result; answers after it is on disk",
    ),
    get("/v1/alerts", "Alerts", "Alerts, newest first, at most 1,000")
        .with(&[("state", "one state; all that are open if left out")]),
    get(
        "/v1/alerts/summary",
        "Summary",
        "Open alerts by state, and pages that wait",
    ),
    get("/v1/alerts/{id}", "Alert", "One alert"),
    get(
        "/v1/alerts/{id}/explain",
        "Anything",
        "Rule and limits in force, the readings that caused it, and who was told",
    )
    .with(&[("format", "`text` for people")]),
    post(
        "/v1/alerts/{id}/acknowledge",
        "Said",
        "Alert",
        "Acknowledges; answers after it is durable and applied",
    ),
    post(
        "/v1/alerts/{id}/unacknowledge",
        "Said",
        "Alert",
        "Takes an acknowledgement back: the alert needs a person again",
    ),
    post(
        "/v1/alerts/{id}/assign",
        "Assignment",
        "Alert",
        "Gives it to somebody; an empty assignee: nobody any more",
    ),
    post("/v1/alerts/{id}/annotate", "Said", "Alert", "Adds a comment"),
    post(
        "/v1/alerts/{id}/erase-text",
        "Actor",
        "Erased",
        "Erases for good what people wrote about it",
    ),
    get(
        "/v1/journal/verify",
        "Verified",
        "Whether the journal is whole, how many rows it has, and its head",
    ),
    get("/v1/silences", "Silences", "Those that hold or will"),
    post("/v1/silences", "SilenceWanted", "Identified", "Makes a silence"),
    post(
        "/v1/silences/preview",
        "SilenceWanted",
        "Anything",
        "What a silence would hide",
    ),
    post("/v1/silences/{id}/end", "EndSilence", "", "Ends a silence").nothing(),
    order(
        "/v1/heartbeats/{sender}",
        "",
        "Somebody whose silence is an alarm is well",
    )
    .nothing(),
    post(
        "/v1/told",
        "Told",
        "",
        "Another instance has paged or acknowledged the same",
    )
    .nothing(),
    order(
        "/v1/rules/reload",
        "Reloaded",
        "Reads rules and paging plan again; a fault leaves the old ones",
    ),
    get(
        "/v1/devices",
        "Devices",
        "Devices by tenant, clinic and id; never what proves them",
    )
    .with(&[
        TENANT,
        CLINIC,
        ("state", "`active` or `retired`"),
        ("limit", "at most so many, 10,000 at most"),
        ("offset", "leaves out so many"),
    ]),
    post("/v1/devices", "AddDevice", "Anything", "Enters a device"),
    post(
        "/v1/devices/import",
        "ImportDevices",
        "Anything",
        "Enters a list: all rows or none, each bad row with its line",
    ),
    get(
        "/v1/devices/{tenant}/{device}",
        "DeviceShown",
        "One device, with what was changed by command",
    ),
    post(
        "/v1/devices/{tenant}/{device}/move",
        "MoveDevice",
        "Anything",
        "Moves it to another clinic; open alerts go along",
    ),
    post(
        "/v1/devices/{tenant}/{device}/retire",
        "Author",
        "Anything",
        "Takes it out of use",
    ),
    post(
        "/v1/devices/{tenant}/{device}/restore",
        "Author",
        "Anything",
        "Takes it into use again",
    ),
    get(
        "/v1/registry",
        "Anything",
        "Version, journal, and what the files do not say yet",
    ),
    order(
        "/v1/registry/reload",
        "Anything",
        "Reads the registry's files again; a fault leaves the old ones",
    ),
    post(
        "/v1/registry/fold",
        "Author",
        "Anything",
        "Empties the journal of what the files say too",
    ),
    get("/v1/quarantine", "Refused", "Refused messages, newest first").with(&[
        ("reason", "one reason; all if left out"),
        ("limit", "at most so many, 1,000 at most"),
    ]),
    get("/v1/quarantine/{id}", "RefusedOne", "One, with its payload"),
    post(
        "/v1/quarantine/replay",
        "Replay",
        "Replayed",
        "Lets refused messages in again; stored as replayed, never a page",
    ),
    get("/v1/console/inbox", "Anything", "The inbox of alerts").with(&[
        ("state", "a state"),
        ("priority", "a priority"),
        TENANT,
        CLINIC,
        ("device", "a device"),
        ("rule", "a rule"),
        ("page", "which page, from 1"),
    ]),
    get(
        "/v1/console/alerts/{id}",
        "Anything",
        "One alert with its story and the readings around it",
    ),
    get(
        "/v1/console/alerts/{id}/silence",
        "Anything",
        "What a silence of this alert would hide",
    )
    .with(&[("scope", "what it silences"), ("span", "for how long")]),
    get("/v1/console/silences", "Anything", "The silences that hold"),
    get(
        "/v1/console/fleet",
        "FleetView",
        "Each clinic: who is there, what is open, what is owed",
    )
    .with(&[TENANT]),
    get(
        "/v1/console/clinics/{tenant}/{clinic}",
        "ClinicView",
        "A clinic: its devices and the treatments of the last day",
    ),
    get(
        "/v1/console/devices/{tenant}/{device}",
        "DeviceView",
        "A device: its state, its last five minutes, its hygiene and treatments",
    ),
    get(
        "/v1/console/sessions/{tenant}/{device}/{session}",
        "SessionView",
        "One treatment: course, completeness, cartridge, alerts, hygiene around it",
    ),
    get(
        "/v1/console/sterilization",
        "SterilizationView",
        "The sterilization board",
    )
    .with(&[("tenant", "a tenant; the first if left out"), CLINIC]),
    get(
        "/v1/console/pipeline",
        "PipelineView",
        "Rates, logs, readiness, refused messages",
    )
    .with(&[("reason", "one reason; all if left out")]),
];
