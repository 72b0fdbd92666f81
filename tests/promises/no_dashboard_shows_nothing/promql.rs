//! The pipeline's dashboard: metrics of the running binary, in a real time series database that answers PromQL.
use std::collections::BTreeSet;
use std::time::Duration;

use ingestor::testing::{Influx1, VictoriaMetrics};
use serde_json::Value;
use tests::{Mqtt, SOON, Source, Stack, StackSpec, Store, Version, Webhook, deliver_all, now_us, wait_for};
use tokio::runtime::Runtime;

use super::grafana::{list, shipped, text};

/// What `$__rate_interval` stands for here: both scrapes lie in it.
const RATE_INTERVAL: &str = "2m";
/// Between the two scrapes, as their times say.
const APART: Duration = Duration::from_secs(30);
/// How our metrics' names begin.
const OURS: [&str; 6] = [
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

    let victoria = runtime.block_on(VictoriaMetrics::start()).unwrap();
    // VictoriaMetrics does not answer with what is younger than half a minute.
    let now_ms = now_us() / 1_000 - 2 * 60_000;
    let ago_ms = i64::try_from(APART.as_millis()).unwrap();
    runtime.block_on(async {
        import(&victoria, &first, now_ms - ago_ms).await;
        import(&victoria, &second, now_ms).await;
    });
    let exported = exported(&second);
    let mut faults = Vec::new();
    for dashboard in shipped().iter().filter(|one| one.asks_prometheus()) {
        for panel in dashboard.panels() {
            for target in list(panel, "/targets") {
                let query = text(target, "expr");
                let place = format!("{} / {}", dashboard.title(), text(panel, "title"));
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
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Counters that one round of [`trouble`] moves.
const MOVED: [&str; 7] = [
    "ingestor_writes_failed_total",
    "ingestor_points_written_total",
    "ingestor_write_duration_seconds_count",
    "gateway_deliveries_duplicate_total",
    "gateway_deliveries_rejected_total",
    "alerting_notifications_failed_total",
    "alerting_notifications_sent_total",
];

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
    (0..MOVED.len() - 1).for_each(moved);
    webhook.answer(200);
    moved(MOVED.len() - 1);
    stack.wait_metric("ingestor_tenants_stuck", 1.0);
    stack.wait_metric("alerting_alerts", 1.0);
    stack.get("/metrics").unwrap().1
}

/// Names with a `# TYPE` line.
fn exported(metrics: &str) -> BTreeSet<String> {
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|line| line.split(' ').next().map(str::to_owned))
        .collect()
}

/// Our metrics in a query, histograms by the name of the whole.
fn metrics_of(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| OURS.iter().any(|start| word.starts_with(start)))
        .map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned())
        .collect()
}

async fn import(victoria: &VictoriaMetrics, metrics: &str, at_ms: i64) {
    let url = format!(
        "{}/api/v1/import/prometheus?timestamp={at_ms}&extra_label=instance=dermatel",
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
