//! Promise 4: a device that goes quiet is noticed, and an alert of it becomes unknown, never resolved.
use std::time::Duration;

use serde_json::Value;
use tests::{Mqtt, SETPOINT_UM, SOON, Source, Stack, StackSpec, TENANT, Version, Webhook, wait_for};

/// A short silence, and longer than a busy machine keeps a test from what comes next.
pub(crate) const SILENT_AFTER: &str = "\n[[override]]\npolicy = { silent_in_session_after_s = 12 }\n";

fn start(webhook: &Webhook) -> Stack {
    let mut stack = Stack::prepare(&StackSpec::plain(webhook));
    let file = format!("registry/tenants/{TENANT}/tenant.toml");
    stack.edit(&file, "\n[[clinic]]", &format!("{SILENT_AFTER}\n[[clinic]]"));
    stack.up();
    stack
}

#[test]
fn a_firing_alert_whose_device_goes_quiet_is_unknown_and_the_silence_itself_pages() {
    let webhook = Webhook::start();
    let stack = start(&webhook);
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    // Far off the setpoint and within the limit: an alert that resolves by itself when strokes are good again.
    let (begin, off) = (pen.start(), pen.strokes(&[SETPOINT_UM + 190; 100]));
    for frame in [&begin, &off] {
        assert_eq!(mqtt.put(&pen.topic(), frame), Some(0));
    }
    let firing = wait_for("the page", SOON, || {
        webhook.of_rule("depth-off-setpoint").pop().ok_or(())
    });
    assert_eq!(firing["state"], "firing");
    let id = firing["alert_id"].as_str().unwrap();

    // The connection stays, pings and all: only the device says nothing any more.
    let silence = wait_for("a page for the silence", SOON, || {
        webhook.of_rule("device-silent").pop().ok_or_else(|| webhook.pages())
    });
    assert_eq!(silence["device"], "pen-1");
    assert_eq!(state(&stack, id), "unknown");
    let stored = format!("SELECT count(*) FROM alert_transition WHERE alert_id = '{id}' AND to_state = 'unknown'");
    stack.wait_number(&stored, 1);

    // Heard again, and still off its setpoint: the same alert goes on, and the silence ends.
    let again = pen.strokes(&[SETPOINT_UM + 190; 100]);
    assert_eq!(mqtt.put(&pen.topic(), &again), Some(0));
    wait_for("the alert to go on", SOON, || match state(&stack, id).as_str() {
        "firing" => Ok(()),
        other => Err(other.to_owned()),
    });
    let silence = silence["alert_id"].as_str().unwrap();
    wait_for("the end of the silence", SOON, || {
        match state(&stack, silence).as_str() {
            "resolved" | "latched" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
    assert!(resolved_pages(&webhook, id).is_empty(), "it never was resolved");
    let resolved = format!("SELECT count(*) FROM alert_transition WHERE alert_id = '{id}' AND to_state = 'resolved'");
    assert_eq!(stack.number(&resolved), Ok(0));
}

#[test]
fn a_lost_connection_resolves_nothing_and_is_noticed_across_a_restart() {
    let webhook = Webhook::start();
    let mut stack = start(&webhook);
    let mut pen = Source::new("pen-2");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    let (begin, off) = (pen.start(), pen.strokes(&[SETPOINT_UM + 190; 100]));
    for frame in [&begin, &off] {
        assert_eq!(mqtt.put(&pen.topic(), frame), Some(0));
    }
    let firing = wait_for("the page", SOON, || {
        webhook.of_rule("depth-off-setpoint").pop().ok_or(())
    });
    drop(mqtt);
    // Who restarts at the wrong moment must not forget whom it was waiting for.
    stack.kill();
    stack.up();
    let id = firing["alert_id"].as_str().unwrap();
    wait_for(
        "the alert to be unknown",
        SOON + Duration::from_secs(10),
        || match state(&stack, id).as_str() {
            "unknown" => Ok(()),
            other => Err(other.to_owned()),
        },
    );
    wait_for("a page for the silence", SOON, || {
        webhook.of_rule("device-silent").pop().ok_or_else(|| webhook.pages())
    });
    assert!(resolved_pages(&webhook, id).is_empty());
}

fn state(stack: &Stack, id: &str) -> String {
    let alert: Value = stack.json(&format!("/v1/alerts/{id}"));
    alert["state"].as_str().unwrap().to_owned()
}

fn resolved_pages(webhook: &Webhook, id: &str) -> Vec<Value> {
    let of_alert = |page: &Value| page["alert_id"] == id && page["state"] == "resolved";
    webhook.pages().into_iter().filter(of_alert).collect()
}
