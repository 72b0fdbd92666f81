//! A simulated fleet through the rules, in simulated time: as gateway and alerting do it, without sockets, logs and disks.
//!
//! What is left out: the spool's framing and checksums, the gateway's admission beside decoding and anchors, SQLite, and
//! everything behind the outbox. What a person does is one thing here: acknowledge, if asked for.
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use alerting::RegistryFleet;
use alerting::engine::{Outcome, Transition};
use alerting::id::AlertId;
use alerting::intake::{Frame, Input, Refused, Said, classify};
use alerting::rehearsal::Rehearsal;
use alerting::rules::Ruleset;
use anyhow::{Context, Result};
use gateway::ledger::{Anchors, ClockPolicy};
use gateway::quarantine::tally::Tally;
use registry::Registry;
use simulator::{Fleet, TimedFrame, Truth};
use telemetry::{
    Admitted, Body, Channel, ClockQuality, Content, GatewayId, Origin, RejectReason, SessionId, Telemetry, Topic,
    UnixMicros, decode, decode_status,
};

/// How often a gateway says how far it is, in simulated microseconds.
const WATERMARK_EVERY_US: u64 = 1_000_000;

/// One step of an alert, and when in simulated time.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// Simulated microseconds since the start.
    pub(crate) at_us: u64,
    /// Strokes or pulses of its session that had been delivered by then, where a reading moved it.
    pub(crate) delivered: Option<(SessionId, u64)>,
    pub(crate) step: Transition,
}

impl Told {
    /// Whether a person is told.
    pub(crate) fn pages(&self) -> bool {
        self.step.page && self.step.alert.class.pages()
    }
}

/// What a fleet did and what the rules made of it.
#[derive(Debug, Default)]
pub(crate) struct Played {
    pub(crate) told: Vec<Told>,
    pub(crate) truths: Vec<Truth>,
    pub(crate) frames: u64,
    pub(crate) strokes: u64,
    pub(crate) pulses: u64,
    /// Messages that a gateway refuses.
    pub(crate) refused: u64,
}

/// How it is played.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    pub(crate) duration: Duration,
    /// Every page is acknowledged after this long.
    pub(crate) acknowledged_after: Option<Duration>,
}

/// The registry that a fleet would be run with.
pub(crate) fn registry_of(fleet: &Fleet) -> Result<Arc<Registry>> {
    let registry = Registry::from_sources(&fleet.registry_files());
    Ok(Arc::new(registry.context("the simulated fleet's registry")?))
}

/// Plays a fleet.
pub(crate) fn play(fleet: &Fleet, rules: Arc<Ruleset>, registry: Arc<Registry>, manner: Manner) -> Result<Played> {
    let mut stage = Stage::new(fleet, rules, registry, manner)?;
    for frame in fleet.frames(manner.duration) {
        stage.until(frame.at_us)?;
        stage.frame(frame)?;
    }
    stage.until(manner.duration.as_micros() as u64)?;
    Ok(stage.played)
}

/// One gateway a clinic.
fn gateways(fleet: &Fleet) -> Result<Vec<(GatewayId, Tally)>> {
    let mut clinics: Vec<&str> = fleet.devices().iter().map(|d| d.who.clinic.as_str()).collect();
    clinics.dedup();
    let ids = clinics
        .into_iter()
        .map(|clinic| Ok((GatewayId::new(clinic)?, Tally::default())))
        .collect::<Result<_, telemetry::IdError>>();
    ids.context("a clinic's id as a gateway's")
}

struct Stage<'a> {
    fleet: &'a Fleet,
    rehearsal: Rehearsal,
    /// By device and boot.
    anchors: HashMap<(usize, u64), Anchors>,
    gateways: Vec<(GatewayId, Tally)>,
    marked_us: u64,
    /// Pages that a person will acknowledge, in order.
    waiting: VecDeque<(u64, AlertId)>,
    manner: Manner,
    played: Played,
}

impl<'a> Stage<'a> {
    fn new(fleet: &'a Fleet, rules: Arc<Ruleset>, registry: Arc<Registry>, manner: Manner) -> Result<Self> {
        Ok(Self {
            fleet,
            rehearsal: Rehearsal::new(rules, Arc::new(RegistryFleet(registry))),
            anchors: HashMap::new(),
            gateways: gateways(fleet)?,
            marked_us: 0,
            waiting: VecDeque::new(),
            manner,
            played: Played::default(),
        })
    }

    fn wall(&self, at_us: u64) -> UnixMicros {
        self.fleet.start.plus(Duration::from_micros(at_us))
    }

    /// Watermarks, deadlines and people up to a time.
    fn until(&mut self, at_us: u64) -> Result<()> {
        while self.marked_us + WATERMARK_EVERY_US <= at_us {
            self.marked_us += WATERMARK_EVERY_US;
            let (mark_us, now) = (self.marked_us, self.wall(self.marked_us));
            for at in 0..self.gateways.len() {
                self.tell_refused(at, mark_us)?;
                let Some(gateway) = self.gateways.get(at).map(|(id, _)| id.clone()) else {
                    break;
                };
                let mark = Input::Watermark {
                    gateway,
                    received_at: now,
                    logged_at: now,
                };
                let outcome = self.rehearsal.apply(&mark)?;
                self.keep(mark_us, outcome, None);
            }
            let outcome = self.rehearsal.pass(now)?;
            self.keep(mark_us, outcome, None);
            while let Some(&(_, alert)) = self.waiting.front().filter(|(due_us, _)| *due_us <= mark_us) {
                self.waiting.pop_front();
                let outcome = self.rehearsal.acknowledge(now, "on-call", alert)?;
                self.keep(mark_us, outcome, None);
            }
        }
        Ok(())
    }

    /// What a gateway refused, as its committer tells it before a watermark.
    fn tell_refused(&mut self, at: usize, mark_us: u64) -> Result<()> {
        let now = self.wall(mark_us);
        let Some((gateway, tally)) = self.gateways.get_mut(at) else {
            return Ok(());
        };
        let counts = tally.due(now).cloned().unwrap_or_default();
        if counts.is_empty() {
            return Ok(());
        }
        tally.told(now);
        let gateway = gateway.clone();
        for (device, count) in counts {
            let refused = Refused {
                gateway: gateway.clone(),
                device,
                count: count.messages,
                reason: count.reason.as_str().to_owned(),
                received_at: count.received_at,
            };
            let outcome = self.rehearsal.apply(&Input::Refused {
                refused,
                logged_at: now,
            })?;
            self.keep(mark_us, outcome, None);
        }
        Ok(())
    }

    fn frame(&mut self, timed: TimedFrame) -> Result<()> {
        let at_us = timed.at_us;
        self.played.truths.extend(timed.truths.iter().cloned());
        if !timed.is_published() {
            return Ok(());
        }
        let Some(device) = self.fleet.devices().get(timed.device) else {
            return Ok(());
        };
        let (key, clinic) = (device.who.key(), device.who.clinic.clone());
        let (input, delivered) = match self.admit(timed) {
            Ok(admitted) => admitted,
            Err(reason) => {
                self.played.refused += 1;
                let here = self.gateways.iter_mut().find(|(id, _)| id.as_str() == clinic.as_str());
                if let Some((_, tally)) = here {
                    tally.count(&key, reason, self.fleet.start.plus(Duration::from_micros(at_us)));
                }
                return Ok(());
            }
        };
        self.played.frames += 1;
        let outcome = self.rehearsal.apply(&input)?;
        self.keep(at_us, outcome, delivered);
        Ok(())
    }

    fn keep(&mut self, at_us: u64, outcome: Outcome, delivered: Option<(SessionId, u64)>) {
        for step in outcome.transitions {
            let told = Told { at_us, delivered, step };
            if let (true, Some(after)) = (told.pages(), self.manner.acknowledged_after) {
                self.waiting
                    .push_back((at_us + after.as_micros() as u64, told.step.alert.id));
            }
            self.played.told.push(told);
        }
    }

    /// As a gateway lets it in, or why it does not.
    fn admit(&mut self, timed: TimedFrame) -> Result<(Input, Option<(SessionId, u64)>), RejectReason> {
        let device = self
            .fleet
            .devices()
            .get(timed.device)
            .ok_or(RejectReason::UnknownDevice)?;
        let received_at = self.wall(timed.at_us);
        let is_status = timed.topic.ends_with("/status");
        let channel = if is_status { Channel::Status } else { Channel::Telemetry };
        let topic = Topic {
            tenant: device.who.tenant.clone(),
            clinic: device.who.clinic.clone(),
            device: device.who.id.clone(),
            channel,
        };
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
            gateway: GatewayId::new(topic.clinic.as_str()).map_err(|_| RejectReason::BadId)?,
            retained: false,
        };
        let (said, delivered) = if is_status {
            let (status, _) = decode_status(&topic, &admitted.payload).map_err(|rejected| rejected.reason)?;
            (Said::Status(status), None)
        } else {
            let telemetry = decode(&topic, &admitted.payload).map_err(|rejected| rejected.reason)?;
            self.place(timed.device, &telemetry, &mut admitted);
            let delivered = self.count(&telemetry);
            (Said::Telemetry(Box::new(telemetry)), delivered)
        };
        let class = classify(&admitted, received_at);
        let frame = Frame {
            admitted,
            said,
            class,
            logged_at: received_at,
        };
        Ok((Input::Frame(Box::new(frame)), delivered))
    }

    /// The anchor of its boot, as the gateway's ledger fixes it.
    fn place(&mut self, device: usize, telemetry: &Telemetry, admitted: &mut Admitted) {
        let header = &telemetry.header;
        let anchors = self.anchors.entry((device, header.boot.0)).or_default();
        let policy = ClockPolicy::default();
        let placed = anchors.place(&policy, header.uptime, header.wall, admitted.received_at);
        anchors.adopt(header.uptime, placed.anchor, placed.clock);
        (admitted.anchor, admitted.clock) = (Some(placed.anchor), placed.clock);
    }

    fn count(&mut self, telemetry: &Telemetry) -> Option<(SessionId, u64)> {
        let next = match &telemetry.body {
            Body::Strokes(batch) => {
                self.played.strokes += batch.len() as u64;
                batch.next_ordinal()
            }
            Body::Pulses(batch) => {
                self.played.pulses += batch.pulses.len() as u64;
                batch.pulses.last()?.ordinal + 1
            }
            _ => return None,
        };
        Some((telemetry.header.session.as_ref()?.id, next))
    }
}
