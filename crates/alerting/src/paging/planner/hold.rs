//! What holds a first page back: a silence, or another alert that says more. Both have an end, and neither stops what runs.
use serde_json::json;
use telemetry::UnixMicros;

use super::{Alerts, Planner};
use crate::engine::Alert;
use crate::id::AlertId;
use crate::paging::course::{Course, Hold, Stage};
use crate::paging::labels::Labels;
use crate::store::journal::EntryKind;

/// Where alerts that may stand for one another are found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Near {
    /// In one clinic of a tenant.
    Clinic(String, String),
    /// Heard by one gateway, or the gateway's own.
    Gateway(String),
}

pub(super) fn places(alert: &Alert) -> [Near; 2] {
    [
        Near::Clinic(alert.tenant.clone(), alert.clinic.clone()),
        Near::Gateway(alert.gateway.clone()),
    ]
}

impl Planner {
    pub(super) fn remember_place(&mut self, alert: &Alert) {
        for place in places(alert) {
            self.near.entry(place).or_default().insert(alert.id);
        }
    }

    pub(super) fn forget_place(&mut self, alert: &Alert) {
        for place in places(alert) {
            if let Some(ids) = self.near.get_mut(&place) {
                ids.remove(&alert.id);
                if ids.is_empty() {
                    self.near.remove(&place);
                }
            }
        }
    }

    /// What holds the first page of an alert back now, and until when at the longest.
    pub(super) fn held_back(
        &self,
        alert: &Alert,
        course: &Course,
        now: UnixMicros,
        alerts: &impl Alerts,
    ) -> Option<(Hold, UnixMicros)> {
        if !course.told.is_empty() || course.anew.is_some() {
            return None;
        }
        let labels = Labels::from(alert);
        let silent = self.silences.iter().filter(|(_, silence)| silence.hides(&labels, now));
        if let Some((id, silence)) = silent.max_by_key(|(_, silence)| silence.until) {
            return Some((Hold::Silence(*id), silence.until));
        }
        self.inhibited(alert, course.held_since.unwrap_or(now), now, alerts)
    }

    fn inhibited(
        &self,
        alert: &Alert,
        since: UnixMicros,
        now: UnixMicros,
        alerts: &impl Alerts,
    ) -> Option<(Hold, UnixMicros)> {
        let near = || {
            places(alert)
                .into_iter()
                .filter_map(|place| self.near.get(&place))
                .flatten()
        };
        for inhibit in self.plan.inhibits.iter().filter(|inhibit| inhibit.is_target(alert)) {
            let until = since.plus(inhibit.at_most);
            if until <= now {
                continue;
            }
            let stands = |id: &&AlertId| {
                let told = self.courses.get(id).is_some_and(Course::is_told);
                told && alerts.open(**id).is_some_and(|source| inhibit.holds(source, alert))
            };
            if let Some(source) = near().find(stands) {
                return Some((Hold::Inhibition(*source), until));
            }
        }
        None
    }

    /// Holds a first page back.
    pub(super) fn hold(&mut self, alert: &Alert, mut course: Course, by: Hold, until: UnixMicros, now: UnixMicros) {
        let again = matches!(&course.stage, Stage::Held { by: before, .. } if *before == by);
        let (name, id) = match &by {
            Hold::Silence(id) => ("silence", id.to_hex()),
            Hold::Inhibition(id) => ("inhibition", id.to_hex()),
        };
        if !again {
            let transition = course.occasion.as_ref().map(|o| o.transition);
            let body = json!({"alert": alert.id, "transition": transition, "by": name, "id": id, "until_us": until.0});
            self.entry(EntryKind::Held, body);
        }
        course.held_since.get_or_insert(now);
        course.stage = Stage::Held { by, until };
        self.keep(alert.id, course);
    }

    /// What was held back by this goes on: held by something else, or told.
    pub(super) fn release(&mut self, by: &Hold, now: UnixMicros, alerts: &impl Alerts) {
        let held = |course: &Course| matches!(&course.stage, Stage::Held { by: own, .. } if own == by);
        let ids = self.held.iter().filter(|id| self.courses.get(id).is_some_and(held));
        let ids: Vec<AlertId> = ids.copied().collect();
        for id in ids {
            if let Some(alert) = alerts.open(id)
                && let Some(course) = self.take(id)
            {
                self.begin(alert, course, now, alerts);
            }
        }
    }
}
