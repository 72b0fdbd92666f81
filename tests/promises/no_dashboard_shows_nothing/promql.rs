//! The dashboards about ourselves: metrics of the running binary, in a real time series database that answers PromQL.
use std::collections::BTreeSet;
use std::time::Duration;

use ingestor::testing::{Influx1, VictoriaMetrics};
use rumqttc::{Client, MqttOptions, QoS};
use serde_json::Value;
use tests::{
    Apart, CLINIC, Mosquitto, Mqtt, SOON, Source, Stack, StackSpec, Store, TENANT, Version, Webhook, deliver_all,
    now_us, wait_for,
};
use tokio::runtime::Runtime;
use uplink::topic::{Up, Way};

use super::grafana::{list, shipped, text};

/// What `$__rate_interval` stands for here: both scrapes lie in it.
const RATE_INTERVAL: &str = "2m";
/// Between the two scrapes, as their times say.
const APART: Duration = Duration::from_secs(30);
/// How our metrics' names begin.
const OURS: [&str; 8] = [
    "uplink_",
    "spool_",
    "gateway_",
    "ingestor_",
    "alerting_",
    "service_",
    "process_",
    "dermatel_",
];

#[test]
fn every_panel_about_ourselves_answers_from_the_metrics_of_the_binary() {
    let runtime = Runtime::new().unwrap();
    let webhook = Webhook::start();
    let influx = runtime.block_on(async {
        let influx = Influx1::start().await.unwrap();
        influx.create_bucket("dermatel-acme").await.unwrap();
        influx
    });
    let stack = Stack::start(&StackSpec {
        store: Store::Influx {
            url: influx.url().to_owned(),
            bucket: "dermatel-{tenant}".to_owned(),
        },
        ..StackSpec::plain(&webhook)
    });
    let mut pen = Source::new("pen-1");
    let first = trouble(&stack, &webhook, &mut pen);
    let second = trouble(&stack, &webhook, &mut pen);

    let faults = faults(
        &runtime,
        "Pipeline health",
        &[[("dermatel", first)], [("dermatel", second)]],
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_panel_about_what_goes_between_processes_answers_from_the_metrics_of_processes_apart() {
    let webhook = Webhook::start();
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Mosquitto::start(folder.path());
    let mut apart = Apart::start(&StackSpec::plain(&webhook), broker.port);
    let mut scrapes = Vec::new();
    for _ in 0..2 {
        trouble_between(&mut apart, &mut broker);
        scrapes.push(
            [
                ("gateway", &apart.gateway),
                ("ingestor", &apart.ingestor),
                ("alerting", &apart.alerting),
            ]
            .map(|(instance, stack)| (instance, stack.get("/metrics").unwrap().1)),
        );
    }
    let faults = faults(&Runtime::new().unwrap(), "Between processes", &scrapes);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What is wrong with the panels of a dashboard that are asked of two scrapes, each of some processes.
fn faults<const N: usize>(runtime: &Runtime, title: &str, scrapes: &[[(&str, String); N]]) -> Vec<String> {
    let victoria = runtime.block_on(VictoriaMetrics::start()).unwrap();
    // VictoriaMetrics does not answer with what is younger than half a minute.
    let now_ms = now_us() / 1_000 - 2 * 60_000;
    let mut exported = BTreeSet::new();
    for (ago, scrape) in scrapes.iter().rev().enumerate() {
        let at_ms = now_ms - i64::try_from(APART.as_millis() * ago as u128).unwrap();
        for (instance, metrics) in scrape {
            runtime.block_on(import(&victoria, instance, metrics, at_ms));
            exported.extend(names(metrics));
        }
    }
    let mut faults = Vec::new();
    let shipped = shipped();
    let dashboard = shipped.iter().find(|one| one.asks_prometheus() && one.title() == title);
    for panel in dashboard.expect("it is shipped").panels() {
        for target in list(panel, "/targets") {
            let query = text(target, "expr");
            let place = format!("{title} / {}", text(panel, "title"));
            let named = metrics_of(query);
            if named.is_empty() {
                faults.push(format!("{place} asks for no metric of ours: {query}"));
            }
            let missing = named
                .difference(&exported)
                .map(|name| format!("{place}: nobody exports {name}"));
            faults.extend(missing);
            let filled = query.replace("$__rate_interval", RATE_INTERVAL);
            match runtime.block_on(ask(&victoria, &filled, now_ms)) {
                Ok(0) => faults.push(format!("{place}: nothing to show: {filled}")),
                Ok(_) => {}
                Err(why) => faults.push(format!("{place}: {why}: {filled}")),
            }
        }
    }
    faults
}

#[test]
fn every_dashboard_about_ourselves_is_asked_by_one_of_these_tests() {
    let shipped = shipped();
    let about_ourselves = shipped
        .iter()
        .filter(|one| one.asks_prometheus())
        .map(|one| one.title());
    assert_eq!(
        about_ourselves.collect::<BTreeSet<_>>(),
        BTreeSet::from(["Between processes", "Pipeline health"])
    );
}

/// Counters that one round of [`trouble`] moves.
const MOVED: [&str; 8] = [
    "ingestor_writes_failed_total",
    "ingestor_points_written_total",
    "ingestor_write_duration_seconds_count",
    "gateway_deliveries_duplicate_total",
    "gateway_deliveries_rejected_total",
    "alerting_notifications_failed_total",
    "alerting_notifications_sent_total",
    "alerting_notification_delay_seconds_count",
];
/// Of these the last, which move when the receiver is well again.
const MOVED_LATER: usize = 2;

/// Readings, a hazard whose page first fails, garbage, a copy, and a tenant whose bucket is not there; then the metrics.
fn trouble(stack: &Stack, webhook: &Webhook, pen: &mut Source) -> String {
    let before = MOVED.map(|name| stack.metric(name));
    let moved = |at: usize| {
        wait_for(MOVED[at], SOON, || match stack.metric(MOVED[at]) {
            now if now > before[at] => Ok(()),
            now => Err(now),
        });
    };
    webhook.answer(500);
    pen.next_session();
    let mut frames: Vec<Vec<u8>> = (0..20).map(|_| pen.good(20)).collect();
    frames.push(pen.hazard());
    frames.push(frames[0].clone());
    deliver_all(&pen.login(stack.mqtt, Version::V5), &pen.topic(), &frames, |_| {});
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V311)).unwrap();
    mqtt.put(&pen.topic(), b"garbage").unwrap();
    let mut other = Source::of("other", "other-south", "pen-1");
    let frame = other.good(10);
    deliver_all(&other.login(stack.mqtt, Version::V5), &other.topic(), &[frame], |_| {});
    (0..MOVED.len() - MOVED_LATER).for_each(moved);
    webhook.answer(200);
    (MOVED.len() - MOVED_LATER..MOVED.len()).for_each(moved);
    stack.wait_metric("ingestor_tenants_stuck", 1.0);
    stack.wait_metric("alerting_alerts", 1.0);
    stack.get("/metrics").unwrap().1
}

/// Readings and a hazard, whose warning goes down, a broker that ends and comes back, an ingestor that lost its disk, and a bad batch.
fn trouble_between(apart: &mut Apart, broker: &mut Mosquitto) {
    let before = |moves: &[(&Stack, &'static str)]| -> Vec<f64> {
        moves.iter().map(|(stack, name)| stack.metric(name)).collect()
    };
    let moved = |moves: &[(&Stack, &'static str)], before: &[f64]| {
        for ((stack, name), before) in moves.iter().zip(before) {
            stack.wait_metric(name, before + 1.0);
        }
    };
    let flow = [
        (&apart.gateway, "uplink_batches_forwarded_total"),
        (&apart.ingestor, "uplink_batches_received_total"),
        (&apart.alerting, "uplink_batches_received_total"),
        (&apart.gateway, "uplink_downlink_commands_total"),
    ];
    let was = before(&flow);
    let mut pen = Source::new("pen-1");
    let frames = [pen.start(), pen.good(20), pen.hazard()];
    deliver_all(
        &pen.login(apart.gateway.mqtt, Version::V5),
        &pen.topic(),
        &frames,
        |_| {},
    );
    moved(&flow, &was);

    let broken = [(&apart.gateway, "uplink_forwarder_restarts_total")];
    let was = before(&broken);
    broker.stop_and_start();
    moved(&broken, &was);
    wait_ready(apart);

    let was = before(&[
        (&apart.gateway, "uplink_went_back_total"),
        (&apart.alerting, "uplink_batches_repeated_total"),
    ]);
    apart.ingestor.kill();
    for lost in ["spool", "uplink"] {
        std::fs::remove_dir_all(apart.ingestor.folder().join("data").join(lost)).unwrap();
    }
    apart.ingestor.up();
    moved(
        &[
            (&apart.gateway, "uplink_went_back_total"),
            (&apart.alerting, "uplink_batches_repeated_total"),
        ],
        &was,
    );
    wait_ready(apart);

    let refused = [&apart.ingestor, &apart.alerting].map(|reader| (reader, "uplink_batches_refused_total"));
    let was = before(&refused);
    somebody_else(broker.port);
    moved(&refused, &was);
}

fn wait_ready(apart: &Apart) {
    for stack in [&apart.gateway, &apart.ingestor, &apart.alerting] {
        wait_for("readiness", SOON, || {
            if stack.is_ready() { Ok(()) } else { Err(stack.log()) }
        });
    }
}

/// Puts what is no batch on the topic of a clinic.
fn somebody_else(port: u16) {
    let topic = Up::clinic(Way::Uplink, TENANT.parse().unwrap(), CLINIC.parse().unwrap()).to_string();
    let (client, mut connection) = Client::new(MqttOptions::new("somebody-else", "127.0.0.1", port), 8);
    let polls = std::thread::spawn(move || connection.iter().take_while(Result::is_ok).count());
    client.publish(&topic, QoS::AtLeastOnce, false, "\u{1}no zlib").unwrap();
    client.disconnect().unwrap();
    polls.join().unwrap();
}

/// Names with a `# TYPE` line.
fn names(metrics: &str) -> BTreeSet<String> {
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|line| line.split(' ').next().map(str::to_owned))
        .collect()
}

/// Our metrics in a query, histograms by the name of the whole.
pub(super) fn metrics_of(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| OURS.iter().any(|start| word.starts_with(start)))
        .map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned())
        .collect()
}

async fn import(victoria: &VictoriaMetrics, instance: &str, metrics: &str, at_ms: i64) {
    let url = format!(
        "{}/api/v1/import/prometheus?timestamp={at_ms}&extra_label=instance={instance}",
        victoria.url()
    );
    let answer = reqwest::Client::new()
        .post(url)
        .body(metrics.to_owned())
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    reqwest::get(format!("{}/internal/force_flush", victoria.url()))
        .await
        .unwrap();
}

/// How many series a query answers with.
async fn ask(victoria: &VictoriaMetrics, query: &str, at_ms: i64) -> Result<usize, String> {
    let time = format!("{}", at_ms / 1_000 + 1);
    let url = reqwest::Url::parse_with_params(
        &format!("{}/prometheus/api/v1/query", victoria.url()),
        [("query", query), ("time", &time)],
    )
    .map_err(|e| e.to_string())?;
    let text = reqwest::get(url)
        .await
        .map_err(|e| e.to_string())?
        .text()
        .await
        .map_err(|e| e.to_string())?;
    let answer: Value = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
    match super::grafana::text(&answer, "status") {
        "success" => Ok(list(&answer, "/data/result").len()),
        _ => Err(text),
    }
}
