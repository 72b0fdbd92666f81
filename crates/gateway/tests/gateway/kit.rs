//! A fleet of three pens, a gateway with two logs on a disk that can be cut off, and looks into the logs.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use gateway::endpoint::Drained;
use gateway::quarantine::tally::Count;
use gateway::{CommitterEnded, Config, Deps, Gateway, Handle, Outlet, Role, Submission, TelemetryOutlet, Verdict};
use registry::Registry;
use service::clock::Clock;
use service::health::Health;
use spool::testing::SimDisk;
use spool::{AtCap, Offset, Spool};
use telemetry::{Admitted, DeviceKey, GatewayId, Topic, UnixMicros};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) use super::frames::{Frame, frame};
use super::process::Process;

/// Longer than anything here takes; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The secret of a device; generated, in a real fleet.
pub(crate) fn secret(device: &str) -> String {
    format!("the-secret-of-{device}")
}
pub(crate) const START: Duration = Duration::from_secs(1_790_000_000);

pub(crate) fn start_time() -> SystemTime {
    UNIX_EPOCH + START
}

pub(crate) fn registry() -> Registry {
    registry_with("")
}

/// The fleet with more devices, as lines of `devices.toml`.
pub(crate) fn registry_with(more: &str) -> Registry {
    Registry::from_sources(&registry_files(more)).unwrap()
}

/// Its files: name and text.
pub(crate) fn registry_files(more: &str) -> Vec<(&'static str, String)> {
    let digest = |device: &str| -> String {
        registry::sha256(secret(device).as_bytes())
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    };
    let (one, two) = (digest("pen-1"), digest("pen-2"));
    let devices = format!(
        r#"device = [
  {{ id = "pen-1", clinic = "soho", model = "pen", serial = "P-1", secret_sha256 = "{one}" }},
  {{ id = "pen-2", clinic = "soho", model = "pen", serial = "P-2", secret_sha256 = "{two}" }},
  {{ id = "pen-9", clinic = "soho", model = "pen", serial = "P-9", state = "retired" }},
  {more}
]"#
    );
    let model = r#"
kind = "pen"
name = "Pen"
maker = "Maker"
[limits]
depth_max_um = 1500
depth_tolerance_um = 150
depth_sigma_um = 20
stroke_rate_min_hz = 80
stroke_rate_max_hz = 160
zone_depth_max_um = { cheek = 1000 }
"#;
    let tenant = "number = 7\nname = \"Acme\"\n[[clinic]]\nid = \"soho\"\nname = \"Soho\"\ntime_zone = \"Europe/London\"\n[[clinic]]\nid = \"north\"\nname = \"North\"\ntime_zone = \"Europe/London\"\n";
    vec![
        ("registry.toml", "version = 1\n".to_owned()),
        ("models/pen.toml", model.to_owned()),
        ("tenants/acme/tenant.toml", tenant.to_owned()),
        ("tenants/acme/devices.toml", devices),
    ]
}

pub(crate) fn topic(device: &str) -> Topic {
    format!("dermatel/v1/acme/soho/{device}/telemetry").parse().unwrap()
}

/// A frame at which alerting's outlet panics, as a bug would.
pub(crate) fn poison() -> Bytes {
    Frame {
        mark: u32::MAX,
        ..Frame::new("pen-1", 0)
    }
    .bytes()
}

/// Alerting's log as the gateway sees it: frames and watermarks.
pub(crate) struct AlarmOutlet(pub(crate) Spool);

pub(crate) const WATERMARK: u8 = b'W';
const FRAME: u8 = b'F';
const REFUSED: u8 = b'R';

impl Outlet for AlarmOutlet {
    fn spool(&self) -> &Spool {
        &self.0
    }

    fn wrap(&self, admitted: &Admitted, encoded: &[u8], _now: SystemTime, into: &mut Vec<u8>) {
        assert_ne!(admitted.payload, poison(), "poisoned on purpose");
        into.push(FRAME);
        into.extend_from_slice(encoded);
    }

    fn encode_watermark(&self, _gateway: &GatewayId, received_at: UnixMicros, into: &mut Vec<u8>) -> bool {
        into.push(WATERMARK);
        into.extend(received_at.0.to_le_bytes());
        true
    }

    fn encode_refused(&self, _gateway: &GatewayId, device: &DeviceKey, count: &Count, into: &mut Vec<u8>) -> bool {
        into.push(REFUSED);
        into.extend(format!("{device} {} {}", count.messages, count.reason).into_bytes());
        true
    }

    fn role(&self) -> Role {
        Role::Alarm
    }
}

/// How the logs are to be.
#[derive(Clone)]
pub(crate) struct Logs {
    pub(crate) store_cap: u64,
    pub(crate) at_cap: AtCap,
}

pub(crate) const SEGMENT: u64 = 512 * 1024;

impl Default for Logs {
    fn default() -> Self {
        Self {
            store_cap: 64 * SEGMENT,
            at_cap: AtCap::Refuse,
        }
    }
}

/// A gateway that runs, and what it stands on.
pub(crate) struct World {
    process: Process,
    _real: Arc<tempfile::TempDir>,
    pub(crate) dir: PathBuf,
    pub(crate) store: Spool,
    pub(crate) alarm: Spool,
    pub(crate) clock: Clock,
    pub(crate) health: Health,
    pub(crate) registry: Arc<registry::Shared>,
    pub(crate) handle: Handle,
    pub(crate) addresses: Vec<std::net::SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<Drained, CommitterEnded>>,
}

/// What survives a crash.
pub(crate) struct Ground {
    pub(crate) disk: SimDisk,
    pub(crate) real: Arc<tempfile::TempDir>,
    pub(crate) clock: Clock,
    pub(crate) logs: Logs,
}

impl Ground {
    pub(crate) fn new() -> Self {
        Self::with(Logs::default(), 1)
    }

    pub(crate) fn with(logs: Logs, seed: u64) -> Self {
        Self {
            disk: SimDisk::new(seed),
            real: Arc::new(tempfile::tempdir().unwrap()),
            clock: Clock::manual(start_time()),
            logs,
        }
    }

    fn spool(&self, process: &Process, name: &str, cursors: &[&str], cap: u64, at_cap: AtCap) -> Spool {
        let config = spool::Config {
            segment_bytes: SEGMENT,
            cap_bytes: cap,
            at_cap,
            max_record_bytes: 128 * 1024,
            ..spool::Config::new(Path::new("/logs").join(name), cursors)
        };
        Spool::open(config, Arc::new(process.clone())).unwrap().0
    }

    pub(crate) fn up(&self) -> World {
        self.up_with(registry(), |_| {})
    }

    /// Opens the logs and starts a gateway on them. Within a tokio runtime.
    pub(crate) fn up_with(&self, registry: Registry, change: impl FnOnce(&mut Config)) -> World {
        let process = Process::on(&self.disk);
        let store = self.spool(
            &process,
            "store",
            &["gateway-ledger", "reader"],
            self.logs.store_cap,
            self.logs.at_cap,
        );
        let alarm = self.spool(&process, "alarm", &["engine"], 256 * SEGMENT, AtCap::Refuse);
        let registry = Arc::new(registry::Shared::new(registry));
        let health = Health::new(self.clock.clone());
        let dir = self.real.path().join("gateway");
        let mut config = Config::new(GatewayId::new("gw-1").unwrap(), &dir);
        change(&mut config);
        let outlets: Vec<Arc<dyn Outlet>> = vec![
            Arc::new(AlarmOutlet(alarm.clone())),
            Arc::new(TelemetryOutlet::new(store.clone())),
        ];
        let deps = Deps {
            ack_up_to: gateway::ack_up_to::AckUpTo::default(),
            registry: Arc::clone(&registry),
            outlets,
            health: health.clone(),
            clock: self.clock.clone(),
            disk: Arc::new(process.clone()),
        };
        let gateway = Gateway::build(config, deps).unwrap();
        let (handle, addresses) = (gateway.handle(), gateway.local_addrs());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(gateway.run(async move { drop(stopped.await) }));
        World {
            process,
            _real: Arc::clone(&self.real),
            dir,
            store,
            alarm,
            clock: self.clock.clone(),
            health,
            registry,
            handle,
            addresses,
            stop: Some(stop),
            running,
        }
    }
}

impl World {
    pub(crate) async fn submit(&self, payload: &Bytes) -> Verdict {
        self.submit_for("pen-1", payload).await
    }

    pub(crate) async fn submit_for(&self, device: &str, payload: &Bytes) -> Verdict {
        self.handle
            .submit(Submission {
                recorded_by: None,
                topic: topic(device),
                payload: payload.clone(),
            })
            .await
    }

    /// All at once; verdicts in the order of the payloads.
    pub(crate) async fn submit_all(&self, device: &str, payloads: Vec<Bytes>) -> Vec<Verdict> {
        let tasks: Vec<_> = payloads
            .into_iter()
            .map(|payload| {
                let (handle, topic) = (self.handle.clone(), topic(device));
                tokio::spawn(async move {
                    handle
                        .submit(Submission {
                            topic,
                            payload,
                            recorded_by: None,
                        })
                        .await
                })
            })
            .collect();
        let mut verdicts = Vec::with_capacity(tasks.len());
        for task in tasks {
            verdicts.push(task.await.unwrap());
        }
        verdicts
    }

    /// Stops in good order.
    pub(crate) async fn down(mut self) {
        drop(self.stop.take());
        self.ended().await.unwrap();
    }

    /// Waits until it has ended, by itself or as told.
    pub(crate) async fn ended(&mut self) -> Result<Drained, CommitterEnded> {
        tokio::time::timeout(PATIENCE, &mut self.running)
            .await
            .unwrap()
            .unwrap()
    }

    /// Dies as by SIGKILL: what was written stays, nothing is written any more.
    pub(crate) async fn killed(self) {
        self.process.kill();
        self.gone().await;
    }

    /// The machine loses its power: what was not synced is lost, in part by chance.
    pub(crate) async fn power_cut(self) {
        self.process.cut_power();
        self.gone().await;
    }

    async fn gone(self) {
        self.running.abort();
        let _ = self.running.await;
    }

    pub(crate) fn stored(&self) -> Vec<Admitted> {
        records(&self.store)
            .iter()
            .map(|bytes| Admitted::decode(bytes).unwrap())
            .collect()
    }

    pub(crate) fn alarmed(&self) -> Vec<Admitted> {
        let records = records(&self.alarm);
        let frames = records.iter().filter(|bytes| bytes[0] == FRAME);
        frames.map(|bytes| Admitted::decode(&bytes[1..]).unwrap()).collect()
    }

    /// What alerting was told to be refused, in words.
    pub(crate) fn refused(&self) -> Vec<String> {
        let records = records(&self.alarm);
        let refused = records.iter().filter(|bytes| bytes[0] == REFUSED);
        refused
            .map(|bytes| String::from_utf8(bytes[1..].to_vec()).unwrap())
            .collect()
    }

    pub(crate) fn watermarks(&self) -> Vec<i64> {
        let records = records(&self.alarm);
        let marks = records.iter().filter(|bytes| bytes[0] == WATERMARK);
        marks
            .map(|bytes| i64::from_le_bytes(bytes[1..].try_into().unwrap()))
            .collect()
    }
}

/// Every durable record, in order.
pub(crate) fn records(spool: &Spool) -> Vec<Vec<u8>> {
    let mut from = Offset::ZERO;
    let mut found = Vec::new();
    while from < spool.durable() {
        let items = spool.read_range(from, 10_000, 64 << 20).unwrap();
        let Some(last) = items.last() else { break };
        from = last.next();
        found.extend(
            items
                .into_iter()
                .filter_map(|item| item.record().map(|record| record.bytes.clone())),
        );
    }
    found
}

/// Polls until it holds.
pub(crate) async fn eventually(what: &str, condition: impl FnMut() -> bool) {
    service::testing::wait_for(what, PATIENCE, condition).await;
}
