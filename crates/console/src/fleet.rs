//! The devices that a person may see, each with whether it is there and what is open about it.
use std::collections::HashMap;

use alerting::board::{Heard, OpenAlerts, Presence, Seen, presence};
use alerting::lifecycle::State;
use alerting::store::Count;
use registry::{DeviceState, Registry};
use schemars::JsonSchema;
use serde::Serialize;
use telemetry::{ClinicId, DeviceKey, DeviceKind, Priority, TenantId, UnixMicros};

use crate::access::Person;
use crate::answer::Refusal;
use crate::console::Console;
use crate::known::in_time;

/// Open alerts by priority; pending ones, of which nobody is told yet, are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(rename = "OpenAlerts")]
pub(crate) struct Open {
    /// Of high priority.
    pub(crate) high: u32,
    /// Of medium priority.
    pub(crate) medium: u32,
    /// Of low priority.
    pub(crate) low: u32,
    /// That are for information.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct DeviceRow {
    /// Tenant.
    pub(crate) tenant: String,
    /// Clinic.
    pub(crate) clinic: String,
    /// Its id within the tenant.
    pub(crate) device: String,
    /// Id of its model.
    pub(crate) model: String,
    /// What kind of device it is.
    #[schemars(with = "DeviceKind")]
    pub(crate) kind: &'static str,
    /// The number on it.
    pub(crate) serial: String,
    /// It is out of use.
    pub(crate) retired: bool,
    /// Whether it is there.
    pub(crate) presence: Presence,
    /// When anything was last received from it, in microseconds since 1970-01-01 UTC; `None`: never.
    pub(crate) heard_at_us: Option<i64>,
    /// The running treatment, 32 hexadecimal digits; `None`: it is in none.
    pub(crate) session: Option<String>,
    /// Its open alerts by priority; pending ones are not counted.
    pub(crate) open: Open,
    /// Those of them that need somebody: firing or latched.
    pub(crate) waiting: Open,
    /// Those of them of which nobody knows whether they go on: the device is not heard.
    pub(crate) unknown: u32,
}

/// What is open about a device.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct About {
    open: Open,
    waiting: Open,
    unknown: u32,
}

impl About {
    fn count(&mut self, state: State, priority: Priority, alerts: u32) {
        self.open.count(priority, alerts);
        match state {
            State::Firing | State::Latched => self.waiting.count(priority, alerts),
            State::Unknown => self.unknown = self.unknown.saturating_add(alerts),
            State::Inactive | State::Pending | State::Acknowledged | State::Resolved => {}
        }
    }
}

/// What is known of the devices beside the registry.
pub(crate) struct Knowledge {
    seen: Heard,
    open: HashMap<(String, String), About>,
}

impl Knowledge {
    pub(crate) fn new(seen: Heard, alerts: Vec<OpenAlerts>) -> Self {
        let mut open: HashMap<(String, String), About> = HashMap::new();
        for of in alerts {
            let place = open.entry((of.tenant, of.device)).or_default();
            place.count(of.state, of.priority, of.alerts);
        }
        Self { seen, open }
    }
}

/// The devices that are wanted, by tenant, clinic and id.
pub(crate) fn roster(
    registry: &Registry,
    knowledge: &Knowledge,
    wanted: impl Fn(&registry::Device) -> bool,
    connected: impl Fn(&DeviceKey) -> bool,
    now: UnixMicros,
) -> Vec<DeviceRow> {
    let row = |device: &registry::Device| {
        let key = &device.key;
        let name = (key.tenant.to_string(), key.device.to_string());
        let open = knowledge.open.get(&name).copied().unwrap_or_default();
        row(device, knowledge.seen.get(key), open, connected(key), now)
    };
    let wanted = registry.devices().filter(|device| wanted(device));
    wanted.map(row).collect()
}

fn row(device: &registry::Device, seen: Option<&Seen>, about: About, connected: bool, now: UnixMicros) -> DeviceRow {
    let presence = presence(seen, connected, now);
    let treats = matches!(presence, Presence::InSession | Presence::Silent);
    DeviceRow {
        open: about.open,
        waiting: about.waiting,
        unknown: about.unknown,
        tenant: device.key.tenant.to_string(),
        clinic: device.clinic.to_string(),
        device: device.key.device.to_string(),
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
}

/// One device, with its open alerts as a list of them counted them.
pub(crate) async fn one(console: &Console, device: &registry::Device, alerts: &[Count]) -> Result<DeviceRow, Refusal> {
    let mut about = About::default();
    for count in alerts.iter().filter(|count| count.state != State::Pending) {
        let alerts = u32::try_from(count.alerts).unwrap_or(u32::MAX);
        about.count(count.state, count.priority, alerts);
    }
    let key = &device.key;
    let seen = in_time(
        "what was heard of the device",
        console.alerts.seen_of(vec![key.clone()]),
    )
    .await?;
    let connected = console.is_connected(key);
    Ok(row(device, seen.get(key), about, connected, console.now()))
}

/// The devices of a clinic, asked for a person: nothing of another tenant.
pub(crate) async fn devices_of(
    console: &Console,
    who: &Person,
    tenant: &TenantId,
    clinic: &ClinicId,
) -> Result<Vec<DeviceRow>, Refusal> {
    if !who.sees(tenant.as_str()) {
        return Err(Refusal::NotFound);
    }
    let registry = console.registry.current();
    let here = registry
        .devices()
        .filter(|device| device.key.tenant == *tenant && device.clinic == *clinic);
    let keys = here.map(|device| device.key.clone()).collect();
    let seen = in_time("what was heard of the devices", console.alerts.seen_of(keys)).await?;
    devices(console, seen, (Some(tenant), Some(clinic))).await
}

/// The devices of a place, of which this was heard.
pub(crate) async fn devices(
    console: &Console,
    seen: Heard,
    (tenant, clinic): (Option<&TenantId>, Option<&ClinicId>),
) -> Result<Vec<DeviceRow>, Refusal> {
    let alerts = in_time("the list of alerts", console.alerts.open_alerts(tenant.cloned())).await?;
    let registry = console.registry.current();
    let connected = |key: &DeviceKey| console.is_connected(key);
    let here = |device: &registry::Device| {
        console.owns(&device.key.tenant, &device.clinic)
            && tenant.is_none_or(|tenant| device.key.tenant == *tenant)
            && clinic.is_none_or(|clinic| device.clinic == *clinic)
    };
    let knowledge = Knowledge::new(seen, alerts);
    Ok(roster(&registry, &knowledge, here, connected, console.now()))
}
