//! Faults of presence: a device that never speaks, one that is put away, and two machines under one identity.
use telemetry::proto;

use super::{Fault, FaultKind, Truth};
use crate::device::{Content, Emission, Who};
use crate::rng::Rng;

/// How often the second machine speaks.
const SECOND_EVERY_US: u64 = 5_000_000;

/// What a device's presence is, by its faults.
#[derive(Debug)]
pub(crate) struct Presence {
    who: Who,
    faults: Vec<Fault>,
    /// Whether a session goes on after what was said last.
    in_session: bool,
    /// Which silence was told.
    told: Option<FaultKind>,
    second: Second,
}

/// The other machine.
#[derive(Debug)]
struct Second {
    boot: u64,
    sequence: u64,
    /// When it was switched on, and when it speaks again.
    on_us: Option<u64>,
    due_us: u64,
}

impl Presence {
    pub(crate) fn new(who: &Who, faults: &[Fault], rng: &mut Rng) -> Self {
        Self {
            who: who.clone(),
            faults: faults.to_vec(),
            in_session: false,
            told: None,
            second: Second {
                boot: rng.bits(),
                sequence: 0,
                on_us: None,
                due_us: 0,
            },
        }
    }

    fn active(&self, kind: FaultKind, at_us: u64) -> bool {
        self.faults.iter().any(|f| f.kind == kind && f.is_active(at_us))
    }

    /// What the device would say, if it is not to be heard: with the truth of that, once.
    pub(crate) fn swallow(&mut self, emission: Emission) -> Result<Emission, Emission> {
        let at_us = emission.at_us;
        let kept_on = self.in_session;
        let (kind, detail) = if self.active(FaultKind::NeverSpeaks, at_us) {
            (FaultKind::NeverSpeaks, "registered and expected, and says nothing")
        } else if self.active(FaultKind::GoneAway, at_us) && (self.told == Some(FaultKind::GoneAway) || !kept_on) {
            (FaultKind::GoneAway, "put away, says nothing any more")
        } else {
            self.in_session = is_within_session(&emission);
            return Err(emission);
        };
        let first = self.told.replace(kind) != Some(kind);
        let truth = first.then(|| Truth::new(kind, &self.who, at_us, detail));
        Ok(Emission {
            at_us,
            content: Content::Nothing,
            truths: truth.into_iter().collect(),
        })
    }

    /// What the second machine says just before the first one does, if it is its turn.
    pub(crate) fn second(&mut self, emission: &Emission) -> Option<Emission> {
        let at_us = emission.at_us;
        let Content::Frame(frame) = &emission.content else {
            return None;
        };
        if !self.active(FaultKind::SharedIdentity, at_us) || at_us < self.second.due_us {
            return None;
        }
        let mut header = frame.header.clone()?;
        let second = &mut self.second;
        let truth = second.on_us.is_none().then(|| {
            let detail = "a second machine speaks under this identity";
            Truth::new(FaultKind::SharedIdentity, &self.who, at_us, detail)
        });
        let on_us = *second.on_us.get_or_insert(at_us);
        header.boot_id = Some(second.boot);
        header.sequence = Some(second.sequence);
        header.uptime_us = Some(at_us - on_us);
        (header.session_id, header.session_start_uptime_us, header.visit_id) = (None, None, None);
        second.sequence += 1;
        second.due_us = at_us + SECOND_EVERY_US;
        let frame = proto::Frame {
            header: Some(header),
            body: Some(proto::frame::Body::Heartbeat(proto::Heartbeat::default())),
        };
        Some(Emission {
            at_us,
            content: Content::Frame(Box::new(frame)),
            truths: truth.into_iter().collect(),
        })
    }
}

fn is_within_session(emission: &Emission) -> bool {
    let ends = match &emission.content {
        Content::Frame(frame) => matches!(frame.body, Some(proto::frame::Body::SessionEnd(_))),
        _ => false,
    };
    !ends && emission.place().is_some_and(|place| place.session.is_some())
}
