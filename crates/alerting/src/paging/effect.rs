//! What the planner wants done, in order, within the transaction that keeps its state.
use std::collections::BTreeMap;

use serde_json::Value;
use telemetry::Priority;

use crate::id::{AlertId, SilenceId, TransitionId};
use crate::store::journal::EntryKind;

/// A page for a receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct PageOut {
    /// Name of the receiver.
    pub receiver: String,
    /// What leaves together; `None`: alone.
    pub digest: Option<String>,
    /// It is old and leaves with the next digest of old things.
    pub late: bool,
    /// The alert.
    pub alert: AlertId,
    /// Its own id, the idempotency key: of a first page the transition's, of a later one a hash of it and the step.
    pub page: TransitionId,
    /// How urgent; news of what was told is of low urgency.
    pub urgency: Priority,
    /// What it says.
    pub body: Value,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Put a page into the outbox.
    Page(PageOut),
    /// Take every page of this alert out of the outbox: a person knows.
    Cancel(AlertId),
    /// Put a row into the journal.
    Entry {
        /// Its kind.
        kind: EntryKind,
        /// What. No free text of people.
        body: Value,
    },
}

/// What changed since the last time, for one transaction.
#[derive(Debug, Default)]
pub struct Changes {
    /// Courses as JSON; `None`: over.
    pub courses: BTreeMap<AlertId, Option<String>>,
    /// Silences as JSON with their end; `None`: over.
    pub silences: BTreeMap<SilenceId, Option<(String, telemetry::UnixMicros)>>,
    /// What to do.
    pub effects: Vec<Effect>,
}

impl Changes {
    /// Nothing changed.
    pub fn is_empty(&self) -> bool {
        self.courses.is_empty() && self.silences.is_empty() && self.effects.is_empty()
    }
}
