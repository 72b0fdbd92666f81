//! A fleet as a plan: who exists, and what each device is like. The same seed and spec give the same fleet, byte for byte.
use std::sync::Arc;

use telemetry::{ClinicId, DeviceId, DeviceKind, IdError, ModelId, Serial, TenantId, UnixMicros, WallTimeSource};

use crate::device::Who;
use crate::fault::{Fault, FaultSpec, SelectionError, resolve};
use crate::noise::draw_offset_um;
use crate::rng::Rng;
use crate::spec::FleetSpec;

/// When simulated time 0 is, unless told otherwise: 2026-06-01 08:00 UTC.
pub const DEFAULT_START: UnixMicros = UnixMicros(1_780_300_800_000_000);

/// Names of the first tenants; further ones are numbered.
const TENANTS: [&str; 4] = ["aurora", "belvoir", "corona", "dahlia"];
/// Names of a tenant's first clinics; further ones are numbered.
const CLINICS: [&str; 4] = ["north", "south", "east", "west"];

/// A pen whose rate the operator sets (100 to 150 Hz, as one cleared pen has it) and which sends the interval of each
/// stroke.
pub const PEN_ADJUSTABLE: &str = "quill-2";
/// A pen with one fixed speed (7,000 rpm = 117 Hz, as another has it) whose strokes are evenly spaced.
pub const PEN_FIXED: &str = "stylo-117";
/// The IPL unit: a spot of 10 x 48 mm.
pub const IPL_MODEL: &str = "lumen-480";
/// The autoclave: class B, 134 °C.
pub const AUTOCLAVE_MODEL: &str = "steri-b18";
/// The disinfection station.
pub const STATION_MODEL: &str = "wipe-1";

/// One device that does not exist.
#[derive(Debug, Clone)]
pub struct Device {
    /// Who it is and where it stands.
    pub who: Who,
    /// Its kind.
    pub kind: DeviceKind,
    /// Its model.
    pub model: ModelId,
    /// Its serial number.
    pub serial: Serial,
    /// Firmware version.
    pub firmware: &'static str,
    /// What it logs in with: 32 hexadecimal digits. Derived from the seed: for fleets that do not exist only.
    pub secret: String,
    /// Factory calibration in micrometres: measured minus set depth. 0 but for pens.
    pub offset_um: i32,
    /// Whether its birth tells its factory offset.
    pub tells_offset: bool,
    /// Declared standard deviation of one reading in micrometres. 0 but for pens.
    pub sigma_um: u32,
    /// Where its wall time comes from; `None`: it has no clock.
    pub clock: Option<WallTimeSource>,
    /// Stroke rates that the operator may set, in Hz.
    pub(crate) rate_hz: (u64, u64),
    /// Whether strokes are evenly spaced.
    pub(crate) evenly: bool,
    pub(crate) faults: Vec<Fault>,
}

impl Device {
    /// Whether nothing goes wrong with it.
    pub fn is_healthy(&self) -> bool {
        self.faults.is_empty()
    }
}

/// A fleet, and what goes wrong in it.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// The seed.
    pub seed: u64,
    /// Size and day plan.
    pub spec: FleetSpec,
    /// Wall time of simulated time 0.
    pub start: UnixMicros,
    devices: Vec<Arc<Device>>,
}

impl Fleet {
    /// Makes the healthy fleet of a seed and a spec.
    ///
    /// # Errors
    /// [`IdError`] cannot happen with the names built in; it stands here because ids are checked.
    pub fn generate(seed: u64, spec: &FleetSpec) -> Result<Self, IdError> {
        let mut devices = Vec::new();
        for (t, &clinics) in spec.clinics.iter().enumerate() {
            let tenant = name(&TENANTS, t, "tenant");
            let mut roster = Roster {
                seed,
                spec,
                tenant: TenantId::new(&tenant)?,
                counts: [0; 4],
            };
            for c in 0..clinics as usize {
                let clinic = format!("{tenant}-{}", name(&CLINICS, c, "site"));
                roster.clinic(&ClinicId::new(&clinic)?, &mut devices)?;
            }
        }
        Ok(Self {
            seed,
            spec: spec.clone(),
            start: DEFAULT_START,
            devices: devices.into_iter().map(Arc::new).collect(),
        })
    }

    /// The same fleet, starting at another wall time.
    #[must_use]
    pub fn starting_at(mut self, start: UnixMicros) -> Self {
        self.start = start;
        self
    }

    /// The same fleet with faults, beside those that it has.
    ///
    /// # Errors
    /// [`SelectionError`] for a fault that befalls nobody.
    pub fn with_faults(mut self, specs: &[FaultSpec]) -> Result<Self, SelectionError> {
        let mut devices: Vec<Device> = self.devices.iter().map(|device| Device::clone(device)).collect();
        resolve(&mut devices, specs)?;
        self.devices = devices.into_iter().map(Arc::new).collect();
        Ok(self)
    }

    /// The devices, clinic by clinic.
    pub fn devices(&self) -> &[Arc<Device>] {
        &self.devices
    }

    /// The devices of a clinic that clients are treated with.
    pub(crate) fn treating(&self, clinic: &ClinicId) -> impl Iterator<Item = &Arc<Device>> {
        self.devices
            .iter()
            .filter(move |d| d.who.clinic == *clinic && crate::registry_files::treats(d.kind))
    }
}

fn name(names: &[&str], at: usize, numbered: &str) -> String {
    names
        .get(at)
        .map_or_else(|| format!("{numbered}-{:02}", at + 1), |&name| name.to_owned())
}

/// Numbers a tenant's devices.
struct Roster<'a> {
    seed: u64,
    spec: &'a FleetSpec,
    tenant: TenantId,
    counts: [u32; 4],
}

impl Roster<'_> {
    fn clinic(&mut self, clinic: &ClinicId, devices: &mut Vec<Device>) -> Result<(), IdError> {
        for _ in 0..self.spec.pens_per_clinic {
            devices.push(self.device(clinic, DeviceKind::Pen)?);
        }
        for _ in 0..self.spec.ipl_per_clinic {
            devices.push(self.device(clinic, DeviceKind::Ipl)?);
        }
        devices.push(self.device(clinic, DeviceKind::Autoclave)?);
        devices.push(self.device(clinic, DeviceKind::DisinfectionStation)?);
        Ok(())
    }

    /// From a stream of its own, so that a fleet in which all do is the same as ever.
    fn tells_offset(&self, id: &str) -> bool {
        let told = self.spec.noise.offset_told;
        told >= 1.0 || Rng::stream(self.seed, &["offset-told", self.tenant.as_str(), id]).chance(told)
    }

    fn device(&mut self, clinic: &ClinicId, kind: DeviceKind) -> Result<Device, IdError> {
        let (slot, prefix, digits) = match kind {
            DeviceKind::Pen => (0, "pen", 4),
            DeviceKind::Ipl => (1, "ipl", 3),
            DeviceKind::Autoclave => (2, "autoclave", 2),
            DeviceKind::DisinfectionStation => (3, "station", 2),
        };
        let number = match self.counts.get_mut(slot) {
            Some(count) => {
                *count += 1;
                *count
            }
            None => 0,
        };
        let id = DeviceId::new(&format!("{prefix}-{number:0digits$}"))?;
        let mut rng = Rng::stream(self.seed, &["fleet", self.tenant.as_str(), id.as_str()]);
        let evenly = kind == DeviceKind::Pen && number % 2 == 0;
        let model = model(kind, evenly);
        let pen = kind == DeviceKind::Pen;
        Ok(Device {
            serial: Serial::new(&format!("{}-{:08X}", model.to_uppercase(), rng.bits() as u32))?,
            secret: rng.id().iter().map(|byte| format!("{byte:02x}")).collect(),
            offset_um: if pen {
                draw_offset_um(self.spec.noise.offset_sigma_um, &mut rng)
            } else {
                0
            },
            tells_offset: self.tells_offset(id.as_str()),
            // 30 and 40 µm: assumptions, see `noise`.
            sigma_um: [0, 30, 40][usize::from(pen) + usize::from(evenly)],
            clock: clock(kind, self.spec.without_clock, &mut rng),
            rate_hz: if evenly { (117, 117) } else { (100, 150) },
            firmware: if evenly { "1.9.2" } else { "3.4.0" },
            who: Who {
                tenant: self.tenant.clone(),
                clinic: clinic.clone(),
                id,
            },
            model: ModelId::new(model)?,
            kind,
            evenly,
            faults: Vec::new(),
        })
    }
}

fn model(kind: DeviceKind, evenly: bool) -> &'static str {
    match kind {
        DeviceKind::Pen if evenly => PEN_FIXED,
        DeviceKind::Pen => PEN_ADJUSTABLE,
        DeviceKind::Ipl => IPL_MODEL,
        DeviceKind::Autoclave => AUTOCLAVE_MODEL,
        DeviceKind::DisinfectionStation => STATION_MODEL,
    }
}

/// Stations and units on the mains have network time; pens a chip's clock, their tablet's, or none.
fn clock(kind: DeviceKind, without: f64, rng: &mut Rng) -> Option<WallTimeSource> {
    if kind != DeviceKind::Pen {
        return Some(WallTimeSource::Ntp);
    }
    let bare = rng.chance(without);
    let host = rng.chance(0.5);
    match (bare, host) {
        (true, _) => None,
        (false, true) => Some(WallTimeSource::Host),
        (false, false) => Some(WallTimeSource::Rtc),
    }
}
