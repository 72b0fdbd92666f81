//! Nothing that the subscriber did not acknowledge is forgotten, with a real broker and a bad network between.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use service::config::ByteSize;
use service::mqtt::{
    AckToken, Broker, Link, PublishError, Publisher, PublisherOptions, Subscriber, SubscriberOptions, Version, Will,
};
use service::testing::{FaultProxy, Mosquitto, wait_for};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::mqtt_clients::*;

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

/// A broker that sends no more than `max_inflight_messages` without an acknowledgement (mosquitto: 20 unless told otherwise) must
/// not wait for a batch that never fills.
#[tokio::test]
async fn a_brokers_small_window_stops_nothing_that_is_acknowledged_as_it_is_kept() {
    const COUNT: u64 = 300;
    for window in [1, 20] {
        let mosquitto = Mosquitto::start_with(&format!("allow_anonymous true\nmax_inflight_messages {window}\n"));
        let mut subscriber = subscribed(mosquitto.port(), "sink", "t/#").await;
        let (publisher, acks, _commands) =
            Publisher::start(publisher(mosquitto.port(), "source", Version::V311)).unwrap();
        drop(acks);
        for n in 0..COUNT {
            publisher.publish("t/x", payload(n), n, false).await.unwrap();
        }
        timeout(LIMIT, publisher.drained()).await.unwrap();
        assert_eq!(
            take_all(&mut subscriber, COUNT).await.len() as u64,
            COUNT,
            "window {window}"
        );
    }
}

#[tokio::test]
async fn a_filter_that_is_wanted_no_more_is_taken_out_of_the_session_that_is_still_there() {
    let mosquitto = Mosquitto::start();
    let file = mosquitto.dir().join("filters.json");
    let options = |filters: &[&str]| SubscriberOptions {
        filters_file: Some(file.clone()),
        ..SubscriberOptions::new(
            broker(mosquitto.port(), "sink"),
            filters.iter().map(|filter| (*filter).to_owned()).collect(),
        )
    };
    let mut before = Subscriber::start(options(&["old/#", "t/#"])).unwrap();
    ready(mosquitto.port(), &before, "old/#").await;
    before.stop().await;
    let mut after = Subscriber::start(options(&["t/#"])).unwrap();
    let mut link = after.link();
    up(&mut link).await;
    assert_eq!(*link.borrow(), Link::Connected { session_present: true });
    // The broker answers in order: once it has answered this, it has done what was asked before.
    ready(mosquitto.port(), &after, "t/#").await;
    let (publisher, _acks, _commands) = Publisher::start(publisher(mosquitto.port(), "source", Version::V311)).unwrap();
    let acker = after.acker();
    for n in 0..100 {
        publisher.publish("old/x", payload(n), n, false).await.unwrap();
        publisher.publish("t/x", payload(n), n, false).await.unwrap();
        let delivery = next(&mut after).await;
        acker.ack(&[delivery.token]);
        // One may have been on its way when it was unsubscribed.
        if (delivery.topic.as_str(), number(&delivery)) == ("t/x", n) {
            let second = timeout(LIMIT, async {
                publisher.publish("t/x", payload(n + 1_000), 0, false).await.unwrap();
                next(&mut after).await
            });
            let second = second.await.unwrap();
            assert_eq!((second.topic.as_str(), number(&second)), ("t/x", n + 1_000));
            return;
        }
    }
    panic!("what nobody wants goes on coming");
}

/// Nothing is read while the consumer takes nothing, pings neither: the broker ends the connection after one and a half keep alives,
/// and begins again with what was not acknowledged.
#[tokio::test]
async fn a_consumer_that_takes_nothing_for_longer_than_the_keep_alive_loses_its_connection_and_no_message() {
    const COUNT: u64 = 40;
    let mosquitto = Mosquitto::start_with("allow_anonymous true\nlog_type all\n");
    let mut options = SubscriberOptions::new(broker(mosquitto.port(), "sink"), vec!["t/#".to_owned()]);
    options.broker.keep_alive = Duration::from_secs(5);
    options.receive_window = 2;
    let mut subscriber = Subscriber::start(options).unwrap();
    ready(mosquitto.port(), &subscriber, "t/#").await;
    let (publisher, acks, _commands) = Publisher::start(publisher(mosquitto.port(), "source", Version::V311)).unwrap();
    drop(acks);
    for n in 0..COUNT {
        publisher.publish("t/x", payload(n), n, false).await.unwrap();
    }
    timeout(LIMIT, publisher.drained()).await.unwrap();
    let log = mosquitto.dir().join("mosquitto.log");
    wait_for("the broker's patience to end", LIMIT, || {
        let said = std::fs::read_to_string(&log).unwrap();
        said.lines()
            .any(|line| line.contains("sink") && line.contains("exceeded timeout"))
    })
    .await;
    // Each comes, in order, some of them a second time.
    let acker = subscriber.acker();
    let mut seen = BTreeSet::new();
    while (seen.len() as u64) < COUNT {
        let delivery = next(&mut subscriber).await;
        let n = number(&delivery);
        assert!(n <= seen.len() as u64, "{n} comes before {}", seen.len());
        seen.insert(n);
        acker.ack(&[delivery.token]);
    }
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_noticed_by_who_only_listens_and_nothing_is_lost() {
    let mosquitto = Mosquitto::start();
    let proxy = FaultProxy::start(mosquitto.port()).await;
    let mut options = SubscriberOptions::new(broker(proxy.port(), "sink"), vec!["t/#".to_owned()]);
    options.broker.keep_alive = Duration::from_secs(5);
    let mut subscriber = Subscriber::start(options).unwrap();
    ready(mosquitto.port(), &subscriber, "t/#").await;
    let mut link = subscriber.link();
    proxy.silence(true);
    let (publisher, _acks, _commands) = Publisher::start(publisher(mosquitto.port(), "source", Version::V311)).unwrap();
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
