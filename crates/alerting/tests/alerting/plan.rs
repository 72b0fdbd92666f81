//! The plan as it is written: what is refused with file and line, who is on call across a change of the clocks, who would be told.
use std::collections::BTreeMap;
use std::path::Path;

use alerting::config::Receiver;
use alerting::paging::plan::{Against, Read, load_dir, parse};
use alerting::paging::{Labels, parse_time, who};
use alerting::rules::{RulesError, builtin};
use telemetry::{Priority, UnixMicros};

use crate::planner::receivers;

const GOOD: &str = r#"
[[person]]
name = "Kim"
receivers = ["kim"]
[[person]]
name = "Lee"
receivers = ["lee"]
[[rota]]
name = "r"
calendar = "r.ics"
otherwise = ["person:Kim"]
[[chain]]
name = "c"
steps = [{ tell = ["rota:r"], wait = "5m" }]
[[route]]
chain = "c"
"#;

const CALENDAR: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:n\r\nSUMMARY:Kim\r\n\
    DTSTART;TZID=Europe/Berlin:20260301T200000\r\nDTEND;TZID=Europe/Berlin:20260302T080000\r\nRRULE:FREQ=DAILY\r\nEND:VEVENT\r\n\
    BEGIN:VEVENT\r\nUID:d\r\nSUMMARY:Lee\r\nDTSTART;TZID=Europe/Berlin:20260301T080000\r\n\
    DTEND;TZID=Europe/Berlin:20260301T200000\r\nRRULE:FREQ=DAILY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

fn time(text: &str) -> UnixMicros {
    parse_time(text).unwrap()
}

fn read(toml: &str, calendar: &str) -> Result<Read, RulesError> {
    read_with(toml, calendar, &receivers(&["kim", "lee"]))
}

fn read_with(toml: &str, calendar: &str, receivers: &[Receiver]) -> Result<Read, RulesError> {
    let texts = BTreeMap::from([
        ("plan.toml".to_owned(), toml.to_owned()),
        ("r.ics".to_owned(), calendar.to_owned()),
    ]);
    let rules = builtin().unwrap();
    let against = Against {
        receivers,
        rules: &rules,
        tenants: &["acme".to_owned(), "other".to_owned()],
        now: time("2026-11-22T12:00:00Z"),
    };
    parse("plan", &texts, against)
}

fn faults(toml: &str, calendar: &str) -> Vec<String> {
    match read(toml, calendar) {
        Err(RulesError::Faults(faults)) => faults.iter().map(ToString::to_string).collect(),
        other => panic!("not refused: {:?}", other.map(|read| read.stale)),
    }
}

fn labels(priority: Priority) -> Labels {
    Labels {
        tenant: "acme".into(),
        clinic: "north".into(),
        device: "pen-1".into(),
        rule: "depth-above-limit".into(),
        kind: "depth_above_limit".into(),
        priority,
    }
}

#[test]
fn a_plan_that_is_right_is_taken_without_a_word() {
    let read = read(GOOD, CALENDAR).unwrap_or_else(|e| panic!("{e}"));
    assert!(
        read.warnings.is_empty() && read.stale.is_empty(),
        "{:?} {:?}",
        read.warnings,
        read.stale
    );
}

/// Berlin put its clocks forward on 2026-03-29 at 02:00 and back on 2026-10-25 at 03:00: the night is 11 and 13 hours long, and
/// hand-over is at 08:00 on the wall, that is at 06:00 and 07:00 UTC, before and after.
#[test]
fn hand_over_is_at_eight_on_the_wall_also_after_a_night_in_which_the_clocks_changed() {
    for (at, person) in [
        ("2026-03-28T18:59:59Z", "lee"),
        ("2026-03-28T19:00:00Z", "kim"),
        ("2026-03-29T05:59:59Z", "kim"),
        ("2026-03-29T06:00:00Z", "lee"),
        ("2026-10-24T18:00:00Z", "kim"),
        ("2026-10-25T06:59:59Z", "kim"),
        ("2026-10-25T07:00:00Z", "lee"),
        ("2026-10-25T18:59:59Z", "lee"),
    ] {
        let plan = read(GOOD, CALENDAR).unwrap().plan;
        let told = who(&plan, &labels(Priority::High), time(at));
        let names: Vec<&str> = told[0].whom.iter().map(|(receiver, _)| receiver.as_str()).collect();
        assert_eq!(names, [person], "{at}");
    }
}

#[test]
fn every_fault_is_named_with_its_file_and_line() {
    let with = |more: &str| format!("{GOOD}{more}");
    let cases = [
        (
            GOOD.replace("[\"kim\"]", "[\"kym\"]"),
            "plan/plan.toml:2: person Kim: receiver kym is not configured",
        ),
        (GOOD.replace("rota:r", "rota:q"), "rota q is not there"),
        (
            GOOD.replace("otherwise = [\"person:Kim\"]", "otherwise = []"),
            "otherwise must name",
        ),
        (
            GOOD.replace("r.ics", "s.ics"),
            "plan/plan.toml:8: calendar s.ics is not in the folder",
        ),
        (GOOD.replace("wait = \"5m\"", "wait = \"5\""), "plan/plan.toml:"),
        (with("min_priority = \"high\"\n"), "would page nobody"),
        (with("tenant = \"acme\"\n"), "would page nobody"),
        (
            with("group = { by = [\"clinic\"], wait = \"1m\" }\n"),
            "a high priority page never waits",
        ),
        (
            with("rule = \"depth_abov\"\n"),
            "depth_abov is neither the id nor the kind of a rule",
        ),
        (
            GOOD.replace("wait = \"5m\" }]", "wait = \"5m\" }]\nthen = \"c\""),
            "goes on in a circle",
        ),
        (
            GOOD.replace("wait = \"5m\" }]", "wait = \"5m\" }]\nonce = true"),
            "ends although a person may still be needed",
        ),
        (
            with("[[inhibit]]\nsource = \"device_silent\"\ntarget = \"gateway_silent\"\nequal = [\"gateway\"]\n"),
            "circle",
        ),
        (
            with("[[inhibit]]\nsource = \"device_silent\"\ntarget = \"context_missing\"\nequal = [\"tenant\"]\n"),
            "equal must hold",
        ),
        (with("during = \"open\"\n"), "hours open are not there"),
        (
            with(
                "during = \"open\"\n[[hours]]\nname = \"open\"\ntime_zone = \"Europe/Berlin\"\ndays = [\"mon\"]\nfrom = \"09:00\"\nto = \"18:00\"\n",
            ),
            "would page nobody",
        ),
    ];
    for (toml, expected) in cases {
        let faults = faults(&toml, CALENDAR);
        assert!(
            faults.iter().any(|fault| fault.contains(expected)),
            "{expected}: {faults:?}"
        );
    }
    let unknown = faults(GOOD, &CALENDAR.replace("SUMMARY:Lee", "SUMMARY:Leo"));
    assert_eq!(unknown, ["plan/r.ics:11: Leo is no person of the plan"]);
    let zone = faults(GOOD, &CALENDAR.replace("TZID=Europe/Berlin", "TZID=Mars/Base"));
    assert!(
        zone[0].starts_with("plan/r.ics:4: DTSTART: time zone Mars/Base is not known"),
        "{zone:?}"
    );
    assert!(faults(GOOD, "rubbish")[0].starts_with("plan/r.ics:"), "rubbish");
}

/// Kim has a push for everything and a phone for what is high.
#[test]
fn a_receivers_min_priority_holds_under_a_plan_and_a_step_that_would_tell_nobody_is_refused() {
    let mut configured = receivers(&["kim", "lee", "phone"]);
    configured[2].min_priority = Some(Priority::High);
    let with_phone = GOOD.replace("[\"kim\"]", "[\"kim\", \"phone\"]");
    let plan = read_with(&with_phone, CALENDAR, &configured)
        .unwrap_or_else(|e| panic!("{e}"))
        .plan;
    let told = |priority| {
        let told = who(&plan, &labels(priority), time("2026-11-22T22:00:00Z"));
        told[0]
            .whom
            .iter()
            .map(|(receiver, _)| receiver.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(told(Priority::High), ["kim", "phone"]);
    assert_eq!(told(Priority::Medium), ["kim"]);
    // By phone alone nobody hears of what is less urgent: neither on call, nor by name.
    let only = GOOD.replace("[\"lee\"]", "[\"phone\"]");
    let by_name = format!(
        "{GOOD}priorities = [\"high\"]\n[[chain]]\nname = \"p\"\nsteps = [{{ tell = [\"receiver:phone\"] }}]\n[[route]]\nchain = \"p\"\n"
    );
    for (toml, whom) in [(only, "rota:r"), (by_name, "receiver:phone")] {
        let Err(RulesError::Faults(faults)) = read_with(&toml, CALENDAR, &configured) else {
            panic!("not refused: {whom}");
        };
        let line = toml
            .lines()
            .enumerate()
            .filter(|(_, line)| *line == "[[route]]")
            .last()
            .unwrap()
            .0
            + 1;
        let expected = format!(
            "plan/plan.toml:{line}: would tell nobody of low priority: min_priority of the receivers of {whom} is higher"
        );
        assert_eq!(faults.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
    }
}

#[test]
fn a_rota_that_has_expired_or_has_gaps_says_so() {
    let ended = CALENDAR.replace("RRULE:FREQ=DAILY", "RRULE:FREQ=DAILY;UNTIL=20261101T000000Z");
    let read_ended = read(GOOD, &ended).unwrap();
    assert!(
        read_ended.stale[0]
            .to_string()
            .contains("plan/r.ics:4: rota r has expired")
    );
    let weekdays = CALENDAR.replace("RRULE:FREQ=DAILY", "RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR");
    let gaps = read(GOOD, &weekdays).unwrap();
    assert!(
        gaps.warnings[0]
            .to_string()
            .contains("nobody is on call from 2026-11-22T12:00:00.000Z to 2026-11-23T07:00:00.000Z")
    );
}

/// The last shift begins on the 28th at 20:00 in Berlin and ends at 08:00 on the 29th: six days and 19 hours ahead.
#[test]
fn a_rota_whose_last_shift_ends_within_the_time_it_names_says_so_and_when() {
    let ends = CALENDAR.replace("RRULE:FREQ=DAILY", "RRULE:FREQ=DAILY;UNTIL=20261128T190000Z");
    let said = |toml: &str| {
        let read = read(toml, &ends).unwrap_or_else(|e| panic!("{e}"));
        assert!(read.stale.is_empty());
        read.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let end = "plan/r.ics:4: rota r ends: nobody is on call from 2026-11-29T07:00:00.000Z on";
    assert_eq!(said(GOOD), [end], "a week ahead if nothing else is said");
    let later = |before: &str| GOOD.replace("name = \"r\"", &format!("name = \"r\"\nwarn_before = \"{before}\""));
    assert_eq!(said(&later("7d")), [end]);
    assert_eq!(said(&later("6d")), Vec::<String>::new());
    let far = faults(&later("91d"), &ends);
    assert_eq!(far, ["plan/plan.toml:8: rota r: warn_before must be at most 90d"]);
    let name = faults(
        &GOOD
            .replace("name = \"r\"", "name = \"Duty!\"")
            .replace("rota:r", "rota:Duty!"),
        CALENDAR,
    );
    assert!(
        name[0].starts_with("plan/plan.toml:8: rota Duty!: its name must be"),
        "{name:?}"
    );
}

#[test]
fn rules_that_would_not_tell_of_a_rota_that_runs_out_are_worth_a_word() {
    let texts = BTreeMap::from([
        ("plan.toml".to_owned(), GOOD.to_owned()),
        ("r.ics".to_owned(), CALENDAR.to_owned()),
    ]);
    let own = "[[rule]]\nid = \"deep\"\nkind = \"depth_above_limit\"\npriority = \"high\"\nwhat_to_do = \"Stop.\"\n\
               [rule.parameters]\nk_strokes = 3\nn_strokes = 5\nclear_after_strokes = 20\n";
    let rules = alerting::rules::parse(&[("r.toml".to_owned(), own.to_owned())]).unwrap();
    let against = Against {
        receivers: &receivers(&["kim", "lee"]),
        rules: &rules,
        tenants: &[],
        now: time("2026-11-22T12:00:00Z"),
    };
    let read = parse("plan", &texts, against).unwrap_or_else(|e| panic!("{e}"));
    let said: Vec<String> = read.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["plan/plan.toml:8: rota r: there is no rule of kind rota_ends, so nobody is told when it runs out"]
    );
}

#[test]
fn further_dates_of_an_event_are_shifts_too() {
    let once = CALENDAR.replacen(
        "RRULE:FREQ=DAILY",
        "RDATE;TZID=Europe/Berlin:20261125T200000,20261127T200000",
        1,
    );
    let plan = read(GOOD, &once).unwrap_or_else(|e| panic!("{e}")).plan;
    let because = |at: &str| who(&plan, &labels(Priority::High), time(at))[0].whom[0].1.clone();
    for (at, expected) in [
        ("2026-03-01T20:00:00Z", "Kim is on call"),
        ("2026-11-25T23:00:00Z", "Kim is on call"),
        ("2026-11-26T23:00:00Z", "nobody is on call"),
        ("2026-11-28T06:59:59Z", "Kim is on call"),
        ("2026-11-28T23:00:00Z", "nobody is on call"),
    ] {
        assert!(because(at).contains(expected), "{at}: {}", because(at));
    }
    let period = once.replace("20261125T200000,", "20261125T190000Z/PT1H,");
    assert_eq!(
        faults(GOOD, &period),
        ["plan/r.ics:4: RDATE: periods are not understood, write an event of its own"]
    );
}

#[test]
fn when_nobody_is_on_call_whoever_is_named_otherwise_is_told() {
    let ended = CALENDAR.replace("RRULE:FREQ=DAILY", "RRULE:FREQ=DAILY;UNTIL=20261101T000000Z");
    let plan = read(GOOD, &ended).unwrap().plan;
    let told = who(&plan, &labels(Priority::High), time("2026-11-22T12:00:00Z"));
    assert_eq!(told[0].whom[0].0, "kim");
    assert!(
        told[0].whom[0].1.contains("nobody is on call in rota r"),
        "{:?}",
        told[0].whom
    );
}

#[test]
fn a_shift_that_was_moved_or_left_out_counts_as_the_calendar_shows_it() {
    let moved = "BEGIN:VEVENT\r\nUID:d\r\nSUMMARY:Kim\r\nRECURRENCE-ID;TZID=Europe/Berlin:20261201T080000\r\n\
        DTSTART;TZID=Europe/Berlin:20261201T100000\r\nDTEND;TZID=Europe/Berlin:20261201T200000\r\nEND:VEVENT\r\nEND:VCALENDAR";
    let calendar = CALENDAR.replace(
        "RRULE:FREQ=DAILY\r\nEND:VEVENT\r\nEND:VCALENDAR",
        &format!("RRULE:FREQ=DAILY\r\nEXDATE;TZID=Europe/Berlin:20261202T080000\r\nEND:VEVENT\r\n{moved}"),
    );
    let plan = read(GOOD, &calendar).unwrap_or_else(|e| panic!("{e}")).plan;
    let because = |at: &str| who(&plan, &labels(Priority::High), time(at))[0].whom[0].1.clone();
    assert!(because("2026-12-01T07:30:00Z").contains("nobody is on call"));
    assert!(because("2026-12-01T09:30:00Z").contains("Kim is on call"));
    assert!(because("2026-12-02T09:30:00Z").contains("nobody is on call"));
    assert!(because("2026-12-03T09:30:00Z").contains("Lee is on call"));
}

#[test]
fn the_example_plan_is_right_and_says_who_is_told_on_christmas_eve() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/paging");
    let receivers = receivers(&["kim-push", "kim-phone", "lee-push", "buzzer-mitte", "desk"]);
    let rules = builtin().unwrap();
    let against = Against {
        receivers: &receivers,
        rules: &rules,
        tenants: &["aurora".to_owned(), "belle".to_owned()],
        now: time("2026-11-22T12:00:00Z"),
    };
    let read = load_dir(&dir, against).unwrap_or_else(|e| panic!("{e}"));
    assert!(read.warnings.is_empty() && read.stale.is_empty(), "{:?}", read.warnings);
    let labels = Labels {
        tenant: "aurora".into(),
        clinic: "aurora-mitte".into(),
        ..labels(Priority::High)
    };
    let told = who(&read.plan, &labels, time("2026-12-24T11:00:00+01:00"));
    let first: Vec<_> = told
        .iter()
        .filter(|s| s.repetition == 0)
        .map(|s| (s.route.as_str(), s.step, s.whom[0].0.as_str()))
        .collect();
    // The buzzer at once; nobody is on call in daytime, so the phone and the desk; then the same again.
    assert_eq!(
        first,
        [
            ("buzzer", 1, "buzzer-mitte"),
            ("urgent", 1, "kim-phone"),
            ("urgent", 2, "kim-phone")
        ]
    );
    let sylvester = who(&read.plan, &labels, time("2026-12-31T23:00:00+01:00"));
    let urgent = sylvester.iter().find(|step| step.route == "urgent").unwrap();
    assert!(
        urgent.whom[0].1.contains("Lee is on call by an override"),
        "{:?}",
        urgent.whom
    );
    assert!(urgent.waits.as_deref().unwrap().contains("10s"));
}

proptest::proptest! {
    #[test]
    fn no_calendar_and_no_plan_however_broken_does_more_than_being_refused(cut in 0usize..900, with in "[ -~\r\n]{0,40}", toml in "[ -~\n]{0,200}") {
        let cut = cut.min(CALENDAR.len());
        let broken = format!("{}{with}{}", &CALENDAR[..cut], &CALENDAR[cut..]);
        let _ = read(GOOD, &broken);
        let _ = read(&toml, CALENDAR);
    }
}
