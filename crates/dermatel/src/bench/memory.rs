//! Memory with a thousand devices on TLS.
use std::time::Duration;

use anyhow::Result;
use simulator::load::{self, LoadSpec};

use super::server::{Server, Setup};
use super::table::Table;
use super::throughput::pubacks;
use super::{Bench, process, tell};
use crate::text::grouped;

/// Devices.
const DEVICES: u32 = 1_000;
/// Messages a second of all: life's rate, one second of strokes a second, and ten times that.
const RATES: [f64; 2] = [1_000.0, 10_000.0];

/// Measures.
pub(super) async fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    tell("memory with 1,000 devices on TLS");
    let (dir, fleet) = bench.stage("memory", DEVICES)?;
    let setup = Setup {
        tls: true,
        ..Setup::default()
    };
    let server = Server::start(&dir, &setup)?;
    let target = server.target()?;
    let (idle, _) = process::resident_mib(server.pid())?;
    table.report(
        "resident memory, everything in one process, nobody connected",
        format!("{idle:.0} MiB"),
    );
    for rate in RATES {
        let spec = LoadSpec {
            connections: DEVICES,
            rate: Some(rate),
            duration: Duration::from_secs(bench.seconds),
            window: 16,
            ..LoadSpec::default()
        };
        let load = load::run(&fleet, &target, spec, std::future::pending()).await?;
        let (now, most) = process::resident_mib(server.pid())?;
        table.row(
            format!(
                "resident memory, 1,000 devices on TLS, {} messages/s, everything in one process",
                grouped(rate as u64)
            ),
            "≤ 128 MiB",
            format!(
                "{now:.0} MiB, at most {most:.0} MiB (PUBACKs: {})",
                pubacks(&load.latency_us)
            ),
            most <= 128.0,
        );
    }
    drop(server);
    bench.clear(&dir);
    Ok(())
}
