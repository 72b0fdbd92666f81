//! `dermatel ingestor`: what its shards get from the broker goes to its own log, and from there to the store.
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use ingestor::Ingestor;
use service::shutdown::Shutdown;
use uplink::receive::{self, Receiver};
use uplink::topic::Role as Reads;

use super::Base;
use super::sinks::PointSink;
use crate::api;
use crate::fleet::{self, Fleet};
use crate::follow::Role;
use crate::node::open_spool;
use crate::outlets::RegistryFleet;
use crate::parts;
use crate::spool_watch::Teller;

/// Builds it and runs it until `shutdown` begins.
pub(super) async fn run(base: Base, shutdown: &Shutdown) -> Result<()> {
    base.make_data_dir()?;
    let data = base.config.node.data_dir.clone();
    let dir = data.join("spool/telemetry");
    let log = open_spool(
        "telemetry",
        base.config.spool.telemetry.resolve(dir, &[ingestor::CURSOR]),
    )?;
    crate::backup::say_if_a_copy(&base.config)?;
    let book = fleet::open(&base.config)?;
    let asked = base.bind().await?;
    let registry = book.shared();
    let config = base
        .config
        .ingestor
        .resolve()
        .context("the certificate of ingestor.influx cannot be read")?;
    let ingestor = Ingestor::build(
        &config,
        Arc::new(log.clone()),
        Arc::new(RegistryFleet(Arc::clone(&registry))),
        &base.health,
        base.clock.clone(),
    )?;
    let receiver = Receiver::start(
        &base.uplink,
        Reads::Ingestor,
        log.clone(),
        PointSink { registry },
        data.join(super::FOLDER),
        base.clock.clone(),
        base.health.condition(receive::CONDITION),
    )?;
    let behind = Shutdown::new();
    base.look_after("telemetry", log, Teller::Nobody, &behind);
    let stop = behind.requested();
    parts::spawn_plain(&behind, "ingestor", async move { ingestor.run(stop).await });
    let fleet = Fleet {
        book,
        gateway: None,
        alerts: None,
        clock: base.clock.clone(),
    };
    base.follow(fleet.clone(), Role::Ingestor, &base.uplink.instance, &behind)
        .await?;
    let refused = Router::new().nest("/v1", api::refused::router(receiver.refusals()));
    let routes = base.registry_routes(fleet).merge(refused);
    let requested = shutdown.requested();
    let front = async move {
        receiver.run(requested).await;
        Ok(())
    };
    base.run(asked, (routes, Router::new(), None), front, behind, shutdown)
        .await;
    Ok(())
}
