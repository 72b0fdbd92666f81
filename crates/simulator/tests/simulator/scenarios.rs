//! Scenario files: those that are shipped load, and mistakes are told.
use std::path::Path;
use std::time::Duration;

use simulator::{DEFAULT_START, DEMO, Fleet, Scenario, ScenarioError};

use crate::read::small;

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
fn in_the_demo_many_rules_are_due_within_40_s_and_most_devices_are_healthy() {
    let fleet = Scenario::parse("demo.toml", DEMO)
        .unwrap()
        .fleet(DEFAULT_START)
        .unwrap();
    let healthy = fleet.devices().iter().filter(|d| d.is_healthy()).count();
    assert!(
        healthy * 2 > fleet.devices().len(),
        "{healthy} of {}",
        fleet.devices().len()
    );
    let rules: std::collections::BTreeSet<&str> = fleet
        .frames(Duration::from_secs(40))
        .flat_map(|f| f.truths)
        .filter(|t| t.at_us <= 40_000_000)
        .map(|t| t.rule)
        .collect();
    assert!(rules.len() >= 14, "{rules:?}");
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
