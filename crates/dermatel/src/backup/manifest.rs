//! `backup.json` in the data folder of a copy: when it was made and what is in it; a process that finds it goes on from a copy.
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use spool::Copied;
use telemetry::UnixMicros;

/// The file's name.
const FILE: &str = "backup.json";
/// What it is called, before the time of the restore, once somebody went on from it.
const SETTLED: &str = "restored-";

/// What it says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// When the backup began, RFC 3339.
    pub(super) taken_at: String,
    /// The program that made it.
    version: String,
    /// The logs in it.
    logs: BTreeMap<String, Log>,
    /// The journal in it; none if nothing was ever judged.
    journal: Option<Journal>,
}

/// A log in a copy.
#[derive(Debug, Serialize, Deserialize)]
struct Log {
    records: u64,
    bytes: u64,
    end: u64,
}

/// The journal in a copy, whose chain held.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Journal {
    /// Its rows.
    pub(super) rows: u64,
    /// Hash of the last one, hexadecimal.
    pub(super) head: String,
}

impl Manifest {
    pub(super) fn new(taken_at: UnixMicros, logs: &[(String, Copied)], journal: Option<Journal>) -> Self {
        let log = |copied: &Copied| Log {
            records: copied.records,
            bytes: copied.bytes,
            end: copied.end.0,
        };
        Self {
            taken_at: text(taken_at),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            logs: logs.iter().map(|(name, copied)| (name.clone(), log(copied))).collect(),
            journal,
        }
    }

    /// In one line, for people.
    pub(super) fn said(&self) -> String {
        let mut parts: Vec<String> = self
            .logs
            .iter()
            .map(|(name, log)| format!("{name} log {} records ({} bytes)", log.records, log.bytes))
            .collect();
        if let Some(journal) = &self.journal {
            parts.push(format!("journal whole, {} rows, head {}", journal.rows, journal.head));
        }
        parts.join("; ")
    }

    pub(super) fn write(&self, data: &Path) -> Result<()> {
        let path = data.join(FILE);
        std::fs::write(&path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        super::sync_folder(data)
    }

    /// What stands in a data folder; `None`: it did not come out of a backup.
    pub(super) fn read(data: &Path) -> Result<Option<Self>> {
        let path = data.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
        };
        let cannot = || format!("{} is none that `dermatel backup` made", path.display());
        serde_json::from_slice(&bytes).map(Some).with_context(cannot)
    }

    pub(super) fn taken_at(&self) -> Result<UnixMicros> {
        let time = DateTime::parse_from_rfc3339(&self.taken_at).context("the backup's time cannot be read")?;
        Ok(UnixMicros(time.timestamp_micros()))
    }

    /// Renames it: the next start is an ordinary one.
    pub(super) fn settle(&self, data: &Path, now: UnixMicros) -> Result<()> {
        let name = format!("{SETTLED}{}.json", text(now).replace(':', ""));
        std::fs::rename(data.join(FILE), data.join(name)).context("cannot keep that the folder was restored")?;
        super::sync_folder(data)
    }
}

/// When a data folder last went on from a copy; `None`: never.
pub(super) fn last_settled(data: &Path) -> Result<Option<UnixMicros>> {
    let cannot = || format!("cannot look into {}", data.display());
    let mut last = None;
    for entry in std::fs::read_dir(data).with_context(cannot)? {
        let name = entry.with_context(cannot)?.file_name();
        let at = name.to_str().and_then(|name| {
            let time = name.strip_prefix(SETTLED)?.strip_suffix(".json")?;
            NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H%M%S%.3fZ").ok()
        });
        last = last.max(at.map(|at| UnixMicros(at.and_utc().timestamp_micros())));
    }
    Ok(last)
}

fn text(at: UnixMicros) -> String {
    DateTime::from_timestamp_micros(at.0).map_or_else(
        || at.0.to_string(),
        |time| time.to_rfc3339_opts(SecondsFormat::Millis, true),
    )
}
