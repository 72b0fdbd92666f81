//! What people do: acknowledge and take that back, assign, remark, silence.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::{Priority, UnixMicros, proto};

use super::{InputError, id16, put};
use crate::id::AlertId;

/// What a person did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its id: the same command twice is one.
    pub id: [u8; 16],
    /// When.
    pub at: UnixMicros,
    /// Who, as the API knows them.
    pub actor: String,
    /// Why, in the person's words; erasable, never in the chain.
    pub comment: String,
    /// What.
    pub action: Action,
    /// The instance at which it was said; `None`: here.
    pub instance: Option<String>,
}

/// What can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A person knows and takes care.
    Acknowledge(AlertId),
    /// It needs a person again.
    Unacknowledge(AlertId),
    /// Somebody takes care of it.
    Assign {
        /// Of what.
        alert: AlertId,
        /// Who; empty: nobody any more.
        assignee: String,
    },
    /// A person says something about it.
    Annotate(AlertId),
    /// First pages are held back.
    Silence(Silence),
    /// A silence ends before its time.
    EndSilence([u8; 16]),
}

/// Which first pages are held back, and until when. What is empty matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Silence {
    /// Tenant.
    pub tenant: String,
    /// Clinic.
    pub clinic: String,
    /// Device.
    pub device: String,
    /// Id of the rule.
    pub rule: String,
    /// The most urgent priority that it hides.
    pub max_priority: Priority,
    /// From when on.
    pub from: UnixMicros,
    /// Until when.
    pub until: UnixMicros,
}

impl Action {
    /// The alert that it is about.
    pub const fn alert(&self) -> Option<AlertId> {
        match self {
            Self::Acknowledge(alert)
            | Self::Unacknowledge(alert)
            | Self::Assign { alert, .. }
            | Self::Annotate(alert) => Some(*alert),
            Self::Silence(_) | Self::EndSilence(_) => None,
        }
    }

    /// A bounded name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Acknowledge(_) => "acknowledge",
            Self::Unacknowledge(_) => "unacknowledge",
            Self::Assign { .. } => "assign",
            Self::Annotate(_) => "annotate",
            Self::Silence(_) => "silence",
            Self::EndSilence(_) => "end_silence",
        }
    }

    fn to_wire(&self) -> proto::command::Action {
        use proto::command::Action as Wire;
        let bytes = |alert: &AlertId| alert.0.to_vec();
        match self {
            Self::Acknowledge(alert) => Wire::Acknowledge(proto::AcknowledgeAlert {
                alert_id: bytes(alert),
                comment: String::new(),
            }),
            Self::Unacknowledge(alert) => Wire::Unacknowledge(proto::UnacknowledgeAlert { alert_id: bytes(alert) }),
            Self::Assign { alert, assignee } => Wire::Assign(proto::AssignAlert {
                alert_id: bytes(alert),
                assignee: assignee.clone(),
            }),
            Self::Annotate(alert) => Wire::Annotate(proto::AnnotateAlert { alert_id: bytes(alert) }),
            Self::Silence(s) => Wire::Silence(proto::Silence {
                tenant: s.tenant.clone(),
                clinic: s.clinic.clone(),
                device: s.device.clone(),
                rule: s.rule.clone(),
                max_priority: priority_to_wire(s.max_priority) as i32,
                from_us: s.from.0,
                until_us: s.until.0,
            }),
            Self::EndSilence(id) => Wire::EndSilence(proto::EndSilence {
                silence_id: id.to_vec(),
            }),
        }
    }
}

/// A priority on the wire.
pub(crate) const fn priority_to_wire(priority: Priority) -> proto::Priority {
    match priority {
        Priority::Info => proto::Priority::Info,
        Priority::Low => proto::Priority::Low,
        Priority::Medium => proto::Priority::Medium,
        Priority::High => proto::Priority::High,
    }
}

impl Command {
    /// Its record in the log.
    pub fn encode(&self) -> Vec<u8> {
        let mut into = Vec::new();
        put(
            proto::input::Input::Command(proto::Command {
                command_id: self.id.to_vec(),
                at_us: self.at.0,
                actor: self.actor.clone(),
                comment: self.comment.clone(),
                action: Some(self.action.to_wire()),
                instance: self.instance.clone().unwrap_or_default(),
            }),
            &mut into,
        );
        into
    }

    pub(super) fn from_wire(wire: proto::Command) -> Result<Self, InputError> {
        use proto::command::Action as Wire;
        let alert = |bytes: &[u8]| id16(bytes).map(AlertId);
        let mut comment = wire.comment;
        let action = match wire.action {
            Some(Wire::Acknowledge(ack)) => {
                if comment.is_empty() {
                    comment = ack.comment;
                }
                Action::Acknowledge(alert(&ack.alert_id)?)
            }
            Some(Wire::Unacknowledge(a)) => Action::Unacknowledge(alert(&a.alert_id)?),
            Some(Wire::Assign(a)) => Action::Assign {
                alert: alert(&a.alert_id)?,
                assignee: a.assignee,
            },
            Some(Wire::Annotate(a)) => Action::Annotate(alert(&a.alert_id)?),
            Some(Wire::Silence(s)) => Action::Silence(Silence {
                max_priority: match s.max_priority() {
                    proto::Priority::High => Priority::High,
                    proto::Priority::Medium => Priority::Medium,
                    proto::Priority::Low => Priority::Low,
                    // What is not known hides as little as can be.
                    _ => Priority::Info,
                },
                tenant: s.tenant,
                clinic: s.clinic,
                device: s.device,
                rule: s.rule,
                from: UnixMicros(s.from_us),
                until: UnixMicros(s.until_us),
            }),
            Some(Wire::EndSilence(s)) => Action::EndSilence(id16(&s.silence_id)?),
            None => return Err(InputError::Missing("an action that this version knows")),
        };
        Ok(Self {
            id: id16(&wire.command_id)?,
            at: UnixMicros(wire.at_us),
            actor: wire.actor,
            comment,
            action,
            instance: Some(wire.instance).filter(|name| !name.is_empty()),
        })
    }
}
