//! Laws of the rules over seconds of strokes, and of the bounds that they and those of light are judged by.
use std::sync::Arc;

use alerting::RegistryFleet;
use alerting::fleet::{Facts, Fleet as _};
use alerting::rules::depth::{self, DepthBounds, DepthMemory};
use alerting::rules::pen::{self, PenBounds, PenMemory};
use alerting::rules::pulse::LightBounds;
use alerting::rules::seconds::{Column, Expected, Gather};
use alerting::rules::sensor::{DepthSensorStuck, StuckMemory};
use alerting::rules::{Judgement, Kind, Ruleset, Scope, builtin, parse};
use proptest::prelude::*;
use telemetry::{Body, DeviceKey, SkinType, StrokeBatch, Topic, Zone, decode, proto};

use crate::support::registry;

/// What a batch is made of.
#[derive(Debug, Clone, Default)]
struct Strokes {
    first_ordinal: u64,
    zone: i32,
    set_um: u32,
    cartridge: Option<&'static str>,
    depth_um: Vec<u32>,
    unread: Vec<u32>,
}

/// As it comes out of the one door.
fn batch(strokes: Strokes) -> StrokeBatch {
    let topic: Topic = "dermatel/v1/acme/north/pen-1/telemetry".parse().unwrap();
    let frame = proto::Frame {
        header: Some(proto::Header {
            schema_version: Some(1),
            device_id: Some("pen-1".into()),
            boot_id: Some(1),
            sequence: Some(1),
            uptime_us: Some(1),
            ..Default::default()
        }),
        body: Some(proto::frame::Body::StrokeBatch(proto::StrokeBatch {
            first_ordinal: Some(strokes.first_ordinal),
            first_uptime_us: Some(1),
            duration_us: Some(1_000_000),
            zone: Some(strokes.zone),
            depth_setpoint_um: Some(strokes.set_um),
            depth_um: strokes.depth_um,
            unread_index: strokes.unread,
            cartridge_serial: strokes.cartridge.map(str::to_owned),
            ..Default::default()
        })),
    };
    match decode(&topic, &prost::Message::encode_to_vec(&frame)).unwrap().body {
        Body::Strokes(batch) => batch,
        other => panic!("{other:?}"),
    }
}

fn facts(device: &str) -> (DeviceKey, Arc<Facts>) {
    let key = DeviceKey {
        tenant: "acme".parse().unwrap(),
        device: device.parse().unwrap(),
    };
    let facts = RegistryFleet(Arc::new(registry())).facts(&key).unwrap();
    (key, facts)
}

fn resolve<T>(device: &str, rules: &Ruleset, of: impl Fn(&Ruleset, &Facts, &Scope<'_>) -> T) -> T {
    let (key, facts) = facts(device);
    let scope = Scope {
        tenant: &key.tenant,
        clinic: &facts.clinic,
        device: &key.device,
        model: &facts.model,
        zone: Some(Zone::Back),
        skin_type: Some(SkinType::IV),
    };
    of(rules, &facts, &scope)
}

fn drift(bounds: &(DepthBounds, PenBounds), batch: &StrokeBatch, memory: &mut PenMemory) -> Judgement {
    let expected = bounds.0.expected(batch, 0);
    let verdict = pen::judge(batch, Column::of(batch), expected.as_ref(), &bounds.1, true, memory);
    verdict.iter().find(|(kind, _)| *kind == Kind::DepthDrift).unwrap().1
}

fn expected() -> Expected {
    Expected {
        depth_um: 1_000,
        tolerance_um: 150,
        shallow_below_um: 250,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_stroke_that_was_not_read_changes_nothing_about_those_that_were(
        depth_um in proptest::collection::vec(prop_oneof![8 => 850u32..1_150, 1 => 0u32..3_000], 1..200),
        at in 0usize..200, value in 0u32..10_000,
    ) {
        let at = at % (depth_um.len() + 1);
        let mut with = depth_um.clone();
        with.insert(at, value);
        let plain = batch(Strokes { set_um: 1_000, zone: 13, depth_um, ..Default::default() });
        let holed = batch(Strokes { set_um: 1_000, zone: 13, depth_um: with, unread: vec![at as u32], ..Default::default() });
        prop_assert!(Column::of(&plain).is_some() && Column::of(&holed).is_none());
        let fast = Gather::default().push(&plain, Column::of(&plain), &expected()).unwrap();
        let slow = Gather::default().push(&holed, None, &expected()).unwrap();
        prop_assert_eq!(
            (fast.read, fast.residual_um, fast.range_um, fast.shallow, fast.shallow_um),
            (slow.read, slow.residual_um, slow.range_um, slow.shallow, slow.shallow_um)
        );
        prop_assert_eq!(fast.strokes + 1, slow.strokes);
    }

    #[test]
    fn a_run_that_reaches_the_end_of_a_batch_is_found_and_none_is_that_was_not_there(
        batches in proptest::collection::vec((proptest::collection::vec(prop_oneof![9 => Just(100u32), 1 => Just(101)], 1..8), any::<bool>()), 1..30),
    ) {
        let rule = DepthSensorStuck { n_strokes: 6, clear_after_strokes: 10 };
        let (mut memory, mut all, mut ordinal) = (StuckMemory::default(), Vec::new(), 0);
        for (mut depth_um, holed) in batches {
            let before = all.len();
            all.extend(depth_um.iter().copied());
            let first_ordinal = ordinal;
            let mut unread = Vec::new();
            if holed {
                unread.push(depth_um.len() as u32);
                depth_um.push(7);
            }
            ordinal += depth_um.len() as u64;
            let said = memory.judge(&batch(Strokes { first_ordinal, set_um: 100, zone: 13, depth_um, unread, ..Default::default() }), true, &rule);
            let at_end = all.iter().rev().take_while(|d| Some(*d) == all.last()).count();
            let longest_here = (before..all.len())
                .map(|end| all[..=end].iter().rev().take_while(|d| **d == all[end]).count())
                .max()
                .unwrap_or(0);
            let violated = matches!(said, Judgement::Violated(_));
            prop_assert!(at_end < 6 || violated, "a run of {at_end} was missed");
            prop_assert!(longest_here >= 6 || !violated, "no run was longer than {longest_here}: {said:?}");
            if let Judgement::Violated(v) = said {
                prop_assert!(v.value as usize <= longest_here);
            }
        }
    }

    #[test]
    fn a_chart_starts_anew_with_every_zone_setpoint_and_cartridge(
        before in proptest::collection::vec(800u32..1_200, 0..20),
        after in proptest::collection::vec(800u32..1_200, 1..20),
        what in 0usize..3,
    ) {
        let rules = builtin().unwrap();
        let bounds = (resolve("pen-1", &rules, DepthBounds::resolve), resolve("pen-1", &rules, PenBounds::resolve));
        let old = Strokes { zone: 13, set_um: 1_000, cartridge: Some("K1"), ..Default::default() };
        let new = match what {
            0 => Strokes { zone: 14, ..old.clone() },
            1 => Strokes { set_um: 950, ..old.clone() },
            _ => Strokes { cartridge: Some("K2"), ..old.clone() },
        };
        let second = |of: &Strokes, depth: u32| batch(Strokes { depth_um: vec![depth; 100], ..of.clone() });
        let (mut used, mut fresh) = (PenMemory::default(), PenMemory::default());
        for depth in before {
            drift(&bounds, &second(&old, depth), &mut used);
        }
        for depth in after {
            let strokes = second(&new, depth);
            prop_assert_eq!(drift(&bounds, &strokes, &mut used), drift(&bounds, &strokes, &mut fresh));
        }
    }

    #[test]
    fn what_is_within_the_tolerance_of_its_own_calibration_is_never_off_its_setpoint(
        offset in -150i32..=150,
        residuals in proptest::collection::vec(-150i32..=150, 1..400),
    ) {
        let bounds = resolve("pen-1", &builtin().unwrap(), DepthBounds::resolve);
        let depth_um = residuals.iter().map(|r| (1_000 + offset + r) as u32).collect();
        let strokes = batch(Strokes { zone: 13, set_um: 1_000, depth_um, ..Default::default() });
        let expected = bounds.expected(&strokes, offset);
        let verdict = depth::judge(&strokes, Column::of(&strokes), expected.as_ref(), &bounds, &mut DepthMemory::default());
        prop_assert_eq!(verdict.off, None);
    }
}

#[test]
fn one_wild_reading_moves_the_mean_of_a_second_by_no_more_than_twice_the_tolerance_would() {
    let mut depth_um = vec![1_000; 99];
    depth_um.push(9_999);
    let strokes = batch(Strokes {
        zone: 13,
        set_um: 1_000,
        depth_um,
        ..Default::default()
    });
    let second = Gather::default()
        .push(&strokes, Column::of(&strokes), &expected())
        .unwrap();
    // 300 µm of one in a hundred.
    assert_eq!((second.mean_milli(), second.range_um), (3_000, 8_999));
}

/// The rules that come with the program with one rule's parameters replaced.
fn with(id: &str, parameters: &str) -> Ruleset {
    let text = include_str!("../../../../deploy/rules/default.toml");
    let at = text.find(&format!("id = \"{id}\"")).unwrap();
    let line = at + text[at..].find("parameters = ").unwrap();
    let end = line + text[line..].find('\n').unwrap();
    let text = format!("{}parameters = {{ {parameters} }}{}", &text[..line], &text[end..]);
    parse(&[("r.toml".to_owned(), text)]).unwrap()
}

#[test]
fn a_rule_makes_limits_of_the_registry_stricter_and_never_wider() {
    let plain = builtin().unwrap();
    let light = |rules: &Ruleset| resolve("ipl-1", rules, LightBounds::resolve);
    for (id, wider, stricter) in [
        ("pulse-stacking", "interval_min_us = 100000", "interval_min_us = 900000"),
        ("skin-too-hot", "limit_mdegc = 60000", "limit_mdegc = 42000"),
        (
            "tip-too-hot",
            "limit_mdegc = 60000, hysteresis_mdegc = 1000, clear_after_pulses = 5",
            "limit_mdegc = 15000, hysteresis_mdegc = 1000, clear_after_pulses = 5",
        ),
        ("filter-mismatch", "cutoff_min_nm = 400", "cutoff_min_nm = 600"),
    ] {
        assert_eq!(light(&with(id, wider)), light(&plain), "{id}: {wider}");
        assert_ne!(light(&with(id, stricter)), light(&plain), "{id}: {stricter}");
    }
    let pen = |rules: &Ruleset| resolve("pen-1", rules, PenBounds::resolve);
    let rate = |own: &str| {
        with(
            "stroke-rate-off",
            &format!("tolerance_permille = 50, k_s = 5, n_s = 8, clear_after_s = 10, {own}"),
        )
    };
    assert_eq!(pen(&rate("min_hz = 10, max_hz = 900")), pen(&plain));
    assert_ne!(pen(&rate("min_hz = 90")), pen(&plain));
    assert_ne!(pen(&rate("max_hz = 150")), pen(&plain));
}

#[test]
fn parameters_that_would_flood_or_never_fire_are_refused() {
    let faults = |kind: &str, parameters: &str| {
        let text = format!(
            "[[rule]]\nid = \"r\"\nkind = \"{kind}\"\npriority = \"low\"\nwhat_to_do = \"x\"\nparameters = {{ {parameters} }}\n"
        );
        parse(&[("r.toml".to_owned(), text)]).unwrap_err().to_string()
    };
    for (kind, parameters, says) in [
        (
            "depth_drift",
            "indifference_um = 0, decision_um = 5, clear_after_s = 1",
            "indifference_um must be above 0",
        ),
        (
            "depth_baseline_shift",
            "limit_um = 30, weight_permille = 0, strokes_min = 1",
            "weight_permille 1 to 1000",
        ),
        (
            "depth_sensor_stuck",
            "n_strokes = 1, clear_after_strokes = 1",
            "n_strokes must be at least 2",
        ),
        (
            "depth_sensor_jitter",
            "range_sigma = 5, k_s = 1, n_s = 2, clear_after_s = 1",
            "range_sigma must be at least 6",
        ),
        (
            "stroke_rate_off",
            "tolerance_permille = 5, k_s = 3, n_s = 2, clear_after_s = 1",
            "k_s and n_s must be",
        ),
        (
            "depth_too_shallow",
            "share_permille = 950, k_s = 1, n_s = 2, clear_after_s = 1",
            "share_permille must be at most",
        ),
        (
            "pulse_unfired",
            "k_pulses = 0, n_pulses = 2, clear_after_pulses = 1",
            "k_pulses and n_pulses must be",
        ),
        (
            "tip_too_hot",
            "hysteresis_mdegc = -1, clear_after_pulses = 1",
            "hysteresis_mdegc must not be",
        ),
        (
            "lamp_drift",
            "limit_permille = 0, weight_permille = 5",
            "limit_permille must be above 0",
        ),
        ("recovery_not_judged", "n_visits = 0", "n_visits must be above 0"),
    ] {
        let told = faults(kind, parameters);
        assert!(told.contains("r.toml:6") && told.contains(says), "{kind}: {told}");
    }
}
