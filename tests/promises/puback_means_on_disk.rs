//! Promise 1: a device that got the endpoint's PUBACK can forget the message. That what is synced survives a power cut is
//! shown in `crates/spool`, on a disk that drops what was not; here the real process dies, and its log has a cap.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ingestor::testing::{InfluxDouble, Trouble};
use tests::{
    Mqtt, QUOTA_EXCEEDED, SOON, Source, Stack, StackSpec, Store, Version, Webhook, deliver_all, free_port,
    random_below, wait_for,
};

/// A telemetry log that is full after a few thousand frames.
const SMALL_LOG: &str = "[spool.telemetry]\ncap = \"4MiB\"\nsegment = \"2MiB\"\nat_cap = \"refuse\"\nkeep = \"1s\"\n";

/// Most frames that fill [`SMALL_LOG`]: each has 512 strokes, about a kilobyte.
const FILL_MAX: usize = 8_000;

#[test]
fn every_acknowledged_frame_is_stored_although_the_process_is_killed_again_and_again() {
    const FRAMES: usize = 3_000;
    const KILLS: usize = 5;
    let webhook = Webhook::start();
    let mut stack = Stack::start(&StackSpec::plain(&webhook));
    let mut pen = Source::new("pen-1");
    let messages: Vec<Vec<u8>> = (0..FRAMES).map(|_| pen.good(8)).collect();
    let acked = Arc::new(AtomicUsize::new(0));
    let device = std::thread::spawn({
        let (login, topic, acked) = (pen.login(stack.mqtt, Version::V5), pen.topic(), Arc::clone(&acked));
        // A frame that was acknowledged is never sent again: what a kill loses of it is lost.
        move || deliver_all(&login, &topic, &messages, |_| _ = acked.fetch_add(1, Ordering::SeqCst))
    });
    for kill in 1..=KILLS {
        let until = FRAMES * kill / (KILLS + 1);
        wait_for("PUBACKs", SOON, || {
            let now = acked.load(Ordering::SeqCst);
            if now >= until { Ok(()) } else { Err(now) }
        });
        std::thread::sleep(Duration::from_micros(random_below(30_000)));
        stack.kill();
        stack.up();
    }
    device.join().unwrap();
    assert_eq!(acked.load(Ordering::SeqCst), FRAMES);
    let boot = pen.boot_hex();
    stack.wait_number(
        &format!("SELECT count(DISTINCT sequence) FROM stroke_window WHERE boot = '{boot}'"),
        FRAMES as i64,
    );
    // Sent twice or not, a frame is one point.
    let points = format!("SELECT count(*) FROM stroke_window WHERE boot = '{boot}'");
    assert_eq!(stack.number(&points), Ok(FRAMES as i64));
}

#[test]
fn a_puback_waits_for_a_sync_of_both_logs() {
    const FRAMES: usize = 25;
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec::plain(&webhook));
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    for _ in 0..FRAMES {
        let frame = pen.good(8);
        assert_eq!(mqtt.put(&pen.topic(), &frame), Some(0));
    }
    // One at a time, no two can share a sync.
    for log in ["telemetry", "alerting"] {
        stack.wait_metric(&format!("spool_syncs_total{{log=\"{log}\"}}"), FRAMES as f64);
    }
}

#[test]
fn at_the_cap_devices_are_told_to_keep_their_data_and_a_refused_hazard_still_pages() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(InfluxDouble::start()).unwrap();
    store.trouble("b-acme", Some(Trouble::Unavailable(u32::MAX)));
    let webhook = Webhook::start();
    let spec = StackSpec {
        store: Store::Influx {
            url: store.url().to_owned(),
            bucket: "b-{tenant}".to_owned(),
        },
        more: SMALL_LOG.to_owned(),
        ..StackSpec::plain(&webhook)
    };
    let mut stack = Stack::prepare(&spec);
    stack.edit("dermatel.toml", "[ingestor]\n", "[ingestor]\nretry_cap = \"200ms\"\n");
    stack.up();
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    // Large frames fill it, then small ones until not even those have room.
    let mut taken = fill(&mut mqtt, &mut pen, 512, 50);
    assert!(taken > 0, "the log took something before it was full");
    taken += fill(&mut mqtt, &mut pen, 1, 1);
    stack.wait_metric("gateway_deliveries_refused_total{reason=\"quota_exceeded\"}", 1.0);

    of_log(&webhook, "firing");

    let hazard = pen.hazard();
    assert_eq!(mqtt.put(&pen.topic(), &hazard), Some(QUOTA_EXCEEDED), "MQTT 5 is told");
    page_of(&webhook, "pen-1");
    let mut other = Source::new("pen-2");
    let mut old = Mqtt::connect(&other.login(stack.mqtt, Version::V311)).unwrap();
    let hazard_311 = other.hazard();
    assert_eq!(
        old.put(&other.topic(), &hazard_311),
        None,
        "MQTT 3.1.1 is closed, not acknowledged"
    );
    page_of(&webhook, "pen-2");

    // The store is back: the log drains, and what was kept by the devices is taken.
    store.trouble("b-acme", None);
    wait_for("room in the log", SOON, || match mqtt.put(&pen.topic(), &hazard) {
        Some(0) => Ok(()),
        other => Err(other),
    });
    deliver_all(
        &other.login(stack.mqtt, Version::V311),
        &other.topic(),
        &[hazard_311],
        |_| {},
    );
    wait_for("all points", SOON, || {
        let lines = store.lines("b-acme");
        let windows = lines.iter().filter(|line| line.starts_with("stroke_window")).count();
        if windows == taken + 2 {
            Ok(())
        } else {
            Err((windows, taken))
        }
    });
    of_log(&webhook, "resolved");
    // Resent, seen twice by alerting: still one alert each.
    let ids: std::collections::BTreeSet<_> = webhook
        .of_rule("depth-above-limit")
        .iter()
        .map(|page| page["alert_id"].to_string())
        .collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
}

#[test]
fn a_store_that_is_down_stops_neither_pubacks_nor_pages() {
    let webhook = Webhook::start();
    let mut stack = Stack::start(&StackSpec::without_store(&webhook));
    let mut pen = Source::new("pen-1");
    let mut messages: Vec<Vec<u8>> = (0..500).map(|_| pen.good(8)).collect();
    messages.push(pen.hazard());
    let mut acked = 0;
    let login = pen.login(stack.mqtt, Version::V311);
    deliver_all(&login, &pen.topic(), &messages, |_| acked += 1);
    assert_eq!(acked, messages.len());
    page_of(&webhook, "pen-1");
    let why = wait_for("readiness to say so", SOON, || stack.red("store").ok_or(()));
    assert!(why.contains(' '), "{why}");
    assert!(stack.is_running());
}

#[test]
fn start_up_names_the_hop_that_is_not_durable() {
    const NAMED: &str = "a message is only as durable as that broker keeps it";
    let webhook = Webhook::start();
    let mut with = Stack::prepare(&StackSpec {
        broker: Some(free_port()),
        ..StackSpec::plain(&webhook)
    });
    with.spawn();
    wait_for("the warning", SOON, || {
        let log = with.log();
        if log.contains(NAMED) { Ok(()) } else { Err(log) }
    });
    let without = Stack::start(&StackSpec::plain(&webhook));
    assert!(!without.log().contains(NAMED));
}

/// Publishes until the log is full, `window` frames under way; gives how many it took.
fn fill(mqtt: &mut Mqtt, pen: &mut Source, strokes: usize, window: usize) -> usize {
    let (mut taken, mut under_way, mut full) = (0, 0, false);
    for sent in 0.. {
        assert!(sent < FILL_MAX, "the log never said that it is full");
        if !full {
            let frame = pen.good(strokes);
            mqtt.publish(&pen.topic(), &frame).unwrap();
            under_way += 1;
        }
        if full || under_way == window {
            match mqtt.puback().expect("the connection stays").code {
                0 => taken += 1,
                code => {
                    assert_eq!(code, QUOTA_EXCEEDED);
                    full = true;
                }
            }
            under_way -= 1;
        }
        if full && under_way == 0 {
            break;
        }
    }
    taken
}

/// Waits until somebody was told that the telemetry log fills, or is read again.
fn of_log(webhook: &Webhook, state: &str) {
    wait_for("the page about the log", SOON, || {
        let pages = webhook.of_rule("gateway-backlog");
        let told = |page: &tests::Page| page["device"] == "telemetry" && page["state"] == state;
        if pages.iter().any(told) { Ok(()) } else { Err(pages) }
    });
}

fn page_of(webhook: &Webhook, device: &str) {
    wait_for("the page", SOON, || {
        let pages = webhook.of_rule("depth-above-limit");
        if pages.iter().any(|page| page["device"] == device) {
            Ok(())
        } else {
            Err(pages)
        }
    });
}
