//! An IPL unit: every pulse goes out at once, because one pulse can burn.
//!
//! Pulses are 2 x 2.5 ms with 10 ms between (published settings), on a spot of 4.8 cm². Assumed: a unit's energy is off by
//! a constant within ±2 % and each pulse by another 1 %, in all within ±5 %; 1.2 to 3 s between pulses; a lamp good for
//! 300,000 shots whose output has fallen by 10 % then, quadratically (no curve of energy over shots was found); skin
//! starts at 32 °C and warms by about 1.5 °C a pulse against a tip at 5 °C.
use telemetry::{FlushReason, SkinType, Zone, proto};

use super::Emission;
use super::core::{Core, HEARTBEAT_IN_SESSION_US, InSession};
use crate::fault::{FaultKind, LightFault, Truth};
use crate::fleet::Fleet;
use crate::visit::{Session, Step, Visit, Visits};

/// Spot area of the model in square millimetres.
pub(crate) const SPOT_MM2: u32 = 480;
/// Between two pulses.
const REPEAT_US: (u64, u64) = (1_200_000, 3_000_000);
/// From a zone's start to its first pulse.
const AIM_US: (u64, u64) = (900_000, 1_500_000);
/// Shots of a lamp's rated life.
const LAMP_LIFE: u64 = 300_000;
/// Widest relative deviation of a healthy pulse.
const HEALTHY_DEVIATION: f64 = 0.05;
/// Excess of a pulse with `lamp-over-energy`.
const OVER_ENERGY: f64 = 0.35;
/// A worn lamp: where it starts, what each pulse loses, where it ends, and from where on it offends.
const WORN_START: f64 = 0.10;
const WORN_PER_PULSE: f64 = 0.005;
const WORN_END: f64 = 0.40;
const WORN_OFFENDS: f64 = 0.20;

/// An IPL unit.
#[derive(Debug)]
pub(super) struct Ipl {
    core: Core,
    visits: Visits,
    visit: Option<Visit>,
    run: Option<Run>,
    lamp: String,
    lamp_shots: u64,
    faults: Vec<LightFault>,
    bias: f64,
    pulse_sigma: f64,
    lamp_loss: f64,
    worn_pulses: u64,
    over_told: bool,
    careless_told: bool,
    worn_told: bool,
    booted: bool,
}

#[derive(Debug)]
struct Run {
    step: usize,
    ordinal: u64,
    next_pulse_us: u64,
    /// The last pulse in this zone.
    previous_us: Option<u64>,
    skin_c: f64,
}

impl Ipl {
    pub(super) fn new(fleet: &Fleet, mut core: Core) -> Self {
        let has = |kind| core.device.faults.iter().any(|f| f.kind == kind);
        let shots = if has(FaultKind::LampPastLife) {
            LAMP_LIFE
        } else if has(FaultKind::LampAgeing) {
            core.rng.between(290_000, 310_000)
        } else {
            core.rng.between(5_000, 60_000)
        };
        Self {
            visits: Visits::new(fleet, &core.device),
            visit: None,
            run: None,
            lamp: format!("LAMP-{:06X}", core.rng.bits() & 0xff_ffff),
            lamp_shots: shots,
            faults: LightFault::among(&core.device.faults),
            bias: core.rng.uniform(-0.02, 0.02),
            pulse_sigma: fleet.spec.noise.pulse_sigma,
            lamp_loss: fleet.spec.noise.lamp_loss,
            worn_pulses: 0,
            over_told: false,
            careless_told: false,
            worn_told: false,
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
            if !self.booted {
                self.booted = true;
                let at_us = self.core.power_on_us();
                let birth = proto::Birth {
                    lamp_serial: Some(self.lamp.clone()),
                    lamp_shot_count: Some(self.lamp_shots),
                    ..self.core.birth()
                };
                self.core.boot(at_us, birth);
            } else if self.run.is_some() {
                self.treat();
            } else {
                self.idle();
            }
        }
    }

    fn idle(&mut self) {
        let Some(visit) = self.visit.take().or_else(|| self.visits.next()) else {
            return;
        };
        if self.core.heartbeat_due_us < visit.start_us {
            let due = self.core.heartbeat_due_us;
            self.core.heartbeat(due);
        } else {
            self.start_session(&visit);
        }
        self.visit = Some(visit);
    }

    fn start_session(&mut self, visit: &Visit) {
        let Some(session) = visit.sessions.first() else { return };
        let at_us = session.start_us;
        self.core.in_session = Some(InSession {
            session: session.id,
            visit: visit.id,
            started_us: at_us,
        });
        let truth = |(kind, detail)| Truth::new(kind, self.core.who(), at_us, detail).at(self.core.place());
        let truths = visit.offences().into_iter().map(truth).collect();
        let start = proto::SessionStart {
            skin_type: Some(visit.skin.to_wire()),
            days_since_last_treatment: visit.days_since_last,
            lamp_serial: Some(self.lamp.clone()),
            ..proto::SessionStart::default()
        };
        self.core
            .emit_with(at_us, proto::frame::Body::SessionStart(start), truths);
        self.core.heartbeat_due_us = at_us + HEARTBEAT_IN_SESSION_US;
        let next_pulse_us = at_us + self.core.rng.between(AIM_US.0, AIM_US.1);
        self.run = Some(Run {
            step: 0,
            ordinal: 0,
            next_pulse_us,
            previous_us: None,
            skin_c: 32.0,
        });
    }

    fn treat(&mut self) {
        let (Some(mut run), Some(visit)) = (self.run.take(), self.visit.take()) else {
            return;
        };
        let Some(session) = visit.sessions.first() else { return };
        match session.steps.get(run.step) {
            None => self.end_session(session, run.ordinal),
            Some(step) => {
                if run.next_pulse_us < step.end_us.min(self.core.heartbeat_due_us) {
                    self.pulse(&mut run, step, visit.skin);
                } else if self.core.heartbeat_due_us < step.end_us {
                    let due = self.core.heartbeat_due_us;
                    self.core.heartbeat(due);
                } else {
                    run.step += 1;
                    run.next_pulse_us = step.end_us + self.core.rng.between(AIM_US.0, AIM_US.1);
                    run.skin_c = 32.0;
                    run.previous_us = None;
                }
                self.run = Some(run);
                self.visit = Some(visit);
            }
        }
    }

    fn pulse(&mut self, run: &mut Run, step: &Step, skin: SkinType) {
        let at_us = run.next_pulse_us;
        let (factor, offence) = self.factor(at_us);
        let careless =
            step.setting > step.limit && !std::mem::replace(&mut self.careless_told, step.setting > step.limit);
        let offence = offence.or(careless.then_some(FaultKind::FluenceAboveLimit));
        let energy_set_mj = step.setting * SPOT_MM2 / 100;
        let energy_mj = (f64::from(energy_set_mj) * factor).round() as u32;
        self.lamp_shots += 1;
        run.skin_c = (run.skin_c + self.core.rng.uniform(1.2, 1.8)).min(36.0 + self.core.rng.uniform(0.0, 1.0));
        let mut pulse = proto::Pulse {
            ordinal: Some(run.ordinal),
            uptime_us: Some(self.core.uptime_us(at_us)),
            energy_set_mj: Some(energy_set_mj),
            energy_measured_mj: Some(energy_mj),
            fluence_set_mj_per_cm2: Some(step.setting),
            fluence_measured_mj_per_cm2: Some((f64::from(energy_mj) * 100.0 / f64::from(SPOT_MM2)).round() as u32),
            skin_temperature_mdegc: Some((run.skin_c * 1_000.0) as i32),
            tip_temperature_mdegc: Some(5_000 + (300.0 * self.core.rng.gaussian()) as i32),
            lamp_shot_count: Some(self.lamp_shots),
            ..steady(step.zone, skin)
        };
        let mut offences: Vec<FaultKind> = offence.into_iter().collect();
        for fault in &mut self.faults {
            if fault.apply(&mut pulse, at_us, run.previous_us) {
                offences.push(fault.fault.kind);
            }
        }
        run.previous_us = Some(at_us);
        let beyond = factor > 1.0 + 0.20;
        let reason = if beyond {
            FlushReason::Limit
        } else {
            FlushReason::Period
        };
        let truths = offences
            .into_iter()
            .map(|kind| {
                let detail = format!("energy {energy_mj} mJ, set {energy_set_mj} mJ, skin type {skin}");
                Truth::new(kind, self.core.who(), at_us, detail)
                    .at(self.core.place())
                    .ordinal(run.ordinal)
            })
            .collect();
        let body = proto::PulseBatch {
            pulses: vec![pulse],
            flush_reason: Some(reason.to_wire()),
        };
        self.core.emit_with(at_us, proto::frame::Body::PulseBatch(body), truths);
        run.ordinal += 1;
        let usual = self.core.rng.between(REPEAT_US.0, REPEAT_US.1);
        let hasty = self.faults.iter().find_map(|fault| fault.repeat_us(at_us));
        run.next_pulse_us = at_us + hasty.unwrap_or(usual);
    }

    /// Measured over set energy, and the fault that offends for the first time with this pulse.
    fn factor(&mut self, at_us: u64) -> (f64, Option<FaultKind>) {
        let noise = self.bias + self.pulse_sigma * self.core.rng.gaussian();
        let used = self.lamp_shots.min(LAMP_LIFE) as f64 / LAMP_LIFE as f64;
        let healthy = (noise - self.lamp_loss * used * used).clamp(-HEALTHY_DEVIATION, HEALTHY_DEVIATION);
        let active = |kind| {
            self.core
                .device
                .faults
                .iter()
                .find(move |f| f.kind == kind && f.is_active(at_us))
                .copied()
        };
        if let Some(fault) = active(FaultKind::LampOverEnergy) {
            let first = !std::mem::replace(&mut self.over_told, true);
            return (
                1.0 + OVER_ENERGY * fault.strength + noise,
                first.then_some(FaultKind::LampOverEnergy),
            );
        }
        if let Some(fault) = active(FaultKind::LampAgeing) {
            let per_pulse = WORN_PER_PULSE * fault.strength;
            let loss = (WORN_START + per_pulse * self.worn_pulses as f64).min(WORN_END);
            self.worn_pulses += 1;
            let first = loss >= WORN_OFFENDS && !std::mem::replace(&mut self.worn_told, loss >= WORN_OFFENDS);
            return (
                1.0 - loss + 0.01 * self.core.rng.gaussian(),
                first.then_some(FaultKind::LampAgeing),
            );
        }
        (1.0 + healthy, None)
    }

    fn end_session(&mut self, session: &Session, pulses: u64) {
        let end = proto::SessionEnd {
            strokes_total: None,
            pulses_total: Some(pulses),
            reason: Some(session.reason.to_wire()),
        };
        self.core.emit(session.end_us, proto::frame::Body::SessionEnd(end));
        self.core.in_session = None;
        self.core.heartbeat_due_us = session.end_us + super::core::HEARTBEAT_IDLE_US;
    }
}

/// What is the same for every pulse.
fn steady(zone: Zone, skin: SkinType) -> proto::Pulse {
    proto::Pulse {
        width_us: Some(15_000),
        sub_pulse_count: Some(2),
        sub_pulse_delay_us: Some(10_000),
        filter_cutoff_nm: Some(if skin >= SkinType::IV { 590 } else { 560 }),
        spot_area_mm2: Some(SPOT_MM2),
        zone: Some(zone.to_wire()),
        skin_type: Some(skin.to_wire()),
        fired: Some(true),
        ..proto::Pulse::default()
    }
}
