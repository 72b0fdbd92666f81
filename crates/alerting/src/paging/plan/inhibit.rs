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
/// was set, a needle that is too deep for the same needle that is off.
pub(super) fn built_in() -> Vec<Inhibit> {
    let off = |kind: &&Kind| {
        let name = kind.as_str();
        name == "depth_off_setpoint" || name.contains("drift") && !name.contains("lamp") && !name.contains("energy")
    };
    let off: Vec<String> = Kind::ALL
        .iter()
        .filter(off)
        .map(|kind| kind.as_str().to_owned())
        .collect();
    let one = |source: &str, target: Vec<String>, equal: &[Equal]| Inhibit {
        source: vec![source.to_owned()],
        target,
        equal: equal.to_vec(),
        at_most: AT_MOST,
    };
    vec![
        one("gateway_silent", vec!["device_silent".to_owned()], &[Equal::Gateway]),
        one(
            "pulse_above_limit",
            vec!["pulse_above_set".to_owned()],
            &[Equal::Reading],
        ),
        one("depth_above_limit", off, &[Equal::Device]),
    ]
}
