//! Into real time series databases, read back with their own query languages.
use ingestor::testing::{Influx1, VictoriaMetrics};
use serde_json::{Value, json};
use tests::{CLINIC, Stack, StackSpec, Store, TENANT, Webhook, wait_for};
use tokio::runtime::Runtime;

use super::treatment::{WITHIN, assert_paged_once, device, number, runtime, spec, wait_until_paged};

/// The tenant's bucket.
pub(super) const BUCKET: &str = "dermatel-acme";

fn to(url: &str, webhook: &Webhook) -> StackSpec {
    StackSpec {
        store: Store::Influx {
            url: url.to_owned(),
            bucket: "dermatel-{tenant}".to_owned(),
        },
        ..spec(webhook)
    }
}

/// An InfluxDB with the tenant's bucket, and a process that writes to it.
pub(super) fn influx(runtime: &Runtime, webhook: &Webhook) -> (Influx1, Stack) {
    let influx = runtime.block_on(async {
        let influx = Influx1::start().await.unwrap();
        influx.create_bucket(BUCKET).await.unwrap();
        influx
    });
    let mut stack = Stack::prepare(&to(influx.url(), webhook));
    stack.up();
    (influx, stack)
}

/// Waits until InfluxDB says of both sessions that they are over and whole, then compares all with the report.
pub(super) fn assert_in_influx(runtime: &Runtime, influx: &Influx1, report: &Value) {
    let ask = |influxql: &str| runtime.block_on(influx.query(BUCKET, influxql));
    for (device, what) in [("pen-1", "strokes"), ("ipl-1", "pulses")] {
        let influxql = format!(
            "SELECT \"closed\", \"complete\", \"{what}_stored\", \"{what}_total\", \"{what}_missing\" \
             FROM session_summary WHERE device = '{device}'"
        );
        let all = number(report, if device == "pen-1" { "pen" } else { "ipl" }, what);
        wait_for(&format!("the whole session of {device}"), WITHIN, || {
            let rows = ask(&influxql).map_err(|e| format!("{e:?}"))?;
            let whole = rows.len() == 1 && rows[0][1..] == [json!(true), json!(true), json!(all), json!(all), json!(0)];
            if whole { Ok(()) } else { Err(format!("{rows:?}")) }
        });
    }
    let windows =
        "SELECT sum(\"count\"), count(\"count\"), max(\"depth_max_um\"), sum(\"depth_sum_um\") FROM stroke_window";
    assert_eq!(
        ask(windows).unwrap()[0][1..],
        [
            json!(number(report, "pen", "strokes")),
            json!(number(report, "pen", "windows")),
            json!(number(report, "pen", "deepest_um")),
            json!(number(report, "pen", "depth_sum_um")),
        ]
    );
    let pulses = "SELECT count(\"ordinal\"), max(\"fluence_measured_mj_per_cm2\"), sum(\"fluence_measured_mj_per_cm2\") FROM pulse";
    assert_eq!(
        ask(pulses).unwrap()[0][1..],
        [
            json!(number(report, "ipl", "pulses")),
            json!(number(report, "ipl", "strongest_mj_per_cm2")),
            json!(number(report, "ipl", "fluence_sum")),
        ]
    );
}

#[test]
fn a_session_is_whole_in_a_real_influxdb_and_found_by_its_tags() {
    let webhook = Webhook::start();
    let runtime = runtime();
    let (influx, mut stack) = influx(&runtime, &webhook);
    let report = device(stack.folder(), stack.mqtt.port(), &[]).report();
    assert_in_influx(&runtime, &influx, &report);
    let ask = |influxql: &str| runtime.block_on(influx.query(BUCKET, influxql)).unwrap();
    let tags =
        |device, kind, model| format!("clinic={CLINIC},device={device},kind={kind},model={model},tenant={TENANT}");
    let series = |of: &str| -> Vec<Value> { ask(&format!("SHOW SERIES FROM {of}")).concat() };
    let pen = tags("pen-1", "pen", "np-25");
    assert_eq!(
        series("stroke_window"),
        [json!(format!("stroke_window,{pen},zone=cheek"))]
    );
    let ipl = tags("ipl-1", "ipl", "lumen-6");
    assert_eq!(series("pulse"), [json!(format!("pulse,{ipl},zone=cheek"))]);
    wait_until_paged(&webhook);
    let pages =
        "SELECT \"to_state\", \"value\" FROM alert_transition WHERE \"to_state\" = 'firing' AND \"priority\" = 'high'";
    wait_for("what was paged, stored beside the readings", WITHIN, || {
        let stored = ask(pages);
        if stored.len() == 2 { Ok(()) } else { Err(stored) }
    });
    assert_eq!(stack.stop(), Some(0), "{}", stack.log());
    assert_paged_once(&webhook, &report);
}

#[test]
fn a_session_is_whole_in_a_real_victoria_metrics() {
    let webhook = Webhook::start();
    let runtime = runtime();
    let victoria = runtime.block_on(VictoriaMetrics::start()).unwrap();
    let mut stack = Stack::start(&to(victoria.url(), &webhook));
    let report = device(stack.folder(), stack.mqtt.port(), &[]).report();
    let strokes = number(&report, "pen", "strokes");
    wait_for("the whole session", WITHIN, || {
        // A summary is written again as the session grows, and each of its values stays.
        let last = |field| {
            values(
                &runtime,
                &victoria,
                &format!("session_summary_{field}{{device=\"pen-1\"}}"),
            )
            .into_iter()
            .max()
        };
        let seen = (last("strokes_stored"), last("strokes_total"));
        if seen == (Some(strokes), Some(strokes)) {
            Ok(())
        } else {
            Err(seen)
        }
    });
    let pulses = number(&report, "ipl", "pulses");
    wait_for("every pulse", WITHIN, || {
        let fluences = values(&runtime, &victoria, "pulse_fluence_measured_mj_per_cm2");
        if fluences.len() as i64 == pulses {
            Ok(())
        } else {
            Err(fluences)
        }
    });
    wait_until_paged(&webhook);
    assert_eq!(stack.stop(), Some(0), "{}", stack.log());
    let counts = values(&runtime, &victoria, "stroke_window_count");
    assert_eq!(counts.len() as i64, number(&report, "pen", "windows"));
    assert_eq!(counts.iter().sum::<i64>(), strokes);
    let deepest = values(&runtime, &victoria, "stroke_window_depth_max_um");
    assert_eq!(deepest.into_iter().max(), Some(number(&report, "pen", "deepest_um")));
    let fluences = values(&runtime, &victoria, "pulse_fluence_measured_mj_per_cm2");
    assert_eq!(fluences.iter().sum::<i64>(), number(&report, "ipl", "fluence_sum"));
    assert_eq!(
        fluences.into_iter().max(),
        Some(number(&report, "ipl", "strongest_mj_per_cm2"))
    );
    let labels = &runtime.block_on(victoria.export("stroke_window_count")).unwrap()[0]["metric"];
    for (tag, value) in [
        ("tenant", TENANT),
        ("clinic", CLINIC),
        ("device", "pen-1"),
        ("model", "np-25"),
        ("zone", "cheek"),
    ] {
        assert_eq!(labels[tag], value, "{labels}");
    }
    assert_paged_once(&webhook, &report);
}

/// All values of the only series of a metric, in the order of time.
fn values(runtime: &Runtime, victoria: &VictoriaMetrics, metric: &str) -> Vec<i64> {
    let series = runtime.block_on(victoria.export(metric)).unwrap();
    assert!(series.len() <= 1, "{series:?}");
    let values = series.first().and_then(|one| one["values"].as_array().cloned());
    values
        .unwrap_or_default()
        .iter()
        .map(|value| value.as_f64().unwrap() as i64)
        .collect()
}
