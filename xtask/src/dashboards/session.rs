//! Everything about one treatment, for whoever has to answer a client's question.

use super::model::{Dashboard, Look, Panel, Store};
use super::panels::{BLUE, GREEN, GREY, RED, scale};
use super::parts::{self, OF_DEVICE, OUTCOMES, PRIORITIES, STATES};

const OF_SESSION: &str =
    "$timeFilter AND \"clinic\" =~ /^$clinic$/ AND \"device\" =~ /^$device$/ AND \"session\" = '$session'";

/// What belongs to the session and was told a little before or after its readings.
const AROUND: &str = "time >= ${__from}ms - 1h AND time <= ${__to}ms + 1h";
/// What it was used with: the month before.
const BEFORE: &str = "time >= ${__from}ms - 30d AND time <= ${__to}ms";

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "dermatel-session",
        folder: parts::DEVICES,
        title: "Treatment",
        what: "Everything about one session: what was done, how complete the record is, what went wrong, and what hygiene preceded it.",
        store: Store::Influx,
        from: "now-24h",
        variables: vec![parts::clinics(), parts::device("session_summary"), parts::session()],
        annotations: {
            let mut lines = parts::alert_lines(OF_DEVICE);
            lines.push(parts::session_bands());
            lines
        },
        panels: vec![
            record(),
            readings(),
            length(),
            extremes(),
            depth(),
            light(),
            zones(),
            told(),
            alerts(),
            hygiene(),
        ],
    }
}

fn summary(what: &str) -> String {
    format!("SELECT {what} FROM \"session_summary\" WHERE {OF_SESSION}")
}

fn record() -> Panel {
    Panel::table(
        "Is the record complete?",
        "The store's own word about this session: how many readings are stored of how many that were made, and which are missing.",
    )
    .size(24, 4)
    .ask(
        "Record",
        summary(
            "\"complete\" AS \"Whole\", \"text\" AS \"What is stored\", \"zones\" AS \"Zones\", \"closed\" AS \"Over\", \
             \"closed_by\" AS \"Ended by\", \"end_reason\" AS \"Reason\"",
        ),
    )
    .words(&[("true", "yes", GREEN), ("false", "no", RED)])
    .column("Whole", vec![Look::Coloured])
}

fn readings() -> Panel {
    Panel::stat(
        "Readings",
        "Strokes and pulses that are stored, and those that are known to be missing.",
    )
    .size(10, 5)
    .nothing("0")
    .ask(
        "$col",
        summary(
            "last(\"strokes_stored\") AS \"Strokes\", last(\"pulses_stored\") AS \"Pulses\", \
                 last(\"strokes_missing\") AS \"Strokes missing\", last(\"pulses_missing\") AS \"Pulses missing\"",
        ),
    )
    .column("Strokes missing", vec![Look::Steps(scale(GREEN, &[(1.0, RED)]))])
    .column("Pulses missing", vec![Look::Steps(scale(GREEN, &[(1.0, RED)]))])
}

fn length() -> Panel {
    Panel::stat("Length", "From the first to the last stored reading.")
        .size(4, 5)
        .unit("s")
        .decimals(1)
        .ask("Length", summary("last(\"duration_us\") / 1000000 AS \"Length\""))
}

fn extremes() -> Panel {
    Panel::stat("At most", "The deepest stroke and the strongest pulse of this session.")
        .size(10, 5)
        .decimals(2)
        .ask(
            "Deepest stroke",
            format!("SELECT max(\"depth_max_um\") / 1000 AS \"Deepest stroke\" FROM \"stroke_window\" WHERE {OF_SESSION}"),
        )
        .ask(
            "Strongest pulse",
            format!("SELECT max(\"fluence_measured_mj_per_cm2\") / 1000 AS \"Strongest pulse\" FROM \"pulse\" WHERE {OF_SESSION}"),
        )
        .ask(
            "Hottest skin",
            format!("SELECT max(\"skin_temperature_mdegc\") / 1000 AS \"Hottest skin\" FROM \"pulse\" WHERE {OF_SESSION}"),
        )
        .column("Deepest stroke", vec![Look::Unit("lengthmm")])
        .column("Strongest pulse", vec![Look::Unit("suffix: J/cm²"), Look::Decimals(1)])
        .column("Hottest skin", vec![Look::Unit("celsius"), Look::Decimals(1)])
}

fn depth() -> Panel {
    Panel::lines(
        "Depth against setpoint and limit",
        "Grey band: shallowest to deepest stroke of each batch. Red: what the pen enforced in that zone. Empty for an IPL unit.",
    )
    .size(24, 10)
    .unit("lengthmm")
    .decimals(2)
    .from(0.0)
    .ask(
        "$col",
        format!(
            "SELECT min(\"depth_min_um\") / 1000 AS \"shallowest\", max(\"depth_max_um\") / 1000 AS \"deepest\", \
             mean(\"depth_mean_um\") / 1000 AS \"mean\", max(\"setpoint_um\") / 1000 AS \"set\", \
             min(\"limit_um\") / 1000 AS \"limit\" FROM \"stroke_window\" WHERE {OF_SESSION} \
             GROUP BY time($__interval) fill(none)"
        ),
    )
    .column("shallowest", vec![Look::Colour(GREY), Look::Width(0)])
    .column("deepest", vec![Look::Colour(GREY), Look::Width(1), Look::BandDownTo("shallowest")])
    .column("mean", vec![Look::Colour(BLUE), Look::Width(2)])
    .column("set", vec![Look::Colour(GREEN), Look::Stepped, Look::Width(2)])
    .column("limit", vec![Look::Colour(RED), Look::Stepped, Look::Dashed, Look::Width(2)])
}

fn light() -> Panel {
    Panel::points(
        "Light of each pulse",
        "Every pulse: what was set and what was measured. Empty for a pen.",
    )
    .size(12, 10)
    .unit("suffix: J/cm²")
    .decimals(1)
    .from(0.0)
    .ask(
        "$col",
        format!(
            "SELECT \"fluence_set_mj_per_cm2\" / 1000 AS \"set\", \"fluence_measured_mj_per_cm2\" / 1000 AS \"measured\" \
             FROM \"pulse\" WHERE {OF_SESSION} LIMIT 5000"
        ),
    )
    .column("set", vec![Look::Colour(GREEN)])
    .column("measured", vec![Look::Colour(BLUE)])
}

fn zones() -> Panel {
    Panel::table(
        "Zones",
        "What each zone got. Pens: strokes and depth in millimetres; IPL: pulses and fluence.",
    )
    .size(12, 10)
    .decimals(2)
    .merged()
    .ask(
        "Strokes",
        format!(
            "SELECT sum(\"count\") AS \"Strokes\", sum(\"depth_sum_um\") / (sum(\"count\") - sum(\"unread\")) / 1000 AS \"Mean depth\", \
             max(\"depth_max_um\") / 1000 AS \"Deepest\", max(\"limit_um\") / 1000 AS \"Limit\" \
             FROM \"stroke_window\" WHERE {OF_SESSION} GROUP BY \"zone\""
        ),
    )
    .ask(
        "Pulses",
        format!(
            "SELECT count(\"ordinal\") AS \"Pulses\", mean(\"fluence_measured_mj_per_cm2\") / 1000 AS \"Mean fluence\", \
             max(\"fluence_measured_mj_per_cm2\") / 1000 AS \"Strongest\" FROM \"pulse\" WHERE {OF_SESSION} GROUP BY \"zone\""
        ),
    )
    .column("zone", vec![Look::ShownAs("Zone")])
    .column("Strokes", vec![Look::Decimals(0)])
    .column("Pulses", vec![Look::Decimals(0)])
    .column("Mean depth", vec![Look::Unit("lengthmm")])
    .column("Deepest", vec![Look::Unit("lengthmm")])
    .column("Limit", vec![Look::Unit("lengthmm")])
    .column("Mean fluence", vec![Look::Unit("suffix: J/cm²"), Look::Decimals(1)])
    .column("Strongest", vec![Look::Unit("suffix: J/cm²"), Look::Decimals(1)])
}

fn told() -> Panel {
    Panel::table(
        "What the device told",
        "Start and end of the session and faults in it: cartridge, lot, expiry of the pack, skin type, days since the last treatment.",
    )
    .size(24, 6)
    .ask(
        "Told",
        format!(
            "SELECT \"what\" AS \"What\", \"cartridge\" AS \"Cartridge\", \"cartridge_lot\" AS \"Lot\", \
             \"pack_expiry_day\" * 86400000 AS \"Pack expires\", \"skin_type\" AS \"Skin type\", \
             \"days_since_last_treatment\" AS \"Days since last\", \"lamp\" AS \"Lamp\", \"fault\" AS \"Fault\", \
             \"end_reason\" AS \"Ended because\" FROM \"device_state\" WHERE {AROUND} AND \"session\" = '$session' \
             AND (\"what\" = 'session_start' OR \"what\" = 'session_end' OR \"what\" = 'fault') LIMIT 100"
        ),
    )
    .column("Pack expires", vec![Look::Unit("dateTimeAsIsoNoDateIfToday")])
}

fn alerts() -> Panel {
    Panel::table(
        "Alerts of this device",
        "Every step of every alert of the device, from an hour before to an hour after. A click on the rule opens the alert.",
    )
    .size(12, 9)
    .ask(
        "Alerts",
        format!(
            "SELECT \"priority\" AS \"Priority\", \"rule\" AS \"Rule\", \"to_state\" AS \"State\", \"zone\" AS \"Zone\", \
             \"value\" AS \"Value\", \"limit\" AS \"Limit\", \"unit\" AS \"Unit\", \"alert_id\" \
             FROM \"alert_transition\" WHERE {AROUND} \
             AND \"clinic\" =~ /^$clinic$/ AND \"device\" =~ /^$device$/ ORDER BY time DESC LIMIT 200"
        ),
    )
    .words(&STATES)
    .words(&PRIORITIES)
    .column("Priority", vec![Look::Coloured])
    .column("State", vec![Look::Coloured])
    .column("Rule", vec![Look::Link("Open the alert", "${console_url:raw}/alerts/${__data.fields.alert_id}")])
    .column("Value", vec![Look::Decimals(2)])
    .column("Limit", vec![Look::Decimals(2)])
    .column("alert_id", vec![Look::Hidden])
}

fn hygiene() -> Panel {
    Panel::table(
        "Hygiene of this device",
        "Wipes and loads of the month before that name the device, newest first: what it was used with.",
    )
    .size(12, 9)
    .ask(
        "Hygiene",
        format!(
        "SELECT \"what\" AS \"What\", \"outcome\" AS \"Outcome\", \"level\" AS \"Level\", \"contact_time_s\" AS \"Contact\", \
         \"cycle\" AS \"Cycle\", \"device\" AS \"Told by\" FROM \"sterilization_event\" WHERE {BEFORE} \
         AND \"clinic\" =~ /^$clinic$/ AND \"items\" =~ /(^|,)$device(,|$)/ ORDER BY time DESC LIMIT 100"),
    )
    .words(&OUTCOMES)
    .column("Outcome", vec![Look::Coloured])
    .column("Contact", vec![Look::Unit("s")])
}
