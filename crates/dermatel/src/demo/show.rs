//! What a person sees of the demo: where to look, a live line, each alert as it fires, and the balance at the end.
use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use alerting::Handle;
use alerting::rules::Kind;
use anyhow::Result;
use ingestor::store::SqliteStore;
use service::metrics::Metrics;
use simulator::{Live, Report};

use crate::live::Figures;
use crate::text::{grouped, time};

/// How often the line is drawn and alerts are asked for.
const EVERY: Duration = Duration::from_millis(500);
/// How often the line is printed where it cannot be redrawn.
const LINES_EVERY: u32 = 10;
/// Longest wait at the end for the last pages and points.
const SETTLE: Duration = Duration::from_secs(5);

/// Where things are.
pub(crate) struct Look {
    pub(crate) dir: PathBuf,
    pub(crate) store: PathBuf,
    pub(crate) devices: SocketAddr,
    pub(crate) http: Option<SocketAddr>,
}

impl Look {
    /// Says what runs, before anything happens.
    pub(crate) fn hello(&self, devices: usize) {
        println!("Dermatel demo: {devices} simulated devices treat clients; some treatments go wrong.");
        println!(
            "  devices publish to    mqtt://{} (MQTT 3.1.1 and 5, protobuf)",
            self.devices
        );
        if let Some(http) = self.http {
            println!("  the console           http://{http}/");
            println!("  metrics and health    http://{http}/metrics  http://{http}/readyz");
        }
        println!("  everything is in      {}", self.dir.display());
        println!("Alerts appear here as they fire. Ctrl-C ends the demo.\n");
    }

    /// Waits until nothing is on its way any more, or a few seconds.
    pub(crate) async fn settle(&self, alerts: &Handle, live: &Live) {
        let wait = async {
            loop {
                let waiting = alerts.summary().await.map_or(0, |summary| summary.waiting_pages);
                if waiting == 0 && live.counts().connected == 0 {
                    return;
                }
                tokio::time::sleep(EVERY).await;
            }
        };
        let _ = tokio::time::timeout(SETTLE, wait).await;
    }

    /// The balance, from the store's own files and the simulator's ground truth.
    pub(crate) fn goodbye(&self, report: &Report, fired: &Fired) -> Result<()> {
        let store = SqliteStore::open(&self.store, None)?;
        println!(
            "\n{:<10} {:>12} {:>9} {:>9} {:>9} {:>12}",
            "tenant", "strokes", "windows", "pulses", "sessions", "alert steps"
        );
        for row in store.counts()? {
            println!(
                "{:<10} {:>12} {:>9} {:>9} {:>9} {:>12}",
                row.tenant,
                grouped(row.strokes),
                grouped(row.windows),
                grouped(row.pulses),
                grouped(row.sessions),
                grouped(row.alert_transitions)
            );
        }
        println!(
            "The fleet made {} strokes and {} pulses in {} messages; {} were left without an acknowledgement.",
            grouped(report.counts.strokes),
            grouped(report.counts.pulses),
            grouped(report.counts.published),
            grouped(report.counts.unsent)
        );
        tell_truths(report, fired);
        println!("\nLook around:");
        println!(
            "  pages as they were sent   {}",
            self.dir.join("data/pages.jsonl").display()
        );
        println!(
            "  points and sessions       sqlite3 {} 'SELECT * FROM session_summary'",
            self.store.display()
        );
        println!(
            "  the logs                  dermatel spool inspect {}",
            self.dir.join("data/spool/telemetry").display()
        );
        println!("  the fleet as files        {}", self.dir.join("registry").display());
        println!(
            "  your own                  dermatel config print > dermatel.toml, then dermatel up --config dermatel.toml"
        );
        Ok(())
    }
}

/// What fired since the start: (rule, tenant, device).
pub(crate) type Fired = BTreeSet<(String, String, String)>;

/// Injected faults against alerts: found, and not (yet) found, by what the simulator knows and the pipeline does not.
fn tell_truths(report: &Report, fired: &Fired) {
    let mut by_fault: BTreeMap<(String, &str), BTreeMap<String, bool>> = BTreeMap::new();
    for truth in report.truths.iter().filter(|truth| !truth.rule.is_empty()) {
        let found = fired.contains(&(truth.rule.to_owned(), truth.tenant.clone(), truth.device.clone()));
        let devices = by_fault.entry((truth.fault.to_string(), truth.rule)).or_default();
        *devices.entry(format!("{}/{}", truth.tenant, truth.device)).or_default() |= found;
    }
    println!("\nFaults that the simulator put in, and whether an alert of that rule fired for the device:");
    for ((fault, rule), devices) in by_fault {
        let found = devices.values().filter(|found| **found).count();
        let missed: Vec<&str> = devices
            .iter()
            .filter(|(_, found)| !**found)
            .map(|(device, _)| device.as_str())
            .collect();
        // A rule of the shipped set is called like its kind, with hyphens.
        let rest = match (Kind::from_name(&rule.replace('-', "_")), missed.is_empty()) {
            (None, _) => "; this version has no such rule".to_owned(),
            (Some(_), true) => String::new(),
            (Some(_), false) => format!("; not (yet): {}", missed.join(", ")),
        };
        println!(
            "  {:<56} {found} of {}{rest}",
            format!("{fault} → {rule}"),
            devices.len()
        );
    }
}

/// Draws until `stop`.
pub(crate) async fn watch(metrics: Metrics, alerts: Handle, live: Live, stop: impl Future<Output = ()>) -> Fired {
    let terminal = std::io::stdout().is_terminal();
    let mut told = Told::default();
    let mut every = tokio::time::interval(EVERY);
    let mut round = 0_u32;
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = every.tick() => {}
        }
        round += 1;
        tell_new(&alerts, &mut told, terminal).await;
        if terminal || round.is_multiple_of(LINES_EVERY) {
            draw(&metrics, &alerts, &live, terminal).await;
        }
    }
    tell_new(&alerts, &mut told, terminal).await;
    println!();
    told.fired
}

/// What was told already.
#[derive(Default)]
struct Told {
    alerts: BTreeSet<String>,
    fired: Fired,
}

async fn draw(metrics: &Metrics, alerts: &Handle, live: &Live, terminal: bool) {
    let open = alerts.summary().await.map(|summary| summary.open).unwrap_or_default();
    let figures = Figures::read(&metrics.render(), &open);
    let strokes = grouped(live.counts().strokes);
    if terminal {
        print!("\r\x1b[2K{strokes} strokes · {}", figures.text());
        let _ = std::io::stdout().flush();
    } else {
        println!("{strokes} strokes · {}", figures.text());
    }
}

async fn tell_new(alerts: &Handle, told: &mut Told, terminal: bool) {
    let Ok(list) = alerts.alerts(None).await else { return };
    for alert in list.iter().rev() {
        if matches!(alert.state(), alerting::lifecycle::State::Pending) || !told.alerts.insert(alert.id.to_string()) {
            continue;
        }
        told.fired
            .insert((alert.rule.clone(), alert.tenant.clone(), alert.device.clone()));
        let clear = if terminal { "\r\x1b[2K" } else { "" };
        println!(
            "{clear}{}  {:<6}  {}  {}/{}  {}",
            time(Some(alert.event_time.0)),
            alert.priority.as_str().to_uppercase(),
            alert.rule,
            alert.tenant,
            alert.device,
            alert.what_happened,
        );
    }
}
