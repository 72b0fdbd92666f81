//! What a scanner typed: a device's id or serial, or the serial of an item. Shows what may be recorded about it, with one tap
//! left.
use axum::http::StatusCode;
use registry::{DeviceState, Registry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::{DeviceKind, Serial, TenantId};

use super::super::Page;
use super::tenant_of;
use crate::access::{Person, Role};
use crate::answer::Refusal;
use crate::console::Console;

pub(crate) struct Scan;

/// Longest code that is looked at, in bytes.
const MAX_CODE: usize = 64;

/// What is asked of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    tenant: Option<TenantId>,
    code: String,
}

/// What it shows.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct View {
    tenant: String,
    /// What was typed, without the blanks around it.
    code: String,
    /// The device that it names; `null`: none.
    found: Option<Found>,
    /// The sterilizers of the tenant, in which an item may have been: clinic and id.
    sterilizers: Vec<(String, String)>,
    request: u64,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Found {
    clinic: String,
    device: String,
    /// `pen`, `ipl`, `autoclave` or `disinfection-station`.
    kind: &'static str,
    /// Level of disinfection that is asked for.
    level: &'static str,
}

/// The device of a tenant with this id or serial, however it is written; one in use before one that is retired.
fn find(registry: &Registry, tenant: &TenantId, code: &str) -> Option<Found> {
    let named = registry.devices().filter(|device| {
        device.key.tenant == *tenant
            && (device.key.device.as_str().eq_ignore_ascii_case(code)
                || device.serial.as_str().eq_ignore_ascii_case(code))
    });
    let device = named.min_by_key(|device| device.state == DeviceState::Retired)?;
    let policy = registry.policy(&device.key);
    Some(Found {
        clinic: device.clinic.to_string(),
        device: device.key.device.to_string(),
        kind: device.kind.as_str(),
        level: policy.map_or("intermediate", |policy| policy.disinfection_level.as_str()),
    })
}

/// The sterilizers of a tenant: clinic and id.
pub(crate) fn sterilizers(registry: &Registry, tenant: &TenantId) -> Vec<(String, String)> {
    let of_tenant = registry.devices().filter(|device| {
        device.key.tenant == *tenant && device.kind == DeviceKind::Autoclave && device.state == DeviceState::Active
    });
    of_tenant
        .map(|device| (device.clinic.to_string(), device.key.device.to_string()))
        .collect()
}

impl Page for Scan {
    const TEMPLATE: &'static str = "scan.html";
    const IN_JSON: bool = false;
    const SECTION: &'static str = "sterilization";
    type Path = ();
    type Query = Wanted;
    type View = View;

    async fn view(console: &Console, who: &Person, _path: (), wanted: Wanted) -> Result<View, Refusal> {
        if !who.may(Role::Responder) {
            return Err(Refusal::NotAllowed);
        }
        if console.gateway.is_none() {
            return Err(Refusal::elsewhere("record.elsewhere", "/sterilization"));
        }
        let registry = console.registry.current();
        let tenant = tenant_of(&registry, who, wanted.tenant.as_ref()).ok_or(Refusal::NotFound)?;
        let code = wanted.code.trim();
        if code.is_empty() || code.len() > MAX_CODE {
            return Err(Refusal::Asked(format!("code must have 1 to {MAX_CODE} characters")));
        }
        let found = find(&registry, &tenant, code);
        // No form is filled in for what could not be recorded.
        if found.is_none() && code.parse::<Serial>().is_err() {
            return Err(Refusal::Not {
                status: StatusCode::BAD_REQUEST,
                key: "scan.no_name",
                more: code.to_owned(),
                back: format!("/sterilization?tenant={tenant}"),
            });
        }
        Ok(View {
            found,
            sterilizers: sterilizers(&registry, &tenant),
            code: code.to_owned(),
            tenant: tenant.to_string(),
            request: rand::random(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_scanner_in_capitals_finds_a_device_by_id_and_by_serial_and_no_other_tenants() {
        let registry = Registry::from_sources(&registry::render::example()).unwrap();
        let tenant: TenantId = "aurora".parse().unwrap();
        let device = registry.devices().find(|device| device.key.tenant == tenant).unwrap();
        let by_id = find(&registry, &tenant, &device.key.device.as_str().to_ascii_uppercase()).unwrap();
        assert_eq!(by_id.device, device.key.device.as_str());
        assert_eq!(
            find(&registry, &tenant, &device.serial.as_str().to_ascii_lowercase()),
            Some(by_id)
        );
        let elsewhere: TenantId = "belle".parse().unwrap();
        assert_eq!(find(&registry, &elsewhere, device.serial.as_str()), None);
        assert_eq!(find(&registry, &tenant, "nobody"), None);
    }
}
