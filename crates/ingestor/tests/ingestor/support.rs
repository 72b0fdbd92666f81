//! Frames as a device makes them, and an ingestor with a spool around it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ingestor::config::{Config, RawConfig};
use ingestor::{CURSOR, Fleet, Ingestor};
use prost::Message as _;
use service::clock::Clock;
use service::health::Health;
use spool::{NewRecord, OsDisk, Spool};
use telemetry::proto;
use telemetry::{
    Admitted, ClockQuality, Content, DeviceKey, DeviceKind, ModelId, Origin, SessionId, TenantId, UnixMicros,
};

/// 2026-11-22 12:00:00 UTC: wall time of uptime 0 of every boot.
pub(crate) const ANCHOR_US: i64 = 1_795_348_800_000_000;

pub(crate) struct OneModel;

impl Fleet for OneModel {
    fn describe(&self, device: &DeviceKey) -> Option<(ModelId, DeviceKind)> {
        let kind = if device.device.as_str().starts_with("ipl") {
            DeviceKind::Ipl
        } else {
            DeviceKind::Pen
        };
        Some((ModelId::new("model-1").unwrap(), kind))
    }

    fn version(&self) -> u64 {
        1
    }
}

/// A device that speaks.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) tenant: &'static str,
    pub(crate) device: &'static str,
    pub(crate) boot: u64,
    pub(crate) session: u8,
    pub(crate) started_us: Option<u64>,
    pub(crate) sequence: u64,
}

impl Device {
    pub(crate) fn new(tenant: &'static str, device: &'static str, session: u8) -> Self {
        let started_us = Some(u64::from(session) * 60_000_000);
        Self {
            tenant,
            device,
            boot: 7,
            session,
            started_us,
            sequence: 0,
        }
    }

    pub(crate) fn session_id(&self) -> SessionId {
        SessionId::new(&[self.session; 16]).unwrap()
    }

    pub(crate) fn tenant_id(&self) -> TenantId {
        TenantId::new(self.tenant).unwrap()
    }

    pub(crate) fn frame(&mut self, uptime_us: u64, body: proto::frame::Body) -> Admitted {
        let header = proto::Header {
            schema_version: Some(1),
            device_id: Some(self.device.to_owned()),
            boot_id: Some(self.boot),
            sequence: Some(self.sequence),
            uptime_us: Some(uptime_us),
            session_id: Some(vec![self.session; 16]),
            session_start_uptime_us: self.started_us,
            visit_id: Some(vec![9; 16]),
            ..Default::default()
        };
        self.sequence += 1;
        let frame = proto::Frame {
            header: Some(header),
            body: Some(body),
        };
        self.admitted(uptime_us, Content::Telemetry, frame.encode_to_vec())
    }

    pub(crate) fn admitted(&self, uptime_us: u64, content: Content, payload: Vec<u8>) -> Admitted {
        Admitted {
            recorded_by: None,
            tenant: self.tenant.parse().unwrap(),
            clinic: "north".parse().unwrap(),
            device: self.device.parse().unwrap(),
            content,
            payload: payload.into(),
            received_at: UnixMicros(ANCHOR_US + uptime_us as i64 + 20_000),
            anchor: Some(UnixMicros(ANCHOR_US)),
            clock: ClockQuality::Device,
            origin: Origin::Endpoint,
            sequence_reused: false,
            maybe_seen_before: false,
            gateway: "edge-1".parse().unwrap(),
            retained: false,
        }
    }

    fn start_us(&self) -> u64 {
        u64::from(self.session) * 60_000_000
    }

    /// Strokes from `first` on, 100 a second, as one batch.
    pub(crate) fn strokes(&mut self, first: u64, depths: &[u32], unread: &[u32]) -> Admitted {
        let at = self.start_us() + first * 10_000;
        let batch = proto::StrokeBatch {
            first_ordinal: Some(first),
            first_uptime_us: Some(at),
            duration_us: Some(depths.len() as u32 * 2_000),
            zone: Some(proto::Zone::Cheek as i32),
            depth_setpoint_um: Some(500),
            depth_limit_um: Some(600),
            depth_um: depths.to_vec(),
            unread_index: unread.to_vec(),
            flush_reason: Some(proto::FlushReason::Period as i32),
            cartridge_serial: Some("C-1".to_owned()),
            ..Default::default()
        };
        self.frame(at + 1_000_000, proto::frame::Body::StrokeBatch(batch))
    }

    /// Strokes `first..end`, all of 500 µm.
    pub(crate) fn range(&mut self, first: u64, end: u64) -> Admitted {
        self.strokes(first, &vec![500; (end - first) as usize], &[])
    }

    pub(crate) fn pulses(&mut self, first: u64, count: u64) -> Admitted {
        let at = self.start_us() + first * 1_000_000;
        let pulse = |n: u64| proto::Pulse {
            ordinal: Some(first + n),
            uptime_us: Some(at + n * 1_000_000),
            energy_set_mj: Some(10_000),
            energy_measured_mj: Some(0),
            fluence_set_mj_per_cm2: Some(12_000),
            zone: Some(proto::Zone::Thigh as i32),
            skin_type: Some(proto::SkinType::Iii as i32),
            skin_temperature_mdegc: Some(-500),
            fired: Some(true),
            ..Default::default()
        };
        let batch = proto::PulseBatch {
            pulses: (0..count).map(pulse).collect(),
            flush_reason: None,
        };
        self.frame(at + count * 1_000_000, proto::frame::Body::PulseBatch(batch))
    }

    pub(crate) fn end(&mut self, strokes: Option<u64>, pulses: Option<u64>) -> Admitted {
        let at = self.start_us() + 59_000_000;
        let end = proto::SessionEnd {
            strokes_total: strokes,
            pulses_total: pulses,
            reason: Some(1),
        };
        self.frame(at, proto::frame::Body::SessionEnd(end))
    }

    pub(crate) fn heartbeat(&mut self, uptime_us: u64) -> Admitted {
        self.frame(uptime_us, proto::frame::Body::Heartbeat(proto::Heartbeat::default()))
    }
}

/// A spool and a place for the ingestor's files.
pub(crate) struct Site {
    _dir: tempfile::TempDir,
    pub(crate) spool: Arc<Spool>,
    pub(crate) config: Config,
    pub(crate) health: Health,
    pub(crate) clock: Clock,
}

impl Site {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = spool::Config::new(dir.path().join("spool"), &[CURSOR]);
        let (spool, _) = Spool::open(config, Arc::new(OsDisk)).unwrap();
        let raw = RawConfig {
            dir: dir.path().join("ingestor"),
            linger: Duration::from_millis(5),
            max_linger: Duration::from_millis(20),
            summary_every: Duration::from_millis(20),
            retry_cap: Duration::from_millis(50),
            fatal_retry: Duration::from_millis(100),
            // Whoever stops a store that is well has everything in it.
            drain: Duration::from_secs(30),
            ..RawConfig::default()
        };
        let config = raw.resolve().unwrap();
        let now = SystemTime::from(UnixMicros(ANCHOR_US + 3_600_000_000));
        let clock = Clock::manual(now);
        Self {
            _dir: dir,
            spool: Arc::new(spool),
            config,
            health: Health::default(),
            clock,
        }
    }

    pub(crate) fn append(&self, frames: &[Admitted]) {
        for chunk in frames.chunks(1_000) {
            let bytes: Vec<Vec<u8>> = chunk.iter().map(Admitted::encode).collect();
            let records: Vec<NewRecord<'_>> = bytes.iter().map(|bytes| NewRecord { lane: 1, bytes }).collect();
            let _ = self.spool.append(&records, SystemTime::now()).unwrap();
        }
        self.spool.sync().unwrap();
    }

    pub(crate) fn append_raw(&self, bytes: &[u8]) {
        let _ = self
            .spool
            .append(&[NewRecord { lane: 1, bytes }], SystemTime::now())
            .unwrap();
        self.spool.sync().unwrap();
    }

    pub(crate) fn ingestor(&self) -> Ingestor {
        self.ingestor_of(&self.config)
    }

    fn ingestor_of(&self, config: &Config) -> Ingestor {
        let fleet = Arc::new(OneModel);
        Ingestor::build(config, Arc::clone(&self.spool), fleet, &self.health, self.clock.clone()).unwrap()
    }

    /// Whether the cursor stands behind everything.
    pub(crate) fn caught_up(&self) -> bool {
        self.spool.reader(CURSOR).unwrap().committed() == self.spool.next()
    }

    /// Runs until the cursor has caught up, then shuts down in good order.
    pub(crate) async fn run(&self) {
        self.run_until(|| self.caught_up()).await;
    }

    /// Runs until a condition holds, then shuts down in good order.
    pub(crate) async fn run_until(&self, done: impl Fn() -> bool) {
        Self::run_it_until(self.ingestor(), done).await;
    }

    /// The same, and does not wait for a store that refuses.
    pub(crate) async fn run_refused_until(&self, done: impl Fn() -> bool) {
        let mut config = self.config.clone();
        config.flow.drain = Duration::from_millis(200);
        Self::run_it_until(self.ingestor_of(&config), done).await;
    }

    async fn run_it_until(ingestor: Ingestor, done: impl Fn() -> bool) {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let run = ingestor.run(async {
            let _ = stopped.await;
        });
        let watch = async {
            wait_until(done).await;
            let _ = stop.send(());
        };
        tokio::join!(run, watch);
    }

    /// Runs until a condition holds, then drops everything on the spot, as a kill does.
    pub(crate) async fn run_and_kill(&self, done: impl Fn() -> bool) {
        let run = self.ingestor().run(std::future::pending());
        tokio::select! {
            () = run => panic!("it ended by itself"),
            () = wait_until(done) => {}
        }
    }

    pub(crate) fn store(&self) -> ingestor::store::SqliteStore {
        ingestor::store::SqliteStore::open_read_only(&self.config.dir.join(ingestor::STORE_FILE)).unwrap()
    }

    pub(crate) fn ledger(&self) -> ingestor::ledger::Ledger {
        ingestor::ledger::Ledger::open(&self.config.dir.join(ingestor::LEDGER_FILE), self.config.ledger).unwrap()
    }

    /// Every row of every measurement.
    pub(crate) fn dump(&self) -> Vec<String> {
        let store = self.store();
        let rows = |m: &&ingestor::schema::Measurement| store.dump(m).unwrap();
        ingestor::schema::MEASUREMENTS.iter().flat_map(rows).collect()
    }
}

/// Polls a condition, for at most two minutes.
pub(crate) async fn wait_until(done: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(120), "not within two minutes");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
