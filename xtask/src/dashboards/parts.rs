//! What several dashboards have in common: conditions of queries, variables, annotations, and panels that all of them show.

use super::model::{Annotation, Look, Panel, Variable};
use super::panels::{BLUE, GREEN, GREY, ORANGE, PURPLE, RED, YELLOW, scale};

/// Folders in Grafana.
pub(super) const CLINICS: &str = "Clinics";
pub(super) const DEVICES: &str = "Devices";
pub(super) const OPERATIONS: &str = "Operations";

/// Within the range that is shown, of the clinics that are chosen.
pub(super) const OF_CLINIC: &str = "$timeFilter AND \"clinic\" =~ /^$clinic$/";
/// The same of the devices that are chosen.
pub(super) const OF_DEVICE: &str = "$timeFilter AND \"clinic\" =~ /^$clinic$/ AND \"device\" =~ /^$device$/";
/// An alert that was not there before: worse values and returns from the unknown are steps of the same one.
pub(super) const RAISED: &str =
    "\"to_state\" = 'firing' AND (\"from_state\" = 'inactive' OR \"from_state\" = 'pending')";
/// Rules of hygiene.
pub(super) const HYGIENE: &str = "\"rule\" =~ /^(sterilization|disinfection|indicator|failed-cycle|cartridge|pack)-/";

/// Colours of priorities, as people know them from the pages.
pub(super) const PRIORITIES: [(&str, &str, &str); 4] = [
    ("high", "high", RED),
    ("medium", "medium", ORANGE),
    ("low", "low", YELLOW),
    ("info", "info", BLUE),
];

/// Words and colours of how a load or a test came out.
pub(super) const OUTCOMES: [(&str, &str, &str); 3] = [
    ("pass", "passed", GREEN),
    ("fail", "failed", RED),
    ("aborted", "aborted", ORANGE),
];

pub(super) fn clinics() -> Variable {
    Variable {
        several: true,
        ..one_clinic()
    }
}

pub(super) fn one_clinic() -> Variable {
    Variable {
        name: "clinic",
        label: "Clinic",
        query: "SHOW TAG VALUES FROM \"device_state\" WITH KEY = \"clinic\"".to_owned(),
        several: false,
        newest_first: false,
    }
}

/// The devices of the chosen clinics that have ever written to a measurement.
pub(super) fn device(measurement: &str) -> Variable {
    Variable {
        name: "device",
        label: "Device",
        query: format!("SHOW TAG VALUES FROM \"{measurement}\" WITH KEY = \"device\" WHERE \"clinic\" =~ /^$clinic$/"),
        several: false,
        newest_first: false,
    }
}

pub(super) fn zones(measurement: &str) -> Variable {
    Variable {
        name: "zone",
        label: "Zone",
        query: format!("SHOW TAG VALUES FROM \"{measurement}\" WITH KEY = \"zone\" WHERE \"device\" =~ /^$device$/"),
        several: true,
        newest_first: false,
    }
}

pub(super) fn session() -> Variable {
    Variable {
        name: "session",
        label: "Session",
        query: format!("SELECT \"session\" FROM \"session_summary\" WHERE {OF_DEVICE}"),
        several: false,
        newest_first: true,
    }
}

/// A line for each alert that was raised, in the colour of its priority.
pub(super) fn alert_lines(of: &str) -> Vec<Annotation> {
    let line = |name, priority: &str, colour| Annotation {
        name,
        colour,
        query: format!(
            "SELECT \"rule\", \"priority\", \"zone\", \"value\", \"limit\" FROM \"alert_transition\" \
             WHERE {of} AND \"priority\" = '{priority}' AND {RAISED}"
        ),
        text: "rule",
        tags: "priority,zone",
        until: None,
    };
    vec![
        line("High alerts", "high", RED),
        line("Medium alerts", "medium", ORANGE),
        line("Low alerts", "low", YELLOW),
    ]
}

/// A band for each session, from its start to its last stored reading.
pub(super) fn session_bands() -> Annotation {
    Annotation {
        name: "Sessions",
        colour: BLUE,
        query: format!("SELECT \"text\", \"until_ms\", \"closed_by\" FROM \"session_summary\" WHERE {OF_DEVICE}"),
        text: "text",
        tags: "closed_by",
        until: Some("until_ms"),
    }
}

/// How many alerts of one priority were raised; as a column of that name.
pub(super) fn raised(priority: &str, name: &str, of: &str, group: &str) -> String {
    format!(
        "SELECT count(\"value\") AS \"{name}\" FROM \"alert_transition\" \
         WHERE {of} AND \"priority\" = '{priority}' AND {RAISED}{group}"
    )
}

/// Alerts by priority as large values.
pub(super) fn alerts_by_priority(of: &str, width: u32) -> Panel {
    Panel::stat(
        "Alerts raised",
        "How often a person was needed, by priority. High: somebody had to act within minutes.",
    )
    .size(width, 5)
    .nothing("0")
    .ask("High", raised("high", "High", of, ""))
    .ask("Medium", raised("medium", "Medium", of, ""))
    .ask("Low", raised("low", "Low", of, ""))
    .column("High", vec![Look::Steps(scale(GREEN, &[(1.0, RED)]))])
    .column("Medium", vec![Look::Steps(scale(GREEN, &[(1.0, ORANGE)]))])
    .column("Low", vec![Look::Steps(scale(GREEN, &[(1.0, YELLOW)]))])
}

/// Alerts over time by priority.
pub(super) fn alerts_over_time(of: &str, every: &str) -> Panel {
    let group = format!(" GROUP BY time({every}) fill(0)");
    Panel::bars(
        "Alerts over time",
        "When people were needed. Alerts that cluster at one hour point to one cause: a delivery, a cleaner, a network.",
    )
    .ask("High", raised("high", "High", of, &group))
    .ask("Medium", raised("medium", "Medium", of, &group))
    .ask("Low", raised("low", "Low", of, &group))
    .column("High", vec![Look::Colour(RED)])
    .column("Medium", vec![Look::Colour(ORANGE)])
    .column("Low", vec![Look::Colour(YELLOW)])
}

/// The newest alerts, each with its way to the console.
pub(super) fn newest_alerts(of: &str) -> Panel {
    Panel::table(
        "Newest alerts",
        "What was raised, newest first. A click on the rule opens the alert: evidence, who knows, and what was done.",
    )
    .ask(
        "Alerts",
        format!(
            "SELECT \"priority\" AS \"Priority\", \"rule\" AS \"Rule\", \"clinic\" AS \"Clinic\", \"device\" AS \"Device\", \
             \"zone\" AS \"Zone\", \"value\" AS \"Value\", \"limit\" AS \"Limit\", \"unit\" AS \"Unit\", \"alert_id\" \
             FROM \"alert_transition\" WHERE {of} AND {RAISED} ORDER BY time DESC LIMIT 100"
        ),
    )
    .words(&PRIORITIES)
    .column("Priority", vec![Look::Coloured])
    .column("Rule", vec![Look::Link("Open the alert", "${console_url:raw}/alerts/${__data.fields.alert_id}")])
    .column("Value", vec![Look::Decimals(2)])
    .column("Limit", vec![Look::Decimals(2)])
    .column("alert_id", vec![Look::Hidden])
}

/// Treatments, each with its way to its own page.
pub(super) fn treatments(of: &str) -> Panel {
    Panel::table(
        "Treatments",
        "Each session with what is stored of it. \"False\" under Whole means that readings are missing, and the sentence says which.",
    )
    .ask(
        "Treatments",
        format!(
            "SELECT \"clinic\" AS \"Clinic\", \"device\" AS \"Device\", \"zones\" AS \"Zones\", \"duration_us\" / 1000000 AS \"Length\", \
             \"complete\" AS \"Whole\", \"text\" AS \"What is stored\", \"session\", \"until_ms\" \
             FROM \"session_summary\" WHERE {of} ORDER BY time DESC LIMIT 200"
        ),
    )
    .words(&[("true", "yes", GREEN), ("false", "no", RED)])
    .column("Length", vec![Look::Unit("s"), Look::Decimals(0)])
    .column("Whole", vec![Look::Coloured])
    .column(
        "What is stored",
        vec![Look::Link(
            "Everything about this treatment",
            "/d/dermatel-session?var-source=${source}&var-clinic=${__data.fields.Clinic}&var-device=${__data.fields.Device}&var-session=${__data.fields.session}&from=${__data.fields.Time.numeric}&to=${__data.fields.until_ms.numeric}",
        )],
    )
    .column("session", vec![Look::Hidden])
    .column("until_ms", vec![Look::Hidden])
}

/// What share of the readings that were made is stored.
pub(super) fn kept(of: &str) -> Panel {
    Panel::stat(
        "Readings stored",
        "Strokes and pulses that are stored, of those that are known to have been made. Less than all: the treatments' table says which are missing.",
    )
    .unit("percentunit")
    .decimals(2)
    .steps(RED, &[(0.99, ORANGE), (0.9999, GREEN)])
    .ask(
        "Stored",
        format!(
            "SELECT (sum(\"strokes_stored\") + sum(\"pulses_stored\")) / (sum(\"strokes_stored\") + sum(\"strokes_missing\") \
             + sum(\"pulses_stored\") + sum(\"pulses_missing\")) AS \"Stored\" FROM \"session_summary\" WHERE {of}"
        ),
    )
}

/// Words and colours of where an alert stands.
pub(super) const STATES: [(&str, &str, &str); 7] = [
    ("pending", "waits for evidence", GREY),
    ("firing", "open", RED),
    ("latched", "over, nobody knows", ORANGE),
    ("acknowledged", "acknowledged", BLUE),
    ("unknown", "device not heard", PURPLE),
    ("resolved", "closed", GREEN),
    ("inactive", "closed", GREEN),
];
