//! The figures for people: goals beside results, and plainly where one is not met.
use std::fmt::Write as _;

use telemetry::Priority;

use super::plan::{Must, Row};
use super::poisson;
use super::score::{Score, percentile};
use super::{Healthy, Measured};
use crate::text::grouped;

/// How sure the bound of false pages is, one-sided.
const CONFIDENCE: f64 = 0.95;
/// False pages in 1,000 device-days that are too many.
const GOAL: f64 = 1.0;
/// Alarms of one operator in a day: as many are acceptable, EEMUA 191 as quoted (domain figures: docs/detection.md).
const PER_DAY: f64 = 150.0;
/// Share of ten-minute spans that may be floods.
const FLOODED: f64 = 0.01;
/// Alarms that may stand for more than a day.
const STALE: u64 = 5;

/// A table in Markdown, or with columns set apart for a terminal.
struct Table {
    markdown: bool,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(markdown: bool, head: &[&str]) -> Self {
        let rows = vec![head.iter().map(|&h| h.to_owned()).collect()];
        Self { markdown, rows }
    }

    fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn text(&self) -> String {
        let mut out = String::new();
        let width = |column: usize| {
            let lengths = self.rows.iter().filter_map(|row| row.get(column));
            lengths.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        for (n, row) in self.rows.iter().enumerate() {
            if self.markdown {
                let _ = writeln!(out, "| {} |", row.join(" | "));
                if n == 0 {
                    let _ = writeln!(out, "|{}", "---|".repeat(row.len()));
                }
                continue;
            }
            for (column, cell) in row.iter().enumerate() {
                let _ = write!(out, "{cell:<w$}  ", w = width(column));
            }
            out.push('\n');
        }
        out
    }
}

pub(super) fn tell(measured: &Measured, rules: &str, markdown: bool) -> String {
    let mut out = format!("Rules {rules}.\n");
    let mut section = |title: &str, text: String| {
        let _ = write!(out, "\n{}{title}\n\n{text}", if markdown { "### " } else { "" });
    };
    section("Found, by hazard and size", found(measured, markdown));
    section("Pages by rule and cause", causes(measured, markdown));
    if measured.healthy.treating_days > 0.0 {
        section("False pages of a healthy fleet", healthy(&measured.healthy, markdown));
    }
    if measured.days.is_some() {
        section("Alarm management", alarms(measured, markdown));
    }
    out
}

fn verdict(met: Option<bool>) -> String {
    match met {
        Some(true) => "met",
        Some(false) => "**not met**",
        None => "-",
    }
    .to_owned()
}

fn demand(row: &Row) -> String {
    let mut text = match row.must {
        Must::Report => return "reported".to_owned(),
        Must::StayQuiet => return "no page".to_owned(),
        Must::Page => "each".to_owned(),
    };
    if let Some(n) = row.within_readings {
        let _ = write!(text, ", within {n} readings");
    }
    if let Some(s) = row.within_s {
        let _ = write!(text, ", within {s} s");
    }
    text
}

fn spread<T: Copy + PartialOrd>(values: &[T], show: impl Fn(T) -> String) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let at = |share| percentile(&sorted, share).map_or_else(|| "-".to_owned(), &show);
    format!("{} / {} / {}", at(0.5), at(0.95), at(1.0))
}

fn found(measured: &Measured, markdown: bool) -> String {
    let mut table = Table::new(
        markdown,
        &[
            "hazard",
            "size",
            "demanded",
            "found",
            "not judged",
            "recall",
            "seconds p50 / p95 / most",
            "readings p50 / p95 / most",
            "first told by",
            "",
        ],
    );
    for (row, score) in &measured.rows {
        table.row([
            row.hazard.clone(),
            row.size.clone(),
            demand(row),
            found_of(row, score),
            not_judged(row, score),
            recall(row, score),
            spread(&score.seconds, |s| format!("{s:.1}")),
            spread(&score.readings, |n| n.to_string()),
            score
                .first
                .iter()
                .map(|(rule, n)| format!("{rule} {n}"))
                .collect::<Vec<_>>()
                .join(", "),
            verdict(score.met(row)),
        ]);
    }
    let mut text = table.text();
    for (row, score) in measured.rows.iter().filter(|(row, _)| row.must == Must::Page) {
        for missed in &score.missed {
            let _ = writeln!(text, "- missed: {}, {}: {missed}", row.hazard, row.size);
        }
    }
    text += "\nNot judged: devices with the fault on which nothing that it spoilt could be told from what a healthy one does, or that began \
             within the last minute of a run.\n";
    text
}

fn not_judged(row: &Row, score: &Score) -> String {
    if row.must == Must::StayQuiet || score.incidents == 0 {
        return "-".to_owned();
    }
    score.not_judged.to_string()
}

fn found_of(row: &Row, score: &Score) -> String {
    if row.must == Must::StayQuiet || score.incidents == 0 {
        return format!("{} of {} devices paged", score.paged_devices, score.devices);
    }
    format!("{} of {}", score.found, score.incidents)
}

fn recall(row: &Row, score: &Score) -> String {
    if row.must == Must::StayQuiet || score.incidents == 0 {
        return "-".to_owned();
    }
    format!("{:.3}", score.found as f64 / score.incidents as f64)
}

fn causes(measured: &Measured, markdown: bool) -> String {
    let head = ["rule", "as meant", "related", "without a cause", "precision"];
    let mut table = Table::new(markdown, &head);
    for (rule, of) in &measured.causes {
        let judged = of.meant + of.related + of.none;
        table.row([
            rule.clone(),
            grouped(of.meant),
            grouped(of.related),
            grouped(of.none),
            format!("{:.4}", (of.meant + of.related) as f64 / judged.max(1) as f64),
        ]);
    }
    let note = "As meant: a rule that the row names. Related: another rule, at a device where something was wrong. Precision: pages \
                with a cause among all; it hangs on how much goes wrong here, the rate below does not.\n";
    format!("{}\n{note}", table.text())
}

fn healthy(healthy: &Healthy, markdown: bool) -> String {
    let mut table = Table::new(
        markdown,
        &["rule", "pages", "in 1,000 device-days", "upper 95 % bound", ""],
    );
    let per_1000 = |count: f64| count * 1_000.0 / healthy.treating_days;
    let mut line = |rule: &str, count: u64, goal: bool| {
        let bound = per_1000(poisson::upper(count, CONFIDENCE));
        table.row([
            rule.to_owned(),
            grouped(count),
            format!("{:.3}", per_1000(count as f64)),
            format!("{bound:.3}"),
            if goal {
                verdict(Some(bound < GOAL))
            } else {
                String::new()
            },
        ]);
    };
    for (rule, &count) in &healthy.pages {
        line(rule, count, false);
    }
    line("all (goal: bound below 1)", healthy.pages.values().sum(), true);
    let kinds: Vec<_> = healthy
        .device_days
        .iter()
        .map(|(kind, days)| format!("{} {kind}", grouped(*days as u64)))
        .collect();
    let took = healthy.took.as_secs_f64();
    let mut text = format!(
        "{}\n{} device-days of pens and IPL units ({}), {} strokes, {} pulses, {} frames, in {took:.0} s on {} threads: {:.1} device-days \
         a second. The bound is exact for a Poisson count (Garwood), one-sided; only treating devices count as device-days.\n",
        table.text(),
        grouped(healthy.treating_days as u64),
        kinds.join(", "),
        grouped(healthy.strokes),
        grouped(healthy.pulses),
        grouped(healthy.frames),
        healthy.threads,
        healthy.treating_days / took.max(0.001),
    );
    for example in &healthy.examples {
        let _ = writeln!(text, "- false page: {example}");
    }
    text
}

fn alarms(measured: &Measured, markdown: bool) -> String {
    let (figures, mut table) = (
        &measured.figures,
        Table::new(markdown, &["figure", "target", "measured", ""]),
    );
    let per_day = figures.raised as f64 / figures.operator_days.max(f64::MIN_POSITIVE);
    let flooded = figures.flooded as f64 / figures.spans.max(1) as f64;
    let mut line = |what: &str, target: &str, measured: String, met: Option<bool>| {
        table.row([what.to_owned(), target.to_owned(), measured, verdict(met)]);
    };
    line(
        "alarms per day and operator (a clinic)",
        "150 acceptable",
        format!("{per_day:.2}, worst day {}", figures.worst_day),
        Some(per_day <= PER_DAY),
    );
    line(
        "chattering (3 or more raises of one alarm within 60 s)",
        "0",
        figures.chattering.to_string(),
        Some(figures.chattering == 0),
    );
    line(
        "stale (open for more than 24 h)",
        "fewer than 5",
        figures.stale.to_string(),
        Some(figures.stale < STALE),
    );
    line(
        "floods (10 or more in 10 min), share of time",
        "below 1 %",
        format!("{:.3} %", flooded * 100.0),
        Some(flooded < FLOODED),
    );
    line(
        "priority split high / medium / low",
        "about 5 / 15 / 80",
        split(figures),
        None,
    );
    let note = measured.days.as_ref().map_or_else(String::new, |days| {
        format!(
            "{} runs of {} h, {:.0} operator-days, {} alarms. A person acknowledges every page after {} s: an assumption. How much goes \
             wrong is the scenario's choice, so these figures compare rules, not clinics; the split follows from it, and rules \
             of hygiene and depth are high by their harm.\n",
            days.runs,
            days.hours,
            figures.operator_days,
            grouped(figures.raised),
            days.acknowledged_after.as_secs(),
        )
    });
    format!("{}\n{note}", table.text())
}

fn split(figures: &super::alarms::Figures) -> String {
    let share = |priority: Priority| {
        let n = figures.by_priority.get(&priority).copied().unwrap_or(0);
        100.0 * n as f64 / figures.raised.max(1) as f64
    };
    let (high, medium, low) = (share(Priority::High), share(Priority::Medium), share(Priority::Low));
    format!("{high:.0} / {medium:.0} / {low:.0} %")
}
