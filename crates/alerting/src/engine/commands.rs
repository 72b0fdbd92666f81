//! What people do to an alert: acknowledge and take that back, assign, remark.
use telemetry::UnixMicros;

use super::{Engine, Moment, Why, raise};
use crate::id::{AlertId, Trigger};
use crate::intake::{Action, Class, Command};
use crate::lifecycle::Signal;

impl Engine {
    /// A person does something. `false`: no alert that was raised and is open has this id, and nothing changed. Silences are
    /// not the engine's: they hold pages back and move no alert.
    pub(super) fn command(&mut self, command: &Command) -> bool {
        match &command.action {
            Action::Acknowledge(alert) => {
                let trigger = Trigger::Command { id: command.id };
                self.acknowledge(*alert, &command.actor, trigger, command.at)
            }
            Action::Unacknowledge(alert) => self.unacknowledge(*alert, command),
            Action::Assign { alert, assignee } => self.assign(*alert, assignee),
            Action::Annotate(alert) => self.alerts.contains_key(alert),
            Action::Silence(_) | Action::EndSilence(_) => true,
        }
    }

    /// A person knows.
    pub(super) fn acknowledge(&mut self, id: AlertId, actor: &str, trigger: Trigger, at: UnixMicros) -> bool {
        let Some(alert) = self.alerts.get_mut(&id).filter(|alert| alert.life.is_confirmed()) else {
            return false;
        };
        if alert.acknowledged_by.is_some() && !alert.life.needs_person() {
            // Of two at once the first one knows; that the second one said so too stands in the journal.
            return true;
        }
        alert.acknowledged_by = Some(actor.to_owned());
        alert.acknowledged_at = Some(at);
        alert.told = alert.value;
        // Also where the state stays: what is unknown stays unknown, and a person knows.
        let alert = alert.clone();
        self.changed_alerts.insert(id, alert);
        self.will_be_past(id);
        self.signal_on_owner(id, Signal::Acknowledged, Why::Acknowledged, trigger, at)
    }

    fn unacknowledge(&mut self, id: AlertId, command: &Command) -> bool {
        let Some(alert) = self.alerts.get_mut(&id).filter(|alert| alert.acknowledged_by.is_some()) else {
            return false;
        };
        (alert.acknowledged_by, alert.acknowledged_at) = (None, None);
        let alert = alert.clone();
        self.changed_alerts.insert(id, alert);
        let trigger = Trigger::Command { id: command.id };
        self.signal_on_owner(id, Signal::Unacknowledged, Why::Unacknowledged, trigger, command.at)
    }

    fn assign(&mut self, id: AlertId, assignee: &str) -> bool {
        let Some(alert) = self.alerts.get_mut(&id) else {
            return false;
        };
        alert.assigned_to = Some(assignee.to_owned()).filter(|who| !who.is_empty());
        alert.updated_at = self.clock;
        let alert = alert.clone();
        self.changed_alerts.insert(id, alert);
        true
    }

    /// Gives a signal that no frame made to an alert, on the device that it is about.
    pub(super) fn signal_on_owner(
        &mut self,
        id: AlertId,
        signal: Signal,
        why: Why,
        trigger: Trigger,
        at: UnixMicros,
    ) -> bool {
        let owner = self.owners.get(&id).cloned();
        let Some(key) = owner.or_else(|| raise::our_key(self.alerts.get(&id)?)) else {
            return false;
        };
        let known = self.devices.remove(&key);
        let is_known = known.is_some();
        let mut slot = known.unwrap_or_default();
        let moment = Moment {
            key: &key,
            trigger,
            class: Class::Live,
            event_time: at,
            received_at: None,
            evidence: Vec::new(),
        };
        self.signal(&mut slot.device, id, signal, why, &moment);
        if is_known {
            self.changed_devices.insert(key.clone());
            self.devices.insert(key, slot);
        }
        true
    }
}
