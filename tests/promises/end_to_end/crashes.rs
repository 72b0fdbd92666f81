//! SIGKILL at random moments while devices publish: nothing that was acknowledged is lost, and no hazard stays untold.
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use tests::{IndependentDevice, Mosquitto, Page, SOON, Stack, StackSpec, Webhook, wait_for};

use super::stores::{assert_in_influx, influx};
use super::treatment::{
    assert_hazards, assert_stored, device, high, runtime, spec, wait_until_complete, wait_until_paged,
};

/// Enough to be in the middle of it for some seconds, with the hazards half way.
const LONG: &[(&str, &str)] = &[
    ("batches", "200"),
    ("pulses", "120"),
    ("pause-ms", "40"),
    ("deadline-s", "180"),
];
/// How often the process dies at most, and at least while frames are on their way.
const KILLS: std::ops::RangeInclusive<usize> = 2..=4;

#[test]
fn a_session_survives_sigkill_at_any_moment_and_its_hazards_reach_a_person() {
    let webhook = Webhook::start();
    let mut stack = Stack::start(&spec(&webhook));
    let mut device = device(stack.folder(), stack.mqtt.port(), LONG);
    kill_and_start(&mut stack, &webhook, &mut device);
    let report = device.report();
    assert!(
        report["pen"]["reconnects"].as_i64() >= Some(1),
        "no kill was in the middle: {report}"
    );
    wait_until_complete(&stack, &report);
    wait_until_paged(&webhook);
    assert_eq!(stack.stop(), Some(0), "{}", stack.log());
    assert_stored(&stack, &report);
    assert_hazards(&webhook, &report);
    assert_told_once_or_marked(&webhook);
}

#[test]
fn a_session_through_a_broker_survives_sigkill_at_any_moment_and_its_hazards_reach_a_person() {
    let webhook = Webhook::start();
    let scratch = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(scratch.path());
    let mut stack = Stack::start(&StackSpec {
        broker: Some(broker.port),
        ..spec(&webhook)
    });
    let mut device = device(stack.folder(), broker.port, LONG);
    kill_and_start(&mut stack, &webhook, &mut device);
    let report = device.report();
    wait_until_complete(&stack, &report);
    wait_until_paged(&webhook);
    assert_eq!(stack.stop(), Some(0), "{}", stack.log());
    assert_stored(&stack, &report);
    assert_hazards(&webhook, &report);
    assert_told_once_or_marked(&webhook);
}

#[test]
fn hazards_reach_a_person_while_the_store_is_down_and_the_session_is_whole_once_it_is_back() {
    let webhook = Webhook::start();
    let runtime = runtime();
    let (mut influx, mut stack) = influx(&runtime, &webhook);
    influx.stop();
    let mut device = device(stack.folder(), stack.mqtt.port(), LONG);
    kill_and_start(&mut stack, &webhook, &mut device);
    let report = device.report();
    wait_until_paged(&webhook);
    runtime.block_on(influx.start_again()).unwrap();
    assert_in_influx(&runtime, &influx, &report);
    assert_eq!(stack.stop(), Some(0), "{}", stack.log());
    assert_hazards(&webhook, &report);
    assert_told_once_or_marked(&webhook);
}

/// Kills the process at random moments while frames arrive, or in the moment in which a page does, and starts it again.
fn kill_and_start(stack: &mut Stack, webhook: &Webhook, device: &mut IndependentDevice) {
    let mut kills = 0;
    while kills < *KILLS.end() {
        let frames_arrive = wait_for("frames in this life of the process", SOON, || {
            let admitted = stack.metric("gateway_deliveries_admitted_total") > 0.0;
            if admitted || !device.is_running() {
                Ok(admitted)
            } else {
                Err(())
            }
        });
        if !frames_arrive {
            break;
        }
        let moment = Duration::from_millis(RandomState::new().hash_one(kills) % 500);
        let (begun, known) = (Instant::now(), webhook.pages().len());
        let page_came = wait_for("a random moment", SOON, || {
            let came = webhook.pages().len() > known;
            if came || begun.elapsed() >= moment {
                Ok(came)
            } else {
                Err(())
            }
        });
        eprintln!("kill {kills} after {:?}, page just came: {page_came}", begun.elapsed());
        stack.kill();
        stack.spawn();
        // Readiness would wait for a store that is away.
        stack.wait_listening();
        kills += 1;
    }
    assert!(KILLS.contains(&kills), "only {kills} kills were in the middle");
}

/// One alert and one transition for each hazard; a page that came again says that it may have.
fn assert_told_once_or_marked(webhook: &Webhook) {
    let pages = high(webhook);
    let distinct = |key: fn(&Page) -> String| pages.iter().map(key).collect::<HashSet<_>>().len();
    assert_eq!(distinct(|page| page["rule"].to_string()), 2, "{pages:#?}");
    assert_eq!(distinct(|page| page["alert_id"].to_string()), 2, "{pages:#?}");
    assert_eq!(distinct(|page| page["transition_id"].to_string()), 2, "{pages:#?}");
    let mut seen = HashSet::new();
    for page in &pages {
        let again = !seen.insert(page["transition_id"].to_string());
        assert!(
            !again || page["possible_repeat"] == true,
            "not marked as a repeat: {page:#}"
        );
    }
    assert!(
        pages.len() <= 2 + KILLS.end(),
        "a crash may repeat a page once: {pages:#?}"
    );
}
