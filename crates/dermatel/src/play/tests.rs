//! Faults whose rules need a gateway: what it refuses, how far it is, and time that passes.
#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;
use std::time::Duration;

use alerting::lifecycle::State;
use alerting::rules::builtin;
use simulator::Scenario;

use super::*;

/// One clinic of two pens, one light and what cleans them.
const CLINIC: &str = r#"
seed = 7
[fleet]
clinics = [1]
pens_per_clinic = 2
ipl_per_clinic = 1
opening = { min = "3s", max = "10s" }
session = { min = "5m", max = "10m" }
gap = { min = "2m", max = "5m" }
"#;

/// Pages by rule and device.
fn pages(faults: &str, length: Duration) -> (BTreeMap<(String, String), u64>, Played) {
    let scenario = Scenario::parse("clinic.toml", &format!("{CLINIC}{faults}")).unwrap();
    let fleet = scenario.fleet(simulator::DEFAULT_START).unwrap();
    let manner = Manner {
        duration: length,
        acknowledged_after: None,
    };
    let played = play(
        &fleet,
        Arc::new(builtin().unwrap()),
        registry_of(&fleet).unwrap(),
        manner,
    )
    .unwrap();
    let mut pages = BTreeMap::new();
    for told in played.told.iter().filter(|told| told.pages()) {
        let alert = &told.step.alert;
        *pages.entry((alert.rule.clone(), alert.device.clone())).or_default() += 1;
    }
    (pages, played)
}

fn told_of<'a>(played: &'a Played, rule: &str) -> Vec<&'a Told> {
    played.told.iter().filter(|told| told.step.alert.rule == rule).collect()
}

/// The one device that the fault befell and its rule paged for, and nobody else's.
fn found(faults: &str, length: Duration, rule: &str) -> Played {
    let (pages, played) = pages(faults, length);
    let truths: Vec<_> = played.truths.iter().filter(|truth| truth.rule == rule).collect();
    assert!(!truths.is_empty(), "nothing went wrong");
    let of: Vec<_> = pages.iter().filter(|((of, _), _)| of == rule).collect();
    assert_eq!(of, [(&(rule.to_owned(), truths[0].device.clone()), &1)], "{pages:?}");
    played
}

#[test]
fn garbage_of_a_device_is_told_once_and_over_when_it_speaks_well_again() {
    let faults = "[[fault]]\nkind = \"garbage-firmware\"\non = \"ipl\"\nnth = [0]\nafter = \"30s\"\nfor = \"5m\"\n";
    let played = found(faults, Duration::from_secs(45 * 60), "frames-rejected");
    assert!(played.refused > 5, "{} refused", played.refused);
    let last = told_of(&played, "frames-rejected").last().map(|told| told.step.to);
    assert_eq!(last, Some(State::Resolved));
}

#[test]
fn where_nothing_is_wrong_nothing_is_paged() {
    let (pages, played) = pages("", Duration::from_secs(30 * 60));
    assert_eq!(pages, BTreeMap::new());
    assert!(played.truths.is_empty());
}
