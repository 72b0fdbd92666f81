//! Which devices of a fleet a fault befalls, as a scenario file says it.
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::config::Problems;
use telemetry::DeviceKind;

use super::{Fault, FaultKind};
use crate::fleet::Device;
use crate::spec::micros;

/// One fault of a scenario. Without a selector it befalls every device that it can.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Simulated time from the start until it goes wrong.
    #[serde(with = "service::config::duration")]
    pub after: Duration,
    /// How long; without it, for ever.
    #[serde(rename = "for", default, with = "service::config::duration::option")]
    pub lasting: Option<Duration>,
    /// Only devices of this tenant.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Only devices of this clinic.
    #[serde(default)]
    pub clinic: Option<String>,
    /// Only the device of this id (of each tenant that has one).
    #[serde(default)]
    pub device: Option<String>,
    /// Only devices of this kind.
    #[serde(default)]
    pub on: Option<DeviceKind>,
    /// Of the devices that are left, these, counted from 0; without it, all.
    #[serde(default)]
    pub nth: Option<Vec<u32>>,
    /// Scales the deviation: up to 10, and down to -1, where less than nothing stays below what the kind's limit is. Not 0.
    #[serde(default = "one")]
    pub strength: f64,
}

fn one() -> f64 {
    1.0
}

/// A fault that befalls nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fault {index} ({kind}) selects no device that it can befall, or counts beyond the last: check its selectors")]
pub struct SelectionError {
    /// Which fault of the scenario, counted from 0.
    pub index: usize,
    /// Its kind.
    pub kind: FaultKind,
}

impl FaultSpec {
    /// A fault at every device that it can befall, for ever.
    pub fn new(kind: FaultKind, after: Duration) -> Self {
        Self {
            kind,
            after,
            lasting: None,
            tenant: None,
            clinic: None,
            device: None,
            on: None,
            nth: None,
            strength: 1.0,
        }
    }

    pub(crate) fn validate(&self, at: &mut Problems) {
        at.check(
            "strength",
            (-1.0..=10.0).contains(&self.strength) && self.strength != 0.0,
            "allowed are -1 to 10 without 0",
        );
        at.check(
            "for",
            self.lasting != Some(Duration::ZERO),
            "it is 0: leave the fault out instead",
        );
        let befalls = self.on.is_none_or(|on| self.kind.befalls().contains(&on));
        at.check(
            "on",
            befalls,
            format!("{} does not befall devices of this kind", self.kind),
        );
    }

    fn matches(&self, device: &Device) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        self.kind.befalls().contains(&device.kind)
            && self.on.is_none_or(|on| on == device.kind)
            && same(&self.tenant, device.who.tenant.as_str())
            && same(&self.clinic, device.who.clinic.as_str())
            && same(&self.device, device.who.id.as_str())
    }

    fn fault(&self) -> Fault {
        let after_us = micros(self.after);
        Fault {
            kind: self.kind,
            after_us,
            until_us: self
                .lasting
                .map_or(u64::MAX, |span| after_us.saturating_add(micros(span))),
            strength: self.strength,
        }
    }
}

/// Gives every selected device its faults.
pub(crate) fn resolve(devices: &mut [Device], specs: &[FaultSpec]) -> Result<(), SelectionError> {
    for (index, spec) in specs.iter().enumerate() {
        let matching: Vec<usize> = devices
            .iter()
            .enumerate()
            .filter(|(_, device)| spec.matches(device))
            .map(|(at, _)| at)
            .collect();
        let chosen: Option<Vec<usize>> = match &spec.nth {
            None => Some(matching),
            Some(nth) => nth.iter().map(|&n| matching.get(n as usize).copied()).collect(),
        };
        let chosen = chosen
            .filter(|chosen| !chosen.is_empty())
            .ok_or(SelectionError { index, kind: spec.kind })?;
        for at in chosen {
            befall(devices, at, spec.fault());
        }
    }
    Ok(())
}

fn befall(devices: &mut [Device], at: usize, fault: Fault) {
    let Some(device) = devices.get_mut(at) else { return };
    device.faults.push(fault);
    if fault.kind != FaultKind::FailedCycle {
        return;
    }
    // The last pen of the clinic is what was in the failed load.
    let clinic = device.who.clinic.clone();
    if let Some(pen) = devices
        .iter_mut()
        .rev()
        .find(|d| d.kind == DeviceKind::Pen && d.who.clinic == clinic)
    {
        pen.faults.push(fault);
    }
}
