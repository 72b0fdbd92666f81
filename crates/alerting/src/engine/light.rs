//! What else is wrong with pulses, and with the lamp that makes them: raised, and over again.
use telemetry::{Pulse, Serial, UnixMicros};

use super::frame::Context;
use super::readings::About;
use super::state::Device;
use super::{Engine, Slot, words};
use crate::fleet::Facts;
use crate::rules::lamp::LampDrift;
use crate::rules::pulse::{self, LightBounds, PulseMemory};
use crate::rules::{Judgement, Kind, Ruleset, Scope};

/// What a lamp is judged by. `None`: the rule is off, or the registry declares no life.
pub(super) struct LampRules {
    life_shots: Option<u64>,
    drift: Option<LampDrift>,
}

impl LampRules {
    /// Resolves rules and registry for a scope. An override makes a bound of the registry stricter, never wider.
    pub(super) fn resolve(rules: &Ruleset, facts: &Facts, scope: &Scope<'_>) -> Self {
        let life = facts.light.lamp_life_shots;
        Self {
            life_shots: rules.lamp_worn.as_ref().and_then(|r| {
                let own = r.params(scope).life_shots;
                life.map(|life| own.map_or(life, |own| own.min(life)))
            }),
            drift: rules.lamp_drift.as_ref().map(|r| *r.params(scope)),
        }
    }
}

impl Engine {
    pub(super) fn light(
        &mut self,
        context: &Context<'_>,
        (pulse, index): (&Pulse, usize),
        about: About,
        bounds: &LightBounds,
        at: UnixMicros,
        device: &mut Device,
    ) {
        // A frame out of order is judged by itself: what came before it is not what the device did before it.
        let mut alone = PulseMemory::default();
        let memory = if context.newest {
            device.light.get_or_insert_default()
        } else {
            &mut alone
        };
        for (kind, judgement) in pulse::judge(pulse, index, bounds, memory) {
            match judgement {
                Judgement::Nothing => {}
                Judgement::Violated(v) => {
                    // What is wrong with the unit is one thing, whatever zone it is on.
                    let zone = about.zone.filter(|_| kind.latches());
                    let about = About { zone, ..about };
                    let finding = about.finding(context, kind, &v, words::pulse(kind, &v, pulse), at);
                    self.violated_on(device, finding, pulse.skin_type, context.moment);
                }
                Judgement::Cleared if context.newest => {
                    self.over(context, device, kind, |visit| visit == about.visit);
                }
                Judgement::Cleared => {}
            }
        }
    }

    /// A pulse of the newest frame, as it ages the lamp.
    pub(super) fn lamp(
        &mut self,
        context: &Context<'_>,
        (pulse, index): (&Pulse, usize),
        rules: &LampRules,
        at: UnixMicros,
        device: &mut Device,
    ) {
        if device.lamp.count(pulse) {
            self.new_lamp(context, device);
        }
        let judged = [
            (
                Kind::LampWorn,
                rules.life_shots.map(|life| device.lamp.worn(pulse, index, life)),
            ),
            (
                Kind::LampDrift,
                rules.drift.map(|rule| device.lamp.drift(pulse, index, &rule)),
            ),
        ];
        for (kind, judgement) in judged {
            match judgement.unwrap_or_default() {
                Judgement::Nothing => {}
                Judgement::Violated(v) => {
                    let about = About {
                        visit: None,
                        zone: None,
                    };
                    let mut finding = about.finding(context, kind, &v, words::pulse(kind, &v, pulse), at);
                    // It outlasts the session that shows it.
                    finding.session = None;
                    self.violated(device, finding, context.moment);
                }
                Judgement::Cleared => self.over(context, device, kind, |_| true),
            }
        }
    }

    /// The unit says which lamp it has.
    pub(super) fn lamp_in_use(&mut self, context: &Context<'_>, serial: Option<&Serial>, slot: &mut Slot) {
        let Some(serial) = serial.filter(|_| context.newest) else {
            return;
        };
        if slot.device.lamp.is_in_use(serial) {
            self.new_lamp(context, &mut slot.device);
        }
    }

    fn new_lamp(&mut self, context: &Context<'_>, device: &mut Device) {
        for kind in [Kind::LampWorn, Kind::LampDrift] {
            self.over(context, device, kind, |_| true);
        }
    }
}
