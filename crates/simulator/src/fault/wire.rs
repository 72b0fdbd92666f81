//! Faults of firmware and clock: transformers of what a device publishes. (A broken network changes no frame: see
//! `uplink` and `run`.)
use std::collections::VecDeque;

use prost::Message as _;
use telemetry::{DeviceId, WallTimeSource, proto};

use super::presence::Presence;
use super::{Fault, FaultKind, Truth};
use crate::device::{Content, Emission, Place, Who};
use crate::fleet::{Device, Fleet};
use crate::rng::Rng;

/// How far ahead a skewed clock is.
const SKEW_US: f64 = 2.0 * 3_600.0 * 1e6;
/// One piece of garbage after this many frames.
const GARBAGE_EVERY: u64 = 4;
/// Garbage is of this many kinds.
const GARBAGE_KINDS: u64 = 4;
/// Silence without an end of its own lasts this long.
const SILENCE_US: u64 = 30_000_000;

/// The wire of one device.
#[derive(Debug)]
pub(crate) struct Wire {
    who: Who,
    start_us: i64,
    rng: Rng,
    faults: Vec<Fault>,
    ready: VecDeque<Emission>,
    /// Frames since the garbage set in.
    frames: u64,
    skew_told: bool,
    context_told: bool,
    repeated: Option<Repeat>,
    silence: Silence,
    presence: Presence,
    last: Option<Place>,
}

/// In this boot the count is one behind.
#[derive(Debug, Clone, Copy)]
struct Repeat {
    boot: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    Before,
    Until(u64),
    Over,
}

impl Wire {
    pub(crate) fn new(fleet: &Fleet, device: &Device) -> Self {
        let who = device.who.clone();
        let stream = |name| Rng::stream(fleet.seed, &[name, who.tenant.as_str(), who.id.as_str()]);
        Self {
            rng: stream("wire"),
            presence: Presence::new(&who, &device.faults, &mut stream("presence")),
            who,
            start_us: fleet.start.0,
            faults: device.faults.clone(),
            ready: VecDeque::new(),
            frames: 0,
            skew_told: false,
            context_told: false,
            repeated: None,
            silence: Silence::Before,
            last: None,
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Emission> {
        self.ready.pop_front()
    }

    pub(crate) fn push(&mut self, emission: Emission) {
        if self.faults.is_empty() {
            self.ready.push_back(emission);
            return;
        }
        let mut emission = match self.presence.swallow(emission) {
            Ok(nothing) => return self.ready.push_back(nothing),
            Err(emission) => emission,
        };
        if self.is_silent(&mut emission) {
            if !emission.truths.is_empty() {
                self.ready.push_back(Emission {
                    content: Content::Nothing,
                    ..emission
                });
            }
            return;
        }
        self.repeat(&mut emission);
        self.skew(&mut emission);
        self.strip_context(&mut emission);
        self.cut(&mut emission);
        self.last = emission.place().or(self.last);
        let garbage = self.garbage(&emission);
        self.ready.extend(self.presence.second(&emission));
        self.ready.push_back(emission);
        self.ready.extend(garbage);
    }

    fn active(&self, kind: FaultKind, at_us: u64) -> Option<Fault> {
        self.faults
            .iter()
            .find(|fault| fault.kind == kind && fault.is_active(at_us))
            .copied()
    }

    /// Whether the device holds its tongue; tells the truth when it starts to, with the last frame that was heard.
    fn is_silent(&mut self, emission: &mut Emission) -> bool {
        let at_us = emission.at_us;
        match self.silence {
            Silence::Until(end_us) if at_us < end_us => true,
            Silence::Until(_) => {
                self.silence = Silence::Over;
                false
            }
            Silence::Over => false,
            Silence::Before => {
                let fault = self.active(FaultKind::SilentInSession, at_us);
                let in_session = emission.place().is_some_and(|place| place.session.is_some());
                let told_start = self.last.is_some_and(|last| last.session.is_some());
                let (Some(fault), true, true, Some(last)) = (fault, in_session, told_start, self.last) else {
                    return false;
                };
                let end_us = if fault.until_us == u64::MAX {
                    at_us + SILENCE_US
                } else {
                    fault.until_us
                };
                self.silence = Silence::Until(end_us);
                let detail = format!("silent for {} s, its frames are lost", (end_us - at_us) / 1_000_000);
                emission
                    .truths
                    .push(Truth::new(fault.kind, &self.who, at_us, detail).at(last));
                true
            }
        }
    }

    /// Once, one frame gets the number of the one before; from there on the count is one behind.
    fn repeat(&mut self, emission: &mut Emission) {
        let at_us = emission.at_us;
        let fault = self.active(FaultKind::DuplicateSequence, at_us);
        let (who, last) = (self.who.clone(), self.last);
        let Content::Frame(frame) = &mut emission.content else {
            return;
        };
        let Some(header) = frame.header.as_mut() else { return };
        let (Some(boot), Some(sequence)) = (header.boot_id, header.sequence) else {
            return;
        };
        match (self.repeated, fault) {
            (Some(repeat), _) if repeat.boot == boot => header.sequence = Some(sequence - 1),
            (None, Some(fault)) if last.is_some_and(|last| last.boot == boot && last.sequence + 1 == sequence) => {
                header.sequence = Some(sequence - 1);
                self.repeated = Some(Repeat { boot });
                let place = Place {
                    boot,
                    sequence: sequence - 1,
                    session: None,
                };
                let detail = format!("sequence number {} names two frames", place.sequence);
                emission
                    .truths
                    .push(Truth::new(fault.kind, &who, at_us, detail).at(place));
            }
            _ => {}
        }
    }

    fn skew(&mut self, emission: &mut Emission) {
        let at_us = emission.at_us;
        let Some(fault) = self.active(FaultKind::ClockSkew, at_us) else {
            return;
        };
        let ahead_us = (SKEW_US * fault.strength) as i64;
        let place = emission.place();
        let Content::Frame(frame) = &mut emission.content else {
            return;
        };
        let Some(header) = frame.header.as_mut() else { return };
        // A pen without a clock gets one, or there would be nothing to skew; and it says that it was set over the network, or
        // no gateway would believe it in the first place.
        let right = header.wall_time_us.unwrap_or(self.start_us + at_us as i64);
        header.wall_time_us = Some(right + ahead_us);
        header.wall_time_source = Some(WallTimeSource::Ntp.to_wire());
        if let (Some(place), false) = (place, self.skew_told) {
            self.skew_told = true;
            let detail = format!("wall clock {} s ahead", ahead_us / 1_000_000);
            emission
                .truths
                .push(Truth::new(fault.kind, &self.who, at_us, detail).at(place));
        }
    }

    fn strip_context(&mut self, emission: &mut Emission) {
        let at_us = emission.at_us;
        let Some(fault) = self.active(FaultKind::ContextMissing, at_us) else {
            return;
        };
        let place = emission.place();
        let Content::Frame(frame) = &mut emission.content else {
            return;
        };
        let first = match &mut frame.body {
            Some(proto::frame::Body::StrokeBatch(batch)) => {
                batch.zone = None;
                batch.depth_setpoint_um = None;
                batch.first_ordinal
            }
            Some(proto::frame::Body::PulseBatch(batch)) => {
                for pulse in &mut batch.pulses {
                    pulse.zone = None;
                    pulse.skin_type = None;
                }
                batch.pulses.first().and_then(|pulse| pulse.ordinal)
            }
            _ => return,
        };
        if let (Some(place), Some(ordinal), false) = (place, first, self.context_told) {
            self.context_told = true;
            let truth = Truth::new(fault.kind, &self.who, at_us, "no zone, setpoint and skin type");
            emission.truths.push(truth.at(place).ordinal(ordinal));
        }
    }

    /// The cut itself is the network's; only its truth is told here, with the first frame that is held back.
    fn cut(&mut self, emission: &mut Emission) {
        let at_us = emission.at_us;
        let Some(fault) = self.active(FaultKind::DroppedNetwork, at_us) else {
            return;
        };
        let Some(place) = emission.place() else { return };
        let begun = |f: &Fault| *f == fault;
        if let Some(index) = self.faults.iter().position(begun) {
            // Told once: the window stays with `uplink`, which has its own copy.
            self.faults.remove(index);
        }
        let seconds = fault.until_us.saturating_sub(fault.after_us) / 1_000_000;
        let detail = format!("connection cut for {seconds} s; every frame must arrive afterwards");
        emission
            .truths
            .push(Truth::new(fault.kind, &self.who, at_us, detail).at(place));
    }

    fn garbage(&mut self, emission: &Emission) -> Option<Emission> {
        let fault = self.active(FaultKind::GarbageFirmware, emission.at_us)?;
        let Content::Frame(frame) = &emission.content else {
            return None;
        };
        let turn = self.frames;
        self.frames += 1;
        if !turn.is_multiple_of(GARBAGE_EVERY) {
            return None;
        }
        let which = turn / GARBAGE_EVERY;
        let (bytes, reason) = match which % GARBAGE_KINDS {
            0 => (self.noise(), "malformed"),
            1 => (self.truncated(frame), "malformed"),
            2 => (unequal_columns(frame), "columns"),
            _ => (wrong_device(frame), "identity_mismatch"),
        };
        // Each kind is told once.
        let truths = (which < GARBAGE_KINDS)
            .then(|| {
                let detail = format!("to be refused as {reason}");
                let truth = Truth::new(fault.kind, &self.who, emission.at_us, detail);
                emission.place().map_or(truth.clone(), |place| truth.at(place))
            })
            .into_iter()
            .collect();
        Some(Emission {
            at_us: emission.at_us,
            content: Content::Garbage(bytes),
            truths,
        })
    }

    /// Random bytes behind a wire type that protobuf does not have.
    fn noise(&mut self) -> Vec<u8> {
        let len = self.rng.between(8, 200);
        std::iter::once(0x07)
            .chain((0..len).map(|_| self.rng.bits() as u8))
            .collect()
    }

    fn truncated(&mut self, frame: &proto::Frame) -> Vec<u8> {
        let mut bytes = frame.encode_to_vec();
        let keep = self.rng.between(1, bytes.len() as u64 / 3) as usize;
        bytes.truncate(keep);
        bytes
    }
}

fn unequal_columns(frame: &proto::Frame) -> Vec<u8> {
    let mut frame = frame.clone();
    frame.body = Some(proto::frame::Body::StrokeBatch(proto::StrokeBatch {
        first_ordinal: Some(0),
        first_uptime_us: Some(0),
        depth_um: vec![250; 5],
        interval_us: vec![0, 9_000, 9_000],
        ..proto::StrokeBatch::default()
    }));
    frame.encode_to_vec()
}

fn wrong_device(frame: &proto::Frame) -> Vec<u8> {
    let mut frame = frame.clone();
    if let Some(header) = frame.header.as_mut() {
        // An id that no fleet of ours has.
        header.device_id = DeviceId::new("somebody-else").ok().map(String::from);
    }
    frame.encode_to_vec()
}
