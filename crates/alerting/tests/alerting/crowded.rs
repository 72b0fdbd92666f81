//! A device whose alerts nobody acknowledges: there is a bound to how many it may have open, and none to what is told.
use alerting::engine::Transition;
use alerting::engine::state::MAX_OPEN;
use telemetry::UnixMicros;

use crate::support::{Said, T0, World, strokes, watermark};

const SECOND: i64 = 1_000_000;
/// Clients of one pen: each visit leaves three alerts open (too deep, not wiped, not sterilized), so a third of them reach the bound.
const VISITS: u8 = 150;

/// A visit's stroke that is far too deep, in one zone.
fn too_deep(visit: u8, zone: i32, more: u8) -> Said {
    let at = i64::from(visit) * 600 * SECOND + i64::from(more) * SECOND;
    let (sequence, ordinal) = (u64::from(visit) * 10 + u64::from(more), u64::from(more) * 10);
    let mut said = Said::new(
        "pen-4",
        sequence,
        at,
        strokes(Some(zone), Some(800), ordinal, at, vec![1_900]),
    );
    (said.visit, said.session) = (Some(visit), Some(visit));
    said
}

fn told<'t>(all: &'t [Transition], rule: &str) -> Vec<&'t Transition> {
    all.iter().filter(|t| t.page && t.alert.rule == rule).collect()
}

#[test]
fn every_clients_hazard_is_told_however_many_alerts_of_the_pen_nobody_acknowledged() {
    let mut world = World::new();
    let mut merged = 0;
    for visit in 1..=VISITS {
        let said = too_deep(visit, 6, 0);
        let mut all = world.say(&said);
        // Evidence that is awaited has its time.
        all.extend(world.apply(&watermark("gw-1", said.at_us + 300 * SECOND)));
        let hazard = told(&all, "depth-above-limit");
        assert_eq!(hazard.len(), 1, "visit {visit}");
        assert_eq!(
            (hazard[0].alert.visit.unwrap().0[0], hazard[0].alert.event_time),
            (visit, UnixMicros(T0 + said.at_us)),
            "it says of which client it is"
        );
        assert!(hazard[0].alert.life.needs_person());
        merged += usize::from(hazard[0].alert.violations > 1);
        if visit > 1 {
            assert_eq!(told(&all, "disinfection-missing").len(), 1, "visit {visit}");
        }
        // The same client again, and in another zone: a person knows already.
        let again = world.say(&too_deep(visit, 6, 1));
        assert!(told(&again, "depth-above-limit").is_empty(), "visit {visit}");
        if visit % 40 == 0 {
            world.restart();
        }
    }
    assert!(merged > 0, "the bound was never reached");
    let open = world.engine.alerts().count();
    assert!((MAX_OPEN..MAX_OPEN + 8).contains(&open), "{open} alerts are open");
}

#[test]
fn at_the_bound_zones_of_one_client_do_not_page_in_turns() {
    let mut world = World::new();
    for visit in 1..VISITS {
        world.say(&too_deep(visit, 6, 0));
        world.apply(&watermark("gw-1", (i64::from(visit) * 600 + 300) * SECOND));
    }
    let mut pages = 0;
    for more in 0..8 {
        let zone = if more % 2 == 0 { 6 } else { 5 };
        pages += told(&world.say(&too_deep(VISITS, zone, more)), "depth-above-limit").len();
    }
    assert_eq!(pages, 1, "the client's hazard is told once");
}
