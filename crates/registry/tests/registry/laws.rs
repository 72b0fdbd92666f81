//! Laws that hold for every override: never looser than the bound, the strictest for missing context, and the most specific
//! level wins.
use proptest::prelude::*;
use registry::render::{ClinicText, DeviceText, Fleet, TenantText};
use registry::{LoadReason, Registry};
use telemetry::{ClinicId, DeviceId, DeviceKey, ModelId, Serial, SkinType, TenantId, Zone};

use crate::common::{DEVICES, PEN, TENANT, key, with};

const LIGHT: &str = r#"
kind = "ipl"
name = "Unit"
maker = "Maker"
[limits]
fluence_max_mj_per_cm2 = 15000
fluence_tolerance_permille = 200
lamp_life_shots = 300000
skin_fluence_max_mj_per_cm2 = { I = 15000, II = 15000, III = 8000, IV = 7000, V = 5000, VI = 0 }
[bound.limits]
fluence_max_mj_per_cm2 = 20000
skin_fluence_max_mj_per_cm2 = { I = 18000, II = 18000 }
lamp_life_shots = 500000
"#;

/// An optional value for a key.
fn line(key: &str, value: Option<u32>) -> String {
    value.map_or(String::new(), |v| format!("{key} = {v}, "))
}

fn limits_text(depth: Option<u32>, cheek: Option<u32>, eyes: Option<u32>, sigma: Option<u32>) -> String {
    format!(
        "limits = {{ {}{}zone_depth_max_um = {{ {}{}}} }}",
        line("depth_max_um", depth),
        line("depth_sigma_um", sigma),
        line("cheek", cheek),
        line("periorbital", eyes)
    )
}

prop_compose! {
    fn any_limits()(
        depth in proptest::option::of(300u32..2_600),
        cheek in proptest::option::of(0u32..2_600),
        eyes in proptest::option::of(0u32..400),
        sigma in proptest::option::of(0u32..30),
    ) -> String {
        limits_text(depth, cheek, eyes, sigma)
    }
}

fn with_levels(tenant: &str, clinic: &str, device: &str) -> Result<Registry, registry::LoadErrors> {
    let tenants = TENANT.replace("[[clinic]]", &format!("[[override]]\n{tenant}\n[[clinic]]"));
    let tenants = format!("{tenants}\n[[clinic.override]]\nmodel = \"pen\"\n{clinic}\n");
    let devices = DEVICES.replace(" },", &format!(", {device} }},"));
    with(&[
        ("tenants/acme/tenant.toml", &tenants),
        ("tenants/acme/devices.toml", &devices),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_override_never_loosens_beyond_the_safety_bound(
        tenant in any_limits(), clinic in any_limits(), device in any_limits(),
    ) {
        match with_levels(&tenant, &clinic, &device) {
            Ok(registry) => {
                let limits = registry.limits(&key("acme/pen-1")).unwrap();
                let bound = &registry.model(&ModelId::new("pen").unwrap()).unwrap().bound;
                for zone in Zone::ALL.iter().copied().map(Some).chain([None]) {
                    prop_assert!(limits.depth_max(zone) <= bound.depth_max(zone), "{zone:?}");
                    prop_assert!(limits.depth_max(None) <= limits.depth_max(zone), "{zone:?}");
                }
                let (own, bound) = (limits.needle.as_ref().unwrap(), bound.needle.as_ref().unwrap());
                prop_assert!(own.depth_guard_band <= bound.depth_guard_band);
            }
            Err(errors) => {
                for problem in &errors.problems {
                    prop_assert!(
                        matches!(problem.reason, LoadReason::TooLoose | LoadReason::Contradiction),
                        "{problem}"
                    );
                }
            }
        }
    }

    #[test]
    fn whatever_is_looser_than_the_bound_is_refused_and_whatever_is_not_holds(cheek in 0u32..3_000, level in 0..3) {
        let text = limits_text(Some(2_000), Some(cheek), None, None);
        let none = "policy = {}";
        let loaded = match level {
            0 => with_levels(&text, none, none),
            1 => with_levels(none, &text, none),
            _ => with_levels(none, none, &text),
        };
        // The bound for the cheek is 1800.
        match loaded {
            Ok(registry) => {
                prop_assert!(cheek <= 1_800);
                let limits = registry.limits(&key("acme/pen-1")).unwrap();
                prop_assert_eq!(limits.depth_max(Some(Zone::Cheek)).unwrap().get(), cheek);
                prop_assert_eq!(limits.depth_max(None).unwrap().get(), cheek.min(250));
            }
            Err(errors) => prop_assert!(cheek > 1_800, "{errors}"),
        }
    }

    #[test]
    fn unknown_skin_is_judged_as_the_strictest_skin(v in 0u32..6_000, i in 0u32..21_000) {
        let tenant = format!("{TENANT}[[clinic.override]]\nkind = \"ipl\"\n\
            limits = {{ fluence_max_mj_per_cm2 = 20000, skin_fluence_max_mj_per_cm2 = {{ I = {i}, V = {v}, VI = 0 }} }}");
        let devices = DEVICES.replace("\"pen\"", "\"ipl\"");
        let loaded = with(&[
            ("models/ipl.toml", LIGHT),
            ("tenants/acme/tenant.toml", &tenant),
            ("tenants/acme/devices.toml", &devices),
        ]);
        prop_assert_eq!(loaded.is_ok(), v <= 5_000 && i <= 18_000);
        if let Ok(registry) = loaded {
            let limits = registry.limits(&key("acme/pen-1")).unwrap();
            prop_assert_eq!(limits.fluence_max(Some(SkinType::I)).unwrap().get(), i);
            for &skin in SkinType::ALL {
                prop_assert!(limits.fluence_max(None) <= limits.fluence_max(Some(skin)));
            }
        }
    }

    #[test]
    fn what_is_rendered_is_what_loads(fleet in any_fleet()) {
        let registry = Registry::from_sources(&fleet.sources()).unwrap();
        prop_assert_eq!(registry.version().number, fleet.version);
        prop_assert_eq!(registry.tenants().len(), fleet.tenants.len());
        for tenant in &fleet.tenants {
            let loaded = registry.tenant(&tenant.id).unwrap();
            prop_assert_eq!((loaded.number, &loaded.name), (tenant.number, &tenant.name));
            for clinic in &tenant.clinics {
                let loaded = registry.clinic(&tenant.id, &clinic.id).unwrap();
                prop_assert_eq!((&loaded.name, &loaded.time_zone), (&clinic.name, &clinic.time_zone));
            }
        }
        prop_assert_eq!(registry.devices().len(), fleet.devices.len());
        for device in &fleet.devices {
            let loaded = registry.device(&device.key).unwrap();
            prop_assert_eq!(&loaded.clinic, &device.clinic);
            prop_assert_eq!(&loaded.model, &device.model);
            prop_assert_eq!(&loaded.serial, &device.serial);
            prop_assert_eq!(&loaded.credentials.secret_sha256, &device.secret_sha256.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(loaded.credentials.certificate_by_name, device.certificate_by_name);
            prop_assert_eq!(loaded.expected_since.is_some(), device.expected_since.is_some());
        }
    }

    #[test]
    fn arbitrary_text_in_any_file_never_panics(text in "(?s).{0,200}", which in 0usize..4) {
        let names = ["registry.toml", "models/pen.toml", "tenants/acme/tenant.toml", "tenants/acme/devices.toml"];
        let _ = with(&[(names[which], &text)]);
    }

    #[test]
    fn a_damaged_file_never_panics_and_what_loads_is_still_within_the_bound(
        which in 0usize..3, at in any::<prop::sample::Index>(), byte in 0x20u8..0x7f,
    ) {
        let (name, text) = [
            ("models/pen.toml", PEN), ("tenants/acme/tenant.toml", TENANT), ("tenants/acme/devices.toml", DEVICES),
        ][which];
        let mut bytes = text.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let text = String::from_utf8(bytes).unwrap();
        if let Ok(registry) = with(&[(name, &text)]) {
            for device in registry.devices() {
                let limits = registry.limits(&device.key).unwrap();
                let bound = &registry.model(&device.model).unwrap().bound;
                prop_assert!(limits.depth_max(None) <= bound.depth_max(None));
            }
        }
    }
}

prop_compose! {
    fn any_fleet()(
        version in 1u64..1_000_000,
        names in proptest::collection::vec("[A-Z][a-zA-Z \"\\\\'#=é-]{0,20}[a-z]", 1..4),
        devices in proptest::collection::vec(
            (0usize..3, 0usize..5, any::<bool>(), any::<bool>(), any::<bool>()), 0..12,
        ),
    ) -> Fleet {
        let mut fleet = Fleet::with_shipped_models(version);
        for (n, name) in names.iter().enumerate() {
            fleet.tenants.push(TenantText {
                id: TenantId::new(&format!("t-{n}")).unwrap(),
                number: 10 + n as u32,
                name: name.clone(),
                clinics: vec![ClinicText {
                    id: ClinicId::new("north").unwrap(),
                    name: name.clone(),
                    time_zone: "America/Argentina/Buenos_Aires".to_owned(),
                    more: "[[clinic.override]]\npolicy = { evidence_grace_s = 60 }\n".to_owned(),
                }],
                more: "[retention]\ndetail_days = 7\n".to_owned(),
            });
        }
        for (n, (tenant, model, secret, certificate, expected)) in devices.into_iter().enumerate() {
            let models = ["np-25", "np-15", "lumen-6", "steam-b", "wipe-1"];
            fleet.devices.push(DeviceText {
                key: DeviceKey {
                    tenant: fleet.tenants[tenant % fleet.tenants.len()].id.clone(),
                    device: DeviceId::new(&format!("d-{n}")).unwrap(),
                },
                clinic: ClinicId::new("north").unwrap(),
                model: ModelId::new(models[model]).unwrap(),
                serial: Serial::new(&format!("S-{n}")).unwrap(),
                secret_sha256: secret.then(|| registry::sha256(&[n as u8])),
                certificate_by_name: certificate,
                expected_since: expected.then_some((2026, 2, 28)),
            });
        }
        fleet
    }
}

#[test]
fn the_most_specific_level_wins() {
    let of = |um| limits_text(None, Some(um), None, None);
    let cheek = |registry: &Registry| {
        let limits = registry.limits(&key("acme/pen-1")).unwrap();
        limits.depth_max(Some(Zone::Cheek)).unwrap().get()
    };
    let none = "policy = {}";
    assert_eq!(cheek(&with_levels(none, none, none).unwrap()), 1_000);
    assert_eq!(cheek(&with_levels(&of(900), none, none).unwrap()), 900);
    assert_eq!(cheek(&with_levels(&of(700), &of(800), none).unwrap()), 800);
    assert_eq!(cheek(&with_levels(&of(700), &of(800), &of(950)).unwrap()), 950);
}

#[test]
fn a_tighter_level_for_all_zones_holds_although_a_less_specific_one_allows_a_zone_more() {
    let depth = limits_text(Some(600), None, None, None);
    let registry = with_levels("policy = {}", &depth, "policy = {}").unwrap();
    let limits = registry.limits(&key("acme/pen-1")).unwrap();
    assert_eq!(limits.depth_max(Some(Zone::Cheek)).unwrap().get(), 600);
}

#[test]
fn a_zone_that_the_model_does_not_list_has_the_strictest_limit_and_cannot_be_loosened_unless_the_bound_lists_it() {
    let registry = with(&[]).unwrap();
    let limits = registry.limits(&key("acme/pen-1")).unwrap();
    assert_eq!(limits.depth_max(Some(Zone::Thigh)).unwrap().get(), 250);
    let loose = DEVICES.replace(" },", ", limits = { zone_depth_max_um = { thigh = 251 } } },");
    let errors = with(&[("tenants/acme/devices.toml", &loose)]).unwrap_err();
    assert_eq!(errors.problems[0].reason, LoadReason::TooLoose, "{errors}");
}

#[test]
fn policy_too_can_only_be_tightened_beyond_the_model_unless_its_bound_says_otherwise() {
    let with_policy = |policy: &str| {
        let rows = DEVICES.replace(" },", &format!(", policy = {{ {policy} }} }},"));
        with(&[("tenants/acme/devices.toml", &rows)])
    };
    for loose in [
        "biological_indicator_every_days = 8",
        "cartridge_single_use = false",
        "disinfection_level = \"low\"",
        "silent_in_session_after_s = 31",
        "evidence_from_other_clinics = true",
    ] {
        assert_eq!(
            with_policy(loose).unwrap_err().problems[0].reason,
            LoadReason::TooLoose,
            "{loose}"
        );
    }
    for tight in [
        "biological_indicator_every_days = 1",
        "disinfection_level = \"high\"",
        "silent_in_session_after_s = 10",
        "sterilization_every_h = 24",
        "treatment_interval_min_days = 42",
    ] {
        assert!(with_policy(tight).is_ok(), "{tight}");
    }
}
