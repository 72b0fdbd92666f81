//! Nothing that the publisher accepted is lost, with a real broker and a bad network between.

use std::time::Duration;

use bytes::Bytes;
use service::config::Secret;
use service::mqtt::{
    Broker, DisconnectReason, Link, PublishError, Publisher, PublisherOptions, Subscriber, SubscriberOptions, Version,
    Will,
};
use service::testing::{FaultProxy, Mosquitto};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::mqtt_clients::*;

async fn everything_arrives_despite_cuts(version: Version) {
    const COUNT: u64 = 3000;
    let mosquitto = Mosquitto::start();
    let proxy = FaultProxy::start(mosquitto.port()).await;
    let mut subscriber = subscribed(mosquitto.port(), "sink", "t/#").await;
    let cutting = proxy.cut_every(Duration::from_millis(300));
    let mut options = publisher(proxy.port(), "source", version);
    options.command_topic = Some("c/source".to_owned());
    let (publisher, mut acks, _commands) = Publisher::start(options).unwrap();
    let publishing = tokio::spawn({
        let publisher = publisher.clone();
        async move {
            for n in 0..COUNT {
                publisher.publish("t/x", payload(n), n, false).await.unwrap();
                // Paced, so that several cuts fall into it.
                if n % 20 == 0 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    });
    let acking = tokio::spawn(async move {
        let mut acked = Vec::new();
        while acked.len() < COUNT as usize {
            let ack = acks.recv().await.unwrap();
            assert!(ack.is_accepted());
            assert_eq!(ack.reason.is_some(), version == Version::V5);
            acked.push(ack.token);
        }
        acked
    });
    let seen = take_all(&mut subscriber, COUNT).await;
    assert_eq!(seen.len() as u64, COUNT);
    timeout(LIMIT, publishing).await.unwrap().unwrap();
    timeout(LIMIT, publisher.drained()).await.unwrap();
    let mut acked = timeout(LIMIT, acking).await.unwrap().unwrap();
    acked.sort_unstable();
    assert_eq!(
        acked,
        (0..COUNT).collect::<Vec<_>>(),
        "each token acknowledged exactly once"
    );
    assert_eq!(publisher.pending(), 0);
    cutting.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_accepted_arrives_though_the_socket_is_cut_every_300_ms() {
    everything_arrives_despite_cuts(Version::V311).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_accepted_arrives_over_mqtt_5_too_with_reason_codes() {
    everything_arrives_despite_cuts(Version::V5).await;
}

#[tokio::test]
async fn a_publisher_keeps_its_messages_while_the_broker_is_killed_and_restarted() {
    let mut mosquitto = Mosquitto::start();
    let mut subscriber = subscribed(mosquitto.port(), "sink", "t/#").await;
    let (publisher, _acks, _commands) = Publisher::start(publisher(mosquitto.port(), "source", Version::V311)).unwrap();
    up(&mut publisher.link()).await;
    let mut sink = subscriber.link();
    mosquitto.kill();
    timeout(LIMIT, sink.wait_for(|link| !link.is_up()))
        .await
        .unwrap()
        .unwrap();
    for n in 0..100 {
        publisher.publish("t/x", payload(n), n, false).await.unwrap();
    }
    assert_eq!(publisher.pending(), 100);
    mosquitto.restart();
    // What the broker acknowledges before the subscriber is back is the broker's to keep, and this one was SIGKILLed
    // before it saved the session: so only the outbox is judged, and that the path works again.
    let drained = timeout(LIMIT, publisher.drained()).await;
    assert!(drained.is_ok(), "the outbox drains after the restart");
    up(&mut sink).await;
    ready(mosquitto.port(), &subscriber, "t/#").await;
    publisher.publish("t/x", payload(100), 100, false).await.unwrap();
    let last = async { while number(&next(&mut subscriber).await) != 100 {} };
    timeout(LIMIT, last).await.unwrap();
}

#[tokio::test]
async fn a_full_outbox_holds_the_caller_back_and_says_so_until_acknowledgements_are_taken() {
    let mosquitto = Mosquitto::start();
    let proxy = FaultProxy::start(mosquitto.port()).await;
    proxy.refuse(true);
    let options = PublisherOptions {
        outbox_messages: 3,
        ..publisher(proxy.port(), "source", Version::V311)
    };
    let (publisher, mut acks, _commands) = Publisher::start(options).unwrap();
    for n in 0..3 {
        publisher.try_publish("t", payload(n), n, false).unwrap();
    }
    assert_eq!(
        publisher.try_publish("t", payload(3), 3, false),
        Err(PublishError::Full)
    );
    assert_eq!(
        publisher.try_publish("t/#", payload(3), 3, false),
        Err(PublishError::BadTopic)
    );
    proxy.refuse(false);
    timeout(LIMIT, publisher.drained()).await.unwrap();
    assert_eq!(
        publisher.try_publish("t", payload(3), 3, false),
        Err(PublishError::Full),
        "nobody took the acknowledgements"
    );
    assert_eq!(timeout(LIMIT, acks.recv()).await.unwrap().unwrap().token, 0);
    timeout(LIMIT, publisher.publish("t", payload(3), 3, false))
        .await
        .unwrap()
        .unwrap();
    for token in 1..4 {
        assert_eq!(
            timeout(LIMIT, acks.recv()).await.unwrap().unwrap().token,
            token,
            "in order"
        );
    }
    publisher.close().await;
    assert_eq!(
        publisher.try_publish("t", payload(4), 4, false),
        Err(PublishError::Closed)
    );
}

#[tokio::test]
async fn a_cut_lets_the_broker_publish_the_will_and_a_close_does_not() {
    let mosquitto = Mosquitto::start();
    for (version, watch) in [(Version::V311, "watch-311"), (Version::V5, "watch-5")] {
        let mut subscriber = subscribed(mosquitto.port(), watch, "status/#").await;
        let will = Will {
            topic: "status/d".into(),
            payload: Bytes::from_static(b"gone"),
            retain: false,
        };
        let options = PublisherOptions {
            will: Some(will),
            ..publisher(mosquitto.port(), "device", version)
        };
        let (publisher, _acks, _commands) = Publisher::start(options).unwrap();
        let mut link = publisher.link();
        up(&mut link).await;
        publisher.set_online(false);
        let delivery = next(&mut subscriber).await;
        assert_eq!(delivery.payload, "gone");
        subscriber.acker().ack(&[delivery.token]);
        timeout(LIMIT, link.wait_for(|link| *link == Link::Offline))
            .await
            .unwrap()
            .unwrap();
        publisher.set_online(true);
        up(&mut link).await;
        publisher
            .publish("status/d", Bytes::from_static(b"last"), 1, false)
            .await
            .unwrap();
        timeout(LIMIT, publisher.drained()).await.unwrap();
        publisher.close().await;
        assert_eq!(*link.borrow(), Link::Closed);
        assert_eq!(next(&mut subscriber).await.payload, "last");
        // A message published after the close comes next: so there was no will between.
        let (other, _acks, _commands) = Publisher::start(self::publisher(mosquitto.port(), "other", version)).unwrap();
        other
            .publish("status/d", Bytes::from_static(b"after"), 1, false)
            .await
            .unwrap();
        assert_eq!(next(&mut subscriber).await.payload, "after");
    }
}

#[tokio::test]
async fn commands_reach_the_client_also_after_a_cut() {
    let mosquitto = Mosquitto::start();
    let options = PublisherOptions {
        command_topic: Some("c/d".into()),
        ..publisher(mosquitto.port(), "device", Version::V311)
    };
    let (device, _acks, mut commands) = Publisher::start(options).unwrap();
    let (other, _other_acks, _) = Publisher::start(publisher(mosquitto.port(), "other", Version::V311)).unwrap();
    for round in 0..2u64 {
        let mut link = device.link();
        up(&mut link).await;
        let mut command = None;
        for n in 0..100 {
            other.publish("c/d", payload(round), n, false).await.unwrap();
            // One of the round before may still be on its way.
            if let Ok(Some(received)) = timeout(Duration::from_millis(100), commands.recv()).await
                && received.payload == payload(round)
            {
                command = Some(received);
                break;
            }
        }
        assert_eq!(command.expect("a command").payload, payload(round));
        while commands.try_recv().is_ok() {}
        device.cut();
        timeout(LIMIT, link.wait_for(|link| !link.is_up()))
            .await
            .unwrap()
            .unwrap();
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_as_refused_and_the_right_one_connects() {
    let dir = tempfile::tempdir().unwrap();
    let passwords = dir.path().join("passwords");
    // mosquitto hashes plain lines in place.
    std::fs::write(&passwords, "gw:right\n").unwrap();
    let hashed = std::process::Command::new("mosquitto_passwd")
        .arg("-U")
        .arg(&passwords)
        .status()
        .expect("mosquitto_passwd");
    assert!(hashed.success());
    let config = format!(
        "allow_anonymous false\nuser root\npassword_file {}\n",
        passwords.display()
    );
    let mosquitto = Mosquitto::start_with(&config);
    let with = |password: &str| Broker {
        username: Some("gw".into()),
        password: Some(Secret::new(password)),
        ..broker(mosquitto.port(), "gw")
    };
    let wrong = Subscriber::start(SubscriberOptions::new(with("wrong"), vec!["t".into()])).unwrap();
    let mut link = wrong.link();
    let refused = |link: &Link| {
        matches!(
            link,
            Link::Disconnected {
                reason: DisconnectReason::Refused,
                ..
            }
        )
    };
    timeout(LIMIT, link.wait_for(refused)).await.unwrap().unwrap();
    let right = Subscriber::start(SubscriberOptions::new(with("right"), vec!["t".into()])).unwrap();
    up(&mut right.link()).await;
}

#[tokio::test]
async fn a_server_that_says_nothing_or_half_a_connack_is_left_in_time() {
    for answer in [&b""[..], &b"\x20\x02\x00"[..]] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let mut open = Vec::new();
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(answer).await.unwrap();
                open.push(stream);
            }
            open
        });
        let mut options = broker(port, "gw");
        options.connect_timeout = Duration::from_secs(1);
        let subscriber = Subscriber::start(SubscriberOptions::new(options, vec!["t".into()])).unwrap();
        let mut link = subscriber.link();
        let timed_out = |link: &Link| {
            matches!(
                link,
                Link::Disconnected {
                    reason: DisconnectReason::Timeout,
                    ..
                }
            )
        };
        timeout(LIMIT, link.wait_for(timed_out)).await.unwrap().unwrap();
        // And it tries again.
        timeout(LIMIT, server).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_noticed_and_nothing_is_lost() {
    let mosquitto = Mosquitto::start();
    let proxy = FaultProxy::start(mosquitto.port()).await;
    let mut subscriber = subscribed(mosquitto.port(), "sink", "t/#").await;
    let mut options = publisher(proxy.port(), "source", Version::V311);
    options.broker.keep_alive = Duration::from_secs(5);
    let (publisher, _acks, _commands) = Publisher::start(options).unwrap();
    let mut link = publisher.link();
    up(&mut link).await;
    proxy.silence(true);
    for n in 0..10 {
        publisher.publish("t/x", payload(n), n, false).await.unwrap();
    }
    timeout(LIMIT, link.wait_for(|link| !link.is_up()))
        .await
        .expect("noticed by its keep alive")
        .unwrap();
    proxy.silence(false);
    assert_eq!(take_all(&mut subscriber, 10).await.len(), 10);
}
