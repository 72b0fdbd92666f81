//! Hazards from a few devices and the pages that they become: how long a person waits. It runs on a thread of its own, so that
//! the load generator's tasks do not stand between an arrival and its time stamp.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use hdrhistogram::Histogram;
use prost::Message as _;
use serde_json::Value;
use service::config::Secret;
use service::mqtt::{Acks, Broker, Link, Publisher, PublisherOptions};
use simulator::{Device, Target};
use telemetry::{UnixMicros, WallTimeSource, Zone, proto};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

/// The rule whose pages are timed.
const RULE: &str = "depth-above-limit";
/// Depth of the first hazard in micrometres: far above every limit of the fleet's registry. Each next one is one deeper, so
/// that a page tells which stroke it is about.
const DEEPEST_FIRST_UM: u32 = 4_000;
/// Most hazards of one run: depths are physically possible up to 10 mm.
const HAZARDS_MAX: u32 = 5_000;
/// Strokes in a message, as in the load.
const STROKES: u32 = 120;

/// When hazards were due, by depth, and how long each took to become a page.
#[derive(Debug, Default)]
struct Seen {
    due: HashMap<u32, (Instant, SystemTime)>,
    took: HashMap<u32, Took>,
    pages: u64,
}

#[derive(Debug, Clone, Copy)]
struct Took {
    /// Until alerting's log had it, as the page says; the rest of `whole` is alerting's.
    logged: Duration,
    whole: Duration,
}

type Shared = Arc<Mutex<Seen>>;

/// A receiver, and after [`Pager::fire`] a device with hazards.
pub(super) struct Pager {
    url: String,
    seen: Shared,
    start: Option<oneshot::Sender<Order>>,
    phase: watch::Sender<Phase>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Hazards,
    /// No more hazards; pages on their way still count.
    Pages,
    Over,
}

struct Order {
    devices: Vec<Arc<Device>>,
    target: Target,
    every: Duration,
}

/// What became of the hazards.
#[derive(Debug)]
pub(super) struct Paged {
    pub(super) sent: usize,
    pub(super) paged: usize,
    /// Pages of all rules that arrived.
    pub(super) pages: u64,
    /// Publish to delivered page, in microseconds.
    pub(super) latency_us: Histogram<u64>,
    /// Publish to alerting's log, in microseconds, by the clock of the page.
    pub(super) logged_us: Histogram<u64>,
}

impl Pager {
    /// Listens for pages.
    pub(super) fn listen() -> Result<Self> {
        let seen = Shared::default();
        let (phase, phases) = watch::channel(Phase::Hazards);
        let (start, order) = oneshot::channel();
        let (told, address) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("pager".to_owned()).spawn({
            let seen = Arc::clone(&seen);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let listener = TcpListener::bind("127.0.0.1:0").await?;
                    let _ = told.send(listener.local_addr()?);
                    let router = Router::new().route("/", post(take)).with_state(Arc::clone(&seen));
                    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
                    let mut phases = phases;
                    if let Ok(order) = order.await {
                        hazards(&order, &seen, phases.clone()).await?;
                    }
                    let _ = phases.wait_for(|phase| *phase == Phase::Over).await;
                    serving.abort();
                    Ok(())
                })
            }
        })?;
        let address = address.recv().context("the receiver of pages did not start")?;
        Ok(Self {
            url: format!("http://{address}/"),
            seen,
            start: Some(start),
            phase,
            thread: Some(thread),
        })
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    /// Lets devices connect and publish a hazard every so often in turn, from now on.
    pub(super) fn fire(&mut self, devices: Vec<Arc<Device>>, target: &Target, every: Duration) {
        if let Some(start) = self.start.take() {
            let _ = start.send(Order {
                devices,
                target: target.clone(),
                every,
            });
        }
    }

    /// Waits for the last pages, then says what became of all.
    pub(super) async fn finish(self, grace: Duration) -> Result<Paged> {
        let until = Instant::now() + grace;
        self.phase.send_replace(Phase::Pages);
        loop {
            let (due, took) = {
                let seen = lock(&self.seen);
                (seen.due.len(), seen.took.len())
            };
            if took >= due || Instant::now() > until {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let seen = lock(&self.seen);
        let (mut latency_us, mut logged_us) = (Histogram::new(3)?, Histogram::new(3)?);
        for took in seen.took.values() {
            latency_us.record(u64::try_from(took.whole.as_micros())?)?;
            logged_us.record(u64::try_from(took.logged.as_micros())?)?;
        }
        Ok(Paged {
            sent: seen.due.len(),
            paged: seen.took.len(),
            pages: seen.pages,
            latency_us,
            logged_us,
        })
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Over);
        self.start = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(seen: &Shared) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn take(State(seen): State<Shared>, Json(page): Json<Value>) -> StatusCode {
    let now = Instant::now();
    let mut seen = lock(&seen);
    seen.pages += 1;
    let ours = page.get("rule").and_then(Value::as_str) == Some(RULE);
    let depth = page.get("value").and_then(Value::as_f64).map(|value| value as u32);
    if let Some(depth) = depth.filter(|_| ours)
        && let Some((due, wall)) = seen.due.get(&depth).copied()
    {
        let decided = page.get("decided_at").and_then(Value::as_str);
        let decided = decided.and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
        let logged = decided.and_then(|at| SystemTime::from(at).duration_since(wall).ok());
        seen.took.entry(depth).or_insert(Took {
            logged: logged.unwrap_or_default(),
            whole: now.duration_since(due),
        });
    }
    StatusCode::OK
}

async fn hazards(order: &Order, seen: &Shared, mut phases: watch::Receiver<Phase>) -> Result<()> {
    let mut devices = Vec::new();
    for device in &order.devices {
        let (publisher, acks) = connect(device, &order.target).await?;
        devices.push((device.who.topic("telemetry"), device, publisher, acks));
    }
    let boot = UnixMicros::from(SystemTime::now()).0 as u64;
    let mut every = tokio::time::interval(order.every);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let started = Instant::now();
    for number in 0..HAZARDS_MAX {
        tokio::select! {
            _ = phases.wait_for(|phase| *phase > Phase::Hazards) => break,
            _ = every.tick() => {}
        }
        let turn = number as usize % devices.len().max(1);
        let Some((topic, device, publisher, acks)) = devices.get_mut(turn) else {
            break;
        };
        while acks.try_recv().is_some() {}
        let uptime_us = 10_000_000 + u64::try_from(started.elapsed().as_micros()).unwrap_or(0);
        let payload = hazard(device, boot, number, uptime_us);
        lock(seen)
            .due
            .insert(DEEPEST_FIRST_UM + number, (Instant::now(), SystemTime::now()));
        if publisher
            .try_publish(topic, payload.into(), u64::from(number), false)
            .is_err()
        {
            // Never published, so nobody waits for its page.
            lock(seen).due.remove(&(DEEPEST_FIRST_UM + number));
        }
    }
    for (_, _, publisher, _) in &devices {
        let _ = tokio::time::timeout(Duration::from_secs(5), publisher.drained()).await;
        publisher.close().await;
    }
    Ok(())
}

/// Connects as a device.
pub(super) async fn connect(device: &Device, target: &Target) -> Result<(Publisher, Acks)> {
    let name = device.who.key().to_string();
    let mut broker = Broker::new(target.host.clone(), target.port, name.clone());
    broker.username = Some(name);
    broker.password = Some(Secret::new(device.secret.clone()));
    broker.tls = target.tls.clone();
    let (publisher, acks, _) = Publisher::start(PublisherOptions::new(broker))?;
    let mut link = publisher.link();
    link.wait_for(|link| matches!(link, Link::Connected { .. }))
        .await
        .context("the device with hazards cannot connect")?;
    Ok((publisher, acks))
}

/// A second of strokes at 0.7 mm, one of them far too deep, in a session and visit of its own: a new occurrence each time.
pub(super) fn hazard(device: &Device, boot: u64, number: u32, uptime_us: u64) -> Vec<u8> {
    let mut id = [0x5a; 16];
    id.iter_mut().zip(boot.to_le_bytes()).for_each(|(to, from)| *to = from);
    id.iter_mut()
        .skip(8)
        .zip(number.to_le_bytes())
        .for_each(|(to, from)| *to = from);
    let mut depth_um = vec![700; STROKES as usize];
    if let Some(deep) = depth_um.get_mut(60) {
        *deep = DEEPEST_FIRST_UM + number;
    }
    let first_uptime_us = uptime_us.saturating_sub(1_000_000);
    let frame = proto::Frame {
        header: Some(proto::Header {
            schema_version: Some(1),
            device_id: Some(device.who.id.to_string()),
            boot_id: Some(boot),
            sequence: Some(u64::from(number)),
            uptime_us: Some(uptime_us),
            wall_time_us: Some(UnixMicros::from(SystemTime::now()).0),
            wall_time_source: Some(WallTimeSource::Ntp.to_wire()),
            session_id: Some(id.to_vec()),
            session_start_uptime_us: Some(first_uptime_us),
            visit_id: Some(id.to_vec()),
            ..Default::default()
        }),
        body: Some(proto::frame::Body::StrokeBatch(proto::StrokeBatch {
            first_ordinal: Some(0),
            first_uptime_us: Some(first_uptime_us),
            duration_us: Some(1_000_000),
            zone: Some(Zone::Cheek.to_wire()),
            depth_setpoint_um: Some(700),
            depth_um,
            ..Default::default()
        })),
    };
    frame.encode_to_vec()
}
