//! A real alerting with two tenants, the console over it, and a browser that keeps its cookie.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use alerting::engine::{Alert, Changes};
use alerting::id::AlertId;
use alerting::store::{Batch, Store};
use alerting::{Alerting, CURSOR, Handle, RunError};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use console::config::PersonConfig;
use console::{Config, Console};
use http_body_util::BodyExt as _;
use registry::Registry;
use service::clock::Clock;
use service::config::Secret;
use service::health::Health;
use service::shutdown::Shutdown;
use spool::{NewRecord, OsDisk, Spool};
use telemetry::{Admitted, ClockQuality, Content, Origin, UnixMicros, proto};
use tower::ServiceExt as _;

use crate::behind::{Behind, Still};

/// Longest wait for something that will come.
const SOON: Duration = Duration::from_secs(30);

/// Folder of the paging plan, if there is one.
pub(crate) const PLAN: &str = "paging";

/// The password of everybody in these tests.
pub(crate) const PASSWORD: &str = "correct horse battery";

const PEN: &str = include_str!("../../../../tests/fixtures/models/pen.toml");

fn registry() -> Registry {
    let tenant = |number: u32| {
        format!(
            "number = {number}\nname = \"T\"\n[[clinic]]\nid = \"north\"\nname = \"North\"\ntime_zone = \"Europe/Berlin\"\n"
        )
    };
    let devices = |number: u32| {
        let row = |n: u32| {
            format!(
                "  {{ id = \"pen-{n}\", clinic = \"north\", model = \"pen\", serial = \"S-{number}-{n}\", secret_sha256 = \"{:064x}\" }},\n",
                number * 10 + n
            )
        };
        format!("device = [\n{}{}]\n", row(1), row(2))
    };
    let files = [
        ("registry.toml", "version = 1\n".to_owned()),
        ("models/pen.toml", PEN.to_owned()),
        ("tenants/acme/tenant.toml", tenant(1)),
        ("tenants/acme/devices.toml", devices(1)),
        ("tenants/other/tenant.toml", tenant(2)),
        ("tenants/other/devices.toml", devices(2)),
    ];
    Registry::from_sources(&files).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// The zone that allows the deepest strokes.
const BACK: i32 = proto::Zone::Back as i32;

fn now() -> UnixMicros {
    SystemTime::now().into()
}

/// A frame of now whose strokes are far too deep, as it stands in the log.
fn hazard(tenant: &str, device: &str, depth_um: u32) -> Vec<u8> {
    let at = 60_000_000_u64;
    let header = proto::Header {
        schema_version: Some(1),
        device_id: Some(device.to_owned()),
        boot_id: Some(7),
        sequence: Some(1),
        uptime_us: Some(at),
        session_id: Some(vec![3; 16]),
        visit_id: Some(vec![4; 16]),
        ..Default::default()
    };
    let mut depths = vec![800; 10];
    depths.resize(20, depth_um);
    let strokes = proto::StrokeBatch {
        first_ordinal: Some(100),
        first_uptime_us: Some(at),
        duration_us: Some(200_000),
        zone: Some(BACK),
        depth_setpoint_um: Some(800),
        depth_um: depths,
        ..Default::default()
    };
    let frame = proto::Frame {
        header: Some(header),
        body: Some(proto::frame::Body::StrokeBatch(strokes)),
    };
    let received = now();
    let admitted = Admitted {
        recorded_by: None,
        tenant: tenant.parse().unwrap(),
        clinic: "north".parse().unwrap(),
        device: device.parse().unwrap(),
        content: Content::Telemetry,
        payload: prost::Message::encode_to_vec(&frame).into(),
        received_at: received,
        anchor: Some(UnixMicros(received.0 - at as i64)),
        clock: ClockQuality::Device,
        origin: Origin::Endpoint,
        sequence_reused: false,
        maybe_seen_before: false,
        gateway: "gw-1".parse().unwrap(),
        retained: false,
    };
    let mut record = Vec::new();
    alerting::intake::encode_frame(&admitted, received, &mut record);
    record
}

/// Nobody signs in.
pub(crate) fn open() -> Config {
    Config {
        open: true,
        ..Config::default()
    }
}

/// Of [`PASSWORD`], fast to compare: that real ones are slow is tested where they are made.
fn quick_hash() -> String {
    use argon2::password_hash::{PasswordHasher as _, SaltString};
    let params = argon2::Params::new(8, 1, 1, None).unwrap();
    let quick = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let salt = SaltString::from_b64("c2FsdHNhbHRzYWx0").unwrap();
    quick.hash_password(PASSWORD.as_bytes(), &salt).unwrap().to_string()
}

/// A viewer, two responders (one of `acme` only) and a lead.
pub(crate) fn staffed() -> Config {
    let hash = quick_hash();
    let person = |name: &str, role: &str, tenant: Option<&str>| PersonConfig {
        name: name.to_owned(),
        role: serde_json::from_value(serde_json::json!(role)).unwrap(),
        tenant: tenant.map(|tenant| tenant.parse().unwrap()),
        password: Secret::new(hash.clone()),
    };
    Config {
        people: vec![
            person("vera", "viewer", None),
            person("rob", "responder", None),
            person("anna", "responder", Some("acme")),
            person("lea", "lead", None),
        ],
        ..Config::default()
    }
}

/// Alerting at work, and the console over it.
pub(crate) struct World {
    dir: tempfile::TempDir,
    log: Spool,
    pub(crate) handle: Handle,
    pub(crate) clock: Clock,
    pub(crate) router: Router,
    /// The pages as JSON, for people.
    pub(crate) json: Router,
    pub(crate) shutdown: Shutdown,
    pub(crate) gateway: gateway::Handle,
    pub(crate) health: Health,
    _task: tokio::task::JoinHandle<Result<(), RunError>>,
}

impl World {
    pub(crate) fn start(config: Config) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config)
    }

    pub(crate) fn start_in(dir: tempfile::TempDir, config: Config) -> Self {
        Self::build(dir, config, u64::MAX, true)
    }

    /// Over alerting alone, which judges these shards.
    pub(crate) fn apart(config: Config, owned_shards: u64) -> Self {
        Self::build(tempfile::tempdir().unwrap(), config, owned_shards, false)
    }

    fn build(dir: tempfile::TempDir, config: Config, owned_shards: u64, whole: bool) -> Self {
        let log = Spool::open(spool::Config::new(dir.path().join("log"), &[CURSOR]), Arc::new(OsDisk))
            .unwrap()
            .0;
        let registry = Arc::new(registry::Shared::new(registry()));
        let shutdown = Shutdown::new();
        let alerting = Alerting::build(alerting::Parts {
            permit: alerting::permit::Permit::always(),
            config: config_of_alerting(dir.path()),
            log: log.clone(),
            owned_shards,
            registry: Arc::clone(&registry),
            outlet: None,
            advise: None,
            gateway: "gw-1".parse().unwrap(),
            health: Health::default(),
            clock: Clock::system(),
        })
        .unwrap();
        let handle = alerting.handle();
        let clock = Clock::manual(SystemTime::now());
        let behind = Behind::start(dir.path(), &registry, &shutdown);
        let console = Console::build(console::Parts {
            sessions: None,
            config,
            alerts: handle.clone(),
            store: whole.then_some(behind.store),
            gateway: whole.then(|| behind.gateway.clone()),
            owned_shards,
            pipeline: Arc::new(Still),
            health: behind.health.clone(),
            registry,
            clock: clock.clone(),
        })
        .unwrap();
        let json = console::api_router_for_people(console.clone());
        let router = console::router(console.clone(), shutdown.clone()).merge(console::api_router(console));
        Self {
            dir,
            log,
            handle,
            clock,
            router,
            json,
            shutdown: shutdown.clone(),
            gateway: behind.gateway,
            health: behind.health,
            _task: tokio::spawn(alerting.run(shutdown)),
        }
    }

    /// Alerting's file.
    pub(crate) fn file(&self) -> PathBuf {
        file(self.dir.path())
    }

    /// A device strokes far too deep. Returns the alert of it.
    pub(crate) async fn hazard(&self, tenant: &str, device: &str) -> Alert {
        let record = hazard(tenant, device, 2_900);
        let records = [NewRecord {
            lane: 1,
            bytes: &record,
        }];
        let appended = self.log.append(&records, SystemTime::now()).unwrap();
        self.log.sync_appended(&appended).unwrap();
        let end = Instant::now() + SOON;
        loop {
            let all = self.handle.alerts(None).await.unwrap();
            let found = all
                .into_iter()
                .find(|a| a.tenant == tenant && a.device == device && a.rule == "depth-above-limit");
            if let Some(alert) = found {
                return alert;
            }
            assert!(Instant::now() < end, "no alert");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Puts alerts into alerting's file, beside the process, whose engine knows nothing of them.
    pub(crate) fn put(&self, alerts: impl IntoIterator<Item = Alert>) {
        let changes = Changes {
            alerts: alerts.into_iter().map(|alert| (alert.id, alert)).collect(),
            ..Changes::default()
        };
        let batch = Batch {
            changes,
            now: now(),
            ..Batch::default()
        };
        Store::open(&self.file()).unwrap().commit(&batch).unwrap();
    }

    /// As many more alerts like this one, of `pen-2`.
    pub(crate) fn put_many(&self, one: &Alert, many: u32) {
        let more = (0..many).map(|n| {
            let mut id = [0xee; 16];
            id[..4].copy_from_slice(&n.to_be_bytes());
            Alert {
                id: AlertId(id),
                device: "pen-2".to_owned(),
                ..one.clone()
            }
        });
        self.put(more);
    }

    /// Somebody at this console who has no cookie yet.
    pub(crate) fn browser(&self) -> Browser {
        Browser {
            router: self.router.clone(),
            cookie: None,
        }
    }

    /// Somebody who is signed in.
    pub(crate) async fn signed_in(&self, name: &str) -> Browser {
        let mut browser = self.browser();
        let answer = browser
            .post("/sign-in", &[("name", name), ("password", PASSWORD)])
            .await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        browser
    }
}

/// A test that has a plan writes it before; it may name one receiver.
fn config_of_alerting(dir: &Path) -> alerting::Config {
    let plan = Some(dir.join(PLAN)).filter(|plan| plan.exists());
    let desk = serde_json::json!({"name": "desk", "log": {"path": dir.join("pages.log")}});
    alerting::Config {
        receivers: plan
            .iter()
            .map(|_| serde_json::from_value(desk.clone()).unwrap())
            .collect(),
        paging: plan,
        ..alerting::Config::new(file(dir))
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("alerting.sqlite")
}

/// An answer, whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// Where it leads.
    pub(crate) fn leads_to(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |to| to.to_str().unwrap())
    }

    /// The token of the page's forms.
    pub(crate) fn csrf(&self) -> String {
        let at = "name=\"csrf\" value=\"";
        let rest = self.body.split_once(at).expect("the page has a form").1;
        rest.split('"').next().unwrap().to_owned()
    }
}

/// Keeps its cookie, as a browser does, and asks for this machine's own address.
#[derive(Clone)]
pub(crate) struct Browser {
    router: Router,
    pub(crate) cookie: Option<String>,
}

/// Text as a form has it.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

impl Browser {
    /// The same person, asking there.
    pub(crate) fn at(&self, router: &Router) -> Self {
        Self {
            router: router.clone(),
            cookie: self.cookie.clone(),
        }
    }

    pub(crate) async fn ask(&mut self, mut request: Request<Body>) -> Answer {
        let headers = request.headers_mut();
        if !headers.contains_key(header::HOST) {
            headers.insert(header::HOST, "127.0.0.1:9464".parse().unwrap());
        }
        if let Some(cookie) = &self.cookie {
            headers.insert(header::COOKIE, cookie.parse().unwrap());
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        if let Some(set) = parts.headers.get(header::SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
            self.cookie = (!pair.ends_with('=')).then_some(pair);
        }
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let form: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.join("&")))
            .unwrap();
        self.ask(request).await
    }

    /// Sends a form of the alert's page, with its token.
    pub(crate) async fn send(&mut self, alert: &Alert, what: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.get(&format!("/alerts/{}", alert.id)).await.csrf();
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend(fields);
        self.post(&format!("/alerts/{}/{what}", alert.id), &all).await
    }
}
