//! Devices behind an existing broker: acknowledged there only after the fsync here, in order, lost never.
use bytes::Bytes;
use gateway::intake::broker::filters;
use service::mqtt::{Broker, Publisher, PublisherOptions, SubscriberOptions};
use service::testing::Mosquitto;
use spool::AtCap;
use telemetry::{Channel, Origin};

use super::kit::{Frame, Ground, Logs, PATIENCE, SEGMENT, World, eventually, frame, topic};

fn up(ground: &Ground, mosquitto: &Mosquitto) -> World {
    let port = mosquitto.port();
    ground.up_with(super::kit::registry(), move |config| {
        let broker = Broker::new("127.0.0.1", port, "dermatel-gw-1");
        config.broker = Some(SubscriberOptions::new(broker, filters()));
    })
}

async fn publish(mosquitto: &Mosquitto, messages: Vec<(String, Bytes, bool)>) {
    let options = PublisherOptions::new(Broker::new("127.0.0.1", mosquitto.port(), "devices"));
    let (publisher, mut acks, _) = Publisher::start(options).unwrap();
    let count = messages.len();
    let send = async {
        for (n, (topic, payload, retain)) in messages.into_iter().enumerate() {
            publisher.publish(&topic, payload, n as u64, retain).await.unwrap();
        }
    };
    let take = async {
        for _ in 0..count {
            tokio::time::timeout(PATIENCE, acks.recv()).await.unwrap().unwrap();
        }
    };
    tokio::join!(send, take);
}

fn telemetry(sequences: std::ops::Range<u64>) -> Vec<(String, Bytes, bool)> {
    sequences
        .map(|sequence| (topic("pen-1").to_string(), frame(sequence), false))
        .collect()
}

#[tokio::test]
async fn what_devices_publish_at_a_broker_is_stored_in_order_also_what_came_while_the_gateway_was_down() {
    let mosquitto = Mosquitto::start();
    let ground = Ground::new();
    let world = up(&ground, &mosquitto);
    // Subscribed when the first is through.
    let first = Frame::new("pen-2", 0).bytes();
    while world.stored().is_empty() {
        publish(&mosquitto, vec![(topic("pen-2").to_string(), first.clone(), false)]).await;
    }
    publish(&mosquitto, telemetry(0..500)).await;
    let of_pen_1 = |world: &World| -> Vec<Bytes> {
        let stored = world
            .stored()
            .into_iter()
            .filter(|admitted| admitted.device.as_str() == "pen-1");
        stored.map(|admitted| admitted.payload).collect()
    };
    eventually("500 frames", || of_pen_1(&world).len() == 500).await;
    assert_eq!(of_pen_1(&world), (0..500).map(frame).collect::<Vec<_>>());
    assert!(world.stored().iter().all(|admitted| admitted.origin == Origin::Broker));
    world.down().await;
    publish(&mosquitto, telemetry(500..600)).await;
    let world = up(&ground, &mosquitto);
    eventually("100 more", || of_pen_1(&world).len() == 600).await;
    eventually("alerting has all too", || world.alarmed().len() == world.stored().len()).await;
    world.down().await;
}

#[tokio::test]
async fn a_retained_status_is_marked_as_no_proof_of_life_and_bad_messages_stop_nothing() {
    let mosquitto = Mosquitto::start();
    let status = telemetry::Topic {
        channel: Channel::Status,
        ..topic("pen-1")
    }
    .to_string();
    publish(&mosquitto, vec![(status, Bytes::from_static(&[8, 1]), true)]).await;
    let world = up(&Ground::new(), &mosquitto);
    eventually("the retained status", || !world.stored().is_empty()).await;
    assert!(world.stored()[0].retained);
    let mut messages = vec![
        (topic("pen-1").to_string(), Bytes::from_static(b"\xff"), false),
        (topic("stranger").to_string(), Frame::new("stranger", 0).bytes(), false),
    ];
    messages.extend(telemetry(0..10));
    publish(&mosquitto, messages).await;
    eventually("the good ones", || world.stored().len() == 11).await;
    let kept = || world.handle.quarantine().ls(&Default::default(), 10).unwrap();
    eventually("the bad ones", || kept().len() == 2).await;
    let kept = kept();
    let shares: Vec<Option<&str>> = kept.iter().map(|kept| kept.share.as_deref()).collect();
    assert_eq!(shares, [Some("acme/pen-1"), None]);
    world.down().await;
}

/// More than are ever taken without an acknowledgement: what is refused is acknowledged too, once it is kept.
#[tokio::test]
async fn thousands_of_bad_messages_in_a_row_stop_no_good_one_behind_them_whatever_the_brokers_window() {
    const BAD: usize = 2_500;
    for window in [20, 65_535] {
        let mosquitto = Mosquitto::start_with(&format!("allow_anonymous true\nmax_inflight_messages {window}\n"));
        let world = up(&Ground::new(), &mosquitto);
        while world.stored().is_empty() {
            publish(&mosquitto, telemetry(0..1)).await;
        }
        let bad = (0..BAD).map(|n| (topic("pen-1").to_string(), Bytes::from(vec![0xff; n % 50 + 1]), false));
        publish(&mosquitto, bad.collect()).await;
        publish(&mosquitto, telemetry(1..21)).await;
        eventually("the good ones behind them", || world.stored().len() == 21).await;
        let held = world.handle.quarantine().held();
        assert!(held.entries > 0 && held.entries <= 1_000, "a device's share: {held:?}");
        world.down().await;
    }
}

#[tokio::test]
async fn at_the_cap_the_broker_keeps_what_the_store_refuses_and_alerting_has_it_already() {
    let mosquitto = Mosquitto::start();
    let ground = Ground::with(
        Logs {
            store_cap: 2 * SEGMENT,
            at_cap: AtCap::Refuse,
        },
        1,
    );
    let world = up(&ground, &mosquitto);
    let large = |sequence| {
        let items = (0..256)
            .map(|n| format!("SERIAL-{n:05}-{sequence:08}-AND-A-LONG-TAIL-OF-LETTERS"))
            .collect();
        let body = telemetry::proto::Disinfection {
            items,
            ..Default::default()
        };
        let frame = Frame::new("pen-1", sequence).with(telemetry::proto::frame::Body::Disinfection(body));
        (topic("pen-1").to_string(), frame, false)
    };
    while world.stored().is_empty() {
        publish(&mosquitto, vec![large(0)]).await;
    }
    publish(&mosquitto, (1..160).map(large).collect()).await;
    let distinct = |admitted: Vec<telemetry::Admitted>| {
        admitted
            .into_iter()
            .map(|admitted| admitted.payload)
            .collect::<std::collections::HashSet<_>>()
            .len()
    };
    eventually("alerting has all", || distinct(world.alarmed()) == 160).await;
    assert!(world.stored().len() < 160);
    // Room again: the readers are past everything, once the ledger's own cursor has moved with a restart.
    let mut reader = world.store.reader("reader").unwrap();
    reader.commit(world.store.durable()).unwrap();
    drop(reader);
    world.down().await;
    let world = up(&ground, &mosquitto);
    let mut seen = std::collections::HashSet::new();
    eventually("the store has the rest", || {
        world.store.maintain(world.clock.now());
        seen.extend(world.stored().into_iter().map(|admitted| admitted.payload));
        let mut reader = world.store.reader("reader").unwrap();
        reader.commit(world.store.durable()).is_ok() && seen.contains(&large(159).1)
    })
    .await;
    world.down().await;
}
