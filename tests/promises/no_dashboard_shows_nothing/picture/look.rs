//! Colours, units and words of a field, as the panel's JSON says them.
use serde_json::Value;

use super::super::grafana::{list, text};

pub(super) const PANEL: &str = "#181b1f";
pub(super) const TEXT: &str = "#ccccdc";
pub(super) const DIM: &str = "#8e8e99";
pub(super) const GRID: &str = "#2a2d33";

/// Colours of lines that have none of their own.
const PALETTE: [&str; 7] = [
    "#73bf69", "#5794f2", "#ff9830", "#b877d9", "#fade2a", "#f2495c", "#8ab8ff",
];

/// The colour behind a name of Grafana's.
pub(super) fn colour(name: &str) -> &str {
    match name {
        "green" => "#56a64b",
        "yellow" => "#e0b400",
        "orange" => "#ff780a",
        "red" => "#e02f44",
        "blue" => "#3274d9",
        "purple" => "#a352cc",
        other => other,
    }
}

pub(super) fn palette(n: usize) -> &'static str {
    PALETTE[n % PALETTE.len()]
}

/// What is set for one field: its own override first, then the panel's default.
pub(super) fn setting<'a>(panel: &'a Value, field: &str, id: &str) -> Option<&'a Value> {
    let own = list(panel, "/fieldConfig/overrides")
        .iter()
        .find(|one| one["matcher"]["options"] == field)
        .and_then(|one| list(one, "/properties").iter().find(|property| property["id"] == id))
        .map(|property| &property["value"]);
    let path = format!("/fieldConfig/defaults/{}", id.replace('.', "/"));
    own.or_else(|| panel.pointer(&path)).filter(|value| !value.is_null())
}

pub(super) fn word<'a>(panel: &'a Value, field: &str, id: &str) -> Option<&'a str> {
    setting(panel, field, id).and_then(Value::as_str)
}

pub(super) fn number(panel: &Value, field: &str, id: &str) -> Option<f64> {
    setting(panel, field, id).and_then(Value::as_f64)
}

/// The colour that is fixed for a field.
pub(super) fn fixed<'a>(panel: &'a Value, field: &str) -> Option<&'a str> {
    setting(panel, field, "color")
        .and_then(|value| value["fixedColor"].as_str())
        .map(colour)
}

/// Steps of a field's colours: from which value on, and which.
pub(super) fn steps<'a>(panel: &'a Value, field: &str) -> Vec<(f64, &'a str)> {
    let steps = setting(panel, field, "thresholds").map_or(&[][..], |value| list(value, "/steps"));
    steps
        .iter()
        .map(|step| {
            (
                step["value"].as_f64().unwrap_or(f64::NEG_INFINITY),
                colour(text(step, "color")),
            )
        })
        .collect()
}

/// The colour of a value.
pub(super) fn of_value<'a>(panel: &'a Value, field: &str, value: f64) -> &'a str {
    let steps = steps(panel, field);
    steps
        .iter()
        .rev()
        .find(|(from, _)| value >= *from)
        .map_or("#3274d9", |(_, colour)| *colour)
}

/// The words and the colour that stand for a value.
pub(super) fn mapped<'a>(panel: &'a Value, field: &str, value: &str) -> Option<(&'a str, &'a str)> {
    let mappings = setting(panel, field, "mappings")?.as_array()?;
    let found = mappings.iter().find_map(|mapping| mapping["options"].get(value))?;
    Some((text(found, "text"), colour(text(found, "color"))))
}

/// A value as people read it.
pub(super) fn format(panel: &Value, field: &str, value: f64) -> String {
    let decimals = number(panel, field, "decimals").map(|d| d as usize);
    let unit = word(panel, field, "unit").unwrap_or("short");
    in_unit(value, unit, decimals)
}

fn in_unit(value: f64, unit: &str, decimals: Option<usize>) -> String {
    let plain = |value: f64, usual: usize| grouped(value, decimals.unwrap_or(usual));
    match unit {
        "percentunit" => format!("{}%", plain(value * 100.0, 1)),
        "percent" => format!("{}%", plain(value, 0)),
        "lengthmm" => format!("{} mm", plain(value, 2)),
        "celsius" => format!("{} °C", plain(value, 1)),
        "rothz" => format!("{} Hz", plain(value, 0)),
        "s" if value >= 3_600.0 => format!("{} h", grouped(value / 3_600.0, 1)),
        "s" if value >= 120.0 => format!("{} min", grouped(value / 60.0, 1)),
        "s" => format!("{} s", plain(value, 0)),
        "dateTimeAsIsoNoDateIfToday" => minute(value as i64)[..10].to_owned(),
        other => match other.strip_prefix("suffix:") {
            Some(suffix) => format!("{}{suffix}", plain(value, 1)),
            None if value.fract() == 0.0 => plain(value, 0),
            None => plain(value, 2),
        },
    }
}

/// With thin separators between thousands.
fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text
        .split_once('.')
        .map_or((text.as_str(), None), |(a, b)| (a, Some(b)));
    let mut out = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(rest) = rest {
        out.push('.');
        out.push_str(rest);
    }
    if value < 0.0 { format!("-{out}") } else { out }
}

/// A time as `2026-06-01 08:30`, UTC.
pub(super) fn minute(ms: i64) -> String {
    let days = ms.div_euclid(86_400_000);
    let minutes = ms.rem_euclid(86_400_000) / 60_000;
    // Howard Hinnant's days to civil date.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", minutes / 60, minutes % 60)
}
