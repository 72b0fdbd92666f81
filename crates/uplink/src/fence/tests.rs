//! The law of the fence, on a model of a broker that is late with everything and keeps one order.
#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

const TERM: Duration = Duration::from_millis(800);
const STEP: Duration = Duration::from_millis(25);

#[derive(Debug, Clone)]
enum Step {
    /// Time goes on for so many steps, these instances look at it, and whose line is there says and hears all.
    Time(usize, [bool; 3]),
    /// An instance's line up, or down, is cut or there again: what is said and heard waits.
    Cut(usize, bool),
    /// The broker gets what an instance said first, or it is lost on the way.
    Carry(usize, bool),
    /// An instance gets so much of what the broker has.
    Deliver(usize, usize),
    /// An instance dies and comes back under its name.
    Restart(usize),
    /// An instance's session is gone: it gets what is retained, and what follows.
    Forget(usize),
    /// The broker gets what a dead process said.
    Ghost,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1usize..12, prop::array::uniform3(prop::bool::weighted(0.9))).prop_map(|(n, look)| Step::Time(n, look)),
        4 => (0usize..3, any::<bool>()).prop_map(|(at, up)| Step::Cut(at, up)),
        2 => (0usize..3, prop::bool::weighted(0.2)).prop_map(|(at, lost)| Step::Carry(at, lost)),
        2 => (0usize..3, 1usize..6).prop_map(|(at, n)| Step::Deliver(at, n)),
        1 => (0usize..3).prop_map(Step::Restart),
        1 => (0usize..3).prop_map(Step::Forget),
        1 => Just(Step::Ghost),
    ]
}

fn pages(fence: &Fence, now: Instant) -> bool {
    fence.may_page().is_some_and(|(from, until)| from <= now && now < until)
}

struct World {
    now: Instant,
    dead: VecDeque<proto::FenceBeat>,
    runs: u64,
    fences: Vec<Fence>,
    /// Said, and not yet at the broker.
    under_way: Vec<VecDeque<proto::FenceBeat>>,
    /// The one order.
    broker: Vec<proto::FenceBeat>,
    /// What each gets next.
    next: Vec<usize>,
    /// Whose line up, and down, is cut.
    cut: [[bool; 2]; 3],
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            now,
            dead: VecDeque::new(),
            runs: 3,
            fences: (0..3)
                .map(|at| Fence::new(at.to_string(), at as u64, TERM, now))
                .collect(),
            under_way: vec![VecDeque::new(); 3],
            broker: Vec::new(),
            next: vec![0; 3],
            cut: [[false; 2]; 3],
        }
    }

    fn time(&mut self, look: [bool; 3]) -> Result<(), TestCaseError> {
        self.now += STEP;
        for (at, _) in look.iter().enumerate().filter(|(_, looks)| **looks) {
            let said = self.fences[at].tick(self.now);
            self.under_way[at].extend(said);
            if !self.cut[at][1] {
                self.broker.extend(self.under_way[at].drain(..));
            }
        }
        for at in (0..3).filter(|at| look[*at] && !self.cut[*at][0]).collect::<Vec<_>>() {
            self.step(&Step::Deliver(at, usize::MAX / 2))?;
        }
        self.check()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let paging = self.paging();
        prop_assert!(paging.len() <= 1, "{paging:?} page");
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Time(steps, look) => {
                for _ in 0..steps {
                    self.time(look)?;
                }
            }
            Step::Cut(at, up) => {
                let cut = &mut self.cut[at][usize::from(up)];
                *cut = !*cut;
            }
            Step::Carry(at, lost) => {
                let beat = self.under_way[at].pop_front();
                self.broker.extend(beat.filter(|_| !lost));
            }
            Step::Deliver(at, beats) => {
                let until = (self.next[at] + beats).min(self.broker.len());
                for beat in &self.broker[self.next[at]..until] {
                    self.fences[at].hear(beat, self.now);
                }
                self.next[at] = until;
            }
            Step::Restart(at) => {
                self.runs += 1;
                self.fences[at] = Fence::new(at.to_string(), self.runs, TERM, self.now);
                // What the dead one said last may come through yet.
                let under_way = std::mem::take(&mut self.under_way[at]);
                self.dead.extend(under_way);
                self.subscribe(at);
            }
            Step::Forget(at) => {
                self.fences[at].forgotten(self.now);
                self.subscribe(at);
            }
            Step::Ghost => {
                let beat = self.dead.pop_front();
                self.broker.extend(beat);
            }
        }
        self.check()
    }

    /// It gets what is retained, and what comes from now on.
    fn subscribe(&mut self, at: usize) {
        if let Some(retained) = self.broker.iter().rev().find(|beat| is_claim(beat)) {
            self.fences[at].hear(retained, self.now);
        }
        self.next[at] = self.broker.len();
    }

    fn paging(&self) -> Vec<usize> {
        (0..3).filter(|at| pages(&self.fences[*at], self.now)).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]
    #[test]
    fn two_never_page_at_once_and_one_does_when_all_is_well_again(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step)?;
        }
        world.cut = Default::default();
        for _ in 0..(4 * TERM.as_millis() / STEP.as_millis()) {
            // Whoever lost the fence ends, and is started again as one that stands by.
            for at in 0..3 {
                if world.fences[at].is_lost() {
                    world.step(&Step::Restart(at))?;
                }
            }
            world.time([true; 3])?;
        }
        prop_assert_eq!(world.paging().len(), 1, "nobody pages");
    }
}

/// Runs an instance alone until then, each word coming back at once.
fn alone(fence: &mut Fence, from: Instant, until: Duration) -> Option<Duration> {
    let mut first = None;
    let mut passed = Duration::ZERO;
    while passed <= until {
        let now = from + passed;
        if let Some(beat) = fence.tick(now) {
            fence.hear(&beat, now);
        }
        if pages(fence, now) && first.is_none() {
            first = Some(passed);
        }
        passed += STEP;
    }
    first
}

#[test]
fn a_process_that_is_started_again_pages_after_half_a_term_and_another_one_after_two() {
    let start = Instant::now();
    let mut first = Fence::new("a".to_owned(), 1, TERM, start);
    assert_eq!(
        alone(&mut first, start, 4 * TERM),
        Some(2 * TERM),
        "nobody was known to have ended"
    );
    let retained = proto::FenceBeat {
        instance: "a".to_owned(),
        run: 1,
        epoch: 1,
        count: 1,
    };
    let later = start + 5 * TERM;
    let mut again = Fence::new("a".to_owned(), 2, TERM, later);
    again.hear(&retained, later);
    assert_eq!(alone(&mut again, later, TERM), Some(TERM / 2));
    let mut other = Fence::new("b".to_owned(), 3, TERM, later);
    other.hear(&retained, later);
    assert_eq!(alone(&mut other, later, 3 * TERM), Some(2 * TERM));
}

#[test]
fn a_holder_whose_words_do_not_come_back_stops_before_another_begins() {
    let start = Instant::now();
    let mut fence = Fence::new("a".to_owned(), 1, TERM, start);
    alone(&mut fence, start, 3 * TERM);
    let cut = start + 3 * TERM;
    assert!(pages(&fence, cut + TERM / 4));
    let mut now = cut;
    while now < cut + TERM / 2 + STEP {
        now += STEP;
        fence.tick(now);
    }
    assert!(!pages(&fence, now));
    assert!(!fence.is_lost(), "nobody has taken it yet");
}
