//! Through a broker that the fleet already has: the devices publish to a real mosquitto, the gateway subscribes there.
use tests::{Mosquitto, Stack, StackSpec, Webhook};

use super::treatment::{assert_paged_once, assert_stored, device, spec, wait_until_complete, wait_until_paged};

#[test]
fn a_session_that_comes_through_a_broker_is_stored_whole_and_its_hazards_reach_a_person() {
    let webhook = Webhook::start();
    let scratch = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(scratch.path());
    let mut stack = Stack::start(&StackSpec {
        broker: Some(broker.port),
        ..spec(&webhook)
    });
    // Ready means subscribed: what the broker takes from now on is meant for us.
    let report = device(stack.folder(), broker.port, &[]).report();
    wait_until_complete(&stack, &report);
    wait_until_paged(&webhook);
    assert_eq!(stack.stop(), Some(0), "{}", stack.log());
    assert_stored(&stack, &report);
    assert_paged_once(&webhook, &report);
}
