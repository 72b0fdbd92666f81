//! A pen: heartbeats when idle; in a session it strokes in passes, needles on the skin about half of the time (an
//! assumption of the volume estimate), and sends what its needles did in batches.
use telemetry::{FlushReason, proto};

use super::Emission;
use super::batch::{MadeStroke, OpenBatch};
use super::core::{Core, InSession};
use crate::fault::{DepthFault, FaultKind, Reading, Truth};
use crate::fleet::Fleet;
use crate::noise::{Excursions, Residual};
use crate::rng::Rng;
use crate::visit::{Session, Step, Visit, Visits};

/// Needles on the skin, and off it, for this long at a time. Longer than a batch, so that no batch spans two passes.
const PASS_US: (u64, u64) = (2_000_000, 6_000_000);
/// From the start of a zone to its first stroke.
const AIM_US: (u64, u64) = (300_000, 800_000);
/// Standard deviation of the motor's speed, relative.
const MOTOR_JITTER: f64 = 0.01;
/// From a battery swap's boot to the next session, at least.
const BOOT_BEFORE_SESSION_US: u64 = 2_000_000;

/// A pen.
#[derive(Debug)]
pub(super) struct Pen {
    core: Core,
    batch_us: u64,
    faults: Vec<DepthFault>,
    residual: Residual,
    excursions: Excursions,
    unread: f64,
    visits: Visits,
    visit: Option<Visit>,
    /// Index of the session within the visit.
    session: usize,
    run: Option<Run>,
    booted: bool,
}

/// A running session.
#[derive(Debug)]
struct Run {
    step: usize,
    ordinal: u64,
    batch: Option<OpenBatch>,
    last_limit_flush_us: Option<u64>,
    next_stroke_us: u64,
    pass_end_us: u64,
    previous_um: Option<u32>,
}

impl Pen {
    pub(super) fn new(fleet: &Fleet, mut core: Core) -> Self {
        let device = std::sync::Arc::clone(&core.device);
        Self {
            batch_us: crate::spec::micros(fleet.spec.batch),
            faults: DepthFault::among(&device.faults),
            residual: Residual::new(device.sigma_um, &fleet.spec.noise, &mut core.rng),
            excursions: Excursions::new(
                &fleet.spec.noise,
                Rng::stream(
                    fleet.seed,
                    &["hand", device.who.tenant.as_str(), device.who.id.as_str()],
                ),
            ),
            unread: fleet.spec.noise.unread,
            visits: Visits::new(fleet, &device),
            visit: None,
            session: 0,
            run: None,
            booted: false,
            core,
        }
    }

    /// The next emission.
    pub(super) fn next(&mut self) -> Emission {
        loop {
            if let Some(emission) = self.core.pop() {
                return emission;
            }
            self.advance();
        }
    }

    fn advance(&mut self) {
        if !self.booted {
            let at_us = self.core.power_on_us();
            self.boot(at_us);
            self.booted = true;
        } else if self.run.is_some() {
            self.treat();
        } else {
            self.idle();
        }
    }

    fn boot(&mut self, at_us: u64) {
        let device = std::sync::Arc::clone(&self.core.device);
        let birth = proto::Birth {
            depth_offset_um: device.tells_offset.then_some(device.offset_um),
            depth_sigma_um: Some(device.sigma_um),
            calibrated_day: Some(20_300),
            cartridge_serial: None,
            ..self.core.birth()
        };
        self.core.boot(at_us, birth);
    }

    fn idle(&mut self) {
        let visit = match self.visit.take() {
            Some(visit) => visit,
            None => match self.visits.next() {
                Some(visit) => visit,
                None => return,
            },
        };
        match visit.sessions.get(self.session) {
            Some(session) if self.core.heartbeat_due_us < session.start_us => {
                let due = self.core.heartbeat_due_us;
                self.core.heartbeat(due);
                self.visit = Some(visit);
            }
            Some(session) => {
                self.start_session(&visit, session);
                self.visit = Some(visit);
            }
            None => self.session = 0,
        }
    }

    fn start_session(&mut self, visit: &Visit, session: &Session) {
        let at_us = session.start_us;
        self.core.in_session = Some(InSession {
            session: session.id,
            visit: visit.id,
            started_us: at_us,
        });
        let truths = self.session_truths(visit, at_us);
        let start = proto::SessionStart {
            cartridge_serial: Some(visit.cartridge.clone()),
            cartridge_lot: Some(visit.lot.clone()),
            pack_expiry_day: Some(visit.pack_expiry_day),
            skin_type: Some(visit.skin.to_wire()),
            days_since_last_treatment: visit.days_since_last,
            lamp_serial: None,
        };
        self.core
            .emit_with(at_us, proto::frame::Body::SessionStart(start), truths);
        self.core.heartbeat_due_us = at_us + super::core::HEARTBEAT_IN_SESSION_US;
        let first = at_us + self.core.rng.between(AIM_US.0, AIM_US.1);
        let pass_end_us = first + self.core.rng.between(PASS_US.0, PASS_US.1);
        self.run = Some(Run {
            step: 0,
            ordinal: 0,
            batch: None,
            last_limit_flush_us: None,
            next_stroke_us: first,
            pass_end_us,
            previous_um: None,
        });
    }

    /// Faults that a session's start shows. A visit's second session (a battery swap) shows nothing new.
    fn session_truths(&self, visit: &Visit, at_us: u64) -> Vec<Truth> {
        if self.session > 0 {
            return Vec::new();
        }
        let truth = |kind, detail: String| Truth::new(kind, self.core.who(), at_us, detail).at(self.core.place());
        let mut truths = Vec::new();
        if visit.reused {
            truths.push(truth(
                FaultKind::ReusedCartridge,
                format!("cartridge {} again", visit.cartridge),
            ));
        }
        if let Some(clinic) = &visit.travelled {
            let detail = format!("cartridge {} again, used first at {clinic}", visit.cartridge);
            truths.push(truth(FaultKind::TravelledCartridge, detail));
        }
        truths.extend(
            visit
                .offences()
                .into_iter()
                .map(|(kind, detail)| truth(kind, detail.to_owned())),
        );
        if visit.expired {
            let detail = format!(
                "pack of cartridge {} expired on day {}",
                visit.cartridge, visit.pack_expiry_day
            );
            truths.push(truth(FaultKind::ExpiredPack, detail));
        }
        if visit.from_failed_cycle {
            let detail = "used after a failed cycle".to_owned();
            truths.push(truth(FaultKind::FailedCycle, detail).rule("failed-cycle-used"));
        }
        let first = |kind| {
            let mut faults = self.core.device.faults.iter();
            faults.find(|f| f.kind == kind && visit.number == 0)
        };
        if first(FaultKind::MissingIndicator).is_some() {
            let detail = "no indicator of its load was recorded".to_owned();
            truths.push(truth(FaultKind::MissingIndicator, detail));
        }
        if let Some(fault) = first(FaultKind::OverdueSterilization).filter(|fault| fault.strength > 0.0) {
            let detail = format!("sterilization overdue by {:.1} h", 48.0 * fault.strength);
            truths.push(truth(FaultKind::OverdueSterilization, detail));
        }
        truths
    }

    /// One event of a running session: strokes until something is due, then that.
    fn treat(&mut self) {
        let (Some(mut run), Some(visit)) = (self.run.take(), self.visit.take()) else {
            return;
        };
        if let Some(session) = visit.sessions.get(self.session) {
            match session.steps.get(run.step) {
                Some(step) => {
                    let last = run.step + 1 == session.steps.len();
                    self.stroke_until_due(&mut run, step, &visit.cartridge, last);
                    self.run = Some(run);
                }
                None => self.end_session(session, &run),
            }
        }
        self.visit = Some(visit);
    }

    fn stroke_until_due(&mut self, run: &mut Run, step: &Step, cartridge: &str, last: bool) {
        loop {
            let due = run
                .batch
                .as_ref()
                .map(|batch| batch.due(self.batch_us, run.last_limit_flush_us));
            let flush_us = due.map_or(u64::MAX, |(at_us, _)| at_us);
            let next_event_us = flush_us.min(self.core.heartbeat_due_us).min(step.end_us);
            let interval_us = self.interval_us(step, run.next_stroke_us);
            if run.next_stroke_us + interval_us <= next_event_us {
                self.stroke(run, step, interval_us);
                continue;
            }
            if next_event_us == self.core.heartbeat_due_us && flush_us > next_event_us {
                self.core.heartbeat(next_event_us);
            } else if let (Some((at_us, reason)), true) = (due, flush_us <= step.end_us) {
                self.flush(run, step, cartridge, at_us, reason);
            } else {
                self.leave_zone(run, step, cartridge, last);
            }
            return;
        }
    }

    fn leave_zone(&mut self, run: &mut Run, step: &Step, cartridge: &str, last: bool) {
        let reason = if last {
            FlushReason::SessionEnd
        } else {
            FlushReason::Context
        };
        self.flush(run, step, cartridge, step.end_us, reason);
        run.step += 1;
        run.next_stroke_us = step.end_us + self.core.rng.between(AIM_US.0, AIM_US.1);
        run.pass_end_us = run.next_stroke_us + self.core.rng.between(PASS_US.0, PASS_US.1);
    }

    /// The time that the next stroke takes.
    fn interval_us(&mut self, step: &Step, at_us: u64) -> u64 {
        let slower: f64 = self.faults.iter().map(|fault| fault.slower(at_us)).product();
        let even = 1_000_000_000.0 / f64::from(step.rate_mhz.max(1)) * slower;
        if self.core.device.evenly {
            return even as u64;
        }
        (even * (1.0 + MOTOR_JITTER * self.core.rng.gaussian())).max(1.0) as u64
    }

    fn stroke(&mut self, run: &mut Run, step: &Step, interval_us: u64) {
        let at_us = run.next_stroke_us;
        let (deeper_um, seen) = self.excursions.next(f64::from(step.rate_mhz) * 0.06);
        let noise_um = self.residual.next(&mut self.core.rng) + deeper_um;
        let offset = f64::from(self.core.device.offset_um);
        let healthy = (f64::from(step.setting) + offset + noise_um).round().max(0.0) as u32;
        let mut reading = Reading {
            at_us,
            zone: step.zone,
            setpoint_um: step.setting,
            limit_um: step.limit,
            rate_mhz: step.rate_mhz,
            depth_um: healthy,
            noise_um,
            previous_um: run.previous_um,
        };
        let batch = run.batch.get_or_insert_with(|| OpenBatch::new(at_us, run.ordinal));
        let mut offends = false;
        for fault in &mut self.faults {
            let (depth_um, first) = fault.apply(reading);
            reading.depth_um = depth_um;
            offends |= first;
            if first {
                let detail = fault.detail(depth_um, &reading);
                batch
                    .truths
                    .push(Truth::new(fault.fault.kind, self.core.who(), at_us, detail).ordinal(run.ordinal));
            }
        }
        // The stroke that the truth names is one that can be seen.
        let read = !self.core.rng.chance(self.unread) && seen || offends;
        let beyond = read && reading.depth_um > step.limit;
        batch.push(MadeStroke {
            at_us,
            interval_us,
            depth_um: reading.depth_um,
            read,
            beyond,
        });
        run.previous_um = if read { Some(reading.depth_um) } else { run.previous_um };
        run.ordinal += 1;
        run.next_stroke_us = at_us + interval_us;
        if run.next_stroke_us >= run.pass_end_us {
            run.next_stroke_us += self.core.rng.between(PASS_US.0, PASS_US.1);
            run.pass_end_us = run.next_stroke_us + self.core.rng.between(PASS_US.0, PASS_US.1);
        }
    }

    fn flush(&mut self, run: &mut Run, step: &Step, cartridge: &str, at_us: u64, reason: FlushReason) {
        let Some(batch) = run.batch.take() else { return };
        if reason == FlushReason::Limit {
            run.last_limit_flush_us = Some(at_us);
        }
        let first_uptime_us = self.core.uptime_us(batch.first_us);
        let evenly = self.core.device.evenly;
        let (body, truths) = batch.into_body((first_uptime_us, step, cartridge), reason, evenly);
        let place = self.core.place();
        let truths = truths.into_iter().map(|truth| truth.at(place)).collect();
        self.core.emit_with(at_us, body, truths);
    }

    fn end_session(&mut self, session: &Session, run: &Run) {
        let end = proto::SessionEnd {
            strokes_total: Some(run.ordinal),
            pulses_total: None,
            reason: Some(session.reason.to_wire()),
        };
        self.core.emit(session.end_us, proto::frame::Body::SessionEnd(end));
        self.core.in_session = None;
        self.core.heartbeat_due_us = session.end_us + super::core::HEARTBEAT_IDLE_US;
        self.session += 1;
        if session.reason == telemetry::SessionEndReason::Battery {
            self.boot(session.end_us + BOOT_BEFORE_SESSION_US);
        }
    }
}
