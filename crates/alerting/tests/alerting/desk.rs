//! Alerting at work in a directory, and a real HTTP receiver of its pages.
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use alerting::config::{Receiver, Webhook};
use alerting::{Advise, Alerting, CURSOR, Config, Handle, Outlet, Parts};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Extension;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use service::clock::Clock;
use service::config::Secret;
use service::health::Health;
use service::shutdown::Shutdown;
use spool::{NewRecord, OsDisk, Spool};
use telemetry::Admitted;

use crate::support::{Said, T0, registry, strokes};

/// How the receiver answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    Status(u16),
    /// Says nothing for a minute.
    Hang,
    /// Takes it, and breaks off before it says so.
    Take,
}

/// What the receiver got.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) key: String,
    pub(crate) body: Value,
    /// Whether it said so.
    pub(crate) accepted: bool,
}

/// A receiver of pages.
#[derive(Clone, Default)]
pub(crate) struct Desk {
    got: Arc<Mutex<Vec<Got>>>,
    script: Arc<Mutex<VecDeque<Answer>>>,
}

impl Desk {
    pub(crate) async fn listen(&self) -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/page", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        address
    }

    pub(crate) fn script(&self, answers: &[Answer]) {
        self.script.lock().unwrap().extend(answers);
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    pub(crate) fn accepted(&self) -> Vec<Got> {
        self.got().into_iter().filter(|got| got.accepted).collect()
    }
}

async fn take(Extension(desk): Extension<Desk>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let answer = desk.script.lock().unwrap().pop_front().unwrap_or(Answer::Status(204));
    let key = headers.get("idempotency-key").unwrap().to_str().unwrap().to_owned();
    let accepted = matches!(answer, Answer::Status(200..300) | Answer::Take);
    desk.got.lock().unwrap().push(Got {
        key,
        body: serde_json::from_slice(&body).unwrap(),
        accepted,
    });
    match answer {
        Answer::Status(status) => StatusCode::from_u16(status).unwrap(),
        Answer::Hang | Answer::Take => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            StatusCode::OK
        }
    }
}

pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// As [`receiver`], and gives an attempt up after this.
pub(crate) fn hasty_receiver(address: std::net::SocketAddr, timeout: Duration) -> Receiver {
    let mut receiver = receiver(address);
    if let Some(webhook) = &mut receiver.webhook {
        webhook.timeout = timeout;
    }
    receiver
}

pub(crate) fn receiver(address: std::net::SocketAddr) -> Receiver {
    Receiver {
        webhook: Some(Webhook {
            url: Secret::new(format!("http://{address}/page")),
            authorization: None,
            ca: None,
            // A desk that is held up while it answers would be asked twice.
            timeout: Duration::from_secs(20),
            in_flight: 4,
        }),
        ..Receiver::named("desk")
    }
}

pub(crate) fn open_log(dir: &Path) -> Spool {
    Spool::open(spool::Config::new(dir.join("log"), &[CURSOR]), Arc::new(OsDisk))
        .unwrap()
        .0
}

/// An outlet that keeps what it gets, but for what is of a device whose store is away.
#[derive(Default)]
pub(crate) struct Kept(pub(crate) Mutex<Vec<Admitted>>, pub(crate) Mutex<Option<&'static str>>);

impl Outlet for Kept {
    fn put(&self, transitions: &[Admitted]) -> Result<Vec<usize>, Box<dyn std::error::Error + Send + Sync>> {
        let away = *self.1.lock().unwrap();
        let waits = |at: &usize| Some(transitions[*at].device.as_str()) == away;
        let (waiting, taken): (Vec<_>, Vec<_>) = (0..transitions.len()).partition(waits);
        let taken = taken.into_iter().map(|at| transitions[at].clone());
        self.0.lock().unwrap().extend(taken);
        Ok(waiting)
    }
}

/// Alerting at work in a directory.
pub(crate) struct Running {
    pub(crate) log: Spool,
    pub(crate) handle: Handle,
    pub(crate) health: Health,
    pub(crate) outlet: Arc<Kept>,
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<Result<(), alerting::RunError>>,
}

pub(crate) fn file(dir: &Path) -> PathBuf {
    dir.join("alerting.sqlite")
}

impl Running {
    pub(crate) fn start(dir: &Path, receivers: Vec<Receiver>) -> Self {
        let config = Config {
            receivers,
            ..Config::new(file(dir))
        };
        Self::start_with(dir, config)
    }

    pub(crate) fn start_with(dir: &Path, config: Config) -> Self {
        Self::start_at(dir, config, Clock::system())
    }

    /// With a way down to devices.
    pub(crate) fn start_advising(dir: &Path, advise: Arc<dyn Advise>) -> Self {
        Self::build(dir, Config::new(file(dir)), Clock::system(), Some(advise))
    }

    pub(crate) fn start_at(dir: &Path, config: Config, clock: Clock) -> Self {
        Self::build(dir, config, clock, None)
    }

    fn build(dir: &Path, config: Config, clock: Clock, advise: Option<Arc<dyn Advise>>) -> Self {
        let log = open_log(dir);
        let (health, shutdown) = (Health::default(), Shutdown::new());
        let outlet = Arc::new(Kept::default());
        let alerting = Alerting::build(Parts {
            permit: alerting::permit::Permit::always(),
            config,
            log: log.clone(),
            owned_shards: u64::MAX,
            registry: Arc::new(registry::Shared::new(registry())),
            outlet: Some(Arc::clone(&outlet) as Arc<dyn Outlet>),
            advise,
            gateway: "gw-1".parse().unwrap(),
            health: health.clone(),
            clock,
        })
        .unwrap();
        let handle = alerting.handle();
        let task = tokio::spawn(alerting.run(shutdown.clone()));
        Self {
            log,
            handle,
            health,
            outlet,
            shutdown,
            task,
        }
    }

    pub(crate) fn append(&self, records: &[Vec<u8>]) {
        let records: Vec<_> = records.iter().map(|bytes| NewRecord { lane: 1, bytes }).collect();
        let appended = self.log.append(&records, SystemTime::now()).unwrap();
        self.log.sync_appended(&appended).unwrap();
    }

    pub(crate) async fn stop(self) {
        self.shutdown.begin("the test is over");
        self.task.await.unwrap().unwrap();
    }
}

/// A frame of now with one stroke far too deep.
pub(crate) fn hazard(device: &str, sequence: u64) -> Said {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_micros() as i64;
    let at = now - T0;
    // The anchor of the tests lies in the future of some clocks: an uptime cannot be negative.
    let at = at.max(1);
    let mut said = Said::new(
        device,
        sequence,
        at,
        strokes(Some(6), Some(800), sequence * 10, at, vec![1400; 10]),
    );
    said.visit = Some(sequence as u8);
    said.session = Some(sequence as u8);
    said
}

/// Waits until every receipt is in the file.
pub(crate) async fn nothing_waits(running: &Running) {
    // Longer than the longest wait between two attempts.
    let end = Instant::now() + Duration::from_secs(90);
    while running.handle.summary().await.unwrap().waiting_pages > 0 {
        assert!(Instant::now() < end, "a page still waits");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn depth_pages(desk: &Desk) -> Vec<Got> {
    let got = desk.accepted().into_iter();
    got.filter(|g| g.body["rule"] == "depth-above-limit" && g.body["state"] == "firing")
        .collect()
}

pub(crate) fn pulse(at_us: i64) -> telemetry::proto::frame::Body {
    telemetry::proto::frame::Body::PulseBatch(telemetry::proto::PulseBatch {
        pulses: vec![telemetry::proto::Pulse {
            ordinal: Some(0),
            uptime_us: Some(at_us as u64),
            fluence_measured_mj_per_cm2: Some(9_000),
            skin_type: Some(5),
            zone: Some(6),
            ..Default::default()
        }],
        flush_reason: None,
    })
}
