//! Promise 7: nothing identifies a client: no field for it in what is stored, and not even the opaque session and visit ids
//! in topics, tags, metric labels, logs, pages or the alert API. The schema of the wire has a lint of its own in `telemetry`.
use std::collections::BTreeSet;

use ingestor::schema::MEASUREMENTS;
use ingestor::testing::InfluxDouble;
use tests::{Mqtt, SOON, Source, Stack, StackSpec, Store, Version, Webhook, wait_for};

/// Words that would say who somebody is, within the name of a field, tag, table or key.
const WHO: &[&str] = &[
    "address",
    "birth_date",
    "birthday",
    "client",
    "customer",
    "dob",
    "email",
    "first_name",
    "gender",
    "insurance",
    "last_name",
    "mail",
    "passport",
    "patient",
    "person",
    "phone",
    "photo",
    "postcode",
    "sex",
    "social",
    "surname",
];

/// The only tags: few, and bounded by the registry and the rules.
const TAGS: &[&str] = &["clinic", "device", "kind", "model", "rule", "tenant", "zone"];

#[test]
fn nothing_that_is_stored_has_a_place_for_who_a_client_is() {
    let names = MEASUREMENTS.iter().flat_map(|measurement| {
        measurement
            .fields
            .iter()
            .map(|field| field.name)
            .chain([measurement.name])
    });
    for name in names {
        let said = WHO.iter().find(|word| name.contains(*word));
        assert!(said.is_none(), "{name} sounds like {said:?}");
    }
}

#[test]
fn session_and_visit_are_in_no_tag_log_metric_page_or_alert() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(InfluxDouble::start()).unwrap();
    let webhook = Webhook::start();
    let mut stack = Stack::prepare(&StackSpec {
        store: Store::Influx {
            url: store.url().to_owned(),
            bucket: "b-{tenant}".to_owned(),
        },
        ..StackSpec::plain(&webhook)
    });
    // The most that an operator in trouble would turn on.
    stack.edit("dermatel.toml", "[node]\n", "[node]\nlog = \"debug\"\n");
    stack.up();
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    let mut broken = pen.good(10);
    broken.truncate(broken.len() - 3);
    let frames = [pen.start(), pen.good(50), pen.hazard(), pen.end(Some(53), None)];
    for frame in &frames {
        assert_eq!(mqtt.put(&pen.topic(), frame), Some(0));
    }
    // What goes wrong is logged most.
    mqtt.put(&pen.topic(), &broken).unwrap();
    wait_for("the page", SOON, || {
        webhook.of_rule("depth-above-limit").pop().ok_or(())
    });
    let lines = wait_for("the summary", SOON, || {
        let lines = store.lines("b-acme");
        let all = [
            "session_summary,",
            "stroke_window,",
            "device_state,",
            "alert_transition,",
        ];
        let there = all.iter().all(|name| lines.iter().any(|line| line.starts_with(name)));
        if there { Ok(lines) } else { Err(lines) }
    });
    let metrics = stack.get("/metrics").unwrap().1;
    let alerts = stack.get("/v1/alerts").unwrap().1;
    let quarantine = stack.get("/v1/quarantine").unwrap().1;
    let pages: String = webhook.pages().iter().map(ToString::to_string).collect();
    assert_eq!(stack.stop(), Some(0));

    let log = stack.log();
    assert!(log.len() > 500 && alerts.contains("depth-above-limit") && quarantine.contains("malformed"));
    let tags: Vec<&str> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    for id in spellings(&pen) {
        for (place, text) in [
            ("the log", &log),
            ("metrics", &metrics),
            ("alerts", &alerts),
            ("quarantine", &quarantine),
            ("pages", &pages),
        ] {
            assert!(!text.contains(&id), "{id} is in {place}:\n{text}");
        }
        assert!(!tags.iter().any(|tags| tags.contains(&id)), "{id} is a tag");
    }
    for text in [&alerts, &pages] {
        assert!(!text.contains("\"session") && !text.contains("\"visit"), "{text}");
    }
    let named: BTreeSet<&str> = tags
        .iter()
        .flat_map(|tags| tags.split(',').skip(1))
        .map(|tag| tag.split('=').next().unwrap())
        .collect();
    assert!(named.iter().all(|tag| TAGS.contains(tag)), "{named:?}");
    // Labels are bounded: no id of anything stands in one.
    for id in ["pen-1", "acme", &pen.boot_hex()] {
        assert!(!metrics.contains(id), "{id} is in a metric label");
    }
}

/// The ways in which a program might spell the ids.
fn spellings(pen: &Source) -> Vec<String> {
    let mut all = Vec::new();
    for (hex, bytes) in [(pen.session_hex(), pen.session), (pen.visit_hex(), pen.visit)] {
        // With hyphens, as a UUID.
        all.push(format!("{}-{}", &hex[..8], &hex[8..12]));
        all.push(hex.to_uppercase());
        all.push(hex);
        let debug = format!("{bytes:?}");
        all.push(debug.trim_matches(['[', ']']).to_owned());
    }
    all
}
