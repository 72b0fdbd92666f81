//! One IPL unit: light that was set against light that was measured, skin and tip temperature, lamp.

use super::model::{Dashboard, Look, Panel, Store};
use super::panels::{BLUE, GREEN, ORANGE, PURPLE, RED, YELLOW};
use super::parts::{self, OF_DEVICE};

const PULSES: &str = "FROM \"pulse\" WHERE $timeFilter AND \"clinic\" =~ /^$clinic$/ AND \"device\" =~ /^$device$/ AND \"zone\" =~ /^$zone$/";

pub(super) fn dashboard() -> Dashboard {
    let mut annotations = parts::alert_lines(OF_DEVICE);
    annotations.push(parts::session_bands());
    Dashboard {
        uid: "dermatel-ipl",
        folder: parts::DEVICES,
        title: "IPL unit",
        what: "What one unit gives, against what was set, and how its lamp ages.",
        store: Store::Influx,
        from: "now-12h",
        variables: vec![parts::clinics(), parts::device("pulse"), parts::zones("pulse")],
        annotations,
        panels: vec![
            pulses(),
            strongest(),
            output(),
            hottest(),
            shots(),
            fluence(),
            drift(),
            temperature(),
            misfires(),
            long_drift(),
            parts::newest_alerts(OF_DEVICE),
            parts::treatments(OF_DEVICE),
        ],
    }
}

fn pulses() -> Panel {
    Panel::stat("Pulses", "Pulses that were told, fired or not.")
        .size(5, 5)
        .nothing("0")
        .ask("Pulses", format!("SELECT count(\"ordinal\") AS \"Pulses\" {PULSES}"))
}

fn strongest() -> Panel {
    Panel::stat("Strongest pulse", "The highest fluence that was measured.")
        .size(5, 5)
        .unit("suffix: J/cm²")
        .decimals(1)
        .ask(
            "Strongest",
            format!("SELECT max(\"fluence_measured_mj_per_cm2\") / 1000 AS \"Strongest\" {PULSES}"),
        )
}

fn output() -> Panel {
    Panel::stat(
        "Output against set",
        "Measured light of all pulses as a share of what was set. Below 85 %: have the output measured and the lamp replaced.",
    )
    .size(5, 5)
    .unit("percentunit")
    .decimals(1)
    .steps(RED, &[(0.85, ORANGE), (0.93, GREEN), (1.1, ORANGE), (1.2, RED)])
    .ask(
        "Output",
        format!(
            "SELECT sum(\"fluence_measured_mj_per_cm2\") / sum(\"fluence_set_mj_per_cm2\") AS \"Output\" \
             {PULSES} AND \"fluence_measured_mj_per_cm2\" > 0"
        ),
    )
}

fn hottest() -> Panel {
    Panel::stat(
        "Hottest skin",
        "The highest skin temperature. 44 °C is where burns begin when it lasts; the time halves with every degree more.",
    )
    .size(5, 5)
    .unit("celsius")
    .decimals(1)
    .steps(GREEN, &[(41.0, ORANGE), (44.0, RED)])
    .ask("Skin", format!("SELECT max(\"skin_temperature_mdegc\") / 1000 AS \"Skin\" {PULSES}"))
}

fn shots() -> Panel {
    Panel::stat(
        "Shots of the lamp",
        "What the lamp has fired in its life. Makers advertise 300,000 and more; output falls before that.",
    )
    .size(4, 5)
    .steps(GREEN, &[(240_000.0, ORANGE), (300_000.0, RED)])
    .ask("Shots", format!("SELECT last(\"lamp_shots\") AS \"Shots\" {PULSES}"))
}

fn fluence() -> Panel {
    Panel::lines(
        "Light: set and measured",
        "Fluence of the pulses. Both lines should run together. The red line is the most that was measured in each interval. Vertical lines are alerts, bands are sessions.",
    )
    .size(24, 11)
    .unit("suffix: J/cm²")
    .decimals(1)
    .from(0.0)
    .ask(
        "$col",
        format!(
            "SELECT mean(\"fluence_set_mj_per_cm2\") / 1000 AS \"set\", mean(\"fluence_measured_mj_per_cm2\") / 1000 AS \"measured\", \
             max(\"fluence_measured_mj_per_cm2\") / 1000 AS \"most\" {PULSES} GROUP BY time($__interval) fill(none)"
        ),
    )
    .column("set", vec![Look::Colour(GREEN), Look::Stepped, Look::Width(2)])
    .column("measured", vec![Look::Colour(BLUE), Look::Width(2)])
    .column("most", vec![Look::Colour(RED), Look::Width(1)])
}

fn drift() -> Panel {
    Panel::points(
        "Output of the lamp against set",
        "100 % is right. A lamp that ages falls slowly and without any failure that could be seen.",
    )
    .size(8, 9)
    .unit("percentunit")
    .decimals(0)
    .steps(RED, &[(0.85, ORANGE), (0.93, GREEN), (1.1, ORANGE), (1.2, RED)])
    .ask(
        "output",
        format!(
            "SELECT sum(\"fluence_measured_mj_per_cm2\") / sum(\"fluence_set_mj_per_cm2\") AS \"output\" \
             {PULSES} AND \"fluence_measured_mj_per_cm2\" > 0 GROUP BY time($__interval) fill(none)"
        ),
    )
}

fn temperature() -> Panel {
    Panel::points(
        "Temperature of skin and tip",
        "The hottest pulse in each interval. The red line is 44 °C; a cooled tip stays below 20 °C.",
    )
    .size(8, 9)
    .unit("celsius")
    .decimals(1)
    .steps(GREEN, &[(44.0, RED)])
    .ask(
        "$col",
        format!(
            "SELECT max(\"skin_temperature_mdegc\") / 1000 AS \"skin\", max(\"tip_temperature_mdegc\") / 1000 AS \"tip\" {PULSES} \
             GROUP BY time($__interval) fill(none)"
        ),
    )
    .column("skin", vec![Look::Colour(ORANGE)])
    .column("tip", vec![Look::Colour(BLUE)])
}

fn misfires() -> Panel {
    Panel::bars(
        "Pulses fired and not fired",
        "Pulses that did not fire treat nobody, and tempt to pulse the same spot again.",
    )
    .size(8, 9)
    .ask(
        "fired",
        format!("SELECT count(\"ordinal\") AS \"fired\" {PULSES} AND \"fired\" = true GROUP BY time(30m) fill(0)"),
    )
    .ask(
        "not fired",
        format!("SELECT count(\"ordinal\") AS \"not fired\" {PULSES} AND \"fired\" = false GROUP BY time(30m) fill(0)"),
    )
    .column("fired", vec![Look::Colour(PURPLE)])
    .column("not fired", vec![Look::Colour(YELLOW)])
}

fn long_drift() -> Panel {
    Panel::lines(
        "Output against set, over months",
        "The same by the hour, from the roll-ups: this is how a lamp ages.",
    )
    .hourly()
    .size(24, 8)
    .unit("percentunit")
    .decimals(0)
    .steps(RED, &[(0.85, ORANGE), (0.93, GREEN), (1.1, ORANGE), (1.2, RED)])
    .ask(
        "output",
        format!(
            "SELECT (sum(\"fluence_measured_sum_mj_per_cm2\") / sum(\"fluence_measured_count\")) / \
             (sum(\"fluence_set_sum_mj_per_cm2\") / sum(\"fluence_set_count\")) AS \"output\" \
             FROM \"rollup\".\"pulse_1h\" WHERE {OF_DEVICE} GROUP BY time(1h) fill(none)"
        ),
    )
}
