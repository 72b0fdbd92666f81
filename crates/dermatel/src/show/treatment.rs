//! Treatments: lists of them, and one whole.
use serde_json::Value;

use super::line::{Table, at, each, facts, head, mm, newest, time, word, wrapped};
use super::{alerts, hygiene};

/// How far back and on the page looks for what was cleaned.
const NONE_BEFORE: &str = "none on record in the 30 days before";
const NONE_AFTER: &str = "none on record in the 7 days after";

/// A list, or why there is none; its page has at most so many.
pub(super) fn list(sessions: &Value, most: usize) -> String {
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
    table.text("None.") + &newest(each(sessions, "value").count(), most)
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
                // None beyond a limit that the pen did not tell is no good news.
                match at(zone, "limit_um") {
                    Value::Null => "-".to_owned(),
                    _ => word(zone, "over_limit"),
                },
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

/// What was cleaned before or after; `none`: what is said where nothing is on record.
fn cleaned(evidence: &Value, none: &str) -> String {
    let event = at(evidence, "event");
    match at(evidence, "what").as_str() {
        Some("done") => format!(
            "{}, {} level, {}",
            time(event, "at_us"),
            word(event, "level"),
            hygiene::teller(event)
        ),
        Some("same_visit") => "not asked for: the other treatment was of the same visit".to_owned(),
        Some("missing") => format!(
            "MISSING: none between this treatment and the one at {}",
            time(evidence, "other_us")
        ),
        Some(_) => none.to_owned(),
        None => "-".to_owned(),
    }
}

/// When it was sterilized before. Nothing is said where the store did not answer.
fn sterilized(around: &Value) -> String {
    match (around.is_null(), at(around, "sterilized").is_null()) {
        (false, true) => NONE_BEFORE.to_owned(),
        _ => time(around, "sterilized.at_us"),
    }
}

/// Alerts that are over go long before treatments do: none here does not say that there was none.
fn alerts_of(view: &Value) -> String {
    if each(view, "alerts").next().is_none() {
        return wrapped(
            "None, as far as alerts are kept (alerting.resolved_keep, 30 days unless set otherwise).",
            0,
        );
    }
    alerts::of(view, "alerts")
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
        ("disinfected before", cleaned(at(view, "around.before"), NONE_BEFORE)),
        ("disinfected after", cleaned(at(view, "around.after"), NONE_AFTER)),
        ("sterilized", sterilized(at(view, "around"))),
    ];
    format!(
        "{}{}{}{}{}\nDepths are readings of the device's sensor, not of tissue.\n",
        facts(&known),
        head("By zone"),
        zones(view),
        head("Alerts"),
        alerts_of(view),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_of_a_treatment_is_not_said_to_be_none() {
        let wipe = json!({"at_us": 0, "device": "pen-1", "level": "low", "recorded": true, "recorded_by": "ann"});
        let view = json!({
            "session": {"value": {"closed": true}},
            "zones": [{"zone": "cheek", "strokes": 3, "limit_um": null, "over_limit": 0}],
            "around": {"before": {"what": "done", "event": wipe}, "after": {"what": "none"}, "sterilized": null},
            "alerts": [],
        });
        let said = session(&view).split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [
            "low level, recorded by ann",
            "none on record in the 7 days after",
            "none on record in the 30 days before",
            "None, as far as alerts are kept",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(!said.contains("by pen-1") && !said.contains("No alert"), "{said}");
        let over = |zone: Value| zones(&json!({"zones": [zone]})).trim_end().chars().last();
        assert_eq!(over(json!({"strokes": 3, "over_limit": 0})), Some('-'));
        assert_eq!(
            over(json!({"strokes": 3, "over_limit": 0, "limit_um": [900, 900]})),
            Some('0')
        );
    }
}
