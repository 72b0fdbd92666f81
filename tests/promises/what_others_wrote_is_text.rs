//! What a device says of itself, and what it publishes where it may not, is text wherever somebody reads it: on every page, in a link's
//! page and on a terminal. (What people write is the console's own test.)
use telemetry::proto;
use telemetry::proto::frame::Body;
use tests::{CLINIC, Mqtt, NOT_AUTHORIZED, SOON, Source, Stack, StackSpec, TENANT, Version, Webhook, wait_for};

/// A text that the schema lets pass: no quote, comma, backslash or equals sign.
const FIRMWARE: &str = "<script>alert(1)</script>{{ 99991 * 99989 }}<b>2.4</b>";
/// A topic is any text: one that tries a page and one that tries a terminal.
const TOPIC: &str = "dermatel/v1/<img src=x onerror=alert(1)>\"'/\u{1b}[2J\u{9b}2J/x/telemetry";

fn start() -> (Stack, Webhook) {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec {
        more: "[console]\nopen = true\n".to_owned(),
        ..StackSpec::plain(&webhook)
    });
    (stack, webhook)
}

#[test]
fn no_page_and_no_terminal_acts_on_what_a_device_said() {
    let (stack, _webhook) = start();
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    let birth = pen.bytes(Body::Birth(proto::Birth {
        model: Some(FIRMWARE.to_owned()),
        firmware: Some(FIRMWARE.to_owned()),
        ..proto::Birth::default()
    }));
    for frame in [birth, pen.start(), pen.good(20), pen.hazard()] {
        assert_eq!(mqtt.put(&pen.topic(), &frame), Some(0));
    }
    let forged = pen.good(10);
    assert_eq!(mqtt.put(TOPIC, &forged), Some(NOT_AUTHORIZED));

    let device = format!("/devices/{TENANT}/pen-1");
    let html = wait_for("the firmware on its page", SOON, || {
        let html = stack.get(&device).unwrap().1;
        if html.contains("&lt;script&gt;alert(1)") {
            Ok(html)
        } else {
            Err(html)
        }
    });
    assert!(html.contains("{{ 99991 * 99989 }}"), "it is no template either: {html}");
    let alerts = wait_for("the alert", SOON, || {
        let alerts = stack.json("/v1/console/inbox?rule=depth-above-limit");
        if alerts["total"] == 1 { Ok(alerts) } else { Err(alerts) }
    });
    let alert = alerts["alerts"][0]["id"].as_str().unwrap();
    wait_for("the foreign topic among what was refused", SOON, || {
        let html = stack.get("/pipeline").unwrap().1;
        if html.contains("&lt;img src=x onerror=alert(1)&gt;") {
            Ok(())
        } else {
            Err(html)
        }
    });
    let session = format!("/sessions/{TENANT}/pen-1/{}", pen.session_hex());
    wait_for("the treatment in the store", SOON, || {
        match stack.get(&session).unwrap() {
            (200, _) => Ok(()),
            other => Err(other),
        }
    });
    for path in [
        "/",
        "/fleet",
        "/sterilization",
        "/pipeline",
        "/silences",
        &device,
        &session,
        &format!("/clinics/{TENANT}/{CLINIC}"),
        &format!("/alerts/{alert}"),
    ] {
        let (status, html) = stack.get(path).unwrap();
        assert_eq!(status, 200, "{path}: {html}");
        for markup in ["<script>alert", "<img", "<b>2.4", "9998000099"] {
            assert!(!html.contains(markup), "{path} has {markup}: {html}");
        }
    }
    let pen_1 = format!("{TENANT}/pen-1");
    for args in [
        &["show", "device", &pen_1][..],
        &["show", "device", &pen_1, "--json"],
        &["show", "pipeline"],
        &["show", "pipeline", "--json"],
        &["quarantine", "ls"],
        &["quarantine", "show", "1"],
        &["alert", "show", alert],
        &["explain", alert],
        &["explain", alert, "--json"],
    ] {
        let (done, said) = stack.command(args);
        assert!(done, "{args:?}: {said}");
        let steers = said.lines().find(|line| line.contains(char::is_control));
        assert_eq!(steers, None, "{args:?}: {said:?}");
    }
    // A program still gets what was said.
    let (_, shown) = stack.command(&["quarantine", "show", "1"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["topic"], TOPIC);
}
