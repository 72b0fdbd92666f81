//! One clinic: its devices at work, its treatments, its alerts.

use super::model::{Dashboard, Panel, Store};
use super::panels::{BLUE, DARK, GREEN, GREY, ORANGE, RED, YELLOW};
use super::parts::{self, HYGIENE, OF_CLINIC, RAISED};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "dermatel-clinic",
        folder: parts::CLINICS,
        title: "Clinic",
        what: "One clinic today, for its manager.",
        store: Store::Influx,
        from: "now-12h",
        variables: vec![parts::one_clinic()],
        annotations: parts::alert_lines(OF_CLINIC),
        panels: vec![
            treatments(),
            parts::alerts_by_priority(OF_CLINIC, 8),
            hygiene(),
            parts::kept(OF_CLINIC).size(4, 5),
            in_use(),
            presence(),
            deepest(),
            fluence(),
            battery(),
            parts::alerts_over_time(OF_CLINIC, "30m").size(24, 7),
            parts::treatments(OF_CLINIC),
            parts::newest_alerts(OF_CLINIC),
        ],
    }
}

fn treatments() -> Panel {
    Panel::stat("Treatments", "Sessions that were started.")
        .nothing("0")
        .ask(
            "Treatments",
            format!("SELECT count(\"strokes_stored\") AS \"Treatments\" FROM \"session_summary\" WHERE {OF_CLINIC}"),
        )
}

fn hygiene() -> Panel {
    Panel::stat(
        "Hygiene findings",
        "Times that a device was used although hygiene was not proven.",
    )
    .nothing("0")
    .steps(GREEN, &[(1.0, RED)])
    .ask(
        "Findings",
        format!(
            "SELECT count(\"value\") AS \"Findings\" FROM \"alert_transition\" \
                 WHERE {OF_CLINIC} AND {HYGIENE} AND {RAISED}"
        ),
    )
}

fn in_use() -> Panel {
    Panel::timeline(
        "Devices in use",
        "When each device treated somebody. Gaps between two clients are when it is wiped and made ready.",
    )
    .words(&[("true", "in a treatment", BLUE), ("false", "ready", DARK)])
    .ask(
        "$tag_device",
        format!(
            "SELECT last(\"in_session\") AS \"in_session\" FROM \"device_state\" \
             WHERE {OF_CLINIC} AND (\"kind\" = 'pen' OR \"kind\" = 'ipl') GROUP BY time($__interval), \"device\" fill(none)"
        ),
    )
}

fn presence() -> Panel {
    Panel::timeline(
        "Devices on line",
        "Whether each device is connected. Lost: it went without saying good-bye, by battery, network or plug.",
    )
    .words(&[
        ("online", "on line", GREEN),
        ("offline", "switched off", GREY),
        ("lost", "lost", RED),
    ])
    .ask(
        "$tag_device",
        format!(
            "SELECT last(\"presence\") AS \"presence\" FROM \"device_state\" WHERE {OF_CLINIC} \
             GROUP BY time($__interval), \"device\" fill(none)"
        ),
    )
}

fn deepest() -> Panel {
    Panel::ranking(
        "Deepest stroke by pen",
        "How deep each pen went at most. What a zone allows differs up to eightfold: the pen's page shows it zone by zone.",
    )
    .size(8, 7)
    .unit("lengthmm")
    .decimals(2)
    .from(0.0)
    .to(2.5)
    .steps(GREEN, &[(1.0, YELLOW), (1.5, RED)])
    .ask(
        "$tag_device",
        format!("SELECT max(\"depth_max_um\") / 1000 AS \"mm\" FROM \"stroke_window\" WHERE {OF_CLINIC} GROUP BY \"device\""),
    )
}

fn fluence() -> Panel {
    Panel::ranking(
        "Strongest pulse by unit",
        "The highest fluence that each IPL unit measured.",
    )
    .size(8, 7)
    .unit("suffix: J/cm²")
    .decimals(1)
    .from(0.0)
    .to(20.0)
    .steps(GREEN, &[(10.0, YELLOW), (14.0, RED)])
    .ask(
        "$tag_device",
        format!(
            "SELECT max(\"fluence_measured_mj_per_cm2\") / 1000 AS \"fluence\" FROM \"pulse\" \
                 WHERE {OF_CLINIC} GROUP BY \"device\""
        ),
    )
}

fn battery() -> Panel {
    Panel::ranking("Battery", "Last charge that each pen told.")
        .size(8, 7)
        .unit("percent")
        .from(0.0)
        .to(100.0)
        .steps(RED, &[(15.0, ORANGE), (30.0, GREEN)])
        .ask(
            "$tag_device",
            format!(
                "SELECT last(\"battery_percent\") AS \"battery_percent\" FROM \"device_state\" \
                 WHERE {OF_CLINIC} AND \"kind\" = 'pen' GROUP BY \"device\""
            ),
        )
}
