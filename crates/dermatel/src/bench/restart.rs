//! SIGKILL with a large log, and how long devices wait for the next PUBACK.
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use simulator::load::{self, LoadSpec};

use super::server::{Server, Setup};
use super::sink::Sink;
use super::table::Table;
use super::throughput::spare;
use super::{Bench, tell};
use crate::text::grouped;

/// Longest time to fill the log.
const FILL_WITHIN: Duration = Duration::from_secs(300);
/// How often its size is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Measures.
pub(super) async fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    tell("SIGKILL with a large log, until the first PUBACK");
    let (dir, fleet) = bench.stage("restart", bench.connections)?;
    // Nobody ever listens there: everything stays in the log.
    let setup = Setup {
        influx: Some(Sink::absent()?.url()),
        ..Setup::default()
    };
    let mut server = Server::start(&dir, &setup)?;
    let target = server.target()?;
    let log = dir.join("data/spool/telemetry");
    let full = bench.backlog_mib << 20;
    let filled = async {
        while size(&log) < full {
            tokio::time::sleep(LOOK).await;
        }
    };
    let spec = LoadSpec {
        connections: bench.connections,
        duration: FILL_WITHIN,
        strokes: 300,
        ..LoadSpec::default()
    };
    let load = load::run(&fleet, &target, spec, filled).await?;
    let bytes = size(&log);
    let started = server.kill_and_start()?;
    let listening = started.elapsed();
    let first = first_puback(&fleet, &server, started).await?;
    table.row(
        format!(
            "restart after SIGKILL with {} MiB in the log, to the first PUBACK",
            bytes >> 20
        ),
        "≤ 1 s",
        format!(
            "{:.2} s (listens after {:.2} s; {} messages behind)",
            first.as_secs_f64(),
            listening.as_secs_f64(),
            grouped(load.acked)
        ),
        first <= Duration::from_secs(1) && bytes >= full,
    );
    drop(server);
    bench.clear(&dir);
    Ok(())
}

/// One device publishes one message; what passed since `started` when it was acknowledged.
async fn first_puback(fleet: &simulator::Fleet, server: &Server, started: Instant) -> Result<Duration> {
    let device = spare(fleet)?;
    let (publisher, mut acks) = super::pager::connect(&device, &server.target()?).await?;
    let payload = super::pager::hazard(&device, 1, 0, 10_000_000);
    publisher.try_publish(&device.who.topic("telemetry"), payload.into(), 1, false)?;
    acks.recv().await.context("the connection ended without a PUBACK")?;
    let took = started.elapsed();
    publisher.close().await;
    Ok(took)
}

fn size(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files
        .filter_map(|file| file.metadata().ok())
        .map(|meta| meta.len())
        .sum()
}
