//! The pipeline.
use serde_json::Value;

use super::line::{Table, at, each, facts, head, newest, time, word, wrapped};

/// A number that is no count.
fn number(of: &Value, path: &str) -> String {
    at(of, path)
        .as_f64()
        .map_or_else(|| "-".to_owned(), |n| format!("{n:.1}"))
}

fn room(log: &Value) -> String {
    let hours = number(log, "room.hours");
    match at(log, "room.what").as_str() {
        Some("even") => "read as it comes".to_owned(),
        Some("fills") => format!("FULL in {hours} h at this rate"),
        Some("drains") => format!("read in {hours} h at this rate"),
        _ => "stands".to_owned(),
    }
}

/// The pipeline.
pub(super) fn pipeline(view: &Value) -> String {
    let known = [
        ("ready", word(view, "ready")),
        ("connections", word(view, "figures.connections")),
        ("messages a second", number(view, "rates.messages_per_s")),
        ("refused a second", number(view, "rates.refused_per_s")),
        ("points a second", number(view, "rates.points_per_s")),
        ("pages a second", number(view, "rates.pages_per_s")),
    ];
    let mut text = facts(&known);
    for condition in each(view, "conditions").filter(|condition| at(condition, "green") != true) {
        text += &wrapped(
            &format!("RED: {}: {}", word(condition, "name"), word(condition, "reason")),
            0,
        );
    }
    let mut logs = Table::new(["log", "bytes", "full in %", "reader", "behind", "oldest", "backlog"]);
    for log in each(view, "logs") {
        for reader in each(log, "readers") {
            logs.row([
                word(log, "name"),
                word(log, "bytes"),
                word(log, "full_percent"),
                word(reader, "name"),
                word(reader, "backlog_records"),
                time(reader, "oldest_us"),
                room(log),
            ]);
        }
    }
    text += &(head("Logs") + &logs.text("Nothing is known yet."));
    let mut refused = Table::new(["number", "received", "reason", "device", "what"]);
    for message in each(view, "refused") {
        let again = if at(message, "replayed") == true {
            " (replayed)"
        } else {
            ""
        };
        refused.row([
            word(message, "id"),
            time(message, "received_at_us"),
            word(message, "reason"),
            word(message, "device"),
            word(message, "detail") + again,
        ]);
    }
    text += &(head("Refused messages") + &refused.text("None."));
    text + &newest(each(view, "refused").count(), 100)
}
