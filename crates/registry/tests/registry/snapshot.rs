//! What a process holds: versions, swaps, and a large fleet.
use registry::render::{ClinicText, DeviceText, Fleet, TenantText};
use registry::{Registry, Shared};
use telemetry::{ClinicId, ModelId, Serial, TenantId};

use crate::common::{DEVICES, PEN, key, with};

#[test]
fn comments_and_layout_leave_the_version_and_one_changed_number_does_not() {
    let digest = |changes: &[(&str, &str)]| with(changes).unwrap().version().digest;
    let spaced = format!("# a comment\n{}", PEN.replace(" = ", "   =  "));
    let moved = PEN.replace("name = \"Pen\"\nmaker = \"Maker\"", "maker = \"Maker\"\nname = \"Pen\"");
    assert_eq!(digest(&[]), digest(&[("models/pen.toml", &spaced)]));
    assert_eq!(digest(&[]), digest(&[("models/pen.toml", &moved)]));
    let changed = PEN.replace("cheek = 1000", "cheek = 999");
    assert_ne!(digest(&[]), digest(&[("models/pen.toml", &changed)]));
    assert_ne!(digest(&[]), digest(&[("registry.toml", "version = 4")]));
    assert_eq!(with(&[]).unwrap().version().number, 3);
}

#[test]
fn a_reader_keeps_its_snapshot_while_the_registry_is_replaced() {
    let shared = Shared::new(with(&[]).unwrap());
    let before = shared.current();
    let old = shared.replace(with(&[("registry.toml", "version = 4")]).unwrap());
    assert_eq!(before.version().number, 3);
    assert_eq!(old.version(), before.version());
    assert_eq!(shared.current().version().number, 4);
}

/// A fleet of `count` devices in clinics of ten.
fn large(count: u32) -> Fleet {
    let tenant = TenantId::new("acme").unwrap();
    let clinic = |n: u32| ClinicId::new(&format!("clinic-{n:05}")).unwrap();
    let mut fleet = Fleet::with_shipped_models(1);
    fleet.tenants.push(TenantText {
        id: tenant.clone(),
        number: 1,
        name: "Acme".to_owned(),
        clinics: (0..count.div_ceil(10))
            .map(|n| ClinicText {
                id: clinic(n),
                name: format!("Clinic {n}"),
                time_zone: "Europe/Berlin".to_owned(),
                more: String::new(),
            })
            .collect(),
        more: String::new(),
    });
    fleet.devices.extend((0..count).map(|n| DeviceText {
        key: key(&format!("acme/pen-{n:06}")),
        clinic: clinic(n / 10),
        model: ModelId::new("np-25").unwrap(),
        serial: Serial::new(&format!("NP25-{n:06}")).unwrap(),
        secret_sha256: Some(registry::sha256(&n.to_le_bytes())),
        certificate_by_name: false,
        expected_since: Some((2026, 9, 1)),
    }));
    fleet
}

#[test]
fn a_written_fleet_loads_from_its_folder_and_devices_without_overrides_share_their_limits() {
    let folder = tempfile::tempdir().unwrap();
    large(2_000).write(folder.path()).unwrap();
    let registry = Registry::load(folder.path()).unwrap();
    assert_eq!(registry.devices().len(), 2_000);
    assert_eq!(registry.clinics().len(), 200);
    let of = registry.devices_of(&TenantId::new("acme").unwrap(), &ClinicId::new("clinic-00007").unwrap());
    let ids: Vec<_> = of.map(|d| d.key.device.to_string()).collect();
    assert_eq!(ids.len(), 10);
    assert_eq!(ids.first().map(String::as_str), Some("pen-000070"));
    let limits = |name| registry.limits(&key(name)).unwrap();
    assert!(std::sync::Arc::ptr_eq(
        &limits("acme/pen-000070"),
        &limits("acme/pen-000079")
    ));
    let (name, secret) = ("acme/pen-001234", 1_234u32.to_le_bytes());
    assert!(registry.authenticate_secret(name, &secret).is_ok());
}

#[test]
fn devices_may_be_split_over_files_as_one_likes() {
    let more = DEVICES.replace("pen-1", "pen-2").replace("P-1", "P-2");
    let registry = with(&[("tenants/acme/devices/second-floor.toml", &more)]).unwrap();
    assert_eq!(registry.devices().len(), 2);
}
