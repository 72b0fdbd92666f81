//! `dermatel demo`: everything in this process, and a simulated fleet of a few clinics whose treatments partly go wrong.
mod show;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use alerting::config::{LogFile, Receiver};
use anyhow::{Context, Result};
use service::clock::Clock;
use service::shutdown::Shutdown;
use simulator::{Pace, Scenario, Simulator, Target};
use telemetry::UnixMicros;

use crate::cli;
use crate::config::Config;
use crate::node::Node;
use crate::process;
use crate::sim::write_registry;

/// Runs until Ctrl-C or the time that was asked for, then says what happened and where to look.
pub(crate) fn run(options: &cli::Demo) -> Result<i32> {
    service::logging::init("warn")?;
    let dir = folder(options)?;
    let mut scenario = match options.every_fault {
        true => Scenario::parse("every-fault.toml", simulator::EVERY_FAULT)?,
        false => Scenario::parse("demo.toml", simulator::DEMO)?,
    };
    scenario.seed = scenario.seed.wrapping_add(options.seed - options.seed.min(1));
    let fleet = scenario.fleet(UnixMicros::from(Clock::system().now()))?;
    write_registry(&fleet, &dir.join("registry"))?;
    let config = config(&dir, options);
    let store = config.ingestor.dir.join(ingestor::STORE_FILE);
    let metrics = process::metrics()?;
    process::serving_runtime()?.block_on(async move {
        let shutdown = Shutdown::new();
        shutdown.listen_to_signals()?;
        let node = Node::build(config, metrics.clone()).await?;
        let address = *node.device_addrs().first().context("the endpoint has no address")?;
        let look = show::Look {
            dir,
            store,
            devices: address,
            http: node.http_addr(),
        };
        look.hello(fleet.devices().len());
        let simulator = Simulator::new(fleet);
        let live = simulator.live();
        // The fleet ends first, so that what it sent is stored and paged before the last figures are drawn.
        let (fleet_ends, show_ends) = (Shutdown::new(), Shutdown::new());
        let show = tokio::spawn(show::watch(metrics, node.alerts(), live.clone(), show_ends.requested()));
        let target = Target::new(address.ip().to_string(), address.port());
        let run = tokio::spawn({
            let stop = fleet_ends.requested();
            async move {
                simulator
                    .run(
                        &target,
                        Pace {
                            duration: None,
                            ..Pace::default()
                        },
                        stop,
                    )
                    .await
            }
        });
        let alerts = node.alerts();
        let serve = shutdown.clone();
        let node_stop = Shutdown::new();
        let served = tokio::spawn({
            let node_stop = node_stop.clone();
            async move { node.run(&node_stop).await }
        });
        wait(options, &serve).await;
        fleet_ends.begin("the demo ends");
        let report = run.await.context("the simulated fleet failed")??;
        look.settle(&alerts, &live).await;
        show_ends.begin("the demo ends");
        let fired = show.await.context("the display failed")?;
        node_stop.begin("the demo ends");
        served.await.context("the pipeline failed")??;
        look.goodbye(&report, &fired)?;
        Ok(node_stop.exit_code())
    })
}

async fn wait(options: &cli::Demo, shutdown: &Shutdown) {
    match options.stop_after {
        Some(after) => {
            tokio::select! {
                () = tokio::time::sleep(after) => {}
                () = shutdown.requested() => {}
            }
        }
        None => shutdown.requested().await,
    }
}

fn folder(options: &cli::Demo) -> Result<PathBuf> {
    let dir = options
        .dir
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join(format!("dermatel-demo-{}", std::process::id())));
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

fn config(dir: &Path, options: &cli::Demo) -> Config {
    let mut config = Config::default();
    config.node.data_dir = dir.join("data");
    config.node.registry_dir = dir.join("registry");
    config.http.listen = Some(SocketAddr::from(([127, 0, 0, 1], options.http_port)));
    config.console.open = true;
    config.gateway.endpoint.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    config.alerting.receivers = vec![Receiver {
        log: Some(LogFile {
            path: "pages.jsonl".into(),
        }),
        ..Receiver::named("pages")
    }];
    config.settle(dir);
    config
}
