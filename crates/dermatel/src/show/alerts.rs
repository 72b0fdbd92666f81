//! Alerts: the inbox, one alert, and the silences that hold.
use console::{Texts, fill};
use serde_json::Value;

use super::line::{at, each, facts, head, time, word, words, wrapped};

/// The marks of IEC 60601-1-8.
fn mark(alert: &Value) -> &'static str {
    match at(alert, "priority").as_str() {
        Some("high") => "!!!",
        Some("medium") => "!!",
        Some("low") => "!",
        _ => "i",
    }
}

/// Where it is: what is a part of the installation has no tenant.
fn place(alert: &Value) -> String {
    let parts = ["tenant", "clinic", "device"].map(|name| word(alert, name));
    let said: Vec<String> = parts.into_iter().filter(|part| part != "-").collect();
    said.join("/")
}

/// An alert in a list: its id first, then what needs no other page to be understood.
fn row(alert: &Value) -> String {
    let mut said = format!("{}, {}", word(alert, "rule"), place(alert));
    for (name, words) in [("waits", "needs somebody"), ("flapping", "comes and goes")] {
        if at(alert, name) == true {
            said.push_str(", ");
            said.push_str(words);
        }
    }
    for (name, words) in [
        ("acknowledged_by", "acknowledged by"),
        ("assigned_to", "taken care of by"),
    ] {
        if !at(alert, name).is_null() {
            said.push_str(&format!(", {words} {}", word(alert, name)));
        }
    }
    let first = format!(
        "{}  {:<3} {:<6}  {:<12}  {}\n",
        word(alert, "id"),
        mark(alert),
        word(alert, "priority"),
        word(alert, "state"),
        time(alert, "event_time"),
    );
    first + &wrapped(&said, 4) + &wrapped(&word(alert, "what_happened"), 4)
}

fn rows<'v>(alerts: impl Iterator<Item = &'v Value>) -> String {
    let text: String = alerts.map(row).collect();
    if text.is_empty() {
        "No alert.\n".to_owned()
    } else {
        text
    }
}

/// Alerts below a headline of another page.
pub(super) fn of(view: &Value, path: &str) -> String {
    rows(each(view, path))
}

/// A list without more.
pub(super) fn list(list: &Value) -> String {
    rows(list.as_array().into_iter().flatten())
}

/// The inbox.
pub(super) fn inbox(view: &Value) -> String {
    let counted = each(view, "states").filter(|state| at(state, "alerts").as_u64().is_some_and(|n| n > 0));
    let counts: Vec<String> = counted
        .map(|state| format!("{} {}", word(state, "name"), word(state, "alerts")))
        .collect();
    let foot = format!(
        "\n{} in all, page {} of {}; {}\n",
        word(view, "total"),
        word(view, "page"),
        word(view, "pages"),
        if counts.is_empty() {
            "none is open".to_owned()
        } else {
            counts.join(", ")
        },
    );
    rows(each(view, "alerts")) + &foot + &super::places::elsewhere(view)
}

/// One alert.
pub(super) fn one(view: &Value) -> String {
    let alert = at(view, "alert");
    // Without a unit the two are no worst value and no limit.
    let unit = word(alert, "unit");
    let with_unit = |name: &str| match at(alert, name).as_f64() {
        Some(value) if unit != "-" => format!("{value} {unit}"),
        _ => "-".to_owned(),
    };
    let known = [
        ("what to do", word(alert, "what_to_do")),
        ("worst value", with_unit("value")),
        ("limit", with_unit("limit")),
        ("zone", word(alert, "zone")),
        ("times", word(alert, "violations")),
        ("raised", time(alert, "decided_at")),
        ("last moved", time(alert, "updated_at")),
        ("rules", word(view, "in_force.rules")),
        ("registry", word(view, "in_force.registry")),
        ("parameters of", word(view, "in_force.parameters_of")),
    ];
    // Where a text is missing, its short name stands.
    let texts = Texts::english().unwrap_or_default();
    let mut text = row(alert) + "\n" + &facts(&known);
    text += &readings(at(view, "trace"));
    text += &head("Who was told");
    text += &listed(
        each(view, "explanation.told").map(|page| told(&texts, page)),
        "Nobody was told yet.",
    );
    for held in each(view, "explanation.held") {
        text += &wrapped(&format!("{}  held back: {}", time(held, "at"), word(held, "by")), 0);
    }
    text += &head("What people did, and what else happened");
    text += &listed(each(view, "happened").map(happened), "Nobody did anything yet.");
    text += &head("Others of this rule on this device");
    text += &listed(each(view, "history").map(row), "None, as far as they are kept.");
    for missing in each(view, "explanation.missing") {
        text += &wrapped(&format!("Not known: {}", missing.as_str().unwrap_or_default()), 0);
    }
    text
}

fn listed(lines: impl Iterator<Item = String>, none: &str) -> String {
    let text: String = lines.collect();
    if text.is_empty() { format!("{none}\n") } else { text }
}

fn readings(trace: &Value) -> String {
    if trace.is_null() {
        return String::new();
    }
    let unit = word(trace, "unit");
    let all = |name: &'static str| each(trace, "columns").filter_map(move |column| at(column, name).as_f64());
    let (least, most) = (all("least").reduce(f64::min), all("most").reduce(f64::max));
    let mut said = format!("{} {}", word(trace, "readings"), word(trace, "of"));
    if let Some((least, most)) = least.zip(most) {
        said += &format!(", {least} to {most} {unit}");
    }
    if at(trace, "unread").as_u64().is_some_and(|n| n > 0) {
        said += &format!(", {} not read", word(trace, "unread"));
    }
    let first = at(trace, "first");
    if !first.is_null() {
        let value = word(first, "value");
        said += &format!(
            "; the first that crossed is number {}: {value} {unit}",
            word(first, "ordinal")
        );
    }
    head("The readings around it") + &wrapped(&said, 0)
}

/// What became of a page, in the words of the console.
fn told(texts: &Texts, told: &Value) -> String {
    let worded = |section: &str, of: &Value, name: &str| {
        let key = format!("{section}.{}", at(of, name).as_str().unwrap_or_default());
        texts.find(&key).map_or_else(|| word(of, name), str::to_owned)
    };
    let filled = |key: &str, what: &[(&str, &str)]| fill(texts.find(key).unwrap_or(key), what);
    let when = match time(told, "at").as_str() {
        "-" => time(told, "planned_at"),
        at => at.to_owned(),
    };
    let outcome = match at(told, "outcome") == "waits" && each(told, "attempts").next().is_none() {
        true => filled("page.to_leave", &[]),
        false => worded("page_outcome", told, "outcome"),
    };
    let mut said = format!("{when}  {}: {outcome}", word(told, "receiver"));
    let is_device = at(told, "receiver") == "@device" && at(told, "outcome") == "delivered";
    if !at(told, "says").is_null() {
        let section = if is_device { "device_says" } else { "page_says" };
        said += &format!(", {}", worded(section, told, "says"));
    }
    if !at(told, "by").is_null() {
        said += &format!(", by {}", word(told, "by"));
    }
    let chain = word(told, "chain");
    if !at(told, "step").is_null() && !chain.starts_with("at once") {
        let step = filled("page.step", &[("n", &word(told, "step")), ("chain", &chain)]);
        said += &format!(". {step}");
    }
    if !at(told, "instead_of").is_null() {
        let other = filled("page.instead_of", &[("who", &word(told, "instead_of"))]);
        said += &format!(". {other}");
    }
    let last = each(told, "attempts")
        .last()
        .filter(|last| !at(last, "reason").is_null());
    if let Some(last) = last.filter(|_| at(told, "outcome") == "waits") {
        said += &format!(", the last attempt failed: {}", worded("page_says", last, "reason"));
    }
    wrapped(&said, 0)
}

fn happened(happened: &Value) -> String {
    let mut said = format!("{}  {}", time(happened, "at_us"), words(happened, "what"));
    if !at(happened, "who").is_null() {
        said += &format!(" by {}", word(happened, "who"));
    }
    if !at(happened, "text").is_null() {
        said += &format!(": {}", word(happened, "text"));
    }
    wrapped(&said, 0)
}

/// The silences that hold.
pub(super) fn silences(view: &Value) -> String {
    let row = |silence: &Value| {
        let what = at(silence, "what");
        let parts = ["tenant", "clinic", "device", "rule"].map(|name| (name, word(what, name)));
        let parts = parts.iter().filter(|(_, said)| said != "-");
        let parts: Vec<String> = parts.map(|(name, said)| format!("{name} {said}")).collect();
        let what_it_is = if parts.is_empty() {
            "everything".to_owned()
        } else {
            parts.join(", ")
        };
        format!("{}  until {}\n", word(silence, "id"), time(silence, "until_us"))
            + &wrapped(
                &format!(
                    "{what_it_is}, up to {}; by {}",
                    word(what, "max_priority"),
                    word(silence, "owner")
                ),
                4,
            )
    };
    listed(each(view, "silences").map(row), "Nothing is silenced.")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_worst_value_and_a_limit_are_said_only_with_their_unit() {
        let said = |unit: &str| one(&serde_json::json!({"alert": {"value": 3.5, "limit": 2.0, "unit": unit}}));
        let (with, without) = (said("s"), said(""));
        assert!(with.contains("3.5 s") && with.contains("2 s"), "{with}");
        assert!(
            !without.contains("worst value") && !without.contains("limit"),
            "{without}"
        );
    }

    #[test]
    fn a_page_is_told_of_in_the_words_of_the_console() {
        let texts = Texts::english().unwrap();
        let said = |page: Value| told(&texts, &page).split_whitespace().collect::<Vec<_>>().join(" ");
        let waits = said(
            serde_json::json!({"receiver": "kim", "outcome": "waits", "step": 2, "chain": "urgent",
            "attempts": [{"reason": "timeout"}]}),
        );
        for words in [
            "kim: waiting, will be tried again",
            "Call 2 of the plan “urgent”",
            "failed: no answer in time",
        ] {
            assert!(waits.contains(words), "{words}: {waits}");
        }
        let new = said(serde_json::json!({"receiver": "kim", "outcome": "waits", "attempts": []}));
        assert!(new.contains("kim: waiting to leave"), "{new}");
        let device = said(serde_json::json!({"receiver": "@device", "outcome": "delivered", "says": "acknowledged"}));
        assert!(device.contains("delivered, the device has it"), "{device}");
        // A word of a newer process stands as it came.
        let newer = said(
            serde_json::json!({"receiver": "kim", "outcome": "flown", "step": 1, "chain": "at once", "instead_of": "lee"}),
        );
        assert!(
            newer.contains("kim: flown. In place of lee") && !newer.contains("Call"),
            "{newer}"
        );
    }
}
