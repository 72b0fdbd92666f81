//! The whole way under load: PUBACK latency at a rate, what fits through at saturation, and pages meanwhile.
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use simulator::load::{self, LoadReport, LoadSpec};
use simulator::{Device, Fleet};
use telemetry::DeviceKind;

use super::pager::{Paged, Pager};
use super::server::{Server, Setup, generator_cpu};
use super::table::Table;
use super::{Bench, process, tell};
use crate::text::grouped;

/// Messages a second of the row about PUBACKs.
const RATE: f64 = 10_000.0;
/// A hazard so often.
pub(super) const HAZARD_EVERY: Duration = Duration::from_millis(50);
/// Devices that publish them in turn.
const HAZARD_DEVICES: usize = 20;
/// Longest wait until everything is stored and judged.
pub(super) const SETTLE: Duration = Duration::from_secs(120);
/// Longest wait for the last pages.
pub(super) const PAGES: Duration = Duration::from_secs(10);

/// What one run showed.
struct Run {
    load: LoadReport,
    paged: Paged,
    server_cpu: f64,
    generator_cpu: f64,
    /// From the first message until everything was stored and judged.
    wall: Duration,
    settled: bool,
    stored: u64,
    resident: (f64, f64),
    threads: String,
}

/// 10,000 messages a second.
pub(super) async fn paced(bench: &Bench, table: &mut Table) -> Result<()> {
    tell("publish to PUBACK at 10,000 messages a second, everything in one process");
    let run = one(bench, "puback", Some(RATE)).await?;
    let p99 = run.load.latency_us.value_at_quantile(0.99);
    table.row(
        "publish to PUBACK, fsync included, at 10,000 messages/s (p99)",
        "≤ 20 ms",
        format!(
            "p50 {}, p99 {}, max {} ({} messages/s acknowledged)",
            millis(run.load.latency_us.value_at_quantile(0.5)),
            millis(p99),
            millis(run.load.latency_us.max()),
            grouped(run.load.rate() as u64)
        ),
        p99 <= 20_000 && run.load.rate() >= RATE * 0.98,
    );
    table.report(
        "the same run: CPU per stroke message of 120 strokes, everything in one process",
        format!(
            "{:.1} µs in the server, {:.1} µs in the load generator",
            per_message(run.server_cpu, &run),
            per_message(run.generator_cpu, &run)
        ),
    );
    table.report("the same run: publish to delivered page", pages(&run.paged));
    tell_loss(table, "the same run", &run);
    table.note(format!(
        "at 10,000 messages/s the server's CPU went to: {}",
        run.threads
    ));
    Ok(())
}

/// As much as fits.
pub(super) async fn saturated(bench: &Bench, table: &mut Table) -> Result<()> {
    tell("everything in one process, saturated");
    let run = one(bench, "saturated", None).await?;
    let cpu = per_message(run.server_cpu, &run);
    table.row(
        "CPU of the server per stroke message of 120 strokes (endpoint, both logs, store, rules), saturated",
        "≤ 15 µs",
        format!(
            "{cpu:.1} µs (load generator: {:.1} µs more)",
            per_message(run.generator_cpu, &run)
        ),
        cpu <= 15.0,
    );
    table.row(
        "stroke messages acknowledged a second, load generator on the same machine",
        "≥ 50,000",
        format!(
            "{} ({} million strokes/s)",
            grouped(run.load.rate() as u64),
            (run.load.rate() * 120.0 / 1e5).round() / 10.0
        ),
        run.load.rate() >= 50_000.0,
    );
    let through = run.load.acked as f64 / run.wall.as_secs_f64().max(f64::MIN_POSITIVE);
    table.report(
        "stroke messages stored and judged a second, until the last one is",
        format!(
            "{} ({} in {:.1} s; acknowledged within {:.1} s)",
            grouped(through as u64),
            grouped(run.load.acked),
            run.wall.as_secs_f64(),
            run.load.elapsed.as_secs_f64()
        ),
    );
    tell_loss(table, "the same run", &run);
    let p99 = run.paged.latency_us.value_at_quantile(0.99);
    table.row(
        "publish to delivered page under that load (p99)",
        "≤ 250 ms",
        pages(&run.paged),
        p99 <= 250_000 && run.paged.paged == run.paged.sent,
    );
    table.report(
        "resident memory of the server in that run (plain TCP)",
        format!("{:.0} MiB, at most {:.0} MiB", run.resident.0, run.resident.1),
    );
    table.report(
        "the same run: publish to PUBACK with 64 messages of each device under way",
        pubacks(&run.load.latency_us),
    );
    table.note(format!("saturated, the server's CPU went to: {}", run.threads));
    Ok(())
}

/// Pages alone.
pub(super) async fn unloaded(bench: &Bench, table: &mut Table) -> Result<()> {
    tell("publish to delivered page without other load");
    let (dir, fleet) = bench.stage("page", 1)?;
    let mut pager = Pager::listen()?;
    let server = start(&dir, &pager)?;
    pager.fire(spares(&fleet), &server.target()?, HAZARD_EVERY);
    tokio::time::sleep(Duration::from_secs(bench.seconds)).await;
    let paged = pager.finish(PAGES).await?;
    drop(server);
    bench.clear(&dir);
    table.report("publish to delivered page, no other load", pages(&paged));
    Ok(())
}

fn start(dir: &std::path::Path, pager: &Pager) -> Result<Server> {
    let setup = Setup {
        webhook: Some(pager.url()),
        ..Setup::default()
    };
    Server::start(dir, &setup)
}

async fn one(bench: &Bench, name: &str, rate: Option<f64>) -> Result<Run> {
    let (dir, fleet) = bench.stage(name, bench.connections)?;
    let mut pager = Pager::listen()?;
    let server = start(&dir, &pager)?;
    let target = server.target()?;
    let spec = LoadSpec {
        connections: bench.connections,
        rate,
        duration: Duration::from_secs(bench.seconds),
        grace: Duration::from_secs(30),
        ..LoadSpec::default()
    };
    pager.fire(spares(&fleet), &target, HAZARD_EVERY);
    let before = (
        server.cpu_seconds()?,
        generator_cpu()?,
        process::thread_seconds(server.pid()),
    );
    let started = Instant::now();
    let load = load::run(&fleet, &target, spec, std::future::pending()).await?;
    let generator_cpu = generator_cpu()? - before.1;
    let paged = pager.finish(PAGES).await?;
    let settled = server.settled(SETTLE).await?;
    let run = Run {
        wall: started.elapsed(),
        server_cpu: server.cpu_seconds()? - before.0,
        generator_cpu,
        settled,
        stored: server.stored_windows()?,
        resident: process::resident_mib(server.pid())?,
        threads: process::spent(&before.2, &process::thread_seconds(server.pid())),
        load,
        paged,
    };
    drop(server);
    bench.clear(&dir);
    Ok(run)
}

/// Pens that make no load, for hazards: several, because one device has a bounded number of open alerts.
pub(super) fn spares(fleet: &Fleet) -> Vec<Arc<Device>> {
    let pens = fleet.devices().iter().filter(|device| device.kind == DeviceKind::Pen);
    pens.rev().take(HAZARD_DEVICES).cloned().collect()
}

/// A pen that makes no load.
pub(super) fn spare(fleet: &Fleet) -> Result<Arc<Device>> {
    let mut pens = fleet.devices().iter().filter(|device| device.kind == DeviceKind::Pen);
    pens.next_back().cloned().context("the fleet has no pen")
}

fn per_message(cpu: f64, run: &Run) -> f64 {
    cpu * 1e6 / (run.load.acked.max(1) as f64)
}

fn tell_loss(table: &mut Table, which: &str, run: &Run) {
    // A hazard is a stroke message too.
    let expected = run.load.acked + run.paged.sent as u64;
    table.row(
        format!("{which}: acknowledged messages that are stored in the end"),
        "all",
        format!(
            "{} of {}{}",
            grouped(run.stored),
            grouped(expected),
            if run.settled {
                ""
            } else {
                ", still at it when the wait was over"
            }
        ),
        run.stored >= expected,
    );
}

pub(super) fn pages(paged: &Paged) -> String {
    let at = |q| millis(paged.latency_us.value_at_quantile(q));
    format!(
        "p50 {}, p99 {}, max {} (of which until in alerting's log: {}; {} of {} hazards paged; {} pages in all)",
        at(0.5),
        at(0.99),
        millis(paged.latency_us.max()),
        pubacks(&paged.logged_us),
        grouped(paged.paged as u64),
        grouped(paged.sent as u64),
        grouped(paged.pages)
    )
}

/// Microseconds as milliseconds.
pub(super) fn millis(us: u64) -> String {
    format!("{:.1} ms", us as f64 / 1_000.0)
}

/// Median and 99th percentile of microseconds.
pub(super) fn pubacks(latency_us: &Histogram<u64>) -> String {
    format!(
        "p50 {}, p99 {}",
        millis(latency_us.value_at_quantile(0.5)),
        millis(latency_us.value_at_quantile(0.99))
    )
}
