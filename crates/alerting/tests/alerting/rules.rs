//! Rule files are refused as a whole, with file and line.
use alerting::rules::{Kind, RulesError, parse};

fn faults(text: &str) -> String {
    match parse(&[("r.toml".to_owned(), text.to_owned())]) {
        Err(RulesError::Faults(faults)) => faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        other => panic!("{other:?}"),
    }
}

const GOOD: &str = "[[rule]]\nid = \"d\"\nkind = \"depth_above_limit\"\npriority = \"high\"\nwhat_to_do = \"stop\"\n";

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    assert!(faults(&format!("{GOOD}colour = \"red\"\n")).starts_with("r.toml:6: unknown field `colour`"));
    let parameters = "[rule.parameters]\nk_strokes = 3\nn_strokes = 10\nclear_after_strokes = 5\nlimit_mm = 1\n";
    let text = faults(&format!("{GOOD}{parameters}"));
    assert!(
        text.starts_with("r.toml:6: parameters: unknown field `limit_mm`"),
        "{text}"
    );
}

#[test]
fn every_fault_is_told_at_once() {
    let text = "[[rule]]\nid = \"A\"\nkind = \"depth_above_limit\"\npriority = \"high\"\nwhat_to_do = \"x\"\n\
                [[rule]]\nid = \"b\"\nkind = \"depth\"\npriority = \"high\"\nwhat_to_do = \"x\"\n\
                [[rule]]\nid = \"c\"\nkind = \"sequence_reused\"\npriority = \"low\"\nwhat_to_do = \" \"\n";
    let text = faults(text);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("r.toml:2: id must be"), "{text}");
    assert!(lines[1].starts_with("r.toml:8: kind is none of"), "{text}");
    assert!(lines[2].starts_with("r.toml:15: what_to_do is empty"), "{text}");
}

#[test]
fn a_window_that_cannot_be_is_refused() {
    let text = faults(&format!(
        "{GOOD}parameters = {{ k_strokes = 11, n_strokes = 10, clear_after_strokes = 5 }}\n"
    ));
    assert!(text.starts_with("r.toml:6: k_strokes and n_strokes must be"), "{text}");
}

#[test]
fn two_overrides_for_the_same_are_refused() {
    let text = format!(
        "{GOOD}parameters = {{ k_strokes = 3, n_strokes = 10, clear_after_strokes = 5 }}\n\
         [[rule.override]]\nzone = \"cheek\"\nparameters = {{ limit_um = 900 }}\n\
         [[rule.override]]\nzone = \"cheek\"\nparameters = {{ limit_um = 800 }}\n"
    );
    assert!(
        faults(&text).contains("two overrides are for the same"),
        "{}",
        faults(&text)
    );
}

#[test]
fn the_rules_that_come_with_the_program_have_every_kind() {
    let rules = alerting::rules::builtin().unwrap();
    assert!(Kind::ALL.iter().all(|kind| rules.head(*kind).is_some()));
}
