//! What comes again, out of order, across a restart or from a clock that is wrong moves nothing that it must not.
use alerting::lifecycle::State;
use telemetry::proto::frame::Body;
use telemetry::{Origin, proto};

use crate::support::{Said, World, strokes, tick, watermark};

#[test]
fn a_stroke_that_latches_an_alert_that_fires_already_latches_it_across_a_restart() {
    let mut world = World::new();
    let say = |sequence: u64, ordinal: u64, depths: Vec<u32>| {
        let at = 5_000_000 + sequence as i64 * 1_000_000;
        Said::new("pen-1", sequence, at, strokes(Some(6), Some(800), ordinal, at, depths))
    };
    // Cheek: 1000, alone above 1270. Three of ten above 1000 fire; then one at 1400 would have fired alone.
    let fired = world.say(&say(0, 0, vec![1_100; 5]));
    let id = fired
        .iter()
        .find(|t| t.alert.rule == "depth-above-limit")
        .unwrap()
        .alert
        .id;
    world.say(&say(1, 5, vec![1_400]));
    world.restart();
    world.say(&say(2, 6, vec![800; 300]));
    assert_eq!(world.engine.alert(id).unwrap().state(), State::Latched);
}

#[test]
fn an_acknowledgement_of_an_alert_whose_device_is_not_heard_is_kept_across_a_restart() {
    let mut world = World::new();
    let deep = Said::new(
        "pen-1",
        0,
        5_000_000,
        strokes(Some(6), Some(800), 0, 5_000_000, vec![1_400; 5]),
    );
    let fired = world.say(&deep);
    let id = fired
        .iter()
        .find(|t| t.alert.rule == "depth-above-limit")
        .unwrap()
        .alert
        .id;
    world.apply(&watermark("gw-1", 5_000_000));
    world.apply(&watermark("gw-1", 60_000_000));
    assert_eq!(world.engine.alert(id).unwrap().state(), State::Unknown);
    world.commit();
    world.apply(&crate::support::acknowledge(id.0, 1, 61_000_000));
    world.restart();
    let alert = world.engine.alert(id).unwrap();
    assert_eq!(alert.acknowledged_by.as_deref(), Some("ann"));
    assert!(!alert.life.needs_person());
}

#[test]
fn what_is_only_pending_cannot_be_acknowledged_away() {
    let mut world = World::new();
    let start = |sequence: u64, visit: u8| {
        let at = 5_000_000 + sequence as i64 * 1_000_000;
        let mut said = Said::new(
            "pen-1",
            sequence,
            at,
            Body::SessionStart(proto::SessionStart::default()),
        );
        (said.visit, said.session) = (Some(visit), Some(visit));
        said
    };
    world.say(&start(0, 1));
    let pending = world.say(&start(1, 2));
    let id = pending.iter().find(|t| t.to == State::Pending).unwrap().alert.id;
    assert!(world.apply(&crate::support::acknowledge(id.0, 1, 7_000_000)).is_empty());
    assert_eq!(world.engine.alert(id).unwrap().acknowledged_by, None);
    let fired = world.apply(&watermark("gw-1", 600_000_000));
    assert!(
        fired
            .iter()
            .any(|t| t.alert.id == id && t.page && t.alert.acknowledged_by.is_none())
    );
}

/// Frames of ten good strokes with numbers from `from` to below `to`.
fn good(world: &mut World, from: u64, to: u64) {
    for n in from..to {
        let at = 5_000_000 + n as i64 * 100_000;
        world.say(&Said::new(
            "pen-1",
            n,
            at,
            strokes(Some(6), Some(800), n * 10, at, vec![800; 10]),
        ));
    }
}

fn deep(sequence: u64, depth: u32) -> Said {
    let at = 5_000_000 + sequence as i64 * 100_000;
    let mut said = Said::new(
        "pen-1",
        sequence,
        at,
        strokes(Some(6), Some(800), sequence * 10, at, vec![depth; 10]),
    );
    said.maybe_seen_before = true;
    said
}

fn pages(transitions: &[alerting::engine::Transition]) -> usize {
    let paged =
        |t: &&alerting::engine::Transition| t.page && t.alert.class.pages() && t.alert.rule == "depth-above-limit";
    transitions.iter().filter(paged).count()
}

#[test]
fn a_frame_that_the_gateway_may_have_seen_pages_unless_alerting_knows_its_very_payload() {
    // Its number was never heard here.
    let mut world = World::new();
    good(&mut world, 0, 3);
    assert_eq!(pages(&world.say(&deep(3, 1_400))), 1);
    // Its number was heard with this payload.
    assert!(world.say(&deep(3, 1_400)).is_empty());
    world.restart();
    assert!(world.say(&deep(3, 1_400)).is_empty());
    // Its number was heard so long ago that nobody remembers the payload: it may be the first copy.
    let mut world = World::new();
    good(&mut world, 0, 200);
    let old = deep(5, 1_400);
    assert_eq!(pages(&world.say(&old)), 1);
    // And that it was judged is remembered.
    world.restart();
    let violations = |world: &World| world.engine.alerts().map(|a| a.violations).sum::<u64>();
    let before = violations(&world);
    assert!(world.say(&old).is_empty());
    assert_eq!(violations(&world), before);
}

#[test]
fn two_payloads_with_one_number_that_are_repeated_for_ever_change_nothing() {
    let mut world = World::new();
    good(&mut world, 0, 1);
    let (one, other) = (deep(1, 800), deep(1, 1_400));
    world.say(&one);
    assert_eq!(pages(&world.say(&other)), 1);
    for _ in 0..10 {
        assert!(world.say(&one).is_empty() && world.say(&other).is_empty());
        world.restart();
    }
    assert!(world.engine.alerts().all(|a| a.violations == 1));
}

#[test]
fn everything_since_a_gateways_crash_comes_again_and_changes_nothing() {
    let mut world = World::new();
    let log: Vec<_> = (0..40u64)
        .map(|n| {
            let mut said = deep(n, if n % 7 == 0 { 1_400 } else { 800 });
            (said.visit, said.session) = (Some((n / 10) as u8), Some((n / 10) as u8));
            said.record()
        })
        .collect();
    for record in &log {
        world.apply(record);
    }
    world.commit();
    for _ in 0..2 {
        for record in &log {
            assert!(world.apply(record).is_empty());
        }
        let changes = world.engine.take_changes();
        assert!(changes.alerts.is_empty() && changes.facts.is_empty() && changes.devices.is_empty());
    }
}

#[test]
fn what_happened_before_a_violation_and_is_told_after_it_does_not_end_it() {
    let mut world = World::new();
    good(&mut world, 0, 1);
    let fired = world.say(&{
        let mut said = deep(30, 1_100);
        said.maybe_seen_before = false;
        said
    });
    let id = fired
        .iter()
        .find(|t| t.alert.rule == "depth-above-limit")
        .unwrap()
        .alert
        .id;
    // 290 good strokes of before.
    good(&mut world, 1, 30);
    assert_eq!(world.engine.alert(id).unwrap().state(), State::Firing);
    // 200 good strokes of after end it.
    good(&mut world, 31, 51);
    assert!(world.engine.alert(id).is_none());
}

#[test]
fn evidence_that_is_awaited_on_a_gateway_that_is_gone_is_missed_on_the_next() {
    let mut world = World::new();
    let start = |sequence: u64, visit: u8, gateway: &str| {
        let at = 5_000_000 + sequence as i64 * 1_000_000;
        let mut said = Said::new(
            "pen-1",
            sequence,
            at,
            Body::SessionStart(proto::SessionStart::default()),
        );
        (said.visit, said.session, said.gateway) = (Some(visit), Some(visit), gateway.into());
        said
    };
    world.say(&start(0, 1, "gw-1"));
    world.say(&start(1, 2, "gw-1"));
    world.say(&start(2, 2, "gw-2"));
    let told = world.apply(&watermark("gw-2", 300_000_000));
    assert!(
        told.iter().any(|t| t.alert.rule == "disinfection-missing" && t.page),
        "{told:?}"
    );
}

#[test]
fn a_gateway_whose_clock_is_ahead_does_not_hide_that_another_stands_still() {
    use alerting::intake::{Input, decode};
    let mut world = World::new();
    let heartbeat = Said::new("pen-1", 0, 1_000_000, Body::Heartbeat(proto::Heartbeat::default()));
    world.say(&heartbeat);
    // A day ahead; it entered the log at 2 s.
    let Ok(Input::Watermark {
        gateway, received_at, ..
    }) = decode(&watermark("gw-2", 86_400_000_000))
    else {
        unreachable!()
    };
    let ahead = Input::Watermark {
        gateway,
        received_at,
        logged_at: telemetry::UnixMicros(crate::support::T0 + 2_000_000),
    };
    world.apply_input(&ahead);
    world.apply(&watermark("gw-1", 3_000_000));
    let due = world.engine.next_deadline().unwrap();
    assert_eq!(due.0, crate::support::T0 + 122_000_000);
    world.apply(&tick(122_000_000));
    let told = world.apply(&tick(123_000_000));
    assert!(
        told.iter()
            .any(|t| t.alert.rule == "gateway-silent" && t.alert.device == "gw-1")
    );
}

#[test]
fn what_a_person_records_about_a_device_is_no_sign_of_life_and_ends_no_session() {
    let mut world = World::new();
    let wipe = |at_us: i64, request: u64| {
        let mut said = Said::new("pen-1", 0, at_us, Body::Disinfection(proto::Disinfection::default()));
        (said.boot, said.session, said.visit, said.origin) = (request, None, None, Origin::Recorded);
        said
    };
    good(&mut world, 0, 2);
    world.say(&wipe(6_000_000, 99));
    let told = world.apply(&watermark("gw-1", 100_000_000));
    let silent = told.iter().find(|t| t.alert.rule == "device-silent");
    assert!(silent.is_some_and(|t| t.page), "the session is watched on: {told:?}");
    let told = world.say(&wipe(101_000_000, 100));
    assert!(told.is_empty(), "nobody heard the device: {told:?}");
}
