//! A tenant whose bucket refuses for long is parked by an ingestor apart too: neither the others' points wait for it nor the gateway, which
//! forgets what the ingestor has on its disk; and in the end everything is stored, across SIGKILLs. Over mosquitto, against a real InfluxDB.
use ingestor::testing::Influx1;
use tests::{Apart, SOON, Source, Stack, StackSpec, Store, Version, Webhook, deliver_all, wait_for};

use super::one_broker::broker;

/// Frames of each of the two tenants: twice what fits into the ingestor's memory.
const FRAMES: usize = 2_000;

/// A small memory, and a tenant is parked within seconds.
const SETTINGS: &str = "[ingestor]\nheld_records = 1000\nbatch_points = 200\nfatal_retry = \"500ms\"\nretry_cap = \"200ms\"\n\
    rollups = false\nparked = { after = \"3s\", records = 250 }\n";

/// Both pens publish so many frames at the same time.
fn publish(gateway: &Stack, pens: &mut [Source; 2], frames: usize) {
    let to = gateway.mqtt;
    let sending = pens.each_mut().map(|pen| {
        let (login, topic) = (pen.login(to, Version::V5), pen.topic());
        let messages: Vec<Vec<u8>> = (0..frames).map(|_| pen.good(4)).collect();
        std::thread::spawn(move || deliver_all(&login, &topic, &messages, |_| {}))
    });
    for one in sending {
        one.join().unwrap();
    }
}

#[test]
fn apart_a_tenant_whose_bucket_is_missing_holds_up_neither_the_others_nor_the_gateway_and_has_everything_in_the_end() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let influx = runtime.block_on(Influx1::start()).unwrap();
    runtime.block_on(influx.create_bucket("b-acme")).unwrap();
    let (webhook, broker) = (Webhook::start(), broker());
    let spec = StackSpec {
        store: Store::Influx {
            url: influx.url().to_owned(),
            bucket: "b-{tenant}".to_owned(),
        },
        ..StackSpec::plain(&webhook)
    };
    let mut apart = Apart::prepare(&spec, broker.port());
    apart.ingestor.edit("dermatel.toml", "[ingestor]\n", SETTINGS);
    apart.gateway.spawn();
    apart.read();
    let stored = |bucket: &str| {
        let asked = influx.query(bucket, "SELECT count(\"count\") FROM stroke_window");
        let rows = runtime.block_on(asked).unwrap_or_default();
        let count = rows.first().and_then(|row| row[1].as_u64());
        usize::try_from(count.unwrap_or(0)).unwrap()
    };
    let wait_stored = |bucket: &str, wanted: usize| {
        wait_for(&format!("all points of {bucket}"), SOON, || match stored(bucket) {
            found if found == wanted => Ok(()),
            found => Err((found, wanted)),
        });
    };
    let nothing_kept_back = |gateway: &Stack| {
        wait_for("the gateway to be rid of everything", SOON, || {
            // A watermark comes each second.
            let kept = gateway.metric("spool_backlog_records{log=\"telemetry\",reader=\"forward\"}");
            if kept < 4.0 { Ok(()) } else { Err(kept) }
        });
    };
    let is_parked = |ingestor: &Stack| ingestor.folder().join("data/ingestor/parked/other").exists();

    let mut pens = [Source::new("pen-1"), Source::of("other", "other-south", "pen-1")];
    publish(&apart.gateway, &mut pens, FRAMES);
    wait_stored("b-acme", FRAMES);
    apart.ingestor.wait_metric("ingestor_lanes_parked", 1.0);
    assert!(is_parked(&apart.ingestor));
    nothing_kept_back(&apart.gateway);
    // Each is ready; the ingestor tells who is parked.
    for stack in [&mut apart.gateway, &mut apart.ingestor, &mut apart.alerting] {
        stack.wait_ready();
    }
    let told = apart.ingestor.remark("parked-tenants").unwrap_or_default();
    assert!(told.contains("tenant other since"), "{told}");

    apart.ingestor.kill();
    apart.ingestor.spawn();
    publish(&apart.gateway, &mut pens, FRAMES);
    wait_stored("b-acme", 2 * FRAMES);
    assert!(is_parked(&apart.ingestor), "a restart does not forget who is parked");
    nothing_kept_back(&apart.gateway);

    runtime.block_on(influx.create_bucket("b-other")).unwrap();
    wait_for("the begin of the drain", SOON, || match stored("b-other") {
        0 => Err(0),
        found => Ok(found),
    });
    apart.ingestor.kill();
    apart.ingestor.up();
    wait_stored("b-other", 2 * FRAMES);
    wait_for("the end of the parking", SOON, || match is_parked(&apart.ingestor) {
        true => Err(apart.ingestor.get("/readyz")),
        false => Ok(()),
    });
    publish(&apart.gateway, &mut pens, 10);
    wait_stored("b-other", 2 * FRAMES + 10);
    assert_eq!(apart.ingestor.metric("ingestor_parked_shed_records_total"), 0.0);
    assert_eq!(apart.ingestor.metric("ingestor_records_lost_total"), 0.0);
}
