//! Treatments: lists of them, and one whole.
use serde_json::Value;

use super::alerts;
use super::line::{Table, at, each, facts, head, mm, time, word, wrapped};

/// A list, or why there is none.
pub(super) fn list(sessions: &Value) -> String {
    if !at(sessions, "trouble").is_null() {
        return wrapped(&word(sessions, "trouble"), 0);
    }
    let mut table = Table::new(["start", "device", "session", "stored"]);
    for session in each(sessions, "value") {
        table.row([
            time(session, "start_us"),
            word(session, "device"),
            word(session, "session"),
            word(session, "text"),
        ]);
    }
    table.text("None.")
}

/// A length in J/cm², from mJ/cm².
fn fluence(of: &Value, path: &str) -> String {
    at(of, path)
        .as_f64()
        .map_or_else(|| "-".to_owned(), |mj| format!("{:.1} J/cm²", mj / 1e3))
}

/// The lowest and the greatest that was set.
fn set(of: &Value, path: &str, one: impl Fn(&Value, &str) -> String) -> String {
    let ends = serde_json::json!({"least": at(of, path)[0], "most": at(of, path)[1]});
    match (one(&ends, "least"), one(&ends, "most")) {
        (least, most) if least == most => least,
        (least, most) => format!("{least} to {most}"),
    }
}

fn zones(view: &Value) -> String {
    let mut strokes = Table::new(["zone", "strokes", "not read", "mean", "deepest", "set", "over limit"]);
    let mut pulses = Table::new(["zone", "pulses", "not fired", "set", "greatest"]);
    for zone in each(view, "zones") {
        if at(zone, "strokes").as_u64().is_some_and(|n| n > 0) {
            strokes.row([
                word(zone, "zone"),
                word(zone, "strokes"),
                word(zone, "unread"),
                mm(zone, "mean_um"),
                mm(zone, "greatest_um"),
                set(zone, "set_um", mm),
                word(zone, "over_limit"),
            ]);
        }
        if at(zone, "pulses").as_u64().is_some_and(|n| n > 0) {
            pulses.row([
                word(zone, "zone"),
                word(zone, "pulses"),
                word(zone, "unfired"),
                set(zone, "fluence_set", fluence),
                fluence(zone, "fluence_greatest"),
            ]);
        }
    }
    let (strokes, pulses) = (strokes.text(""), pulses.text(""));
    let both: String = [strokes, pulses].into_iter().filter(|text| text != "\n").collect();
    if both.is_empty() { "None.\n".to_owned() } else { both }
}

/// What was cleaned before or after.
fn cleaned(evidence: &Value) -> String {
    let event = at(evidence, "event");
    match at(evidence, "what").as_str() {
        Some("done") => format!(
            "{}, {} level, by {}",
            time(event, "at_us"),
            word(event, "level"),
            word(event, "device")
        ),
        Some("same_visit") => "not asked for: the other treatment was of the same visit".to_owned(),
        Some("missing") => format!(
            "MISSING: none between this treatment and the one at {}",
            time(evidence, "other_us")
        ),
        Some(_) => "none on record".to_owned(),
        None => "-".to_owned(),
    }
}

/// One treatment.
pub(super) fn session(view: &Value) -> String {
    let trouble = at(view, "session.trouble");
    if !trouble.is_null() {
        return wrapped(&word(view, "session.trouble"), 0);
    }
    let session = at(view, "session.value");
    let state = match (at(session, "closed") == true, at(session, "complete").as_bool()) {
        (false, _) => "running",
        (true, Some(true)) => "whole",
        (true, Some(false)) => "NOT WHOLE",
        (true, None) => "over; how many there were was not told",
    };
    let known = [
        ("session", word(session, "session")),
        ("device", format!("{}/{}", word(view, "tenant"), word(view, "device"))),
        (
            "model",
            format!(
                "{}, {}, serial {}",
                word(view, "model_name"),
                word(view, "maker"),
                word(view, "serial")
            ),
        ),
        ("clinic", word(view, "clinic_name")),
        ("from", time(session, "start_us")),
        ("to", time(session, "until_us")),
        ("stored", word(session, "text")),
        ("state", state.to_owned()),
        ("strokes missing", word(session, "strokes.missing_ranges")),
        ("pulses missing", word(session, "pulses.missing_ranges")),
        ("cartridge", word(view, "cartridge.cartridge")),
        ("lot", word(view, "cartridge.lot")),
        ("lamp", word(view, "cartridge.lamp")),
        ("skin type", word(view, "cartridge.skin_type")),
        ("disinfected before", cleaned(at(view, "around.before"))),
        ("disinfected after", cleaned(at(view, "around.after"))),
        ("sterilized", time(view, "around.sterilized.at_us")),
    ];
    format!(
        "{}{}{}{}{}\nDepths are readings of the device's sensor, not of tissue.\n",
        facts(&known),
        head("By zone"),
        zones(view),
        head("Alerts"),
        alerts::of(view, "alerts"),
    )
}
