//! Every clinic of a chain on one page: who works, where people are needed, where hygiene or data have holes.

use super::model::{Dashboard, Look, Panel, Store};
use super::panels::{BLUE, GREEN, ORANGE, RED, YELLOW, scale};
use super::parts::{self, HYGIENE, OF_CLINIC, RAISED};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "dermatel-chain",
        folder: parts::CLINICS,
        title: "Chain overview",
        what: "All clinics on one page, for whoever answers for them.",
        store: Store::Influx,
        from: "now-24h",
        variables: vec![parts::clinics()],
        annotations: Vec::new(),
        panels: vec![
            treatments(),
            parts::alerts_by_priority(OF_CLINIC, 8),
            hygiene(),
            parts::kept(OF_CLINIC).size(4, 5),
            clinics(),
            heard(),
            parts::alerts_over_time(OF_CLINIC, "1h").size(8, 9),
            activity(),
            parts::newest_alerts(OF_CLINIC),
        ],
    }
}

fn treatments() -> Panel {
    Panel::stat("Treatments", "Sessions that were started.")
        .size(6, 5)
        .nothing("0")
        .ask(
            "Treatments",
            format!("SELECT count(\"strokes_stored\") AS \"Treatments\" FROM \"session_summary\" WHERE {OF_CLINIC}"),
        )
}

fn hygiene() -> Panel {
    Panel::stat(
        "Hygiene findings",
        "Times that a device was used although hygiene was not proven: not sterilized, not disinfected, no indicator, used or expired cartridge.",
    )
    .size(6, 5)
    .nothing("0")
    .steps(GREEN, &[(1.0, RED)])
    .ask(
        "Findings",
        format!(
            "SELECT count(\"value\") AS \"Findings\" FROM \"alert_transition\" WHERE {OF_CLINIC} AND {HYGIENE} AND {RAISED}"
        ),
    )
}

fn clinics() -> Panel {
    let by = " GROUP BY \"clinic\"";
    let summary =
        |what: &str, name: &str| format!("SELECT {what} AS \"{name}\" FROM \"session_summary\" WHERE {OF_CLINIC}{by}");
    let findings = format!(
        "SELECT count(\"value\") AS \"Hygiene\" FROM \"alert_transition\" WHERE {OF_CLINIC} AND {HYGIENE} AND {RAISED}{by}"
    );
    let heard = format!(
        "SELECT count(\"n\") AS \"Devices heard\" FROM (SELECT count(\"received_at_us\") AS \"n\" FROM \"device_state\" \
         WHERE {OF_CLINIC} GROUP BY \"clinic\", \"device\") WHERE $timeFilter{by}"
    );
    Panel::table(
        "Clinics",
        "A line for each clinic. Red and orange cells are where to look first; a click on the name opens the clinic.",
    )
    .size(24, 6)
    .merged()
    .ask("Treatments", summary("count(\"strokes_stored\")", "Treatments"))
    .ask("Devices", heard)
    .ask("High", parts::raised("high", "High", OF_CLINIC, by))
    .ask("Medium", parts::raised("medium", "Medium", OF_CLINIC, by))
    .ask("Low", parts::raised("low", "Low", OF_CLINIC, by))
    .ask("Hygiene", findings)
    .ask(
        "Missing",
        summary("sum(\"strokes_missing\") + sum(\"pulses_missing\")", "Readings missing"),
    )
    .column(
        "clinic",
        vec![
            Look::ShownAs("Clinic"),
            Look::Link(
                "Open the clinic",
                "/d/dermatel-clinic?var-source=${source}&var-clinic=${__data.fields.clinic}&from=${__from}&to=${__to}",
            ),
        ],
    )
    .column("Treatments", vec![Look::Gauge(60.0), Look::Steps(scale(BLUE, &[]))])
    .column("High", coloured(RED))
    .column("Medium", coloured(ORANGE))
    .column("Low", coloured(YELLOW))
    .column("Hygiene", coloured(RED))
    .column("Readings missing", coloured(ORANGE))
}

fn coloured(from_one: &'static str) -> Vec<Look> {
    vec![
        Look::Coloured,
        Look::Steps(scale(GREEN, &[(1.0, from_one)])),
        Look::Nothing("0"),
    ]
}

fn heard() -> Panel {
    Panel::lines(
        "Devices heard every ten minutes",
        "Devices that told something in each ten minutes of their own time, by clinic. What a device keeps while its network is down fills its gap later; a gap that stays is readings that nobody has.",
    )
    .size(8, 9)
    .from(0.0)
    .decimals(0)
    .ask(
        "$tag_clinic",
        format!(
            "SELECT count(\"n\") AS \"n\" FROM (SELECT count(\"received_at_us\") AS \"n\" FROM \"device_state\" \
             WHERE {OF_CLINIC} GROUP BY time(10m), \"clinic\", \"device\" fill(none)) WHERE $timeFilter \
             GROUP BY time(10m), \"clinic\" fill(0)"
        ),
    )
}

fn activity() -> Panel {
    Panel::bars(
        "Strokes per hour",
        "How much is worked with pens, by clinic. From the hourly roll-ups, so it also shows years.",
    )
    .size(8, 9)
    .ask(
        "$tag_clinic",
        format!(
            "SELECT sum(\"count\") AS \"strokes\" FROM \"rollup\".\"stroke_1h\" WHERE {OF_CLINIC} \
             GROUP BY time(1h), \"clinic\" fill(none)"
        ),
    )
}
