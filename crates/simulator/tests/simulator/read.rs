//! Reads frames back as a receiver would: through the one door of `telemetry`, knowing nothing of the simulator's inside.
use std::time::Duration;

use simulator::{FaultKind, FaultSpec, Fleet, FleetSpec, Span, TimedFrame, Truth};
use telemetry::{Body, Channel, Header, Rejected, StrokeBatch, Telemetry, Topic, decode, decode_status};

/// A decoded frame with the device's index and its arrival.
pub(crate) struct Read {
    pub(crate) at_us: u64,
    pub(crate) device: usize,
    pub(crate) decoded: Result<Telemetry, Rejected>,
}

impl Read {
    pub(crate) fn header(&self) -> &Header {
        &self.decoded.as_ref().expect("decodes").header
    }

    pub(crate) fn body(&self) -> &Body {
        &self.decoded.as_ref().expect("decodes").body
    }

    pub(crate) fn strokes(&self) -> Option<&StrokeBatch> {
        match self.decoded.as_ref().map(|t| &t.body) {
            Ok(Body::Strokes(batch)) => Some(batch),
            _ => None,
        }
    }
}

pub(crate) const fn seconds(min: u64, max: u64) -> Span {
    Span {
        min: Duration::from_secs(min),
        max: Duration::from_secs(max),
    }
}

/// A clinic in a compressed day.
pub(crate) fn small() -> FleetSpec {
    FleetSpec {
        clinics: vec![1],
        pens_per_clinic: 4,
        ipl_per_clinic: 2,
        opening: seconds(2, 5),
        session: seconds(15, 40),
        gap: seconds(5, 9),
        battery_swaps: 0.2,
        sterilize_every: Duration::from_secs(60),
        ..FleetSpec::default()
    }
}

pub(crate) fn faulty(seed: u64, spec: &FleetSpec, faults: &[FaultSpec]) -> Fleet {
    Fleet::generate(seed, spec).unwrap().with_faults(faults).unwrap()
}

/// One fault at the first device that it can befall.
pub(crate) fn one(kind: FaultKind, after_s: u64) -> FaultSpec {
    FaultSpec {
        nth: Some(vec![0]),
        ..FaultSpec::new(kind, Duration::from_secs(after_s))
    }
}

/// Everything on telemetry topics, and the truths. Statuses are checked to decode.
pub(crate) fn read(fleet: &Fleet, seconds: u64) -> (Vec<Read>, Vec<Truth>) {
    let (mut reads, mut truths) = (Vec::new(), Vec::new());
    for frame in fleet.frames(Duration::from_secs(seconds)) {
        truths.extend(frame.truths.iter().cloned());
        if frame.is_published() {
            reads.extend(read_one(&frame));
        }
    }
    (reads, truths)
}

fn read_one(frame: &TimedFrame) -> Option<Read> {
    let topic: Topic = frame.topic.parse().expect("a topic of ours");
    if topic.channel == Channel::Status {
        decode_status(&topic, &frame.payload).expect("a status");
        assert!(frame.retain, "a status is retained");
        return None;
    }
    Some(Read {
        at_us: frame.at_us,
        device: frame.device,
        decoded: decode(&topic, &frame.payload),
    })
}
