//! Nothing accepted is lost and nothing unacknowledged is forgotten, with a real broker and a bad network between.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use service::backoff::Backoff;
use service::config::{ByteSize, Secret};
use service::mqtt::{
    AckToken, Broker, Delivery, DisconnectReason, Link, PublishError, Publisher, PublisherOptions, Subscriber,
    SubscriberOptions, Version, Will,
};
use service::testing::{FaultProxy, Mosquitto, wait_for};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

/// More than anything here takes on a loaded machine; never slept through.
const LIMIT: Duration = Duration::from_secs(30);

fn broker(port: u16, client_id: &str) -> Broker {
    let quick = Backoff::new(
        Duration::from_millis(5),
        Duration::from_millis(50),
        Duration::from_secs(10),
    );
    Broker {
        backoff: quick,
        connect_timeout: Duration::from_secs(2),
        ..Broker::new("127.0.0.1", port, client_id)
    }
}

fn publisher(port: u16, client_id: &str, version: Version) -> PublisherOptions {
    PublisherOptions {
        version,
        ..PublisherOptions::new(broker(port, client_id))
    }
}

async fn subscribed(port: u16, client_id: &str, filter: &str) -> Subscriber {
    let subscriber =
        Subscriber::start(SubscriberOptions::new(broker(port, client_id), vec![filter.to_owned()])).unwrap();
    ready(port, &subscriber, filter).await;
    subscriber
}

/// Waits until the subscription stands: a probe, published over a connection of its own until the broker says that somebody
/// subscribed to it. MQTT 5 says so with its reason code: 0x10 is "no matching subscribers".
async fn ready(port: u16, subscriber: &Subscriber, filter: &str) {
    up(&mut subscriber.link()).await;
    let (probe, mut acks, _) = Publisher::start(publisher(port, "probe", Version::V5)).unwrap();
    let topic = filter.replace('#', "probe");
    loop {
        probe.publish(&topic, Bytes::new(), 0, false).await.unwrap();
        if timeout(LIMIT, acks.recv()).await.unwrap().unwrap().reason == Some(0) {
            return probe.close().await;
        }
    }
}

/// The next delivery that is not a probe.
async fn next(subscriber: &mut Subscriber) -> Delivery {
    loop {
        let delivery = timeout(LIMIT, subscriber.recv())
            .await
            .expect("a delivery in time")
            .unwrap();
        if !delivery.payload.is_empty() {
            return delivery;
        }
        subscriber.acker().ack(&[delivery.token]);
    }
}

async fn up(link: &mut tokio::sync::watch::Receiver<Link>) {
    timeout(LIMIT, link.wait_for(Link::is_up))
        .await
        .expect("connected in time")
        .unwrap();
}

fn number(delivery: &Delivery) -> u64 {
    u64::from_be_bytes(delivery.payload[..8].try_into().unwrap())
}

fn payload(n: u64) -> Bytes {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

/// Takes deliveries, acknowledging each, until every number below `count` was seen.
async fn take_all(subscriber: &mut Subscriber, count: u64) -> BTreeSet<u64> {
    let mut seen = BTreeSet::new();
    let acker = subscriber.acker();
    while (seen.len() as u64) < count {
        let delivery = next(subscriber).await;
        seen.insert(number(&delivery));
        acker.ack(&[delivery.token]);
    }
    seen
}

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_acknowledged_is_delivered_again_though_the_consumer_is_cut_all_the_time() {
    const COUNT: u64 = 2000;
    let mosquitto = Mosquitto::start();
    let proxy = FaultProxy::start(mosquitto.port()).await;
    let mut subscriber = subscribed(proxy.port(), "sink", "t/#").await;
    let (publisher, acks, _commands) = Publisher::start(publisher(mosquitto.port(), "source", Version::V311)).unwrap();
    drop(acks);
    let cutting = proxy.cut_every(Duration::from_millis(300));
    tokio::spawn(async move {
        for n in 0..COUNT {
            publisher.publish("t/x", payload(n), n, false).await.unwrap();
            if n % 20 == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        publisher.drained().await;
    });
    // Only what the broker will not send again counts: the consumer "stores" when it acknowledges, in batches, late.
    let acker = subscriber.acker();
    let mut stored = BTreeSet::new();
    let mut batch: Vec<(u64, AckToken)> = Vec::new();
    while (stored.len() as u64) < COUNT {
        match timeout(Duration::from_millis(50), subscriber.recv()).await {
            Ok(delivery) => {
                let delivery = delivery.unwrap();
                if delivery.payload.is_empty() {
                    acker.ack(&[delivery.token]);
                    continue;
                }
                batch.push((number(&delivery), delivery.token));
            }
            Err(_) if batch.is_empty() => continue,
            Err(_) => {}
        }
        if batch.len() >= 50 || stored.len() + 50 > COUNT as usize {
            stored.extend(batch.iter().map(|(n, _)| *n));
            acker.ack(&batch.drain(..).map(|(_, token)| token).collect::<Vec<_>>());
        }
    }
    cutting.abort();
    assert_eq!(stored, (0..COUNT).collect());
}

#[tokio::test]
async fn deliveries_without_an_acknowledgement_come_again_to_the_next_process_and_acknowledged_ones_do_not() {
    let mosquitto = Mosquitto::start();
    let mut first = subscribed(mosquitto.port(), "sink", "t/#").await;
    let (publisher, _acks, _commands) = Publisher::start(publisher(mosquitto.port(), "source", Version::V311)).unwrap();
    for n in 0..10 {
        publisher.publish("t/x", payload(n), n, false).await.unwrap();
    }
    let mut deliveries = Vec::new();
    deliveries.push(next(&mut first).await);
    while deliveries.len() < 10 {
        timeout(LIMIT, first.recv_many(&mut deliveries, 10)).await.unwrap();
    }
    // Acknowledged out of order: 0, 1, 2 and 5; the broker must hear of 0, 1 and 2 only.
    let tokens: Vec<AckToken> = [5, 2, 0, 1].iter().map(|n: &usize| deliveries[*n].token).collect();
    first.acker().ack(&tokens);
    assert_eq!(first.acker().outstanding(), 7);
    timeout(LIMIT, first.stop()).await.unwrap();
    let mut second = Subscriber::start(SubscriberOptions::new(
        broker(mosquitto.port(), "sink"),
        vec!["t/#".to_owned()],
    ))
    .unwrap();
    let mut again = Vec::new();
    while again.len() < 7 {
        timeout(LIMIT, second.recv_many(&mut again, 7)).await.unwrap();
    }
    assert_eq!(
        again.iter().map(number).collect::<Vec<_>>(),
        (3..10).collect::<Vec<_>>()
    );
    assert!(again.iter().all(|delivery| delivery.dup));
    // A token of the first connection does nothing to the second.
    second.acker().ack(&tokens);
    assert_eq!(second.acker().outstanding(), 7);
}

#[tokio::test]
async fn a_broker_that_was_killed_and_forgot_the_session_is_subscribed_again() {
    let mut mosquitto = Mosquitto::start();
    let mut subscriber = subscribed(mosquitto.port(), "sink", "t/#").await;
    let mut link = subscriber.link();
    mosquitto.kill();
    timeout(LIMIT, link.wait_for(|link| !link.is_up()))
        .await
        .unwrap()
        .unwrap();
    mosquitto.forget();
    mosquitto.restart();
    up(&mut link).await;
    assert_eq!(*link.borrow(), Link::Connected { session_present: false });
    let (publisher, _acks, _commands) = Publisher::start(publisher(mosquitto.port(), "source", Version::V311)).unwrap();
    // The first of these may be published before the subscription stands; a later one arrives.
    for n in 0.. {
        publisher.publish("t/x", payload(n), n, false).await.unwrap();
        if timeout(Duration::from_millis(200), subscriber.recv()).await.is_ok() {
            return;
        }
        assert!(n < 100, "nothing arrives");
    }
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
async fn a_message_over_the_limit_is_delivered_once_and_does_not_block_what_is_behind_it() {
    let mosquitto = Mosquitto::start();
    let mut options = SubscriberOptions::new(broker(mosquitto.port(), "sink"), vec!["t/#".to_owned()]);
    options.broker.max_packet_size = ByteSize::kib(2);
    options.packet_hard_cap = ByteSize::kib(64);
    let mut subscriber = Subscriber::start(options).unwrap();
    ready(mosquitto.port(), &subscriber, "t/#").await;
    let (publisher, _acks, _commands) = Publisher::start(publisher(mosquitto.port(), "source", Version::V311)).unwrap();
    publisher.publish("t/x", payload(0), 0, false).await.unwrap();
    publisher
        .publish("t/x", Bytes::from(vec![0xff; 20_000]), 1, false)
        .await
        .unwrap();
    publisher.publish("t/x", payload(2), 2, false).await.unwrap();
    let acker = subscriber.acker();
    let (mut large, mut last) = (0, false);
    while large == 0 || !last {
        let delivery = next(&mut subscriber).await;
        acker.ack(&[delivery.token]);
        large += usize::from(delivery.payload.len() == 20_000);
        last |= delivery.payload.len() == 8 && number(&delivery) == 2;
    }
    assert_eq!(large, 1);
    // What the publisher itself refuses never reaches the broker.
    let too_large = publisher.publish("t/x", Bytes::from(vec![0; 2 << 20]), 3, false).await;
    assert_eq!(too_large, Err(PublishError::TooLarge));
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
            if let Ok(received) = timeout(Duration::from_millis(100), commands.recv()).await {
                command = received;
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

#[tokio::test]
async fn a_slow_consumer_costs_no_message_though_the_window_is_small() {
    const COUNT: u64 = 500;
    let mosquitto = Mosquitto::start();
    let mut options = SubscriberOptions::new(broker(mosquitto.port(), "sink"), vec!["t/#".to_owned()]);
    options.receive_window = 2;
    options.receive_bytes = ByteSize::bytes(64);
    let mut subscriber = Subscriber::start(options).unwrap();
    ready(mosquitto.port(), &subscriber, "t/#").await;
    let (publisher, acks, _commands) = Publisher::start(publisher(mosquitto.port(), "source", Version::V311)).unwrap();
    drop(acks);
    for n in 0..COUNT {
        publisher.publish("t/x", payload(n), n, false).await.unwrap();
    }
    timeout(LIMIT, publisher.drained()).await.unwrap();
    assert_eq!(take_all(&mut subscriber, COUNT).await.len() as u64, COUNT);
}

#[tokio::test]
async fn a_broker_that_repeats_a_delivery_on_the_same_connection_gets_one_delivery_and_one_acknowledgement() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hostile = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 512];
        let _connect = stream.read(&mut buffer).await.unwrap();
        stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
        let subscribe = stream.read(&mut buffer).await.unwrap();
        assert_eq!(buffer[0], 0x82);
        let id = [buffer[2], buffer[3]];
        assert!(subscribe > 4);
        stream.write_all(&[0x90, 3, id[0], id[1], 1]).await.unwrap();
        // Topic "t", packet id 9, payload "1", three times; then id 10.
        for id in [9, 9, 9, 10] {
            stream.write_all(&[0x32, 6, 0, 1, b't', 0, id, b'1']).await.unwrap();
        }
        let mut acks = [0; 8];
        stream.read_exact(&mut acks).await.unwrap();
        (acks, stream)
    });
    let mut subscriber = Subscriber::start(SubscriberOptions::new(broker(port, "gw"), vec!["t".into()])).unwrap();
    let first = timeout(LIMIT, subscriber.recv()).await.unwrap().unwrap();
    let second = timeout(LIMIT, subscriber.recv()).await.unwrap().unwrap();
    wait_for("both are owed", LIMIT, || subscriber.acker().outstanding() == 2).await;
    subscriber.acker().ack(&[second.token, first.token, first.token]);
    let (acks, _stream) = timeout(LIMIT, hostile).await.unwrap().unwrap();
    assert_eq!(acks, [0x40, 2, 0, 9, 0x40, 2, 0, 10]);
}

#[tokio::test]
async fn options_that_cannot_work_are_refused_by_name() {
    let named = |options: SubscriberOptions| Subscriber::start(options).unwrap_err().option;
    let good = || SubscriberOptions::new(broker(1, "gw"), vec!["t".into()]);
    assert_eq!(
        named(SubscriberOptions {
            filters: vec!["a/#/b".into()],
            ..good()
        }),
        "filters"
    );
    assert_eq!(
        named(SubscriberOptions {
            receive_window: 0,
            ..good()
        }),
        "receive_window"
    );
    let short = Broker {
        keep_alive: Duration::from_secs(1),
        ..broker(1, "gw")
    };
    assert_eq!(named(SubscriberOptions::new(short, vec!["t".into()])), "keep_alive");
    assert_eq!(
        named(SubscriberOptions::new(broker(1, ""), vec!["t".into()])),
        "client_id"
    );
    let will = Will {
        topic: "a/+".into(),
        payload: Bytes::new(),
        retain: false,
    };
    let options = PublisherOptions {
        will: Some(will),
        ..PublisherOptions::new(broker(1, "d"))
    };
    assert_eq!(Publisher::start(options).unwrap_err().option, "will");
}
