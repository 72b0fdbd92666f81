//! Times and numbers as people read them: on the clock of the clinic, in millimetres, with thousands apart.
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use minijinja::Environment;

/// Microseconds since 1970 on a clinic's clock; on UTC's, and said so, where its zone is not known.
fn on_the_clock(at_us: i64, zone: &str, format: &str) -> String {
    let Some(at) = DateTime::<Utc>::from_timestamp_micros(at_us) else {
        return at_us.to_string();
    };
    match zone.parse::<Tz>() {
        Ok(zone) => at.with_timezone(&zone).format(format).to_string(),
        Err(_) if format.ends_with("%Z") => at.format(format).to_string(),
        Err(_) => format!("{} UTC", at.format(format)),
    }
}

/// `2026-11-22 14:04:05 CET`: the reader may sit in another zone than the clinic.
pub(crate) fn local(at_us: i64, zone: &str) -> String {
    on_the_clock(at_us, zone, "%Y-%m-%d %H:%M:%S %Z")
}

/// `14:04:05`.
pub(crate) fn clock(at_us: i64, zone: &str) -> String {
    on_the_clock(at_us, zone, "%H:%M:%S")
}

/// Days since 1970-01-01 as `2026-11-22`.
pub(crate) fn day(days: i64) -> String {
    let at = days
        .checked_mul(86_400)
        .and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0));
    at.map_or_else(|| days.to_string(), |at| at.format("%Y-%m-%d").to_string())
}

/// A span as `1 h 20 min`, `4 min 3 s` or `7 s`.
pub(crate) fn span(span_us: i64) -> String {
    let seconds = span_us.max(0) / 1_000_000;
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, min, s) => format!("{min} min {s} s"),
        (0, h, min, _) => format!("{h} h {min} min"),
        (days, h, _, _) => format!("{days} d {h} h"),
    }
}

/// A span without what is nought at its end: `12 h`, `30 min`.
pub(crate) fn round_span(of: Duration) -> String {
    let whole = span(i64::try_from(of.as_micros()).unwrap_or(i64::MAX));
    let short = [" 0 s", " 0 min", " 0 h"]
        .iter()
        .find_map(|end| whole.strip_suffix(end));
    short.map_or_else(|| whole.clone(), str::to_owned)
}

/// Thousandths as a number: micrometres as millimetres, millijoules as joules.
pub(crate) fn thousandths(value: i64) -> String {
    format!("{:.3}", value as f64 / 1_000.0)
}

/// A value of an alert in the units that people and its own text use: micrometres as millimetres, millijoules as joules.
pub(crate) fn measured(value: f64, unit: &str) -> String {
    let (value, unit, digits) = match unit {
        "µm" => (value / 1_000.0, "mm", 3),
        "mJ" => (value / 1_000.0, "J", 2),
        "mJ/cm²" => (value / 1_000.0, "J/cm²", 2),
        "‰" => (value / 10.0, "%", 1),
        "" | "strokes" | "pulses" | "shots" | "faults" | "frames" | "messages" | "visits" => (value, unit, 0),
        _ => (value, unit, 1),
    };
    format!("{value:.digits$} {unit}").trim_end().to_owned()
}

/// `4212` as `4,212`.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate or an amount: whole from ten on, else with one digit after the point. What is little is not said to be nothing.
pub(crate) fn rate(value: f64) -> String {
    if value > 0.0 && value < 0.05 {
        return "< 0.1".to_owned();
    }
    if value.abs() >= 9.95 {
        return grouped(value.round() as i64);
    }
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Bytes as MiB.
pub(crate) fn mebibytes(bytes: i64) -> String {
    rate(bytes as f64 / (1024.0 * 1024.0))
}

/// For the templates.
pub(crate) fn add_filters(env: &mut Environment<'_>) {
    env.add_filter("local", |at_us: i64, zone: &str| local(at_us, zone));
    env.add_filter("clock", |at_us: i64, zone: &str| clock(at_us, zone));
    env.add_filter("day", day);
    env.add_filter("span", span);
    env.add_filter("thousandths", thousandths);
    env.add_filter("measured", |value: f64, unit: &str| measured(value, unit));
    env.add_filter("grouped", grouped);
    env.add_filter("rate", rate);
    env.add_filter("mebibytes", mebibytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_on_the_clinics_clock_in_summer_and_winter() {
        let winter = 1_795_348_800_000_000; // 2026-11-22 12:00:00 UTC
        assert_eq!(local(winter, "Europe/Berlin"), "2026-11-22 13:00:00 CET");
        assert_eq!(local(winter, "Mars/Olympus"), "2026-11-22 12:00:00 UTC");
        assert_eq!(clock(winter - 150 * 86_400_000_000, "Europe/Berlin"), "14:00:00");
        assert_eq!(clock(winter, "Mars/Olympus"), "12:00:00 UTC");
    }

    #[test]
    fn a_value_is_in_the_units_of_its_text() {
        let said = [
            (1_089.0, "µm"),
            (12_400.0, "mJ/cm²"),
            (55.0, "‰"),
            (3.0, "frames"),
            (7.0, ""),
        ];
        let said = said.map(|(value, unit)| measured(value, unit));
        assert_eq!(said, ["1.089 mm", "12.40 J/cm²", "5.5 %", "3 frames", "7"]);
    }

    #[test]
    fn spans_and_numbers_read_as_people_write_them() {
        let spans = [7, 243, 4_800, 90_000].map(|s| span(s * 1_000_000));
        assert_eq!(spans, ["7 s", "4 min 3 s", "1 h 20 min", "1 d 1 h"]);
        assert_eq!(
            [grouped(4_212), grouped(-999), grouped(1_234_567)],
            ["4,212", "-999", "1,234,567"]
        );
        assert_eq!(
            [0.0, 0.04, 0.05, 2.0, 4_212.4].map(rate),
            ["0", "< 0.1", "0.1", "2", "4,212"]
        );
        assert_eq!(
            (day(20_780), thousandths(1_250)),
            ("2026-11-23".to_owned(), "1.250".to_owned())
        );
    }
}
