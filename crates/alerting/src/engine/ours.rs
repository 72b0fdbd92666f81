//! Alerts about the installation itself: receivers that do not take their pages, rotas that run out, heartbeats that do not
//! come; and what another instance has told already.
use std::time::Duration;

use telemetry::UnixMicros;

use super::raise::{Finding, our_key_of};
use super::state::{Device, MAX_TOLD};
use super::{Engine, Moment, Why};
use crate::id::{AlertId, Cause, TransitionId, Trigger};
use crate::intake::{Beat, ReceiverState, RotaState, Told};
use crate::lifecycle::Signal;
use crate::rules::Kind;

/// How long what another instance told is remembered: longer than a clinic is ever cut off and still wants no second page.
const REMEMBER_TOLD: Duration = Duration::from_secs(7 * 86_400);

fn finding(kind: Kind, at: UnixMicros, what_happened: String, seconds: f64) -> Finding {
    Finding {
        kind,
        cause: Cause::Since { at: at.0 },
        visit: None,
        zone: None,
        session: None,
        value: seconds,
        limit: seconds,
        margin: 0.0,
        single: false,
        what_happened,
        at,
    }
}

/// Hours since the last shift ended: below zero before that.
fn running_out(rota: &str, ends: UnixMicros, at: UnixMicros) -> Finding {
    let end = crate::notify::rfc3339(ends);
    let what = if at >= ends {
        format!("rota {rota} has ended: nobody is on call since {end}, whoever it names otherwise is told")
    } else {
        format!("rota {rota} ends: nobody is on call from {end} on")
    };
    let hours = (at.0 - ends.0) as f64 / 3_600e6;
    Finding {
        cause: Cause::Since { at: ends.0 },
        value: hours,
        limit: 0.0,
        ..finding(Kind::RotaEnds, at, what, 0.0)
    }
}

impl Engine {
    fn ours(&self, kind: Kind, subject: &str) -> Option<AlertId> {
        let about = |alert: &&super::Alert| alert.kind == kind && alert.device == subject;
        self.alerts.values().find(about).map(|alert| alert.id)
    }

    /// A receiver fails, or takes its pages again.
    pub(super) fn receiver_state(&mut self, state: &ReceiverState) {
        let Some(key) = our_key_of(&state.receiver) else {
            return;
        };
        let open = self.ours(Kind::PageUndelivered, &state.receiver);
        let moment = Moment::due(&key, Trigger::Due { at: state.at.0 }, state.at);
        match (open, state.failing) {
            (None, true) => {
                let what = format!("receiver {} does not take its pages: {}", state.receiver, state.reason);
                let found = finding(Kind::PageUndelivered, state.at, what, 0.0);
                self.violated(&mut Device::default(), found, &moment);
            }
            (Some(id), false) => self.signal(&mut Device::default(), id, Signal::Cleared, Why::Cleared, &moment),
            (None, false) | (Some(_), true) => {}
        }
    }

    /// A rota runs out, has run out, or has shifts again. That it has run out is worse than that it will.
    pub(super) fn rota_state(&mut self, state: &RotaState) {
        let Some(key) = our_key_of(&state.rota) else {
            return;
        };
        let moment = Moment::due(&key, Trigger::Due { at: state.at.0 }, state.at);
        let open = self.ours(Kind::RotaEnds, &state.rota);
        let found = state.ends.map(|ends| running_out(&state.rota, ends, state.at));
        let same = found.as_ref().and_then(|found| self.id_of(found, &key));
        if let Some(id) = open.filter(|id| Some(*id) != same) {
            self.signal(&mut Device::default(), id, Signal::Cleared, Why::Cleared, &moment);
        }
        match (found, open.filter(|id| Some(*id) == same)) {
            (Some(found), Some(id)) => self.again(&mut Device::default(), id, found, &moment),
            (Some(found), None) => {
                self.violated(&mut Device::default(), found, &moment);
            }
            (None, _) => {}
        }
    }

    /// Heartbeats that the rules expect from now on get their whole time; those that they no longer expect are forgotten.
    pub(super) fn expect_beats(&mut self) {
        let senders = self
            .rules
            .heartbeat_missing
            .as_ref()
            .map(|rule| rule.base.senders.clone());
        let senders = senders.unwrap_or_default();
        for sender in &senders {
            let known = self.beats.entry(sender.clone()).or_default();
            known.expected = true;
            known.heard_at = known.heard_at.max(self.clock);
            self.changed_beats.insert(sender.clone());
        }
        let gone: Vec<String> = self
            .beats
            .iter()
            .filter(|(name, state)| state.expected && !senders.contains(name))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.beat_ends(&name, Why::Cleared);
            if let Some(state) = self.beats.get_mut(&name) {
                state.expected = false;
                self.changed_beats.insert(name);
            }
        }
    }

    /// Somebody whose silence is an alarm was heard.
    pub(super) fn beat(&mut self, beat: &Beat) {
        let Some(state) = self.beats.get_mut(&beat.sender).filter(|state| state.expected) else {
            return;
        };
        state.heard_at = state.heard_at.max(beat.at);
        self.changed_beats.insert(beat.sender.clone());
        self.beat_ends(&beat.sender, Why::Heard);
    }

    fn beat_ends(&mut self, sender: &str, why: Why) {
        if let (Some(id), Some(key)) = (self.ours(Kind::HeartbeatMissing, sender), our_key_of(sender)) {
            let moment = Moment::due(&key, Trigger::Due { at: self.clock.0 }, self.clock);
            self.signal(&mut Device::default(), id, Signal::Cleared, why, &moment);
        }
    }

    fn beat_after(&self) -> Option<Duration> {
        let rule = self.rules.heartbeat_missing.as_ref()?;
        Some(Duration::from_secs(u64::from(rule.base.silent_after_s)))
    }

    fn missing_beats(&self) -> impl Iterator<Item = (&String, UnixMicros)> {
        let after = self.beat_after();
        let expected = self.beats.iter().filter(|(_, state)| state.expected);
        let quiet = expected.filter(|(name, _)| self.ours(Kind::HeartbeatMissing, name).is_none());
        quiet.filter_map(move |(name, state)| Some((name, state.heard_at.plus(after?))))
    }

    /// When the next heartbeat counts as missing.
    pub(super) fn next_beat(&self) -> Option<UnixMicros> {
        self.missing_beats().map(|(_, due)| due).min()
    }

    /// Time passed: which heartbeats are missing.
    pub(super) fn tick_beats(&mut self) {
        let due = self.missing_beats().filter(|(_, due)| *due <= self.clock);
        let due: Vec<(String, UnixMicros)> = due.map(|(name, due)| (name.clone(), due)).collect();
        let seconds = self.beat_after().unwrap_or_default().as_secs();
        for (sender, at) in due {
            let Some(key) = our_key_of(&sender) else { continue };
            let moment = Moment::due(&key, Trigger::Due { at: at.0 }, at);
            let what = format!("no heartbeat of {sender} for {seconds} s: whatever it watches is not watched");
            let found = finding(Kind::HeartbeatMissing, at, what, seconds as f64);
            self.violated(&mut Device::default(), found, &moment);
        }
    }

    /// Another instance has paged or acknowledged. What it did before we saw the same is remembered until we do.
    pub(super) fn told_elsewhere(&mut self, told: &Told) {
        let old: Vec<TransitionId> = {
            let since = told.at.minus(REMEMBER_TOLD);
            let mut by_age: Vec<_> = self.told.values().map(|t| (t.at, t.transition)).collect();
            by_age.sort_unstable();
            let beyond = (by_age.len() + 1).saturating_sub(MAX_TOLD);
            let aged = by_age
                .iter()
                .enumerate()
                .filter(|(n, (at, _))| *n < beyond || *at < since);
            aged.map(|(_, (_, id))| *id).collect()
        };
        for id in old {
            self.told.remove(&id);
        }
        // One step may be told twice: as an acknowledgement, and as the page that says so.
        let before = self.told.remove(&told.transition);
        let mut known = told.clone();
        known.acknowledged_by = known.acknowledged_by.or_else(|| before.and_then(|t| t.acknowledged_by));
        self.changed_told.push(known.clone());
        self.told.insert(told.transition, known);
        if let Some(who) = &told.acknowledged_by {
            self.acknowledged_there(told.alert, who, told.transition, told.at);
        }
    }

    /// An alert that was just raised may have been acknowledged on the other instance already.
    pub(super) fn acknowledged_before(&mut self, id: AlertId) {
        let there = self
            .told
            .values()
            .find(|t| t.alert == id && t.acknowledged_by.is_some());
        if let Some((who, transition, at)) = there.map(|t| (t.acknowledged_by.clone(), t.transition, t.at)) {
            self.acknowledged_there(id, &who.unwrap_or_default(), transition, at);
        }
    }

    fn acknowledged_there(&mut self, id: AlertId, who: &str, transition: TransitionId, at: UnixMicros) {
        let open = self.alerts.get(&id).is_some_and(|a| a.acknowledged_by.is_none());
        if open {
            self.acknowledge(id, who, Trigger::Command { id: transition.0 }, at);
        }
    }
}
