//! `dermatel journal` and `dermatel explain`: proof, from the file of a running or stopped process, which is only read. Erasing
//! goes through the running process.
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use alerting::proof;
use alerting::store::Store;
use anyhow::{Context, Result, bail};
use chrono::DateTime;
use clap::{Args, Subcommand, ValueEnum};
use hyper::Method;
use serde_json::{Value, json};
use telemetry::UnixMicros;

use crate::cli::Api;
use crate::local_client::ask;
use crate::text::{self, field, lines};

/// Exit code of a journal that is not as it was written.
const BROKEN: i32 = 1;

#[derive(Debug, Args)]
pub(crate) struct File {
    /// Alerting's file: <data folder>/alerting.sqlite
    #[arg(long)]
    file: Option<PathBuf>,
}

impl File {
    fn open(&self) -> Result<Store> {
        let file = self.file.clone();
        let file = file.unwrap_or_else(|| crate::config::Node::default().data_dir.join("alerting.sqlite"));
        Ok(Store::open_to_read(&file)?)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Jsonl,
    Csv,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JournalAction {
    /// Check that no row was changed, added, moved or removed; exit code 1 and the first row that was, if one was
    Verify {
        #[command(flatten)]
        file: File,
        /// A head that was noted elsewhere, for example the `journal_head` of a page: it must still be there
        #[arg(long)]
        anchor: Option<String>,
    },
    /// Write rows with their hashes to standard output, for an auditor
    Export {
        #[command(flatten)]
        file: File,
        /// From when on, RFC 3339
        #[arg(long)]
        from: Option<String>,
        /// Until when, RFC 3339
        #[arg(long)]
        to: Option<String>,
        #[arg(long, value_enum, default_value = "jsonl")]
        format: Format,
        /// With what people wrote, as far as it was not erased
        #[arg(long)]
        with_text: bool,
    },
    /// Erase for good what people wrote about an alert; the journal says so and still holds
    EraseText {
        #[command(flatten)]
        api: Api,
        /// The alert's id
        #[arg(long)]
        alert: String,
        /// Who erases
        #[arg(long)]
        actor: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The alert's id
    id: String,
    #[command(flatten)]
    api: Api,
    /// Read this file instead of asking the running process: <data folder>/alerting.sqlite
    #[arg(long)]
    file: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Does it; the exit code.
pub(crate) fn run(action: &JournalAction) -> Result<i32> {
    match action {
        JournalAction::Verify { file, anchor } => verify(&file.open()?, anchor.as_deref()),
        JournalAction::Export {
            file,
            from,
            to,
            format,
            with_text,
        } => {
            let span = (time(from.as_deref())?, time(to.as_deref())?);
            let format = match format {
                Format::Jsonl => proof::Format::Jsonl,
                Format::Csv => proof::Format::Csv,
            };
            let mut out = BufWriter::new(std::io::stdout().lock());
            export(&file.open()?, span, format, *with_text, &mut out)?;
            out.flush().context("cannot write to standard output")?;
            Ok(0)
        }
        JournalAction::EraseText { api, alert, actor } => {
            let path = format!("/v1/alerts/{alert}/erase-text");
            let body = json!({ "actor": actor });
            let socket = crate::socket(api);
            let asked = ask(&socket, Method::POST, &path, Some(&body));
            let done = crate::process::runtime()?.block_on(asked)?;
            println!("{} texts erased", field(&done, "erased"));
            Ok(0)
        }
    }
}

fn time(text: Option<&str>) -> Result<Option<UnixMicros>> {
    let Some(text) = text else { return Ok(None) };
    let time = DateTime::parse_from_rfc3339(text)
        .with_context(|| format!("{text:?} is no time: write it like 2026-12-01T08:00:00Z"))?;
    Ok(Some(UnixMicros(time.timestamp_micros())))
}

fn verify(store: &Store, anchor: Option<&str>) -> Result<i32> {
    let found = store.verify_journal()?;
    if let Some(n) = found.broken_at {
        println!(
            "broken: row {n} is not as it was written; {} rows before it are",
            found.rows
        );
        return Ok(BROKEN);
    }
    let head: String = found.head.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("whole: {} rows, head {head}", found.rows);
    let Some(anchor) = anchor else { return Ok(0) };
    match store.journal_row_of(anchor)? {
        Some(n) => {
            println!("anchor {anchor} is row {n}");
            Ok(0)
        }
        None => {
            println!("broken: anchor {anchor} is in no row: the end was cut, or its row is older than what is kept");
            Ok(BROKEN)
        }
    }
}

fn export(
    store: &Store,
    (from, to): (Option<UnixMicros>, Option<UnixMicros>),
    format: proof::Format,
    with_text: bool,
    out: &mut impl Write,
) -> Result<()> {
    out.write_all(proof::header(format, with_text).as_bytes())?;
    // Whole from the first to the last row: a row left out between two would break the chain of the export.
    let mut after = from.map_or(Ok(0), |from| store.journal_before(from))?;
    loop {
        let rows = store.journal_page(after, proof::MAX_PAGE, with_text)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.n;
        for row in &rows {
            if to.is_some_and(|to| row.at > to) {
                return Ok(());
            }
            out.write_all(proof::line(row, format, with_text).as_bytes())?;
        }
    }
}

/// Prints why an alert fired, what caused it, and who was told.
pub(crate) fn explain(options: &Explain) -> Result<()> {
    match &options.file {
        Some(file) => from_file(file, options),
        None => from_process(options),
    }
}

fn from_file(file: &Path, options: &Explain) -> Result<()> {
    let store = Store::open_to_read(file)?;
    let Some(explanation) = proof::of(&store, options.id.parse().context("no id of an alert")?)? else {
        bail!("no alert has this id, or it was forgotten");
    };
    if options.json {
        println!("{}", text::json(&explanation)?);
    } else {
        print!("{}", lines(&proof::text(&explanation)));
    }
    Ok(())
}

fn from_process(options: &Explain) -> Result<()> {
    let query = if options.json { "" } else { "?format=text" };
    let path = format!("/v1/alerts/{}/explain{query}", options.id);
    let socket = crate::socket(&options.api);
    let asked = ask(&socket, Method::GET, &path, None);
    match crate::process::runtime()?.block_on(asked)? {
        Value::String(text) => print!("{}", lines(&text)),
        json => println!("{}", text::json(&json)?),
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use alerting::store::journal::{Entry, EntryKind};

    use super::*;

    fn filled(file: &Path) -> Store {
        let store = Store::open(file).unwrap();
        for n in 1..=5 {
            let entry = Entry::new(
                UnixMicros(n * 3_600_000_000),
                EntryKind::Gap,
                &json!({"from": 1_000 + n}),
            );
            store.journal(&entry).unwrap();
        }
        store
    }

    #[test]
    fn verify_says_whole_and_with_exit_code_1_that_a_row_was_touched_or_an_anchor_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("alerting.sqlite");
        drop(filled(&file));
        let store = Store::open_to_read(&file).unwrap();
        let head: String = store
            .verify_journal()
            .unwrap()
            .head
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(verify(&store, None).unwrap(), 0);
        assert_eq!(verify(&store, head.get(..16)).unwrap(), 0);
        assert_eq!(verify(&store, Some("0123456789abcdef")).unwrap(), BROKEN);
        drop(store);
        let mut bytes = std::fs::read(&file).unwrap();
        let at = bytes.windows(4).position(|four| four == b"1003").unwrap();
        bytes.get_mut(at..at + 4).unwrap().copy_from_slice(b"1009");
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(verify(&Store::open_to_read(&file).unwrap(), None).unwrap(), BROKEN);
    }

    #[test]
    fn an_export_is_whole_between_its_ends_and_stops_at_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let store = filled(&dir.path().join("alerting.sqlite"));
        let mut out = Vec::new();
        // From hour 4, with the hour before it for clocks that were set back, to hour 4.
        let hour = UnixMicros(4 * 3_600_000_000);
        export(&store, (Some(hour), Some(hour)), proof::Format::Csv, false, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<_> = out.lines().map(|line| line.split(',').next().unwrap()).collect();
        assert_eq!(lines, ["n", "3", "4"]);
    }

    #[test]
    fn a_file_that_is_not_there_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("alerting.sqlite");
        assert!(Store::open_to_read(&file).is_err());
        assert!(!file.exists());
    }
}
