//! `dermatel alerting`: what its shards get from the broker goes to its own log, is judged, and people are paged.
use std::sync::Arc;

use alerting::permit::Permit;
use alerting::{Advise, Alerting};
use anyhow::{Context, Result};
use console::Console;
use console::pipeline::Pipeline;
use registry::Book;
use service::shutdown::Shutdown;
use tokio::sync::watch;
use uplink::downlink::Whereabouts;
use uplink::fence;
use uplink::receive::{self, Receiver};
use uplink::sender::{Sender, sender_id};
use uplink::topic::Role as Reads;

use super::Base;
use super::sinks::{AlarmSink, DownTo, TransitionsUp};
use crate::api;
use crate::fleet::{self, Fleet};
use crate::follow::Role;
use crate::node::{alarms_first, open_spool};
use crate::parts;
use crate::pipeline_watch::{self, Watched};
use crate::spool_watch::Teller;

/// Builds it and runs it until `shutdown` begins.
pub(super) async fn run(base: Base, shutdown: &Shutdown) -> Result<()> {
    base.make_data_dir()?;
    let data = base.config.node.data_dir.clone();
    let dir = data.join("spool/alerting");
    let log = open_spool("alerting", base.config.spool.alerting.resolve(dir, &[alerting::CURSOR]))?;
    let book = fleet::open(&base.config)?;
    let asked = base.bind().await?;
    let id = sender_id(&base.uplink)?;
    let sender = Sender::start(&base.uplink, &id)?;
    let whereabouts = Whereabouts::default();
    crate::backup::go_on_from_a_copy(&base.config)?;
    let (window, windowed) = watch::channel(None);
    let permit = match base.uplink.group {
        Some(_) => Permit::fenced(windowed),
        None => Permit::always(),
    };
    let alerting = Alerting::build(alerting::Parts {
        config: base.config.alerting.clone(),
        log: log.clone(),
        registry: book.ahead(),
        owned_shards: base.uplink.shards.mask(),
        outlet: Some(Arc::new(TransitionsUp {
            sender: sender.clone(),
            runtime: tokio::runtime::Handle::current(),
        })),
        advise: Some(Arc::new(DownTo {
            sender,
            whereabouts: whereabouts.clone(),
            clock: base.clock.clone(),
        }) as Arc<dyn Advise>),
        permit,
        gateway: id.clone(),
        health: base.health.clone(),
        clock: base.clock.clone(),
    })?;
    let alerts = alerting.handle();
    let beside = match &base.config.alerting.upstream {
        Some(other) => alerts.begins_beside(other).await?,
        None => None,
    };
    fleet::catch_up(&book, &alerts).await;
    let receiver = Receiver::start(
        &base.uplink,
        Reads::Alerting,
        log.clone(),
        AlarmSink::new(whereabouts),
        data.join(super::FOLDER),
        base.clock.clone(),
        base.health.condition(receive::CONDITION),
    )?;
    let behind = Shutdown::new();
    let teller = Teller::Here {
        alerts: alerts.clone(),
        gateway: id,
    };
    base.look_after("alerting", log.clone(), teller, &behind);
    if let Some(group) = base.uplink.group.clone() {
        let (uplink, condition) = (base.uplink.clone(), base.health.condition(fence::CONDITION));
        let stop = behind.requested();
        parts::spawn(&behind, "fence", async move {
            fence::run(&uplink, &group, &window, &condition, stop).await
        });
    }
    parts::spawn(&behind, "alerting", alarms_first(alerting, behind.clone())?);
    let pipeline = Watched::new(base.metrics.clone(), vec![("alerting", log)]);
    let console = console(&base, &book, &alerts, Arc::clone(&pipeline) as Arc<dyn Pipeline>)?;
    let watched = pipeline_watch::watch(pipeline, behind.requested());
    parts::spawn_plain(&behind, "pipeline figures", watched);
    let fleet = Fleet {
        book,
        gateway: None,
        alerts: Some(alerts.clone()),
        clock: base.clock.clone(),
    };
    base.follow(fleet.clone(), Role::Alerting, &base.uplink.instance, &behind)
        .await?;
    let registry = base.registry_routes(fleet);
    let routes = axum::Router::new()
        .nest(
            "/v1",
            alerting::api::router(alerts.clone()).merge(api::refused::router(receiver.refusals())),
        )
        .merge(console::api_router(console.clone()))
        .merge(registry);
    let requested = shutdown.requested();
    let (beginning, begins) = (shutdown.requested(), alerts.clone());
    let front = async move {
        if let Some(other) = beside {
            tokio::select! {
                () = beginning => {}
                () = begins.take_silences(&other) => {}
            }
        }
        receiver.run(requested).await;
        Ok(())
    };
    // A link lets in by itself, and only to its alert.
    let people = parts::console_in_json(&base.config, console.clone());
    let leads_on = base.config.console.is_served();
    let open = alerting::links::router(alerts, leads_on).merge(parts::console(&base.config, console, &behind));
    base.run(asked, (routes, open, people), front, behind, shutdown).await;
    Ok(())
}

/// The pages over alerting alone: what gateways have stands there as theirs, and the store is asked where it can be from here.
fn console(base: &Base, book: &Book, alerts: &alerting::Handle, pipeline: Arc<dyn Pipeline>) -> Result<Console> {
    let ingestor = base.config.ingestor.resolve();
    let ingestor = ingestor.context("the certificate of ingestor.influx cannot be read")?;
    let store = ingestor::read::Reader::beside(&ingestor).context("ingestor.influx cannot be asked from here")?;
    Ok(Console::build(console::Parts {
        config: base.config.console.clone(),
        alerts: alerts.clone(),
        store,
        gateway: None,
        owned_shards: base.uplink.shards.mask(),
        pipeline,
        health: base.health.clone(),
        registry: book.shared(),
        clock: base.clock.clone(),
        sessions: Some(base.config.node.data_dir.join(parts::SIGNED_IN)),
    })?)
}
