//! One change of the fleet, as it is asked for and as it stands in the journal: who, when, why, and what was there before.
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::{ClinicId, DeviceId, DeviceKey, ModelId, Serial, TenantId, UnixMicros};
use toml::value::{Date, Datetime};

use crate::section::days_since_1970;
use crate::version::{from_hex, hex};

/// Most steps of one change: an import of a large chain. About 16 MiB of journal.
pub const MAX_STEPS: usize = 50_000;
/// Longest name of who changes something, in bytes.
pub const MAX_ACTOR_BYTES: usize = 200;
/// Longest reason, in bytes.
pub const MAX_WHY_BYTES: usize = 2_000;

/// A SHA-256, written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl FromStr for Digest {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        from_hex(text).map(Self)
    }
}

impl TryFrom<String> for Digest {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        hex(&digest.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// A day, written as `2026-12-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Day(Date);

impl Day {
    /// Its first instant in UTC.
    pub fn start(self) -> UnixMicros {
        UnixMicros(days_since_1970(self.0) * 86_400 * 1_000_000)
    }

    /// Year, month and day.
    pub fn parts(self) -> (u16, u8, u8) {
        (self.0.year, self.0.month, self.0.day)
    }
}

impl FromStr for Day {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let read: Option<Datetime> = text.parse().ok();
        read.filter(|at| at.time.is_none() && at.offset.is_none())
            .and_then(|at| at.date)
            .map(Self)
            .ok_or_else(|| "is no day: write it like 2026-12-01".to_owned())
    }
}

impl TryFrom<String> for Day {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.0.to_string()
    }
}

/// A device that is entered: the keys of a row in `devices.toml`, but for limits and policy of its own, which are for files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDevice {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its id within the tenant.
    pub id: DeviceId,
    /// Where it stands.
    pub clinic: ClinicId,
    /// Its model.
    pub model: ModelId,
    /// The number on the device.
    pub serial: Serial,
    /// From which day on it is expected to be heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_since: Option<Day>,
    /// SHA-256 of its secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_sha256: Option<Digest>,
    /// SHA-256 of its certificate (DER).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<Digest>,
    /// Any certificate of the fleet's CA with its name is enough.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub certificate_by_name: bool,
}

impl NewDevice {
    /// Tenant and id.
    pub fn key(&self) -> DeviceKey {
        DeviceKey {
            tenant: self.tenant.clone(),
            device: self.id.clone(),
        }
    }

    /// Whether it can prove who it is.
    pub fn has_credential(&self) -> bool {
        self.secret_sha256.is_some() || self.certificate_sha256.is_some() || self.certificate_by_name
    }
}

/// A device to be entered, and the line of the list that says so, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Line; 1 where there is no list.
    pub line: u32,
    /// The device.
    pub device: NewDevice,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Enter devices: all of them or none.
    Add {
        /// What the rows stand in, for messages, such as `fleet.csv`.
        list: String,
        /// The devices.
        rows: Vec<Row>,
    },
    /// Move a device to another clinic of its tenant.
    Move {
        /// Which one.
        device: DeviceKey,
        /// Where to.
        to: ClinicId,
    },
    /// Take a device out of use. Its history keeps its name.
    Retire {
        /// Which one.
        device: DeviceKey,
    },
    /// Put a retired device into use again.
    Restore {
        /// Which one.
        device: DeviceKey,
    },
}

/// One step of a change, with what was there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ChangeStep")]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Step {
    /// A device was entered that was not there.
    Add(NewDevice),
    /// A device was moved.
    Move {
        /// Which one.
        device: DeviceKey,
        /// Where it was.
        from: ClinicId,
        /// Where it is.
        to: ClinicId,
    },
    /// A device that was in use is not any more.
    Retire {
        /// Which one.
        device: DeviceKey,
    },
    /// A device that was retired is in use again.
    Restore {
        /// Which one.
        device: DeviceKey,
    },
}

impl Step {
    /// Which device it is about.
    pub fn device(&self) -> DeviceKey {
        match self {
            Self::Add(device) => device.key(),
            Self::Move { device, .. } | Self::Retire { device } | Self::Restore { device } => device.clone(),
        }
    }
}

/// One line of the journal. All steps hold, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Its number: from 1, without holes.
    pub n: u64,
    /// When, by the wall clock.
    pub at: UnixMicros,
    /// Who.
    pub by: String,
    /// Why: about the device, never about a client.
    pub why: String,
    /// What.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Earlier lines went into the files; this was the hash of the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folded: Option<Digest>,
}
