//! What the interface answers beside alerts and their explanation. The description of the API is made of these.
use schemars::JsonSchema;
use serde::Serialize;

use crate::id::SilenceId;
use crate::paging::{Preview, Silence};

/// A silence that holds or will.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SilenceListed {
    /// Its id.
    pub id: SilenceId,
    /// What it says.
    pub silence: Silence,
}

/// What a silence would hide.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SilencePreviewed {
    /// In numbers.
    pub preview: Preview,
    /// In a sentence.
    pub says: String,
}

/// A silence was made.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SilenceMade {
    /// Its id.
    pub id: SilenceId,
}

/// Rules and paging plan were read again.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RulesReloaded {
    /// The version that holds now.
    pub version: String,
}

/// Texts of people were erased.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Erased {
    /// How many.
    pub erased: usize,
}

/// How the journal is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct JournalVerified {
    /// Nothing was changed, added, moved or removed.
    pub whole: bool,
    /// How many rows it has.
    pub rows: u64,
    /// The hash of its last row, hexadecimal.
    pub head: String,
    /// The first row that does not fit; `None`: it is whole.
    pub broken_at: Option<i64>,
}

/// To whoever tells this instance what happened elsewhere.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TellsTo {
    /// The name of its file. With another one it begins anew, and is told what still holds.
    pub file: String,
}
