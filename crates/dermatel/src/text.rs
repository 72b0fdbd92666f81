//! How values of the API look on a terminal.
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;

/// What a terminal acts on: control characters, and marks that turn the direction of writing.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What devices and people wrote, without what steers a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// The same of text with lines.
pub(crate) fn lines(text: &str) -> String {
    text.chars()
        .map(|c| if c != '\n' && steers(c) { '\u{fffd}' } else { c })
        .collect()
}

/// JSON for people and programs: what would steer a terminal stands as its number.
pub(crate) fn json(value: &impl Serialize) -> serde_json::Result<String> {
    use std::fmt::Write as _;
    let text = serde_json::to_string_pretty(value)?;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // A line feed stands between values only; within a text it is escaped already.
        if c != '\n' && steers(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Ok(out)
}

/// A field as text that steers no terminal; `-` where there is none.
pub(crate) fn field(of: &Value, name: &str) -> String {
    match of.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => plain(text),
        Some(other) => plain(&other.to_string()),
    }
}

/// Microseconds since 1970 as UTC.
pub(crate) fn time(micros: Option<i64>) -> String {
    micros.and_then(DateTime::<Utc>::from_timestamp_micros).map_or_else(
        || "-".to_owned(),
        |time| time.to_rfc3339_opts(SecondsFormat::Secs, true),
    )
}

/// A count with thousands set apart: 4,212.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::{field, grouped};

    #[test]
    fn what_a_device_or_a_person_wrote_steers_no_terminal_and_is_the_same_to_a_program() {
        let hostile = "\u{1b}[2J\u{9b}2J\u{202e}gnp.exe\u{7f}\r\n";
        let value = json!({"detail": hostile, "list": [hostile]});
        let steers = |text: &str| text.chars().any(|c| c.is_control() || c == '\u{202e}');
        assert!(!steers(&field(&value, "detail")) && !steers(&field(&value, "list")));
        assert!(super::lines(hostile).lines().all(|line| !steers(line)));
        let printed = super::json(&value).unwrap();
        assert!(printed.lines().all(|line| !steers(line)), "{printed:?}");
        assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), value);
    }

    #[test]
    fn thousands_are_set_apart() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (4_212, "4,212"),
            (1_234_567, "1,234,567"),
        ];
        for (count, text) in cases {
            assert_eq!(grouped(count), text);
        }
    }
}
