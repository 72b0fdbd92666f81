//! An alert as the engine keeps it, and a transition as everybody else gets it.
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use telemetry::{Priority, UnixMicros, Zone};

use super::Raised;
use super::delay::Delay;
use crate::id::{AlertId, Opaque, TransitionId};
use crate::intake::Class;
use crate::lifecycle::{Lifecycle, State};
use crate::rules::Kind;

/// An alert that is not resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Its id.
    pub id: AlertId,
    /// Id of its rule.
    pub rule: String,
    /// Kind of its rule.
    pub kind: Kind,
    /// Priority of its rule when it was raised.
    pub priority: Priority,
    /// What to do, as the rule said when it was raised.
    pub what_to_do: String,
    /// Tenant; empty for a gateway.
    pub tenant: String,
    /// Clinic; empty for a gateway.
    pub clinic: String,
    /// Device, sterilizer or gateway.
    pub device: String,
    /// The gateway that the device was last heard by, or itself; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    /// Zone, if it is about one.
    pub zone: Option<Zone>,
    /// Visit. Never in a page.
    pub visit: Option<Opaque>,
    /// Session. Never in a page.
    pub session: Option<Opaque>,
    /// What happened, in words.
    pub what_happened: String,
    /// Event time of the first violation, of the occurrence that it stands for.
    pub event_time: UnixMicros,
    /// When the engine decided to raise it.
    pub decided_at: UnixMicros,
    /// When it last changed.
    pub updated_at: UnixMicros,
    /// Best class of what violated it: what pages decides.
    pub class: Class,
    /// Worst value, in the kind's unit.
    pub value: f64,
    /// Worst value that a person acknowledged or was first told.
    pub told: f64,
    /// The limit.
    pub limit: f64,
    /// How many frames violated it.
    pub violations: u64,
    /// Who acknowledged.
    pub acknowledged_by: Option<String>,
    /// When, on the input log's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_at: Option<UnixMicros>,
    /// Who takes care of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_to: Option<String>,
    /// Since when its condition is over, on its gateway's clock, while it flaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_since: Option<UnixMicros>,
    /// What was in force when it was raised, and what raised it; `None`: an older program raised it. Shared among the copies of
    /// the alert: it is most of its size.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "shared")]
    pub raised: Option<Arc<Raised>>,
    /// What it waits for before it is told, or told as over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,
    /// Where it stands.
    pub life: Lifecycle,
}

/// What is shared stands in a file as if it were not.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Raised;

    pub(super) fn serialize<S: Serializer>(raised: &Option<Arc<Raised>>, to: S) -> Result<S::Ok, S::Error> {
        raised.as_deref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Arc<Raised>>, D::Error> {
        Ok(Option::<Raised>::deserialize(from)?.map(Arc::new))
    }
}

impl Alert {
    /// Its state.
    pub fn state(&self) -> State {
        self.life.state()
    }
}

/// Why an alert moved. A bounded name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Evidence is awaited.
    Suspected,
    /// It happened.
    Raised,
    /// It happened again.
    Again,
    /// It got worse after a person acknowledged.
    Worse,
    /// Readings are fine again.
    Cleared,
    /// The session ended.
    SessionOver,
    /// The device is not heard.
    Silent,
    /// The device is heard again.
    Heard,
    /// A person acknowledged.
    Acknowledged,
    /// A person took the acknowledgement back.
    Unacknowledged,
    /// It happened, and a person has known of it for long enough.
    AcknowledgedEvent,
    /// It came and went, and has not come back for long enough.
    Settled,
    /// Nobody expects it any more.
    NotExpected,
    /// Evidence arrived.
    EvidenceArrived,
    /// Its device stands in another clinic now.
    Moved,
    /// Its device is out of use.
    Retired,
}

impl Why {
    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suspected => "suspected",
            Self::Raised => "raised",
            Self::Again => "again",
            Self::Worse => "worse",
            Self::Cleared => "cleared",
            Self::SessionOver => "session_over",
            Self::Silent => "silent",
            Self::Heard => "heard",
            Self::Acknowledged => "acknowledged",
            Self::Unacknowledged => "unacknowledged",
            Self::AcknowledgedEvent => "acknowledged_event",
            Self::Settled => "settled",
            Self::NotExpected => "not_expected",
            Self::EvidenceArrived => "evidence_arrived",
            Self::Moved => "moved",
            Self::Retired => "retired",
        }
    }
}

/// One step of one alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// Its id.
    pub id: TransitionId,
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
    /// Why.
    pub why: Why,
    /// Whether a person must be told now.
    pub page: bool,
    /// Event time of what moved it.
    pub event_time: UnixMicros,
    /// When, by the input log; steps that one moment leads to are a microsecond apart, no two have the same time.
    pub decided_at: UnixMicros,
    /// The instance that has paged this step already, if another one has.
    pub told_by: Option<String>,
    /// The alert after the step.
    pub alert: Alert,
    /// Offsets of the frames that show it, in the log.
    pub evidence: Vec<u64>,
}
