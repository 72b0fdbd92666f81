//! Small registries to change and to break.
use std::path::PathBuf;

use registry::{LoadErrors, Registry};
use telemetry::DeviceKey;

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/registry")
}

pub(crate) fn key(name: &str) -> DeviceKey {
    registry::parse_name(name).unwrap()
}

pub(crate) const PEN: &str = r#"
kind = "pen"
name = "Pen"
maker = "Maker"
[limits]
depth_max_um = 1500
depth_tolerance_um = 150
depth_sigma_um = 20
stroke_rate_min_hz = 80
stroke_rate_max_hz = 160
zone_depth_max_um = { cheek = 1000, forehead = 500, periorbital = 250 }
[bound.limits]
depth_max_um = 2000
zone_depth_max_um = { cheek = 1800 }
"#;

pub(crate) const TENANT: &str = r#"
number = 1
name = "Acme"
[[clinic]]
id = "north"
name = "North"
time_zone = "Europe/Berlin"
"#;

pub(crate) const DEVICES: &str = r#"
device = [
  { id = "pen-1", clinic = "north", model = "pen", serial = "P-1" },
]
"#;

/// A small registry with some of its files replaced or added.
pub(crate) fn with(changes: &[(&str, &str)]) -> Result<Registry, LoadErrors> {
    let mut sources = vec![
        ("registry.toml", "version = 3\n"),
        ("models/pen.toml", PEN),
        ("tenants/acme/tenant.toml", TENANT),
        ("tenants/acme/devices.toml", DEVICES),
    ];
    for change in changes {
        sources.retain(|s| s.0 != change.0);
        sources.push(*change);
    }
    Registry::from_sources(&sources)
}
