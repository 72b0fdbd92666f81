//! The live line: what happens, where a person waits. Only on a terminal; logs stay logs elsewhere.
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use service::metrics::Metrics;

use crate::text::grouped;

/// How often the line is drawn.
const EVERY: Duration = Duration::from_millis(500);

/// What the line says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) connections: u64,
    pub(crate) admitted: u64,
    pub(crate) quarantined: u64,
    pub(crate) points: u64,
    pub(crate) backlog: u64,
    pub(crate) open_alerts: u64,
    pub(crate) pages_sent: u64,
}

impl Figures {
    /// Reads them from the exposition that `/metrics` serves: the line never says anything else than the metrics do.
    pub(crate) fn read(exposition: &str, open: &BTreeMap<String, u64>) -> Self {
        let sum = |name: &str| sum(exposition, name);
        Self {
            connections: sum(gateway::endpoint::metrics::CONNECTIONS),
            admitted: sum(gateway::metrics::DELIVERIES_ADMITTED),
            quarantined: sum(gateway::metrics::DELIVERIES_REJECTED),
            points: sum(ingestor::metrics::POINTS_WRITTEN),
            backlog: sum(ingestor::metrics::BACKLOG_RECORDS),
            open_alerts: open
                .iter()
                .filter(|(state, _)| state.as_str() != "pending")
                .map(|(_, n)| n)
                .sum(),
            pages_sent: sum(alerting::metrics::SENT),
        }
    }

    pub(crate) fn text(&self) -> String {
        format!(
            "{} devices · {} messages in · {} refused · {} points stored · {} behind · {} alerts open · {} pages sent",
            grouped(self.connections),
            grouped(self.admitted),
            grouped(self.quarantined),
            grouped(self.points),
            grouped(self.backlog),
            grouped(self.open_alerts),
            grouped(self.pages_sent),
        )
    }
}

/// Sum of a metric over its labels; 0 if it is not there.
fn sum(exposition: &str, name: &str) -> u64 {
    let values = exposition.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        if !rest.starts_with(['{', ' ']) {
            return None;
        }
        rest.rsplit(' ').next()?.parse::<f64>().ok()
    });
    values.sum::<f64>().max(0.0) as u64
}

/// Draws the line until `stop`.
pub(crate) async fn line(metrics: Metrics, alerts: alerting::Handle, stop: impl Future<Output = ()>) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let mut every = tokio::time::interval(EVERY);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = every.tick() => {}
        }
        let open = alerts.summary().await.map(|summary| summary.open).unwrap_or_default();
        let figures = Figures::read(&metrics.render(), &open);
        eprint!("\r\x1b[2K{}", figures.text());
        let _ = std::io::stderr().flush();
    }
    eprintln!();
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_no_other_is_taken_for_it() {
        let text = "# TYPE a_total counter\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3\na_total_more 100\nab 7\n";
        assert_eq!(sum(text, "a_total"), 5);
        assert_eq!(sum(text, "missing"), 0);
    }
}
