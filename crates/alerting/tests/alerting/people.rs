//! What people and other instances do to alerts.
use alerting::engine::TAKE_BACK;
use alerting::id::{AlertId, TransitionId};
use alerting::intake::{Action, Command, Told};
use alerting::lifecycle::State;
use telemetry::{IndicatorKind, Outcome, UnixMicros, proto};

use crate::support::{Said, T0, World, acknowledge, command, strokes, tick, watermark};

const SECOND: i64 = 1_000_000;

/// A pen that is sterile, with one stroke too deep at second 1.
fn too_deep(sequence: u64) -> Said {
    Said::new(
        "pen-4",
        sequence,
        SECOND,
        strokes(Some(6), Some(800), 0, SECOND, vec![1_900]),
    )
}

fn deep(world: &mut World) -> (AlertId, TransitionId) {
    let all = world.say(&too_deep(0));
    let found = all.iter().find(|t| t.alert.rule == "depth-above-limit").unwrap();
    assert!(found.page);
    (found.alert.id, found.id)
}

fn told(alert: AlertId, transition: TransitionId, by: Option<&str>) -> Vec<u8> {
    let told = Told {
        instance: "clinic".into(),
        alert,
        transition,
        at: UnixMicros(T0 + 2 * SECOND),
        acknowledged_by: by.map(str::to_owned),
    };
    told.encode()
}

#[test]
fn two_engines_over_the_same_frames_raise_the_same_alert_by_the_same_step() {
    let (mut clinic, mut upstream) = (World::new(), World::new());
    assert_eq!(deep(&mut clinic), deep(&mut upstream));
}

#[test]
fn a_step_that_the_clinics_own_instance_has_paged_says_so_here_also_after_a_restart() {
    let (alert, step) = deep(&mut World::new());
    let mut upstream = World::new();
    upstream.apply(&told(alert, step, None));
    upstream.restart();
    let all = upstream.say(&too_deep(0));
    let here = all.iter().find(|t| t.id == step).unwrap();
    assert_eq!(here.told_by.as_deref(), Some("clinic"));
    // What the clinic has not told is nobody's but ours.
    assert!(all.iter().filter(|t| t.id != step).all(|t| t.told_by.is_none()));
}

#[test]
fn an_acknowledgement_in_the_clinic_counts_here_whether_it_comes_before_or_after_the_frames() {
    let (alert, _) = deep(&mut World::new());
    let there = TransitionId([9; 16]);
    for first in [true, false] {
        let mut upstream = World::new();
        if first {
            upstream.apply(&told(alert, there, Some("ann")));
            // The page that tells of the acknowledgement tells of the same step.
            upstream.apply(&told(alert, there, None));
            upstream.restart();
        }
        deep(&mut upstream);
        if !first {
            upstream.apply(&told(alert, there, Some("ann")));
        }
        let known = upstream.engine.alert(alert).unwrap();
        assert_eq!(
            (known.state(), known.acknowledged_by.as_deref()),
            (State::Acknowledged, Some("ann"))
        );
    }
}

#[test]
fn of_two_who_acknowledge_the_first_one_stays_until_it_gets_worse() {
    let mut world = World::new();
    let (id, _) = deep(&mut world);
    let by = |name: &str, n: u8, at: i64| {
        let command = Command {
            id: [n; 16],
            at: UnixMicros(T0 + at),
            actor: name.to_owned(),
            comment: String::new(),
            action: Action::Acknowledge(id),
            instance: None,
        };
        command.encode()
    };
    let known = |world: &World| {
        let alert = world.engine.alert(id).unwrap();
        (alert.acknowledged_by.clone().unwrap(), alert.acknowledged_at.unwrap())
    };
    world.apply(&by("ann", 1, 2 * SECOND));
    world.apply(&by("bob", 2, 3 * SECOND));
    assert_eq!(known(&world), ("ann".to_owned(), UnixMicros(T0 + 2 * SECOND)));
    // Deeper than what ann knew of: it needs somebody again.
    let deeper = strokes(Some(6), Some(800), 1, 4 * SECOND, vec![2_900]);
    world.say(&Said::new("pen-4", 1, 4 * SECOND, deeper));
    world.apply(&by("bob", 3, 5 * SECOND));
    assert_eq!(known(&world).0, "bob");
}

#[test]
fn an_acknowledgement_that_is_taken_back_pages_again_under_the_same_id() {
    let mut world = World::new();
    let (id, _) = deep(&mut world);
    world.apply(&acknowledge(id.0, 1, 2 * SECOND));
    world.restart();
    let steps = world.apply(&command(Action::Unacknowledge(id), 2, 3 * SECOND));
    let [step] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!((step.alert.id, step.to, step.page), (id, State::Firing, true));
    assert_eq!(step.alert.acknowledged_by, None);
    // Taking back what nobody acknowledged is nothing.
    assert!(
        world
            .apply(&command(Action::Unacknowledge(id), 3, 4 * SECOND))
            .is_empty()
    );
}

/// A sterilizer's indicator test that failed: nothing that comes later undoes it.
fn failed_test() -> Said {
    let body = proto::frame::Body::IndicatorResult(proto::IndicatorResult {
        kind: Some(IndicatorKind::Biological.to_wire()),
        outcome: Some(Outcome::Fail.to_wire()),
        cycle_id: Some("c7".into()),
        ..Default::default()
    });
    Said {
        session: None,
        visit: None,
        ..Said::new("autoclave-1", 0, SECOND, body)
    }
}

fn failed(world: &mut World) -> AlertId {
    let all = world.say(&failed_test());
    let raised = &all[0];
    assert_eq!((raised.alert.rule.as_str(), raised.page), ("indicator-failed", true));
    raised.alert.id
}

#[test]
fn an_event_is_over_a_while_after_a_person_acknowledged_it_and_the_same_one_never_comes_back() {
    let take_back = TAKE_BACK.as_micros() as i64;
    for restarts in [false, true] {
        let mut world = World::new();
        let id = failed(&mut world);
        // Of a device that was never heard; nothing but a person ends what happened.
        let before = world.engine.next_deadline();
        world.apply(&acknowledge(id.0, 1, 2 * SECOND));
        if restarts {
            world.restart();
        }
        let due = UnixMicros(T0 + 2 * SECOND + take_back);
        assert_eq!(world.engine.next_deadline(), Some(due));
        assert!(world.apply(&tick(SECOND + take_back)).is_empty());
        let over = world.apply(&tick(2 * SECOND + take_back));
        let [step] = &over[..] else { panic!("{over:?}") };
        let seen = (step.alert.id, step.to, step.why.as_str(), step.page);
        assert_eq!(seen, (id, State::Resolved, "acknowledged_event", false));
        assert_eq!(world.engine.next_deadline(), before);
        // It is too late to take that back, and another copy of the record is the same event.
        assert!(
            world
                .apply(&command(Action::Unacknowledge(id), 2, 700 * SECOND))
                .is_empty()
        );
        let mut copy = failed_test();
        (copy.sequence, copy.received_us) = (1, 701 * SECOND);
        assert!(world.say(&copy).is_empty());
    }
}

#[test]
fn an_event_that_is_acknowledged_in_the_clinic_is_over_here_as_well_by_our_own_clock() {
    let id = failed(&mut World::new());
    let mut upstream = World::new();
    upstream.apply(&told(id, TransitionId([9; 16]), Some("ann")));
    failed(&mut upstream);
    assert_eq!(upstream.engine.alert(id).unwrap().state(), State::Acknowledged);
    // What the clinic did at second 2 counts from then on.
    let over = upstream.apply(&tick(2 * SECOND + TAKE_BACK.as_micros() as i64));
    let [step] = &over[..] else { panic!("{over:?}") };
    assert_eq!(
        (step.alert.id, step.to, step.told_by.as_deref()),
        (id, State::Resolved, None)
    );
}

#[test]
fn what_was_told_late_of_a_session_that_is_over_ends_by_a_person_and_in_its_session_it_does_not() {
    let take_back = TAKE_BACK.as_micros() as i64;
    for late in [false, true] {
        let mut world = World::new();
        if late {
            // The device is in its next session already.
            let next = strokes(Some(6), Some(800), 0, 3 * SECOND, vec![800]);
            let mut said = Said::new("pen-4", 5, 3 * SECOND, next);
            said.session = Some(2);
            world.say(&said);
        }
        let (id, _) = deep(&mut world);
        world.apply(&acknowledge(id.0, 1, 4 * SECOND));
        let steps = world.apply(&tick(4 * SECOND + take_back));
        let over = steps.iter().any(|t| t.alert.id == id && t.to == State::Resolved);
        assert_eq!((over, world.engine.alert(id).is_none()), (late, late));
    }
}

#[test]
fn whoever_is_assigned_stays_so_over_a_restart() {
    let mut world = World::new();
    let (alert, _) = deep(&mut world);
    let assignee = "kim".to_owned();
    world.apply(&command(Action::Assign { alert, assignee }, 1, 2 * SECOND));
    world.restart();
    assert_eq!(world.engine.alert(alert).unwrap().assigned_to.as_deref(), Some("kim"));
}

#[test]
fn behind_a_gateway_that_stands_still_every_open_alert_is_unknown_and_none_is_resolved() {
    let mut world = World::new();
    world.apply(&watermark("gw-1", 0));
    let (id, _) = deep(&mut world);
    // The pen is in a session; after 120 s without a watermark its gateway is silent.
    let steps = world.apply(&tick(200 * SECOND));
    assert!(
        steps
            .iter()
            .any(|t| t.alert.rule == "gateway-silent" && t.to == State::Firing)
    );
    assert_eq!(world.engine.alert(id).unwrap().state(), State::Unknown);
    assert!(world.engine.alert(id).unwrap().life.needs_person());
    assert!(steps.iter().all(|t| t.to != State::Resolved), "{steps:?}");
}
