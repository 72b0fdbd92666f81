//! The rows: budget beside what was measured.
use std::fmt::Write as _;

/// One row.
#[derive(Debug, Clone)]
struct Row {
    what: String,
    budget: String,
    measured: String,
    /// Whether the budget is met; `None` where there is none.
    met: Option<bool>,
}

/// What was measured.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Table {
    /// A row with a budget.
    pub(super) fn row(&mut self, what: impl Into<String>, budget: &str, measured: impl Into<String>, met: bool) {
        self.push(what.into(), budget, measured.into(), Some(met));
    }

    /// A row that is only reported.
    pub(super) fn report(&mut self, what: impl Into<String>, measured: impl Into<String>) {
        self.push(what.into(), "reported", measured.into(), None);
    }

    fn push(&mut self, what: String, budget: &str, measured: String, met: Option<bool>) {
        eprintln!("  {what}: {measured}");
        self.rows.push(Row {
            what,
            budget: budget.to_owned(),
            measured,
            met,
        });
    }

    /// What stands behind the rows: settings, where the CPU went.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        eprintln!("  {note}");
        self.notes.push(note);
    }

    pub(super) fn markdown(&self) -> String {
        let mut out = String::from("| what | budget | measured | |\n|---|---|---|---|\n");
        for row in &self.rows {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} |",
                row.what,
                row.budget,
                row.measured,
                verdict(row.met)
            );
        }
        out.push('\n');
        for note in &self.notes {
            let _ = writeln!(out, "- {note}");
        }
        out
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        for row in &self.rows {
            let _ = writeln!(
                out,
                "{}\n    budget {}; measured {} {}",
                row.what,
                row.budget,
                row.measured,
                verdict(row.met)
            );
        }
        for note in &self.notes {
            let _ = writeln!(out, "note: {note}");
        }
        out
    }
}

fn verdict(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "**falls short**",
        None => "",
    }
}
