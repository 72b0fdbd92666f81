//! Silences: first pages are held back, by a person who says why and until when; never more urgent ones than chosen.
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::{Priority, UnixMicros};

use super::labels::Labels;
use crate::intake;

/// Most silences at the same time; more are refused.
pub const MAX_SILENCES: usize = 1_000;
/// How often the owner is reminded while something is hidden.
pub const REMIND_EVERY: Duration = Duration::from_secs(4 * 3_600);

/// What silences may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SilencePolicy {
    /// The longest.
    pub longest: Duration,
    /// The most urgent priority that one may hide.
    pub max_priority: Priority,
}

/// Why a silence is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SilenceError {
    /// It has no end, or it is over.
    #[error("silence must end in the future")]
    Over,
    /// It is longer than the plan allows.
    #[error("silence is longer than the plan allows")]
    TooLong,
    /// It hides more than the plan allows.
    #[error("silence hides a higher priority than the plan allows")]
    TooUrgent,
    /// The log's clock or plan was another one than whoever asked was judged by.
    #[error("silence was not made: by the clock of the log it is over or too long, or the plan has changed, try again")]
    NotMade,
    /// There are too many.
    #[error("there are too many silences, end one first")]
    TooMany,
    /// Nobody would be reminded.
    #[error("owner of a silence must be a person of the plan: who is not cannot be reminded")]
    Owner,
    /// Nobody said why.
    #[error("silence needs a reason")]
    Reason,
}

/// A silence that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "HeldSilence")]
pub struct Silence {
    /// Who answers for it.
    pub owner: String,
    /// What it hides. Its times are those of the command; the ones below hold.
    pub what: intake::Silence,
    /// From when on.
    pub from: UnixMicros,
    /// Until when.
    pub until: UnixMicros,
    /// When the owner is reminded next.
    pub remind: UnixMicros,
}

/// Whether a silence picks an alert, at any time.
pub fn picks(what: &intake::Silence, labels: &Labels) -> bool {
    let fits = |wanted: &str, value: &str| wanted.is_empty() || wanted == value;
    fits(&what.tenant, &labels.tenant)
        && fits(&what.clinic, &labels.clinic)
        && fits(&what.device, &labels.device)
        && (fits(&what.rule, &labels.rule) || what.rule == labels.kind)
        && labels.priority <= what.max_priority
}

impl Silence {
    /// Whether it hides an alert now.
    pub fn hides(&self, labels: &Labels, now: UnixMicros) -> bool {
        self.from <= now && now < self.until && picks(&self.what, labels)
    }

    /// When time moves it next.
    pub(super) fn deadline(&self) -> UnixMicros {
        self.until.min(self.remind)
    }
}

impl SilencePolicy {
    /// Whether a silence may be made at `now`.
    ///
    /// # Errors
    /// [`SilenceError`].
    pub fn allows(&self, what: &intake::Silence, now: UnixMicros) -> Result<(), SilenceError> {
        let from = what.from.max(now);
        if what.until <= from {
            return Err(SilenceError::Over);
        }
        if what.until.since(from) > self.longest {
            return Err(SilenceError::TooLong);
        }
        if what.max_priority > self.max_priority {
            return Err(SilenceError::TooUrgent);
        }
        Ok(())
    }
}

/// What a silence would hide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(rename = "SilencePreview")]
pub struct Preview {
    /// Devices whose first pages it would hold back.
    pub devices: usize,
    /// Open alerts that it picks.
    pub open_alerts: usize,
    /// Of these, those of which somebody was told already: a silence does not stop that.
    pub already_told: usize,
}

impl fmt::Display for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hides {} devices, {} open alerts", self.devices, self.open_alerts)?;
        if self.already_told > 0 {
            write!(f, " ({} already told: that goes on)", self.already_told)?;
        }
        Ok(())
    }
}
