//! One step of a case, as its file says it: what a device, a gateway or a person does, and what must follow.
use serde::Deserialize;
use telemetry::{FaultCode, IndicatorKind, Outcome, SkinType, UnixMicros, Zone, proto};

use super::T0_US;
use crate::intake::{Beat, ReceiverState, RotaState};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) struct In {
    /// Seconds after the start at which it happened.
    pub(super) at_s: f64,
    /// When it was received, if later.
    pub(super) received_s: Option<f64>,
    #[serde(default = "pen")]
    pub(super) device: String,
    /// The case's, if not given.
    pub(super) tenant: Option<String>,
    /// Where the registry has the device, if not given.
    pub(super) clinic: Option<String>,
    #[serde(default = "gateway")]
    pub(super) gateway: String,
    #[serde(default = "first_boot")]
    pub(super) boot: u64,
    pub(super) sequence: Option<u64>,
    pub(super) session: Option<u8>,
    pub(super) visit: Option<u8>,
    #[serde(default)]
    pub(super) replayed: bool,
    pub(super) strokes: Option<Strokes>,
    pub(super) pulse: Option<Pulse>,
    pub(super) start: Option<Start>,
    pub(super) birth: Option<Birth>,
    /// The device's own.
    pub(super) fault: Option<FaultCode>,
    /// Below this number the device keeps nothing.
    pub(super) oldest: Option<u64>,
    /// What the device's wall clock is ahead by, in seconds, if the gateway found that too much.
    pub(super) skewed_s: Option<f64>,
    /// The gateway remembered the number and not the payload.
    #[serde(default)]
    pub(super) maybe_seen_before: bool,
    #[serde(default)]
    pub(super) end: bool,
    pub(super) heartbeat: Option<bool>,
    pub(super) disinfection: Option<Disinfection>,
    pub(super) cycle: Option<Cycle>,
    pub(super) indicator: Option<Indicator>,
    /// Of its gateway.
    #[serde(default)]
    pub(super) watermark: bool,
    #[serde(default)]
    pub(super) tick: bool,
    /// Rules and registry are announced.
    #[serde(default)]
    pub(super) configured: bool,
    /// Acknowledges the open alert of this rule.
    pub(super) acknowledge: Option<String>,
    /// Takes the acknowledgement of the open alert of this rule back.
    pub(super) unacknowledge: Option<String>,
    pub(super) receiver: Option<Receiver>,
    /// A log of its gateway is this full, in per cent.
    pub(super) telemetry_log_percent: Option<u32>,
    /// Its gateway refused messages of the device.
    pub(super) refused: Option<Refused>,
    /// A heartbeat of this sender.
    pub(super) beat: Option<String>,
    pub(super) rota: Option<Rota>,
}

/// How long a rota has shifts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rota {
    pub(super) name: String,
    /// Seconds after the start at which its last shift ends; not given: that is not within sight.
    pub(super) ends_s: Option<f64>,
}

/// A receiver fails or takes its pages again.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Receiver {
    pub(super) name: String,
    pub(super) failing: bool,
}

/// How much was refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refused {
    pub(super) count: u64,
}

fn pen() -> String {
    "pen-1".into()
}

fn gateway() -> String {
    "gw-1".into()
}

fn first_boot() -> u64 {
    1
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Strokes {
    pub(super) first_ordinal: u64,
    pub(super) zone: Option<Zone>,
    pub(super) set_um: Option<u32>,
    /// Pairs of (how many, depth in micrometres).
    pub(super) depth_um: Vec<(usize, u32)>,
    /// How long they took.
    #[serde(default = "tenth")]
    pub(super) duration_s: f64,
    pub(super) cartridge: Option<String>,
}

fn yes() -> bool {
    true
}

fn tenth() -> f64 {
    0.1
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pulse {
    pub(super) ordinal: u64,
    pub(super) skin: Option<SkinType>,
    pub(super) zone: Option<Zone>,
    pub(super) set_mj_per_cm2: Option<u32>,
    pub(super) measured_mj_per_cm2: Option<u32>,
    pub(super) energy_set_mj: Option<u32>,
    pub(super) energy_measured_mj: Option<u32>,
    pub(super) spot_mm2: Option<u32>,
    pub(super) filter_nm: Option<u32>,
    pub(super) skin_mdegc: Option<i32>,
    pub(super) tip_mdegc: Option<i32>,
    pub(super) lamp_shots: Option<u64>,
    #[serde(default = "yes")]
    pub(super) fired: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    pub(super) cartridge: Option<String>,
    /// Since the client's last treatment.
    pub(super) days: Option<u32>,
    /// Days since 1970.
    pub(super) pack_expiry_day: Option<u32>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Birth {
    pub(super) depth_offset_um: Option<i32>,
    pub(super) serial: Option<String>,
    pub(super) lamp: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Disinfection {
    pub(super) items: Vec<String>,
    /// When it was done, if told, in seconds after the start.
    pub(super) performed_s: Option<f64>,
    #[serde(default = "intermediate")]
    pub(super) level: i32,
}

fn intermediate() -> i32 {
    2
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cycle {
    pub(super) id: String,
    pub(super) items: Vec<String>,
    pub(super) outcome: Outcome,
    /// When it ended, if told, in seconds after the start.
    pub(super) ended_s: Option<f64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Indicator {
    pub(super) kind: IndicatorKind,
    pub(super) outcome: Outcome,
    /// When its cycle ended, if told, in seconds after the start.
    pub(super) ended_s: Option<f64>,
    pub(super) cycle: Option<String>,
}

/// A transition that must follow. Value and limit are compared where they are given, to two digits.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Index of the input that causes it.
    pub input: usize,
    /// Id of the rule.
    pub rule: String,
    /// State after it.
    pub to: String,
    /// Why, as [`crate::engine::Why::as_str`] names it.
    pub why: String,
    /// Whether a person is told.
    #[serde(default)]
    pub page: bool,
    /// Worst value, in the rule's unit.
    pub value: Option<f64>,
    /// The limit, in the rule's unit.
    pub limit: Option<f64>,
}

/// Seconds after the start as a time that a device tells.
fn wall(s: f64) -> i64 {
    T0_US + (s * 1e6).round() as i64
}

impl In {
    /// Microseconds after the start at which it happened.
    pub(super) fn us(&self) -> i64 {
        (self.at_s * 1e6).round() as i64
    }

    /// What a part of the installation reports, as it would stand in the log.
    pub(super) fn report(&self, at: UnixMicros) -> Option<Vec<u8>> {
        let receiver = self.receiver.as_ref().map(|receiver| {
            let state = ReceiverState {
                receiver: receiver.name.clone(),
                failing: receiver.failing,
                reason: "connect".to_owned(),
                at,
            };
            state.encode()
        });
        let beat = |sender: &String| {
            Beat {
                sender: sender.clone(),
                at,
            }
            .encode()
        };
        let rota = |rota: &Rota| {
            RotaState {
                rota: rota.name.clone(),
                ends: rota.ends_s.map(|s| UnixMicros(wall(s))),
                at,
            }
            .encode()
        };
        let other = || self.beat.as_ref().map(beat);
        receiver.or_else(other).or_else(|| self.rota.as_ref().map(rota))
    }

    pub(super) fn body(&self) -> proto::frame::Body {
        use proto::frame::Body;
        if let Some(s) = &self.strokes {
            let depths = s
                .depth_um
                .iter()
                .flat_map(|&(n, depth)| std::iter::repeat_n(depth, n))
                .collect();
            return Body::StrokeBatch(proto::StrokeBatch {
                first_ordinal: Some(s.first_ordinal),
                first_uptime_us: Some(self.us() as u64),
                duration_us: Some((s.duration_s * 1e6).round() as u32),
                zone: s.zone.map(Zone::to_wire),
                depth_setpoint_um: s.set_um,
                depth_um: depths,
                cartridge_serial: s.cartridge.clone(),
                ..Default::default()
            });
        }
        if let Some(p) = &self.pulse {
            let pulse = proto::Pulse {
                ordinal: Some(p.ordinal),
                uptime_us: Some(self.us() as u64),
                fluence_set_mj_per_cm2: p.set_mj_per_cm2,
                fluence_measured_mj_per_cm2: p.measured_mj_per_cm2,
                zone: p.zone.map(Zone::to_wire),
                skin_type: p.skin.map(SkinType::to_wire),
                energy_set_mj: p.energy_set_mj,
                energy_measured_mj: p.energy_measured_mj,
                spot_area_mm2: p.spot_mm2,
                filter_cutoff_nm: p.filter_nm,
                skin_temperature_mdegc: p.skin_mdegc,
                tip_temperature_mdegc: p.tip_mdegc,
                lamp_shot_count: p.lamp_shots,
                fired: Some(p.fired),
                ..Default::default()
            };
            return Body::PulseBatch(proto::PulseBatch {
                pulses: vec![pulse],
                flush_reason: None,
            });
        }
        if let Some(d) = &self.disinfection {
            return Body::Disinfection(proto::Disinfection {
                items: d.items.clone(),
                level: Some(d.level),
                performed_at_us: d.performed_s.map(wall),
                ..Default::default()
            });
        }
        if let Some(c) = &self.cycle {
            return Body::SterilizationCycle(proto::SterilizationCycle {
                cycle_id: Some(c.id.clone()),
                items: c.items.clone(),
                outcome: Some(c.outcome.to_wire()),
                ended_at_us: c.ended_s.map(wall),
                ..Default::default()
            });
        }
        if let Some(i) = &self.indicator {
            return Body::IndicatorResult(proto::IndicatorResult {
                kind: Some(i.kind.to_wire()),
                outcome: Some(i.outcome.to_wire()),
                cycle_id: i.cycle.clone(),
                cycle_ended_at_us: i.ended_s.map(wall),
                ..Default::default()
            });
        }
        if let Some(b) = &self.birth {
            return Body::Birth(proto::Birth {
                depth_offset_um: b.depth_offset_um,
                serial: b.serial.clone(),
                lamp_serial: b.lamp.clone(),
                ..Default::default()
            });
        }
        if let Some(s) = &self.start {
            return Body::SessionStart(proto::SessionStart {
                cartridge_serial: s.cartridge.clone(),
                days_since_last_treatment: s.days,
                pack_expiry_day: s.pack_expiry_day,
                ..Default::default()
            });
        }
        if let Some(code) = self.fault {
            return Body::Fault(proto::Fault {
                code: Some(code.to_wire()),
                vendor_code: None,
            });
        }
        if self.end {
            return Body::SessionEnd(proto::SessionEnd::default());
        }
        Body::Heartbeat(proto::Heartbeat {
            in_session: self.heartbeat,
            ..Default::default()
        })
    }
}
