//! Cycles, wipes and indicator tests, as they were told.

use schemars::JsonSchema;
use serde::Serialize;

use super::Reader;
use super::ask::{Only, Question, Row, Take};
use super::session::Scope;
use crate::schema::STERILIZATION_EVENT;
use crate::store::ReadError;

/// Most events of one list.
pub const MAX_EVENTS: usize = 500;
/// Names under which an item is looked for: its device's id and its serial.
const MAX_NAMES: usize = 4;

const FIELDS: &[&str] = &[
    "what",
    "outcome",
    "cycle",
    "sterilizer",
    "hold_temperature_mdegc",
    "hold_time_s",
    "level",
    "contact_time_s",
    "indicator",
    "happened_at_us",
    "items",
    "origin",
    "recorded_by",
];

/// Which events.
#[derive(Debug, Clone)]
pub struct HygieneAsk {
    /// Whose; its `device` is the one that told it.
    pub scope: Scope,
    /// Told in `[from, to)`, in microseconds since 1970-01-01 UTC.
    pub span: super::Span,
    /// About one item: told by this device or naming one of these; at most 4 names.
    pub about: Option<(telemetry::DeviceId, Vec<telemetry::Serial>)>,
    /// `cycle`, `disinfection` or `indicator`; `None`: all.
    pub what: Option<&'static str>,
    /// The newest first, else the oldest.
    pub newest_first: bool,
    /// At most so many, and [`MAX_EVENTS`].
    pub limit: usize,
}

/// A cycle, a wipe or an indicator test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HygieneEvent {
    /// When it happened, in microseconds since 1970-01-01 UTC; where that was not told apart, when it was told.
    pub at_us: i64,
    /// What it is.
    #[schemars(extend("enum" = ["cycle", "disinfection", "indicator"]))]
    pub what: String,
    /// Who told it.
    pub device: String,
    /// The clinic.
    pub clinic: String,
    /// How a cycle or a test came out.
    #[schemars(with = "Option<telemetry::Outcome>")]
    pub outcome: Option<String>,
    /// The sterilizer's name for the cycle.
    pub cycle: Option<String>,
    /// The sterilizer, also where it told it itself; `None`: it is about none.
    pub sterilizer: Option<String>,
    /// Temperature held, in thousandths of a degree Celsius.
    pub hold_temperature_mdegc: Option<i64>,
    /// Seconds held.
    pub hold_time_s: Option<i64>,
    /// Level of disinfection.
    #[schemars(with = "Option<telemetry::DisinfectionLevel>")]
    pub level: Option<String>,
    /// Seconds of contact.
    pub contact_time_s: Option<i64>,
    /// What the indicator reads.
    #[schemars(with = "Option<telemetry::IndicatorKind>")]
    pub indicator: Option<String>,
    /// Device ids or serials; a wipe without any is of who told it.
    pub items: Vec<String>,
    /// A person recorded it.
    pub recorded: bool,
    /// Who, if that is known.
    pub recorded_by: Option<String>,
}

impl Reader {
    /// Hygiene events, by when they were told.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn hygiene(&self, ask: &HygieneAsk) -> Result<Vec<HygieneEvent>, ReadError> {
        let mut only = ask.scope.only();
        only.extend(ask.what.map(|what| Only::Is("what", what.to_owned())));
        only.extend(ask.about.as_ref().map(|(device, names)| {
            Only::About {
                device: device.to_string(),
                names: std::iter::once(device.to_string())
                    .chain(names.iter().map(ToString::to_string))
                    .take(MAX_NAMES)
                    .collect(),
            }
        }));
        let question = Question {
            measurement: &STERILIZATION_EVENT,
            tenant: ask.scope.tenant.clone(),
            from_ns: ask.span.from_us.saturating_mul(1_000),
            to_ns: ask.span.to_us.saturating_mul(1_000),
            only,
            take: Take::Rows {
                fields: FIELDS,
                newest_first: ask.newest_first,
                limit: ask.limit.min(MAX_EVENTS),
            },
        };
        Ok(self.ask(question).await?.iter().filter_map(event).collect())
    }
}

fn event(row: &Row) -> Option<HygieneEvent> {
    let what = row.text("what")?;
    let device = row.text("device")?;
    let sterilizer = row
        .text("sterilizer")
        .or_else(|| (what != "disinfection").then(|| device.clone()));
    Some(HygieneEvent {
        at_us: row.integer("happened_at_us").unwrap_or_else(|| row.time_us()),
        clinic: row.text("clinic").unwrap_or_default(),
        outcome: row.text("outcome"),
        cycle: row.text("cycle"),
        hold_temperature_mdegc: row.integer("hold_temperature_mdegc"),
        hold_time_s: row.integer("hold_time_s"),
        level: row.text("level"),
        contact_time_s: row.integer("contact_time_s"),
        indicator: row.text("indicator"),
        items: row.list("items"),
        recorded: row.text("origin").as_deref() == Some("recorded"),
        recorded_by: row.text("recorded_by"),
        sterilizer,
        what,
        device,
    })
}
