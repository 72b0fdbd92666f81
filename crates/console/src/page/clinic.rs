//! A clinic: its devices, what is owed there, and the treatments of the last day.
use std::collections::HashMap;

use alerting::board::{Board, Disinfection, Place, Standing};
use ingestor::read::{Scope, Session};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::{ClinicId, TenantId};

use super::Page;
use super::need::{Need, Owed, needs};
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
    /// Its devices: those that need somebody first, the most urgent of them before the others, then by id; what is retired last.
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
    /// Why somebody is needed, the most urgent first; empty: nobody is.
    needs: Vec<Need>,
}

/// What is owed for the devices of the clinic that are used on people, and for its sterilizers.
fn owed(board: &Board) -> HashMap<&str, Owed> {
    let items = board.items.iter().map(|item| {
        let owed = Owed {
            sterilization: item.sterilization,
            disinfection: item.disinfection,
            failed: item.failed.is_some(),
            ..Owed::NOTHING
        };
        (item.name.as_str(), owed)
    });
    let sterilizers = board.sterilizers.iter().map(|sterilizer| {
        let owed = Owed {
            indicator: sterilizer.indicator,
            ..Owed::NOTHING
        };
        (sterilizer.name.as_str(), owed)
    });
    items.chain(sterilizers).collect()
}

fn row(device: DeviceRow, owed: &HashMap<&str, Owed>) -> Row {
    let owed = owed.get(device.device.as_str()).copied().unwrap_or(Owed::NOTHING);
    Row {
        needs: needs(&device, owed),
        sterilization: owed.sterilization,
        disinfection: owed.disinfection,
        failed: owed.failed,
        device,
    }
}

/// Who needs somebody comes first, and what is retired last.
fn by_need(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|a, b| {
        let urgency = |row: &Row| (row.needs.is_empty(), row.needs.first().map(|need| need.why));
        let retired = (a.device.retired && a.needs.is_empty()).cmp(&(b.device.retired && b.needs.is_empty()));
        let rank = urgency(a).cmp(&urgency(b));
        retired.then(rank).then_with(|| a.device.device.cmp(&b.device.device))
    });
    rows
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
        let owed = owed(&board);
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
            devices: by_need(devices.into_iter().map(|device| row(device, &owed)).collect()),
            sessions: sessions.await,
            tenant: tenant.to_string(),
            clinic: clinic.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use alerting::board::{Presence, SterilizerStanding};

    use super::*;
    use crate::fleet::Open;
    use crate::page::need::Why;

    fn device(id: &str) -> DeviceRow {
        DeviceRow {
            tenant: "acme".to_owned(),
            clinic: "north".to_owned(),
            device: id.to_owned(),
            model: "pen".to_owned(),
            kind: "pen",
            serial: id.to_owned(),
            retired: false,
            presence: Presence::OnLine,
            heard_at_us: None,
            session: None,
            open: Open::default(),
            waiting: Open::default(),
            unknown: 0,
        }
    }

    fn plain(device: DeviceRow) -> Row {
        row(device, &HashMap::new())
    }

    #[test]
    fn who_needs_somebody_stands_first_by_how_urgent_it_is_then_all_others_by_name_and_each_says_why() {
        let waiting = |id: &str, waiting: Open| DeviceRow { waiting, ..device(id) };
        let high = Open {
            high: 2,
            low: 1,
            ..Open::default()
        };
        let medium = Open {
            medium: 1,
            ..Open::default()
        };
        let low = Open {
            low: 1,
            ..Open::default()
        };
        let acknowledged = DeviceRow {
            open: high,
            ..device("b-acknowledged")
        };
        let retired = DeviceRow {
            retired: true,
            ..device("a-retired")
        };
        let overdue = Owed {
            sterilization: Standing::Overdue,
            ..Owed::NOTHING
        };
        let overdue = row(device("e-overdue"), &HashMap::from([("e-overdue", overdue)]));
        let untested = Board {
            sterilizers: vec![SterilizerStanding {
                name: "x-untested".to_owned(),
                clinic: "north".to_owned(),
                biological_pass_at_us: None,
                first_cycle_at_us: Some(0),
                indicator: Standing::Overdue,
                indicator_due_us: Some(1),
                each_load: false,
            }],
            ..Board::default()
        };
        let untested = row(device("x-untested"), &owed(&untested));
        let rows = vec![
            plain(retired),
            plain(device("c-fine")),
            plain(acknowledged),
            plain(waiting("d-low", low)),
            overdue,
            untested,
            plain(DeviceRow {
                presence: Presence::Silent,
                ..device("f-silent")
            }),
            plain(DeviceRow {
                unknown: 1,
                ..device("g-unknown")
            }),
            plain(waiting("h-medium", medium)),
            plain(waiting("z-high", high)),
        ];
        let rows = by_need(rows);
        let said: Vec<(&str, Vec<Why>)> = rows
            .iter()
            .map(|row| {
                (
                    row.device.device.as_str(),
                    row.needs.iter().map(|need| need.why).collect(),
                )
            })
            .collect();
        let expected = [
            ("z-high", vec![Why::High, Why::Low]),
            ("h-medium", vec![Why::Medium]),
            ("g-unknown", vec![Why::Unknown]),
            ("f-silent", vec![Why::Silent]),
            ("e-overdue", vec![Why::Overdue]),
            ("x-untested", vec![Why::Indicator]),
            ("d-low", vec![Why::Low]),
            ("b-acknowledged", vec![]),
            ("c-fine", vec![]),
            ("a-retired", vec![]),
        ];
        assert_eq!(said, expected);
        assert_eq!(rows[0].needs[0].alerts, 2);
    }
}
