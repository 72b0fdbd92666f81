//! The sterilization board.
use serde_json::Value;

use super::line::{Table, at, each, head, newest, time, word, words, wrapped};

fn items(view: &Value, section: &str) -> Option<String> {
    let mut table = Table::new(["item", "sterilization", "good until", "disinfection", "disinfected"]);
    let mut any = false;
    for item in each(view, section) {
        any = true;
        table.row([
            word(item, "name"),
            words(item, "sterilization"),
            time(item, "sterilization_due_us"),
            words(item, "disinfection"),
            time(item, "wiped.at_us"),
        ]);
    }
    any.then(|| table.text(""))
}

fn failed(item: &Value) -> String {
    let said = format!(
        "{}: cycle {} of {} at {} did not pass; used for {} visit(s) since, last by {}",
        word(item, "name"),
        word(item, "failed.cycle"),
        word(item, "failed.sterilizer"),
        time(item, "failed.ended_at_us"),
        word(item, "failed.used_since"),
        word(item, "failed.used_by"),
    );
    wrapped(&said, 0)
}

/// Who told of it: of what a person recorded, `device` is only whose it is.
pub(super) fn teller(event: &Value) -> String {
    match (at(event, "recorded") == true, at(event, "recorded_by").is_null()) {
        (true, true) => "recorded by a person".to_owned(),
        (true, false) => format!("recorded by {}", word(event, "recorded_by")),
        (false, _) => format!("told by {}", word(event, "device")),
    }
}

fn told(event: &Value) -> String {
    let items: Vec<&str> = each(event, "items").filter_map(Value::as_str).collect();
    let about = match (at(event, "sterilizer").is_null(), items.is_empty()) {
        (false, _) => format!(" of {}", word(event, "sterilizer")),
        (true, true) => format!(" of {}", word(event, "device")),
        (true, false) => String::new(),
    };
    let mut said = format!("{}  {}{about}", time(event, "at_us"), word(event, "what"));
    for name in ["cycle", "level", "indicator", "outcome"] {
        if !at(event, name).is_null() {
            said += &format!(", {}", word(event, name));
        }
    }
    said += &format!(", {}", teller(event));
    if !items.is_empty() {
        said += &format!(": {}", crate::text::plain(&items.join(", ")));
    }
    wrapped(&said, 0)
}

/// The board.
pub(super) fn board(view: &Value) -> String {
    let place = match at(view, "clinic") {
        Value::Null => word(view, "tenant"),
        _ => format!("{}/{}", word(view, "tenant"), word(view, "clinic")),
    };
    let mut text = format!("{place}, times in UTC\n") + &super::places::elsewhere(view);
    let of_failed: String = each(view, "failed").map(failed).collect();
    if !of_failed.is_empty() {
        text += &(head("After a cycle that did not pass") + &of_failed);
    }
    for (section, title) in [
        ("overdue", "Overdue"),
        ("due", "Due"),
        ("fine", "Done"),
        ("others", "Other items"),
    ] {
        let Some(table) = items(view, section) else { continue };
        let (shown, all) = (each(view, section).count() as u64, at(view, "totals")[section].as_u64());
        text += &(head(title) + &table);
        if let Some(more) = all.and_then(|all| all.checked_sub(shown)).filter(|more| *more > 0) {
            text += &format!("and {more} more\n");
        }
    }
    let mut tests = Table::new(["sterilizer", "indicator test", "good until", "last passed"]);
    for sterilizer in each(view, "sterilizers") {
        tests.row([
            word(sterilizer, "name"),
            words(sterilizer, "indicator"),
            time(sterilizer, "indicator_due_us"),
            time(sterilizer, "biological_pass_at_us"),
        ]);
    }
    text += &(head("Indicator tests") + &tests.text("No sterilizer is known."));
    text += &head("Told within seven days");
    let events: String = match at(view, "told.trouble") {
        Value::Null => each(view, "told.value").map(told).collect(),
        _ => wrapped(&word(view, "told.trouble"), 0),
    };
    text += if events.is_empty() { "Nothing.\n" } else { &events };
    text + &newest(each(view, "told.value").count(), 100)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_event_says_whose_it_is_and_who_told_it() {
        let of = |mut more: Value| {
            more["at_us"] = json!(0);
            told(&more).split_whitespace().collect::<Vec<_>>().join(" ")
        };
        for (event, says) in [
            (
                json!({"what": "disinfection", "device": "pen-1", "level": "low", "items": [], "recorded": true}),
                "disinfection of pen-1, low, recorded by a person",
            ),
            (
                json!({"what": "disinfection", "device": "station-1", "items": ["pen-1"], "recorded": false}),
                "disinfection, told by station-1: pen-1",
            ),
            (
                json!({"what": "cycle", "device": "autoclave-1", "sterilizer": "autoclave-1", "cycle": "c-1", "outcome": "fail",
                    "items": ["T-1", "T-2"], "recorded": true, "recorded_by": "ann"}),
                "cycle of autoclave-1, c-1, fail, recorded by ann: T-1, T-2",
            ),
        ] {
            let said = of(event);
            assert!(said.ends_with(says), "{said}");
        }
    }
}
