//! Silences: made and ended by people, ended by time, and their owners reminded.
use serde_json::{Value, json};
use telemetry::{Priority, UnixMicros};

use super::{Alerts, Planner};
use crate::engine::Alert;
use crate::id::{AlertId, SilenceId, TransitionId, hash16};
use crate::intake;
use crate::notify::rfc3339;
use crate::paging::course::{Course, Hold, Stage};
use crate::paging::effect::{Effect, PageOut};
use crate::paging::labels::Labels;
use crate::paging::silence::{MAX_SILENCES, Preview, REMIND_EVERY, Silence, SilenceError, picks};
use crate::plural::counted;
use crate::store::journal::EntryKind;

impl Planner {
    /// Whether a silence may be made.
    ///
    /// # Errors
    /// [`SilenceError`].
    pub fn may_silence(&self, owner: &str, what: &intake::Silence, now: UnixMicros) -> Result<(), SilenceError> {
        self.plan.silences.allows(what, now)?;
        if self.silences.len() >= MAX_SILENCES {
            return Err(SilenceError::TooMany);
        }
        self.plan.may_own(owner)
    }

    /// A person makes a silence, at the time of their command: on each instance over the same frames it is the same one. One that the
    /// plan does not allow, or that is over by the log's clock, has no effect; whoever asked was told so before it was logged.
    pub(super) fn silence(
        &mut self,
        id: SilenceId,
        owner: &str,
        what: &intake::Silence,
        at: UnixMicros,
        now: UnixMicros,
    ) {
        // Another instance may say it again.
        if self.silences.contains_key(&id) || self.may_silence(owner, what, at).is_err() || what.until <= now {
            return;
        }
        let from = what.from.max(at);
        let silence = Silence {
            owner: owner.to_owned(),
            what: what.clone(),
            from,
            until: what.until,
            remind: from.plus(REMIND_EVERY),
        };
        self.keep_silence(id, silence);
    }

    pub(super) fn keep_silence(&mut self, id: SilenceId, silence: Silence) {
        self.silence_due.insert((silence.deadline(), id));
        self.silences.insert(id, silence);
        self.changed_silences.insert(id);
    }

    fn take_silence(&mut self, id: SilenceId) -> Option<Silence> {
        let silence = self.silences.remove(&id)?;
        self.silence_due.remove(&(silence.deadline(), id));
        self.changed_silences.insert(id);
        Some(silence)
    }

    /// A silence ends: what it hid and still needs a person is told now.
    pub(super) fn end_silence(&mut self, id: SilenceId, now: UnixMicros, alerts: &impl Alerts) {
        let Some(silence) = self.take_silence(id) else {
            return;
        };
        self.entry(
            EntryKind::SilenceEnded,
            json!({"silence_id": id, "until_us": silence.until.0}),
        );
        let hidden = match self.hidden(id) {
            0 => "it held no alert back at its end".to_owned(),
            1 => "1 alert was hidden and is told now".to_owned(),
            many => format!("{many} alerts were hidden and are told now"),
        };
        let what = format!("silence of {} has ended, {hidden}", silence.owner);
        self.remind(id, &silence, ("resolved", silence.from), &what, now);
        self.release(&Hold::Silence(id), now, alerts);
    }

    /// Silences that are over, and owners that have to be reminded.
    pub(super) fn tick_silences(&mut self, now: UnixMicros, alerts: &impl Alerts) {
        let due = self.silence_due.iter().copied();
        let due: Vec<(UnixMicros, SilenceId)> = due.take_while(|(at, _)| *at <= now).collect();
        for (at, id) in due {
            if self.silences.get(&id).is_some_and(|silence| silence.until <= now) {
                self.end_silence(id, now, alerts);
            } else if let Some(mut silence) = self.take_silence(id) {
                let hidden = self.hidden(id);
                if hidden > 0 {
                    let what = format!(
                        "silence of {} hides {} until {}",
                        silence.owner,
                        counted(hidden, "alert", "alerts"),
                        rfc3339(silence.until)
                    );
                    self.remind(id, &silence, ("firing", at), &what, now);
                }
                while silence.remind <= now {
                    silence.remind = silence.remind.plus(REMIND_EVERY);
                }
                self.keep_silence(id, silence);
            }
        }
    }

    /// How many first pages a silence holds back now.
    pub fn hidden(&self, id: SilenceId) -> usize {
        let by = |course: &&Course| matches!(&course.stage, Stage::Held { by: Hold::Silence(own), .. } if *own == id);
        self.held
            .iter()
            .filter_map(|held| self.courses.get(held))
            .filter(by)
            .count()
    }

    /// What a silence would hide. `devices`: tenant, clinic and id of each.
    pub fn preview<'a>(
        &self,
        what: &intake::Silence,
        devices: impl Iterator<Item = (&'a str, &'a str, &'a str)>,
        open: impl Iterator<Item = &'a Alert>,
    ) -> Preview {
        preview(what, devices, open, |id| {
            self.courses.get(&id).is_some_and(Course::is_told)
        })
    }

    /// Tells the owner, by their receivers, at low urgency. The page has its id from the state and from when it was due, not from when
    /// it was noticed: another instance over the same frames notices at another moment and means the same page.
    fn remind(&mut self, id: SilenceId, silence: &Silence, occasion: (&str, UnixMicros), what: &str, now: UnixMicros) {
        let (state, due) = occasion;
        let page = TransitionId(hash16(
            "dermatel silence 1",
            &[&id.0, state.as_bytes(), &due.0.to_be_bytes()],
        ));
        let body = body(id, page, silence, state, what, now);
        for receiver in self.plan.receivers_of(&silence.owner) {
            self.out.push(Effect::Page(PageOut {
                receiver,
                digest: None,
                late: false,
                alert: AlertId(id.0),
                page,
                urgency: Priority::Low,
                body: body.clone(),
            }));
        }
    }
}

/// As [`Planner::preview`]; `told`: whether somebody was told of an alert.
pub fn preview<'a>(
    what: &intake::Silence,
    devices: impl Iterator<Item = (&'a str, &'a str, &'a str)>,
    open: impl Iterator<Item = &'a Alert>,
    told: impl Fn(AlertId) -> bool,
) -> Preview {
    let fits = |wanted: &str, value: &str| wanted.is_empty() || wanted == value;
    let mut preview = Preview {
        devices: devices
            .filter(|(t, c, d)| fits(&what.tenant, t) && fits(&what.clinic, c) && fits(&what.device, d))
            .count(),
        ..Preview::default()
    };
    for alert in open.filter(|alert| picks(what, &Labels::from(*alert))) {
        preview.open_alerts += 1;
        preview.already_told += usize::from(told(alert.id));
    }
    preview
}

/// In the form of every page, so that every receiver can show it.
fn body(id: SilenceId, page: TransitionId, silence: &Silence, state: &str, what: &str, now: UnixMicros) -> Value {
    let place = [
        &silence.what.tenant,
        &silence.what.clinic,
        &silence.what.device,
        &silence.what.rule,
    ];
    let place: Vec<&str> = place
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(String::as_str)
        .collect();
    json!({
        "alert_id": id, "transition_id": page, "rule": "silence", "kind": "silence", "priority": "low", "state": state,
        "why": "again", "tenant": silence.what.tenant, "clinic": silence.what.clinic, "device": silence.what.device,
        "zone": null, "value": 0.0, "limit": 0.0, "unit": "", "what_happened": what,
        "where": if place.is_empty() { "everywhere".to_owned() } else { place.join(", ") },
        "what_to_do": "end the silence if its reason is gone", "event_time": rfc3339(silence.from),
        "decided_at": rfc3339(now), "class": "live", "because": format!("{} owns the silence", silence.owner),
    })
}
