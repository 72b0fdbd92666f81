//! Gateway, ingestor and alerting as processes apart, over a mosquitto on this machine: what the way through a broker costs, how long a
//! page takes on it, and what a gateway alone takes of memory.
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use simulator::load::{self, LoadSpec};

use super::pager::Pager;
use super::server::{Part, Server, Setup, free_port};
use super::table::Table;
use super::throughput::{HAZARD_EVERY, PAGES, SETTLE, pages, pubacks, spares};
use super::{Bench, process, tell};
use crate::text::grouped;

/// Devices of the measurement of memory.
const DEVICES: u32 = 1_000;
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(200);
/// Longest wait for the broker.
const START_WITHIN: Duration = Duration::from_secs(10);
/// Where Debian puts it, which is not on everybody's path.
const MOSQUITTO: [&str; 2] = ["mosquitto", "/usr/sbin/mosquitto"];

/// A broker with the limits of `deploy/mosquitto/mosquitto.conf`. It is killed when this goes.
struct Broker {
    child: Child,
    port: u16,
}

impl Broker {
    /// `None`: there is none on this machine.
    fn start(dir: &Path) -> Result<Option<Self>> {
        let port = free_port()?;
        let config = format!(
            "user root\nlistener {port} 127.0.0.1\nallow_anonymous true\nmax_packet_size 524288\nmax_inflight_messages 65535\n\
             max_queued_messages 0\nmax_queued_bytes 2147483648\nset_tcp_nodelay true\npersistence true\n\
             persistence_location {}/\nautosave_on_changes true\nautosave_interval 1000\nlog_dest none\n",
            dir.display()
        );
        let file = dir.join("mosquitto.conf");
        std::fs::write(&file, config).context("cannot write the broker's configuration")?;
        for program in MOSQUITTO {
            let mut command = Command::new(program);
            let command = command.arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
            match command.spawn() {
                Ok(child) => {
                    let broker = Self { child, port };
                    broker.wait()?;
                    return Ok(Some(broker));
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(e).context("cannot start mosquitto"),
            }
        }
        Ok(None)
    }

    fn wait(&self) -> Result<()> {
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            ensure!(started.elapsed() < START_WITHIN, "mosquitto does not answer");
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All of them.
struct Apart {
    // Dropped in this order: who sends before what it sends to.
    gateway: Server,
    ingestor: Server,
    alerting: Server,
    broker: Broker,
}

impl Apart {
    fn start(dir: &Path, broker: Broker, tls: bool, webhook: Option<String>) -> Result<Self> {
        let part = |part: Part| {
            let folder = dir.join(part.as_str());
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            let setup = Setup {
                part,
                broker: Some(broker.port),
                tls: tls && part == Part::Gateway,
                webhook: webhook.clone().filter(|_| part == Part::Alerting),
                ..Setup::default()
            };
            Server::start(&folder, &setup)
        };
        // Who reads first: a gateway says until then that nobody does.
        let (ingestor, alerting) = (part(Part::Ingestor)?, part(Part::Alerting)?);
        Ok(Self {
            gateway: part(Part::Gateway)?,
            ingestor,
            alerting,
            broker,
        })
    }

    /// CPU seconds so far: gateway, ingestor, alerting, broker.
    fn cpu(&self) -> Result<[f64; 4]> {
        Ok([
            self.gateway.cpu_seconds()?,
            self.ingestor.cpu_seconds()?,
            self.alerting.cpu_seconds()?,
            process::cpu_seconds(self.broker.child.id())?,
        ])
    }

    /// Whether so many stroke messages are stored and everything that was let in is judged; asked until it is, or the time is over.
    async fn settled(&self, within: Duration) -> Result<bool> {
        let until = Instant::now() + within;
        while Instant::now() < until {
            let admitted = self.gateway.metric(gateway::metrics::DELIVERIES_ADMITTED, "")?;
            let judged = self.alerting.metric(alerting::metrics::INPUTS, "kind=\"frame\"")?;
            let received = self.ingestor.metric(uplink::metrics::RECEIVED_MESSAGES, "")?;
            let behind = self.ingestor.metric(ingestor::metrics::BACKLOG_RECORDS, "")?
                + self.ingestor.metric(ingestor::metrics::RECORDS_HELD, "")?;
            if judged >= admitted && received >= admitted && behind == 0 {
                return Ok(true);
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(false)
    }
}

/// Measures.
pub(super) async fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    let (dir, _) = bench.stage("apart", 1)?;
    if Broker::start(&dir)?.is_none() {
        table.report(
            "gateway, ingestor and alerting as processes apart, over mosquitto",
            "not measured: mosquitto is not installed here (Debian: apt install mosquitto)",
        );
        return Ok(());
    }
    bench.clear(&dir);
    page(bench, table).await?;
    saturated(bench, table).await?;
    memory(bench, table).await
}

fn broker(dir: &Path) -> Result<Broker> {
    match Broker::start(dir)? {
        Some(broker) => Ok(broker),
        None => bail!("mosquitto was there a moment ago"),
    }
}

async fn page(bench: &Bench, table: &mut Table) -> Result<()> {
    tell("publish to delivered page through a broker, without other load");
    let (dir, fleet) = bench.stage("apart-page", 1)?;
    let mut pager = Pager::listen()?;
    let apart = Apart::start(&dir, broker(&dir)?, false, Some(pager.url()))?;
    pager.fire(spares(&fleet), &apart.gateway.target()?, HAZARD_EVERY);
    tokio::time::sleep(Duration::from_secs(bench.seconds)).await;
    let paged = pager.finish(PAGES).await?;
    drop(apart);
    bench.clear(&dir);
    table.report(
        "publish to delivered page, processes apart over mosquitto, no other load",
        pages(&paged),
    );
    Ok(())
}

async fn saturated(bench: &Bench, table: &mut Table) -> Result<()> {
    tell("processes apart over a broker, saturated");
    let (dir, fleet) = bench.stage("apart-saturated", bench.connections)?;
    let apart = Apart::start(&dir, broker(&dir)?, false, None)?;
    let before = apart.cpu()?;
    let spec = LoadSpec {
        connections: bench.connections,
        duration: Duration::from_secs(bench.seconds),
        grace: Duration::from_secs(30),
        ..LoadSpec::default()
    };
    let started = Instant::now();
    let load = load::run(&fleet, &apart.gateway.target()?, spec, std::future::pending()).await?;
    let settled = apart.settled(SETTLE).await?;
    let wall = started.elapsed();
    let after = apart.cpu()?;
    let per_message = |at: usize| (after[at] - before[at]) * 1e6 / load.acked.max(1) as f64;
    let all: f64 = (0..after.len()).map(per_message).sum();
    table.report(
        "CPU per stroke message of 120 strokes, processes apart over mosquitto, saturated",
        format!(
            "{all:.1} µs: gateway {:.1}, ingestor {:.1}, alerting {:.1}, mosquitto {:.1}",
            per_message(0),
            per_message(1),
            per_message(2),
            per_message(3)
        ),
    );
    table.report(
        "stroke messages stored and judged a second, processes apart on one machine, until the last one is",
        format!(
            "{} ({} in {:.1} s; acknowledged within {:.1} s)",
            grouped((load.acked as f64 / wall.as_secs_f64().max(f64::MIN_POSITIVE)) as u64),
            grouped(load.acked),
            wall.as_secs_f64(),
            load.elapsed.as_secs_f64()
        ),
    );
    let stored = apart.ingestor.stored_windows()?;
    table.row(
        "the same run: acknowledged messages that are stored in the end",
        "all",
        format!(
            "{} of {}{}",
            grouped(stored),
            grouped(load.acked),
            if settled {
                ""
            } else {
                ", still at it when the wait was over"
            }
        ),
        stored >= load.acked,
    );
    drop(apart);
    bench.clear(&dir);
    Ok(())
}

async fn memory(bench: &Bench, table: &mut Table) -> Result<()> {
    tell("memory of a gateway alone with 1,000 devices on TLS");
    let (dir, fleet) = bench.stage("apart-memory", DEVICES)?;
    let apart = Apart::start(&dir, broker(&dir)?, true, None)?;
    let spec = LoadSpec {
        connections: DEVICES,
        rate: Some(f64::from(DEVICES)),
        duration: Duration::from_secs(bench.seconds),
        window: 16,
        ..LoadSpec::default()
    };
    let load = load::run(&fleet, &apart.gateway.target()?, spec, std::future::pending()).await?;
    let (now, most) = process::resident_mib(apart.gateway.pid())?;
    let of_files = process::of_files_mib(apart.gateway.pid())?;
    table.row(
        "resident memory of a gateway alone, 1,000 devices on TLS, 1,000 messages/s",
        "≤ 32 MiB",
        format!(
            "{now:.0} MiB, at most {most:.0} MiB, of which {of_files:.0} MiB are pages of the program's file (PUBACKs: {})",
            pubacks(&load.latency_us)
        ),
        most <= 32.0,
    );
    drop(apart);
    bench.clear(&dir);
    Ok(())
}
