//! The person with the pen is told by the pen: a hazard comes back down as an advisory, to a client that we did not write.
use tests::{IndependentDevice, SOON, Source, Stack, StackSpec, Webhook, secret, wait_for};

/// Bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_hazard_comes_back_down_to_the_device_as_advice_that_says_what_happened_and_what_to_do() {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec::plain(&webhook));
    let mut pen = Source::new("pen-1");
    let frames = [pen.start(), pen.good(50), pen.hazard()]
        .map(|frame| hex(&frame))
        .join(",");
    let topic = pen.topic();
    let topic = topic.strip_suffix("/telemetry").unwrap();
    let args = [
        ("host", stack.mqtt.ip().to_string()),
        ("port", stack.mqtt.port().to_string()),
        ("name", format!("{}/{}", pen.tenant, pen.device)),
        ("secret", secret(&pen.tenant, &pen.device)),
        ("topic", topic.to_owned()),
        ("frames", frames),
    ];
    let said = IndependentDevice::start_listening(stack.folder(), &args).report();
    // What comes first may be hygiene: this pen was never sterilized. Whatever it is, a person was paged for the same.
    let page = wait_for("a page of the same alert", SOON, || {
        let pages = webhook.pages();
        let same = pages.iter().find(|page| page["alert_id"] == said["alert"]).cloned();
        same.ok_or(pages)
    });
    assert_eq!(page["priority"], "high");
    assert_eq!(said["happened"], page["what_happened"]);
    let to_do = said["what_to_do"].as_str().unwrap();
    assert!(
        page["what_to_do"].as_str().unwrap().starts_with(to_do) && to_do.len() > 20,
        "{said}"
    );
    assert_eq!((&said["qos"], &said["retained"]), (&1.into(), &false.into()));
    assert!(said["show_for_s"].as_u64().unwrap() > 0);
}
