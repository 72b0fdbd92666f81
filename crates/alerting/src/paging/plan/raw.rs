//! A plan file as it is written, before anything of it is believed.
use std::time::Duration;

use serde::Deserialize;
use telemetry::Priority;
use toml::Spanned;

use super::GroupBy;
use super::inhibit::Equal;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    #[serde(default)]
    pub(super) person: Vec<Spanned<RawPerson>>,
    #[serde(default)]
    pub(super) rota: Vec<Spanned<RawRota>>,
    #[serde(default)]
    pub(super) hours: Vec<Spanned<RawHours>>,
    #[serde(default)]
    pub(super) chain: Vec<Spanned<RawChain>>,
    #[serde(default)]
    pub(super) route: Vec<Spanned<RawRoute>>,
    #[serde(default)]
    pub(super) inhibit: Vec<Spanned<RawInhibit>>,
    pub(super) silences: Option<Spanned<RawSilences>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPerson {
    pub(super) name: String,
    pub(super) receivers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRota {
    pub(super) name: String,
    pub(super) calendar: String,
    pub(super) overrides: Option<String>,
    pub(super) otherwise: Vec<String>,
    pub(super) time_zone: Option<String>,
    pub(super) warn_before: Option<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHours {
    pub(super) name: String,
    pub(super) time_zone: String,
    pub(super) days: Vec<String>,
    pub(super) from: String,
    pub(super) to: String,
    #[serde(default)]
    pub(super) holidays: Vec<String>,
}

#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Span(#[serde(with = "service::config::duration")] pub(super) Duration);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChain {
    pub(super) name: String,
    pub(super) steps: Vec<RawStep>,
    pub(super) then: Option<String>,
    pub(super) repeat_every: Option<Span>,
    #[serde(default)]
    pub(super) once: bool,
    pub(super) acknowledged_for: Option<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStep {
    pub(super) tell: Vec<String>,
    pub(super) wait: Option<Span>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Some1 {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRoute {
    pub(super) name: Option<String>,
    pub(super) tenant: Option<Some1>,
    pub(super) clinic: Option<Some1>,
    pub(super) rule: Option<Some1>,
    pub(super) priorities: Option<Vec<Priority>>,
    pub(super) min_priority: Option<Priority>,
    pub(super) during: Option<String>,
    pub(super) outside: Option<String>,
    pub(super) chain: String,
    pub(super) group: Option<RawGroup>,
    pub(super) hold: Option<Span>,
    #[serde(default, rename = "continue")]
    pub(super) goes_on: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGroup {
    pub(super) by: Vec<GroupBy>,
    pub(super) wait: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInhibit {
    pub(super) source: Some1,
    pub(super) target: Some1,
    pub(super) equal: Vec<Equal>,
    pub(super) at_most: Option<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSilences {
    pub(super) longest: Option<Span>,
    pub(super) max_priority: Option<Priority>,
}
