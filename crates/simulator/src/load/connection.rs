//! One connection of the load.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use prost::Message as _;
use service::config::Secret;
use service::mqtt::{Acked, Acks, Broker, Link, OptionsError, PublishError, Publisher, PublisherOptions};
use telemetry::{DeviceKind, SessionEndReason, UnixMicros, WallTimeSource, proto};
use tokio::sync::watch;
use tokio::time::Instant;

use super::template::{Patch, Template};
use super::{LATENCY_MAX_US, LoadError, LoadSpec, histogram};
use crate::fleet::{Device, Fleet};
use crate::rng::Rng;
use crate::run::Target;

/// Uptime at the start: room for the first batch's second.
const UPTIME_US: u64 = 10_000_000;
/// Frames before the first batch: birth and session start.
const PREAMBLE: u64 = 2;

/// What one connection met.
pub(super) struct Part {
    pub(super) published: u64,
    pub(super) acked: u64,
    pub(super) refused: u64,
    pub(super) unacked: u64,
    pub(super) elapsed: Duration,
    pub(super) latency_us: Histogram<u64>,
}

pub(super) struct Connection {
    spec: LoadSpec,
    topic: String,
    header: proto::Header,
    device: Arc<Device>,
    template: Template,
    publisher: Publisher,
    acks: Acks,
    part: Part,
    /// When the messages were due, by token modulo its length, which is the outbox's.
    due: Vec<Instant>,
    /// Next sequence number, which is the token too.
    sequence: u64,
    outstanding: u64,
    started: Instant,
    last_ack: Instant,
    /// Shifts the connection's turn within the period, so that not all send at once.
    phase: f64,
}

impl Connection {
    pub(super) fn start(
        fleet: &Fleet,
        device: &Arc<Device>,
        target: &Target,
        spec: LoadSpec,
        index: usize,
    ) -> Result<Self, LoadError> {
        let (publisher, acks) = connect(device, target, spec).map_err(LoadError::Options)?;
        // A new boot at every run, or the receiver would take the second run for a repetition of the first.
        let now = UnixMicros::from(std::time::SystemTime::now());
        let mut rng = Rng::stream(fleet.seed ^ now.0 as u64, &["load", device.who.id.as_str()]);
        let header = proto::Header {
            schema_version: Some(1),
            device_id: Some(device.who.id.to_string()),
            boot_id: Some(rng.bits()),
            session_id: Some(rng.id().to_vec()),
            visit_id: Some(rng.id().to_vec()),
            session_start_uptime_us: Some(UPTIME_US),
            ..proto::Header::default()
        };
        let template = Template::new(&header, spec.strokes, spec.strokes.max(100), &mut rng);
        Ok(Self {
            topic: device.who.topic("telemetry"),
            template: template.ok_or(LoadError::Template)?,
            part: Part {
                published: 0,
                acked: 0,
                refused: 0,
                unacked: 0,
                elapsed: Duration::ZERO,
                latency_us: histogram()?,
            },
            due: vec![Instant::now(); usize::from(spec.window) * 2],
            sequence: 0,
            outstanding: 0,
            started: Instant::now(),
            last_ack: Instant::now(),
            phase: index as f64 / f64::from(spec.connections.max(1)),
            device: Arc::clone(device),
            header,
            publisher,
            acks,
            spec,
        })
    }

    /// Whether the connection is there by the deadline.
    pub(super) async fn connected(&mut self, deadline: Instant) -> bool {
        let mut link = self.publisher.link();
        let there = link.wait_for(|link| matches!(link, Link::Connected { .. }));
        matches!(tokio::time::timeout_at(deadline, there).await, Ok(Ok(_)))
    }

    pub(super) async fn run(mut self, started: Instant, stop: watch::Receiver<bool>) -> Part {
        self.started = started;
        self.last_ack = started;
        let birth = proto::frame::Body::Birth(proto::Birth {
            kind: Some(DeviceKind::Pen.to_wire()),
            model: Some(self.device.model.to_string()),
            serial: Some(self.device.serial.to_string()),
            depth_offset_um: Some(0),
            depth_sigma_um: Some(30),
            ..proto::Birth::default()
        });
        let start = proto::frame::Body::SessionStart(proto::SessionStart {
            cartridge_serial: Some("NC-LOAD-00001".to_owned()),
            ..proto::SessionStart::default()
        });
        let mut going = self.single(birth).await && self.single(start).await;
        let end = started + self.spec.duration;
        while going && Instant::now() < end && !*stop.borrow() {
            going = match self.spec.rate {
                None => self.saturate().await,
                Some(rate) => self.paced(rate, end).await,
            };
        }
        let finish = proto::frame::Body::SessionEnd(proto::SessionEnd {
            strokes_total: Some(self.part.published * u64::from(self.spec.strokes)),
            pulses_total: None,
            reason: Some(SessionEndReason::Operator.to_wire()),
        });
        if going {
            self.single(finish).await;
        }
        self.finish().await
    }

    fn uptime_us(&self) -> u64 {
        UPTIME_US + u64::try_from(self.started.elapsed().as_micros()).unwrap_or(0)
    }

    /// One frame that is not a batch.
    async fn single(&mut self, body: proto::frame::Body) -> bool {
        let now = UnixMicros::from(std::time::SystemTime::now());
        let header = proto::Header {
            sequence: Some(self.sequence),
            uptime_us: Some(self.uptime_us()),
            wall_time_us: Some(now.0),
            wall_time_source: Some(WallTimeSource::Ntp.to_wire()),
            oldest_unacknowledged_sequence: Some(self.sequence.saturating_sub(self.outstanding)),
            wants_ack_up_to: None,
            ..self.header.clone()
        };
        let payload = proto::Frame {
            header: Some(header),
            body: Some(body),
        }
        .encode_to_vec()
        .into();
        self.put(payload, Instant::now()).await
    }

    /// Publishes as long as there is room, then waits for one acknowledgement.
    async fn saturate(&mut self) -> bool {
        for _ in 0..self.spec.window {
            let payload = self.batch();
            let now = Instant::now();
            match self.publisher.try_publish(&self.topic, payload, self.sequence, false) {
                Ok(()) => {
                    self.sent(now);
                    self.part.published += 1;
                }
                Err(PublishError::Full) => break,
                Err(_) => return false,
            }
        }
        self.take_ack().await
    }

    /// Publishes what is due, then waits for the next turn.
    async fn paced(&mut self, rate: f64, end: Instant) -> bool {
        let period = f64::from(self.spec.connections.max(1)) / rate.max(0.001);
        let turn = (self.part.published as f64 + self.phase) * period;
        let Ok(after) = Duration::try_from_secs_f64(turn) else {
            return false;
        };
        let due = self.started + after;
        if due > Instant::now() {
            loop {
                tokio::select! {
                    acked = self.acks.recv() => match acked {
                        Some(acked) => self.acked(acked),
                        None => return false,
                    },
                    () = tokio::time::sleep_until(due.min(end)) => break,
                }
            }
        }
        if due >= end {
            return true;
        }
        let payload = self.batch();
        let put = self.put(payload, due).await;
        self.part.published += u64::from(put);
        put
    }

    fn batch(&mut self) -> Bytes {
        let uptime_us = self.uptime_us();
        self.template.message(Patch {
            sequence: self.sequence,
            oldest: self.sequence.saturating_sub(self.outstanding),
            uptime_us,
            first_ordinal: self.part.published * u64::from(self.spec.strokes),
            first_uptime_us: uptime_us.saturating_sub(1_000_000),
        })
    }

    /// Publishes, taking acknowledgements until there is room.
    async fn put(&mut self, payload: Bytes, due: Instant) -> bool {
        loop {
            match self
                .publisher
                .try_publish(&self.topic, payload.clone(), self.sequence, false)
            {
                Ok(()) => {
                    self.sent(due);
                    return true;
                }
                Err(PublishError::Full) => {
                    if !self.take_ack().await {
                        return false;
                    }
                }
                Err(_) => return false,
            }
        }
    }

    fn sent(&mut self, due: Instant) {
        let slot = self.sequence as usize % self.due.len().max(1);
        if let Some(slot) = self.due.get_mut(slot) {
            *slot = due;
        }
        self.sequence += 1;
        self.outstanding += 1;
    }

    /// Waits for an acknowledgement, but not for ever, and takes those behind it.
    async fn take_ack(&mut self) -> bool {
        let patience = self.spec.duration.max(Duration::from_secs(1));
        match tokio::time::timeout(patience, self.acks.recv()).await {
            Ok(Some(acked)) => self.acked(acked),
            Ok(None) | Err(_) => return false,
        }
        while let Some(acked) = self.acks.try_recv() {
            self.acked(acked);
        }
        true
    }

    fn acked(&mut self, acked: Acked) {
        self.outstanding -= 1;
        self.last_ack = Instant::now();
        let batch = (PREAMBLE..PREAMBLE + self.part.published).contains(&acked.token);
        match (acked.is_accepted(), batch) {
            (false, _) => self.part.refused += 1,
            (true, false) => {}
            (true, true) => {
                self.part.acked += 1;
                if let Some(due) = self.due.get(acked.token as usize % self.due.len().max(1)) {
                    let micros = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
                    self.part.latency_us.saturating_record(micros.min(LATENCY_MAX_US));
                }
            }
        }
    }

    async fn finish(mut self) -> Part {
        let deadline = Instant::now() + self.spec.grace;
        while self.outstanding > 0 {
            match tokio::time::timeout_at(deadline, self.acks.recv()).await {
                Ok(Some(acked)) => self.acked(acked),
                Ok(None) | Err(_) => break,
            }
        }
        self.part.unacked = self.outstanding;
        self.part.elapsed = self.last_ack.duration_since(self.started);
        self.publisher.close().await;
        self.part
    }
}

fn connect(device: &Device, target: &Target, spec: LoadSpec) -> Result<(Publisher, Acks), OptionsError> {
    let name = device.who.key().to_string();
    let mut broker = Broker::new(target.host.clone(), target.port, name.clone());
    if target.login {
        broker.username = Some(name);
        broker.password = Some(Secret::new(device.secret.clone()));
    }
    broker.tls = target.tls.clone();
    let mut options = PublisherOptions::new(broker);
    options.version = target.version;
    options.window = spec.window;
    options.outbox_messages = usize::from(spec.window) * 2;
    let (publisher, acks, _) = Publisher::start(options)?;
    Ok((publisher, acks))
}
