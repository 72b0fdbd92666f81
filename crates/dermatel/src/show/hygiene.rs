//! The sterilization board.
use serde_json::Value;

use super::line::{Table, at, each, head, time, word, words, wrapped};

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

fn told(event: &Value) -> String {
    let mut said = format!(
        "{}  {} by {}",
        time(event, "at_us"),
        word(event, "what"),
        word(event, "device")
    );
    for name in ["cycle", "level", "indicator", "outcome"] {
        if !at(event, name).is_null() {
            said += &format!(", {}", word(event, name));
        }
    }
    let items: Vec<&str> = each(event, "items").filter_map(Value::as_str).collect();
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
    let mut text = format!("{place}, times in UTC\n");
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
    text + if events.is_empty() { "Nothing.\n" } else { &events }
}
