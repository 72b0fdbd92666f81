//! `dermatel up`: everything in one process from a configuration file.
use std::path::Path;

use anyhow::Result;
use service::shutdown::Shutdown;

use crate::config::Config;
use crate::live;
use crate::node::Node;
use crate::parts;
use crate::process;

/// Runs until a signal; the exit code says whether a part failed.
pub(crate) fn run(file: &Path) -> Result<i32> {
    let config = Config::read(file)?;
    crate::receivers::check(&config, file)?;
    anyhow::ensure!(
        config.node.registry_from.is_none(),
        "{}: node.registry_from is for processes apart: take it out, changes by command are made here",
        file.display()
    );
    service::logging::init(&config.node.log)?;
    let metrics = process::metrics()?;
    let grace = config.node.grace;
    parts::run_to_the_end(process::serving_runtime()?, async move {
        let shutdown = Shutdown::new();
        shutdown.listen_to_signals()?;
        let node = Node::build(config, metrics.clone()).await?;
        for address in node.device_addrs() {
            tracing::info!(%address, "devices may connect");
        }
        if let Some(address) = node.http_addr() {
            tracing::info!(%address, "metrics and health");
        }
        let line = tokio::spawn(live::line(metrics, node.alerts(), shutdown.requested()));
        node.run(&shutdown).await?;
        line.abort();
        tracing::info!(grace_s = grace.as_secs(), "stopped");
        Ok(shutdown.exit_code())
    })
}
