//! `dermatel spool inspect`: reads a spool's files beside the process that writes them; opens nothing for writing.
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use chrono::{DateTime, SecondsFormat, Utc};
use spool::{Inspection, OsDisk, SegmentInspection};

/// Prints segments, cursors and findings.
pub(crate) fn inspect(dir: &Path) -> Result<()> {
    let found = spool::inspect(dir, &OsDisk).with_context(|| format!("{} cannot be read as a spool", dir.display()))?;
    print!("{}", render(&found));
    Ok(())
}

fn render(found: &Inspection) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:>14} {:>14} {:>10} {:>12} {:>9} {:>6}  written",
        "first", "end", "records", "bytes", "damaged", "tail"
    );
    for segment in &found.segments {
        let _ = writeln!(
            out,
            "{:>14} {:>14} {:>10} {:>12} {:>9} {:>6}  {}{}",
            segment.first.0,
            segment.end.0,
            segment.records,
            segment.bytes,
            segment.damaged_bytes,
            segment.tail_bytes,
            span(segment),
            if segment.header_intact {
                ""
            } else {
                "  (header damaged)"
            },
        );
        for range in &segment.damage {
            let _ = writeln!(out, "{:>14} bytes {} to {} are no record", "", range.start, range.end);
        }
    }
    let end = found.segments.last().map_or(0, |segment| segment.end.0);
    for (name, at) in &found.cursors {
        let _ = writeln!(
            out,
            "cursor {name:<12} at {:>14}  backlog {} records",
            at.0,
            end.saturating_sub(at.0)
        );
    }
    for gap in &found.shed {
        let _ = writeln!(out, "shed at the cap: {gap:?}");
    }
    if found.corrupt_files > 0 {
        let _ = writeln!(
            out,
            "kept aside in corrupt/: {} files, {} bytes",
            found.corrupt_files, found.corrupt_kept_bytes
        );
    }
    out
}

fn span(segment: &SegmentInspection) -> String {
    match (segment.first_appended_at, segment.last_appended_at) {
        (Some(first), Some(last)) => format!("{} to {}", time(first), time(last)),
        _ => "-".to_owned(),
    }
}

fn time(at: SystemTime) -> String {
    DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Secs, true)
}
