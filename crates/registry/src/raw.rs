//! What the files say, each value checked by itself; whether they fit together is `build`'s.
use std::time::Duration;

use telemetry::{ClinicId, DeviceId, DeviceKind, ModelId, Serial, TenantId, UnixMicros};

use crate::error::LoadReason;
use crate::field::{Field, LIMITS, Of, SETTINGS, SKIN_FLUENCE, ZONE_DEPTH};
use crate::fleet::{Credentials, DeviceState, Retention};
use crate::patch::{Patch, Set, Space, skin_slot, zone_slot};
use crate::section::Section;
use crate::source::{At, Place, Problems};
use crate::version::from_hex;

/// A model file.
pub(crate) struct RawModel {
    pub(crate) kind: DeviceKind,
    pub(crate) name: String,
    pub(crate) maker: String,
    pub(crate) limits: Patch,
    pub(crate) limits_bound: Patch,
    pub(crate) policy: Patch,
    pub(crate) policy_bound: Patch,
}

/// A tenant file.
pub(crate) struct RawTenant {
    pub(crate) number: Option<At<u32>>,
    pub(crate) name: String,
    pub(crate) retention: Retention,
    pub(crate) overrides: Vec<Override>,
    pub(crate) clinics: Vec<RawClinic>,
}

pub(crate) struct RawClinic {
    pub(crate) id: At<ClinicId>,
    pub(crate) name: String,
    pub(crate) time_zone: String,
    pub(crate) overrides: Vec<Override>,
}

/// An override of a tenant or a clinic, for all devices, for a kind or for a model.
pub(crate) struct Override {
    pub(crate) place: Place,
    pub(crate) model: Option<At<ModelId>>,
    pub(crate) kind: Option<DeviceKind>,
    pub(crate) limits: Option<Patch>,
    pub(crate) policy: Option<Patch>,
}

pub(crate) struct RawDevice {
    pub(crate) tenant: TenantId,
    pub(crate) id: At<DeviceId>,
    pub(crate) clinic: At<ClinicId>,
    pub(crate) model: At<ModelId>,
    pub(crate) serial: At<Serial>,
    pub(crate) state: DeviceState,
    pub(crate) credentials: Credentials,
    pub(crate) expected_since: Option<UnixMicros>,
    pub(crate) limits: Option<Patch>,
    pub(crate) policy: Option<Patch>,
}

pub(crate) fn read_version(root: &Section<'_>, problems: &mut Problems<'_>) -> u64 {
    let number = root.int("version", &(1..=i64::MAX), "", problems);
    root.need("version", number, "a number that you raise with every change", problems)
        .map_or(0, |n| n.value as u64)
}

const MODEL_KEYS: &[&str] = &["kind", "name", "maker", "limits", "policy", "bound"];

pub(crate) fn read_model(table: &toml::de::DeTable<'_>, place: Place, problems: &mut Problems<'_>) -> Option<RawModel> {
    let root = Section::new(table, "", place, MODEL_KEYS, problems);
    let kind = root.parsed("kind", str::parse::<DeviceKind>, problems);
    let kind = root.need("kind", kind, "pen, ipl, autoclave or disinfection-station", problems);
    let name = read_name(&root, "name", problems);
    let maker = read_name(&root, "maker", problems);
    let own_limits = Patch::read(&root, Space::Limits, problems).unwrap_or_else(|| Patch::empty(Space::Limits));
    let own_policy = Patch::read(&root, Space::Policy, problems);
    let bound = root.table("bound", "bound", &["limits", "policy"], problems);
    let read_bound = |space, problems: &mut Problems<'_>| bound.and_then(|b| Patch::read(&b, space, problems));
    let (bound_limits, bound_policy) = (read_bound(Space::Limits, problems), read_bound(Space::Policy, problems));
    let kind = kind?.value;

    let limits = complete_limits(own_limits, kind, place, problems);
    let mut policy = default_policy(place);
    if let Some(own) = own_policy {
        policy.override_with(&own, 0);
    }
    Some(RawModel {
        kind,
        name,
        maker,
        limits_bound: bounded(&limits, bound_limits, problems),
        limits,
        policy_bound: bounded(&policy, bound_policy, problems),
        policy,
    })
}

/// Whether a kind of device has (needles, a lamp).
pub(crate) const fn parts(kind: DeviceKind) -> (bool, bool) {
    (matches!(kind, DeviceKind::Pen), matches!(kind, DeviceKind::Ipl))
}

/// Checks that a model says all that its kind needs, and gives zones that it does not list the strictest limit that it lists.
fn complete_limits(mut limits: Patch, kind: DeviceKind, place: Place, problems: &mut Problems<'_>) -> Patch {
    let (needle, light) = parts(kind);
    limits.check_fits(needle, light, kind.as_str(), problems);
    let needed = |of: Of| (of == Of::Needle && needle) || (of == Of::Light && light);
    let mut missing = |key: String, field: &Field| {
        problems.add(
            LoadReason::Missing,
            place,
            format!("limits.{key}"),
            format!("is missing, and a model of kind {kind} needs it"),
            format!("give it in {}", field.unit),
        );
    };
    for (slot, field) in LIMITS.iter().enumerate() {
        if field.required && needed(field.of) && limits.lacks(slot) {
            missing(field.key.to_owned(), field);
        }
    }
    if light {
        for &skin in telemetry::SkinType::ALL {
            if limits.lacks(skin_slot(skin)) {
                missing(format!("{}.{skin}", SKIN_FLUENCE.key), &SKIN_FLUENCE);
            }
        }
    }
    if needle {
        let slots = || telemetry::Zone::ALL.iter().map(|&z| zone_slot(z));
        match slots().filter_map(|s| limits.set(s)).min_by_key(|s| s.value) {
            None if slots().all(|s| limits.lacks(s)) => missing(ZONE_DEPTH.key.to_owned(), &ZONE_DEPTH),
            None => {}
            Some(strictest) => {
                for slot in slots().filter(|&s| limits.get(s).is_none()).collect::<Vec<_>>() {
                    limits.put(slot, strictest);
                }
            }
        }
    }
    limits
}

fn default_policy(place: Place) -> Patch {
    let mut policy = Patch::empty(Space::Policy);
    for (slot, field) in SETTINGS.iter().enumerate() {
        if let Some(value) = field.default {
            policy.put(slot, Set { value, place, level: 0 });
        }
    }
    policy
}

/// The bound: the model's own values, loosened where it says so.
fn bounded(own: &Patch, bound: Option<Patch>, problems: &mut Problems<'_>) -> Patch {
    let mut whole = own.clone();
    let Some(bound) = bound else {
        return whole;
    };
    for (slot, set) in bound.declared() {
        if let (Some((field, _)), Some(value)) = (own.space.field(slot), own.get(slot))
            && field.looser(value, set.value)
        {
            problems.add(
                LoadReason::Contradiction,
                set.place,
                format!("bound.{}", own.space.key(slot)),
                format!("is stricter than the model's own value, {}", field.show(value)),
                "make the own value as strict, or the bound as loose",
            );
        }
        whole.put(slot, set);
    }
    whole
}

const TENANT_KEYS: &[&str] = &["number", "name", "retention", "override", "clinic"];
const CLINIC_KEYS: &[&str] = &["id", "name", "time_zone", "override"];
const OVERRIDE_KEYS: &[&str] = &["model", "kind", "limits", "policy"];

pub(crate) fn read_tenant(table: &toml::de::DeTable<'_>, place: Place, problems: &mut Problems<'_>) -> RawTenant {
    let root = Section::new(table, "", place, TENANT_KEYS, problems);
    let number = root.int("number", &(1..=999_999), "", problems).map(|n| At {
        value: n.value as u32,
        place: n.place,
    });
    let number = root.need(
        "number",
        number,
        "a number of its own, never that of another tenant",
        problems,
    );
    let name = read_name(&root, "name", problems);
    let mut clinics = Vec::new();
    for section in root.tables("clinic", "clinic", CLINIC_KEYS, problems) {
        clinics.extend(read_clinic(&section, problems));
    }
    RawTenant {
        number,
        name,
        retention: read_retention(&root, problems),
        overrides: read_overrides(&root, problems),
        clinics,
    }
}

fn read_clinic(section: &Section<'_>, problems: &mut Problems<'_>) -> Option<RawClinic> {
    let id = section.parsed("id", ClinicId::new, problems);
    let id = section.need("id", id, "the clinic's level of the topic", problems);
    let name = read_name(section, "name", problems);
    let time_zone = section.parsed("time_zone", time_zone, problems);
    let time_zone = section.need("time_zone", time_zone, "an IANA name such as Europe/Berlin", problems);
    let overrides = read_overrides(section, problems);
    Some(RawClinic {
        id: id?,
        name,
        time_zone: time_zone.map(|t| t.value).unwrap_or_default(),
        overrides,
    })
}

fn read_overrides(section: &Section<'_>, problems: &mut Problems<'_>) -> Vec<Override> {
    let mut overrides = Vec::new();
    for part in section.tables("override", "override", OVERRIDE_KEYS, problems) {
        let found = Override {
            place: part.place,
            model: part.parsed("model", ModelId::new, problems),
            kind: part.parsed("kind", str::parse::<DeviceKind>, problems).map(|k| k.value),
            limits: Patch::read(&part, Space::Limits, problems),
            policy: Patch::read(&part, Space::Policy, problems),
        };
        if found.model.is_some() && found.kind.is_some() {
            problems.add(
                LoadReason::Contradiction,
                part.place,
                part.key("kind"),
                "stands beside model, which has a kind already",
                "write model, or kind, or neither",
            );
        }
        overrides.push(found);
    }
    overrides
}

const RETENTION_KEYS: &[&str] = &[
    "detail_days",
    "rollup_days",
    "hygiene_days",
    "alerts_days",
    "evidence_days",
    "archive_days",
];

fn read_retention(root: &Section<'_>, problems: &mut Problems<'_>) -> Retention {
    let section = root.table("retention", "retention", RETENTION_KEYS, problems);
    let mut days = |key: &str, default: u64| {
        let given = section.and_then(|s| s.int(key, &(1..=36_600), "days", problems));
        Duration::from_secs(86_400 * given.map_or(default, |d| d.value as u64))
    };
    Retention {
        detail: days("detail_days", 30),
        rollup: days("rollup_days", 400),
        hygiene: days("hygiene_days", 1_100),
        alerts: days("alerts_days", 1_100),
        evidence: days("evidence_days", 400),
        archive: days("archive_days", 30),
    }
}

pub(crate) const DEVICE_KEYS: &[&str] = &[
    "id",
    "clinic",
    "model",
    "serial",
    "state",
    "expected_since",
    "secret_sha256",
    "certificate_sha256",
    "certificate",
    "limits",
    "policy",
];

/// While a credential is rotated there are two.
const MAX_CREDENTIALS: usize = 2;

pub(crate) fn read_device(row: &Section<'_>, tenant: &TenantId, problems: &mut Problems<'_>) -> Option<RawDevice> {
    let id = row.parsed("id", DeviceId::new, problems);
    let id = row.need("id", id, "the device's level of the topic", problems);
    let clinic = row.parsed("clinic", ClinicId::new, problems);
    let clinic = row.need("clinic", clinic, "a clinic of the tenant", problems);
    let model = row.parsed("model", ModelId::new, problems);
    let model = row.need("model", model, "the name of a file in models/", problems);
    let serial = row.parsed("serial", Serial::new, problems);
    let serial = row.need("serial", serial, "the number on the device", problems);
    let state = row.parsed("state", read_state, problems);
    let credentials = Credentials {
        secret_sha256: read_digests(row, "secret_sha256", problems),
        certificate_sha256: read_digests(row, "certificate_sha256", problems),
        certificate_by_name: row.parsed("certificate", read_by_name, problems).is_some(),
    };
    let expected_since = row.day("expected_since", problems).map(|d| d.value);
    let limits = Patch::read(row, Space::Limits, problems);
    let policy = Patch::read(row, Space::Policy, problems);
    Some(RawDevice {
        tenant: tenant.clone(),
        id: id?,
        clinic: clinic?,
        model: model?,
        serial: serial?,
        state: state.map_or(DeviceState::Active, |s| s.value),
        credentials,
        expected_since,
        limits,
        policy,
    })
}

fn read_digests(row: &Section<'_>, key: &str, problems: &mut Problems<'_>) -> Vec<[u8; 32]> {
    let mut digests = Vec::new();
    for text in row.strings(key, MAX_CREDENTIALS, problems) {
        match from_hex(text.value) {
            Ok(digest) => digests.push(digest),
            // The text is not shown: somebody may have written the secret itself.
            Err(e) => problems.add(LoadReason::OutOfRange, text.place, row.key(key), e, ""),
        }
    }
    digests
}

fn read_state(text: &str) -> Result<DeviceState, String> {
    match text {
        "active" => Ok(DeviceState::Active),
        "retired" => Ok(DeviceState::Retired),
        _ => Err("is none of: active, retired".to_owned()),
    }
}

fn read_by_name(text: &str) -> Result<(), String> {
    match text {
        "by-name" => Ok(()),
        _ => Err("is not \"by-name\"; fingerprints go to certificate_sha256".to_owned()),
    }
}

/// Longest name for people, in bytes.
const MAX_NAME: usize = 120;

fn read_name(section: &Section<'_>, key: &str, problems: &mut Problems<'_>) -> String {
    let name = section.parsed(
        key,
        |text| {
            let fits = !text.trim().is_empty() && text.len() <= MAX_NAME && !text.chars().any(char::is_control);
            fits.then(|| text.to_owned())
                .ok_or_else(|| format!("is no name: write 1 to {MAX_NAME} bytes without control characters"))
        },
        problems,
    );
    section
        .need(key, name, "a name for people", problems)
        .map(|n| n.value)
        .unwrap_or_default()
}

fn time_zone(text: &str) -> Result<String, String> {
    let part = |p: &str| {
        !p.is_empty()
            && p.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'-'))
    };
    if text.len() <= 64 && text.split('/').all(part) {
        Ok(text.to_owned())
    } else {
        Err("is no time zone name: write an IANA name such as Europe/Berlin".to_owned())
    }
}
