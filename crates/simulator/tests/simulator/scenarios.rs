//! Scenario files: those that are shipped load, and mistakes are told.
use std::path::Path;
use std::time::Duration;

use std::collections::BTreeSet;

use simulator::{DEFAULT_START, DEMO, EVERY_FAULT, FaultKind, Fleet, Scenario, ScenarioError, Truth};
use telemetry::Body;

use crate::read::{read, small};

#[test]
fn every_shipped_scenario_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/scenarios");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.display().to_string();
        let scenario = Scenario::parse(&name, &text).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let fleet = scenario.fleet(DEFAULT_START).unwrap();
        assert!(fleet.frames(Duration::from_secs(3)).count() > 0, "{name}");
        seen += 1;
    }
    assert!(seen >= 3, "{seen}");
}

#[test]
fn with_every_fault_hazards_come_within_40_s_and_hygiene_with_the_second_clients_while_most_devices_are_healthy() {
    let fleet = Scenario::parse("every-fault.toml", EVERY_FAULT)
        .unwrap()
        .fleet(DEFAULT_START)
        .unwrap();
    let healthy = fleet.devices().iter().filter(|d| d.is_healthy()).count();
    assert!(
        healthy * 2 > fleet.devices().len(),
        "{healthy} of {}",
        fleet.devices().len()
    );
    let truths: Vec<Truth> = fleet.frames(Duration::from_secs(75)).flat_map(|f| f.truths).collect();
    let rules =
        |within_us: u64| -> BTreeSet<&str> { truths.iter().filter(|t| t.at_us <= within_us).map(|t| t.rule).collect() };
    assert!(rules(40_000_000).len() >= 11, "{:?}", rules(40_000_000));
    let kinds: BTreeSet<FaultKind> = truths.iter().map(|t| t.fault).collect();
    assert_eq!(kinds.len(), FaultKind::ALL.len(), "{kinds:?}");
}

/// A wipe this close to a visit's last or first stroke counts for it, as far as an alerting rule with slack for clocks goes.
const CLOCK_SLACK_US: u64 = 30_000_000;

#[test]
fn in_the_demo_three_of_four_devices_are_healthy() {
    let fleet = Scenario::parse("demo.toml", DEMO)
        .unwrap()
        .fleet(DEFAULT_START)
        .unwrap();
    let healthy = fleet.devices().iter().filter(|d| d.is_healthy()).count();
    assert!(
        healthy * 4 > fleet.devices().len() * 3,
        "{healthy} of {}",
        fleet.devices().len()
    );
}

#[test]
fn in_the_demo_the_missed_wipe_is_missed_even_with_slack_for_clocks() {
    for (name, text) in [("demo.toml", DEMO), ("every-fault.toml", EVERY_FAULT)] {
        missed_wipe_is_missed(&Scenario::parse(name, text).unwrap().fleet(DEFAULT_START).unwrap());
    }
}

fn missed_wipe_is_missed(fleet: &Fleet) {
    let (reads, truths) = read(fleet, 150);
    let truth = truths
        .iter()
        .find(|t| t.fault == FaultKind::MissedDisinfection)
        .unwrap();
    let index = fleet
        .devices()
        .iter()
        .position(|d| (d.who.tenant.as_str(), d.who.id.as_str()) == (truth.tenant.as_str(), truth.device.as_str()));
    let uses: Vec<u64> = reads
        .iter()
        .filter(|r| Some(r.device) == index)
        .filter_map(|r| r.strokes().map(|_| r.at_us))
        .collect();
    let last_use = uses.iter().copied().filter(|&at| at < truth.at_us).max().unwrap();
    let first_use = uses.iter().copied().find(|&at| at > truth.at_us).unwrap();
    let clinic = &fleet.devices()[index.unwrap()].who.clinic;
    let proofs = reads.iter().filter(|r| {
        let here = &fleet.devices()[r.device].who.clinic == clinic;
        let near = (last_use.saturating_sub(CLOCK_SLACK_US)..=first_use + CLOCK_SLACK_US).contains(&r.at_us);
        let Ok(Body::Disinfection(wipe)) = r.decoded.as_ref().map(|t| &t.body) else {
            return false;
        };
        here && near && wipe.items.iter().any(|item| item.as_str() == truth.device)
    });
    assert_eq!(proofs.count(), 0);
}

#[test]
fn a_wrong_scenario_is_refused_with_every_mistake_in_its_place() {
    let text = "sped = 2\n[fleet]\nclinics = []\n[[fault]]\nkind = 'depth-crep'\nafter = '1s'\n";
    let Err(ScenarioError::File(errors)) = Scenario::parse("mine.toml", text) else {
        panic!("accepted")
    };
    let errors = errors.to_string();
    for expected in [
        "mine.toml:1:1: sped",
        "fleet.clinics: there is no clinic",
        "fault[0].kind",
    ] {
        assert!(errors.contains(expected), "{expected} is not in {errors}");
    }
}

#[test]
fn a_fault_that_befalls_nobody_is_refused() {
    for selector in ["tenant = 'nobody'", "nth = [99]", "on = 'pen'\ndevice = 'ipl-001'"] {
        let text = format!("[[fault]]\nkind = 'clock-skew'\nafter = '1s'\n{selector}\n");
        let result = Scenario::parse("mine.toml", &text);
        assert!(
            matches!(result, Err(ScenarioError::Selection(_))),
            "{selector}: {result:?}"
        );
    }
    let text = "[[fault]]\nkind = 'depth-creep'\nafter = '1s'\non = 'ipl'\n";
    assert!(matches!(
        Scenario::parse("mine.toml", text),
        Err(ScenarioError::File(_))
    ));
}

#[test]
fn a_fleets_registry_loads_and_knows_every_device_by_its_secret() {
    let spec = simulator::FleetSpec {
        clinics: vec![2, 1],
        ..small()
    };
    let fleet = Fleet::generate(4, &spec).unwrap();
    let registry = registry::Registry::from_sources(&fleet.registry_files()).unwrap_or_else(|e| panic!("{e}"));
    for (index, device) in fleet.devices().iter().enumerate() {
        let credential = fleet.credential(index).unwrap();
        assert_eq!(registry::parse_name(&credential.username), Some(device.who.key()));
        let limits = registry.limits(&device.who.key()).expect("known");
        for row in simulator::treatment::PEN_ZONES
            .iter()
            .filter(|_| device.kind == telemetry::DeviceKind::Pen)
        {
            assert_eq!(
                limits.depth_max(Some(row.zone)).map(telemetry::DepthUm::get),
                Some(row.limit_um)
            );
        }
    }
}
