//! The planner as a machine: whatever happens in whatever order, nobody who is needed is forgotten and nobody who knows is woken.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use alerting::config::Receiver;
use alerting::engine::{Alert, Transition, Why};
use alerting::id::{AlertId, SilenceId, TransitionId};
use alerting::intake;
use alerting::lifecycle::{Lifecycle, Signal, State};
use alerting::paging::plan::{Against, Plan, parse};
use alerting::paging::{Alerts, Course, Effect, Event, PageOut, Planner, Silence, Stage};
use alerting::rules::builtin;
use proptest::prelude::*;
use serde_json::json;
use telemetry::{Priority, UnixMicros};

use crate::support::T0;

const PLAN: &str = r#"
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
[[chain]]
name = "calm"
steps = [{ tell = ["person:lee"], wait = "10m" }]
then = "urgent"
[[chain]]
name = "to know"
steps = [{ tell = ["receiver:desk"] }]
once = true
[[route]]
priorities = ["high"]
chain = "urgent"
[[route]]
priorities = ["medium"]
chain = "calm"
group = { by = ["clinic"], wait = "1m" }
[[route]]
priorities = ["low", "info"]
chain = "to know"
"#;

pub(crate) fn receivers(names: &[&str]) -> Vec<Receiver> {
    let one = |name: &&str| toml::from_str(&format!("name = \"{name}\"\nlog = {{ path = \"x\" }}\n")).unwrap();
    names.iter().map(one).collect()
}

fn plan(text: &str) -> Arc<Plan> {
    plan_of(text, &receivers(&["kim-push", "lee-push", "desk"]))
}

pub(crate) fn plan_of(text: &str, receivers: &[Receiver]) -> Arc<Plan> {
    let rules = builtin().unwrap();
    let against = Against {
        receivers,
        rules: &rules,
        tenants: &["acme".to_owned()],
        now: UnixMicros(T0),
    };
    let texts = BTreeMap::from([("plan.toml".to_owned(), text.to_owned())]);
    Arc::new(parse("plan", &texts, against).unwrap().plan)
}

/// Alerts that are open.
#[derive(Default, Clone)]
struct Open(BTreeMap<AlertId, Alert>);

impl Alerts for Open {
    fn open(&self, id: AlertId) -> Option<&Alert> {
        self.0.get(&id)
    }
}

/// What can be wrong: kind, priority, device. The second is held back by the first, of the same device.
const WRONG: [(&str, &str, &str); 4] = [
    ("depth_above_limit", "high", "pen-1"),
    ("depth_off_setpoint", "medium", "pen-1"),
    ("device_silent", "medium", "pen-2"),
    ("context_missing", "low", "pen-2"),
];

#[derive(Debug, Clone)]
enum Op {
    Signal(usize, Signal),
    Told(usize),
    Silence { device: usize, minutes: u64 },
    EndSilence,
    Tick { seconds: u64 },
    Deliver,
}

struct World {
    planner: Planner,
    /// The same, started again from what was kept after every step.
    again: Planner,
    plan: Arc<Plan>,
    open: Open,
    now: UnixMicros,
    n: u8,
    ids: [Option<AlertId>; 4],
    last: BTreeMap<AlertId, TransitionId>,
    /// Acknowledged then, and nothing since that says otherwise.
    known: BTreeMap<AlertId, UnixMicros>,
    kept: BTreeMap<AlertId, String>,
    kept_silences: BTreeMap<SilenceId, String>,
    outbox: Vec<PageOut>,
    told: BTreeSet<AlertId>,
    elsewhere: BTreeSet<AlertId>,
    silence: u8,
}

fn is_page(page: &PageOut) -> bool {
    page.body.get("step").is_some()
}

impl World {
    fn new(plan: Arc<Plan>) -> Self {
        let planner = || Planner::new(plan.clone(), [], [], &[] as &[Alert], UnixMicros(T0));
        Self {
            planner: planner(),
            again: planner(),
            plan: plan.clone(),
            open: Open::default(),
            now: UnixMicros(T0),
            n: 0,
            ids: [None; 4],
            last: BTreeMap::new(),
            known: BTreeMap::new(),
            kept: BTreeMap::new(),
            kept_silences: BTreeMap::new(),
            outbox: Vec::new(),
            told: BTreeSet::new(),
            elsewhere: BTreeSet::new(),
            silence: 0,
        }
    }

    fn fresh(&mut self) -> [u8; 16] {
        self.n = self.n.wrapping_add(1);
        let mut id = [self.n; 16];
        id[0] = 7;
        id
    }

    fn alert(&mut self, which: usize) -> Alert {
        let (kind, priority, device) = WRONG[which];
        let id = AlertId(self.fresh());
        let at = self.now.0;
        let life = serde_json::to_value(Lifecycle::new(which == 0)).unwrap();
        serde_json::from_value(json!({
            "id": id, "rule": kind, "kind": kind, "priority": priority, "what_to_do": "stop", "tenant": "acme",
            "clinic": "north", "device": device, "gateway": "gw-1", "zone": null, "visit": null, "session": null,
            "what_happened": "x", "event_time": at, "decided_at": at, "updated_at": at, "class": "live", "value": 1.0,
            "told": 1.0, "limit": 0.5, "violations": 1, "acknowledged_by": null, "life": life
        }))
        .unwrap()
    }

    /// Both planners take it; what they want done must be the same, and is done.
    fn give(&mut self, event: &Event<'_>, open: &Open) -> Vec<Effect> {
        self.planner.apply(event, self.now, open);
        self.again.apply(event, self.now, open);
        let changes = self.planner.take_changes();
        assert_eq!(
            changes.effects,
            self.again.take_changes().effects,
            "a restart changes nothing"
        );
        for (id, course) in changes.courses {
            match course {
                Some(course) => self.kept.insert(id, course),
                None => self.kept.remove(&id),
            };
        }
        for (id, silence) in changes.silences {
            match silence {
                Some((silence, _)) => self.kept_silences.insert(id, silence),
                None => self.kept_silences.remove(&id),
            };
        }
        for effect in &changes.effects {
            match effect {
                Effect::Page(page) => self.page(page),
                Effect::Cancel(alert) => self.outbox.retain(|page| page.alert != *alert),
                Effect::Entry { .. } => {}
            }
        }
        changes.effects
    }

    fn page(&mut self, page: &PageOut) {
        if is_page(page) {
            if let Some(since) = self.known.get(&page.alert) {
                let expired = self.now.since(*since) >= Duration::from_secs(2 * 3_600);
                assert!(expired, "a page although a person knows");
                self.known.remove(&page.alert);
            }
            self.told.insert(page.alert);
        } else if page.body["rule"] != "silence" {
            assert!(
                self.told.contains(&page.alert) || self.elsewhere.contains(&page.alert),
                "news of what nobody was told"
            );
            assert!(page.urgency <= Priority::Low);
        }
        self.outbox.push(page.clone());
    }

    fn restart(&mut self) {
        self.again = self.after_restart();
        assert!(self.again.take_changes().courses.is_empty(), "a restart moves nothing");
    }

    /// The planner as it is after a restart.
    fn after_restart(&self) -> Planner {
        let courses: Vec<(AlertId, Course)> = self
            .kept
            .iter()
            .map(|(id, c)| (*id, serde_json::from_str(c).unwrap()))
            .collect();
        let silences: Vec<(SilenceId, Silence)> = self
            .kept_silences
            .iter()
            .map(|(id, s)| (*id, serde_json::from_str(s).unwrap()))
            .collect();
        Planner::new(self.plan.clone(), courses, silences, self.open.0.values(), self.now)
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Signal(which, signal) => self.signal(*which, *signal),
            Op::Told(which) => {
                let Some(id) = self.ids[*which] else { return };
                let Some(transition) = self.last.get(&id).copied() else {
                    return;
                };
                self.elsewhere.insert(id);
                let open = self.open.clone();
                self.give(&Event::Told { alert: id, transition }, &open);
            }
            Op::Silence { device, minutes } => {
                self.silence += 1;
                let what = intake::Silence {
                    tenant: String::new(),
                    clinic: String::new(),
                    device: format!("pen-{device}"),
                    rule: String::new(),
                    max_priority: Priority::Medium,
                    from: self.now,
                    until: self.now.plus(Duration::from_secs(minutes * 60)),
                };
                let id = SilenceId([self.silence; 16]);
                let open = self.open.clone();
                self.give(
                    &Event::Silence {
                        id,
                        by: "kim",
                        what: &what,
                        at: self.now,
                    },
                    &open,
                );
            }
            Op::EndSilence => {
                let open = self.open.clone();
                self.give(&Event::EndSilence(SilenceId([self.silence; 16])), &open);
            }
            Op::Tick { seconds } => {
                self.now = self.now.plus(Duration::from_secs(*seconds));
                let open = self.open.clone();
                self.give(&Event::Tick, &open);
                let next = self.planner.next_deadline();
                assert!(
                    next.is_none_or(|next| next > self.now),
                    "a tick moves what is due: {next:?}"
                );
            }
            Op::Deliver => self.outbox.clear(),
        }
        self.restart();
        self.law();
    }

    fn signal(&mut self, which: usize, signal: Signal) {
        let raises = matches!(signal, Signal::Violated { .. });
        let mut alert = match self.ids[which] {
            Some(id) => self.open.0[&id].clone(),
            None if raises => self.alert(which),
            None => return,
        };
        let id = alert.id;
        let why = match signal {
            Signal::Acknowledged => Why::Acknowledged,
            Signal::Unacknowledged => Why::Unacknowledged,
            Signal::Silent => Why::Silent,
            Signal::Heard => Why::Heard,
            Signal::Cleared => Why::Cleared,
            Signal::Past => Why::AcknowledgedEvent,
            _ if self.ids[which].is_none() => Why::Raised,
            _ => Why::Worse,
        };
        let step = alert.life.step(signal);
        if signal == Signal::Acknowledged {
            alert.acknowledged_by = Some("ann".into());
        }
        let over = matches!(alert.state(), State::Resolved);
        if over {
            self.open.0.remove(&id);
            self.ids[which] = None;
        } else {
            self.open.0.insert(id, alert.clone());
            self.ids[which] = Some(id);
        }
        if step.is_some_and(|step| step.page) {
            self.known.remove(&id);
        }
        let open = self.open.clone();
        if let Some(step) = step {
            let t = Transition {
                id: TransitionId(self.fresh()),
                from: step.from,
                to: step.to,
                why,
                page: step.page,
                event_time: self.now,
                decided_at: self.now,
                told_by: None,
                alert,
                evidence: Vec::new(),
            };
            self.last.insert(id, t.id);
            let high = WRONG[which].1 == "high";
            let effects = self.give(&Event::Transitions(std::slice::from_ref(&t)), &open);
            let paged = effects
                .iter()
                .any(|e| matches!(e, Effect::Page(p) if p.alert == id && is_page(p)));
            assert!(!(high && step.page) || paged, "a high priority page never waits");
        }
        if signal == Signal::Acknowledged {
            self.give(&Event::Acknowledged { alert: id, by: "ann" }, &open);
            let now = self.now;
            self.known.insert(id, now);
            assert!(
                !self.outbox.iter().any(|p| p.alert == id && is_page(p)),
                "an acknowledgement takes back what waits"
            );
        }
        if signal == Signal::Unacknowledged {
            self.known.remove(&id);
            self.give(&Event::Unacknowledged { alert: id, by: "ann" }, &open);
        }
    }

    /// Every alert that needs a person is told, will be told at a known time, or is held back up to one.
    fn law(&self) {
        for (id, alert) in &self.open.0 {
            let course = self
                .planner
                .course(*id)
                .expect("an open alert that was raised has a course");
            if !alert.life.needs_person() {
                continue;
            }
            assert!(
                !course.is_known(),
                "a person is needed and the planner thinks that one knows"
            );
            match &course.stage {
                Stage::Held { until, .. } => {
                    assert!(*until > self.now && course.told.is_empty());
                    assert!(
                        alert.priority < Priority::High,
                        "high is never silenced here, and nothing stands for it"
                    );
                }
                Stage::Running { lines } if alert.priority >= Priority::Medium => {
                    assert!(!lines.is_empty(), "an escalation never ends while a person is needed");
                    let next = lines.iter().map(|line| line.due).min().unwrap();
                    assert!(next <= self.now.plus(Duration::from_secs(10 * 60)));
                    assert!(self.planner.next_deadline().is_some_and(|first| first <= next));
                }
                Stage::Running { .. } => assert!(self.told.contains(id) || self.elsewhere.contains(id)),
                other => panic!("{other:?}"),
            }
        }
        for (id, _) in self.planner.courses() {
            assert!(self.open.0.contains_key(id), "what is over leaves nothing behind");
        }
    }
}

fn signals() -> impl Strategy<Value = Signal> {
    prop_oneof![
        4 => Just(Signal::Violated { single: false, worse: false }),
        2 => Just(Signal::Violated { single: true, worse: true }),
        1 => Just(Signal::Cleared),
        1 => Just(Signal::SessionOver),
        1 => Just(Signal::Silent),
        1 => Just(Signal::Heard),
        3 => Just(Signal::Acknowledged),
        1 => Just(Signal::Unacknowledged),
        1 => Just(Signal::Past),
    ]
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..4usize, signals()).prop_map(|(which, signal)| Op::Signal(which, signal)),
        1 => (0..4usize).prop_map(Op::Told),
        1 => (1..3usize, 1..300u64).prop_map(|(device, minutes)| Op::Silence { device, minutes }),
        1 => Just(Op::EndSilence),
        4 => prop_oneof![Just(1u64), Just(60), Just(300), Just(601), Just(7_300), Just(50_000)].prop_map(|seconds| Op::Tick { seconds }),
        1 => Just(Op::Deliver),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_nobody_who_is_needed_is_forgotten_and_nobody_who_knows_is_woken(ops in proptest::collection::vec(ops(), 1..60)) {
        let mut world = World::new(plan(PLAN));
        for op in &ops {
            world.run(op);
        }
    }
}

#[path = "planner_cases.rs"]
mod cases;
#[path = "planner_walk.rs"]
mod walk;
