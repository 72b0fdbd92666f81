//! The beginning of telling: what holds a first page back, which routes it takes, and what was done elsewhere already.
use serde_json::json;
use telemetry::{Priority, UnixMicros};

use super::{Alerts, Planner};
use crate::engine::{Alert, Why};
use crate::id::{TransitionId, hash16};
use crate::intake::Class;
use crate::lifecycle::State;
use crate::paging::course::{Course, Line, Stage, Wait};
use crate::paging::labels::Labels;
use crate::paging::plan::Route;
use crate::store::journal::EntryKind;

impl Planner {
    /// Begins to tell of an alert, or holds its first page back, and keeps its course.
    pub(super) fn begin(&mut self, alert: &Alert, mut course: Course, now: UnixMicros, alerts: &impl Alerts) {
        if alert.class == Class::Late {
            self.digest(alert, &mut course, now);
            return self.keep(alert.id, course);
        }
        self.remember_place(alert);
        if let Some((by, until)) = self.held_back(alert, &course, now, alerts) {
            return self.hold(alert, course, by, until, now);
        }
        let labels = Labels::from(alert);
        let lines: Vec<Line> = {
            let plan = std::sync::Arc::clone(&self.plan);
            let ways = plan.ways(&labels, now);
            ways.into_iter().map(|route| self.line(route, &labels, now)).collect()
        };
        let nobody = lines.is_empty();
        course.without_plan = self.plan.implicit;
        course.stage = Stage::Running { lines };
        if nobody {
            self.no_route(alert, &mut course);
        } else if course
            .occasion
            .as_ref()
            .is_some_and(|o| course.elsewhere.contains(&o.transition))
        {
            self.skip_first(alert.id, &mut course, now);
        }
        self.run(alert, &mut course, now);
        self.keep(alert.id, course);
    }

    /// The first step along a route, with what it waits for.
    fn line(&mut self, route: &Route, labels: &Labels, now: UnixMicros) -> Line {
        let held = now.plus(route.hold);
        let mut line = Line {
            route: route.name.clone(),
            chain: route.chain.clone(),
            step: 0,
            repetition: 0,
            due: held,
            waits: (held > now).then_some(Wait::Elsewhere),
        };
        if let Some((key, wait)) = route.group_key(labels) {
            let open = self.groups.get(&key).copied().filter(|leaves| *leaves > now);
            let leaves = open.unwrap_or_else(|| now.plus(wait));
            self.groups.insert(key.clone(), leaves);
            line.due = held.max(leaves);
            line.waits = Some(Wait::Group(key));
        }
        line
    }

    /// No route is for it. The plan was refused if that could happen to what is urgent, but tenants come after plans: then
    /// everybody is told.
    pub(super) fn no_route(&mut self, alert: &Alert, course: &mut Course) {
        let urgent = alert.priority >= Priority::Medium && !self.plan.implicit;
        self.entry(
            EntryKind::NoRoute,
            json!({"alert": alert.id, "everybody_is_told": urgent}),
        );
        if urgent {
            let everybody = self.plan.everybody(&alert.tenant);
            self.send(alert, course, None, everybody);
            course.steps += 1;
        }
    }

    /// Another instance has done the first step: what follows it is next here.
    pub(super) fn skip_first(&mut self, alert: crate::id::AlertId, course: &mut Course, now: UnixMicros) {
        let Stage::Running { lines } = &mut course.stage else {
            return;
        };
        for line in std::mem::take(lines) {
            if line.step > 0 || line.repetition > 0 {
                lines.push(line);
            } else if let Some(turn) = self.plan.after(&line.chain, 0, 0) {
                lines.push(Line {
                    chain: turn.chain,
                    step: turn.step,
                    repetition: turn.repetition,
                    due: now.plus(turn.wait),
                    waits: None,
                    route: line.route,
                });
            }
        }
        // The next page here is a later one: it must not look like the one that left elsewhere.
        course.steps += 1;
        let transition = course.occasion.as_ref().map(|o| o.transition);
        self.entry(
            EntryKind::ToldElsewhere,
            json!({"alert": alert, "transition": transition}),
        );
    }

    /// An alert that was open before its course was kept.
    pub(super) fn adopt(&mut self, alert: &Alert, now: UnixMicros) {
        let wanted = alert.life.needs_person() && alert.class.pages();
        if !wanted || self.courses.contains_key(&alert.id) || alert.state() == State::Resolved {
            return;
        }
        let mut course = Course::new(Stage::Running { lines: Vec::new() });
        let id = hash16("dermatel adopted 1", &[&alert.id.0]);
        self.occasion(&mut course, TransitionId(id), Why::Again, now);
        // Whoever would have been told without a plan was told when it was raised.
        course.without_plan = true;
        for known in &self.plan.receivers {
            if known.admits(&alert.tenant) && alert.priority >= known.from() {
                course.has_told(&known.name);
            }
        }
        self.keep(alert.id, course);
    }

    /// After a change of the plan: telling whose chain is gone, or that had none, takes the routes of this one at the next tick.
    pub(super) fn mend(&mut self, now: UnixMicros) {
        let plan = std::sync::Arc::clone(&self.plan);
        let exists = |line: &Line| {
            let chain = plan.chains.get(&line.chain);
            chain.is_some_and(|chain| usize::from(line.step) < chain.steps.len())
        };
        let broken = |course: &Course| match &course.stage {
            Stage::Running { lines } => {
                lines.iter().any(|line| !exists(line)) || lines.is_empty() && course.without_plan && !plan.implicit
            }
            _ => false,
        };
        let ids: Vec<_> = self
            .courses
            .iter()
            .filter(|(_, c)| broken(c))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            if let Some(mut course) = self.take(id) {
                course.without_plan = false;
                course.stage = Stage::Running {
                    lines: vec![Line {
                        route: String::new(),
                        chain: String::new(),
                        step: 0,
                        repetition: 0,
                        due: now,
                        waits: None,
                    }],
                };
                course.anew = Some("the plan has changed".to_owned());
                self.keep(id, course);
            }
        }
    }

    /// Groups that were open stay open.
    pub(super) fn remember_groups(&mut self, course: &Course) {
        let Stage::Running { lines } = &course.stage else {
            return;
        };
        for line in lines {
            if let Some(Wait::Group(key)) = &line.waits {
                self.groups.insert(key.clone(), line.due);
            }
        }
    }
}
