//! One pen: depth against what was set and what the zone allows, with alerts and sessions drawn over it.

use super::model::{Dashboard, Look, Panel, Store};
use super::panels::{BLUE, GREEN, GREY, ORANGE, RED, YELLOW, scale};
use super::parts::{self, OF_DEVICE};

/// Strokes of the chosen zones.
const STROKES: &str = "FROM \"stroke_window\" WHERE $timeFilter AND \"clinic\" =~ /^$clinic$/ AND \"device\" =~ /^$device$/ AND \"zone\" =~ /^$zone$/";

/// Names of the depth bands, in millimetres, as `telemetry` fixes them.
const BANDS: [&str; 16] = [
    "0", "≤0.125", "≤0.25", "≤0.375", "≤0.5", "≤0.625", "≤0.75", "≤0.875", "≤1", "≤1.25", "≤1.5", "≤1.75", "≤2",
    "≤2.5", "≤3", ">3",
];

pub(super) fn dashboard() -> Dashboard {
    let mut annotations = parts::alert_lines(OF_DEVICE);
    annotations.push(parts::session_bands());
    Dashboard {
        uid: "dermatel-pen",
        folder: parts::DEVICES,
        title: "Microneedling pen",
        what: "How deep one pen goes, against what was set and what its zone allows.",
        store: Store::Influx,
        from: "now-12h",
        variables: vec![
            parts::clinics(),
            parts::device("stroke_window"),
            parts::zones("stroke_window"),
        ],
        annotations,
        panels: vec![
            strokes(),
            deepest(),
            over_limit(),
            unread(),
            battery(),
            depth(),
            zones(),
            distribution(),
            rate(),
            trend(),
            parts::newest_alerts(OF_DEVICE),
            parts::treatments(OF_DEVICE),
        ],
    }
}

fn strokes() -> Panel {
    Panel::stat("Strokes", "Strokes that were made.")
        .size(5, 5)
        .nothing("0")
        .ask("Strokes", format!("SELECT sum(\"count\") AS \"Strokes\" {STROKES}"))
}

fn deepest() -> Panel {
    Panel::stat("Deepest stroke", "The deepest single stroke, in millimetres.")
        .size(5, 5)
        .unit("lengthmm")
        .decimals(2)
        .ask(
            "Deepest",
            format!("SELECT max(\"depth_max_um\") / 1000 AS \"Deepest\" {STROKES}"),
        )
}

fn over_limit() -> Panel {
    Panel::stat(
        "Strokes above the limit",
        "Strokes deeper than the limit that the pen enforced at that time. Anything but 0 is a reason to look at the alerts below.",
    )
    .size(5, 5)
    .nothing("0")
    .steps(GREEN, &[(1.0, RED)])
    .ask("Above", format!("SELECT sum(\"over_limit\") AS \"Above\" {STROKES}"))
}

fn unread() -> Panel {
    Panel::stat(
        "Strokes without a reading",
        "Share of strokes that the sensor did not see. More than 1 %: have the sensor looked at.",
    )
    .size(5, 5)
    .unit("percentunit")
    .decimals(2)
    .steps(GREEN, &[(0.01, ORANGE), (0.05, RED)])
    .ask(
        "Unread",
        format!("SELECT sum(\"unread\") / sum(\"count\") AS \"Unread\" {STROKES}"),
    )
}

fn battery() -> Panel {
    Panel::stat("Battery", "Last charge that the pen told.")
        .size(4, 5)
        .unit("percent")
        .steps(RED, &[(15.0, ORANGE), (30.0, GREEN)])
        .ask(
            "Battery",
            format!("SELECT last(\"battery_percent\") AS \"Battery\" FROM \"device_state\" WHERE {OF_DEVICE}"),
        )
}

fn depth() -> Panel {
    Panel::lines(
        "Depth against setpoint and limit",
        "Grey band: shallowest to deepest stroke. It should lie around the set depth and stay below the red line, the limit of the zone. Vertical lines are alerts, bands are sessions.",
    )
    .size(24, 12)
    .unit("lengthmm")
    .decimals(2)
    .from(0.0)
    .ask(
        "$col",
        format!(
            "SELECT min(\"depth_min_um\") / 1000 AS \"shallowest\", max(\"depth_max_um\") / 1000 AS \"deepest\", \
             sum(\"depth_sum_um\") / (sum(\"count\") - sum(\"unread\")) / 1000 AS \"mean\", \
             max(\"setpoint_um\") / 1000 AS \"set\", min(\"limit_um\") / 1000 AS \"limit\" {STROKES} \
             GROUP BY time($__interval) fill(none)"
        ),
    )
    .column("shallowest", vec![Look::Colour(GREY), Look::Width(0)])
    .column("deepest", vec![Look::Colour(GREY), Look::Width(1), Look::BandDownTo("shallowest")])
    .column("mean", vec![Look::Colour(BLUE), Look::Width(2)])
    .column("set", vec![Look::Colour(GREEN), Look::Stepped, Look::Width(2)])
    .column("limit", vec![Look::Colour(RED), Look::Stepped, Look::Dashed, Look::Width(2)])
}

fn zones() -> Panel {
    Panel::table(
        "Zones: deepest stroke and limit",
        "The limits differ up to eightfold between the lids and scars. A red cell: a stroke above what the pen enforced there.",
    )
    .size(12, 10)
    .unit("lengthmm")
    .decimals(2)
    .ask(
        "Zones",
        format!(
            "SELECT max(\"depth_max_um\") / 1000 AS \"Deepest\", sum(\"depth_sum_um\") / (sum(\"count\") - sum(\"unread\")) / 1000 AS \"Mean\", \
             max(\"setpoint_um\") / 1000 AS \"Set\", max(\"limit_um\") / 1000 AS \"Limit\", \
             sum(\"over_limit\") AS \"Above limit\", sum(\"count\") AS \"Strokes\" {STROKES} GROUP BY \"zone\""
        ),
    )
    .column("Time", vec![Look::Hidden])
    .column("zone", vec![Look::ShownAs("Zone")])
    .column("Deepest", vec![Look::Gauge(2.5), Look::Steps(scale(BLUE, &[]))])
    .column("Limit", vec![Look::Gauge(2.5), Look::Steps(scale(GREY, &[]))])
    .column(
        "Above limit",
        vec![Look::Unit("short"), Look::Decimals(0), Look::Coloured, Look::Steps(scale(GREEN, &[(1.0, RED)]))],
    )
    .column("Strokes", vec![Look::Unit("short"), Look::Decimals(0)])
}

fn distribution() -> Panel {
    let sums: Vec<String> = BANDS
        .iter()
        .enumerate()
        .map(|(n, name)| format!("sum(\"band1_{n:02}\") AS \"{name}\""))
        .collect();
    Panel::columns(
        "How deep the strokes were",
        "Strokes by depth in millimetres. A healthy pen makes one hill around each depth that was set.",
    )
    .size(12, 10)
    .ask("$col", format!("SELECT {} {STROKES}", sums.join(", ")))
}

fn rate() -> Panel {
    Panel::points(
        "Stroke rate",
        "Strokes per second. Cleared pens run at 90 to 150; a motor that slows down drags its needles.",
    )
    .size(12, 9)
    .unit("rothz")
    .decimals(0)
    .steps(YELLOW, &[(90.0, GREEN), (150.0, YELLOW)])
    .ask(
        "rate",
        format!("SELECT mean(\"rate_mhz\") / 1000 AS \"rate\" {STROKES} GROUP BY time($__interval) fill(none)"),
    )
}

fn trend() -> Panel {
    Panel::lines(
        "Depth by the hour, over months",
        "Hourly mean, shallowest and deepest, from the roll-ups: drift and wear show over weeks, not within a treatment.",
    )
    .hourly()
    .size(12, 9)
    .unit("lengthmm")
    .decimals(2)
    .from(0.0)
    .ask(
        "$col",
        format!(
            "SELECT min(\"depth_min_um\") / 1000 AS \"shallowest\", max(\"depth_max_um\") / 1000 AS \"deepest\", \
             sum(\"depth_sum_um\") / (sum(\"count\") - sum(\"unread\")) / 1000 AS \"mean\" FROM \"rollup\".\"stroke_1h\" \
             WHERE {OF_DEVICE} AND \"zone\" =~ /^$zone$/ GROUP BY time(1h) fill(none)"
        ),
    )
    .column("shallowest", vec![Look::Colour(GREY), Look::Width(0)])
    .column("deepest", vec![Look::Colour(GREY), Look::Width(1), Look::BandDownTo("shallowest")])
    .column("mean", vec![Look::Colour(BLUE), Look::Width(2)])
}
