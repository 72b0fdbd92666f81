//! Over real MQTT (mosquitto): every frame arrives, also those that a broken network held back.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use service::mqtt::{Broker, Subscriber, SubscriberOptions, Version};
use service::testing::{Mosquitto, wait_for};
use simulator::load::{LoadSpec, fleet as load_fleet, run as run_load};
use simulator::{FaultKind, FaultSpec, Pace, Simulator, Target};
use telemetry::{Body, Channel, Presence, Topic, decode, decode_status};

use crate::read::{faulty, one, small};

/// What a subscriber sees: payloads by topic.
struct Seen {
    subscriber: Subscriber,
    payloads: BTreeMap<String, BTreeSet<Vec<u8>>>,
    /// The last payload of each status topic.
    statuses: BTreeMap<String, Vec<u8>>,
    deliveries: u64,
    /// Status topics on which a last will has spoken.
    lost: BTreeSet<String>,
}

impl Seen {
    async fn start(broker: &Mosquitto) -> Self {
        let options = SubscriberOptions::new(
            Broker::new("127.0.0.1", broker.port(), "observer"),
            vec![Topic::filter(Channel::Telemetry), Topic::filter(Channel::Status)],
        );
        let subscriber = Subscriber::start(options).unwrap();
        let subscribed = subscriber.subscribed();
        wait_for("the subscriber", Duration::from_secs(60), || *subscribed.borrow()).await;
        Self {
            subscriber,
            payloads: BTreeMap::new(),
            statuses: BTreeMap::new(),
            deliveries: 0,
            lost: BTreeSet::new(),
        }
    }

    /// Takes deliveries until `enough` says so.
    async fn until(&mut self, enough: impl Fn(&Self) -> bool) {
        let acker = self.subscriber.acker();
        let all = async {
            while !enough(self) {
                let delivery = self.subscriber.recv().await.expect("the subscriber ended");
                self.deliveries += 1;
                if delivery.topic.ends_with("/status") {
                    let status = decode_status(&delivery.topic.parse().unwrap(), &delivery.payload)
                        .unwrap()
                        .0;
                    if status.presence == Some(Presence::Lost) {
                        self.lost.insert(delivery.topic.clone());
                    }
                    self.statuses.insert(delivery.topic, delivery.payload.to_vec());
                } else {
                    self.payloads
                        .entry(delivery.topic)
                        .or_default()
                        .insert(delivery.payload.to_vec());
                }
                acker.ack(&[delivery.token]);
            }
        };
        if tokio::time::timeout(Duration::from_secs(30), all).await.is_err() {
            panic!("only {} deliveries", self.deliveries);
        }
    }

    fn frames(&self) -> usize {
        self.payloads.values().map(BTreeSet::len).sum()
    }
}

/// By topic, the most frames that the device had unacknowledged behind one.
fn backlog(payloads: impl Iterator<Item = (String, Vec<u8>)>) -> BTreeMap<String, u64> {
    let mut most = BTreeMap::new();
    for (topic, payload) in payloads.filter(|(topic, _)| topic.ends_with("/telemetry")) {
        let header = decode(&topic.parse().unwrap(), &payload).unwrap().header;
        let behind = header.sequence - header.oldest_unacknowledged.unwrap();
        let entry = most.entry(topic).or_insert(0);
        *entry = behind.max(*entry);
    }
    most
}

fn target(broker: &Mosquitto) -> Target {
    Target {
        login: false,
        ..Target::new("127.0.0.1", broker.port())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_frame_of_a_fleet_arrives_although_its_network_broke() {
    let broker = Mosquitto::start();
    let mut seen = Seen::start(&broker).await;
    let cut = FaultSpec {
        lasting: Some(Duration::from_secs(20)),
        ..one(FaultKind::DroppedNetwork, 10)
    };
    let fleet = faulty(41, &small(), &[cut, one(FaultKind::LampOverEnergy, 5)]);
    let duration = Duration::from_secs(60);
    // Ground: what the same fleet says without MQTT, but for what only an outbox knows and what was still held back.
    let expected = fleet
        .frames(duration)
        .filter(|f| f.is_published() && f.topic.ends_with("/telemetry"))
        .count();
    let held_back = backlog(
        fleet
            .frames(duration)
            .filter(|f| f.is_published())
            .map(|f| (f.topic.clone(), f.payload.to_vec())),
    );
    let cut_device = fleet.devices().iter().find(|d| !d.is_healthy()).unwrap().who.clone();

    let simulator = Simulator::new(fleet);
    let live = simulator.live();
    let pace = Pace {
        speed: 20.0,
        duration: Some(duration),
        grace: Duration::from_secs(20),
    };
    let report = simulator
        .run(&target(&broker), pace, std::future::pending())
        .await
        .unwrap();
    assert_eq!(report.counts.unsent, 0, "{report:?}");
    assert_eq!(report.counts.connected, 0);
    assert!(report.counts.acked >= report.counts.published, "{:?}", report.counts);
    assert_eq!(live.counts(), report.counts);

    seen.until(|seen| seen.frames() >= expected).await;
    assert_eq!(seen.frames(), expected);
    let mut sequences: BTreeMap<(String, u64), BTreeSet<u64>> = BTreeMap::new();
    let mut strokes = 0;
    for (topic, payloads) in &seen.payloads {
        let parsed: Topic = topic.parse().unwrap();
        for payload in payloads {
            let telemetry = decode(&parsed, payload).unwrap();
            let header = &telemetry.header;
            assert!(
                sequences
                    .entry((topic.clone(), header.boot.0))
                    .or_default()
                    .insert(header.sequence)
            );
            if let Body::Strokes(batch) = &telemetry.body {
                strokes += batch.len() as u64;
            }
        }
    }
    assert_eq!(strokes, report.counts.strokes);
    for (of, sequences) in &sequences {
        assert_eq!(
            sequences.last(),
            Some(&(sequences.len() as u64 - 1)),
            "a hole in {of:?}"
        );
    }
    // The device kept what it could not send; two frames may have slipped through as the network went down.
    let kept = backlog(
        seen.payloads
            .iter()
            .flat_map(|(t, all)| all.iter().map(|p| (t.clone(), p.clone()))),
    );
    let cut_topic = cut_device.topic("telemetry");
    assert!(held_back[&cut_topic] > 10, "{held_back:?}");
    assert!(
        kept[&cut_topic] + 2 >= held_back[&cut_topic],
        "{kept:?} is less than {held_back:?}"
    );
    assert_eq!(report.truths.len() as u64, report.counts.faults);
    let lines = report.json_lines();
    assert!(
        lines.lines().count() == 2 && lines.contains(cut_device.id.as_str()),
        "{lines}"
    );

    // Everybody said good-bye at last, the one whose will had spoken too.
    let offline = |seen: &Seen| {
        seen.statuses.len() == 8
            && seen.statuses.iter().all(|(topic, payload)| {
                let status = decode_status(&topic.parse().unwrap(), payload).unwrap().0;
                status.presence == Some(Presence::Offline)
            })
    };
    seen.until(offline).await;
    assert_eq!(
        seen.lost,
        BTreeSet::from([cut_device.topic("status")]),
        "only the cut device's will speaks"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_ends_a_run_and_nothing_accepted_is_lost() {
    let broker = Mosquitto::start();
    let fleet = faulty(43, &small(), &[]);
    let simulator = Simulator::new(fleet);
    let live = simulator.live();
    let enough = async move {
        wait_for("frames", Duration::from_secs(20), || live.counts().acked > 30).await;
    };
    let pace = Pace {
        speed: 10.0,
        ..Pace::default()
    };
    let report = simulator.run(&target(&broker), pace, enough).await.unwrap();
    assert_eq!(report.counts.unsent, 0);
    assert!(report.counts.acked > 30 && report.truths.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_fast_as_possible_is_the_same_fleet_and_a_broken_network_does_not_stall_it() {
    let broker = Mosquitto::start();
    let mut seen = Seen::start(&broker).await;
    let fleet = faulty(
        47,
        &small(),
        &[FaultSpec::new(FaultKind::DroppedNetwork, Duration::from_secs(30))],
    );
    let duration = Duration::from_secs(120);
    let made = faulty(47, &small(), &[])
        .frames(duration)
        .filter(|f| f.topic.ends_with("/telemetry"))
        .count();
    let pace = Pace {
        speed: 0.0,
        duration: Some(duration),
        grace: Duration::from_secs(20),
    };
    let report = Simulator::new(fleet)
        .run(&target(&broker), pace, std::future::pending())
        .await
        .unwrap();
    assert_eq!(report.counts.unsent, 0);
    seen.until(|seen| seen.frames() >= made).await;
    assert_eq!(seen.frames(), made);
    // The network never comes back by itself: it does when the simulation ends.
    assert_eq!(report.counts.faults, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_accounts_for_every_message_saturated_and_at_a_rate() {
    let broker = Mosquitto::start();
    let mut seen = Seen::start(&broker).await;
    let fleet = load_fleet(1, 4).unwrap();
    let mut expected = 0;
    for (rate, version) in [(None, Version::V311), (Some(400.0), Version::V5)] {
        let spec = LoadSpec {
            connections: 4,
            rate,
            duration: Duration::from_secs(2),
            ..LoadSpec::default()
        };
        let target = Target {
            version,
            ..target(&broker)
        };
        let report = run_load(&fleet, &target, spec, std::future::pending()).await.unwrap();
        assert!(report.published > 20, "{report:?}");
        assert_eq!((report.acked, report.unacked, report.refused), (report.published, 0, 0));
        assert_eq!(report.latency_us.len(), report.acked);
        assert_eq!(report.strokes, report.acked * 120);
        if let Some(rate) = rate {
            assert!(
                report.published as f64 <= rate * 2.0 + 4.0,
                "more than was asked for: {}",
                report.published
            );
        }
        // Birth, session start and session end of each connection.
        expected += report.published as usize + 3 * 4;
    }
    seen.until(|seen| seen.frames() >= expected).await;
    assert_eq!(seen.frames(), expected);
    for (topic, payloads) in &seen.payloads {
        let topic: Topic = topic.parse().unwrap();
        let (mut made, mut told) = (0, 0);
        for payload in payloads {
            match decode(&topic, payload).unwrap().body {
                Body::Strokes(batch) => made += batch.len() as u64,
                Body::SessionEnd(end) => told += end.strokes_total.unwrap(),
                _ => {}
            }
        }
        assert_eq!(made, told, "a session's total is wrong");
    }
}
