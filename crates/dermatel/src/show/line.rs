//! Lines for a terminal of 80 columns: tables whose columns are as wide as what is in them, and text that is broken between words.
//! What devices and people wrote cannot steer the terminal.
use serde_json::Value;

use crate::text::{grouped, plain};

/// Columns of a terminal.
const WIDTH: usize = 80;
/// Between two columns.
const GAP: &str = "  ";

/// A field as text, by its path with dots between; `-` where there is none.
pub(super) fn word(of: &Value, path: &str) -> String {
    match at(of, path) {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => plain(text),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), grouped),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        other => plain(&other.to_string()),
    }
}

/// A name of several words.
pub(super) fn words(of: &Value, path: &str) -> String {
    word(of, path).replace('_', " ")
}

/// A field by its path with dots between.
pub(super) fn at<'v>(of: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(of, |of, name| &of[name])
}

/// The members of a list.
pub(super) fn each<'v>(of: &'v Value, path: &str) -> impl Iterator<Item = &'v Value> {
    at(of, path).as_array().into_iter().flatten()
}

/// A time in microseconds since 1970 as UTC.
pub(super) fn time(of: &Value, path: &str) -> String {
    crate::text::time(at(of, path).as_i64())
}

/// A day since 1970 as a date.
pub(super) fn day(of: &Value, path: &str) -> String {
    let micros = at(of, path).as_i64().and_then(|day| day.checked_mul(86_400_000_000));
    let time = crate::text::time(micros);
    time.split('T').next().unwrap_or_default().to_owned()
}

/// Micrometres as millimetres.
pub(super) fn mm(of: &Value, path: &str) -> String {
    at(of, path)
        .as_f64()
        .map_or_else(|| "-".to_owned(), |um| format!("{:.2} mm", um / 1e3))
}

/// Text broken between words, each line after so many blanks.
pub(super) fn wrapped(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let long = word.chars().count();
        if used > 0 && used + 1 + long > WIDTH {
            out.push('\n');
            used = 0;
        }
        let blanks = if used == 0 { indent } else { 1 };
        out.push_str(&" ".repeat(blanks));
        out.push_str(word);
        used += blanks + long;
    }
    out.push('\n');
    out
}

/// Below a list that is as long as its page makes it: there may be more.
pub(super) fn newest(shown: usize, most: usize) -> String {
    if shown < most {
        String::new()
    } else {
        format!("The newest {most} only.\n")
    }
}

/// A headline.
pub(super) fn head(text: &str) -> String {
    format!("\n{}\n", text.to_uppercase())
}

/// Names and what is said of them, one a line; what is not known is left out.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let known = || facts.iter().filter(|(_, said)| said != "-");
    let wide = known().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    known()
        .map(|(name, said)| {
            let text = wrapped(said, wide + GAP.len());
            let rest = text.get(wide + GAP.len()..).unwrap_or_default();
            format!("{name:<wide$}{GAP}{rest}")
        })
        .collect()
}

/// Rows below a head; empty without a row.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new<const N: usize>(head: [&str; N]) -> Self {
        Self {
            rows: vec![head.map(str::to_owned).to_vec()],
        }
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// The lines. The last column is broken between words where the others leave it room, and stands below where they do not.
    pub(super) fn text(&self, none: &str) -> String {
        if self.rows.len() == 1 {
            return format!("{none}\n");
        }
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let wide: Vec<usize> = (0..columns.saturating_sub(1)).map(width).collect();
        let before: usize = wide.iter().map(|wide| wide + GAP.len()).sum();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, wide) in row.iter().zip(&wide) {
                line.push_str(&format!("{cell:<wide$}{GAP}"));
            }
            let last = row.last().map(String::as_str).unwrap_or_default();
            if before + last.chars().count() <= WIDTH {
                line.push_str(last);
                out.push_str(line.trim_end());
                out.push('\n');
            } else if before <= WIDTH / 2 {
                let text = wrapped(last, before);
                out.push_str(&line);
                out.push_str(text.get(before..).unwrap_or_default());
            } else {
                out.push_str(line.trim_end());
                out.push('\n');
                out.push_str(&wrapped(last, 4));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_line_of_words_is_wider_than_a_terminal_and_none_is_lost() {
        let long = "word ".repeat(60);
        let mut table = Table::new(["a", "wider", "what"]);
        table.row(["x".to_owned(), "y".to_owned(), long.clone()]);
        table.row(["x".repeat(50), "y".to_owned(), long.clone()]);
        let text = table.text("") + &facts(&[("name", long), ("nothing", "-".to_owned())]);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert_eq!(text.matches("word").count(), 180);
        assert!(!text.contains("nothing"));
        assert_eq!(Table::new(["a"]).text("None."), "None.\n");
        assert_eq!([newest(19, 20), newest(20, 20)], ["", "The newest 20 only.\n"]);
    }

    #[test]
    fn what_a_device_wrote_does_not_steer_the_terminal() {
        let said = json!({"topic": "a\u{1b}[2J\u{202e}b\r\n"});
        assert_eq!(word(&said, "topic"), "a\u{fffd}[2J\u{fffd}b\u{fffd}\u{fffd}");
    }
}
