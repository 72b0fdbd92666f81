//! The example registry that we ship is one that loads, and means what its comments say.
use registry::{DeviceState, Registry};
use telemetry::{ClinicId, DeviceKind, SkinType, TenantId, Zone};

use crate::common::{folder, key};

#[test]
fn the_example_registry_loads_from_its_folder_and_from_the_texts_alike() {
    let registry = Registry::load(&folder()).unwrap();
    let embedded = Registry::from_sources(&registry::render::example()).unwrap();
    assert_eq!(registry.version(), embedded.version());
    assert_eq!(registry.tenants().len(), 2);
    assert_eq!(registry.clinics().len(), 3);
    let kinds: std::collections::BTreeSet<_> = registry.devices().map(|d| d.kind).collect();
    assert_eq!(kinds.len(), DeviceKind::ALL.len(), "one device of every kind");
    let tenant = TenantId::new("aurora").unwrap();
    let berlin = registry.devices_of(&tenant, &ClinicId::new("aurora-berlin").unwrap());
    assert_eq!(berlin.len(), 6);
    assert_eq!(
        registry.device(&key("aurora/pen-0102")).unwrap().state,
        DeviceState::Retired
    );
}

#[test]
fn the_example_overrides_hold_where_they_are_written_and_nowhere_else() {
    let registry = Registry::load(&folder()).unwrap();
    let depth = |name: &str, zone| registry.limits(&key(name)).unwrap().depth_max(zone).unwrap().get();
    assert_eq!(depth("aurora/pen-0001", Some(Zone::Cheek)), 1500);
    assert_eq!(depth("aurora/pen-0001", Some(Zone::Forehead)), 500);
    assert_eq!(depth("aurora/pen-0001", None), 250);
    assert_eq!(depth("belle/pen-0001", Some(Zone::Cheek)), 1000);
    let fluence = |name: &str, skin| registry.limits(&key(name)).unwrap().fluence_max(skin).unwrap().get();
    assert_eq!(fluence("aurora/ipl-0001", Some(SkinType::V)), 0);
    assert_eq!(fluence("belle/ipl-0001", Some(SkinType::V)), 5000);
    assert_eq!(
        fluence("belle/ipl-0001", None),
        0,
        "type VI must not be treated, so unknown must not"
    );
    let band = |name: &str| {
        registry
            .limits(&key(name))
            .unwrap()
            .needle
            .as_ref()
            .unwrap()
            .depth_guard_band
            .get()
    };
    assert_eq!(band("aurora/pen-0001"), 150 + 6 * 20);
    assert_eq!(band("aurora/pen-0003"), 150 + 6 * 30);
    let grace = |name: &str| registry.policy(&key(name)).unwrap().evidence_grace.as_secs();
    assert_eq!((grace("aurora/pen-0001"), grace("aurora/pen-0101")), (120, 60));
}
