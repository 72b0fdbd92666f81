//! Whoever is on call over ssh sees what the console shows: every page as text for a terminal of 80 columns, and whole as JSON.
use serde_json::Value;
use tests::{CLINIC, SOON, Stack, TENANT, Webhook, wait_for};

use crate::end_to_end::treatment::{device, spec, wait_until_complete};

fn run(stack: &Stack, args: &[&str]) -> String {
    let (done, said) = stack.command(args);
    assert!(done, "{args:?}: {said}");
    said
}

/// As text; no line is wider than a terminal, and nothing in it steers one.
fn text(stack: &Stack, args: &[&str]) -> String {
    let said = run(stack, args);
    for line in said.lines() {
        assert!(line.chars().count() <= 80, "{args:?}: {line}");
        assert!(!line.contains(char::is_control), "{args:?}: {line:?}");
    }
    said
}

/// The fields of the first level: what stands in them changes from one moment to the next.
fn fields(view: &Value) -> Vec<&String> {
    view.as_object().unwrap().keys().collect()
}

#[test]
fn every_page_of_the_console_is_there_as_text_and_as_json_and_the_inbox_is_filtered_alike() {
    let webhook = Webhook::start();
    let stack = Stack::start(&spec(&webhook));
    let report = device(stack.folder(), stack.mqtt.port(), &[("garbage", "1")]).report();
    wait_until_complete(&stack, &report);
    let session = report["pen"]["session"].as_str().unwrap();
    let alert = wait_for("the alert", SOON, || {
        let alerts = stack.json("/v1/console/inbox?device=pen-1&rule=depth-above-limit");
        alerts["alerts"][0]["id"]
            .as_str()
            .map(str::to_owned)
            .ok_or(alerts.clone())
    });
    // What somebody types cannot clear the screen of whoever reads it.
    run(
        &stack,
        &[
            "alert",
            "annotate",
            &alert,
            "--actor",
            "anna",
            "--comment",
            "see\u{1b}[2J it",
        ],
    );
    stack.wait_delivered(&alert, "hook");
    let place = format!("{TENANT}/{CLINIC}");
    let (pen, one) = (format!("{TENANT}/pen-1"), format!("/v1/console/alerts/{alert}"));
    let treatment = format!("/v1/console/sessions/{TENANT}/pen-1/{session}");
    for (args, path, says) in [
        (
            &["inbox"][..],
            "/v1/console/inbox",
            &[&*alert, "depth-above-limit", "1 of 1"][..],
        ),
        (
            &["alert", &alert],
            &one,
            &["Stop the pen now", "hook: delivered", "anna", "[2J it"],
        ),
        (&["silences"], "/v1/console/silences", &["Nothing is silenced."]),
        (&["fleet"], "/v1/console/fleet", &[&place, "4 devices"]),
        (
            &["clinic", &place],
            &format!("/v1/console/clinics/{place}"),
            &["pen-1", "autoclave-1"],
        ),
        (
            &["device", &pen],
            &format!("/v1/console/devices/{pen}"),
            &["py-1", "Example Devices", &alert],
        ),
        (
            &["session", &pen, session],
            &treatment,
            &["2,400 of 2,400 strokes stored", "LOT-PY-7", "cheek", &alert],
        ),
        (
            &["sterilization", "--clinic", CLINIC],
            "/v1/console/sterilization",
            &["pen-1", "INDICATOR TESTS"],
        ),
        (
            &["pipeline", "--reason", "malformed"],
            "/v1/console/pipeline",
            &["RED", "malformed"][1..],
        ),
    ] {
        let said = text(&stack, &[&["show"], args].concat());
        for said_so in says {
            assert!(said.contains(said_so), "{args:?} lacks {said_so:?}: {said}");
        }
        let json: Value = serde_json::from_str(&run(&stack, &[&["show"], args, &["--json"]].concat())).unwrap();
        assert_eq!(fields(&json), fields(&stack.json(path)), "{args:?}");
    }
    // The list of alerts takes the filters of the inbox.
    for (filter, is_there) in [
        (["--device", "pen-1"], true),
        (["--priority", "high"], true),
        (["--clinic", CLINIC], true),
        (["--rule", "depth-above-limit"], true),
        (["--device", "pen-2"], false),
        (["--tenant", "other"], false),
        (["--state", "pending"], false),
        (["--page", "2"], false),
    ] {
        let said = text(&stack, &[&["alert", "ls"], &filter[..]].concat());
        assert_eq!(said.contains(&alert), is_there, "{filter:?}: {said}");
        let json: Value =
            serde_json::from_str(&run(&stack, &[&["alert", "ls", "--json"], &filter[..]].concat())).unwrap();
        let listed = json["alerts"].as_array().unwrap().iter().any(|one| one["id"] == *alert);
        assert_eq!(listed, is_there, "{filter:?}");
    }
    // What is not there, and what nobody can mean, is said in words.
    for (args, why) in [
        (&["show", "alert", "00"][..], "nothing at this address"),
        (&["show", "device", "pen-1"], "write tenant/name"),
        (&["show", "clinic", "acme/../../alerts"], "nothing at this address"),
        (&["alert", "ls", "--priority", "severe"], "high, medium, low, info"),
    ] {
        let (done, said) = stack.command(args);
        assert!(!done && said.contains(why), "{args:?}: {said}");
    }
}
