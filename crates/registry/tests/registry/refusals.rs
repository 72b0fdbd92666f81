//! Whatever is wrong is told at once: where, what, and what is allowed.
use registry::{LoadReason, MAX_PROBLEMS};

use crate::common::{DEVICES, PEN, TENANT, with};

/// One change of a good registry that must be refused: file, text to find, text instead, kind, line, key, part of the message.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    LoadReason,
    usize,
    &'static str,
    &'static str,
);

const M: &str = "models/pen.toml";
const T: &str = "tenants/acme/tenant.toml";
const D: &str = "tenants/acme/devices.toml";

const CASES: &[Case] = &[
    (
        M,
        "maker = ",
        "colour = 1
maker = ",
        LoadReason::UnknownKey,
        4,
        "colour",
        "keys here are: kind, name, maker",
    ),
    (
        M,
        "depth_sigma_um = 20\n",
        "",
        LoadReason::Missing,
        1,
        "limits.depth_sigma_um",
        "µm",
    ),
    (
        M,
        "= 20\n",
        "= \"20\"\n",
        LoadReason::Type,
        8,
        "limits.depth_sigma_um",
        "whole number",
    ),
    (
        M,
        "= 20\n",
        "= -1\n",
        LoadReason::OutOfRange,
        8,
        "limits.depth_sigma_um",
        "0 to 1000 µm",
    ),
    (
        M,
        "depth_max_um = 1500",
        "depth_max_um = 10001",
        LoadReason::OutOfRange,
        6,
        "limits.depth_max_um",
        "1 to 10000 µm",
    ),
    (
        M,
        "depth_max_um = 1500",
        "depth_max_um = 1e3",
        LoadReason::Type,
        6,
        "limits.depth_max_um",
        "whole number",
    ),
    (
        M,
        "cheek = 1000",
        "cheeks = 1000",
        LoadReason::UnknownKey,
        11,
        "zone_depth_max_um.cheeks",
        "forehead",
    ),
    (
        M,
        "cheek = 1000",
        "cheek = 1501",
        LoadReason::Contradiction,
        11,
        "zone_depth_max_um.cheek",
        "never hold",
    ),
    (
        M,
        "depth_tolerance_um = 150",
        "depth_tolerance_um = 1500",
        LoadReason::Contradiction,
        7,
        "depth_tolerance_um",
        "noise",
    ),
    (
        M,
        "rate_min_hz = 80",
        "rate_min_hz = 161",
        LoadReason::Contradiction,
        9,
        "stroke_rate_min_hz",
        "is no range",
    ),
    (
        M,
        "cheek = 1800",
        "cheek = 900",
        LoadReason::Contradiction,
        14,
        "bound.zone_depth_max_um.cheek",
        "stricter than",
    ),
    (
        M,
        "[bound.limits]",
        "lamp_life_shots = 5\n[bound.limits]",
        LoadReason::Contradiction,
        12,
        "lamp_life_shots",
        "no sense for pen",
    ),
    (
        M,
        "kind = \"pen\"",
        "kind = \"pencil\"",
        LoadReason::BadId,
        2,
        "kind",
        "autoclave",
    ),
    (
        T,
        "number = 1",
        "number = 0",
        LoadReason::OutOfRange,
        2,
        "number",
        "1 to 999999",
    ),
    (
        T,
        "number = 1\n",
        "",
        LoadReason::Missing,
        1,
        "number",
        "number of its own",
    ),
    (
        T,
        "Europe/Berlin\"
",
        "Europe/Berlin\"
[[clinic]]
id = \"South\"
name = \"S\"
time_zone = \"UTC\"
",
        LoadReason::BadId,
        9,
        "clinic.id",
        "a-z, 0-9",
    ),
    (
        T,
        "Europe/Berlin",
        "Berlin, Germany",
        LoadReason::BadId,
        7,
        "clinic.time_zone",
        "IANA",
    ),
    (
        T,
        "name = \"Acme\"",
        "name = \" \"",
        LoadReason::BadId,
        3,
        "name",
        "is no name",
    ),
    (
        T,
        "[[clinic]]",
        "override = [{ model = \"pan\" }]\n[[clinic]]",
        LoadReason::Dangling,
        4,
        "override.model",
        "models are: pen",
    ),
    (
        D,
        "\"north\"",
        "\"south\"",
        LoadReason::Dangling,
        3,
        "device.clinic",
        "its clinics are: north",
    ),
    (
        D,
        "model = \"pen\"",
        "model = \"pan\"",
        LoadReason::Dangling,
        3,
        "device.model",
        "models are: pen",
    ),
    (
        D,
        ", serial = \"P-1\"",
        "",
        LoadReason::Missing,
        3,
        "device.serial",
        "number on the device",
    ),
    (
        D,
        "\"P-1\"",
        "\"P-1\", secret_sha256 = \"hunter2\"",
        LoadReason::OutOfRange,
        3,
        "device.secret_sha256",
        "64 hexadecimal",
    ),
    (
        D,
        "\"P-1\"",
        "\"P-1\", secret = \"x\"",
        LoadReason::UnknownKey,
        3,
        "device.secret",
        "secret_sha256",
    ),
    (
        D,
        "\"P-1\"",
        "\"P-1\", state = \"broken\"",
        LoadReason::BadId,
        3,
        "device.state",
        "active, retired",
    ),
    (
        D,
        "\"P-1\"",
        "\"P-1\", expected_since = \"2026-09-01\"",
        LoadReason::Type,
        3,
        "device.expected_since",
        "without quotes",
    ),
    (
        D,
        "\"P-1\"",
        "\"P-1\", limits = { depth_max_um = 2001 }",
        LoadReason::TooLoose,
        3,
        "depth_max_um",
        "2000 µm or stricter",
    ),
    (
        D,
        "\"P-1\"",
        "\"P-1\", limits = { energy_max_mj = 9 }",
        LoadReason::Contradiction,
        3,
        "energy_max_mj",
        "no sense for pen",
    ),
    (
        D,
        "},\n]",
        "},\n  { id = \"pen-1\", clinic = \"north\", model = \"pen\", serial = \"P-2\" },\n]",
        LoadReason::Duplicate,
        4,
        "device.id",
        "devices.toml:3",
    ),
    (
        D,
        "},\n]",
        "},\n  { id = \"pen-2\", clinic = \"north\", model = \"pen\", serial = \"P-1\" },\n]",
        LoadReason::Duplicate,
        4,
        "device.serial",
        "devices.toml:3",
    ),
    (D, "]\n", "", LoadReason::Syntax, 3, "", "TOML"),
];

#[test]
fn every_mistake_is_refused_with_its_file_line_and_key() {
    for &(file, find, instead, reason, line, key, part) in CASES {
        let text = [(M, PEN), (T, TENANT), (D, DEVICES)]
            .iter()
            .find(|(f, _)| *f == file)
            .unwrap()
            .1;
        assert!(text.contains(find), "{find}");
        let errors = with(&[(file, &text.replacen(find, instead, 1))]).expect_err(instead);
        let told = errors.to_string();
        let problem = &errors.problems[0];
        assert_eq!(errors.problems.len(), 1, "{told}");
        assert_eq!(
            (problem.reason, problem.file.as_str(), problem.key.as_str()),
            (reason, file, key),
            "{told}"
        );
        assert!(problem.to_string().contains(part), "{told} has no {part}");
        if reason != LoadReason::Syntax {
            assert_eq!(problem.line, Some(line), "{told}");
        }
    }
}

#[test]
fn all_problems_of_all_files_come_together_in_the_order_of_the_files() {
    let errors = with(&[
        ("registry.toml", "version = 0\ncolour = 1"),
        (M, &PEN.replace("= 20\n", "= 2000\n")),
        (D, &DEVICES.replace("\"north\"", "\"south\"")),
    ])
    .unwrap_err();
    let told: Vec<_> = errors
        .problems
        .iter()
        .map(|p| (p.file.as_str(), p.line.unwrap()))
        .collect();
    assert_eq!(
        told,
        [(M, 8), ("registry.toml", 1), ("registry.toml", 2), (D, 3)],
        "{errors}"
    );
}

#[test]
fn two_tenants_never_share_a_number_and_two_devices_never_share_a_credential() {
    let other = TENANT.replace("Acme", "Other");
    let rows = |serial: &str| {
        let digest = "ab".repeat(32);
        DEVICES.replace("\"P-1\"", &format!("\"{serial}\", secret_sha256 = \"{digest}\""))
    };
    let errors = with(&[
        ("tenants/other/tenant.toml", &other),
        (D, &rows("P-1")),
        ("tenants/other/devices.toml", &rows("P-2")),
    ])
    .unwrap_err();
    let keys: Vec<_> = errors.problems.iter().map(|p| (p.reason, p.key.as_str())).collect();
    assert_eq!(
        keys,
        [
            (LoadReason::Duplicate, "device.secret_sha256"),
            (LoadReason::Duplicate, "number")
        ],
        "{errors}"
    );
}

#[test]
fn a_device_that_moved_to_another_tenant_keeps_its_serial_if_the_old_entry_is_retired() {
    let other = TENANT.replace("Acme", "Other").replace("number = 1", "number = 2");
    let old = DEVICES.replace("\"P-1\"", "\"P-1\", state = \"retired\"");
    let files = [
        ("tenants/other/tenant.toml", other.as_str()),
        ("tenants/other/devices.toml", &old),
    ];
    assert!(with(&files).is_ok());
}

#[test]
fn a_mistyped_file_name_loses_no_device_silently() {
    let errors = with(&[("tenants/acme/device.toml", DEVICES)]).unwrap_err();
    assert_eq!(errors.problems[0].reason, LoadReason::UnknownFile, "{errors}");
    let errors = with(&[("tenants/other/devices.toml", DEVICES)]).unwrap_err();
    assert_eq!(errors.problems[0].reason, LoadReason::Dangling, "{errors}");
}

#[test]
fn a_secret_that_was_written_by_mistake_is_not_repeated_in_the_error() {
    let errors = with(&[(D, &DEVICES.replace("\"P-1\"", "\"P-1\", secret_sha256 = \"hunter2\""))]).unwrap_err();
    assert!(!errors.to_string().contains("hunter2"));
}

#[test]
fn the_number_of_reported_problems_is_bounded_and_the_rest_is_counted() {
    let row = "  { id = \"pen-1\", clinic = \"nowhere\", model = \"pen\", serial = \"P\" },\n";
    let errors = with(&[(D, &format!("device = [\n{}]", row.repeat(500)))]).unwrap_err();
    assert_eq!(errors.problems.len(), MAX_PROBLEMS);
    assert_eq!(errors.problems.len() + errors.more, 500 + 2 * 499);
}

#[test]
fn a_folder_that_is_not_there_is_a_problem_and_no_panic() {
    let errors = registry::Registry::load(std::path::Path::new("/nonexistent/registry")).unwrap_err();
    assert_eq!(errors.problems[0].reason, LoadReason::Io);
}

#[test]
fn one_loose_override_is_told_once_however_many_devices_it_is_for() {
    let tenant = format!("{TENANT}[[clinic.override]]\nlimits = {{ depth_max_um = 2400 }}\n");
    let rows: String = (0..50)
        .map(|n| format!("{{ id = \"pen-{n}\", clinic = \"north\", model = \"pen\", serial = \"P-{n}\" }},"))
        .collect();
    let errors = with(&[(T, &tenant), (D, &format!("device = [{rows}]"))]).unwrap_err();
    assert_eq!(errors.problems.len(), 1, "{errors}");
    assert_eq!(
        (errors.problems[0].file.as_str(), errors.problems[0].line),
        (T, Some(9))
    );
}
