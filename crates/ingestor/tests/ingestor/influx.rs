//! Spool to InfluxDB: real servers for what they take, a double of InfluxDB 2's documented answers for trouble.

use std::time::Duration;

use ingestor::ledger::SessionKey;
use ingestor::store::{InfluxConfig, InfluxStore, Store};
use ingestor::testing::{Influx1, InfluxDouble, Trouble, VictoriaMetrics};
use service::config::Secret;

use crate::support::{ANCHOR_US, Device, Site, wait_until};

pub(crate) fn config(url: &str, org: &str, token: &str) -> InfluxConfig {
    InfluxConfig {
        url: url.to_owned(),
        org: org.to_owned(),
        token: Secret::new(token),
        bucket: "dermatel-{tenant}".to_owned(),
        rollup_bucket: "dermatel-{tenant}-rollup".to_owned(),
        connect_timeout: Duration::from_secs(2),
        timeout: Duration::from_secs(5),
        ca: None,
    }
}

fn site(url: &str) -> Site {
    let mut site = Site::new();
    site.config.influx = Some(config(url, "clinics", "secret"));
    site
}

/// Two tenants, each with a pen and 10 windows of 20 strokes.
fn frames() -> Vec<telemetry::Admitted> {
    let mut frames = Vec::new();
    for (tenant, device) in [("acme", "pen-1"), ("bravo", "pen-1")] {
        let mut pen = Device::new(tenant, device, 1);
        frames.extend((0..10).map(|n| pen.range(n * 20, n * 20 + 20)));
        frames.push(pen.end(Some(200), None));
    }
    frames
}

fn windows(double: &InfluxDouble, bucket: &str) -> usize {
    double
        .lines(bucket)
        .iter()
        .filter(|line| line.starts_with("stroke_window"))
        .count()
}

fn told(double: &InfluxDouble, bucket: &str) -> Option<String> {
    double
        .lines(bucket)
        .iter()
        .find(|line| line.starts_with("session_summary"))
        .cloned()
}

fn key(tenant: &'static str) -> SessionKey {
    let pen = Device::new(tenant, "pen-1", 1);
    SessionKey {
        tenant: pen.tenant_id(),
        device: "pen-1".parse().unwrap(),
        session: pen.session_id(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_tenant_has_its_own_bucket_and_its_session_is_whole() {
    let double = InfluxDouble::start().await.unwrap();
    let site = site(double.url());
    site.append(&frames());
    site.run().await;
    for tenant in ["acme", "bravo"] {
        let bucket = format!("dermatel-{tenant}");
        assert_eq!(windows(&double, &bucket), 10);
        assert!(
            double
                .lines(&bucket)
                .iter()
                .all(|line| line.contains(&format!(",tenant={tenant}")))
        );
        assert!(
            told(&double, &bucket)
                .unwrap()
                .contains("text=\"200 of 200 strokes stored\"")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_that_passes_loses_nothing_and_is_over_by_itself() {
    for trouble in [Trouble::RateLimited(2), Trouble::Unavailable(3), Trouble::TooLarge(3)] {
        let double = InfluxDouble::start().await.unwrap();
        double.trouble("dermatel-acme", Some(trouble.clone()));
        let site = site(double.url());
        site.append(&frames());
        site.run().await;
        assert_eq!(
            (windows(&double, "dermatel-acme"), windows(&double, "dermatel-bravo")),
            (10, 10),
            "{trouble:?}"
        );
        assert_eq!(site.ledger().quarantined_count().unwrap(), 0, "{trouble:?}");
        assert!(site.health.is_ready(), "{trouble:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_refused_point_is_kept_aside_with_its_reason_and_the_others_are_stored() {
    let culprit = || "first_ordinal=60i".to_owned();
    for trouble in [Trouble::Conflict(culprit()), Trouble::Unparsable(culprit())] {
        let double = InfluxDouble::start().await.unwrap();
        double.trouble("dermatel-acme", Some(trouble.clone()));
        let site = site(double.url());
        site.append(&frames());
        site.run().await;
        assert_eq!(
            (windows(&double, "dermatel-acme"), windows(&double, "dermatel-bravo")),
            (9, 10),
            "{trouble:?}"
        );
        let kept = site.ledger().quarantined(10).unwrap();
        assert_eq!(kept.len(), 1, "{trouble:?}");
        assert_eq!((kept[0].kind.as_str(), kept[0].reason.as_str()), ("point", "refused"));
        assert!(String::from_utf8_lossy(&kept[0].bytes).contains("first_ordinal=60i"));
        let text = site.ledger().completeness(&key("acme")).unwrap().unwrap().to_string();
        assert_eq!(
            text,
            "180 of 200 strokes stored, missing 60–79; 20 refused by the store, in quarantine"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn points_that_the_bucket_no_longer_keeps_are_counted_as_expired() {
    let double = InfluxDouble::start().await.unwrap();
    let from_us = ANCHOR_US + 60_000_000 + 60 * 10_000;
    double.trouble("dermatel-acme", Some(Trouble::RetentionFrom(from_us * 1_000)));
    let site = site(double.url());
    site.append(&frames());
    site.run().await;
    assert_eq!(windows(&double, "dermatel-acme"), 7);
    assert_eq!(site.ledger().quarantined_count().unwrap(), 0);
    let told = site.ledger().completeness(&key("acme")).unwrap().unwrap();
    assert_eq!((told.strokes.stored, told.expired), (140, 60));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_is_refused_is_told_and_kept_while_the_other_flows_and_nothing_is_lost() {
    for trouble in [Trouble::Unauthorized, Trouble::NotFound, Trouble::Hangs] {
        let double = InfluxDouble::start().await.unwrap();
        double.trouble("dermatel-acme", Some(trouble.clone()));
        let mut site = site(double.url());
        if let Some(influx) = &mut site.config.influx {
            influx.timeout = Duration::from_millis(200);
        }
        site.append(&frames());
        site.run_refused_until(|| windows(&double, "dermatel-bravo") == 10 && !site.health.is_ready())
            .await;
        assert_eq!(windows(&double, "dermatel-acme"), 0, "{trouble:?}");
        assert!(!site.caught_up(), "the cursor passed what is not stored: {trouble:?}");
        double.trouble("dermatel-acme", None);
        site.run().await;
        assert_eq!(
            (windows(&double, "dermatel-acme"), windows(&double, "dermatel-bravo")),
            (10, 10),
            "{trouble:?}"
        );
        assert!(site.health.is_ready(), "{trouble:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_with_more_than_memory_may_hold_loses_nothing_and_is_caught_up() {
    let double = InfluxDouble::start().await.unwrap();
    double.trouble("dermatel-acme", Some(Trouble::Unavailable(u32::MAX)));
    let mut site = site(double.url());
    site.config.flow.held_records = 2_000;
    site.config.flow.batch_points = 500;
    let mut pen = Device::new("acme", "pen-1", 1);
    let frames: Vec<_> = (0..6_000).map(|n| pen.range(n, n + 1)).collect();
    site.append(&frames);
    site.run_refused_until(|| double.requests("dermatel-acme") > 8).await;
    assert_eq!(windows(&double, "dermatel-acme"), 0);
    double.trouble("dermatel-acme", None);
    site.run().await;
    assert_eq!(windows(&double, "dermatel-acme"), 6_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_and_a_repeat_give_the_same_points() {
    let straight = InfluxDouble::start().await.unwrap();
    let site_a = site(straight.url());
    site_a.append(&frames());
    site_a.run().await;

    let killed = InfluxDouble::start().await.unwrap();
    let mut site_b = site(killed.url());
    site_b.config.flow.batch_points = 3;
    site_b.append(&frames());
    for requests in 1..6 {
        let seen = || killed.requests("dermatel-acme") + killed.requests("dermatel-bravo");
        let enough = seen() + requests;
        site_b.run_and_kill(|| seen() >= enough || site_b.caught_up()).await;
    }
    site_b.run().await;
    for bucket in ["dermatel-acme", "dermatel-bravo"] {
        assert_eq!(straight.lines(bucket), killed.lines(bucket));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_write_endpoint_takes_what_we_write() {
    let victoria = VictoriaMetrics::start().await.unwrap();
    let site = site(victoria.url());
    site.append(&frames());
    site.run().await;
    let series = victoria.export("stroke_window_count").await.unwrap();
    assert_eq!(series.len(), 2, "{series:?}");
    for one in series {
        let values = one["values"].as_array().unwrap();
        assert_eq!((values.len(), values[0].as_i64()), (10, Some(20)));
        assert_eq!(one["metric"]["model"], "model-1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_influxdb_answers_influxql_over_what_we_wrote_and_repeats_are_one_point() {
    let influx = Influx1::start().await.unwrap();
    influx.create_bucket("dermatel-acme").await.unwrap();
    let site = site(influx.url());
    let mut pen = Device::new("acme", "pen-1", 1);
    let frames: Vec<_> = (0..10)
        .map(|n| pen.strokes(n * 20, &[480, 520].repeat(10), &[]))
        .collect();
    site.append(&frames);
    site.append(&frames);
    site.append(&[pen.end(Some(200), None)]);
    site.run().await;
    let query =
        "SELECT sum(count), sum(band1_04), sum(depth_sum_um), max(depth_max_um) FROM stroke_window WHERE zone='cheek'";
    let rows = influx.query("dermatel-acme", query).await.unwrap();
    let numbers: Vec<i64> = rows[0].iter().skip(1).map(|value| value.as_i64().unwrap()).collect();
    assert_eq!(numbers, [200, 100, 100_000, 520]);
    let rows = influx
        .query("dermatel-acme", "SELECT \"text\", complete FROM session_summary")
        .await
        .unwrap();
    assert_eq!(
        (rows.len(), rows[0][1].as_str(), rows[0][2].as_bool()),
        (1, Some("200 of 200 strokes stored"), Some(true))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_missing_at_a_real_influxdb_keeps_its_points_until_it_is_there() {
    let influx = Influx1::start().await.unwrap();
    let site = site(influx.url());
    let mut pen = Device::new("acme", "pen-1", 1);
    site.append(&[pen.range(0, 20)]);
    let later = async {
        wait_until(|| !site.health.is_ready()).await;
        assert!(!site.caught_up());
        influx.create_bucket("dermatel-acme").await.unwrap();
    };
    // Red at the start, too: wait for the refusal itself.
    site.health.condition("store").green();
    site.health.condition("ingestor").green();
    tokio::join!(site.run(), later);
    let rows = influx
        .query("dermatel-acme", "SELECT sum(count) FROM stroke_window")
        .await
        .unwrap();
    assert_eq!(rows[0][1].as_i64(), Some(20));
}

/// With `DERMATEL_TEST_INFLUX_URL`, `_ORG` and `_TOKEN` set, against a real InfluxDB 2; its buckets `dermatel-acme` and
/// `dermatel-bravo` must be there. Without them there is nothing to install, and the double stands in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_influxdb_2_takes_what_we_write() {
    let var = |name: &str| std::env::var(format!("DERMATEL_TEST_INFLUX_{name}")).ok();
    let double = InfluxDouble::start().await.unwrap();
    let target = match (var("URL"), var("ORG"), var("TOKEN")) {
        (Some(url), Some(org), Some(token)) => config(&url, &org, &token),
        _ => config(double.url(), "clinics", "secret"),
    };
    let mut site = Site::new();
    site.config.influx = Some(target);
    site.append(&frames());
    site.run().await;
    assert_eq!(site.ledger().quarantined_count().unwrap(), 0);
    let told = site.ledger().completeness(&key("acme")).unwrap().unwrap();
    assert_eq!(told.to_string(), "200 of 200 strokes stored");
}

#[test]
fn a_store_by_bucket_wants_batches_by_tenant() {
    let store = Store::Influx(Box::new(
        InfluxStore::new(&config("http://127.0.0.1:1", "clinics", "")).unwrap(),
    ));
    assert!(store.per_tenant());
}
