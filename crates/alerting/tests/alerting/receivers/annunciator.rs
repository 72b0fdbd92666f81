//! A buzzer at a real mosquitto: the receipt is the broker's PUBACK.
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use service::mqtt::{Broker, Subscriber, SubscriberOptions};
use service::testing::Mosquitto;

use super::{elsewhere, receiver, rows, tls};
use crate::desk::{Running, hazard, nothing_waits, until};

type Heard = Arc<Mutex<Vec<(String, Value)>>>;

/// What a buzzer hears.
async fn buzzer(port: u16) -> Heard {
    listen(Broker::new("127.0.0.1", port, "buzzer")).await
}

async fn listen(broker: Broker) -> Heard {
    let heard = Heard::default();
    let mut subscriber = Subscriber::start(SubscriberOptions::new(broker, vec!["buzzer/#".to_owned()])).unwrap();
    let mut subscribed = subscriber.subscribed();
    // What is published before is told to nobody.
    tokio::time::timeout(Duration::from_secs(60), subscribed.wait_for(|is| *is))
        .await
        .expect("a subscription")
        .unwrap();
    let into = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Some(delivery) = subscriber.recv().await {
            let json = serde_json::from_slice(&delivery.payload).unwrap();
            into.lock().unwrap().push((delivery.topic.clone(), json));
            subscriber.acker().ack(&[delivery.token]);
        }
    });
    heard
}

fn start(dir: &std::path::Path, port: u16, more: &str) -> Running {
    let toml = format!(
        "name = \"buzzer\"\nmqtt = {{ host = \"127.0.0.1\", port = {port}, topic = \"buzzer/{{{{ tenant }}}}/{{{{ clinic }}}}\", timeout = \"2s\"{more} }}\n"
    );
    Running::start(dir, vec![receiver(&toml)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buzzer_hears_of_a_hazard_in_its_clinic_and_when_to_be_quiet() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start();
    let heard = buzzer(broker.port()).await;
    let running = start(dir.path(), broker.port(), "");
    running.append(&[hazard("pen-1", 1).record()]);
    let deep = |heard: &Heard, state: &str| {
        let all = heard.lock().unwrap().clone();
        all.into_iter()
            .find(|(_, page)| page["state"] == state && page["text"].as_str().unwrap().contains("Stop the pen now"))
    };
    let (topic, page) = until("the buzzer", || deep(&heard, "firing")).await;
    assert_eq!(topic, "buzzer/acme/north");
    assert_eq!((&page["sound"], &page["priority"]), (&true.into(), &"high".into()));
    let id = page["alert_id"].as_str().unwrap().parse().unwrap();
    running.handle.acknowledge(id, "ann", "").await.unwrap();
    let (_, page) = until("quiet", || deep(&heard, "acknowledged")).await;
    assert_eq!(page["sound"], false);
    nothing_waits(&running).await;
    running.stop().await;
    assert!(
        rows(dir.path(), "delivered")
            .iter()
            .all(|row| row["receipt"] == "puback")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_gets_the_page_when_it_is_back_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Mosquitto::start();
    let port = broker.port();
    broker.kill();
    let running = start(dir.path(), port, "");
    elsewhere(&running, true);
    let store = alerting::store::Store::open(&crate::desk::file(dir.path())).unwrap();
    until("an attempt", || (store.waiting_pages().unwrap() == 1).then_some(())).await;
    broker.restart();
    let heard = buzzer(port).await;
    nothing_waits(&running).await;
    elsewhere(&running, false);
    nothing_waits(&running).await;
    until("the end", || {
        heard
            .lock()
            .unwrap()
            .iter()
            .any(|(_, page)| page["state"] == "resolved")
            .then_some(())
    })
    .await;
    running.stop().await;
    let delivered = rows(dir.path(), "delivered");
    assert_eq!(delivered.len(), 2, "{delivered:?}");
    let firing = heard
        .lock()
        .unwrap()
        .iter()
        .filter(|(_, page)| page["state"] == "firing")
        .count();
    assert!(firing <= 1, "it did not pile up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_let_us_in_needs_a_person() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start_with("allow_anonymous false\n");
    let running = start(dir.path(), broker.port(), ", username = \"x\", password = \"wrong\"");
    elsewhere(&running, true);
    until("readiness", || super::readiness_says(&running, "denied").then_some(())).await;
    running.stop().await;
}

/// A broker behind TLS, with a certificate of an authority of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_buzzer_behind_tls_hears_of_it_and_a_broker_that_nobody_vouches_for_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (files, other) = (tls::files(dir.path(), "real"), tls::files(dir.path(), "other"));
    let broker = Mosquitto::start_with(&format!(
        "user root\nallow_anonymous true\ncertfile {}\nkeyfile {}\n",
        files.cert.display(),
        files.key.display()
    ));
    let mut own = Broker::new("localhost", broker.port(), "buzzer");
    own.tls = Some(service::tls::client_config(&files.ca, None).unwrap());
    let heard = listen(own).await;
    for (ca, trusted) in [(&other.ca, false), (&files.ca, true)] {
        let dir = tempfile::tempdir().unwrap();
        let running = start(dir.path(), broker.port(), &format!(", ca = \"{}\"", ca.display()));
        elsewhere(&running, true);
        if trusted {
            until("a receipt", || rows(dir.path(), "delivered").pop()).await;
            until("the buzzer", || heard.lock().unwrap().pop()).await;
        } else {
            until("readiness", || {
                super::readiness_says(&running, "certificate").then_some(())
            })
            .await;
            assert!(rows(dir.path(), "delivered").is_empty() && heard.lock().unwrap().is_empty());
        }
        running.stop().await;
    }
}
