//! How far the telling of one alert is: who was told, what is told next and when. Serialisable and bounded; it never goes
//! back because a process ended.
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use telemetry::UnixMicros;

use crate::engine::Why;
use crate::id::{AlertId, SilenceId, TransitionId};

/// Most receivers that are remembered as told of one alert; more are not told of its end.
pub const MAX_TOLD: usize = 64;
/// Most transitions of one alert that are remembered as told elsewhere.
pub const MAX_ELSEWHERE: usize = 8;

/// Telling along one route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The route.
    pub route: String,
    /// The chain that it is in.
    pub chain: String,
    /// The step that is told next, from 0.
    pub step: u16,
    /// How often a chain began anew.
    pub repetition: u32,
    /// When.
    pub due: UnixMicros,
    /// What its first step waits for; `None`: it was told, or waits for nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<Wait>,
}

/// What a first step waits for, up to its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// Others of its group.
    Group(String),
    /// Word from the clinic's own instance.
    Elsewhere,
}

/// What holds a first page back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// A silence.
    Silence(SilenceId),
    /// Another alert that says more.
    Inhibition(AlertId),
}

/// Where the telling stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The first page is held back.
    Held {
        /// By what.
        by: Hold,
        /// At the longest.
        until: UnixMicros,
    },
    /// Somebody is being told; without lines nobody has to be told again.
    Running {
        /// Along which routes.
        lines: Vec<Line>,
    },
    /// Told in a digest, because it is old.
    Digest,
    /// A person knows.
    Known {
        /// Who.
        by: String,
        /// When that expires.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<UnixMicros>,
    },
}

/// What the pages tell of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occasion {
    /// The step of the alert.
    pub transition: TransitionId,
    /// Why it was made.
    pub why: Why,
    /// When, by the input log.
    pub at: UnixMicros,
}

/// News of an alert that those who were told get once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// A person knows.
    Acknowledged,
    /// The device cannot be heard.
    Unknown,
    /// Over.
    Resolved,
}

/// How far the telling of one alert is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// Where it stands.
    pub stage: Stage,
    /// What is told.
    pub occasion: Option<Occasion>,
    /// How many times somebody was told of this occasion.
    #[serde(default)]
    pub steps: u32,
    /// It was told once and without a plan: a plan that comes later goes on with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_plan: bool,
    /// When its first page was held back first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_since: Option<UnixMicros>,
    /// Receivers that were told.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub told: BTreeSet<String>,
    /// What they were told after that.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub news: BTreeSet<News>,
    /// Transitions whose first page left elsewhere.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub elsewhere: BTreeSet<TransitionId>,
    /// Why it began anew, if it did, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anew: Option<String>,
}

impl Course {
    /// Nothing is told yet.
    pub(super) fn new(stage: Stage) -> Self {
        Self {
            stage,
            occasion: None,
            steps: 0,
            without_plan: false,
            held_since: None,
            told: BTreeSet::new(),
            news: BTreeSet::new(),
            elsewhere: BTreeSet::new(),
            anew: None,
        }
    }

    /// When time moves it next.
    pub fn deadline(&self) -> Option<UnixMicros> {
        match &self.stage {
            Stage::Held { until, .. } => Some(*until),
            Stage::Running { lines } => lines.iter().map(|line| line.due).min(),
            Stage::Digest => None,
            Stage::Known { until, .. } => *until,
        }
    }

    /// Whether a person is told of it or knows of it: only then it can stand for another one.
    pub fn is_told(&self) -> bool {
        match &self.stage {
            Stage::Running { lines } => !(self.told.is_empty() && self.elsewhere.is_empty() && lines.is_empty()),
            Stage::Known { .. } => true,
            Stage::Held { .. } | Stage::Digest => false,
        }
    }

    /// Whether a person said that they know.
    pub fn is_known(&self) -> bool {
        matches!(self.stage, Stage::Known { .. })
    }

    /// Another instance has told somebody of this; at the bound the oldest is not remembered.
    pub(super) fn heard_elsewhere(&mut self, transition: TransitionId) {
        if self.elsewhere.len() >= MAX_ELSEWHERE {
            self.elsewhere.pop_first();
        }
        self.elsewhere.insert(transition);
    }

    pub(super) fn has_told(&mut self, receiver: &str) {
        if self.told.len() < MAX_TOLD {
            self.told.insert(receiver.to_owned());
        }
    }
}
