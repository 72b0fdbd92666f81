//! A day of simulated telemetry in a real InfluxDB: through the gateway's anchors, the rules, a spool and the real ingestor.
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use alerting::engine::Outcome;
use alerting::id::AlertId;
use alerting::intake::{Frame, Input, Said, classify};
use alerting::rehearsal::Rehearsal;
use alerting::{RegistryFleet, outlet_message, rules};
use gateway::ledger::{Anchors, ClockPolicy};
use ingestor::config::RawConfig;
use ingestor::store::InfluxConfig;
use ingestor::testing::Influx1;
use ingestor::{CURSOR, Ingestor};
use registry::Registry;
use service::clock::Clock;
use service::config::Secret;
use service::health::Health;
use simulator::{Fleet, Scenario, TimedFrame};
use spool::{NewRecord, OsDisk, Spool};
use telemetry::{
    Admitted, Channel, ClockQuality, Content, DeviceKey, DeviceKind, GatewayId, ModelId, Origin, RejectReason, Topic,
    UnixMicros, decode, decode_status,
};

/// The database of the simulated chain.
pub(super) const DATABASE: &str = "dermatel-aurora";
/// 2026-06-01 06:00 UTC, a Monday: the clinics open.
const START: UnixMicros = UnixMicros(1_780_293_600_000_000);
/// From opening to when everything is over.
pub(super) const LENGTH: Duration = Duration::from_secs(11 * 3600);
const WATERMARK_EVERY_US: u64 = 5_000_000;
/// Records of one append.
const APPEND: usize = 1_000;
/// Longest wait for the ingestor to store a day.
const STORED_WITHIN: Duration = Duration::from_secs(120);

/// What is stored, and when it was.
pub(super) struct Day {
    pub(super) influx: Influx1,
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
}

impl Day {
    /// Simulates it and waits until InfluxDB has all of it.
    pub(super) async fn stored() -> Self {
        let scenario = Scenario::parse("day.toml", include_str!("day.toml")).unwrap();
        let fleet = scenario.fleet(START).unwrap();
        let messages = simulate(&fleet);
        let influx = Influx1::start().await.unwrap();
        influx.create_bucket(DATABASE).await.unwrap();
        store(&fleet, &influx, &messages).await;
        let from_ms = START.0 / 1_000;
        Self {
            influx,
            from_ms,
            to_ms: from_ms + i64::try_from(LENGTH.as_millis()).unwrap() - 1,
        }
    }
}

/// What the ingestor's fleet is: the simulated one.
struct Known(HashMap<DeviceKey, (ModelId, DeviceKind)>);

impl ingestor::Fleet for Known {
    fn describe(&self, device: &DeviceKey) -> Option<(ModelId, DeviceKind)> {
        self.0.get(device).cloned()
    }

    fn version(&self) -> u64 {
        1
    }
}

async fn store(fleet: &Fleet, influx: &Influx1, messages: &[Admitted]) {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(
        spool::Config::new(dir.path().join("spool"), &[CURSOR]),
        Arc::new(OsDisk),
    )
    .unwrap();
    for chunk in messages.chunks(APPEND) {
        let bytes: Vec<Vec<u8>> = chunk.iter().map(Admitted::encode).collect();
        let records: Vec<NewRecord<'_>> = bytes.iter().map(|bytes| NewRecord { lane: 1, bytes }).collect();
        let _ = spool.append(&records, SystemTime::now()).unwrap();
    }
    spool.sync().unwrap();
    let raw = RawConfig {
        dir: dir.path().join("ingestor"),
        ..RawConfig::default()
    };
    let mut config = raw.resolve().unwrap();
    config.influx = Some(InfluxConfig {
        url: influx.url().to_owned(),
        org: "clinics".to_owned(),
        token: Secret::new("t"),
        bucket: "dermatel-{tenant}".to_owned(),
        rollup_bucket: "dermatel-{tenant}-rollup".to_owned(),
        connect_timeout: Duration::from_secs(2),
        timeout: Duration::from_secs(30),
        ca: None,
    });
    // A day at once: no waits between steps.
    config.flow.rollup_every = Duration::from_millis(5);
    let known = fleet
        .devices()
        .iter()
        .map(|d| (d.who.key(), (d.model.clone(), d.kind)))
        .collect();
    let spool = Arc::new(spool);
    let clock = Clock::manual(SystemTime::from(START.plus(LENGTH)));
    let ingestor = Ingestor::build(
        &config,
        Arc::clone(&spool),
        Arc::new(Known(known)),
        &Health::default(),
        clock.clone(),
    )
    .unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let run = ingestor.run(async {
        let _ = stopped.await;
    });
    let watch = async {
        let begun = std::time::Instant::now();
        while spool.reader(CURSOR).unwrap().committed() != spool.next() {
            assert!(
                begun.elapsed() < STORED_WITHIN,
                "the day is not stored within {STORED_WITHIN:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        wait_for_roll_ups(influx, &clock).await;
        let _ = stop.send(());
    };
    tokio::join!(run, watch);
}

/// Waits until every stroke and every pulse of the day stands in the roll-ups by the hour.
async fn wait_for_roll_ups(influx: &Influx1, clock: &Clock) {
    let sum = async |query: &str| {
        let rows = influx.query(DATABASE, query).await.unwrap();
        rows.first().and_then(|row| row.get(1)?.as_i64())
    };
    let begun = std::time::Instant::now();
    loop {
        // A minute is rolled up when it was quiet for a while, its hour a while after that.
        clock.advance(Duration::from_secs(60));
        let strokes = (
            sum("SELECT sum(\"count\") FROM \"stroke_window\"").await,
            sum("SELECT sum(\"count\") FROM \"rollup\".\"stroke_1h\"").await,
        );
        let pulses = (
            sum("SELECT count(\"ordinal\") FROM \"pulse\"").await,
            sum("SELECT sum(\"count\") FROM \"rollup\".\"pulse_1h\"").await,
        );
        if strokes.0.is_some() && strokes.0 == strokes.1 && pulses.0.is_some() && pulses.0 == pulses.1 {
            return;
        }
        assert!(
            begun.elapsed() < STORED_WITHIN,
            "the roll-ups are not whole within {STORED_WITHIN:?}: {strokes:?} {pulses:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Every message of the day as it stands in the log: what devices said, and what the rules made of it.
fn simulate(fleet: &Fleet) -> Vec<Admitted> {
    let registry = Arc::new(Registry::from_sources(&fleet.registry_files()).unwrap());
    let rules = Arc::new(rules::builtin().unwrap());
    let mut stage = Stage {
        fleet,
        rehearsal: Rehearsal::new(rules, Arc::new(RegistryFleet(registry))),
        anchors: HashMap::new(),
        gateway: GatewayId::new("aurora-edge").unwrap(),
        marked_us: 0,
        waiting: VecDeque::new(),
        pages: 0,
        log: Vec::new(),
    };
    for timed in fleet.frames(LENGTH) {
        stage.until(timed.at_us);
        if timed.is_published() {
            stage.frame(timed);
        }
    }
    stage.until(u64::try_from(LENGTH.as_micros()).unwrap());
    stage.log
}

struct Stage<'a> {
    fleet: &'a Fleet,
    rehearsal: Rehearsal,
    /// By device and boot.
    anchors: HashMap<(usize, u64), Anchors>,
    gateway: GatewayId,
    marked_us: u64,
    /// Pages that a person will acknowledge, and when.
    waiting: VecDeque<(u64, AlertId)>,
    pages: u64,
    log: Vec<Admitted>,
}

impl Stage<'_> {
    fn wall(&self, at_us: u64) -> UnixMicros {
        self.fleet.start.plus(Duration::from_micros(at_us))
    }

    /// Watermarks, deadlines and people up to a time.
    fn until(&mut self, at_us: u64) {
        while self.marked_us + WATERMARK_EVERY_US <= at_us {
            self.marked_us += WATERMARK_EVERY_US;
            let now = self.wall(self.marked_us);
            let mark = Input::Watermark {
                gateway: self.gateway.clone(),
                received_at: now,
                logged_at: now,
            };
            let outcome = self.rehearsal.apply(&mark).unwrap();
            self.keep(outcome);
            let outcome = self.rehearsal.pass(now).unwrap();
            self.keep(outcome);
            while let Some(at) = self.waiting.iter().position(|(due_us, _)| *due_us <= self.marked_us) {
                let (_, alert) = self.waiting.remove(at).unwrap();
                let outcome = self.rehearsal.acknowledge(now, "on-call", alert).unwrap();
                self.keep(outcome);
            }
        }
    }

    fn keep(&mut self, outcome: Outcome) {
        for step in outcome.transitions {
            if step.page {
                // Between half a minute and a quarter of an hour.
                self.pages += 1;
                let after_us = (30 + self.pages * 97 % 420 + 450 * u64::from(self.pages.is_multiple_of(7))) * 1_000_000;
                self.waiting.push_back((self.marked_us + after_us, step.alert.id));
            }
            self.log.extend(outlet_message(&step, &self.gateway));
        }
    }

    fn frame(&mut self, timed: TimedFrame) {
        // What a gateway refuses is in nobody's store.
        let Ok((admitted, said)) = self.admit(timed) else {
            return;
        };
        let received_at = admitted.received_at;
        let class = classify(&admitted, received_at);
        self.log.push(admitted.clone());
        let frame = Frame {
            admitted,
            said,
            class,
            logged_at: received_at,
        };
        let outcome = self.rehearsal.apply(&Input::Frame(Box::new(frame))).unwrap();
        self.keep(outcome);
    }

    fn admit(&mut self, timed: TimedFrame) -> Result<(Admitted, Said), RejectReason> {
        let who = &self.fleet.devices()[timed.device].who;
        let is_status = timed.topic.ends_with("/status");
        let topic = Topic {
            tenant: who.tenant.clone(),
            clinic: who.clinic.clone(),
            device: who.id.clone(),
            channel: if is_status { Channel::Status } else { Channel::Telemetry },
        };
        let received_at = self.wall(timed.at_us);
        let mut admitted = Admitted {
            recorded_by: None,
            tenant: topic.tenant.clone(),
            clinic: topic.clinic.clone(),
            device: topic.device.clone(),
            content: if is_status { Content::Status } else { Content::Telemetry },
            payload: timed.payload,
            received_at,
            anchor: None,
            clock: ClockQuality::Received,
            origin: Origin::Endpoint,
            sequence_reused: false,
            maybe_seen_before: false,
            gateway: self.gateway.clone(),
            retained: false,
        };
        if is_status {
            let (status, _) = decode_status(&topic, &admitted.payload).map_err(|rejected| rejected.reason)?;
            return Ok((admitted, Said::Status(status)));
        }
        let telemetry = decode(&topic, &admitted.payload).map_err(|rejected| rejected.reason)?;
        let header = &telemetry.header;
        let anchors = self.anchors.entry((timed.device, header.boot.0)).or_default();
        let placed = anchors.place(&ClockPolicy::default(), header.uptime, header.wall, received_at);
        anchors.adopt(header.uptime, placed.anchor, placed.clock);
        (admitted.anchor, admitted.clock) = (Some(placed.anchor), placed.clock);
        Ok((admitted, Said::Telemetry(Box::new(telemetry))))
    }
}
