//! What the routes of this crate answer. The description of the API is made of these.
use gateway::quarantine::Shown;
use registry::{Device, DeviceState, Pending, Stands, Step};
use schemars::JsonSchema;
use serde::Serialize;
use telemetry::{ClinicId, DeviceId, DeviceKind, ModelId, Serial, TenantId};

/// What became of a record.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Recorded {
    /// Whether it is new.
    pub(crate) verdict: Verdict,
}

/// Whether a record is new.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RecordVerdict")]
pub(crate) enum Verdict {
    /// It is on disk.
    #[serde(rename = "stored")]
    Stored,
    /// The same request was on disk before.
    #[serde(rename = "recorded before")]
    Before,
}

/// A refused message, whole.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RefusedWhole {
    #[serde(flatten)]
    pub(crate) shown: Shown,
    /// Its payload, hexadecimal; cut where it is long.
    pub(crate) payload_hex: String,
}

/// What became of refused messages that were let in again.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Replayed {
    /// How many were stored.
    pub(crate) stored: u64,
    /// How many were stored before.
    pub(crate) duplicate: u64,
    /// Those that are refused again.
    pub(crate) refused: Vec<StillRefused>,
    /// How many could not be stored now: they wait where they were.
    pub(crate) not_kept: u64,
    /// How many were cut when they were kept, and cannot be let in.
    pub(crate) cut: u64,
    /// There are more: the same again, with `after` as below.
    pub(crate) more: bool,
    /// Where to go on; what is refused again is not asked again that way.
    pub(crate) after: Option<i64>,
}

/// A message that is refused again.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StillRefused {
    /// Its number.
    pub(crate) id: i64,
    /// Why.
    pub(crate) why: String,
}

/// A list of devices.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Devices {
    /// Version of the registry.
    pub(crate) version: String,
    /// How many devices fit, listed or not.
    pub(crate) total: usize,
    /// The devices.
    pub(crate) devices: Vec<Entered>,
}

/// A device of the registry, without what proves it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Device")]
pub(crate) struct Entered {
    /// Its tenant.
    tenant: TenantId,
    /// Its id within the tenant.
    device: DeviceId,
    /// Where it stands.
    clinic: ClinicId,
    /// Its model.
    model: ModelId,
    /// What kind of device it is.
    kind: DeviceKind,
    /// The number on it.
    serial: Serial,
    /// Whether it is in use.
    state: DeviceState,
    /// From when on it is expected to be heard, in microseconds since 1970-01-01 UTC; `None`: nobody expects it.
    expected_since_us: Option<i64>,
    /// How many secrets prove it.
    secrets: usize,
    /// How many certificates prove it.
    certificates: usize,
    /// Any certificate of the fleet's CA with its name proves it.
    certificate_by_name: bool,
    /// It has a connection now; `None`: this process has no gateway.
    connected: Option<bool>,
}

impl Entered {
    pub(crate) fn new(device: &Device, connected: Option<bool>) -> Self {
        let credentials = &device.credentials;
        Self {
            tenant: device.key.tenant.clone(),
            device: device.key.device.clone(),
            clinic: device.clinic.clone(),
            model: device.model.clone(),
            kind: device.kind,
            serial: device.serial.clone(),
            state: device.state,
            expected_since_us: device.expected_since.map(|at| at.0),
            secrets: credentials.secret_sha256.len(),
            certificates: credentials.certificate_sha256.len(),
            certificate_by_name: credentials.certificate_by_name,
            connected,
        }
    }
}

/// A device of the registry with what was changed by command.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DeviceWhole {
    #[serde(flatten)]
    pub(crate) device: Entered,
    /// The changes about it, oldest first.
    pub(crate) changes: Vec<ChangeShown>,
}

/// A change by command.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Change")]
pub(crate) struct ChangeShown {
    /// Its number in the registry's journal.
    pub(crate) n: u64,
    /// When, in microseconds since 1970-01-01 UTC.
    pub(crate) at_us: i64,
    /// Who.
    pub(crate) actor: String,
    /// Why.
    pub(crate) why: String,
    /// What.
    pub(crate) steps: Vec<Step>,
}

/// A change that holds now.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Changed {
    /// Its number in the registry's journal.
    pub(crate) change: u64,
    /// Version of the registry now.
    pub(crate) version: String,
    /// How many devices it changed.
    pub(crate) count: usize,
    /// The first hundred of them.
    pub(crate) devices: Vec<ChangedDevice>,
    /// Connections that were ended by it.
    pub(crate) connections_ended: usize,
}

/// A device that was changed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ChangedDevice {
    /// `tenant/device`.
    device: String,
    /// Where it stood; `None`: it was not there.
    before: Option<Stood>,
    /// Where it stands; `None`: it is not there any more.
    after: Option<Stood>,
}

/// Where a device stands, and whether it is in use.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeviceStands")]
pub(crate) struct Stood {
    /// Its clinic.
    clinic: ClinicId,
    /// Whether it is in use.
    state: DeviceState,
}

impl From<&registry::Changed> for ChangedDevice {
    fn from(changed: &registry::Changed) -> Self {
        let stood = |stands: &Option<Stands>| {
            stands.as_ref().map(|stands| Stood {
                clinic: stands.clinic.clone(),
                state: stands.state,
            })
        };
        Self {
            device: changed.device.to_string(),
            before: stood(&changed.before),
            after: stood(&changed.after),
        }
    }
}

/// How the registry stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RegistryShown {
    /// Its version.
    pub(crate) version: String,
    /// Lines of its journal.
    pub(crate) journal_lines: usize,
    /// Hash of the last one; `None`: it is empty.
    pub(crate) journal_head: Option<String>,
    /// What was changed by command.
    pub(crate) by_command: Vec<ByCommand>,
}

/// A device that was changed by command, and what a person has to write into the files.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ByCommand {
    /// `tenant/device`.
    device: String,
    /// Where, as `file:line` or the file.
    place: String,
    /// What.
    write: String,
    /// The files say so already.
    in_files: bool,
}

impl From<&Pending> for ByCommand {
    fn from(pending: &Pending) -> Self {
        let tenant = &pending.device.tenant;
        let (place, write) = match (&pending.row, pending.row_text()) {
            (Some(row), _) => {
                let state = match pending.state {
                    DeviceState::Active => "",
                    DeviceState::Retired => ", state = \"retired\"",
                };
                (row.clone(), format!("clinic = \"{}\"{state}", pending.clinic))
            }
            (None, row) => {
                let row = row.unwrap_or_default();
                (format!("tenants/{tenant}/devices.toml"), row.trim().to_owned())
            }
        };
        Self {
            device: pending.device.to_string(),
            place,
            write,
            in_files: pending.in_files,
        }
    }
}

/// The registry's files were read again.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RegistryReloaded {
    /// Version of the registry now.
    pub(crate) version: String,
    /// Connections that were ended by it.
    pub(crate) connections_ended: usize,
}

/// The registry's journal was emptied of what the files say too.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Folded {
    /// Devices that it was emptied of, as `tenant/device`.
    pub(crate) folded: Vec<String>,
    /// What the files do not say yet.
    pub(crate) left: Vec<ByCommand>,
}

/// A refusal: nothing was done.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(crate) struct Refusal {
    /// What happened and what to do.
    pub(crate) error: String,
    /// Each fault, where there may be several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) faults: Vec<String>,
}
