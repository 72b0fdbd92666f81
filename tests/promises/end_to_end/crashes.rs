//! SIGKILL at random moments while devices publish: nothing that was acknowledged is lost, and no hazard stays untold.
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use tests::{Mosquitto, Page, Stack, StackSpec, Webhook, wait_for};

use super::stores::{assert_in_influx, influx};
use super::treatment::{
    assert_hazards, assert_stored, device, high, runtime, spec, wait_until_complete, wait_until_paged,
};

/// Enough to be in the middle of it for some seconds.
const LONG: &[(&str, &str)] = &[
    ("batches", "50"),
    ("pulses", "35"),
    ("pause-ms", "70"),
    ("deadline-s", "90"),
];
/// How often the process dies.
const KILLS: u64 = 4;

#[test]
fn a_session_survives_sigkill_at_any_moment_and_its_hazards_reach_a_person() {
    let webhook = Webhook::start();
    let mut stack = Stack::start(&spec(&webhook));
    let device = device(stack.folder(), stack.mqtt.port(), LONG);
    kill_and_start(&mut stack, &webhook);
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
    let device = device(stack.folder(), broker.port, LONG);
    kill_and_start(&mut stack, &webhook);
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
    let device = device(stack.folder(), stack.mqtt.port(), LONG);
    kill_and_start(&mut stack, &webhook);
    let report = device.report();
    wait_until_paged(&webhook);
    runtime.block_on(influx.start_again()).unwrap();
    assert_in_influx(&runtime, &influx, &report);
    assert_eq!(stack.stop(), Some(0), "{}", stack.log());
    assert_hazards(&webhook, &report);
    assert_told_once_or_marked(&webhook);
}

/// Kills the process at random moments, and once in the moment in which a page arrives, and starts it again each time.
fn kill_and_start(stack: &mut Stack, webhook: &Webhook) {
    for kill in 0..KILLS {
        let moment = Duration::from_millis(100 + RandomState::new().hash_one(kill) % 900);
        let begun = Instant::now();
        let known = webhook.pages().len();
        let came = wait_for("a random moment", Duration::from_secs(10), || {
            let pages = webhook.pages().len();
            if pages > known || begun.elapsed() >= moment {
                Ok(pages > known)
            } else {
                Err(())
            }
        });
        eprintln!("kill {kill} after {:?}, page just came: {came}", begun.elapsed());
        stack.kill();
        stack.up();
    }
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
        pages.len() as u64 <= 2 + KILLS,
        "a crash may repeat a page once: {pages:#?}"
    );
}
