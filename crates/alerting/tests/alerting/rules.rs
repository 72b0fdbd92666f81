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
fn a_delay_that_would_hide_harm_or_is_longer_than_anybody_should_wait_is_refused() {
    let rule = |kind: &str, priority: &str, delay: &str| {
        format!("[[rule]]\nid = \"d\"\nkind = \"{kind}\"\npriority = \"{priority}\"\nwhat_to_do = \"stop\"\n{delay}\n")
    };
    for (kind, priority, delay, what) in [
        (
            "device_silent",
            "high",
            "on_delay_s = 5",
            "r.toml:6: on_delay_s: what is of high priority",
        ),
        (
            "depth_above_limit",
            "medium",
            "on_delay_s = 5",
            "r.toml:6: on_delay_s: a rule of kind depth_above_limit must not wait",
        ),
        (
            "pulse_above_set",
            "medium",
            "off_delay_s = 5",
            "r.toml:6: off_delay_s: a rule of kind pulse_above_set must not wait",
        ),
        (
            "sterilization_overdue",
            "medium",
            "on_delay_s = 5",
            "r.toml:6: on_delay_s: a rule of kind",
        ),
        (
            "device_silent",
            "medium",
            "on_delay_s = 61",
            "r.toml:6: on_delay_s must be at most 60",
        ),
        (
            "device_silent",
            "medium",
            "off_delay_s = 301",
            "r.toml:6: off_delay_s must be at most 300",
        ),
    ] {
        let text = faults(&rule(kind, priority, delay));
        assert!(text.starts_with(what), "{text}");
    }
    let fine = rule(
        "device_silent",
        "medium",
        "on_delay_s = 60\noff_delay_s = 300\nparameters = {}",
    );
    assert!(parse(&[("r.toml".to_owned(), fine)]).is_ok());
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

/// The limit of pen-1 of tenant acme on its cheek, by the overrides that are written here; the registry allows 1000.
fn cheek_limit(overrides: &str) -> u32 {
    use alerting::fleet::Fleet as _;
    let text = format!("{GOOD}parameters = {{ k_strokes = 3, n_strokes = 10, clear_after_strokes = 5 }}\n{overrides}");
    let rules = parse(&[("r.toml".to_owned(), text)]).unwrap();
    let fleet = alerting::RegistryFleet(std::sync::Arc::new(crate::support::registry()));
    let key = telemetry::DeviceKey {
        tenant: "acme".parse().unwrap(),
        device: "pen-1".parse().unwrap(),
    };
    let facts = fleet.facts(&key).unwrap();
    let scope = alerting::rules::Scope {
        tenant: &key.tenant,
        clinic: &facts.clinic,
        device: &key.device,
        model: &facts.model,
        zone: Some(telemetry::Zone::Cheek),
        skin_type: None,
    };
    alerting::rules::depth::DepthBounds::resolve(&rules, &facts, &scope).limit_um
}

#[test]
fn the_most_specific_override_wins_whatever_the_order_and_never_beyond_the_registrys_bound() {
    let of = |what: &str, limit: u32| format!("[[rule.override]]\n{what}\nparameters = {{ limit_um = {limit} }}\n");
    // From the least to the most specific.
    let scopes = [
        ("zone = \"cheek\"", 990),
        ("model = \"pen\"", 980),
        ("model = \"pen\"\nzone = \"cheek\"", 970),
        ("tenant = \"acme\"", 960),
        ("clinic = \"north\"\ntenant = \"acme\"", 950),
        ("device = \"pen-1\"\ntenant = \"acme\"", 940),
    ];
    assert_eq!(cheek_limit(""), 1_000);
    for most in 1..=scopes.len() {
        let some: Vec<String> = scopes[..most].iter().map(|(what, limit)| of(what, *limit)).collect();
        let wanted = scopes[most - 1].1;
        assert_eq!(cheek_limit(&some.concat()), wanted);
        let turned: Vec<String> = some.into_iter().rev().collect();
        assert_eq!(cheek_limit(&turned.concat()), wanted);
    }
    // Of somebody else.
    for other in [
        "zone = \"chin\"",
        "tenant = \"other\"",
        "clinic = \"south\"",
        "device = \"pen-2\"",
        "model = \"light\"",
    ] {
        assert_eq!(cheek_limit(&of(other, 100)), 1_000, "{other}");
    }
    // Wider than the registry allows: the registry holds.
    assert_eq!(cheek_limit(&of("device = \"pen-1\"", 2_400)), 1_000);
}
