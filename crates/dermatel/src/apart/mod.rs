//! `dermatel gateway`, `ingestor`, `alerting`: the parts as processes apart, from the same configuration file, with a broker between.
mod alarms;
mod doors;
mod points;
mod sinks;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use axum::Router;
use clap::Subcommand;
use service::clock::Clock;
use service::health::Health;
use service::http::{Listener, router, serve};
use service::metrics::Metrics;
use service::shutdown::Shutdown;

use crate::config::Config;
use crate::fleet::Fleet;
use crate::follow::{self, Follower, Followers};
use crate::spool_watch::{Teller, watch};
use crate::{api, parts, process, registry_watch};

/// Folder, within the data folder, of what a reader of the broker keeps beside its log.
pub(crate) const FOLDER: &str = "uplink";

/// To whoever would change the registry at a process that follows.
const FOLLOWS: &str = "this process follows the registry of another one (node.registry_from): change it there";
/// To whoever would change the registry by command where nobody leads.
const NOBODY_LEADS: &str = "processes apart have the registry of their files: let one alerting instance lead (node.registry_leads) and the \
     others follow it (node.registry_from), or change the files, roll them out and POST /v1/registry/reload each: docs/scaling.md";

/// Which part.
#[derive(Debug, Subcommand)]
pub(crate) enum Apart {
    /// Run the gateway alone: devices in, forwarded through the broker of [uplink]
    Gateway {
        /// The configuration file
        #[arg(long, short)]
        config: PathBuf,
    },
    /// Run an ingestor alone: what its shards get from the broker of [uplink] is stored
    Ingestor {
        /// The configuration file
        #[arg(long, short)]
        config: PathBuf,
    },
    /// Run alerting alone: what its shards get from the broker of [uplink] is judged, and people are paged
    Alerting {
        /// The configuration file
        #[arg(long, short)]
        config: PathBuf,
    },
}

/// Runs until a signal; the exit code says whether a part failed.
pub(crate) fn run(part: &Apart) -> Result<i32> {
    let (Apart::Gateway { config: file } | Apart::Ingestor { config: file } | Apart::Alerting { config: file }) = part;
    let config = Config::read(file)?;
    let uplink = uplink_of(&config, file)?;
    if matches!(part, Apart::Alerting { .. }) {
        crate::receivers::check(&config, file)?;
    } else {
        anyhow::ensure!(
            !config.node.registry_leads,
            "{}: node.registry_leads is for `dermatel alerting`: follow that one with node.registry_from",
            file.display()
        );
    }
    service::logging::init(&config.node.log)?;
    let metrics = process::metrics()?;
    let grace = config.node.grace;
    parts::run_to_the_end(process::serving_runtime()?, async move {
        let shutdown = Shutdown::new();
        shutdown.listen_to_signals()?;
        let base = Base {
            clock: Clock::system(),
            health: Health::new(Clock::system()),
            config,
            uplink,
            metrics,
        };
        match part {
            Apart::Gateway { .. } => doors::run(base, &shutdown).await?,
            Apart::Ingestor { .. } => points::run(base, &shutdown).await?,
            Apart::Alerting { .. } => alarms::run(base, &shutdown).await?,
        }
        tracing::info!(grace_s = grace.as_secs(), "stopped");
        Ok(shutdown.exit_code())
    })
}

fn uplink_of(config: &Config, file: &Path) -> Result<uplink::Config> {
    let resolved = config
        .uplink
        .resolve()
        .context("the certificate of uplink.ca cannot be read")?;
    resolved.with_context(|| {
        format!(
            "{}: uplink.host is missing: processes apart need a broker between them",
            file.display()
        )
    })
}

/// What every part has.
struct Base {
    config: Config,
    uplink: uplink::Config,
    metrics: Metrics,
    health: Health,
    clock: Clock,
}

/// Where a part is asked.
struct Asked {
    local: Listener,
    remote: Option<Listener>,
    socket: PathBuf,
}

impl Base {
    /// A folder for everything that is written.
    fn make_data_dir(&self) -> Result<()> {
        let data = &self.config.node.data_dir;
        std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))
    }

    /// Binds the addresses. After the logs were opened: only whoever holds them may replace a socket file.
    async fn bind(&self) -> Result<Asked> {
        let socket = self.config.socket();
        let local = Listener::unix(&socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
        let remote = match self.config.http.listen {
            Some(address) => {
                let listener = Listener::tcp(&address.to_string()).await;
                Some(listener.with_context(|| format!("cannot listen on {address}, give http.listen a free one"))?)
            }
            None => None,
        };
        if let Some(address) = remote.as_ref().and_then(Listener::local_addr) {
            tracing::info!(%address, "metrics and health");
        }
        Ok(Asked { local, remote, socket })
    }

    /// Looks after a log until `behind` begins.
    fn look_after(&self, name: &'static str, spool: spool::Spool, teller: Teller, behind: &Shutdown) {
        let writable = self.health.condition(match name {
            "telemetry" => "telemetry-log",
            _ => "alerting-log",
        });
        let watched = watch(name, spool, writable, teller, behind.requested());
        parts::spawn_plain(behind, &format!("{name} log"), watched);
    }

    /// The routes of the registry: with changes by command where this process leads.
    fn registry_routes(&self, fleet: Fleet) -> Router {
        let routes = if self.config.node.registry_leads {
            let followers = Followers::new(Instant::now());
            api::devices::router(fleet.clone()).merge(follow::routes(fleet, followers))
        } else {
            let follows = self.config.node.registry_from.is_some();
            api::devices::router_of_files(fleet, if follows { FOLLOWS } else { NOBODY_LEADS })
        };
        Router::new().nest("/v1", routes)
    }

    /// Tells which registry is in force, and follows the process that leads, if one does; has asked it once when this returns.
    async fn follow(&self, fleet: Fleet, role: follow::Role, instance: &str, behind: &Shutdown) -> Result<()> {
        let watched = registry_watch::watch(Arc::clone(&fleet.book), behind.requested());
        parts::spawn_plain(behind, "registry metrics", watched);
        let Some(leader) = self.config.node.registry_from.clone() else {
            return Ok(());
        };
        let who = (role, instance.to_owned());
        let mark = crate::fleet::journal(&self.config).with_extension("followed");
        let told = (self.health.condition(follow::CONDITION), mark);
        let mut follower = Follower::new(fleet, leader, who, told)?;
        follower.begin().await;
        parts::spawn_plain(behind, "registry follower", follower.run(behind.requested()));
        Ok(())
    }

    /// Serves `routes`, runs `front` until `shutdown` begins and it has ended, then what is `behind` the log to its end.
    async fn run(
        self,
        asked: Asked,
        (routes, open, people): (Router, Router, Option<Router>),
        front: impl Future<Output = Result<(), String>>,
        behind: Shutdown,
        shutdown: &Shutdown,
    ) {
        let keep = self.metrics.clone().keep(behind.clone());
        behind.spawn("metrics", async move {
            keep.await;
            Ok::<(), std::convert::Infallible>(())
        });
        let routes = api::in_json(routes);
        if let Some(remote) = asked.remote {
            let all = router(self.health.clone(), self.metrics.clone())
                .merge(api::remote(routes.clone(), self.config.http.token.clone(), people))
                .merge(open);
            parts::spawn_plain(&behind, "http", serve(remote, all, behind.requested()));
        }
        let local = tokio::spawn(serve(asked.local, routes, shutdown.requested()));
        let front = async {
            if let Err(error) = front.await {
                shutdown.fail("intake", error);
            } else if !shutdown.is_draining() {
                shutdown.fail("intake", "it ended by itself");
            }
            let _ = local.await;
        };
        parts::front_then_behind(front, &behind, self.config.node.grace, shutdown).await;
        let _ = std::fs::remove_file(&asked.socket);
    }
}
