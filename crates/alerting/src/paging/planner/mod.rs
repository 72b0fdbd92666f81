//! Moves the courses of all alerts: by what happened, by what people said, and by time.
mod begin;
mod hold;
mod news;
mod silences;
mod steps;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};
use telemetry::UnixMicros;

use self::hold::Near;
pub use self::silences::preview;
use super::course::{Course, Occasion, Stage};
use super::effect::{Changes, Effect};
use super::labels::Labels;
use super::plan::Plan;
use super::silence::Silence;
use crate::engine::{Alert, Engine, Transition, Why};
use crate::id::{AlertId, SilenceId, TransitionId, hash16};
use crate::intake::{self, Class};
use crate::lifecycle::State;
use crate::store::journal::EntryKind;

/// Where open alerts are looked up.
pub trait Alerts {
    /// An open alert.
    fn open(&self, id: AlertId) -> Option<&Alert>;
}

impl Alerts for Engine {
    fn open(&self, id: AlertId) -> Option<&Alert> {
        self.alert(id)
    }
}

/// What moves courses.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// Steps of alerts that one input caused.
    Transitions(&'a [Transition]),
    /// A person acknowledged an open alert, also where that moved no state.
    Acknowledged {
        /// Which.
        alert: AlertId,
        /// Who.
        by: &'a str,
    },
    /// A person took the acknowledgement of an open alert back.
    Unacknowledged {
        /// Which.
        alert: AlertId,
        /// Who.
        by: &'a str,
    },
    /// Another instance has told somebody of this transition.
    Told {
        /// Of which alert.
        alert: AlertId,
        /// Of which step of it.
        transition: TransitionId,
    },
    /// A person silences something; `by` answers for it.
    Silence {
        /// Its id: the command's.
        id: SilenceId,
        /// Who.
        by: &'a str,
        /// What, and until when.
        what: &'a intake::Silence,
        /// When they said so.
        at: UnixMicros,
    },
    /// A person ends a silence.
    EndSilence(SilenceId),
    /// Time passed.
    Tick,
}

/// The machine.
pub struct Planner {
    plan: Arc<Plan>,
    courses: HashMap<AlertId, Course>,
    due: BTreeSet<(UnixMicros, AlertId)>,
    /// When the open group with this key leaves.
    groups: HashMap<String, UnixMicros>,
    /// Whose first pages are held back.
    held: BTreeSet<AlertId>,
    /// Open alerts by where they are.
    near: HashMap<Near, BTreeSet<AlertId>>,
    silences: BTreeMap<SilenceId, Silence>,
    silence_due: BTreeSet<(UnixMicros, SilenceId)>,
    changed: BTreeSet<AlertId>,
    changed_silences: BTreeSet<SilenceId>,
    out: Vec<Effect>,
}

impl Planner {
    /// Goes on with what was kept. Alerts of `alerts` that need a person and have no course yet get one.
    pub fn new<'a>(
        plan: Arc<Plan>,
        courses: impl IntoIterator<Item = (AlertId, Course)>,
        silences: impl IntoIterator<Item = (SilenceId, Silence)>,
        alerts: impl IntoIterator<Item = &'a Alert>,
        now: UnixMicros,
    ) -> Self {
        let mut planner = Self {
            plan,
            courses: HashMap::new(),
            due: BTreeSet::new(),
            groups: HashMap::new(),
            held: BTreeSet::new(),
            near: HashMap::new(),
            silences: BTreeMap::new(),
            silence_due: BTreeSet::new(),
            changed: BTreeSet::new(),
            changed_silences: BTreeSet::new(),
            out: Vec::new(),
        };
        for (id, course) in courses {
            planner.remember_groups(&course);
            planner.keep(id, course);
        }
        for (id, silence) in silences {
            planner.keep_silence(id, silence);
        }
        planner.changed.clear();
        planner.changed_silences.clear();
        for alert in alerts {
            planner.adopt(alert, now);
            if planner.courses.contains_key(&alert.id) {
                planner.remember_place(alert);
            }
        }
        planner.mend(now);
        planner
    }

    /// Tells by this plan from now on. What is under way goes on; where its chain is gone it takes the new plan's.
    pub fn configure(&mut self, plan: Arc<Plan>, now: UnixMicros) {
        self.plan = plan;
        self.mend(now);
    }

    /// Takes what happened. `now`: the input log's clock.
    pub fn apply(&mut self, event: &Event<'_>, now: UnixMicros, alerts: &impl Alerts) {
        match event {
            Event::Transitions(transitions) => self.transitions(transitions, now, alerts),
            Event::Acknowledged { alert, by } => {
                if let Some(open) = alerts.open(*alert) {
                    self.acknowledged(open, by, None, now);
                }
            }
            Event::Unacknowledged { alert, by } => {
                if let Some(open) = alerts.open(*alert) {
                    self.unacknowledged(open, by, now, alerts);
                }
            }
            Event::Told { alert, transition } => self.told_elsewhere(*alert, *transition, now),
            Event::Silence { id, by, what, at } => self.silence(*id, by, what, *at, now),
            Event::EndSilence(id) => self.end_silence(*id, now, alerts),
            Event::Tick => self.tick(now, alerts),
        }
    }

    /// When time moves something next.
    pub fn next_deadline(&self) -> Option<UnixMicros> {
        let course = self.due.first().map(|(at, _)| *at);
        let silence = self.silence_due.first().map(|(at, _)| *at);
        [course, silence].into_iter().flatten().min()
    }

    /// What changed since the last call. The caller keeps it until it is committed.
    pub fn take_changes(&mut self) -> Changes {
        let json = |id: &AlertId| {
            let course = self.courses.get(id);
            // A course is plain data: it always has a JSON.
            (*id, course.and_then(|course| serde_json::to_string(course).ok()))
        };
        let courses = self.changed.iter().map(json).collect();
        self.changed.clear();
        let silences = std::mem::take(&mut self.changed_silences);
        let silences = silences.into_iter().map(|id| {
            let silence = self.silences.get(&id);
            let json = silence.and_then(|s| Some((serde_json::to_string(s).ok()?, s.until)));
            (id, json)
        });
        let silences = silences.collect();
        Changes {
            courses,
            silences,
            effects: std::mem::take(&mut self.out),
        }
    }

    /// Something waits for a transaction.
    pub fn is_changed(&self) -> bool {
        !self.changed.is_empty() || !self.changed_silences.is_empty() || !self.out.is_empty()
    }

    /// The course of an alert.
    pub fn course(&self, id: AlertId) -> Option<&Course> {
        self.courses.get(&id)
    }

    /// Every course.
    pub fn courses(&self) -> impl Iterator<Item = (&AlertId, &Course)> {
        self.courses.iter()
    }

    fn take(&mut self, id: AlertId) -> Option<Course> {
        let course = self.courses.remove(&id)?;
        if let Some(at) = course.deadline() {
            self.due.remove(&(at, id));
        }
        self.held.remove(&id);
        self.changed.insert(id);
        Some(course)
    }

    fn keep(&mut self, id: AlertId, course: Course) {
        if let Some(at) = course.deadline() {
            self.due.insert((at, id));
        }
        if matches!(course.stage, Stage::Held { .. }) {
            self.held.insert(id);
        }
        self.changed.insert(id);
        self.courses.insert(id, course);
    }

    fn entry(&mut self, kind: EntryKind, body: Value) {
        self.out.push(Effect::Entry { kind, body });
    }

    /// All that one input caused: first what says more, so that what says less can be held back.
    fn transitions(&mut self, transitions: &[Transition], now: UnixMicros, alerts: &impl Alerts) {
        let waits = |alert: &Alert| self.plan.inhibits.iter().any(|inhibit| inhibit.is_target(alert));
        let last: BTreeSet<AlertId> = transitions
            .iter()
            .filter(|t| t.page && waits(&t.alert))
            .map(|t| t.alert.id)
            .collect();
        for late in [false, true] {
            for t in transitions.iter().filter(|t| last.contains(&t.alert.id) == late) {
                self.transition(t, now, alerts);
            }
        }
    }

    fn transition(&mut self, t: &Transition, now: UnixMicros, alerts: &impl Alerts) {
        let alert = &t.alert;
        if matches!(t.to, State::Resolved | State::Inactive) {
            self.ended(t, now, alerts);
        } else if alert.class == Class::Replayed || t.to == State::Pending {
            // For the journal only.
        } else if t.page {
            self.page_wanted(t, now, alerts);
        } else if t.why == Why::Acknowledged {
            let by = alert.acknowledged_by.clone().unwrap_or_default();
            self.acknowledged(alert, &by, Some(t.id), now);
        } else if !self.courses.contains_key(&alert.id) && alert.life.needs_person() {
            // It says that nobody has to be told now, but nobody was told before either.
            self.page_wanted(t, now, alerts);
        } else if t.why == Why::Moved {
            self.moved(t);
        } else if t.to == State::Unknown {
            self.unknown(t);
        }
    }

    /// A person must be told, for the first time or again.
    fn page_wanted(&mut self, t: &Transition, now: UnixMicros, alerts: &impl Alerts) {
        let course = self.take(t.alert.id);
        let mut course = course.unwrap_or_else(|| Course::new(Stage::Running { lines: Vec::new() }));
        course.anew = match &course.stage {
            Stage::Known { by, .. } => Some(format!("it got worse after {by} acknowledged")),
            Stage::Digest => Some("it was only told in a digest".to_owned()),
            Stage::Running { .. } if course.occasion.is_some() => Some("it happened again".to_owned()),
            _ => None,
        };
        self.occasion(&mut course, t.id, t.why, now);
        if t.told_by.is_some() {
            course.heard_elsewhere(t.id);
        }
        self.begin(&t.alert, course, now, alerts);
    }

    /// From here on pages tell of this.
    fn occasion(&mut self, course: &mut Course, transition: TransitionId, why: Why, now: UnixMicros) {
        course.occasion = Some(Occasion {
            transition,
            why,
            at: now,
        });
        course.steps = 0;
        course.news.clear();
    }

    /// A person knows: everything that is pending goes, in one transaction.
    fn acknowledged(&mut self, alert: &Alert, by: &str, step: Option<TransitionId>, now: UnixMicros) {
        let Some(mut course) = self.take(alert.id) else {
            return;
        };
        let until = self.acknowledged_for(alert, &course, now).map(|holds| now.plus(holds));
        let known = course.is_known();
        if !known {
            self.out.push(Effect::Cancel(alert.id));
        }
        course.stage = Stage::Known {
            by: by.to_owned(),
            until,
        };
        if !known {
            self.news_of_acknowledgement(alert, &mut course, step, now);
        }
        self.keep(alert.id, course);
    }

    /// The shortest time that a chain which the alert is in lets an acknowledgement hold.
    fn acknowledged_for(&self, alert: &Alert, course: &Course, now: UnixMicros) -> Option<std::time::Duration> {
        let of = |name: &str| self.plan.chains.get(name).and_then(|chain| chain.acknowledged_for);
        match &course.stage {
            Stage::Running { lines } if !lines.is_empty() => lines.iter().filter_map(|line| of(&line.chain)).min(),
            _ => {
                let ways = self.plan.ways(&Labels::from(alert), now);
                ways.into_iter().filter_map(|route| of(&route.chain)).min()
            }
        }
    }

    fn unacknowledged(&mut self, alert: &Alert, by: &str, now: UnixMicros, alerts: &impl Alerts) {
        self.anew(
            alert,
            format!("{by} took the acknowledgement back"),
            "unacknowledged",
            now,
            alerts,
        );
    }

    /// What a person knew they have to be told of again.
    fn anew(&mut self, alert: &Alert, why: String, what: &'static str, now: UnixMicros, alerts: &impl Alerts) {
        let Some(mut course) = self.take(alert.id) else {
            return;
        };
        if !course.is_known() {
            return self.keep(alert.id, course);
        }
        let last = course
            .occasion
            .as_ref()
            .map_or([0; 16], |occasion| occasion.transition.0);
        // From what it was told of before, not from the moment: another instance over the same frames notices at another one.
        let id = hash16("dermatel anew 1", &[what.as_bytes(), &last]);
        course.anew = Some(why);
        self.occasion(&mut course, TransitionId(id), Why::Again, now);
        self.begin(alert, course, now, alerts);
    }

    /// Somebody was told by another instance.
    fn told_elsewhere(&mut self, alert: AlertId, transition: TransitionId, now: UnixMicros) {
        // What did not happen here yet is remembered by the engine, which says so when it does.
        let Some(mut course) = self.take(alert) else {
            return;
        };
        course.heard_elsewhere(transition);
        let of_this = course.occasion.as_ref().is_some_and(|o| o.transition == transition);
        if of_this && course.steps == 0 {
            self.skip_first(alert, &mut course, now);
        }
        self.keep(alert, course);
    }

    /// Everything that is due.
    fn tick(&mut self, now: UnixMicros, alerts: &impl Alerts) {
        self.groups.retain(|_, leaves| *leaves > now);
        let first = self.out.len();
        self.tick_silences(now, alerts);
        let due: Vec<AlertId> = self
            .due
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, id)| *id)
            .collect();
        for id in due {
            self.due_now(id, now, alerts);
        }
        self.lonely(first);
    }

    fn due_now(&mut self, id: AlertId, now: UnixMicros, alerts: &impl Alerts) {
        let Some(course) = self.courses.get(&id) else {
            return;
        };
        let Some(alert) = alerts.open(id) else {
            // Its end was told with its last step; without one it is no alert.
            self.take(id);
            return self.entry(EntryKind::CourseWithoutAlert, json!({ "alert": id }));
        };
        match &course.stage {
            Stage::Known { by, .. } => {
                let why = format!("the acknowledgement of {by} has expired");
                self.anew(alert, why, "expired", now, alerts);
            }
            Stage::Held { .. } => {
                if let Some(course) = self.take(id) {
                    self.begin(alert, course, now, alerts);
                }
            }
            Stage::Running { .. } => {
                if let Some(mut course) = self.take(id) {
                    self.run(alert, &mut course, now);
                    self.keep(id, course);
                }
            }
            Stage::Digest => {}
        }
    }
}
