//! Who is in the fleet: tenants, clinics, models, devices.
use std::sync::Arc;
use std::time::Duration;

use telemetry::{ClinicId, DeviceKey, DeviceKind, ModelId, Serial, TenantId, UnixMicros};

use crate::limits::Limits;
use crate::policy::Policy;

/// A clinic chain or any other customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id: the name of its folder.
    pub id: TenantId,
    /// Its lane in the spools: declared once, unique, at least 1, never given to another tenant.
    pub number: u32,
    /// Name for people.
    pub name: String,
    /// How long what is kept.
    pub retention: Retention,
}

/// How long each kind of record is kept. Health data goes when its purpose does; what to keep for how long is the operator's
/// to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Stroke windows, pulses and device states. Default 30 days.
    pub detail: Duration,
    /// Roll-ups and session summaries. Default 400 days.
    pub rollup: Duration,
    /// Cycles, wipes, indicator tests. Default 1,100 days (Toronto Public Health asks 3 years of records, high; California 12
    /// months of spore tests, medium).
    pub hygiene: Duration,
    /// Alerts and their transitions. Default 1,100 days.
    pub alerts: Duration,
    /// Raw frames copied as evidence of alerts. Default 400 days.
    pub evidence: Duration,
    /// The frame archive, where one is kept. Default 30 days.
    pub archive: Duration,
}

/// One site of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clinic {
    /// Its id, unique within the tenant.
    pub id: ClinicId,
    /// The tenant.
    pub tenant: TenantId,
    /// Name for people.
    pub name: String,
    /// IANA time zone name, for people's clocks and rotas. Checked for its form only.
    pub time_zone: String,
}

/// A device model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its id: the name of its file.
    pub id: ModelId,
    /// What kind of device it is.
    pub kind: DeviceKind,
    /// Name for people.
    pub name: String,
    /// Maker.
    pub maker: String,
    /// What holds for a device without any override.
    pub limits: Arc<Limits>,
    /// The safety bound: no override is looser than this.
    pub bound: Arc<Limits>,
    /// Policy of a device without any override.
    pub policy: Arc<Policy>,
}

/// Whether a device is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeviceState {
    /// In use: expected to speak.
    Active,
    /// Out of use: kept so that its history has a name; may not publish.
    Retired,
}

impl DeviceState {
    /// The name in files, tags and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

/// How a device proves who it is. Nothing here is a secret: only digests stand in the files.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// SHA-256 of its secret; two while it is rotated. Secrets are generated and of high entropy, so a fast hash is enough.
    pub secret_sha256: Vec<[u8; 32]>,
    /// SHA-256 of its certificate (DER); two while it is rotated.
    pub certificate_sha256: Vec<[u8; 32]>,
    /// Any certificate of the fleet's CA with the common name `tenant/device` is enough.
    pub certificate_by_name: bool,
}

impl Credentials {
    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.secret_sha256.is_empty() && self.certificate_sha256.is_empty() && !self.certificate_by_name
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("secrets", &self.secret_sha256.len())
            .field("certificates", &self.certificate_sha256.len())
            .field("certificate_by_name", &self.certificate_by_name)
            .finish()
    }
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Tenant and id.
    pub key: DeviceKey,
    /// Where it stands; an attribute, because devices move.
    pub clinic: ClinicId,
    /// Its model.
    pub model: ModelId,
    /// The model's kind.
    pub kind: DeviceKind,
    /// Its serial number, unique within its model among active devices.
    pub serial: Serial,
    /// Whether it is in use.
    pub state: DeviceState,
    /// How it proves who it is.
    pub credentials: Credentials,
    /// From when on it is expected to be heard; `None`: no expectation until it was heard once.
    pub expected_since: Option<UnixMicros>,
}
