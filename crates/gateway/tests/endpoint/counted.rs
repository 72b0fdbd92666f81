//! Nothing vanishes: what came in, what became of it and why connections ended is counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gateway::endpoint::metrics::METRICS;
use gateway::endpoint::{CloseReason, Fault, Verdict};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use crate::harness::*;

/// Counters and gauges by name and label value.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

impl Counts {
    fn cell(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<&str> = key.labels().map(|label| label.value()).collect();
        let name = [&[key.name()], &labels[..]].concat().join(" ");
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }

    fn of(&self, name: &str) -> Option<u64> {
        self.0
            .lock()
            .unwrap()
            .get(name)
            .map(|cell| cell.load(Ordering::Relaxed))
    }

    fn names(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap()
            .keys()
            .map(|key| key.split(' ').next().unwrap().to_owned())
            .collect()
    }
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("the endpoint has no histograms")
    }
}

#[tokio::test]
async fn what_comes_in_and_why_connections_end_is_counted() {
    let counts = Counts::default();
    // The recorder of this thread, on which the whole test runs.
    let _recorder = metrics::set_default_local_recorder(&counts);
    let mut gateway = gateway(quick()).await;
    for reason in CloseReason::ALL {
        let name = format!("gateway_connections_closed_total {}", reason.as_str());
        assert_eq!(counts.of(&name), Some(0), "zero must be visible");
    }

    let mut pen = Client::connect(&gateway, V5, "pen-1").await;
    let quarantined = Verdict::Quarantined {
        fault: Fault::PayloadFormatInvalid,
        why: "x",
    };
    let verdicts = [
        (topic("pen-1", "telemetry"), Verdict::Stored),
        (topic("pen-2", "telemetry"), quarantined),
    ];
    for (id, (to, verdict)) in (1..).zip(verdicts) {
        pen.publish(&to, id, b"x").await;
        gateway.next().await.ack.answer(verdict);
        pen.packet().await.unwrap().puback();
    }
    pen.send(&subscribe(V5, 9, &[("#", 0)])).await;
    pen.packet().await.unwrap();
    pen.send(&[0, 0]).await;
    pen.ends_with(0x81).await;
    let mut stranger = Client::raw(&gateway, V5).await;
    stranger
        .say(&Hello {
            password: Some("no"),
            ..hello(V5, "pen-1")
        })
        .await;
    drop((pen, stranger));
    gateway.begin_stop();
    gateway.stopped().await;

    for (name, expected) in [
        ("gateway_connections_accepted_total", 1),
        ("gateway_publishes_received_total 5", 2),
        ("gateway_publishes_received_total 3.1.1", 0),
        ("gateway_publishes_foreign_topic_total", 1),
        ("gateway_publishes_acked_total stored", 1),
        ("gateway_publishes_acked_total quarantined", 1),
        ("gateway_subscribes_refused_total", 1),
        ("gateway_connections_closed_total malformed", 1),
        ("gateway_connections_closed_total bad_credentials", 1),
        ("gateway_connections", 0),
    ] {
        assert_eq!(counts.of(name), Some(expected), "{name}");
    }
    for name in counts.names() {
        assert!(
            METRICS.iter().any(|(known, ..)| *known == name),
            "{name} is described nowhere"
        );
    }
}
