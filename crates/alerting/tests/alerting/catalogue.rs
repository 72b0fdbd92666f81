//! Every row of the catalogue has a vector that was computed by hand: inputs in, transitions out.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alerting::RegistryFleet;
use alerting::cases::{self, Case, Setting};
use alerting::rules::{Kind, builtin};

use crate::support::registry;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn vectors() -> Vec<(String, Case)> {
    let mut found: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let case = cases::read(&std::fs::read_to_string(&path).unwrap());
            (name.clone(), case.unwrap_or_else(|e| panic!("{name}: {e}")))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn every_vector_gives_the_transitions_that_were_computed_by_hand() {
    let setting = Setting {
        rules: Arc::new(builtin().unwrap()),
        fleet: Arc::new(RegistryFleet(Arc::new(registry()))),
        tenant: "acme".parse().unwrap(),
    };
    let mut failures = Vec::new();
    for (name, case) in vectors() {
        for restart in [false, true] {
            let got = cases::run(&case, &setting, restart).unwrap_or_else(|e| panic!("{name}: {e}"));
            if let Some(diff) = cases::diff(&case.expect, &got) {
                failures.push(format!("{name} (restart {restart}):\n{diff}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_row_of_the_catalogue_is_whole_and_every_rule_has_a_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/rules/catalogue.md");
    let text = std::fs::read_to_string(root).unwrap();
    let rows: Vec<Vec<String>> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            line.trim_matches('|')
                .split(" | ")
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect();
    let vectors: BTreeMap<String, Case> = vectors().into_iter().collect();
    let rules = builtin().unwrap();
    for kind in Kind::ALL {
        let head = rules
            .head(*kind)
            .unwrap_or_else(|| panic!("{kind} has no default rule"));
        let row = rows.iter().find(|row| row[0] == format!("`{}`", head.id));
        let row = row.unwrap_or_else(|| panic!("{} has no row in the catalogue", head.id));
        assert_eq!(
            row.len(),
            8,
            "{}: a row has id, hazard, fields, formula, default, priority, fault, vectors",
            head.id
        );
        assert!(row.iter().all(|cell| !cell.is_empty()), "{}: an empty cell", head.id);
        assert_eq!(
            row[5],
            head.priority.as_str(),
            "{}: priority of the row is not that of the rule",
            head.id
        );
        for name in row[7].split(", ") {
            let name = name.trim_matches('`');
            let vector = vectors
                .get(name)
                .unwrap_or_else(|| panic!("{}: there is no vector {name}", head.id));
            assert_eq!(vector.kind.as_deref(), Some(kind.as_str()), "{name} is of another kind");
            let fires = vector.expect.iter().any(|e| e.rule == *head.id && e.to == "firing");
            assert!(
                fires || row[7].contains(", "),
                "{name}: a hazard's only vector must fire"
            );
        }
    }
    assert_eq!(rows.len(), Kind::ALL.len(), "a row without a rule");
}
