//! The shape of the code: who may know whom, what is deliberately absent, and the house rules that a machine can check.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tests::workspace_root;

/// Crate to the crates of ours that it may name. The picture of ARCHITECTURE.md, as a table.
const EDGES: &[(&str, &[&str])] = &[
    ("telemetry", &[]),
    ("spool", &[]),
    ("service", &[]),
    ("registry", &["telemetry"]),
    ("gateway", &["telemetry", "registry", "spool", "service"]),
    ("ingestor", &["telemetry", "registry", "spool", "service"]),
    ("alerting", &["telemetry", "registry", "spool", "service"]),
    ("uplink", &["telemetry", "spool", "service"]),
    (
        "console",
        &["telemetry", "registry", "service", "gateway", "ingestor", "alerting"],
    ),
    ("simulator", &["telemetry", "service"]),
    (
        "dermatel",
        &[
            "telemetry",
            "registry",
            "spool",
            "service",
            "gateway",
            "ingestor",
            "alerting",
            "console",
            "uplink",
            "simulator",
        ],
    ),
];

/// (a word, the only places below crates/ that may say it, why).
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    ("influxdb2", &["ingestor/src"], "one crate talks to InfluxDB"),
    (
        "rumqttc",
        &["service/src/mqtt", "service/src/testing", "gateway/src/endpoint"],
        "its guards live in one place",
    ),
    ("unbounded_channel", &[], "every channel is bounded"),
    ("unbounded()", &[], "every channel is bounded"),
    (
        "$share",
        &["gateway/src/endpoint"],
        "a shared subscription breaks the order of each device",
    ),
];

/// Where decisions live: nothing there reads a clock; `now` is an argument.
const NO_CLOCK: &[&str] = &[
    "telemetry/src",
    "registry/src",
    "alerting/src/engine",
    "alerting/src/rules",
    "alerting/src/lifecycle",
    "alerting/src/paging",
    "alerting/src/board",
    "alerting/src/proof",
    "console/src/chart",
    "console/src/page",
    "gateway/src/admit",
    "gateway/src/ledger",
    "gateway/src/quarantine/tally",
    "ingestor/src/window",
    "ingestor/src/record",
    "ingestor/src/ledger",
    "ingestor/src/rollup",
    "ingestor/src/store/clock",
    "uplink/src/batch",
    "uplink/src/held",
    "uplink/src/progress",
    "uplink/src/shards",
    "uplink/src/stretch",
];

/// Longest file. House rule: aim under 250, think at 400.
const MAX_LINES: usize = 500;

fn rust_files(below: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![below.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn below_crates(path: &Path) -> String {
    path.strip_prefix(workspace_root().join("crates"))
        .unwrap_or(path)
        .display()
        .to_string()
}

/// The lines that are code: comments and strings of prose may name what they like.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// A rule by place holds nowhere once the place has another name.
#[test]
fn every_place_that_a_rule_names_is_there_and_every_crate_has_a_rule() {
    let crates = workspace_root().join("crates");
    let places: Vec<String> = rust_files(&crates).iter().map(|file| below_crates(file)).collect();
    let homes = ONLY_IN.iter().flat_map(|(_, homes, _)| homes.iter());
    for home in NO_CLOCK.iter().chain(homes) {
        let there = places.iter().any(|place| place.starts_with(home));
        assert!(there, "nothing is at crates/{home} any more: correct the rule");
    }
    let mut named: Vec<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    named.sort_unstable();
    let mut found: Vec<String> = fs::read_dir(&crates)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort_unstable();
    assert_eq!(named, found, "a crate without a row may name anybody");
}

#[test]
fn crates_know_only_whom_they_may_know() {
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    for (name, may) in &allowed {
        let manifest = fs::read_to_string(workspace_root().join("crates").join(name).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let named = manifest.get("dependencies").and_then(|d| d.as_table()).unwrap();
        for dependency in named.keys().filter(|d| allowed.contains_key(d.as_str())) {
            assert!(
                may.contains(&dependency.as_str()),
                "{name} must not depend on {dependency}: see ARCHITECTURE.md"
            );
        }
    }
}

#[test]
fn what_has_one_place_is_named_in_that_place_only() {
    let mut offences = Vec::new();
    for file in rust_files(&workspace_root().join("crates")) {
        let (place, text) = (below_crates(&file), fs::read_to_string(&file).unwrap());
        for (word, homes, why) in ONLY_IN {
            let at_home = homes.iter().any(|home| place.starts_with(home));
            // Tests may use a foreign client of the real library.
            let in_tests = place.contains("/tests/") || place.contains("/benches/");
            if at_home || in_tests {
                continue;
            }
            for (line, _) in code_lines(&text).filter(|(_, code)| code.contains(word)) {
                offences.push(format!("{place}:{line} names {word}: {why}"));
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn decisions_take_now_as_an_argument() {
    let mut offences = Vec::new();
    for file in rust_files(&workspace_root().join("crates")) {
        let (place, text) = (below_crates(&file), fs::read_to_string(&file).unwrap());
        if !NO_CLOCK.iter().any(|home| place.starts_with(home)) || place.contains("test") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or("");
        for (line, _) in code_lines(code).filter(|(_, l)| l.contains("SystemTime::now") || l.contains("Instant::now")) {
            offences.push(format!("{place}:{line} reads a clock"));
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn every_file_says_its_one_thought_and_keeps_to_it() {
    let mut offences = Vec::new();
    let root = workspace_root();
    for folder in ["crates", "tests", "xtask"] {
        for file in rust_files(&root.join(folder)) {
            let (place, text) = (
                file.strip_prefix(&root).unwrap_or(&file).display(),
                fs::read_to_string(&file).unwrap(),
            );
            if !text.starts_with("//!") {
                offences.push(format!("{place} does not start with //!"));
            }
            if text.lines().count() > MAX_LINES {
                offences.push(format!(
                    "{place} has {} lines, more than {MAX_LINES}",
                    text.lines().count()
                ));
            }
            for (at, line) in text.lines().enumerate() {
                // Split, so that this file does not find itself.
                if ["#[ign", "TO", "FIX", "todo"]
                    .iter()
                    .zip(["ore]", "DO", "ME", "!("])
                    .any(|(a, b)| line.contains(&format!("{a}{b}")))
                {
                    offences.push(format!("{place}:{} leaves something open", at + 1));
                }
                if line.ends_with(' ') {
                    offences.push(format!("{place}:{} ends with a space", at + 1));
                }
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}
