//! Hygiene as an inspector asks for it: what was proven, what was not, and when each sterilizer was last tested.

use super::model::{Dashboard, Look, Panel, Store};
use super::panels::{BLUE, GREEN, PURPLE, RED, scale};
use super::parts::{self, HYGIENE, OF_CLINIC, OUTCOMES, RAISED, STATES};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "dermatel-sterilization",
        folder: parts::CLINICS,
        title: "Sterilization compliance",
        what: "What was sterilized, disinfected and tested, and where that is not proven; for hygiene officers and inspectors.",
        store: Store::Influx,
        from: "now-7d",
        variables: vec![parts::clinics()],
        annotations: Vec::new(),
        panels: vec![findings(), sterilizers(), by_clinic(), standing(), evidence(), log()],
    }
}

fn count(rules: &str, name: &str, group: &str) -> String {
    format!(
        "SELECT count(\"value\") AS \"{name}\" FROM \"alert_transition\" WHERE {OF_CLINIC} AND \"rule\" =~ /^({rules})$/ AND {RAISED}{group}"
    )
}

/// Names of findings and the rules that make them.
const FINDINGS: [(&str, &str); 4] = [
    ("Sterilization not proven", "sterilization-overdue|failed-cycle-used"),
    ("Not disinfected", "disinfection-missing"),
    ("No passed test", "indicator-overdue|indicator-missing|indicator-failed"),
    ("Cartridge or pack", "cartridge-reused|pack-expired"),
];

fn findings() -> Panel {
    let panel = Panel::stat(
        "Findings",
        "Times that a device or sterilizer was used although the proof was missing. 0 everywhere is what an inspector wants to see.",
    )
    .size(24, 5)
    .nothing("0")
    .steps(GREEN, &[(1.0, RED)]);
    FINDINGS
        .iter()
        .fold(panel, |panel, &(name, rules)| panel.ask(name, count(rules, name, "")))
}

fn sterilizers() -> Panel {
    let events = |what: &str, name: &str| {
        format!(
            "SELECT count(\"item_count\") AS \"{name}\" FROM \"sterilization_event\" WHERE {OF_CLINIC} AND {what} GROUP BY \"clinic\", \"device\""
        )
    };
    Panel::table(
        "Sterilizers",
        "Each sterilizer within the range that is shown. With a range of a week, a red cell under Biological tests is overdue: at least one a week must pass.",
    )
    .size(12, 6)
    .merged()
    .ask("Passed", events("\"what\" = 'cycle' AND \"outcome\" = 'pass'", "Loads passed"))
    .ask("Failed", events("\"what\" = 'cycle' AND \"outcome\" = 'fail'", "Loads failed"))
    .ask(
        "Biological",
        events(
            "\"what\" = 'indicator' AND \"indicator\" = 'biological' AND \"outcome\" = 'pass'",
            "Biological tests",
        ),
    )
    .ask(
        "Chemical",
        events(
            "\"what\" = 'indicator' AND \"indicator\" = 'chemical' AND \"outcome\" = 'pass'",
            "Chemical tests",
        ),
    )
    .column("clinic", vec![Look::ShownAs("Clinic")])
    .column("device", vec![Look::ShownAs("Sterilizer")])
    .column("Loads failed", vec![Look::Coloured, Look::Steps(scale(GREEN, &[(1.0, RED)])), Look::Nothing("0")])
    .column(
        "Biological tests",
        vec![Look::Coloured, Look::Steps(scale(RED, &[(1.0, GREEN)])), Look::Nothing("none")],
    )
}

fn by_clinic() -> Panel {
    let panel = Panel::table("Findings by clinic", "Where proof was missing, and of what kind.")
        .size(12, 6)
        .merged()
        .column("clinic", vec![Look::ShownAs("Clinic")]);
    FINDINGS.iter().fold(panel, |panel, &(name, rules)| {
        panel.ask(name, count(rules, name, " GROUP BY \"clinic\"")).column(
            name,
            vec![
                Look::Coloured,
                Look::Steps(scale(GREEN, &[(1.0, RED)])),
                Look::Nothing("0"),
            ],
        )
    })
}

fn standing() -> Panel {
    Panel::table(
        "Where each finding stands",
        "The last step of each rule at each device: red is open, blue is known to somebody, green is closed.",
    )
    .size(12, 9)
    .ask(
        "Standing",
        format!(
            "SELECT last(\"to_state\") AS \"Stands\" FROM \"alert_transition\" WHERE {OF_CLINIC} AND {HYGIENE} \
             GROUP BY \"clinic\", \"device\", \"rule\""
        ),
    )
    .words(&STATES)
    .column("Time", vec![Look::ShownAs("Since"), Look::Unit("dateTimeFromNow")])
    .column("clinic", vec![Look::ShownAs("Clinic")])
    .column("device", vec![Look::ShownAs("Device")])
    .column("rule", vec![Look::ShownAs("Rule")])
    .column("Stands", vec![Look::Coloured])
}

fn evidence() -> Panel {
    let events = |what: &str, name: &str| {
        format!(
            "SELECT count(\"item_count\") AS \"{name}\" FROM \"sterilization_event\" WHERE {OF_CLINIC} AND {what} GROUP BY time(1h) fill(0)"
        )
    };
    Panel::bars(
        "Evidence over time",
        "Loads, wipes and tests as they were recorded. A gap on a working day is a day without proof.",
    )
    .ask(
        "Loads passed",
        events("\"what\" = 'cycle' AND \"outcome\" = 'pass'", "Loads passed"),
    )
    .ask(
        "Loads failed",
        events("\"what\" = 'cycle' AND \"outcome\" = 'fail'", "Loads failed"),
    )
    .ask("Wipes", events("\"what\" = 'disinfection'", "Wipes"))
    .ask("Tests", events("\"what\" = 'indicator'", "Tests"))
    .column("Loads passed", vec![Look::Colour(GREEN)])
    .column("Loads failed", vec![Look::Colour(RED)])
    .column("Wipes", vec![Look::Colour(BLUE)])
    .column("Tests", vec![Look::Colour(PURPLE)])
}

fn log() -> Panel {
    Panel::table(
        "The record",
        "Every load, wipe and test, newest first: what an inspector copies.",
    )
    .size(24, 11)
    .ask(
        "Record",
        format!(
            "SELECT \"clinic\" AS \"Clinic\", \"what\" AS \"What\", \"outcome\" AS \"Outcome\", \"device\" AS \"Told by\", \
             \"recorded_by\" AS \"Recorded by\", \"cycle\" AS \"Cycle\", \"hold_temperature_mdegc\" / 1000 AS \"Held at\", \"hold_time_s\" AS \"Held for\", \
             \"level\" AS \"Level\", \"contact_time_s\" AS \"Contact\", \"indicator\" AS \"Indicator\", \"items\" AS \"Items\" \
             FROM \"sterilization_event\" WHERE {OF_CLINIC} ORDER BY time DESC LIMIT 1000"
        ),
    )
    .words(&OUTCOMES)
    .column("Outcome", vec![Look::Coloured])
    .column("Held at", vec![Look::Unit("celsius"), Look::Decimals(1)])
    .column("Held for", vec![Look::Unit("s")])
    .column("Contact", vec![Look::Unit("s")])
}
