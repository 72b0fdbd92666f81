//! Why a device needs somebody, the most urgent reason first.
use alerting::board::{Disinfection, Presence, Standing};
use schemars::JsonSchema;
use serde::Serialize;

use crate::fleet::DeviceRow;

/// Why somebody is needed, in the order of how urgent it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[schemars(rename = "NeedWhy")]
#[serde(rename_all = "snake_case")]
pub(crate) enum Why {
    /// Alerts of high priority wait for somebody.
    High,
    /// Of medium priority.
    Medium,
    /// It is not heard, and an alert that was going on then may go on.
    Unknown,
    /// It is in a treatment and not heard.
    Silent,
    /// Its last sterilization did not pass.
    Failed,
    /// Its sterilization is overdue.
    Overdue,
    /// It was used for the next client without a disinfection.
    Wipe,
    /// The indicator test of this sterilizer is overdue.
    Indicator,
    /// Alerts of low priority wait for somebody.
    Low,
}

/// One reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Need {
    /// Why somebody is needed.
    pub(crate) why: Why,
    /// Of how many alerts; 0: it is not about alerts.
    pub(crate) alerts: u32,
}

/// How what is asked for stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owed {
    /// Its sterilization.
    pub(crate) sterilization: Standing,
    /// Its disinfection.
    pub(crate) disinfection: Disinfection,
    /// Its last cycle did not pass.
    pub(crate) failed: bool,
    /// The indicator test, of a sterilizer.
    pub(crate) indicator: Standing,
}

impl Owed {
    /// Nothing is asked for.
    pub(crate) const NOTHING: Self = Self {
        sterilization: Standing::NotAsked,
        disinfection: Disinfection::NotAsked,
        failed: false,
        indicator: Standing::NotAsked,
    };
}

/// Why this device needs somebody; what is out of use is owed nothing, but its alerts wait all the same.
pub(crate) fn needs(device: &DeviceRow, owed: Owed) -> Vec<Need> {
    let used = !device.retired;
    let stands = |holds: bool| u32::from(used && holds);
    let (waiting, told) = (device.waiting, |alerts: u32| (alerts, alerts));
    let all = [
        (Why::High, told(waiting.high)),
        (Why::Medium, told(waiting.medium)),
        (Why::Unknown, told(device.unknown)),
        (Why::Silent, (stands(device.presence == Presence::Silent), 0)),
        (Why::Failed, (stands(owed.failed), 0)),
        (Why::Overdue, (stands(owed.sterilization == Standing::Overdue), 0)),
        (Why::Wipe, (stands(owed.disinfection == Disinfection::Missing), 0)),
        (Why::Indicator, (stands(owed.indicator == Standing::Overdue), 0)),
        (Why::Low, told(waiting.low)),
    ];
    let holding = all.into_iter().filter(|(_, (holds, _))| *holds > 0);
    holding.map(|(why, (_, alerts))| Need { why, alerts }).collect()
}
