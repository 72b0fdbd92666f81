//! docs/runbook.md is whole: each alert about ourselves, each readiness condition and each Prometheus alert has its section; and
//! the Prometheus alerts fire where they should, not where all is well, and ask for metrics that exist.
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use alerting::rules::Kind;
use serde_json::Value;
use tests::{Stack, StackSpec, Webhook, python, workspace_root};

/// Kinds about the way of the data that are also about a device.
const ABOUT_THE_PIPELINE: &[Kind] = &[
    Kind::FramesRejected,
    Kind::ClockSkew,
    Kind::IdentityConflict,
    Kind::NeverSeen,
    Kind::NotSeen,
    Kind::DeviceSilent,
];

fn read(path: &str) -> String {
    std::fs::read_to_string(workspace_root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn prometheus(file: &str) -> PathBuf {
    workspace_root().join("deploy/prometheus").join(file)
}

/// A section says what it means and what to do.
fn assert_has_section(heading: &str) {
    let runbook = read("docs/runbook.md");
    let start = format!("\n### {heading}\n");
    let found = runbook.split_once(&start);
    let (_, rest) = found.unwrap_or_else(|| panic!("docs/runbook.md has no section {heading}"));
    let section = rest.split("\n##").next().unwrap();
    for part in ["**Means:** ", "**Do:** "] {
        assert!(section.contains(part), "section {heading} lacks {part}");
    }
}

#[test]
fn every_rule_about_ourselves_has_its_section() {
    let ours = Kind::ALL
        .iter()
        .filter(|kind| kind.is_ours() || kind.is_data_quality() || ABOUT_THE_PIPELINE.contains(kind));
    for kind in ours {
        assert_has_section(&format!("`{kind}`"));
    }
}

#[test]
fn every_readiness_condition_has_its_section() {
    // What only parts that run apart have.
    for name in [
        uplink::forward::CONDITION,
        uplink::receive::CONDITION,
        uplink::fence::CONDITION,
    ] {
        assert_has_section(&format!("`{name}`"));
    }
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec::plain(&webhook));
    let report = stack.json("/readyz");
    let names = report["green"].as_array().unwrap();
    assert!(names.len() >= 9, "{report}");
    let mut names: BTreeSet<String> = names.iter().map(text).collect();
    // Those of processes apart, which do not stand in this one.
    for file in [
        "crates/uplink/src/forward/mod.rs",
        "crates/uplink/src/receive.rs",
        "crates/dermatel/src/follow.rs",
    ] {
        let source = read(file);
        let (_, rest) = source.split_once(" const CONDITION: &str = \"").unwrap();
        names.insert(rest.split('"').next().unwrap().to_owned());
    }
    for name in names {
        assert_has_section(&format!("`{name}`"));
    }
}

#[test]
fn every_prometheus_alert_has_its_section_and_its_cases() {
    let alerts: BTreeSet<String> = rules().into_iter().map(|rule| text(&rule["alert"])).collect();
    assert!(alerts.len() > 20, "{alerts:?}");
    for alert in &alerts {
        assert_has_section(alert);
    }
    let (mut fire, mut calm) = (BTreeSet::new(), BTreeSet::new());
    for test in yaml("dermatel.rules.test.yml")["tests"].as_array().unwrap() {
        for case in test["alert_rule_test"].as_array().unwrap() {
            let expected = case["exp_alerts"].as_array().unwrap();
            let of = if expected.is_empty() { &mut calm } else { &mut fire };
            of.insert(text(&case["alertname"]));
        }
    }
    assert_eq!(fire, alerts, "each has a case in which it fires");
    assert_eq!(calm, alerts, "each has a case in which it does not");
    for args in [
        &["check", "rules", "dermatel.rules.yml"],
        &["test", "rules", "dermatel.rules.test.yml"],
        &["check", "config", "prometheus.yml"],
    ] {
        let out = Command::new("promtool")
            .args(args)
            .current_dir(prometheus(""))
            .output()
            .unwrap_or_else(|e| panic!("promtool is missing ({e}): `cargo xtask test` installs it"));
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{args:?}: {said}");
    }
}

#[test]
fn every_metric_that_an_alert_asks_for_is_one_of_ours() {
    let known: String = [
        "crates/service/src/telemetry_names.rs",
        "crates/service/src/metrics.rs",
        "crates/gateway/src/metrics.rs",
        "crates/gateway/src/endpoint/metrics.rs",
        "crates/ingestor/src/metrics.rs",
        "crates/alerting/src/metrics.rs",
        "crates/uplink/src/metrics.rs",
        "crates/console/src/metrics.rs",
        "crates/dermatel/src/spool_watch.rs",
        "crates/dermatel/src/registry_watch.rs",
        "crates/dermatel/src/standing.rs",
    ]
    .into_iter()
    .map(read)
    .collect();
    for rule in rules() {
        let expression = text(&rule["expr"]);
        // A metric is what stands before its labels.
        let metrics = expression.match_indices('{').map(|(at, _)| {
            let before = &expression[..at];
            let begins = before.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            before[begins.map_or(0, |at| at + 1)..].to_owned()
        });
        let metrics: Vec<String> = metrics.collect();
        assert!(!metrics.is_empty(), "{expression}");
        for metric in metrics.iter().filter(|metric| *metric != "up") {
            assert!(
                known.contains(&format!("\"{metric}\"")),
                "{}: no metric {metric}",
                rule["alert"]
            );
        }
    }
}

#[test]
fn no_link_of_the_documentation_leads_nowhere() {
    let mut pages = vec![
        workspace_root().join("README.md"),
        workspace_root().join("ARCHITECTURE.md"),
    ];
    for folder in ["docs", "docs/deploy"] {
        let files = std::fs::read_dir(workspace_root().join(folder)).unwrap();
        let files = files.map(|file| file.unwrap().path());
        pages.extend(files.filter(|file| file.extension().is_some_and(|e| e == "md")));
    }
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                page.clone()
            } else {
                page.with_file_name(file)
            };
            assert!(target.exists(), "{}: {link}", page.display());
            assert!(
                anchor.is_empty() || anchors(&target).contains(anchor),
                "{}: no {link}",
                page.display()
            );
        }
    }
}

/// The names by which the headings of a page can be linked.
fn anchors(page: &std::path::Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let name = |line: &str| -> String {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(name).collect()
}

fn rules() -> Vec<Value> {
    let groups = yaml("dermatel.rules.yml");
    let groups = groups["groups"].as_array().unwrap().iter();
    groups
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

fn yaml(file: &str) -> Value {
    let out = Command::new(python())
        .arg(workspace_root().join("tests/deploy/yaml_to_json.py"))
        .arg(prometheus(file))
        .output()
        .unwrap();
    let documents: Value = serde_json::from_slice(&out.stdout).unwrap();
    documents[0].clone()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}
