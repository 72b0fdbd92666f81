//! A clinic: its devices, what is owed there, and the treatments of the last day.
use std::collections::HashMap;

use alerting::board::{Disinfection, ItemStanding, Place, Standing};
use ingestor::read::{Scope, Session};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::{ClinicId, TenantId};

use super::Page;
use crate::access::Person;
use crate::answer::Refusal;
use crate::console::Console;
use crate::fleet::{DeviceRow, devices_of};
use crate::known::{Known, in_time, stored};

pub(crate) struct Clinic;

/// How far back treatments are shown.
const DAY_US: i64 = 86_400_000_000;
/// Most treatments of the page.
const MAX_SESSIONS: usize = 100;

/// What is asked of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {}

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClinicView")]
pub(crate) struct View {
    /// Tenant.
    tenant: String,
    /// Clinic.
    clinic: String,
    /// Its name.
    name: String,
    /// IANA name.
    time_zone: String,
    /// Its devices, by id.
    devices: Vec<Row>,
    /// Treatments of the last 24 hours.
    sessions: Known<Vec<Session>>,
}

/// A device, with its hygiene if it is used on people.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClinicDevice")]
pub(crate) struct Row {
    #[serde(flatten)]
    device: DeviceRow,
    /// How its sterilization stands.
    sterilization: Standing,
    /// How its disinfection stands.
    disinfection: Disinfection,
    /// Its last cycle did not pass.
    failed: bool,
}

fn row(device: DeviceRow, items: &HashMap<String, ItemStanding>) -> Row {
    let item = items.get(&device.device);
    Row {
        sterilization: item.map_or(Standing::NotAsked, |item| item.sterilization),
        disinfection: item.map_or(Disinfection::NotAsked, |item| item.disinfection),
        failed: item.is_some_and(|item| item.failed.is_some()),
        device,
    }
}

impl Page for Clinic {
    const TEMPLATE: &'static str = "clinic.html";
    const SECTION: &'static str = "fleet";
    type Path = (TenantId, ClinicId);
    type Query = Wanted;
    type View = View;

    async fn view(
        console: &Console,
        who: &Person,
        (tenant, clinic): (TenantId, ClinicId),
        _wanted: Wanted,
    ) -> Result<View, Refusal> {
        let registry = console.registry.current();
        let known = registry.clinic(&tenant, &clinic).filter(|_| who.sees(tenant.as_str()));
        let known = known.ok_or(Refusal::NotFound)?;
        console.own(&tenant, &clinic)?;
        let place = Place {
            tenant: tenant.clone(),
            clinic: Some(clinic.clone()),
        };
        let board = in_time("the hygiene of the clinic", console.alerts.hygiene(place)).await?;
        let items: HashMap<String, ItemStanding> =
            board.items.into_iter().map(|item| (item.name.clone(), item)).collect();
        let devices = devices_of(console, who, &tenant, &clinic).await?;
        let now_us = console.now().0;
        let scope = Scope {
            tenant: tenant.clone(),
            clinic: Some(clinic.clone()),
            device: None,
        };
        let day = (now_us - DAY_US, now_us + DAY_US);
        let sessions = stored(console, |store| async move {
            store.sessions(&scope, day, MAX_SESSIONS).await
        });
        Ok(View {
            name: known.name.clone(),
            time_zone: known.time_zone.clone(),
            devices: devices.into_iter().map(|device| row(device, &items)).collect(),
            sessions: sessions.await,
            tenant: tenant.to_string(),
            clinic: clinic.to_string(),
        })
    }
}
