//! Whether the alerts are good ones: how many, which rules make them, which chatter, how fast somebody knows.

use super::model::{Dashboard, Look, Panel, Store};
use super::panels::{BLUE, GREEN, ORANGE, PURPLE, RED, YELLOW};
use super::parts::{self, OF_CLINIC, RAISED};

/// Seconds from when an alert was raised to when a person acknowledged it, one row each.
const ANSWERS: &str = "SELECT (\"received_at_us\" - \"raised_at_us\") / 1000000 AS \"s\" FROM \"alert_transition\" \
    WHERE $timeFilter AND \"clinic\" =~ /^$clinic$/ AND \"to_state\" = 'acknowledged'";

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "dermatel-alerts",
        folder: parts::OPERATIONS,
        title: "Alert quality",
        what: "Whether alerts are few, right and answered; for whoever sets rules and rotas.",
        store: Store::Influx,
        from: "now-7d",
        variables: vec![parts::clinics()],
        annotations: Vec::new(),
        panels: vec![
            parts::alerts_by_priority(OF_CLINIC, 8),
            answered_in(),
            ends(),
            shifts(),
            rules(),
            answers(),
            chattering(),
            parts::newest_alerts(OF_CLINIC),
        ],
    }
}

fn answered_in() -> Panel {
    Panel::stat(
        "Time to acknowledge",
        "How long it took until a person knew: in the middle of all alerts, and for the slowest twentieth.",
    )
    .size(8, 5)
    .unit("s")
    .decimals(0)
    .steps(GREEN, &[(300.0, ORANGE), (900.0, RED)])
    .ask(
        "Half within",
        format!("SELECT percentile(\"s\", 50) AS \"Half within\" FROM ({ANSWERS}) WHERE $timeFilter"),
    )
    .ask(
        "95 % within",
        format!("SELECT percentile(\"s\", 95) AS \"95 % within\" FROM ({ANSWERS}) WHERE $timeFilter"),
    )
}

fn ends() -> Panel {
    let steps = |to: &str, name: &str| {
        format!(
            "SELECT count(\"value\") AS \"{name}\" FROM \"alert_transition\" WHERE {OF_CLINIC} AND \"to_state\" = '{to}'"
        )
    };
    Panel::stat(
        "What became of them",
        "Acknowledged: a person knew. Over unseen: it ended before anybody knew, latched and kept calling. Not heard: the device fell silent while it was open.",
    )
    .size(8, 5)
    .nothing("0")
    .ask("Acknowledged", steps("acknowledged", "Acknowledged"))
    .ask("Over unseen", steps("latched", "Over unseen"))
    .ask("Closed", steps("resolved", "Closed"))
    .column("Acknowledged", vec![Look::Colour(BLUE)])
    .column("Over unseen", vec![Look::Colour(ORANGE)])
    .column("Closed", vec![Look::Colour(GREEN)])
}

fn shifts() -> Panel {
    // Shifts of 8 hours that begin at 6, 14 and 22 o'clock UTC.
    let group = " GROUP BY time(8h, 6h) fill(0)";
    Panel::bars(
        "Alerts per shift",
        "Shifts begin at 6, 14 and 22 o'clock UTC. More than a dozen in a shift and people stop looking.",
    )
    .size(12, 12)
    .ask("High", parts::raised("high", "High", OF_CLINIC, group))
    .ask("Medium", parts::raised("medium", "Medium", OF_CLINIC, group))
    .ask("Low", parts::raised("low", "Low", OF_CLINIC, group))
    .column("High", vec![Look::Colour(RED)])
    .column("Medium", vec![Look::Colour(ORANGE)])
    .column("Low", vec![Look::Colour(YELLOW)])
}

fn rules() -> Panel {
    Panel::ranking(
        "Alerts by rule",
        "Which rules call. A rule that calls more than all others is either a real fault or a wrong limit.",
    )
    .size(12, 12)
    .from(0.0)
    .steps(BLUE, &[(10.0, ORANGE), (30.0, RED)])
    .ask(
        "$tag_rule",
        format!("SELECT count(\"value\") AS \"raised\" FROM \"alert_transition\" WHERE {OF_CLINIC} AND {RAISED} GROUP BY \"rule\""),
    )
}

fn answers() -> Panel {
    Panel::points(
        "Each answer",
        "Each point is one acknowledgement: how long after the alert it came. Points that climb at one hour show where a rota is thin. One that got worse and was acknowledged again counts from its first call.",
    )
    .size(24, 9)
    .unit("s")
    .decimals(0)
    .from(0.0)
    .steps(GREEN, &[(300.0, RED)])
    .ask("acknowledged after", ANSWERS)
    .column("acknowledged after", vec![Look::Colour(PURPLE)])
}

fn chattering() -> Panel {
    Panel::table(
        "Who chatters",
        "How often each rule was raised at each device, and how many steps its alerts took. Three or more of one kind: mend the device or the rule.",
    )
    .size(24, 9)
    .merged()
    .ask(
        "Raised",
        format!(
            "SELECT count(\"value\") AS \"Raised\" FROM \"alert_transition\" WHERE {OF_CLINIC} AND {RAISED} \
             GROUP BY \"clinic\", \"device\", \"rule\""
        ),
    )
    .ask(
        "Steps",
        format!(
            "SELECT count(\"value\") AS \"Steps\", max(\"value\") AS \"Greatest value\" FROM \"alert_transition\" WHERE {OF_CLINIC} \
             GROUP BY \"clinic\", \"device\", \"rule\""
        ),
    )
    .column("clinic", vec![Look::ShownAs("Clinic")])
    .column("device", vec![Look::ShownAs("Device")])
    .column("rule", vec![Look::ShownAs("Rule")])
    .column(
        "Raised",
        vec![
            Look::Gauge(10.0),
            Look::Steps(super::panels::scale(GREEN, &[(3.0, ORANGE), (6.0, RED)])),
        ],
    )
    .column("Greatest value", vec![Look::Decimals(2)])
}
