//! A registry written by a program: the demo, the simulator and tests say who is in their fleet and get the files.
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use telemetry::{ClinicId, DeviceKey, ModelId, Serial, TenantId};

use crate::change::NewDevice;
use crate::fleet::DeviceState;
use crate::version::hex;

macro_rules! shipped {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../deploy/registry/", $name)))),+]
    };
}

/// The models of the example registry: file name and text. Two pens, an IPL unit, an autoclave and a disinfection station.
pub const MODELS: &[(&str, &str)] = shipped!(
    "models/np-25.toml",
    "models/np-15.toml",
    "models/lumen-6.toml",
    "models/steam-b.toml",
    "models/wipe-1.toml",
);

const FLEET: &[(&str, &str)] = shipped!(
    "registry.toml",
    "tenants/aurora/tenant.toml",
    "tenants/aurora/devices.toml",
    "tenants/belle/tenant.toml",
    "tenants/belle/devices.toml",
);

/// The example registry of `deploy/registry`, as sources for [`crate::Registry::from_sources`].
pub fn example() -> Vec<(String, String)> {
    MODELS
        .iter()
        .chain(FLEET)
        .map(|&(name, text)| (name.to_owned(), text.to_owned()))
        .collect()
}

/// A fleet to be written as a registry.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    /// The registry's version number, at least 1.
    pub version: u64,
    /// Model files as `(name, text)`, such as [`MODELS`].
    pub models: Vec<(String, String)>,
    /// Tenants with their clinics.
    pub tenants: Vec<TenantText>,
    /// Devices of all tenants.
    pub devices: Vec<DeviceText>,
}

/// A tenant to be written.
#[derive(Debug, Clone)]
pub struct TenantText {
    /// Its id.
    pub id: TenantId,
    /// Its number, unique, 1 to 999,999.
    pub number: u32,
    /// Name for people.
    pub name: String,
    /// Its clinics.
    pub clinics: Vec<ClinicText>,
    /// More TOML, such as `[[override]]` or `[retention]`; stands before the clinics.
    pub more: String,
}

/// A clinic to be written.
#[derive(Debug, Clone)]
pub struct ClinicText {
    /// Its id.
    pub id: ClinicId,
    /// Name for people.
    pub name: String,
    /// IANA time zone name.
    pub time_zone: String,
    /// More TOML, such as `[[clinic.override]]`.
    pub more: String,
}

/// A device to be written.
#[derive(Debug, Clone)]
pub struct DeviceText {
    /// Tenant and id.
    pub key: DeviceKey,
    /// Its clinic.
    pub clinic: ClinicId,
    /// Its model.
    pub model: ModelId,
    /// Its serial.
    pub serial: Serial,
    /// SHA-256 of its secret (see [`crate::sha256`]).
    pub secret_sha256: Option<[u8; 32]>,
    /// Whether a certificate of the fleet's CA with its name is enough.
    pub certificate_by_name: bool,
    /// First day on which it is expected, as year, month, day.
    pub expected_since: Option<(u16, u8, u8)>,
}

impl Fleet {
    /// A fleet with the shipped models.
    pub fn with_shipped_models(version: u64) -> Self {
        Self {
            version,
            models: MODELS.iter().map(|&(n, t)| (n.to_owned(), t.to_owned())).collect(),
            ..Self::default()
        }
    }

    /// The files: name and text.
    pub fn sources(&self) -> Vec<(String, String)> {
        let mut sources = self.models.clone();
        sources.push(("registry.toml".to_owned(), format!("version = {}\n", self.version)));
        for tenant in &self.tenants {
            let folder = format!("tenants/{}", tenant.id);
            sources.push((format!("{folder}/tenant.toml"), tenant_text(tenant)));
            let mut rows = String::from("device = [\n");
            for device in self.devices.iter().filter(|d| d.key.tenant == tenant.id) {
                device_row(&mut rows, device);
            }
            rows.push_str("]\n");
            sources.push((format!("{folder}/devices.toml"), rows));
        }
        sources
    }

    /// Writes the files below `folder`, creating what is missing.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        for (name, text) in self.sources() {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, text)?;
        }
        Ok(())
    }
}

fn tenant_text(tenant: &TenantText) -> String {
    let mut text = format!("number = {}\nname = {}\n", tenant.number, quoted(&tenant.name));
    text.push_str(&tenant.more);
    for clinic in &tenant.clinics {
        let _ = write!(
            text,
            "\n[[clinic]]\nid = \"{}\"\nname = {}\ntime_zone = {}\n{}",
            clinic.id,
            quoted(&clinic.name),
            quoted(&clinic.time_zone),
            clinic.more
        );
    }
    text
}

fn device_row(rows: &mut String, device: &DeviceText) {
    let _ = write!(
        rows,
        "  {{ id = \"{}\", clinic = \"{}\", model = \"{}\", serial = \"{}\"",
        device.key.device, device.clinic, device.model, device.serial
    );
    if let Some((year, month, day)) = device.expected_since {
        let _ = write!(rows, ", expected_since = {year:04}-{month:02}-{day:02}");
    }
    if let Some(digest) = &device.secret_sha256 {
        let _ = write!(rows, ", secret_sha256 = \"{}\"", hex(digest));
    }
    if device.certificate_by_name {
        rows.push_str(", certificate = \"by-name\"");
    }
    rows.push_str(" },\n");
}

/// The row of a device that was entered by command and stands at `clinic` now.
pub(crate) fn row(device: &NewDevice, clinic: &ClinicId, state: DeviceState) -> String {
    let mut row = format!(
        "  {{ id = \"{}\", clinic = \"{clinic}\", model = \"{}\", serial = \"{}\"",
        device.id, device.model, device.serial
    );
    if state == DeviceState::Retired {
        row.push_str(", state = \"retired\"");
    }
    if let Some((year, month, day)) = device.expected_since.map(|day| day.parts()) {
        let _ = write!(row, ", expected_since = {year:04}-{month:02}-{day:02}");
    }
    if let Some(digest) = &device.secret_sha256 {
        let _ = write!(row, ", secret_sha256 = \"{digest}\"");
    }
    if let Some(digest) = &device.certificate_sha256 {
        let _ = write!(row, ", certificate_sha256 = \"{digest}\"");
    }
    if device.certificate_by_name {
        row.push_str(", certificate = \"by-name\"");
    }
    row.push_str(" },\n");
    row
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
