//! The steps of chains: who is told now, as which page, and what is next.
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::json;
use telemetry::UnixMicros;

use super::Planner;
use crate::engine::Alert;
use crate::id::{TransitionId, hash16};
use crate::notify::{self, Place, Tells};
use crate::paging::course::{Course, Line, Stage, Wait};
use crate::paging::effect::{Effect, PageOut};
use crate::paging::labels::Labels;
use crate::paging::plan::Addressee;
use crate::store::journal::EntryKind;

impl Planner {
    /// Tells along every line that is due.
    pub(super) fn run(&mut self, alert: &Alert, course: &mut Course, now: UnixMicros) {
        let Stage::Running { lines } = &mut course.stage else {
            return;
        };
        let mut lines = std::mem::take(lines);
        if lines
            .iter()
            .any(|line| line.due <= now && !self.plan.chains.contains_key(&line.chain))
        {
            // The plan has changed: its routes as they are now.
            lines = self.routed_anew(alert, now);
            if lines.is_empty() {
                self.no_route(alert, course);
            }
        }
        let mut next = Vec::new();
        // A receiver that several lines reach at the same time gets one page.
        let mut reached: Vec<String> = Vec::new();
        for line in lines {
            if line.due > now {
                next.push(line);
            } else {
                reached.extend(self.tell(alert, course, &line, now, &reached));
                next.extend(self.next_line(line, now));
            }
        }
        // All that leaves at the same time is one step of telling.
        course.steps = course.steps.saturating_add(u32::from(!reached.is_empty()));
        course.stage = Stage::Running { lines: next };
    }

    fn next_line(&self, line: Line, now: UnixMicros) -> Option<Line> {
        let turn = self.plan.after(&line.chain, line.step, line.repetition)?;
        Some(Line {
            route: line.route,
            chain: turn.chain,
            step: turn.step,
            repetition: turn.repetition,
            due: now.plus(turn.wait),
            waits: None,
        })
    }

    fn routed_anew(&self, alert: &Alert, now: UnixMicros) -> Vec<Line> {
        let plan = Arc::clone(&self.plan);
        let ways = plan.ways(&Labels::from(alert), now);
        let line = |route: &crate::paging::plan::Route| Line {
            route: route.name.clone(),
            chain: route.chain.clone(),
            step: 0,
            repetition: 0,
            due: now,
            waits: None,
        };
        ways.into_iter().map(line).collect()
    }

    /// Tells one step. Returns who was told.
    fn tell(
        &mut self,
        alert: &Alert,
        course: &mut Course,
        line: &Line,
        now: UnixMicros,
        reached: &[String],
    ) -> Vec<String> {
        let plan = Arc::clone(&self.plan);
        let step = plan
            .chains
            .get(&line.chain)
            .and_then(|chain| chain.steps.get(usize::from(line.step)));
        let tells = step.map(|step| step.tell.as_slice()).unwrap_or_default();
        let meant: Vec<Addressee> = tells.iter().flat_map(|tell| plan.addressees(tell, now)).collect();
        let mut admitted: Vec<Addressee> = Vec::new();
        for one in meant
            .into_iter()
            .filter(|one| plan.admits(&one.receiver, &alert.tenant, alert.priority))
        {
            match admitted.iter_mut().find(|other| other.receiver == one.receiver) {
                Some(other) => other.because = format!("{}; {}", other.because, one.because),
                None => admitted.push(one),
            }
        }
        if admitted.is_empty() {
            admitted = plan.everybody(&alert.tenant);
        }
        admitted.retain(|one| !reached.contains(&one.receiver));
        let names = admitted.iter().map(|one| one.receiver.clone()).collect();
        self.send(alert, course, Some(line), admitted);
        names
    }

    /// Puts pages of one step out, and says so in the journal.
    pub(super) fn send(&mut self, alert: &Alert, course: &mut Course, line: Option<&Line>, whom: Vec<Addressee>) {
        let Some(occasion) = course.occasion.clone().filter(|_| !whom.is_empty()) else {
            return;
        };
        let page = page_id(occasion.transition, course.steps, line);
        let labels = Labels::from(alert);
        let route = line.and_then(|line| self.plan.routes.iter().find(|route| route.name == line.route));
        let digest = route.and_then(|route| route.group_key(&labels)).map(|(key, _)| key);
        let waited = line
            .and_then(|line| line.waits.as_ref())
            .is_some_and(|w| matches!(w, Wait::Group(_)));
        let digest = digest.filter(|_| waited || course.steps > 0);
        for one in &whom {
            let place = line.filter(|_| !self.plan.implicit).map(|line| Place {
                chain: &line.chain,
                step: u32::from(line.step) + 1,
                repetition: line.repetition,
                because: because(course, &one.because),
            });
            let body = notify::body(
                alert,
                &Tells {
                    transition: occasion.transition,
                    state: alert.state(),
                    why: occasion.why,
                    decided_at: occasion.at,
                    place,
                },
            );
            self.out.push(Effect::Page(PageOut {
                receiver: one.receiver.clone(),
                digest: digest.clone(),
                late: false,
                alert: alert.id,
                page,
                urgency: alert.priority,
                body,
            }));
            course.has_told(&one.receiver);
        }
        let told: BTreeMap<_, _> = whom.iter().map(|one| (&one.receiver, &one.because)).collect();
        let body = json!({"alert": alert.id, "page": page, "route": line.map(|l| &l.route),
            "chain": line.map(|l| &l.chain), "step": line.map(|l| l.step + 1), "repetition": line.map(|l| l.repetition),
            "told": told, "anew": course.anew});
        self.entry(EntryKind::Paged, body);
    }

    /// What would leave together and is alone leaves as itself.
    pub(super) fn lonely(&mut self, first: usize) {
        let mut together: HashMap<(String, String), u32> = HashMap::new();
        let pages = |effects: &[Effect]| -> Vec<(String, String)> {
            let key = |effect: &Effect| match effect {
                Effect::Page(page) => Some((page.receiver.clone(), page.digest.clone()?)),
                _ => None,
            };
            effects.iter().filter_map(key).collect()
        };
        for key in pages(self.out.get(first..).unwrap_or_default()) {
            *together.entry(key).or_default() += 1;
        }
        for effect in self.out.iter_mut().skip(first) {
            if let Effect::Page(page) = effect
                && let Some(digest) = page.digest.clone()
                && together.get(&(page.receiver.clone(), digest)) == Some(&1)
            {
                page.digest = None;
            }
        }
    }
}

/// Why this person now.
fn because(course: &Course, whom: &str) -> String {
    course
        .anew
        .as_ref()
        .map_or_else(|| whom.to_owned(), |anew| format!("{whom}; {anew}"))
}

/// The first page of an occasion has its transition's id, on every instance the same; later ones have their own.
fn page_id(transition: TransitionId, steps: u32, line: Option<&Line>) -> TransitionId {
    let Some(line) = line.filter(|_| steps > 0) else {
        return transition;
    };
    let parts: [&[u8]; 5] = [
        &transition.0,
        line.route.as_bytes(),
        line.chain.as_bytes(),
        &line.step.to_be_bytes(),
        &line.repetition.to_be_bytes(),
    ];
    TransitionId(hash16("dermatel page 1", &parts))
}
