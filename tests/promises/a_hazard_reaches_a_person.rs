//! Promise 3: a hazard reaches a person, whatever is down meanwhile; one alert id per occurrence, and a page that may be a
//! repeat says so.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tests::{Mqtt, Page, SOON, Source, Stack, StackSpec, Version, Webhook, deliver_all, random_below, wait_for};

const RULE: &str = "depth-above-limit";

#[test]
fn every_hazard_pages_with_one_id_although_the_process_is_killed_around_it() {
    const ROUNDS: usize = 8;
    let webhook = Webhook::start();
    // A store that is down is in nobody's way here.
    let mut stack = Stack::prepare(&StackSpec::without_store(&webhook));
    // Readiness would wait for the store, which never comes.
    stack.spawn();
    stack.wait_listening();
    let mut pen = Source::new("pen-1");
    for round in 0..ROUNDS {
        // In some rounds the receiver is in trouble at the moment of the kill, so that the page is still owed after it.
        webhook.answer(if round % 3 == 1 { 500 } else { 200 });
        pen.next_session();
        let frames = vec![pen.start(), pen.good(50), pen.hazard()];
        let device = std::thread::spawn({
            let (login, topic) = (pen.login(stack.mqtt, Version::V5), pen.topic());
            move || deliver_all(&login, &topic, &frames, |_| {})
        });
        std::thread::sleep(Duration::from_micros(random_below(60_000)));
        stack.kill();
        stack.spawn();
        stack.wait_listening();
        device.join().unwrap();
        webhook.answer(200);
    }
    wait_for("a page for each hazard", SOON, || {
        let ids = alert_ids(&webhook.of_rule(RULE));
        if ids.len() >= ROUNDS { Ok(()) } else { Err(ids) }
    });
    assert_eq!(alert_ids(&webhook.of_rule(RULE)).len(), ROUNDS, "one id per occurrence");
    let mut by_transition: BTreeMap<String, Vec<Page>> = BTreeMap::new();
    for page in webhook.of_rule(RULE) {
        by_transition
            .entry(page["transition_id"].to_string())
            .or_default()
            .push(page);
    }
    assert_eq!(
        by_transition.len(),
        ROUNDS,
        "nothing but the kills happened to these alerts"
    );
    for pages in by_transition.values() {
        let unmarked = pages.iter().filter(|page| page["possible_repeat"] != true).count();
        assert!(unmarked <= 1, "a repeat is marked as one: {pages:?}");
    }
}

#[test]
fn a_receiver_in_trouble_gets_the_page_when_it_recovers_and_only_once() {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec::plain(&webhook));
    webhook.answer(500);
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V311)).unwrap();
    let hazard = pen.hazard();
    assert_eq!(
        mqtt.put(&pen.topic(), &hazard),
        Some(0),
        "PUBACK does not wait for a person"
    );
    stack.wait_metric("alerting_notifications_failed_total", 2.0);
    assert!(webhook.pages().is_empty());
    webhook.answer(200);
    let page = wait_for("the page", SOON, || {
        webhook.of_rule(RULE).pop().ok_or_else(|| webhook.pages())
    });
    assert_eq!(page["priority"], "high");
    assert_eq!(page["state"], "firing");
    assert_eq!(page["value"], 1_900.0);
    // How long that took is proven: it was decided, and only now somebody has it.
    stack.wait_metric("alerting_notification_delay_seconds_count{priority=\"high\"}", 1.0);
    let waited = stack.metric("alerting_notification_delay_seconds_sum{priority=\"high\"}");
    assert!(waited > 0.0, "{waited}");
    for field in ["what_happened", "where", "what_to_do"] {
        assert!(
            page[field].as_str().is_some_and(|text| text.len() > 10),
            "{field}: {page}"
        );
    }
    // The same frame again, as after a lost PUBACK, is the same occurrence.
    assert_eq!(mqtt.put(&pen.topic(), &hazard), Some(0));
    let mut other = Source::new("pen-2");
    let mut second = Mqtt::connect(&other.login(stack.mqtt, Version::V311)).unwrap();
    let hazard = other.hazard();
    assert_eq!(second.put(&other.topic(), &hazard), Some(0));
    // What came after it in the log is through, so it is through as well.
    wait_for("the next page", SOON, || {
        let ids = alert_ids(&webhook.of_rule(RULE));
        if ids.len() == 2 { Ok(()) } else { Err(ids) }
    });
    assert_eq!(webhook.of_rule(RULE).len(), 2, "{:?}", webhook.of_rule(RULE));
}

#[test]
fn a_page_that_may_have_arrived_before_a_kill_comes_again_with_the_same_id_and_is_marked() {
    let webhook = Webhook::start();
    let mut stack = Stack::start(&StackSpec::plain(&webhook));
    webhook.hang();
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    let hazard = pen.hazard();
    assert_eq!(mqtt.put(&pen.topic(), &hazard), Some(0));
    let first = wait_for("the page", SOON, || webhook.of_rule(RULE).pop().ok_or(()));
    // The receiver has it, and nobody here knows.
    stack.kill();
    let before = webhook.of_rule(RULE).len();
    webhook.answer(200);
    stack.up();
    wait_for("the repeat", SOON, || {
        let pages = webhook.of_rule(RULE);
        if pages.len() > before { Ok(()) } else { Err(pages) }
    });
    assert_eq!(first["possible_repeat"], false);
    for page in &webhook.of_rule(RULE)[1..] {
        assert_eq!(page["possible_repeat"], true, "{page}");
        assert_eq!(page["alert_id"], first["alert_id"]);
        assert_eq!(page["transition_id"], first["transition_id"]);
    }
}

#[test]
fn an_acknowledged_alert_stays_acknowledged_across_a_kill() {
    let webhook = Webhook::start();
    let mut stack = Stack::start(&StackSpec::plain(&webhook));
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    let hazard = pen.hazard();
    assert_eq!(mqtt.put(&pen.topic(), &hazard), Some(0));
    let page = wait_for("the page", SOON, || webhook.of_rule(RULE).pop().ok_or(()));
    let id = page["alert_id"].as_str().unwrap();
    let (done, said) = stack.command(&["alert", "ack", id, "--actor", "night shift"]);
    assert!(done, "{said}");
    stack.kill();
    stack.up();
    let alert = stack.json(&format!("/v1/alerts/{id}"));
    assert_eq!(alert["acknowledged_by"], "night shift", "{alert}");
}

fn alert_ids(pages: &[Page]) -> BTreeSet<String> {
    pages.iter().map(|page| page["alert_id"].to_string()).collect()
}
