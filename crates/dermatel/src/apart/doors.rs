//! `dermatel gateway`: devices in, to its own log, and from there through the broker.
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use gateway::ack_up_to::AckUpTo;
use gateway::endpoint::{CommandError, Delivered};
use gateway::{Deps, Gateway};
use registry::Shared;
use service::shutdown::Shutdown;
use spool::OsDisk;
use uplink::ShardSet;
use uplink::downlink::Down;
use uplink::forward::{self, Forwarder};

use super::Base;
use super::sinks::ForwardedOutlet;
use crate::api::{self, Api};
use crate::fleet::{self, Fleet};
use crate::follow::Role;
use crate::node::{LEDGER_CURSOR, open_spool};
use crate::parts;
use crate::spool_watch::Teller;

/// Builds it and runs it until `shutdown` begins.
pub(super) async fn run(base: Base, shutdown: &Shutdown) -> Result<()> {
    base.make_data_dir()?;
    let dir = base.config.node.data_dir.join("spool/telemetry");
    let cursors = [LEDGER_CURSOR, forward::CURSOR];
    let log = open_spool("telemetry", base.config.spool.telemetry.resolve(dir, &cursors))?;
    crate::backup::say_if_a_copy(&base.config)?;
    let book = fleet::open(&base.config)?;
    let asked = base.bind().await?;
    let gateway_config = gateway::Config::resolve(&base.config.gateway)?;
    let id = gateway_config.id.clone();
    let registry = book.shared();
    let forwarder = Forwarder::start(
        &base.uplink,
        id.clone(),
        &log,
        shards_of(Arc::clone(&registry)),
        &base.config.node.data_dir.join(super::FOLDER),
        base.health.condition(forward::CONDITION),
    )?;
    let down = Down::start(&base.uplink, &id, base.clock.clone(), outcomes())?;
    let ack_up_to = AckUpTo::default();
    let far_end = log.reader(forward::CURSOR)?;
    let gateway = Gateway::build(
        gateway_config,
        Deps {
            registry: Arc::clone(&registry),
            outlets: vec![Arc::new(ForwardedOutlet {
                spool: log.clone(),
                registry,
            })],
            ack_up_to: ack_up_to.clone(),
            health: base.health.clone(),
            clock: base.clock.clone(),
            disk: Arc::new(OsDisk),
        },
    )?;
    for address in gateway.local_addrs() {
        tracing::info!(%address, "devices may connect");
    }
    let behind = Shutdown::new();
    let named = id.to_string();
    let teller = Teller::Forwarded {
        log: log.clone(),
        gateway: id,
    };
    base.look_after("telemetry", log, teller, &behind);
    parts::spawn(&behind, "forwarder", forwarder.run(behind.requested()));
    let told = ack_up_to.run(gateway.handle(), move || far_end.committed(), behind.requested());
    parts::spawn_plain(&behind, "ack-up-to", told);
    let handle = gateway.handle();
    let deliver = move |device, payload| {
        let handle = handle.clone();
        async move {
            match handle.send_command(&device, payload).await {
                Ok(delivered) => delivered.as_str(),
                Err(error) => error.as_str(),
            }
        }
    };
    parts::spawn_plain(&behind, "downlink", down.run(deliver, behind.requested()));
    let api = Api {
        gateway: gateway.handle(),
    };
    let fleet = Fleet {
        book,
        gateway: Some(gateway.handle()),
        alerts: None,
        clock: base.clock.clone(),
    };
    base.follow(fleet.clone(), Role::Gateway, &named, &behind).await?;
    let routes = api::of_gateway(api).merge(base.registry_routes(fleet));
    let requested = shutdown.requested();
    let front = async move {
        gateway
            .run(requested)
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    };
    base.run(asked, (routes, Router::new(), None), front, behind, shutdown)
        .await;
    Ok(())
}

/// The shards of every clinic of the registry: whatever a device may say goes to one of them.
fn shards_of(registry: Arc<Shared>) -> uplink::readers::Shards {
    Arc::new(move || {
        let registry = registry.current();
        let clinics = registry.clinics();
        clinics
            .map(|clinic| telemetry::shard(&clinic.tenant, &clinic.id))
            .collect::<ShardSet>()
    })
}

/// What may become of a command that the gateway tries to bring to a device.
fn outcomes() -> impl Iterator<Item = &'static str> {
    let delivered = Delivered::ALL.into_iter().map(Delivered::as_str);
    delivered.chain(CommandError::ALL.into_iter().map(|error| error.as_str()))
}
