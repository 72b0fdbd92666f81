//! News: whoever was told of an alert is told once what became of it, at low urgency and not along the chain. And digests.
use serde_json::json;
use telemetry::{Priority, UnixMicros};

use super::{Alerts, Planner};
use crate::engine::{Alert, Transition, Why};
use crate::id::{TransitionId, hash16};
use crate::intake::Class;
use crate::lifecycle::State;
use crate::notify::{self, Tells};
use crate::paging::course::{Course, Hold, News, Stage};
use crate::paging::effect::{Effect, PageOut};
use crate::paging::labels::Labels;
use crate::store::journal::EntryKind;

impl Planner {
    /// It is over: whoever was told is told that, and nothing more is.
    pub(super) fn ended(&mut self, t: &Transition, now: UnixMicros, alerts: &impl Alerts) {
        let Some(mut course) = self.take(t.alert.id) else {
            return;
        };
        if t.why == Why::Acknowledged {
            self.out.push(Effect::Cancel(t.alert.id));
        }
        if course.told.is_empty() && matches!(course.stage, Stage::Held { .. }) {
            self.entry(
                EntryKind::EndedWhileHeld,
                json!({"alert": t.alert.id, "transition": t.id}),
            );
        }
        self.news(&t.alert, &mut course, News::Resolved, &of(t));
        self.forget_place(&t.alert);
        self.release(&Hold::Inhibition(t.alert.id), now, alerts);
    }

    /// The device cannot be heard. What is told goes on.
    pub(super) fn unknown(&mut self, t: &Transition) {
        if let Some(mut course) = self.take(t.alert.id) {
            self.news(&t.alert, &mut course, News::Unknown, &of(t));
            self.keep(t.alert.id, course);
        }
    }

    /// A person knows. `by`: the step of the alert that says so, if its state moved.
    pub(super) fn news_of_acknowledgement(
        &mut self,
        alert: &Alert,
        course: &mut Course,
        by: Option<TransitionId>,
        now: UnixMicros,
    ) {
        let occasion = course.occasion.as_ref().map_or([0; 16], |o| o.transition.0);
        let id = hash16("dermatel acknowledged 1", &[&alert.id.0, &occasion]);
        let tells = Tells {
            transition: by.unwrap_or(TransitionId(id)),
            state: alert.state(),
            why: Why::Acknowledged,
            decided_at: now,
            place: None,
        };
        self.news(alert, course, News::Acknowledged, &tells);
    }

    fn news(&mut self, alert: &Alert, course: &mut Course, news: News, tells: &Tells<'_>) {
        if course.news.insert(news) {
            self.tell_who_was_told(alert, course, tells);
        }
    }

    /// Its device stands in another clinic now: whoever was told is told where, each time. What is told goes on.
    pub(super) fn moved(&mut self, t: &Transition) {
        if let Some(course) = self.take(t.alert.id) {
            let tells = Tells {
                transition: t.id,
                state: t.to,
                why: t.why,
                decided_at: t.decided_at,
                place: None,
            };
            self.tell_who_was_told(&t.alert, &course, &tells);
            self.keep(t.alert.id, course);
        }
    }

    fn tell_who_was_told(&mut self, alert: &Alert, course: &Course, tells: &Tells<'_>) {
        let late = alert.class == Class::Late;
        let body = notify::body(alert, tells);
        for receiver in &course.told {
            self.out.push(Effect::Page(PageOut {
                receiver: receiver.clone(),
                digest: late.then(|| alert.tenant.clone()),
                late,
                alert: alert.id,
                page: tells.transition,
                urgency: alert.priority.min(Priority::Low),
                body: body.clone(),
            }));
        }
    }

    /// It is old: one digest for those whom the first steps tell, and no chain.
    pub(super) fn digest(&mut self, alert: &Alert, course: &mut Course, now: UnixMicros) {
        let labels = Labels::from(alert);
        let mut whom: Vec<String> = Vec::new();
        for route in self.plan.ways(&labels, now) {
            let chain = self.plan.chains.get(&route.chain);
            let first = chain.and_then(|chain| chain.steps.first());
            let tells = first.map(|step| step.tell.as_slice()).unwrap_or_default();
            for one in tells.iter().flat_map(|tell| self.plan.addressees(tell, now)) {
                if !whom.contains(&one.receiver) && self.plan.admits(&one.receiver, &alert.tenant, alert.priority) {
                    whom.push(one.receiver);
                }
            }
        }
        course.stage = Stage::Digest;
        let Some(occasion) = course.occasion.clone() else {
            return;
        };
        let body = notify::body(
            alert,
            &Tells {
                transition: occasion.transition,
                state: alert.state(),
                why: occasion.why,
                decided_at: occasion.at,
                place: None,
            },
        );
        for receiver in whom {
            course.has_told(&receiver);
            self.out.push(Effect::Page(PageOut {
                receiver,
                digest: Some(alert.tenant.clone()),
                late: true,
                alert: alert.id,
                page: occasion.transition,
                urgency: alert.priority,
                body: body.clone(),
            }));
        }
    }
}

fn of(t: &Transition) -> Tells<'static> {
    debug_assert!(matches!(t.to, State::Resolved | State::Inactive | State::Unknown));
    Tells {
        transition: t.id,
        state: t.to,
        why: t.why,
        decided_at: t.decided_at,
        place: None,
    }
}
