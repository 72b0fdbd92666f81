//! From a device to whoever listens, without MQTT: frames are held back while the network is down and go out in order, with
//! their own sequence numbers, when it is up again.
use std::collections::VecDeque;

use bytes::Bytes;
use prost::Message as _;

use crate::device::{Content, DeviceStream, Emission};
use crate::fault::{Fault, FaultKind, Truth};
use crate::fleet::Device;

/// Frames held back go out one after another with this between them.
const CATCH_UP_US: u64 = 2_000;

/// One publish as it arrives.
#[derive(Debug, Clone, PartialEq)]
pub struct TimedFrame {
    /// When it arrives, in simulated microseconds since the start.
    pub at_us: u64,
    /// Index of the device in [`crate::Fleet::devices`].
    pub device: usize,
    /// Its topic.
    pub topic: String,
    /// Its payload; empty for a truth without a publish.
    pub payload: Bytes,
    /// Whether it is to be retained.
    pub retain: bool,
    /// What goes wrong with it.
    pub truths: Vec<Truth>,
}

impl TimedFrame {
    /// Whether anything is published: a fault that consists of silence tells its truth without a publish.
    pub fn is_published(&self) -> bool {
        !self.payload.is_empty()
    }
}

/// Whether the device's network is down, and until when.
pub(crate) fn down_until(faults: &[Fault], at_us: u64) -> Option<u64> {
    faults
        .iter()
        .find(|fault| fault.kind == FaultKind::DroppedNetwork && fault.is_active(at_us))
        .map(|fault| fault.until_us)
}

/// The bytes of an emission and whether they are to be retained, given the oldest sequence number that the device keeps.
pub(crate) fn encode(content: Content, oldest: Option<u64>) -> (Bytes, bool) {
    match content {
        Content::Frame(mut frame) => {
            if let Some(header) = frame.header.as_mut() {
                header.oldest_unacknowledged_sequence = oldest.or(header.sequence);
            }
            (frame.encode_to_vec().into(), false)
        }
        Content::Status(status) => (status.encode_to_vec().into(), true),
        Content::Garbage(bytes) => (bytes.into(), false),
        Content::Nothing => (Bytes::new(), false),
    }
}

/// The arrivals of one device.
#[derive(Debug)]
pub(crate) struct Uplink {
    index: usize,
    telemetry: String,
    status: String,
    faults: Vec<Fault>,
    stream: DeviceStream,
    held: VecDeque<TimedFrame>,
    /// The emission after those held back.
    next: Option<Emission>,
    /// Boot and sequence number of the oldest frame held back.
    oldest: Option<(u64, u64)>,
}

impl Uplink {
    pub(crate) fn new(index: usize, device: &Device, stream: DeviceStream) -> Self {
        Self {
            index,
            telemetry: device.who.topic("telemetry"),
            status: device.who.topic("status"),
            faults: device.faults.clone(),
            stream,
            held: VecDeque::new(),
            next: None,
            oldest: None,
        }
    }

    fn frame(&mut self, emission: Emission, at_us: u64) -> TimedFrame {
        let place = emission.place();
        let oldest = match (place, self.oldest) {
            (Some(place), Some((boot, sequence))) if boot == place.boot => Some(sequence),
            _ => None,
        };
        let is_status = matches!(emission.content, Content::Status(_));
        let (payload, retain) = encode(emission.content, oldest);
        TimedFrame {
            at_us,
            device: self.index,
            topic: if is_status {
                self.status.clone()
            } else {
                self.telemetry.clone()
            },
            payload,
            retain,
            truths: emission.truths,
        }
    }

    fn hold(&mut self, emission: Emission, until_us: u64) {
        if let Some(place) = emission.place()
            && self.oldest.is_none_or(|(boot, _)| boot != place.boot)
        {
            self.oldest = Some((place.boot, place.sequence));
        }
        let at_us = until_us.saturating_add(self.held.len() as u64 * CATCH_UP_US);
        let frame = self.frame(emission, at_us);
        self.held.push_back(frame);
    }

    /// The next arrival at or before `end_us`; the hold-back is bounded by it: a network that never comes back holds no
    /// more than what the caller asked for.
    pub(crate) fn next_until(&mut self, end_us: u64) -> Option<TimedFrame> {
        loop {
            let emission = self.next.take().or_else(|| self.stream.next())?;
            // What is held back arrives first, unless the network is still down.
            let arrives = self.held.front().map(|held| held.at_us);
            match (down_until(&self.faults, emission.at_us), arrives) {
                (Some(until_us), _) if emission.at_us <= end_us => self.hold(emission, until_us),
                (_, Some(at_us)) => {
                    self.next = Some(emission);
                    return if at_us <= end_us { self.held.pop_front() } else { None };
                }
                _ if emission.at_us > end_us => {
                    self.next = Some(emission);
                    return None;
                }
                _ => {
                    self.oldest = None;
                    let at_us = emission.at_us;
                    return Some(self.frame(emission, at_us));
                }
            }
        }
    }
}
