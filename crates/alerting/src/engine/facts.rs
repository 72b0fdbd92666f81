//! Facts about items, cartridges and sterilizers: put away on disk, looked up when a visit begins, and kept in memory only
//! until their transaction is committed. So a tenant's cartridges need no memory, however many there were.
use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// A reusable item.
    Item,
    /// A cartridge.
    Cartridge,
    /// A sterilizer.
    Sterilizer,
    /// Which device has a serial.
    Serial,
    /// The indicator of a load.
    Load,
}

impl Table {
    /// The name on disk.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Cartridge => "cartridge",
            Self::Sterilizer => "sterilizer",
            Self::Serial => "serial",
            Self::Load => "load",
        }
    }
}

/// Which fact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FactKey {
    /// About what.
    pub table: Table,
    /// Whose.
    pub tenant: String,
    /// Which one.
    pub key: String,
}

/// What was put away could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the {table} {key:?} that was put away")]
pub struct ColdError {
    /// About what.
    pub table: &'static str,
    /// Which one.
    pub key: String,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// What the engine has put away in earlier transactions.
pub trait Cold {
    /// A fact as JSON; `None`: none.
    ///
    /// # Errors
    /// [`ColdError`]: the disk.
    fn fact(&self, key: &FactKey) -> Result<Option<String>, ColdError>;
}

/// Facts that changed and are not committed yet, in front of those that are.
#[derive(Debug, Default)]
pub(super) struct Book {
    changed: BTreeMap<FactKey, String>,
}

impl Book {
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        table: Table,
        tenant: &str,
        key: &str,
        cold: &dyn Cold,
    ) -> Result<Option<T>, ColdError> {
        let fact = FactKey {
            table,
            tenant: tenant.to_owned(),
            key: key.to_owned(),
        };
        let json = match self.changed.get(&fact) {
            Some(json) => Some(json.clone()),
            None => cold.fact(&fact)?,
        };
        json.map(|json| {
            serde_json::from_str(&json).map_err(|source| ColdError {
                table: table.as_str(),
                key: fact.key.clone(),
                source: source.into(),
            })
        })
        .transpose()
    }

    pub(super) fn put<T: Serialize>(
        &mut self,
        table: Table,
        tenant: &str,
        key: &str,
        value: &T,
    ) -> Result<(), ColdError> {
        let json = serde_json::to_string(value).map_err(|source| ColdError {
            table: table.as_str(),
            key: key.to_owned(),
            source: source.into(),
        })?;
        let fact = FactKey {
            table,
            tenant: tenant.to_owned(),
            key: key.to_owned(),
        };
        self.changed.insert(fact, json);
        Ok(())
    }

    /// What changed since the last call. The caller commits it before the next lookup.
    pub(super) fn take_changes(&mut self) -> BTreeMap<FactKey, String> {
        std::mem::take(&mut self.changed)
    }
}
