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
    pages_of(&format!("{CLINIC}{faults}"), length)
}

fn pages_of(scenario: &str, length: Duration) -> (BTreeMap<(String, String), u64>, Played) {
    let scenario = Scenario::parse("clinic.toml", scenario).unwrap();
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

#[test]
fn a_pen_from_a_load_without_an_indicator_is_told_when_it_is_used() {
    let faults = "[[fault]]\nkind = \"missing-indicator\"\nafter = \"0s\"\nnth = [1]\n";
    found(faults, Duration::from_secs(30 * 60), "indicator-missing");
}

#[test]
fn a_chain_that_cleans_in_one_clinic_lets_that_count_and_is_not_paged() {
    let chain = "[fleet.staff]\none_autoclave = true\n";
    let text = CLINIC.replace("clinics = [1]", "clinics = [2]");
    let (pages, _) = pages_of(&format!("{text}{chain}"), Duration::from_secs(30 * 60));
    assert_eq!(pages, BTreeMap::new());
}

#[test]
fn a_device_that_is_expected_and_never_speaks_is_told() {
    let faults = "[[fault]]\nkind = \"never-speaks\"\non = \"pen\"\nafter = \"0s\"\nnth = [0]\n";
    found(faults, Duration::from_secs(60), "never-seen");
}

#[test]
fn a_device_that_is_put_away_is_told_when_it_was_not_heard_for_the_time_of_its_policy() {
    let faults = "[[fault]]\nkind = \"gone-away\"\non = \"ipl\"\nafter = \"2m\"\nnth = [0]\n";
    let played = found(faults, Duration::from_secs(150 * 60), "not-seen");
    let away_us = played.truths[0].at_us;
    let told_us = told_of(&played, "not-seen")[0].at_us;
    let silent = Duration::from_micros(told_us - away_us);
    // Two hours by its policy, of the gateway's watermark, since its last frame.
    assert!((7_140..7_210).contains(&silent.as_secs()), "{silent:?}");
}

#[test]
fn a_clock_that_is_off_and_says_that_it_was_set_is_told() {
    for on in ["pen", "ipl"] {
        let faults = format!("[[fault]]\nkind = \"clock-skew\"\non = \"{on}\"\nafter = \"0s\"\nnth = [0]\n");
        found(&faults, Duration::from_secs(5 * 60), "clock-skew");
    }
}

#[test]
fn two_machines_under_one_identity_are_told() {
    let faults = "[[fault]]\nkind = \"shared-identity\"\non = \"pen\"\nafter = \"1m\"\nnth = [0]\n";
    found(faults, Duration::from_secs(5 * 60), "identity-conflict");
}

#[test]
fn every_fault_names_a_rule_and_every_row_of_the_catalogue_a_fault_or_why_there_is_none() {
    let rules = builtin().unwrap();
    let ids: Vec<String> = alerting::rules::Kind::ALL
        .iter()
        .filter_map(|kind| rules.head(*kind).map(|head| head.id.to_string()))
        .collect();
    for fault in simulator::FaultKind::ALL {
        assert!(ids.contains(&fault.rule().to_owned()), "{fault} names {}", fault.rule());
    }
    let catalogue = include_str!("../../../../deploy/rules/catalogue.md");
    for row in catalogue.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let is_fault = |named: &str| {
            let mut faults = simulator::FaultKind::ALL.iter();
            faults.any(|fault| fault.as_str() == named.trim_matches('`'))
        };
        let known = cells[6].split(", ").all(is_fault);
        assert!(known || cells[6].starts_with("none: "), "{}: {}", cells[0], cells[6]);
    }
}

/// The gateway stands still from minute 3 to minute 8; devices keep what they say and send it afterwards.
#[test]
fn a_gateway_that_stands_still_is_one_alert_for_its_clinic_and_over_when_it_speaks_again() {
    const STOPS_US: u64 = 180_000_000;
    const BACK_US: u64 = 480_000_000;
    let fleet = Scenario::parse("clinic.toml", CLINIC).unwrap();
    let fleet = fleet.fleet(simulator::DEFAULT_START).unwrap();
    let manner = Manner {
        duration: Duration::from_secs(600),
        acknowledged_after: None,
    };
    let rules = Arc::new(builtin().unwrap());
    let mut stage = Stage::new(&fleet, rules, registry_of(&fleet).unwrap(), manner).unwrap();
    let (before, after): (Vec<_>, Vec<_>) = fleet.frames(manner.duration).partition(|frame| frame.at_us < STOPS_US);
    let play = |stage: &mut Stage<'_>, frames: Vec<TimedFrame>| {
        for frame in frames {
            stage.until(frame.at_us).unwrap();
            stage.frame(frame).unwrap();
        }
    };
    play(&mut stage, before);
    stage.until(STOPS_US).unwrap();
    let gateways = std::mem::take(&mut stage.gateways);
    stage.until(BACK_US).unwrap();
    stage.gateways = gateways;
    let late = |mut frame: TimedFrame| {
        frame.at_us = frame.at_us.max(BACK_US);
        frame
    };
    play(&mut stage, after.into_iter().map(late).collect());
    stage.until(600_000_000).unwrap();
    let told = told_of(&stage.played, "gateway-silent");
    let steps: Vec<_> = told.iter().map(|told| (told.step.to, told.pages())).collect();
    assert_eq!(steps, [(State::Firing, true), (State::Resolved, false)]);
    // Two minutes by its rule, and a watermark is up to a second old.
    assert!(
        (299_000_000..=302_000_000).contains(&told[0].at_us),
        "{}",
        told[0].at_us
    );
    let pages: Vec<_> = stage.played.told.iter().filter(|told| told.pages()).collect();
    assert_eq!(pages.len(), 1, "one for the clinic: {pages:?}");
}
