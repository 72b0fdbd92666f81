//! The fleet: each clinic with who is there, what is open, and what hygiene is owed.
use std::collections::BTreeMap;

use alerting::board::{Board, Disinfection, Presence, Standing};
use registry::Registry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::TenantId;

use super::Page;
use crate::access::Person;
use crate::answer::Refusal;
use crate::console::Console;
use crate::fleet::{DeviceRow, Open, devices};
use crate::known::in_time;

pub(crate) struct Fleet;

/// What is asked of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    tenant: Option<TenantId>,
}

/// What it shows.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "FleetView")]
pub(crate) struct View {
    /// The clinics, by tenant and id.
    clinics: Vec<ClinicRow>,
    /// All of them together.
    total: Counts,
    /// Clinics that other alerting instances judge.
    elsewhere: usize,
}

/// One clinic.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ClinicRow {
    /// Tenant.
    tenant: String,
    /// Clinic.
    clinic: String,
    /// Its name.
    name: String,
    #[serde(flatten)]
    counts: Counts,
}

/// What is counted.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
pub(crate) struct Counts {
    /// Devices in use.
    devices: u32,
    /// In a treatment, and not heard for too long.
    silent: u32,
    /// In a treatment.
    in_session: u32,
    /// Connected or heard lately, in no treatment.
    on_line: u32,
    /// Heard once, not now.
    off_line: u32,
    /// Never heard.
    never_seen: u32,
    /// Open alerts by priority; pending ones are not counted.
    open: Open,
    /// Items and sterilizers for which something is overdue.
    overdue: u32,
    /// Items and sterilizers for which something is due.
    due: u32,
    /// Items whose last cycle did not pass.
    failed: u32,
}

impl Counts {
    fn device(&mut self, row: &DeviceRow) {
        // What is retired still has alerts.
        self.open.add(row.open);
        if row.retired {
            return;
        }
        self.devices += 1;
        *match row.presence {
            Presence::Silent => &mut self.silent,
            Presence::InSession => &mut self.in_session,
            Presence::OnLine => &mut self.on_line,
            Presence::OffLine => &mut self.off_line,
            Presence::NeverSeen => &mut self.never_seen,
        } += 1;
    }

    fn standing(&mut self, worst: Standing, failed: bool) {
        match worst {
            Standing::Overdue => self.overdue += 1,
            Standing::Due => self.due += 1,
            Standing::Done | Standing::NotAsked => {}
        }
        self.failed += u32::from(failed);
    }

    fn add(&mut self, other: &Self) {
        self.devices += other.devices;
        self.silent += other.silent;
        self.in_session += other.in_session;
        self.on_line += other.on_line;
        self.off_line += other.off_line;
        self.never_seen += other.never_seen;
        self.open.add(other.open);
        self.overdue += other.overdue;
        self.due += other.due;
        self.failed += other.failed;
    }
}

/// The worst of what is owed for an item.
pub(crate) fn worst(sterilization: Standing, disinfection: Disinfection) -> Standing {
    sterilization.min(match disinfection {
        Disinfection::Missing => Standing::Overdue,
        Disinfection::BeforeNext => Standing::Due,
        Disinfection::InUse | Disinfection::Done => Standing::Done,
        Disinfection::NotAsked => Standing::NotAsked,
    })
}

fn view(
    registry: &Registry,
    tenants: &[TenantId],
    devices: &[DeviceRow],
    boards: &[Board],
    owns: impl Fn(&registry::Clinic) -> bool,
) -> View {
    let all = tenants.iter().flat_map(|tenant| registry.clinics_of(tenant));
    let (ours, elsewhere): (Vec<_>, Vec<_>) = all.partition(|clinic| owns(clinic));
    let mut clinics: BTreeMap<(String, String), Counts> = ours
        .into_iter()
        .map(|clinic| ((clinic.tenant.to_string(), clinic.id.to_string()), Counts::default()))
        .collect();
    for row in devices {
        clinics
            .entry((row.tenant.clone(), row.clinic.clone()))
            .or_default()
            .device(row);
    }
    for (tenant, board) in tenants.iter().zip(boards) {
        let items = board.items.iter().filter_map(|item| {
            let worst = worst(item.sterilization, item.disinfection);
            // A tip has no clinic of its own: after a failed cycle it counts where its sterilizer stands.
            let failed_in = || {
                let sterilizer = &item.failed.as_ref()?.sterilizer;
                let stands = board.sterilizers.iter().find(|s| s.name == *sterilizer)?;
                Some(stands.clinic.clone())
            };
            let clinic = item.clinic.clone().or_else(failed_in)?;
            Some((clinic, worst, item.failed.is_some()))
        });
        let sterilizers = board.sterilizers.iter().map(|s| (s.clinic.clone(), s.indicator, false));
        for (clinic, worst, failed) in items.chain(sterilizers) {
            clinics
                .entry((tenant.to_string(), clinic))
                .or_default()
                .standing(worst, failed);
        }
    }
    let mut total = Counts::default();
    clinics.values().for_each(|counts| total.add(counts));
    let name = |tenant: &str, clinic: &str| {
        let clinic = registry.clinic(&tenant.parse().ok()?, &clinic.parse().ok()?)?;
        Some(clinic.name.clone())
    };
    let clinics = clinics.into_iter().map(|((tenant, clinic), counts)| ClinicRow {
        name: name(&tenant, &clinic).unwrap_or_else(|| clinic.clone()),
        tenant,
        clinic,
        counts,
    });
    View {
        clinics: clinics.collect(),
        total,
        elsewhere: elsewhere.len(),
    }
}

impl Page for Fleet {
    const TEMPLATE: &'static str = "fleet.html";
    const SECTION: &'static str = "fleet";
    type Path = ();
    type Query = Wanted;
    type View = View;

    async fn view(console: &Console, who: &Person, _path: (), wanted: Wanted) -> Result<View, Refusal> {
        let registry = console.registry.current();
        let tenants: Vec<TenantId> = registry
            .tenants()
            .map(|tenant| tenant.id.clone())
            .filter(|tenant| who.sees(tenant.as_str()) && wanted.tenant.as_ref().is_none_or(|wanted| wanted == tenant))
            .collect();
        let asked = console.alerts.hygiene_of_all(tenants.clone());
        let (seen, boards) = in_time("the hygiene of the fleet", asked).await?;
        let tenant = who.tenant.as_ref().or(wanted.tenant.as_ref());
        let devices = devices(console, seen, (tenant, None)).await?;
        let owns = |clinic: &registry::Clinic| console.owns(&clinic.tenant, &clinic.id);
        Ok(view(&registry, &tenants, &devices, &boards, owns))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use alerting::board::{FailedStanding, ItemStanding, SterilizerStanding};

    use super::*;

    #[test]
    fn a_tip_of_a_failed_load_counts_where_its_sterilizer_stands() {
        let registry = Registry::from_sources(&registry::render::example()).unwrap();
        let tenant: TenantId = "aurora".parse().unwrap();
        let clinic = registry.clinics_of(&tenant).next().unwrap().id.to_string();
        let tip = ItemStanding {
            name: "tip-1".to_owned(),
            clinic: None,
            model: None,
            sterilized_at_us: None,
            sterilization: Standing::NotAsked,
            sterilization_due_us: None,
            uses: 0,
            uses_allowed: None,
            failed: Some(FailedStanding {
                sterilizer: "autoclave-9".to_owned(),
                cycle: "c2".to_owned(),
                ended_at_us: 0,
                used_since: 0,
                used_by: None,
            }),
            wiped: None,
            disinfection: Disinfection::NotAsked,
        };
        let sterilizer = SterilizerStanding {
            name: "autoclave-9".to_owned(),
            clinic: clinic.clone(),
            biological_pass_at_us: None,
            first_cycle_at_us: None,
            indicator: Standing::NotAsked,
            indicator_due_us: None,
            each_load: false,
        };
        let board = Board {
            items: vec![tip],
            sterilizers: vec![sterilizer],
            ..Board::default()
        };
        let shown = view(&registry, &[tenant], &[], &[board], |_| true);
        let row = shown.clinics.iter().find(|row| row.clinic == clinic).unwrap();
        assert_eq!((row.counts.failed, shown.total.failed), (1, 1));
    }
}
