//! The journal for an auditor: every row with what the chain is made of, as JSON lines or CSV. Free text only if asked for.
use serde_json::json;

use crate::id::hex;
use crate::store::journal::Row;

/// Most rows that are read at once.
pub const MAX_PAGE: usize = 1_000;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values (RFC 4180) with a header.
    Csv,
}

/// What stands above the rows.
pub const fn header(format: Format, with_text: bool) -> &'static str {
    match (format, with_text) {
        (Format::Jsonl, _) => "",
        (Format::Csv, false) => "n,at_us,kind,body,previous,hash\n",
        (Format::Csv, true) => "n,at_us,kind,body,previous,hash,text\n",
    }
}

/// One row with the end of its line. `body` is its very bytes as text: the hash is over them.
pub fn line(row: &Row, format: Format, with_text: bool) -> String {
    match format {
        Format::Jsonl => {
            let mut all = json!({"n": row.n, "at_us": row.at.0, "kind": row.kind, "body": row.raw,
                "previous": hex(&row.previous), "hash": hex(&row.hash)});
            if with_text {
                all["text"] = json!(row.text);
            }
            format!("{all}\n")
        }
        Format::Csv => {
            let (previous, hash) = (hex(&row.previous), hex(&row.hash));
            let body = quoted(&row.raw);
            let mut all = format!("{},{},{},{body},{previous},{hash}", row.n, row.at.0, quoted(&row.kind));
            if with_text {
                all.push(',');
                all.push_str(&quoted(row.text.as_deref().unwrap_or_default()));
            }
            all.push('\n');
            all
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
