//! Whether what the files say fits together: references, duplicates, and the resolved limits of every device.
use std::collections::{BTreeMap, HashMap};

use telemetry::{ClinicId, DeviceId, DeviceKey, ModelId, TenantId};

use crate::error::LoadReason;
use crate::fleet::{Clinic, Device, DeviceState, Tenant};
use crate::raw::{Override, RawDevice, RawModel, RawTenant, parts};
use crate::registry::{Entry, Registry};
use crate::resolve::{Levels, Resolver, model_of};
use crate::source::{Place, Problems};
use crate::version::RegistryVersion;

/// What all files say.
#[derive(Default)]
pub(crate) struct Raw {
    /// `None`: the file is there but says too little; that has been reported.
    pub(crate) models: BTreeMap<ModelId, Option<RawModel>>,
    pub(crate) tenants: BTreeMap<TenantId, RawTenant>,
    pub(crate) devices: Vec<RawDevice>,
    /// The first file with devices of a tenant.
    pub(crate) device_files: BTreeMap<TenantId, String>,
}

/// Reports what does not fit; the result is only good if nothing was reported.
pub(crate) fn build(raw: Raw, version: RegistryVersion, problems: &mut Problems<'_>) -> Registry {
    let mut registry = Registry {
        version,
        models: BTreeMap::new(),
        tenants: BTreeMap::new(),
        clinics: BTreeMap::new(),
        entries: Vec::new(),
        by_key: foldhash::HashMap::default(),
        by_certificate: HashMap::new(),
    };
    for (tenant, file) in &raw.device_files {
        if !raw.tenants.contains_key(tenant) {
            problems.add_file(
                LoadReason::Dangling,
                file,
                format!("has devices of tenant {tenant}, which has no tenant.toml"),
                "write one beside it",
            );
        }
    }
    let mut resolver = Resolver::default();
    for (id, model) in &raw.models {
        if let Some(model) = model {
            registry
                .models
                .insert(id.clone(), model_of(id, model, &mut resolver, problems));
        }
    }
    add_tenants(&raw, &mut registry, problems);
    add_devices(&raw, &mut registry, &mut resolver, problems);
    index(&mut registry);
    registry
}

fn add_tenants(raw: &Raw, registry: &mut Registry, problems: &mut Problems<'_>) {
    let mut numbers: HashMap<u32, Place> = HashMap::new();
    for (id, tenant) in &raw.tenants {
        if let Some(number) = tenant.number {
            unique(
                &mut numbers,
                number.value,
                number.place,
                "number",
                "is the number of another tenant",
                problems,
            );
        }
        check_overrides(&tenant.overrides, raw, problems);
        let mut ids: HashMap<&ClinicId, Place> = HashMap::new();
        for clinic in &tenant.clinics {
            let at = clinic.id.place;
            unique(&mut ids, &clinic.id.value, at, "clinic.id", "is there twice", problems);
            check_overrides(&clinic.overrides, raw, problems);
            registry.clinics.insert(
                (id.clone(), clinic.id.value.clone()),
                Clinic {
                    id: clinic.id.value.clone(),
                    tenant: id.clone(),
                    name: clinic.name.clone(),
                    time_zone: clinic.time_zone.clone(),
                },
            );
        }
        registry.tenants.insert(
            id.clone(),
            Tenant {
                id: id.clone(),
                number: tenant.number.map_or(0, |n| n.value),
                name: tenant.name.clone(),
                retention: tenant.retention,
            },
        );
    }
}

/// Overrides name models that exist, fit what they name, and no two of one level are for the same.
fn check_overrides(overrides: &[Override], raw: &Raw, problems: &mut Problems<'_>) {
    let mut targets = HashMap::new();
    for one in overrides {
        let target = (one.model.as_ref().map(|m| &m.value), one.kind);
        unique(
            &mut targets,
            target,
            one.place,
            "override",
            "is for the same devices as another",
            problems,
        );
        let kind = match &one.model {
            None => one.kind,
            Some(model) => match raw.models.get(&model.value) {
                Some(found) => found.as_ref().map(|f| f.kind),
                None => {
                    dangling_model(&model.value, model.place, "override.model", raw, problems);
                    None
                }
            },
        };
        if let Some(kind) = kind {
            let (needle, light) = parts(kind);
            for patch in one.limits.iter().chain(&one.policy) {
                patch.check_fits(needle, light, kind.as_str(), problems);
            }
        }
    }
}

fn dangling_model(id: &ModelId, place: Place, key: &str, raw: &Raw, problems: &mut Problems<'_>) {
    let known: Vec<&str> = raw.models.keys().map(ModelId::as_str).collect();
    problems.add(
        LoadReason::Dangling,
        place,
        key,
        format!("there is no models/{id}.toml"),
        format!("models are: {}", shortened(&known)),
    );
}

/// A list for an error's text: the first ones, and how many more.
fn shortened(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let shown = names.get(..SHOWN).unwrap_or(names).join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 if shown.is_empty() => "none".to_owned(),
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn unique<K: std::hash::Hash + Eq>(
    seen: &mut HashMap<K, Place>,
    key: K,
    place: Place,
    name: &str,
    wrong: &str,
    problems: &mut Problems<'_>,
) {
    if let Some(first) = seen.get(&key) {
        let first = problems.show(*first);
        problems.add(
            LoadReason::Duplicate,
            place,
            name,
            wrong,
            format!("the other one stands at {first}"),
        );
    } else {
        seen.insert(key, place);
    }
}

/// What must be there once only.
#[derive(Default)]
struct Once<'r> {
    ids: HashMap<(&'r TenantId, &'r DeviceId), Place>,
    serials: HashMap<(&'r ModelId, &'r str), Place>,
    secrets: HashMap<&'r [u8; 32], Place>,
    certificates: HashMap<&'r [u8; 32], Place>,
}

impl<'r> Once<'r> {
    fn check(&mut self, device: &'r RawDevice, problems: &mut Problems<'_>) {
        let place = device.id.place;
        let id = (&device.tenant, &device.id.value);
        unique(&mut self.ids, id, place, "device.id", "is there twice", problems);
        if device.state == DeviceState::Active {
            let serial = (&device.model.value, device.serial.value.as_str());
            let wrong = "is the serial of another active device of this model";
            unique(
                &mut self.serials,
                serial,
                device.serial.place,
                "device.serial",
                wrong,
                problems,
            );
        }
        for secret in &device.credentials.secret_sha256 {
            let wrong = "is the secret of another device: every device needs its own";
            unique(
                &mut self.secrets,
                secret,
                place,
                "device.secret_sha256",
                wrong,
                problems,
            );
        }
        for certificate in &device.credentials.certificate_sha256 {
            let wrong = "is the certificate of another device: every device needs its own";
            unique(
                &mut self.certificates,
                certificate,
                place,
                "device.certificate_sha256",
                wrong,
                problems,
            );
        }
    }
}

fn add_devices(raw: &Raw, registry: &mut Registry, resolver: &mut Resolver, problems: &mut Problems<'_>) {
    let mut once = Once::default();
    let mut clinics: HashMap<(&TenantId, &ClinicId), (usize, Levels<'_>)> = HashMap::new();
    for (id, tenant) in &raw.tenants {
        for clinic in &tenant.clinics {
            let levels = Levels {
                tenant: &tenant.overrides,
                clinic: &clinic.overrides,
            };
            let number = clinics.len();
            clinics.insert((id, &clinic.id.value), (number, levels));
        }
    }
    registry.entries.reserve(raw.devices.len());
    for device in &raw.devices {
        once.check(device, problems);
        let Some((clinic, levels)) = clinics.get(&(&device.tenant, &device.clinic.value)) else {
            dangling_clinic(device, raw, problems);
            continue;
        };
        let model = match raw.models.get(&device.model.value) {
            Some(Some(model)) => model,
            Some(None) => continue,
            None => {
                dangling_model(&device.model.value, device.model.place, "device.model", raw, problems);
                continue;
            }
        };
        let (limits, policy) = resolver.device(*clinic, levels, device, model, problems);
        registry.entries.push(Entry {
            device: device_of(device, model),
            limits,
            policy,
        });
    }
}

fn dangling_clinic(device: &RawDevice, raw: &Raw, problems: &mut Problems<'_>) {
    let known: Vec<&str> = raw
        .tenants
        .get(&device.tenant)
        .map(|t| t.clinics.iter().map(|c| c.id.value.as_str()).collect())
        .unwrap_or_default();
    problems.add(
        LoadReason::Dangling,
        device.clinic.place,
        "device.clinic",
        format!("tenant {} has no clinic {}", device.tenant, device.clinic.value),
        format!("its clinics are: {}", shortened(&known)),
    );
}

fn device_of(raw: &RawDevice, model: &RawModel) -> Device {
    Device {
        key: DeviceKey {
            tenant: raw.tenant.clone(),
            device: raw.id.value.clone(),
        },
        clinic: raw.clinic.value.clone(),
        model: raw.model.value.clone(),
        kind: model.kind,
        serial: raw.serial.value.clone(),
        state: raw.state,
        credentials: raw.credentials.clone(),
        expected_since: raw.expected_since,
    }
}

fn index(registry: &mut Registry) {
    registry
        .entries
        .sort_by(|a, b| place_of(&a.device).cmp(&place_of(&b.device)));
    for (at, entry) in registry.entries.iter().enumerate() {
        registry.by_key.insert(entry.device.key.clone(), at as u32);
        for certificate in &entry.device.credentials.certificate_sha256 {
            registry.by_certificate.insert(*certificate, at as u32);
        }
    }
}

fn place_of(device: &Device) -> (&TenantId, &ClinicId, &DeviceId) {
    (&device.key.tenant, &device.clinic, &device.key.device)
}
