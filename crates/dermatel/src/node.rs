//! The whole way of the data in one process: built in one straight line, then run until told to stop.
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alerting::{Advise, Alerting};
use anyhow::{Context, Result};
use console::Console;
use console::pipeline::Pipeline;
use gateway::ack_up_to::AckUpTo;
use gateway::{Deps, Gateway, TelemetryOutlet};
use ingestor::Ingestor;
use registry::Book;
use service::clock::Clock;
use service::health::Health;
use service::http::{Listener, router, serve};
use service::metrics::Metrics;
use service::shutdown::Shutdown;
use spool::{OpenReport, OsDisk, Spool};
use telemetry::GatewayId;
use tokio::sync::oneshot;

use crate::api::{self, Api};
use crate::config::Config;
use crate::fleet::{self, Fleet};
use crate::outlets::{AlarmOutlet, Downlink, RegistryFleet, TransitionOutlet};
use crate::parts;
use crate::pipeline_watch::{self, Watched};
use crate::process;
use crate::spool_watch::{Teller, watch};

/// The gateway's reader of the telemetry spool: its ledger is rebuilt from there.
pub(crate) const LEDGER_CURSOR: &str = "gateway-ledger";

/// How long a stop of the ingestor waits for what alerting decides last: its time to catch up and to send, and some.
const JUDGED_WITHIN: Duration = Duration::from_secs(18);

/// Everything, built and not running.
pub(crate) struct Node {
    gateway: Gateway,
    ack_up_to: AckUpTo,
    ingestor: Ingestor,
    alerting: Alerting,
    book: Arc<Book>,
    telemetry: Spool,
    alarms: Spool,
    id: GatewayId,
    health: Health,
    metrics: Metrics,
    console: Console,
    pipeline: Arc<Watched>,
    remote: Option<Listener>,
    local: Listener,
    socket: PathBuf,
    config: Config,
}

impl Node {
    /// Opens every file, binds every address, starts nothing but the gateway's committer. Within a tokio runtime.
    pub(crate) async fn build(config: Config, metrics: Metrics) -> Result<Self> {
        let data = &config.node.data_dir;
        std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
        let clock = Clock::system();
        let health = Health::new(clock.clone());
        let telemetry = open_spool(
            "telemetry",
            config
                .spool
                .telemetry
                .resolve(data.join("spool/telemetry"), &[LEDGER_CURSOR, ingestor::CURSOR]),
        )?;
        let alarms = open_spool(
            "alerting",
            config
                .spool
                .alerting
                .resolve(data.join("spool/alerting"), &[alerting::CURSOR]),
        )?;
        // The logs first: only whoever holds them may replace a socket file, which else may be that of a process that still drains,
        // and a second process on this folder is told so and not that a port is in use.
        let book = fleet::open(&config)?;
        let registry = book.shared();
        let socket = config.socket();
        let local = Listener::unix(&socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
        let remote = match config.http.listen {
            Some(address) => Some(
                Listener::tcp(&address.to_string())
                    .await
                    .with_context(|| format!("cannot listen on {address}, give http.listen a free one"))?,
            ),
            None => None,
        };
        let gateway_config = gateway::Config::resolve(&config.gateway)?;
        let id = gateway_config.id.clone();
        let downlink = Arc::new(Downlink::default());
        crate::backup::go_on_from_a_copy(&config)?;
        let alerting = Alerting::build(alerting::Parts {
            permit: alerting::permit::Permit::always(),
            config: config.alerting.clone(),
            log: alarms.clone(),
            registry: book.ahead(),
            owned_shards: u64::MAX,
            outlet: Some(Arc::new(TransitionOutlet {
                spool: telemetry.clone(),
                registry: Arc::clone(&registry),
            })),
            advise: Some(Arc::clone(&downlink) as Arc<dyn Advise>),
            gateway: id.clone(),
            health: health.clone(),
            clock: clock.clone(),
        })?;
        fleet::catch_up(&book, &alerting.handle()).await;
        let ingestor_config = config
            .ingestor
            .resolve()
            .context("the certificate of ingestor.influx cannot be read")?;
        let fleet = Arc::new(RegistryFleet(Arc::clone(&registry)));
        let ingestor = Ingestor::build(
            &ingestor_config,
            Arc::new(telemetry.clone()),
            fleet,
            &health,
            clock.clone(),
        )?;
        let ack_up_to = AckUpTo::default();
        let gateway = Gateway::build(
            gateway_config,
            Deps {
                registry,
                outlets: vec![
                    Arc::new(AlarmOutlet { spool: alarms.clone() }),
                    Arc::new(TelemetryOutlet::new(telemetry.clone())),
                ],
                ack_up_to: ack_up_to.clone(),
                health: health.clone(),
                clock,
                disk: Arc::new(OsDisk),
            },
        )?;
        downlink.through(gateway.handle());
        let pipeline = Watched::new(
            metrics.clone(),
            vec![("telemetry", telemetry.clone()), ("alerting", alarms.clone())],
        );
        let console = Console::build(console::Parts {
            config: config.console.clone(),
            sessions: Some(data.join(parts::SIGNED_IN)),
            alerts: alerting.handle(),
            store: Some(ingestor.reader()),
            gateway: Some(gateway.handle()),
            owned_shards: u64::MAX,
            pipeline: Arc::clone(&pipeline) as Arc<dyn Pipeline>,
            health: health.clone(),
            registry: book.shared(),
            clock: Clock::system(),
        })?;
        Ok(Self {
            gateway,
            ack_up_to,
            ingestor,
            alerting,
            book,
            telemetry,
            alarms,
            id,
            health,
            metrics,
            console,
            pipeline,
            remote,
            local,
            socket,
            config,
        })
    }

    /// Where devices connect.
    pub(crate) fn device_addrs(&self) -> Vec<SocketAddr> {
        self.gateway.local_addrs()
    }

    /// Where health and metrics are.
    pub(crate) fn http_addr(&self) -> Option<SocketAddr> {
        self.remote.as_ref().and_then(Listener::local_addr)
    }

    /// Asks alerting.
    pub(crate) fn alerts(&self) -> alerting::Handle {
        self.alerting.handle()
    }

    /// Runs until `shutdown` begins. Devices and API go first; what they left in the logs is then stored and paged, within
    /// the grace period; what is not done by then is done after the next start.
    pub(crate) async fn run(self, shutdown: &Shutdown) -> Result<()> {
        // The parts behind the logs stop after those before them.
        let behind = Shutdown::new();
        let alerts = self.alerting.handle();
        let routes = api::in_json(
            api::router(
                Api {
                    gateway: self.gateway.handle(),
                },
                Fleet {
                    book: Arc::clone(&self.book),
                    gateway: Some(self.gateway.handle()),
                    alerts: Some(self.alerting.handle()),
                    clock: Clock::system(),
                },
                alerting::api::router(self.alerting.handle()),
            )
            .merge(console::api_router(self.console.clone())),
        );
        // Here whoever stores and whoever judges have what is durable in the logs.
        let far_end = self.telemetry.clone();
        let told = self
            .ack_up_to
            .run(self.gateway.handle(), move || far_end.durable(), behind.requested());
        parts::spawn_plain(&behind, "ack-up-to", told);
        for (name, spool) in [("telemetry", &self.telemetry), ("alerting", &self.alarms)] {
            let writable = self.health.condition(if name == "telemetry" {
                "telemetry-log"
            } else {
                "alerting-log"
            });
            let teller = Teller::Here {
                alerts: alerts.clone(),
                gateway: self.id.clone(),
            };
            let watched = watch(name, spool.clone(), writable, teller, behind.requested());
            parts::spawn_plain(&behind, &format!("{name} log"), watched);
        }
        let watched = pipeline_watch::watch(self.pipeline, behind.requested());
        parts::spawn_plain(&behind, "pipeline figures", watched);
        let (alerting, (judged, all_judged)) = (alarms_first(self.alerting, behind.clone())?, oneshot::channel::<()>());
        parts::spawn(&behind, "alerting", async move {
            let _judged = judged;
            alerting.await
        });
        // What alerting decides last is stored beside the readings.
        let stop = behind.requested();
        let stop = async move {
            stop.await;
            let _ = tokio::time::timeout(JUDGED_WITHIN, all_judged).await;
        };
        parts::spawn_plain(&behind, "ingestor", async move { self.ingestor.run(stop).await });
        // Not one of those that must go on: where nothing is recorded there is nothing to keep.
        let keep = self.metrics.clone().keep(behind.clone());
        behind.spawn("metrics", async move {
            keep.await;
            Ok::<(), std::convert::Infallible>(())
        });
        if let Some(remote) = self.remote {
            let open = router(self.health.clone(), self.metrics.clone());
            let people = parts::console_in_json(&self.config, self.console.clone());
            let open = open.merge(api::remote(routes.clone(), self.config.http.token.clone(), people));
            // A link lets in by itself, and only to its alert.
            let leads_on = self.config.console.is_served();
            let open = open.merge(alerting::links::router(alerts.clone(), leads_on));
            let open = open.merge(parts::console(&self.config, self.console, &behind));
            parts::spawn_plain(&behind, "http", serve(remote, open, behind.requested()));
        }
        let local = tokio::spawn(serve(self.local, routes, shutdown.requested()));
        let front = async {
            if let Err(e) = self.gateway.run(shutdown.requested()).await {
                shutdown.fail("gateway", e);
            }
            let _ = local.await;
        };
        parts::front_then_behind(front, &behind, self.config.node.grace, shutdown).await;
        let _ = std::fs::remove_file(&self.socket);
        Ok(())
    }
}

/// Runs alerting on a runtime and a thread of its own, so that a page never waits behind devices' connections and the store.
pub(crate) fn alarms_first(
    alerting: Alerting,
    shutdown: Shutdown,
) -> Result<impl Future<Output = Result<(), String>> + Send> {
    let runtime = process::alarm_runtime()?;
    let (ended, over) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("pages".to_owned())
        .spawn(move || {
            let result = runtime.block_on(alerting.run(shutdown));
            // Waits for what still writes: who is told that this has ended may open the logs again.
            drop(runtime);
            // Who waits may have gone.
            let _ = ended.send(result);
        })
        .context("alerting's thread cannot start")?;
    Ok(async move {
        let result = over.await.map_err(|_| "its thread panicked".to_owned())?;
        result.map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    })
}

pub(crate) fn open_spool(name: &str, config: spool::Config) -> Result<Spool> {
    let dir = config.dir.clone();
    let (spool, report) = Spool::open(config, Arc::new(OsDisk))
        .with_context(|| format!("the log in {} cannot be opened", dir.display()))?;
    tell(name, &report);
    Ok(spool)
}

fn tell(name: &str, report: &OpenReport) {
    let backlog: u64 = report.backlog.iter().map(|(_, records)| *records).max().unwrap_or(0);
    tracing::info!(
        log = name,
        segments = report.segments,
        bytes = report.bytes,
        backlog,
        "log opened"
    );
    if report.torn_bytes > 0 {
        tracing::info!(
            log = name,
            bytes = report.torn_bytes,
            "cut what was being written when the process died"
        );
    }
    if report.corrupt_records > 0 || report.lost_tail_records > 0 {
        tracing::error!(
            log = name,
            corrupt = report.corrupt_records,
            lost = report.lost_tail_records,
            "the disk lost records; the damaged bytes are kept aside"
        );
    }
    for (cursor, at) in &report.undeclared {
        tracing::warn!(
            log = name,
            cursor,
            at = at.0,
            "a reader's cursor that nobody declares holds nothing back: remove it"
        );
    }
}
