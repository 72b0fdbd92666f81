//! Straight to the gateway's endpoint, over both versions of MQTT.
use tests::{Stack, Webhook};

use super::treatment::{
    assert_hazards_by, assert_paged_once, assert_stored, device, high, spec, wait_until_complete, wait_until_paged,
    wait_until_paged_by,
};

#[test]
fn a_foreign_devices_session_is_stored_whole_and_its_hazards_reach_a_person_over_mqtt_5() {
    let webhook = Webhook::start();
    let mut stack = Stack::start(&spec(&webhook));
    let report = device(stack.folder(), stack.mqtt.port(), &[("mqtt", "5")]).report();
    assert_eq!(report["pen"]["refused"].as_array().map(Vec::len), Some(0), "{report}");
    assert_eq!(report["ipl"]["refused"].as_array().map(Vec::len), Some(0), "{report}");
    wait_until_complete(&stack, &report);
    wait_until_paged(&webhook);
    // What would come late comes before the end.
    assert_eq!(stack.stop(), Some(0), "{}", stack.log());
    assert_stored(&stack, &report);
    assert_paged_once(&webhook, &report);
}

#[test]
fn a_foreign_devices_session_is_stored_whole_and_its_hazards_reach_a_person_over_mqtt_3_1_1() {
    let webhook = Webhook::start();
    let mut stack = Stack::start(&spec(&webhook));
    // Above what was set and above what any skin of this model may get: two hazards of one pulse, and one page that says more.
    let report = device(
        stack.folder(),
        stack.mqtt.port(),
        &[("mqtt", "3"), ("strong-mj", "30000")],
    )
    .report();
    wait_until_complete(&stack, &report);
    let above_limit = ("pulse-above-limit", 15_000.0);
    wait_until_paged_by(&webhook, above_limit.0);
    assert_eq!(stack.stop(), Some(0), "{}", stack.log());
    assert_stored(&stack, &report);
    assert_hazards_by(&webhook, &report, above_limit);
    assert_eq!(high(&webhook).len(), 2, "{:#?}", webhook.pages());
}
