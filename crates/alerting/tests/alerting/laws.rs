//! Laws of the engine, over random histories of a small fleet.
use std::collections::{BTreeMap, BTreeSet};

use alerting::intake::Input;
use alerting::lifecycle::State;
use proptest::prelude::*;
use telemetry::proto::frame::Body;
use telemetry::{Origin, UnixMicros, proto};

use crate::support::{Said, World, strokes, tick, watermark};

/// What a history is made of.
#[derive(Debug, Clone)]
enum Step {
    Strokes {
        device: u8,
        zone: u8,
        depth: u32,
        count: usize,
    },
    Pulse {
        fluence: u32,
        skin: i32,
    },
    Start {
        device: u8,
        cartridge: u8,
    },
    End {
        device: u8,
    },
    NextVisit {
        device: u8,
    },
    Heartbeat {
        device: u8,
    },
    Reboot {
        device: u8,
    },
    Wipe {
        device: u8,
    },
    Cycle {
        device: u8,
        pass: bool,
    },
    Indicator {
        pass: bool,
    },
    Watermark,
    Tick,
}

fn steps() -> impl Strategy<Value = Vec<(Step, u32)>> {
    let device = 0u8..3;
    let step = prop_oneof![
        4 => (device.clone(), 0u8..3, 100u32..1_600, 1usize..60).prop_map(|(device, zone, depth, count)| Step::Strokes { device, zone, depth, count }),
        2 => (1_000u32..9_000, 0i32..7).prop_map(|(fluence, skin)| Step::Pulse { fluence, skin }),
        2 => (device.clone(), 0u8..3).prop_map(|(device, cartridge)| Step::Start { device, cartridge }),
        1 => device.clone().prop_map(|device| Step::End { device }),
        2 => device.clone().prop_map(|device| Step::NextVisit { device }),
        1 => device.clone().prop_map(|device| Step::Heartbeat { device }),
        1 => device.clone().prop_map(|device| Step::Reboot { device }),
        1 => device.clone().prop_map(|device| Step::Wipe { device }),
        1 => (device, any::<bool>()).prop_map(|(device, pass)| Step::Cycle { device, pass }),
        1 => any::<bool>().prop_map(|pass| Step::Indicator { pass }),
        3 => Just(Step::Watermark),
        1 => Just(Step::Tick),
    ];
    // Mostly quick, now and then a minute.
    proptest::collection::vec((step, prop_oneof![4 => 1u32..3_000, 1 => 3_000u32..90_000]), 1..50)
}

#[derive(Default)]
struct Device {
    boot: u64,
    sequence: u64,
    visit: u8,
    ordinal: u64,
}

/// The history as it stands in the log, with the device that each record is of (none: of nobody).
fn history(steps: &[(Step, u32)]) -> Vec<(Option<String>, Vec<u8>)> {
    let mut devices: BTreeMap<String, Device> = BTreeMap::new();
    let mut now_us = 1_000_000;
    let mut log = Vec::new();
    for (step, ms) in steps {
        now_us += i64::from(*ms) * 1_000;
        let pen = |n: &u8| format!("pen-{}", n + 1);
        let outcome = |pass: bool| Some(if pass { 1 } else { 2 });
        let (name, body) = match step {
            Step::Watermark => {
                log.push((None, watermark("gw-1", now_us)));
                continue;
            }
            Step::Tick => {
                log.push((None, tick(now_us)));
                continue;
            }
            Step::NextVisit { device } => {
                devices.entry(pen(device)).or_default().visit += 1;
                continue;
            }
            Step::Reboot { device } => {
                let device = devices.entry(pen(device)).or_default();
                device.boot += 1;
                device.sequence = 0;
                continue;
            }
            Step::Strokes {
                device,
                zone,
                depth,
                count,
            } => {
                let known = devices.entry(pen(device)).or_default();
                known.ordinal += *count as u64;
                let zone = [None, Some(6), Some(13)][usize::from(*zone)];
                (
                    pen(device),
                    strokes(zone, Some(600), known.ordinal, now_us, vec![*depth; *count]),
                )
            }
            Step::Pulse { fluence, skin } => {
                let pulse = proto::Pulse {
                    ordinal: Some(now_us as u64),
                    uptime_us: Some(now_us as u64),
                    fluence_measured_mj_per_cm2: Some(*fluence),
                    fluence_set_mj_per_cm2: Some(4_000),
                    skin_type: Some(*skin),
                    ..Default::default()
                };
                let pulses = vec![pulse];
                (
                    "ipl-1".into(),
                    Body::PulseBatch(proto::PulseBatch {
                        pulses,
                        flush_reason: None,
                    }),
                )
            }
            Step::Start { device, cartridge } => {
                let cartridge_serial = Some(format!("K{cartridge}"));
                (
                    pen(device),
                    Body::SessionStart(proto::SessionStart {
                        cartridge_serial,
                        ..Default::default()
                    }),
                )
            }
            Step::End { device } => (pen(device), Body::SessionEnd(proto::SessionEnd::default())),
            Step::Heartbeat { device } => (pen(device), Body::Heartbeat(proto::Heartbeat::default())),
            Step::Wipe { device } => {
                let items = vec![pen(device)];
                (
                    "station-1".into(),
                    Body::Disinfection(proto::Disinfection {
                        items,
                        level: Some(2),
                        ..Default::default()
                    }),
                )
            }
            Step::Cycle { device, pass } => {
                let items = vec![pen(device)];
                let cycle_id = Some(format!("c{now_us}"));
                let outcome = outcome(*pass);
                (
                    "autoclave-1".into(),
                    Body::SterilizationCycle(proto::SterilizationCycle {
                        items,
                        cycle_id,
                        outcome,
                        ..Default::default()
                    }),
                )
            }
            Step::Indicator { pass } => {
                let (kind, outcome) = (Some(1), outcome(*pass));
                (
                    "autoclave-1".into(),
                    Body::IndicatorResult(proto::IndicatorResult {
                        kind,
                        outcome,
                        ..Default::default()
                    }),
                )
            }
        };
        let device = devices.entry(name.clone()).or_default();
        let mut said = Said::new(&name, device.sequence, now_us, body);
        device.sequence += 1;
        said.boot = device.boot;
        said.visit = Some(device.visit);
        said.session = Some(device.visit);
        log.push((Some(name), said.record()));
    }
    log
}

/// One line per transition: everything that anybody outside sees of it.
fn lines(world: &mut World, record: &[u8]) -> Vec<String> {
    let transitions = world.apply(record);
    transitions
        .iter()
        .map(|t| {
            format!(
                "{:?} {:?} {:?} {:?}->{:?} {} {} {}",
                t.decided_at,
                t.id,
                t.alert.id,
                t.from,
                t.to,
                t.why.as_str(),
                t.page,
                t.alert.value
            )
        })
        .collect()
}

/// The same, as if all that came within a minute had come at its beginning.
fn within_a_minute(record: &[u8]) -> Input {
    let minute = |at: UnixMicros| UnixMicros(at.0 - at.0.rem_euclid(60_000_000));
    let mut input = alerting::intake::decode(record).unwrap();
    match &mut input {
        Input::Frame(frame) => frame.logged_at = minute(frame.logged_at),
        Input::Watermark { logged_at, .. } => *logged_at = minute(*logged_at),
        Input::Tick { now } => *now = minute(*now),
        _ => {}
    }
    input
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_two_steps_have_the_same_time_whatever_comes_at_one_moment_and_whenever_it_starts_again(
        steps in steps(),
        restarts in proptest::collection::vec(any::<bool>(), 50),
    ) {
        let mut world = World::new();
        let mut last = UnixMicros(i64::MIN);
        for ((_, record), restarts) in history(&steps).iter().zip(restarts) {
            for t in world.apply_input(&within_a_minute(record)) {
                prop_assert!(last < t.decided_at, "{t:?} is not after {last:?}");
                // Of the step that raises it.
                let raised = t.from == State::Inactive;
                prop_assert!(t.alert.decided_at <= t.decided_at, "{t:?} was decided before it was raised");
                prop_assert!(!raised || t.alert.decided_at == t.decided_at, "{t:?}");
                last = t.decided_at;
            }
            if restarts {
                world.restart();
            }
        }
    }

    #[test]
    fn any_batching_and_a_restart_at_any_boundary_give_the_same_transitions(
        steps in steps(),
        commits in proptest::collection::vec(any::<bool>(), 50),
        restarts in proptest::collection::vec(any::<bool>(), 50),
    ) {
        let log = history(&steps);
        let mut plain = World::new();
        let expected: Vec<String> = log.iter().flat_map(|(_, r)| lines(&mut plain, r)).collect();
        let mut cut = World::new();
        let mut got = Vec::new();
        for (n, (_, record)) in log.iter().enumerate() {
            got.extend(lines(&mut cut, record));
            if commits[n] {
                cut.commit();
            }
            if restarts[n] {
                cut.restart();
            }
        }
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn what_was_applied_and_not_committed_is_computed_again_alike(steps in steps(), at in 0usize..50, back in 0usize..20) {
        let log = history(&steps);
        let mut plain = World::new();
        let expected: Vec<String> = log.iter().flat_map(|(_, r)| lines(&mut plain, r)).collect();
        let at = at % (log.len() + 1);
        let committed = at.saturating_sub(back);
        let mut world = World::new();
        let mut got = Vec::new();
        for (_, record) in &log[..committed] {
            got.extend(lines(&mut world, record));
        }
        world.restart();
        // Applied and lost with the process.
        let mut lost = World::new();
        for (_, record) in &log[..at] {
            let _ = lines(&mut lost, record);
        }
        for (_, record) in &log[committed..] {
            got.extend(lines(&mut world, record));
        }
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn copies_of_frames_change_nothing(steps in steps(), copies in proptest::collection::vec(0usize..8, 50)) {
        let log = history(&steps);
        let mut plain = World::new();
        let expected: Vec<String> = log.iter().flat_map(|(_, r)| lines(&mut plain, r)).collect();
        let mut world = World::new();
        let mut got = Vec::new();
        for n in 0..log.len() {
            got.extend(lines(&mut world, &log[n].1));
            // One of the last frames comes again.
            let again = n.saturating_sub(copies[n]);
            if log[again].0.is_some() {
                got.extend(lines(&mut world, &log[again].1));
            }
        }
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn another_order_across_devices_gives_the_same_readings_alerts(steps in steps(), turns in proptest::collection::vec(0usize..5, 200)) {
        // What devices tell each other about (evidence, watermarks) is about order and stays out.
        let log: Vec<_> = history(&steps)
            .into_iter()
            .filter(|(of, _)| of.as_deref().is_some_and(|d| d.starts_with("pen") || d.starts_with("ipl")))
            .collect();
        let raised = |log: &[(Option<String>, Vec<u8>)]| {
            let mut world = World::new();
            let transitions: Vec<_> = log.iter().flat_map(|(_, r)| world.apply(r)).collect();
            let raised = transitions.into_iter().filter(|t| t.to == State::Firing && t.alert.kind.is_about_readings());
            raised.map(|t| (t.alert.id, t.id)).collect::<BTreeSet<_>>()
        };
        let mut queues: BTreeMap<_, std::collections::VecDeque<_>> = BTreeMap::new();
        for entry in &log {
            queues.entry(entry.0.clone()).or_default().push_back(entry.clone());
        }
        let mut other = Vec::new();
        let mut turn = turns.iter().cycle();
        while other.len() < log.len() {
            let n = *turn.next().unwrap() % queues.len();
            if let Some(entry) = queues.values_mut().nth(n).and_then(|q| q.pop_front()) {
                other.push(entry);
            } else {
                let rest: Vec<_> = queues.values_mut().flat_map(std::mem::take).collect();
                other.extend(rest);
            }
        }
        prop_assert_eq!(raised(&log), raised(&other));
    }

    #[test]
    fn nothing_that_fires_is_resolved_without_a_person_or_evidence(steps in steps()) {
        let mut world = World::new();
        for (_, record) in history(&steps) {
            for t in world.apply(&record) {
                let why = t.why.as_str();
                if t.to == State::Resolved {
                    prop_assert!(!matches!(why, "silent" | "session_over") || t.alert.kind.is_data_quality(), "{t:?}");
                    prop_assert!(!t.alert.kind.latches() || why == "evidence_arrived", "{t:?}");
                }
            }
        }
    }
}

#[test]
fn a_cut_line_does_not_flood_and_is_one_alert_for_the_site() {
    let mut world = World::new();
    let heartbeat = |device: &str, sequence: u64, at_us: i64, received_us: i64| {
        let mut said = Said::new(device, sequence, at_us, Body::Heartbeat(proto::Heartbeat::default()));
        said.received_us = received_us;
        said
    };
    let pens = ["pen-1", "pen-2", "pen-3", "pen-4", "pen-5", "pen-6"];
    for pen in pens {
        assert!(world.say(&heartbeat(pen, 0, 1_000_000, 1_000_000)).is_empty());
    }
    world.apply(&watermark("gw-1", 1_000_000));
    // The line is cut for an hour. Time passes here; the gateway goes on receiving there.
    let fired = world.apply(&tick(3_600_000_000));
    let rules: Vec<_> = fired.iter().map(|t| t.alert.rule.as_str()).collect();
    assert_eq!(rules, ["gateway-silent"]);
    // It is back: an hour of heartbeats comes in order, with the watermarks between them as the gateway made them.
    let mut told = Vec::new();
    for n in 1..360u64 {
        let at = 1_000_000 + n as i64 * 10_000_000;
        for pen in pens {
            told.extend(world.say(&heartbeat(pen, n, at, at)));
        }
        told.extend(world.apply(&watermark("gw-1", at)));
    }
    let rules: Vec<_> = told.iter().map(|t| (t.alert.rule.as_str(), t.to)).collect();
    assert_eq!(rules, [("gateway-silent", State::Resolved)]);
}

#[test]
fn a_replay_pages_nobody_until_the_same_is_seen_live() {
    let mut world = World::new();
    let deep = |sequence: u64| {
        Said::new(
            "pen-1",
            sequence,
            5_000_000,
            strokes(Some(6), Some(800), sequence * 10, 5_000_000, vec![1_400; 5]),
        )
    };
    let mut replayed = deep(0);
    replayed.origin = Origin::Replayed;
    let raised = world.say(&replayed);
    assert!(
        raised
            .iter()
            .any(|t| t.alert.rule == "depth-above-limit" && !t.alert.class.pages())
    );
    assert!(
        raised.iter().all(|t| t.alert.clinic == "north"),
        "never heard, but known where: {raised:?}"
    );
    let again = world.say(&deep(1));
    let live = again.iter().find(|t| t.alert.rule == "depth-above-limit").unwrap();
    assert!(live.page && live.alert.class.pages());
}

#[test]
fn one_tenants_cartridge_is_not_anothers() {
    let mut world = World::new();
    let start = |tenant: &str, visit: u8| {
        let body = Body::SessionStart(proto::SessionStart {
            cartridge_serial: Some("K1".into()),
            ..Default::default()
        });
        let mut said = Said::new("pen-1", 0, 5_000_000, body);
        said.tenant = tenant.into();
        said.visit = Some(visit);
        said
    };
    let mut told = world.say(&start("acme", 1));
    told.extend(world.say(&start("other", 2)));
    assert!(told.iter().all(|t| t.alert.rule != "cartridge-reused"));
}
