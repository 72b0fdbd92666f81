//! InfluxDB is away and comes back: how much faster than life the backlog goes, while devices go on.
use std::time::{Duration, Instant};

use anyhow::Result;
use simulator::load::{self, LoadSpec};

use super::server::{Server, Setup};
use super::sink::Sink;
use super::table::Table;
use super::throughput::pubacks;
use super::{Bench, tell};
use crate::text::grouped;

/// Messages a second meanwhile: a large chain's pens at one a second each.
const RATE: f64 = 4_000.0;
/// Longest wait for the backlog to be gone.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(20);
/// Points that may be under way while everything is live: half a second's worth.
const LIVE: u64 = RATE as u64 / 2;

/// Measures.
pub(super) async fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    tell("an outage of InfluxDB, and what is drained afterwards beside live traffic");
    let (dir, fleet) = bench.stage("drain", bench.connections)?;
    let mut sink = Sink::absent()?;
    let setup = Setup {
        influx: Some(sink.url()),
        ..Setup::default()
    };
    let server = Server::start(&dir, &setup)?;
    let target = server.target()?;
    let outage = Duration::from_secs(bench.seconds.max(5) * 2);
    let spec = LoadSpec {
        connections: bench.connections,
        rate: Some(RATE),
        duration: outage + DRAIN_WITHIN,
        ..LoadSpec::default()
    };
    let (over, ended) = tokio::sync::oneshot::channel::<()>();
    let load = tokio::spawn(async move {
        let over = async {
            let _ = ended.await;
        };
        load::run(&fleet, &target, spec, over).await
    });
    tokio::time::sleep(outage).await;
    let backlog = behind(&server)?;
    sink.come_up().await?;
    let drained = drain(&server, &sink).await?;
    let _ = over.send(());
    let load = load.await??;
    let cpu = server.cpu_seconds()?;
    let (rate, took) = drained.unwrap_or((0.0, DRAIN_WITHIN));
    table.row(
        "drain after an outage of InfluxDB, beside live traffic",
        "≥ 5 times live rate",
        format!(
            "{:.1} times: {} points/s beside {} live messages/s; {} behind after {} s, gone in {:.1} s",
            rate / RATE,
            grouped(rate as u64),
            grouped(RATE as u64),
            grouped(backlog),
            outage.as_secs(),
            took.as_secs_f64()
        ),
        drained.is_some() && rate >= 5.0 * RATE,
    );
    table.report(
        "the same run: PUBACKs during outage and drain; CPU of the server per message with InfluxDB",
        format!(
            "{}; {:.1} µs",
            pubacks(&load.latency_us),
            cpu * 1e6 / load.acked.max(1) as f64
        ),
    );
    drop(server);
    bench.clear(&dir);
    Ok(())
}

fn behind(server: &Server) -> Result<u64> {
    Ok(server.metric(ingestor::metrics::BACKLOG_RECORDS, "")? + server.metric(ingestor::metrics::RECORDS_HELD, "")?)
}

/// Points a second from the first that the store took until the backlog was gone, and how long that was; `None` if it was
/// not gone in time.
async fn drain(server: &Server, sink: &Sink) -> Result<Option<(f64, Duration)>> {
    let until = Instant::now() + DRAIN_WITHIN;
    let mut first = None;
    while Instant::now() < until {
        let lines = sink.lines();
        if lines > 0 {
            let (at, had) = *first.get_or_insert((Instant::now(), lines));
            if behind(server)? <= LIVE {
                let took = at.elapsed().max(LOOK);
                return Ok(Some(((sink.lines() - had) as f64 / took.as_secs_f64(), took)));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(None)
}
