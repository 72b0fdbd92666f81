//! The planner in stories: what a person on call sees happen.
use alerting::paging::silence::{MAX_SILENCES, SilenceError};

use super::*;

fn violated() -> Op {
    Op::Signal(
        0,
        Signal::Violated {
            single: true,
            worse: false,
        },
    )
}

#[test]
fn an_escalation_goes_from_person_to_person_and_begins_anew_marked_as_such() {
    let mut world = World::new(plan(PLAN));
    world.run(&violated());
    for _ in 0..3 {
        world.run(&Op::Tick { seconds: 300 });
    }
    world.run(&Op::Tick { seconds: 300 });
    let told: Vec<_> = world
        .outbox
        .iter()
        .map(|p| {
            (
                p.receiver.as_str(),
                p.body["step"].as_u64().unwrap(),
                p.body["repetition"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("kim-push", 1, 0),
            ("lee-push", 2, 0),
            ("kim-push", 1, 1),
            ("lee-push", 2, 1)
        ]
    );
    let keys: BTreeSet<_> = world.outbox.iter().map(|p| p.page).collect();
    assert_eq!(keys.len(), 4, "each page has its own idempotency key");
    assert!(world.outbox[1].body["because"].as_str().unwrap().contains("lee"));
}

#[test]
fn a_persons_phone_for_what_is_high_does_not_ring_for_what_is_less_urgent() {
    let mut known = receivers(&["kim-push", "lee-push", "desk", "phone"]);
    known[3].min_priority = Some(Priority::High);
    let text = PLAN
        .replace("receivers = [\"kim-push\"]", "receivers = [\"kim-push\", \"phone\"]")
        .replace("receivers = [\"lee-push\"]", "receivers = [\"lee-push\", \"phone\"]");
    for (which, rings) in [(0, true), (1, false)] {
        let mut world = World::new(plan_of(&text, &known));
        world.run(&Op::Signal(
            which,
            Signal::Violated {
                single: false,
                worse: false,
            },
        ));
        world.run(&Op::Tick { seconds: 60 });
        let told: BTreeSet<&str> = world.outbox.iter().map(|page| page.receiver.as_str()).collect();
        assert_eq!(
            (told.contains("phone"), told.len()),
            (rings, 1 + usize::from(rings)),
            "{told:?}"
        );
    }
}

#[test]
fn with_a_plan_whoever_owns_a_silence_can_be_reminded_and_without_one_it_is_a_name() {
    let what = intake::Silence {
        tenant: String::new(),
        clinic: String::new(),
        device: "pen-1".into(),
        rule: String::new(),
        max_priority: Priority::Medium,
        from: UnixMicros(T0),
        until: UnixMicros(T0 + 3_600_000_000),
    };
    let implicit = Arc::new(Plan::implicit(&receivers(&["desk"])));
    for (plan, owner, fine) in [
        (plan(PLAN), "kim", true),
        (plan(PLAN), "desk", true),
        (plan(PLAN), "ann", false),
        (plan(PLAN), " ", false),
        (implicit.clone(), "ann", true),
        (implicit, "", false),
    ] {
        let planner = Planner::new(plan, [], [], &[] as &[Alert], UnixMicros(T0));
        let may = planner.may_silence(owner, &what, UnixMicros(T0));
        assert_eq!(may.is_ok(), fine, "{owner:?}: {may:?}");
    }
}

#[test]
fn a_silence_ends_is_no_longer_and_no_more_urgent_than_the_plan_allows_and_there_are_only_so_many() {
    const HOUR: i64 = 3_600_000_000;
    let what = |from: i64, until: i64, max_priority| intake::Silence {
        tenant: String::new(),
        clinic: String::new(),
        device: "pen-1".into(),
        rule: String::new(),
        max_priority,
        from: UnixMicros(T0 + from),
        until: UnixMicros(T0 + until),
    };
    let strict = format!("{PLAN}[silences]\nlongest = \"2h\"\nmax_priority = \"low\"\n");
    let planner = |plan: &str, held: usize| {
        let silence = Silence {
            owner: "kim".to_owned(),
            what: what(0, HOUR, Priority::Low),
            from: UnixMicros(T0),
            until: UnixMicros(T0 + HOUR),
            remind: UnixMicros(T0 + HOUR),
        };
        let held = (0..held).map(|n| (SilenceId((n as u128).to_be_bytes()), silence.clone()));
        Planner::new(super::plan(plan), [], held, &[] as &[Alert], UnixMicros(T0))
    };
    for (plan, held, silence, refused) in [
        (PLAN, 0, what(0, 12 * HOUR, Priority::Medium), None),
        (
            PLAN,
            0,
            what(0, 12 * HOUR + 1, Priority::Medium),
            Some(SilenceError::TooLong),
        ),
        // From whenever it begins, not from now.
        (PLAN, 0, what(20 * HOUR, 32 * HOUR, Priority::Medium), None),
        // One that began long ago holds from now on.
        (PLAN, 0, what(-100 * HOUR, HOUR, Priority::Medium), None),
        (PLAN, 0, what(0, HOUR, Priority::High), Some(SilenceError::TooUrgent)),
        (PLAN, 0, what(0, 0, Priority::Low), Some(SilenceError::Over)),
        (PLAN, 0, what(-2 * HOUR, -HOUR, Priority::Low), Some(SilenceError::Over)),
        (PLAN, 0, what(2 * HOUR, HOUR, Priority::Low), Some(SilenceError::Over)),
        (
            PLAN,
            0,
            what(0, i64::MAX - T0, Priority::Low),
            Some(SilenceError::TooLong),
        ),
        (&strict, 0, what(0, 2 * HOUR, Priority::Low), None),
        (
            &strict,
            0,
            what(0, 2 * HOUR + 1, Priority::Low),
            Some(SilenceError::TooLong),
        ),
        (
            &strict,
            0,
            what(0, HOUR, Priority::Medium),
            Some(SilenceError::TooUrgent),
        ),
        (PLAN, MAX_SILENCES - 1, what(0, HOUR, Priority::Low), None),
        (
            PLAN,
            MAX_SILENCES,
            what(0, HOUR, Priority::Low),
            Some(SilenceError::TooMany),
        ),
    ] {
        let said = planner(plan, held).may_silence("kim", &silence, UnixMicros(T0));
        assert_eq!(said.err(), refused, "{silence:?}");
    }
}

#[test]
fn silence_end_of_session_and_inhibition_never_stop_an_escalation() {
    let mut world = World::new(plan(PLAN));
    world.run(&Op::Signal(
        1,
        Signal::Violated {
            single: true,
            worse: false,
        },
    ));
    world.run(&Op::Tick { seconds: 60 });
    let before = world.outbox.len();
    assert_eq!(before, 1);
    world.run(&violated());
    world.run(&Op::Signal(1, Signal::Silent));
    world.run(&Op::Signal(1, Signal::SessionOver));
    world.run(&Op::Silence {
        device: 1,
        minutes: 600,
    });
    let pages = |w: &World| {
        w.outbox
            .iter()
            .filter(|p| p.body["kind"] == "depth_off_setpoint" && is_page(p))
            .count()
    };
    let seen = pages(&world);
    world.run(&Op::Tick { seconds: 600 });
    assert_eq!(pages(&world), seen + 1);
}

#[test]
fn what_says_more_holds_the_first_page_of_what_says_less_until_it_ends() {
    let mut world = World::new(plan(PLAN));
    world.run(&violated());
    world.run(&Op::Signal(
        1,
        Signal::Violated {
            single: true,
            worse: false,
        },
    ));
    world.run(&Op::Tick { seconds: 61 });
    let less = |w: &World| {
        w.outbox
            .iter()
            .filter(|p| p.body["kind"] == "depth_off_setpoint")
            .count()
    };
    assert_eq!(less(&world), 0);
    world.run(&Op::Signal(0, Signal::Acknowledged));
    world.run(&Op::Signal(0, Signal::Cleared));
    world.run(&Op::Tick { seconds: 61 });
    assert_eq!(less(&world), 1, "its group's minute is over too");
}

#[test]
fn a_silence_holds_first_pages_and_what_it_hid_is_told_when_it_ends_and_its_owner_reminded() {
    let mut world = World::new(plan(PLAN));
    world.run(&Op::Silence {
        device: 2,
        minutes: 600,
    });
    world.run(&Op::Signal(
        2,
        Signal::Violated {
            single: false,
            worse: false,
        },
    ));
    world.run(&Op::Tick { seconds: 4 * 3_600 });
    let hidden: Vec<_> = world
        .outbox
        .iter()
        .map(|p| (p.receiver.as_str(), p.body["rule"].as_str().unwrap()))
        .collect();
    assert_eq!(hidden, [("kim-push", "silence")]);
    world.run(&Op::Tick { seconds: 6 * 3_600 });
    world.run(&Op::Tick { seconds: 60 });
    let told: Vec<_> = world
        .outbox
        .iter()
        .skip(1)
        .map(|p| (p.receiver.as_str(), p.body["rule"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("kim-push", "silence"), ("lee-push", "device_silent")]);
}

#[test]
fn what_is_told_about_a_silence_is_the_same_page_on_an_instance_that_notices_later() {
    let told = |late: u64| -> Vec<TransitionId> {
        let mut world = World::new(plan(PLAN));
        world.run(&Op::Silence {
            device: 2,
            minutes: 600,
        });
        world.run(&Op::Signal(
            2,
            Signal::Violated {
                single: false,
                worse: false,
            },
        ));
        for hours in [4, 4, 2] {
            world.run(&Op::Tick {
                seconds: hours * 3_600 + late,
            });
        }
        let about = world.outbox.iter().filter(|page| page.body["rule"] == "silence");
        about.map(|page| page.page).collect()
    };
    let at_once = told(0);
    assert_eq!(at_once.len(), 3, "two reminders and the end");
    assert_eq!(told(7), at_once);
}

#[test]
fn pages_of_a_group_leave_together_and_one_alone_leaves_as_itself() {
    let mut world = World::new(plan(PLAN));
    world.run(&Op::Signal(
        1,
        Signal::Violated {
            single: false,
            worse: false,
        },
    ));
    world.run(&Op::Tick { seconds: 30 });
    world.run(&Op::Signal(
        2,
        Signal::Violated {
            single: false,
            worse: false,
        },
    ));
    world.run(&Op::Tick { seconds: 30 });
    let keys: Vec<_> = world.outbox.iter().map(|p| p.digest.clone()).collect();
    assert_eq!(keys.len(), 2);
    assert!(keys[0].is_some() && keys[0] == keys[1]);
    let mut alone = World::new(plan(PLAN));
    alone.run(&Op::Signal(
        2,
        Signal::Violated {
            single: false,
            worse: false,
        },
    ));
    alone.run(&Op::Tick { seconds: 60 });
    assert_eq!(
        alone.outbox.iter().map(|p| p.digest.clone()).collect::<Vec<_>>(),
        [None]
    );
}

#[test]
fn whoever_was_told_of_an_event_is_told_once_that_a_person_knows_and_once_that_it_is_over() {
    let mut world = World::new(plan(PLAN));
    world.run(&violated());
    world.run(&Op::Deliver);
    world.run(&Op::Signal(0, Signal::Acknowledged));
    world.run(&Op::Tick { seconds: 600 });
    world.run(&Op::Signal(0, Signal::Past));
    world.run(&Op::Tick { seconds: 7_300 });
    let told: Vec<_> = world
        .outbox
        .iter()
        .map(|p| (p.receiver.as_str(), p.body["state"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("kim-push", "acknowledged"), ("kim-push", "resolved")]);
}
