//! The whole way over real sockets: a device that proves who it is, and its PUBACK.
use std::time::Duration;

use bytes::Bytes;
use gateway::endpoint::Listener;
use prost::Message as _;
use service::config::Secret;
use service::mqtt::{Acked, Acks, Broker, Publisher, PublisherOptions, Version, Will};
use telemetry::{Content, Origin, proto};

use super::kit::{Frame, Ground, PATIENCE, World, eventually, frame, secret};

pub(crate) fn world(ground: &Ground) -> World {
    ground.up_with(super::kit::registry(), |config| {
        config.listeners = vec![Listener {
            address: "127.0.0.1:0".parse().unwrap(),
            tls: None,
        }];
    })
}

pub(crate) fn options(world: &World, device: &str) -> PublisherOptions {
    let mut broker = Broker::new("127.0.0.1", world.addresses[0].port(), device);
    broker.username = Some(format!("acme/{device}"));
    broker.password = Some(Secret::new(secret(device)));
    let mut options = PublisherOptions::new(broker);
    options.version = Version::V5;
    options
}

pub(crate) async fn acked(acks: &mut Acks) -> Acked {
    tokio::time::timeout(PATIENCE, acks.recv()).await.unwrap().unwrap()
}

fn name(device: &str, leaf: &str) -> String {
    format!("dermatel/v1/acme/soho/{device}/{leaf}")
}

#[tokio::test]
async fn a_puback_with_success_means_that_the_frame_is_in_both_logs() {
    let world = world(&Ground::new());
    let (publisher, mut acks, _) = Publisher::start(options(&world, "pen-1")).unwrap();
    for sequence in 0..100 {
        publisher
            .publish(&name("pen-1", "telemetry"), frame(sequence), sequence, false)
            .await
            .unwrap();
    }
    for _ in 0..100 {
        let acked = acked(&mut acks).await;
        assert!(acked.is_accepted());
        assert!(
            world
                .stored()
                .iter()
                .any(|admitted| admitted.payload == frame(acked.token))
        );
        assert!(
            world
                .alarmed()
                .iter()
                .any(|admitted| admitted.payload == frame(acked.token))
        );
    }
    assert!(
        world
            .stored()
            .iter()
            .all(|admitted| admitted.origin == Origin::Endpoint)
    );
    // Sent again, as after a lost PUBACK: acknowledged, and not stored again.
    publisher
        .publish(&name("pen-1", "telemetry"), frame(0), 0, false)
        .await
        .unwrap();
    assert!(acked(&mut acks).await.is_accepted());
    assert_eq!(world.stored().len(), 100);
    world.down().await;
}

#[tokio::test]
async fn a_device_is_told_what_was_wrong_and_others_topics_are_not_its_own() {
    let world = world(&Ground::new());
    let (publisher, mut acks, _) = Publisher::start(options(&world, "pen-1")).unwrap();
    let cases: [(String, Bytes, u8); 3] = [
        (name("pen-2", "telemetry"), Frame::new("pen-2", 0).bytes(), 0x87),
        (name("pen-1", "telemetry"), Bytes::from_static(b"\xff"), 0x99),
        (name("pen-1", "telemetry"), Frame::new("pen-2", 0).bytes(), 0x87),
    ];
    for (topic, payload, code) in cases {
        publisher.publish(&topic, payload, 0, false).await.unwrap();
        assert_eq!(acked(&mut acks).await.reason, Some(code), "{topic}");
    }
    let kept = world.handle.quarantine().ls(&Default::default(), 10).unwrap();
    // All in the share of the device whose connection it was, not of the one that it named.
    assert!(kept.iter().all(|kept| kept.share.as_deref() == Some("acme/pen-1")));
    assert_eq!(kept[0].reason, "not_own_topic");
    // A replay gives nobody another's topic.
    let report = world.handle.replay(Default::default()).await.unwrap();
    assert_eq!((report.stored, report.refused.len()), (0, 3));
    assert!(world.stored().is_empty());
    world.down().await;
}

#[tokio::test]
async fn a_wrong_secret_opens_nothing() {
    let world = world(&Ground::new());
    let mut wrong = options(&world, "pen-1");
    wrong.broker.password = Some(Secret::new("guessed"));
    let (publisher, _acks, _) = Publisher::start(wrong).unwrap();
    let mut link = publisher.link();
    tokio::time::timeout(
        PATIENCE,
        link.wait_for(|link| matches!(link, service::mqtt::Link::Disconnected { .. })),
    )
    .await
    .unwrap()
    .unwrap();
    world.down().await;
}

#[tokio::test]
async fn a_device_that_vanishes_is_recorded_as_lost_by_its_will() {
    let world = world(&Ground::new());
    let lost = proto::Status {
        presence: Some(proto::Presence::Lost as i32),
        boot_id: Some(1),
    };
    let mut options = options(&world, "pen-1");
    options.will = Some(Will {
        topic: name("pen-1", "status"),
        payload: lost.encode_to_vec().into(),
        retain: true,
    });
    let (publisher, mut acks, _) = Publisher::start(options).unwrap();
    publisher
        .publish(&name("pen-1", "telemetry"), frame(0), 0, false)
        .await
        .unwrap();
    assert!(acked(&mut acks).await.is_accepted());
    drop((publisher, acks));
    eventually("the will", || {
        world
            .stored()
            .iter()
            .any(|admitted| admitted.content == Content::Status)
    })
    .await;
    let stored = world.stored();
    assert_eq!(stored[1].status().unwrap().presence, Some(telemetry::Presence::Lost));
    assert_eq!(stored[1].anchor, None);
    world.down().await;
}

#[tokio::test]
async fn a_gateway_that_stops_answers_what_it_took() {
    let ground = Ground::new();
    let world = world(&ground);
    let (publisher, mut acks, _) = Publisher::start(options(&world, "pen-1")).unwrap();
    for sequence in 0..50 {
        publisher
            .publish(&name("pen-1", "telemetry"), frame(sequence), sequence, false)
            .await
            .unwrap();
    }
    assert!(acked(&mut acks).await.is_accepted());
    let store = world.store.clone();
    world.down().await;
    // Whatever it wrote it also answered, before it closed the connection.
    let stored = super::kit::records(&store).len();
    let mut answered = 1;
    while answered < stored {
        assert!(acked(&mut acks).await.is_accepted());
        answered += 1;
    }
    assert!(
        acks.try_recv().is_none(),
        "an answer for what is nowhere: {stored} stored"
    );
}

#[tokio::test]
async fn alerting_is_told_how_much_of_a_device_was_refused_once_an_interval() {
    let world = Ground::new().up_with(super::kit::registry(), |config| {
        config.listeners = vec![Listener {
            address: "127.0.0.1:0".parse().unwrap(),
            tls: None,
        }];
        config.watermark_every = Duration::from_millis(10);
    });
    let (publisher, mut acks, _) = Publisher::start(options(&world, "pen-1")).unwrap();
    let garbage = || Bytes::from_static(b"\xff\xff");
    let total = |world: &World| -> u64 {
        let told = world.refused();
        let count = |told: &String| {
            let number = told.strip_prefix("acme/pen-1 ")?.strip_suffix(" malformed")?;
            number.parse::<u64>().ok()
        };
        told.iter().map(|told| count(told).unwrap()).sum()
    };
    publisher
        .publish(&name("pen-1", "telemetry"), garbage(), 0, false)
        .await
        .unwrap();
    assert!(!acked(&mut acks).await.is_accepted());
    eventually("the first is told", || total(&world) == 1).await;
    for token in 1..5 {
        publisher
            .publish(&name("pen-1", "telemetry"), garbage(), token, false)
            .await
            .unwrap();
        assert!(!acked(&mut acks).await.is_accepted());
    }
    // A person's mistake, and a device that nobody knows: no device of the registry is at fault.
    world.submit(&garbage()).await;
    world.submit_for("pen-7", &garbage()).await;
    let marks = world.watermarks().len();
    eventually("watermarks after it", || world.watermarks().len() > marks + 3).await;
    assert_eq!(total(&world), 1, "the interval is not over");
    world.clock.advance(gateway::quarantine::tally::TELL_EVERY);
    eventually("the rest is told", || total(&world) == 5).await;
    assert_eq!(world.refused(), ["acme/pen-1 1 malformed", "acme/pen-1 4 malformed"]);
    world.down().await;
}
