//! Silences by command: they say what they hide, need an owner, a reason and an end, and never hide a high priority alert.
use std::process::Command;

use tests::{Mqtt, SOON, Source, Stack, StackSpec, Version, Webhook, wait_for};

/// RFC 3339, as `date` understands `when`.
pub(crate) fn time(when: &str) -> String {
    let out = Command::new("date")
        .args(["-u", "-d", when, "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .unwrap();
    assert!(out.status.success());
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_silence_says_what_it_hides_and_a_hazard_pages_all_the_same_and_can_be_explained() {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec::plain(&webhook));
    let (hour, week) = (time("1 hour"), time("7 days"));
    let (fine, said) = stack.command(&["silence", "preview", "--tenant", "acme", "--until", &hour]);
    assert!(fine && said.contains("hides"), "{said}");
    // Too long, and without a reason.
    let make = |until: &str, reason: &str| {
        let what = ["silence", "make", "--tenant", "acme", "--until", until];
        stack.command(&[&what[..], &["--owner", "hook", "--reason", reason]].concat())
    };
    let (fine, said) = make(&week, "moving");
    assert!(!fine, "{said}");
    let (fine, said) = make(&hour, " ");
    assert!(!fine, "{said}");
    let (fine, said) = make(&hour, "the clinic moves its devices");
    assert!(fine, "{said}");
    let id = said.split(':').next().unwrap().to_owned();
    let (fine, list) = stack.command(&["silence", "ls"]);
    assert!(fine && list.contains(&id), "{list}");
    // Whoever asks who would be told hears of it, for what it may hide and while it holds.
    let config = stack.folder().join("dermatel.toml");
    let route = |rule: &str, at: &str| {
        let what = [
            "route",
            "test",
            "--config",
            config.to_str().unwrap(),
            "--tenant",
            "acme",
        ];
        let (done, said) = stack.command(&[&what[..], &["--rule", rule, "--at", at]].concat());
        assert!(done, "{said}");
        said
    };
    let held = format!(
        "held back until {} by the silence of hook ({id})",
        hour.replace('Z', ".000Z")
    );
    let said = route("depth-off-setpoint", &time("1 minute"));
    assert!(said.contains(&held) && said.contains("hook: "), "{said}");
    assert!(
        !said.lines().any(|line| line.starts_with(&time("1 minute")[..16])),
        "told when it ends: {said}"
    );
    for said in [
        route("depth-off-setpoint", &week),
        route("depth-above-limit", &time("1 minute")),
    ] {
        assert!(!said.contains("held back") && said.contains("hook: "), "{said}");
    }
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    let hazard = pen.hazard();
    assert_eq!(mqtt.put(&pen.topic(), &hazard), Some(0));
    let page = wait_for("the page of high priority", SOON, || {
        webhook.of_rule("depth-above-limit").pop().ok_or(())
    });
    let (fine, story) = stack.command(&["explain", page["alert_id"].as_str().unwrap()]);
    assert!(fine && story.contains("pen-1") && story.contains("hook"), "{story}");
    let (fine, said) = stack.command(&["silence", "end", &id, "--actor", "ann"]);
    assert!(fine, "{said}");
    let (fine, list) = stack.command(&["silence", "ls"]);
    assert!(fine && !list.contains(&id), "{list}");
    let file = stack.folder().join("data/alerting.sqlite");
    let (whole, said) = stack.command(&["journal", "verify", "--file", file.to_str().unwrap()]);
    assert!(whole, "{said}");
}
