//! The devices that a person may see, each with whether it is there and what is open about it.
use std::collections::HashMap;

use alerting::board::{OpenAlerts, Presence, Seen, presence};
use registry::{DeviceState, Registry};
use serde::Serialize;
use telemetry::{ClinicId, DeviceKey, Priority, TenantId, UnixMicros};

use crate::access::Person;
use crate::answer::Refusal;
use crate::console::Console;
use crate::known::in_time;

/// Open alerts by priority; pending ones, of which nobody is told yet, are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Open {
    pub(crate) high: u32,
    pub(crate) medium: u32,
    pub(crate) low: u32,
    pub(crate) info: u32,
}

impl Open {
    pub(crate) fn count(&mut self, priority: Priority, alerts: u32) {
        let place = match priority {
            Priority::High => &mut self.high,
            Priority::Medium => &mut self.medium,
            Priority::Low => &mut self.low,
            Priority::Info => &mut self.info,
        };
        *place = place.saturating_add(alerts);
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.high += other.high;
        self.medium += other.medium;
        self.low += other.low;
        self.info += other.info;
    }
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DeviceRow {
    pub(crate) tenant: String,
    pub(crate) clinic: String,
    pub(crate) device: String,
    pub(crate) model: String,
    /// `pen`, `ipl`, `autoclave` or `disinfection-station`.
    pub(crate) kind: &'static str,
    pub(crate) serial: String,
    pub(crate) retired: bool,
    pub(crate) presence: Presence,
    /// When anything was last received from it.
    pub(crate) heard_at_us: Option<i64>,
    /// The running treatment, if it is in one.
    pub(crate) session: Option<String>,
    pub(crate) open: Open,
}

/// What is known of the devices beside the registry.
pub(crate) struct Knowledge {
    seen: HashMap<DeviceKey, Seen>,
    open: HashMap<(String, String), Open>,
}

impl Knowledge {
    pub(crate) fn new(seen: Vec<(DeviceKey, Seen)>, alerts: Vec<OpenAlerts>) -> Self {
        let mut open: HashMap<(String, String), Open> = HashMap::new();
        for of in alerts {
            let place = open.entry((of.tenant, of.device)).or_default();
            place.count(of.priority, of.alerts);
        }
        Self {
            seen: seen.into_iter().collect(),
            open,
        }
    }
}

/// The devices of a tenant and clinic (`None`: all), by tenant, clinic and id.
pub(crate) fn roster(
    registry: &Registry,
    knowledge: &Knowledge,
    (tenant, clinic): (Option<&TenantId>, Option<&ClinicId>),
    connected: impl Fn(&DeviceKey) -> bool,
    now: UnixMicros,
) -> Vec<DeviceRow> {
    let wanted = registry.devices().filter(|device| {
        tenant.is_none_or(|tenant| device.key.tenant == *tenant) && clinic.is_none_or(|clinic| device.clinic == *clinic)
    });
    let row = |device: &registry::Device| {
        let key = &device.key;
        let seen = knowledge.seen.get(key);
        let presence = presence(seen, connected(key), now);
        let treats = matches!(presence, Presence::InSession | Presence::Silent);
        let name = (key.tenant.to_string(), key.device.to_string());
        DeviceRow {
            open: knowledge.open.get(&name).copied().unwrap_or_default(),
            tenant: name.0,
            clinic: device.clinic.to_string(),
            device: name.1,
            model: device.model.to_string(),
            kind: device.kind.as_str(),
            serial: device.serial.to_string(),
            retired: device.state == DeviceState::Retired,
            presence,
            heard_at_us: seen.map(|seen| seen.received_at.0).filter(|at| *at != 0),
            session: seen
                .and_then(|seen| seen.session)
                .filter(|_| treats)
                .map(|id| id.to_hex()),
        }
    };
    wanted.map(row).collect()
}

/// The same, asked for a person: nothing of another tenant.
pub(crate) async fn devices(
    console: &Console,
    who: &Person,
    tenant: Option<&TenantId>,
    clinic: Option<&ClinicId>,
) -> Result<Vec<DeviceRow>, Refusal> {
    let tenant = who.tenant.as_ref().or(tenant);
    let seen = in_time("what was heard of the devices", console.alerts.seen(tenant.cloned())).await?;
    let alerts = in_time("the list of alerts", console.alerts.open_alerts(tenant.cloned())).await?;
    let registry = console.registry.current();
    let connected = |key: &DeviceKey| console.gateway.is_connected(key);
    let knowledge = Knowledge::new(seen, alerts);
    Ok(roster(
        &registry,
        &knowledge,
        (tenant, clinic),
        connected,
        console.now(),
    ))
}
