//! What happened and cannot be undone ends by a person: some minutes after they acknowledged it it is over, because nothing that
//! could be heard later would end it. Until then the acknowledgement can be taken back, and evidence that arrives still counts.
use std::collections::BTreeSet;
use std::time::Duration;

use telemetry::UnixMicros;

use super::state::Device;
use super::{Alert, Engine, Why};
use crate::id::{AlertId, Trigger};
use crate::lifecycle::Signal;
use crate::rules::Nature;

/// How long an acknowledgement of what cannot be undone may be taken back; then it is over. Our choice: long enough for whoever
/// tapped on the wrong alert to see it in the list, and far below the 24 h after which an alarm counts as stale (ISA-18.2).
pub const TAKE_BACK: Duration = Duration::from_secs(600);

/// Acknowledged alerts that may be past, by when. An entry may be in vain (taken back, over already), never missing.
#[derive(Debug, Default)]
pub(super) struct Past {
    due: BTreeSet<(UnixMicros, AlertId)>,
}

/// Whether nothing that may still be heard can end it: it happened, or it is about readings of a session that is not the
/// device's any more (told late), or of none.
fn nothing_ends(alert: &Alert, device: Option<&Device>) -> bool {
    let current = device.and_then(|device| device.session);
    match alert.kind.nature() {
        Nature::Event => true,
        Nature::Harm => alert.session.is_none() || alert.session != current,
        Nature::Reading | Nature::Quality => alert.session.is_some() && alert.session != current,
        Nature::Protection | Nature::Standing => false,
    }
}

/// When an acknowledged alert may be past. One that an older program acknowledged has no time of its own.
fn past_at(alert: &Alert) -> Option<UnixMicros> {
    alert.acknowledged_by.as_ref()?;
    Some(alert.acknowledged_at.unwrap_or(alert.updated_at).plus(TAKE_BACK))
}

impl Engine {
    /// A person acknowledged at this time.
    pub(super) fn will_be_past(&mut self, id: AlertId) {
        if let Some(at) = self.alerts.get(&id).and_then(past_at) {
            self.past.due.insert((at, id));
        }
    }

    /// Puts the deadlines in again after a restart.
    pub(super) fn rearm_past(&mut self) {
        let due = self
            .alerts
            .values()
            .filter_map(|alert| Some((past_at(alert)?, alert.id)));
        self.past.due = due.collect();
    }

    /// When the next acknowledged alert may be past.
    pub(super) fn next_past(&self) -> Option<UnixMicros> {
        self.past.due.first().map(|(at, _)| *at)
    }

    /// Time passed: which of them are.
    pub(super) fn tick_past(&mut self) {
        while self.next_past().is_some_and(|at| at <= self.clock) {
            let Some((at, id)) = self.past.due.pop_first() else {
                return;
            };
            let device = self.owners.get(&id).and_then(|key| self.devices.get(key));
            let device = device.map(|slot| &slot.device);
            let is_past = |alert: &Alert| past_at(alert) == Some(at) && nothing_ends(alert, device);
            if self.alerts.get(&id).is_some_and(is_past) {
                self.signal_on_owner(id, Signal::Past, Why::AcknowledgedEvent, Trigger::Due { at: at.0 }, at);
            }
        }
    }
}
