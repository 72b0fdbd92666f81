//! A device that shares no code with us, the real binary, real stores: a treatment goes in, points and pages come out.
use std::time::Duration;

use tests::{CLINIC, IndependentDevice, Stack, StackSpec, Store, TENANT, Webhook, secret, wait_for};

fn device_args(port: u16) -> Vec<(&'static str, String)> {
    vec![
        ("port", port.to_string()),
        ("tenant", TENANT.to_owned()),
        ("clinic", CLINIC.to_owned()),
        ("pen", "pen-1".to_owned()),
        ("pen-secret", secret(TENANT, "pen-1")),
        ("ipl", "ipl-1".to_owned()),
        ("ipl-secret", secret(TENANT, "ipl-1")),
    ]
}

#[test]
fn a_foreign_devices_session_is_stored_whole_and_its_hazards_reach_a_person() {
    let webhook = Webhook::start();
    let spec = StackSpec {
        store: Store::Sqlite,
        webhook: webhook.url(),
        broker: None,
        more: String::new(),
    };
    let stack = Stack::start(&spec);
    let device = IndependentDevice::start(stack.folder(), &device_args(stack.mqtt.port()));
    let report = device.report();
    wait_for("a page for the deep stroke", Duration::from_secs(10), || {
        let pages = webhook.of_rule("depth-above-limit");
        if pages.is_empty() { Err(webhook.pages()) } else { Ok(()) }
    });
    wait_for("a page for the strong pulse", Duration::from_secs(10), || {
        let pages = webhook.of_rule("pulse-above-set");
        if pages.is_empty() { Err(webhook.pages()) } else { Ok(()) }
    });
    assert_eq!(report["pen"]["refused"].as_array().map(Vec::len), Some(0), "{report}");
}
