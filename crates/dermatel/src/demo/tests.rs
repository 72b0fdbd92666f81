//! What a newcomer sees in the first minutes.
#![allow(clippy::unwrap_used)]
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use alerting::rules::builtin;
use simulator::Scenario;
use telemetry::Priority;

use crate::play::{Manner, Played, Told, play, registry_of};

fn played(seed: u64, length: Duration) -> Played {
    let scenario = Scenario {
        seed,
        ..Scenario::parse("demo.toml", simulator::DEMO).unwrap()
    };
    let fleet = scenario.fleet(simulator::DEFAULT_START).unwrap();
    let manner = Manner {
        duration: length,
        acknowledged_after: None,
    };
    play(
        &fleet,
        Arc::new(builtin().unwrap()),
        registry_of(&fleet).unwrap(),
        manner,
    )
    .unwrap()
}

/// What was told within so many seconds: the first step of each alert that a person is told of, by device.
fn told(played: &Played, within_s: u64) -> BTreeMap<(String, String), Vec<&Told>> {
    let mut seen = BTreeSet::new();
    let mut by_device: BTreeMap<_, Vec<&Told>> = BTreeMap::new();
    for told in played.told.iter().filter(|told| told.pages()) {
        let alert = &told.step.alert;
        if told.at_us <= within_s * 1_000_000 && seen.insert(alert.id) {
            let device = (alert.tenant.clone(), alert.device.clone());
            by_device.entry(device).or_default().push(told);
        }
    }
    by_device
}

/// The scenario's own seed, and others as `--seed` gives them.
const SEEDS: [u64; 4] = [2026, 2027, 2028, 2035];

#[test]
fn the_first_minute_of_the_demo_tells_of_a_handful_of_hazards_that_a_person_can_follow() {
    for seed in SEEDS {
        let played = played(seed, Duration::from_secs(60));
        let minute = told(&played, 60);
        let alerts: usize = minute.values().map(Vec::len).sum();
        assert!((3..=5).contains(&minute.len()) && alerts <= 9, "{seed}: {minute:#?}");
        let leads = |rule: &str| {
            let first = minute
                .values()
                .find(|all| all.iter().any(|t| t.step.alert.rule == rule));
            first.map(|all| all[0].step.alert.priority)
        };
        assert_eq!(leads("depth-above-limit"), Some(Priority::High), "{seed}");
        assert_eq!(leads("pulse-above-limit"), Some(Priority::High), "{seed}");
        assert_eq!(leads("device-silent"), Some(Priority::Medium), "{seed}");
        // The first comes while somebody opens the console.
        let mut begins: Vec<u64> = minute.values().map(|all| all[0].at_us / 1_000_000).collect();
        begins.sort_unstable();
        assert!((1..=15).contains(&begins[0]), "{seed}: {begins:?}");
    }
}

#[test]
fn whoever_has_an_alert_in_the_demo_has_a_fault_and_each_fault_has_its_alert() {
    for seed in SEEDS {
        let played = played(seed, Duration::from_secs(200));
        let minutes = told(&played, 200);
        let faulty: BTreeSet<_> = played
            .truths
            .iter()
            .map(|t| (t.tenant.clone(), t.device.clone()))
            .collect();
        let noise: Vec<_> = minutes.iter().filter(|(device, _)| !faulty.contains(device)).collect();
        assert!(noise.is_empty(), "{seed}: {noise:#?}");
        for truth in &played.truths {
            let found = minutes.get(&(truth.tenant.clone(), truth.device.clone()));
            let found = found.is_some_and(|all| all.iter().any(|told| told.step.alert.rule == truth.rule));
            assert!(found, "{seed}: {truth:?}");
        }
        let kinds: BTreeSet<_> = played.truths.iter().map(|truth| truth.fault).collect();
        assert_eq!(kinds.len(), 7, "{seed}: {kinds:?}");
    }
}
