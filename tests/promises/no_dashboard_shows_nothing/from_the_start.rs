//! Whatever a Prometheus alert or a panel asks for stands in /metrics from the start, counters at 0 with each of their labels: of a
//! counter that begins to exist with its first count, `rate` and `increase` do not see that one.
use std::collections::{BTreeMap, BTreeSet};

use service::testing::Mosquitto;
use tests::{SOON, Stack, StackSpec, Webhook, uplink, wait_for, workspace_root};

use super::grafana::{list, shipped, text};
use super::promql::metrics_of;

/// Which processes have what begins so. Where there is none of these names: at least one of those apart.
const WHERE: [(&str, &[&str]); 7] = [
    ("gateway_", &["up", "gateway"]),
    ("ingestor_", &["up", "ingestor"]),
    ("alerting_", &["up", "alerting"]),
    ("spool_", &["up", "gateway", "ingestor", "alerting"]),
    ("service_mqtt_", &["gateway", "ingestor", "alerting"]),
    ("process_", &["up", "gateway", "ingestor", "alerting"]),
    ("uplink_batches_re", &["ingestor", "alerting"]),
];

/// Series that an alert or a panel tells apart by their labels.
const WITH_LABELS: [(&str, &str); 15] = [
    ("gateway", "uplink_records_not_forwarded_total{reason=\"lost\"}"),
    ("gateway", "uplink_records_not_forwarded_total{reason=\"unreadable\"}"),
    ("gateway", "uplink_went_back_total{why=\"silence\"}"),
    ("gateway", "uplink_downlink_commands_total{outcome=\"no_such_peer\"}"),
    ("gateway", "uplink_downlink_commands_total{outcome=\"expired\"}"),
    ("ingestor", "uplink_receive_retries_total"),
    ("ingestor", "uplink_batches_ahead_total"),
    ("ingestor", "uplink_batches_refused_total{reason=\"stranger\"}"),
    ("ingestor", "ingestor_records_lost_total{reason=\"shed\"}"),
    ("alerting", "uplink_receive_retries_total"),
    ("alerting", "uplink_batches_ahead_total"),
    (
        "alerting",
        "alerting_notifications_undelivered_total{receiver=\"hook\",reason=\"gave_up\"}",
    ),
    (
        "alerting",
        "alerting_notification_delay_seconds_count{priority=\"info\"}",
    ),
    ("alerting", "alerting_deadman_calls_total{outcome=\"refused\"}"),
    ("alerting", "alerting_upstream_reports_total{outcome=\"denied\"}"),
];

/// Metrics of the rules and of the panels, without histograms: those show up with their first sample.
fn asked_for() -> BTreeSet<String> {
    let rules = std::fs::read_to_string(workspace_root().join("deploy/prometheus/dermatel.rules.yml")).unwrap();
    let expressions = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let mut asked: BTreeSet<String> = expressions.flat_map(metrics_of).collect();
    for dashboard in shipped().iter().filter(|one| one.asks_prometheus()) {
        let targets = dashboard.panels().iter().flat_map(|panel| list(panel, "/targets"));
        asked.extend(targets.flat_map(|target| metrics_of(text(target, "expr"))));
    }
    asked.retain(|name| !name.ends_with("_duration_seconds") && !name.ends_with("_delay_seconds"));
    asked
}

/// One process, and those apart, of which nobody has asked anything yet.
fn fresh(broker: &Mosquitto, webhook: &Webhook) -> BTreeMap<&'static str, Stack> {
    let told = "[alerting.deadman]\nurl = \"http://127.0.0.1:9/\"\n\
                [alerting.upstream]\nurl = \"http://127.0.0.1:9/v1/told\"\ninstance = \"one\"\n";
    let parts = ["up", "gateway", "ingestor", "alerting"].map(|part| {
        let group = if part == "alerting" { "group = \"north\"\n" } else { "" };
        let spec = StackSpec {
            more: format!("{}{group}{told}", uplink(broker.port(), "one", "0-63")),
            ..StackSpec::plain(webhook)
        };
        let mut stack = Stack::prepare_part(&spec, part);
        stack.spawn();
        (part, stack)
    });
    parts.into()
}

#[test]
fn every_metric_that_an_alert_or_a_panel_asks_for_is_there_before_anything_was_counted() {
    let (webhook, broker) = (
        Webhook::start(),
        Mosquitto::start_with("user root\nallow_anonymous true\n"),
    );
    let mut processes = fresh(&broker, &webhook);
    processes.values_mut().for_each(Stack::wait_ready);
    let asked = asked_for();
    assert!(asked.len() > 50, "{asked:?}");
    wait_for("each metric in each process that has it", SOON, || {
        let scraped: BTreeMap<_, _> = processes
            .iter()
            .map(|(part, stack)| (*part, stack.get("/metrics").unwrap().1))
            .collect();
        let has = |part: &str, series: &str| {
            let mut lines = scraped[part].lines();
            lines.any(|line| {
                line.strip_prefix(series)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']))
            })
        };
        let mut missing = BTreeSet::new();
        for name in &asked {
            match WHERE.iter().find(|(start, _)| name.starts_with(start)) {
                Some((_, parts)) => {
                    let lacking = parts.iter().filter(|part| !has(part, name));
                    missing.extend(lacking.map(|part| format!("{part}: {name}")));
                }
                None if scraped.keys().any(|part| has(part, name)) => {}
                None => drop(missing.insert(format!("anybody: {name}"))),
            }
        }
        let lacking = WITH_LABELS.iter().filter(|(part, series)| !has(part, series));
        missing.extend(lacking.map(|(part, series)| format!("{part}: {series}")));
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    });
}
