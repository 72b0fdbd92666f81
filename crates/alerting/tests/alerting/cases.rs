//! A case tells its author what did not come, what came unasked, and where the file is wrong.
use std::sync::Arc;

use alerting::RegistryFleet;
use alerting::cases::{self, CaseError, Setting};
use alerting::rules::builtin;

use crate::support::registry;

/// One stroke at 1900 µm on a cheek (limit 1000, guard band 150 + 6 * 20 = 270): it fires alone.
const TOO_DEEP: &str = r#"
what = "one stroke is too deep"
[[input]]
at_s = 0
device = "autoclave-1"
cycle = { id = "c1", items = ["pen-1"], outcome = "pass" }
[[input]]
at_s = 1
session = 1
visit = 1
strokes = { first_ordinal = 0, zone = "cheek", set_um = 700, depth_um = [[10, 700], [1, 1900]] }
"#;

fn setting() -> Setting {
    Setting {
        rules: Arc::new(builtin().unwrap()),
        fleet: Arc::new(RegistryFleet(Arc::new(registry()))),
        tenant: "acme".parse().unwrap(),
    }
}

fn diff(expect: &str) -> Option<String> {
    let case = cases::read(&format!("{TOO_DEEP}{expect}")).unwrap();
    let got = cases::run(&case, &setting(), false).unwrap();
    cases::diff(&case.expect, &got)
}

const FIRES: &str =
    "[[expect]]\ninput = 1\nrule = \"depth-above-limit\"\nto = \"firing\"\nwhy = \"raised\"\npage = true\n";

#[test]
fn what_was_expected_and_came_is_no_difference() {
    assert_eq!(diff(&format!("{FIRES}value = 1900\nlimit = 1000\n")), None);
}

#[test]
fn what_came_unasked_and_what_did_not_come_are_told_in_their_places() {
    assert_eq!(
        diff("").unwrap(),
        "  + 1: depth-above-limit -> firing (raised) page 1900.00 of 1000.00\n"
    );
    let other = "[[expect]]\ninput = 0\nrule = \"indicator-overdue\"\nto = \"firing\"\nwhy = \"raised\"\n";
    assert_eq!(
        diff(&format!("{other}{FIRES}")).unwrap(),
        "  - 0: indicator-overdue -> firing (raised) any of any\n    1: depth-above-limit -> firing (raised) page 1900.00 of 1000.00\n"
    );
    assert!(
        diff(&format!("{FIRES}value = 1800\n"))
            .unwrap()
            .starts_with("  - 1: depth-above-limit")
    );
}

#[test]
fn a_file_that_is_wrong_says_its_line_and_a_step_that_cannot_be_its_index() {
    match cases::read("what = \"x\"\n[[input]]\nat_s = 1\ncolour = 2\n") {
        Err(CaseError::File { line: 4, what }) => assert!(what.contains("colour"), "{what}"),
        other => panic!("{other:?}"),
    }
    let case = cases::read("what = \"x\"\n[[input]]\nat_s = 1\ndevice = \"pen-99\"\nsession = 1\n").unwrap();
    let error = cases::run(&case, &setting(), false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "input 0: acme/pen-99 is not in the registry: say its clinic"
    );
}
