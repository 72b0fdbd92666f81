//! What both sides' tests share: clients of a real broker, and numbered messages that can be counted.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use service::backoff::Backoff;
use service::mqtt::{Broker, Delivery, Link, Publisher, PublisherOptions, Subscriber, SubscriberOptions, Version};
use tokio::time::timeout;

/// More than anything here takes on a loaded machine; never slept through.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn broker(port: u16, client_id: &str) -> Broker {
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

pub(super) fn publisher(port: u16, client_id: &str, version: Version) -> PublisherOptions {
    PublisherOptions {
        version,
        ..PublisherOptions::new(broker(port, client_id))
    }
}

pub(super) async fn subscribed(port: u16, client_id: &str, filter: &str) -> Subscriber {
    let subscriber =
        Subscriber::start(SubscriberOptions::new(broker(port, client_id), vec![filter.to_owned()])).unwrap();
    ready(port, &subscriber, filter).await;
    subscriber
}

/// Waits until the subscription stands: a probe, published over a connection of its own until the broker says that somebody
/// subscribed to it. MQTT 5 says so with its reason code: 0x10 is "no matching subscribers".
pub(super) async fn ready(port: u16, subscriber: &Subscriber, filter: &str) {
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
pub(super) async fn next(subscriber: &mut Subscriber) -> Delivery {
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

pub(super) async fn up(link: &mut tokio::sync::watch::Receiver<Link>) {
    timeout(LIMIT, link.wait_for(Link::is_up))
        .await
        .expect("connected in time")
        .unwrap();
}

pub(super) fn number(delivery: &Delivery) -> u64 {
    u64::from_be_bytes(delivery.payload[..8].try_into().unwrap())
}

pub(super) fn payload(n: u64) -> Bytes {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

/// Takes deliveries, acknowledging each, until every number below `count` was seen.
pub(super) async fn take_all(subscriber: &mut Subscriber, count: u64) -> BTreeSet<u64> {
    let mut seen = BTreeSet::new();
    let acker = subscriber.acker();
    while (seen.len() as u64) < count {
        let delivery = next(subscriber).await;
        seen.insert(number(&delivery));
        acker.ack(&[delivery.token]);
    }
    seen
}
