//! A small world walked exhaustively: two alerts of one device, of which one stands for the other, one chain with two steps, and
//! a silence. Every sequence of signals, commands and moments of time, up to a depth; what was reached another way is the same.
use std::collections::HashSet;

use super::*;

const ONE_CHAIN: &str = r#"
[[person]]
name = "kim"
receivers = ["kim-push"]
[[person]]
name = "lee"
receivers = ["lee-push"]
[[chain]]
name = "urgent"
steps = [{ tell = ["person:kim"], wait = "5m" }, { tell = ["person:lee"], wait = "5m" }]
repeat_every = "10m"
acknowledged_for = "2h"
[[route]]
chain = "urgent"
"#;

/// How long sequences are.
const DEPTH: usize = 6;
/// The alerts of [`WRONG`] that are there: high, and medium that the first holds back.
const ALERTS: [usize; 2] = [0, 1];

/// Everything that can happen.
#[derive(Debug, Clone, Copy)]
enum Move {
    Signal(usize, Signal),
    Silence,
    EndSilence,
    /// Up to when the planner wants to be asked.
    NextDeadline,
    Minute,
}

fn moves() -> Vec<Move> {
    let signals = [
        Signal::Violated {
            single: false,
            worse: false,
        },
        Signal::Violated {
            single: false,
            worse: true,
        },
        Signal::Cleared,
        Signal::SessionOver,
        Signal::Silent,
        Signal::Heard,
        Signal::Acknowledged,
        Signal::Unacknowledged,
        Signal::Past,
    ];
    let of = |which: usize| signals.into_iter().map(move |signal| Move::Signal(which, signal));
    let mut moves: Vec<Move> = ALERTS.into_iter().flat_map(of).collect();
    moves.extend([Move::Silence, Move::EndSilence, Move::NextDeadline, Move::Minute]);
    moves
}

/// What an alert's telling is before a move.
#[derive(Debug, Clone, PartialEq)]
struct Telling {
    which: usize,
    id: AlertId,
    needs_person: bool,
    stage: Stage,
}

impl World {
    fn copy(&self) -> Self {
        Self {
            planner: self.after_restart(),
            again: self.after_restart(),
            plan: self.plan.clone(),
            open: self.open.clone(),
            now: self.now,
            n: self.n,
            ids: self.ids,
            last: self.last.clone(),
            known: self.known.clone(),
            kept: self.kept.clone(),
            kept_silences: self.kept_silences.clone(),
            outbox: self.outbox.clone(),
            told: self.told.clone(),
            elsewhere: self.elsewhere.clone(),
            silence: self.silence,
        }
    }

    /// What decides what can come: times from now on, and no ids, for they only name pages. How often a chain began anew, and
    /// at which step of telling it is, only name pages too.
    fn key(&self) -> String {
        use std::fmt::Write as _;
        let from_now = |at: UnixMicros| at.0 - self.now.0;
        let mut key = String::new();
        for which in ALERTS {
            let Some(id) = self.ids[which] else {
                key.push_str("none;");
                continue;
            };
            let (life, course) = (self.open.0[&id].life, self.planner.course(id));
            let stage = course.map(|course| match &course.stage {
                Stage::Held { until, .. } => format!("held {}", from_now(*until)),
                Stage::Running { lines } => format!(
                    "{:?}",
                    lines.iter().map(|l| (l.step, from_now(l.due))).collect::<Vec<_>>()
                ),
                Stage::Known { until, .. } => format!("known {:?}", until.map(from_now)),
                Stage::Digest => "digest".to_owned(),
            });
            let rest = course.map(|c| {
                (
                    c.told.clone(),
                    c.news.clone(),
                    c.anew.is_some(),
                    c.held_since.map(from_now),
                )
            });
            let known = self.known.get(&id).copied().map(from_now);
            let waits = self.outbox.iter().any(|page| page.alert == id && is_page(page));
            let _ = write!(
                key,
                "{life:?} {stage:?} {rest:?} {known:?} {waits} {};",
                self.told.contains(&id)
            );
        }
        for silence in self.kept_silences.values() {
            let silence: Silence = serde_json::from_str(silence).unwrap();
            let _ = write!(key, "silent {} {};", from_now(silence.until), from_now(silence.remind));
        }
        key
    }

    fn tellings(&self) -> Vec<Telling> {
        let of = |which: usize| {
            let id = self.ids[which]?;
            let course = self.planner.course(id)?;
            Some(Telling {
                which,
                id,
                needs_person: self.open.0[&id].life.needs_person(),
                stage: course.stage.clone(),
            })
        };
        ALERTS.into_iter().filter_map(of).collect()
    }

    fn go(&mut self, step: Move) {
        let before = self.tellings();
        let waited = self.outbox.len();
        let op = match step {
            Move::Signal(which, signal) => Op::Signal(which, signal),
            Move::Silence => Op::Silence { device: 1, minutes: 20 },
            Move::EndSilence => Op::EndSilence,
            Move::Minute => Op::Tick { seconds: 60 },
            Move::NextDeadline => {
                let next = self.planner.next_deadline().unwrap_or(self.now);
                Op::Tick {
                    seconds: next.since(self.now).as_secs(),
                }
            }
        };
        self.run(&op);
        let time = matches!(step, Move::NextDeadline | Move::Minute);
        for was in &before {
            let is = self.tellings().into_iter().find(|telling| telling.id == was.id);
            self.nothing_ends_by_silence(step, was, is.as_ref());
            let Stage::Running { lines } = &was.stage else {
                continue;
            };
            if time && lines.iter().any(|line| line.due <= self.now) {
                let paged = self.outbox[waited..]
                    .iter()
                    .any(|page| page.alert == was.id && is_page(page));
                assert!(paged, "what is due is told: {was:?}");
            }
            let still = is.as_ref().filter(|is| was.needs_person && is.needs_person);
            if let Some(is) = still.filter(|_| !time) {
                assert_eq!(is.stage, was.stage, "{step:?} moved an escalation");
            }
        }
        self.acknowledged_is_told_no_more();
    }

    fn nothing_ends_by_silence(&self, step: Move, was: &Telling, is: Option<&Telling>) {
        let can_end = match step {
            Move::Signal(which, Signal::Cleared | Signal::SessionOver | Signal::Acknowledged) => which == was.which,
            // Only of what a person knows.
            Move::Signal(which, Signal::Past) => which == was.which && !was.needs_person,
            _ => false,
        };
        assert!(can_end || is.is_some(), "{step:?} ended {was:?}");
        let acknowledges = matches!(step, Move::Signal(which, Signal::Acknowledged) if which == was.which);
        if was.needs_person && !can_end && !acknowledges {
            assert!(
                is.is_some_and(|is| is.needs_person),
                "{step:?} took a person from {was:?}"
            );
        }
    }

    /// While a person knows there is no step that is due, and no page of a step waits.
    fn acknowledged_is_told_no_more(&self) {
        for (id, course) in self.planner.courses() {
            if course.is_known() {
                let waits = |page: &&PageOut| page.alert == *id && is_page(page);
                assert_eq!(self.outbox.iter().find(waits), None);
            }
        }
    }
}

#[test]
fn in_every_sequence_of_a_small_world_nobody_is_forgotten_nothing_stops_an_escalation_and_nothing_ends_by_silence() {
    let moves = moves();
    let mut seen = HashSet::new();
    let mut edge = vec![(World::new(plan(ONE_CHAIN)), Vec::new())];
    let mut edges = 0;
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for (world, path) in &edge {
            for step in &moves {
                let mut world = world.copy();
                let mut path: Vec<Move> = path.clone();
                path.push(*step);
                let walked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.go(*step)));
                assert!(walked.is_ok(), "after {path:#?}");
                edges += 1;
                if seen.insert(world.key()) {
                    next.push((world, path));
                }
            }
        }
        edge = next;
    }
    for part in ["Some(\"held", "Some(\"known", "Some(\"[(0", "Some(\"[(1", "silent"] {
        assert!(
            seen.iter().any(|key| key.contains(part)),
            "no state with {part} of {}",
            seen.len()
        );
    }
    assert!(edges > 10_000, "{edges} are too few to say that all were walked");
}
