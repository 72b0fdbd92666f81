//! The batch that a pen fills: one zone, one setpoint, at most a second, sent early when a stroke crosses the limit.
use telemetry::{FlushReason, proto};

use crate::fault::Truth;
use crate::visit::Step;

/// After a first immediate one, batches with strokes beyond the limit go out at most this often.
const LIMIT_FLUSH_US: u64 = 100_000;

/// Strokes on their way into one frame.
#[derive(Debug)]
pub(super) struct OpenBatch {
    pub(super) first_us: u64,
    first_ordinal: u64,
    end_us: u64,
    depth_um: Vec<u32>,
    interval_us: Vec<u32>,
    unread: Vec<u32>,
    last_us: u64,
    /// A stroke beyond the limit is inside.
    beyond: bool,
    pub(super) truths: Vec<Truth>,
}

/// One stroke of the motor.
#[derive(Debug, Clone, Copy)]
pub(super) struct MadeStroke {
    pub(super) at_us: u64,
    pub(super) interval_us: u64,
    pub(super) depth_um: u32,
    pub(super) read: bool,
    pub(super) beyond: bool,
}

impl OpenBatch {
    pub(super) fn new(first_us: u64, first_ordinal: u64) -> Self {
        Self {
            first_us,
            first_ordinal,
            end_us: first_us,
            depth_um: Vec::with_capacity(160),
            interval_us: Vec::with_capacity(160),
            unread: Vec::new(),
            last_us: first_us,
            beyond: false,
            truths: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, stroke: MadeStroke) {
        if !stroke.read {
            self.unread.push(self.depth_um.len() as u32);
        }
        self.depth_um.push(if stroke.read { stroke.depth_um } else { 0 });
        self.interval_us.push((stroke.at_us - self.last_us) as u32);
        self.last_us = stroke.at_us;
        self.end_us = stroke.at_us + stroke.interval_us;
        self.beyond |= stroke.beyond;
    }

    /// When it has to go out, and why.
    pub(super) fn due(&self, batch_us: u64, last_limit_flush_us: Option<u64>) -> (u64, FlushReason) {
        let period = self.first_us + batch_us;
        if self.beyond {
            let limit = last_limit_flush_us
                .map_or(0, |last| last + LIMIT_FLUSH_US)
                .max(self.end_us);
            if limit <= period {
                return (limit, FlushReason::Limit);
            }
        }
        (period, FlushReason::Period)
    }

    /// The frame's body. Pens whose motor runs evenly leave the intervals out.
    pub(super) fn into_body(
        self,
        (first_uptime_us, step, cartridge): (u64, &Step, &str),
        reason: FlushReason,
        evenly: bool,
    ) -> (proto::frame::Body, Vec<Truth>) {
        let batch = proto::StrokeBatch {
            first_ordinal: Some(self.first_ordinal),
            first_uptime_us: Some(first_uptime_us),
            duration_us: Some((self.end_us - self.first_us) as u32),
            zone: Some(step.zone.to_wire()),
            depth_setpoint_um: Some(step.setting),
            depth_limit_um: Some(step.limit),
            depth_um: self.depth_um,
            interval_us: if evenly { Vec::new() } else { self.interval_us },
            unread_index: self.unread,
            flush_reason: Some(reason.to_wire()),
            cartridge_serial: Some(cartridge.to_owned()),
        };
        (proto::frame::Body::StrokeBatch(batch), self.truths)
    }
}
