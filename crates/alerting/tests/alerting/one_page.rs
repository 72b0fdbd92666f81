//! One happening at one device is one page, with a plan and without: what follows from it waits, and the journal says so.
use std::sync::Arc;

use alerting::engine::Transition;
use alerting::lifecycle::State;
use alerting::paging::{Effect, Event, Plan, Planner};
use alerting::store::journal::EntryKind;
use telemetry::{UnixMicros, proto};

use crate::planner::{plan_of, receivers};
use crate::support::{Said, T0, World, strokes};

const PLAN: &str = "[[chain]]\nname = \"all\"\nsteps = [{ tell = [\"receiver:desk\"], wait = \"1h\" }]\nrepeat_every = \"1h\"\n\
                    [[route]]\nchain = \"all\"\n";

/// What the planner wants done about the steps of the engine.
struct Desk {
    world: World,
    planner: Planner,
    steps: Vec<Transition>,
    effects: Vec<Effect>,
    sequence: u64,
}

impl Desk {
    fn new(plan: Arc<Plan>) -> Self {
        let planner = Planner::new(plan, [], [], [], UnixMicros(T0));
        Self {
            world: World::new(),
            planner,
            steps: Vec::new(),
            effects: Vec::new(),
            sequence: 0,
        }
    }

    fn say(&mut self, at_us: i64, body: proto::frame::Body) {
        let steps = self.world.say(&Said::new("pen-1", self.sequence, at_us, body));
        self.sequence += 1;
        let now = self.world.engine.clock();
        self.planner.apply(&Event::Transitions(&steps), now, &self.world.engine);
        self.effects.extend(self.planner.take_changes().effects);
        self.steps.extend(steps);
    }

    /// Ten seconds of strokes at this depth, 800 µm are set.
    fn strokes(&mut self, from_s: i64, depth_um: u32) {
        for n in 0..100 {
            let at_us = from_s * 1_000_000 + n * 100_000;
            let first = (from_s as u64 * 10 + n as u64) * 12;
            let depths = (0..12).map(|stroke| depth_um + stroke % 5).collect();
            self.say(at_us, strokes(Some(6), Some(800), first, at_us, depths));
        }
    }

    fn paged(&self, rule: &str) -> usize {
        let page = |effect: &&Effect| matches!(effect, Effect::Page(page) if page.body["rule"] == rule && page.body["state"] == "firing");
        self.effects.iter().filter(page).count()
    }

    fn raised(&self, rule: &str) -> Option<&Transition> {
        self.steps
            .iter()
            .find(|t| t.alert.rule == rule && t.to == State::Firing)
    }
}

#[test]
fn a_shift_beyond_the_tolerance_pages_as_off_its_setpoint_and_its_drift_waits_with_a_row_in_the_journal() {
    let receivers = receivers(&["desk"]);
    for plan in [Arc::new(Plan::implicit(&receivers)), plan_of(PLAN, &receivers)] {
        let mut desk = Desk::new(plan);
        let birth = proto::Birth {
            depth_offset_um: Some(0),
            ..Default::default()
        };
        desk.say(0, proto::frame::Body::Birth(birth));
        desk.strokes(1, 970);
        let (off, drift) = (desk.raised("depth-off-setpoint"), desk.raised("depth-drift"));
        let (off, drift) = (off.unwrap().alert.id, drift.unwrap().alert.id);
        assert_eq!(desk.paged("depth-off-setpoint"), 1);
        assert_eq!(desk.paged("depth-drift"), 0);
        let held = desk.effects.iter().find_map(|effect| match effect {
            Effect::Entry {
                kind: EntryKind::Held,
                body,
            } => Some(body),
            _ => None,
        });
        let held = held.unwrap();
        assert_eq!(
            (&held["alert"], &held["id"]),
            (&drift.to_hex().into(), &off.to_hex().into())
        );
        assert_eq!(held["by"], "inhibition");
        // What it waited for is over (200 strokes near the setpoint), the drift is not: it is told.
        desk.strokes(12, 930);
        assert!(desk.world.engine.alert(off).is_none());
        assert_eq!(desk.paged("depth-drift"), 1);
    }
}
