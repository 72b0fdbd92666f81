//! A device that asks for it is told when the far end has its frames, in one process and apart, and not before.
use std::path::Path;

use tests::{Apart, IndependentDevice, SOON, Source, Stack, StackSpec, Webhook, secret, wait_for};

use super::one_broker::broker;

fn keeps(at: &Stack, progress: &Path) -> IndependentDevice {
    let mut pen = Source::new("pen-1");
    let frames = [pen.start(), pen.good(50), pen.hazard(), pen.good(50)]
        .map(|frame| frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        .join(",");
    let topic = pen.topic();
    let args = [
        ("host", at.mqtt.ip().to_string()),
        ("port", at.mqtt.port().to_string()),
        ("name", format!("{}/{}", pen.tenant, pen.device)),
        ("secret", secret(&pen.tenant, &pen.device)),
        ("topic", topic.strip_suffix("/telemetry").unwrap().to_owned()),
        ("frames", frames),
        ("progress", progress.display().to_string()),
    ];
    IndependentDevice::start_keeping(at.folder(), &args)
}

#[test]
fn apart_a_device_that_asks_is_told_that_its_frames_are_stored_and_judged_only_when_both_have_them() {
    let webhook = Webhook::start();
    let broker = broker();
    let mut apart = Apart::start(&StackSpec::plain(&webhook), broker.port());
    apart.ingestor.kill();
    let progress = apart.gateway.folder().join("progress");
    let mut pen = keeps(&apart.gateway, &progress);
    wait_for("the PUBACK of each frame", SOON, || std::fs::read(&progress));
    wait_for("the page of the hazard", SOON, || {
        webhook
            .of_rule("depth-above-limit")
            .pop()
            .ok_or_else(|| apart.alerting.log())
    });
    // Alerting has them and the ingestor has not.
    assert!(pen.is_running(), "it was told before the ingestor had anything");
    apart.ingestor.up();
    let said = pen.report();
    assert_eq!((&said["last"], &said["published"]), (&3.into(), &4.into()));
    apart.ingestor.wait_number("SELECT sum(count) FROM stroke_window", 103);
}

#[test]
fn in_one_process_a_device_that_asks_is_told_after_its_puback() {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec::plain(&webhook));
    let said = keeps(&stack, &stack.folder().join("progress")).report();
    assert_eq!(said["last"], 3, "{said}");
}
