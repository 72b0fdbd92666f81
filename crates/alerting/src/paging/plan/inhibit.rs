//! Inhibitions: which alert stands for which other one, so that one happening is one page.
use std::time::Duration;

use crate::engine::Alert;
use crate::rules::Kind;

/// What both alerts must have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Equal {
    /// Tenant.
    Tenant,
    /// Clinic.
    Clinic,
    /// Gateway: that a device was last heard by, or itself.
    Gateway,
    /// Device.
    Device,
    /// Visit.
    Visit,
    /// Session of one device.
    Session,
    /// The reading: both happened at the same time of the same device.
    Reading,
}

impl Equal {
    fn holds(self, a: &Alert, b: &Alert) -> bool {
        match self {
            Self::Tenant => a.tenant == b.tenant,
            Self::Clinic => a.tenant == b.tenant && a.clinic == b.clinic,
            Self::Gateway => !a.gateway.is_empty() && a.gateway == b.gateway,
            Self::Device => a.tenant == b.tenant && a.device == b.device,
            Self::Visit => a.visit.is_some() && a.visit == b.visit,
            Self::Session => {
                a.tenant == b.tenant && a.device == b.device && a.session.is_some() && a.session == b.session
            }
            Self::Reading => a.tenant == b.tenant && a.device == b.device && a.event_time == b.event_time,
        }
    }
}

/// While an alert of a source rule is told, the first page of one of a target rule is held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inhibit {
    /// Ids or kinds of rules that say more.
    pub source: Vec<String>,
    /// Ids or kinds of rules that wait.
    pub target: Vec<String>,
    /// What both must have in common; a place at least.
    pub equal: Vec<Equal>,
    /// How long a page is held back at the longest.
    pub at_most: Duration,
}

/// How long an inhibition holds a page back if nothing else is said.
pub(super) const AT_MOST: Duration = Duration::from_secs(12 * 3_600);

fn names(list: &[String], alert: &Alert) -> bool {
    list.iter()
        .any(|name| *name == alert.rule || name == alert.kind.as_str())
}

impl Inhibit {
    /// Whether it may hold this alert back.
    pub fn is_target(&self, alert: &Alert) -> bool {
        names(&self.target, alert)
    }

    /// Whether `source` stands for `target`. What is less urgent never stands for what is more urgent.
    pub fn holds(&self, source: &Alert, target: &Alert) -> bool {
        source.id != target.id
            && source.priority >= target.priority
            && names(&self.source, source)
            && names(&self.target, target)
            && self.equal.iter().all(|equal| equal.holds(source, target))
    }
}

/// What always holds: a gateway that is silent stands for its devices, a pulse above its limit for the same pulse above what
/// was set, a needle that is too deep for the same needle that is off; and in one session strokes that are off, or a sensor that
/// repeats itself, for the drift that follows from them.
pub(super) fn built_in() -> Vec<Inhibit> {
    let mut all = vec![one(&[Kind::GatewaySilent], &[Kind::DeviceSilent], Equal::Gateway)];
    all.extend(within_a_device());
    all
}

/// The part of it that is about one device of one tenant: whoever is told of the one is told of the other. It holds without a
/// plan too.
pub(super) fn within_a_device() -> Vec<Inhibit> {
    use Kind::{DepthAboveLimit, DepthDrift, DepthOffSetpoint, DepthSensorStuck, PulseAboveLimit, PulseAboveSet};
    vec![
        one(&[PulseAboveLimit], &[PulseAboveSet], Equal::Reading),
        one(&[DepthAboveLimit], &[DepthOffSetpoint, DepthDrift], Equal::Device),
        one(&[DepthOffSetpoint, DepthSensorStuck], &[DepthDrift], Equal::Session),
    ]
}

fn one(source: &[Kind], target: &[Kind], equal: Equal) -> Inhibit {
    let names = |kinds: &[Kind]| kinds.iter().map(|kind| kind.as_str().to_owned()).collect();
    Inhibit {
        source: names(source),
        target: names(target),
        equal: vec![equal],
        at_most: AT_MOST,
    }
}
