//! Promise 8: fixed memory. Everything at once that makes a process grow, and each bound with its policy and its counter.
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tests::{CLINIC, Mqtt, SOON, Source, Stack, StackSpec, TENANT, Version, Webhook, folder_bytes, secret, wait_for};

/// Clients that publish and never read.
const DEAF: usize = 200;
/// Payloads of one device that are no frames.
const GARBAGE: usize = 20_000;
/// A bound, not a benchmark: the sum of what the settings allow (64 MiB unanswered, 32 MiB held, caches of SQLite, 200
/// connections) with room for an unoptimised build.
const RESIDENT_MAX: u64 = 256 * 1024 * 1024;
/// Cap of the telemetry log.
const CAP: u64 = 16 * 1024 * 1024;
/// Entries of one device in quarantine, by default.
const SHARE: f64 = 1_000.0;

#[test]
fn a_flood_of_everything_stays_within_its_bounds_and_a_hazard_gets_through() {
    let webhook = Webhook::start();
    let mut spec = StackSpec::without_store(&webhook);
    spec.more = format!("[spool.telemetry]\ncap = \"{CAP}B\"\nsegment = \"2MiB\"\nat_cap = \"shed\"\nkeep = \"1s\"\n");
    let mut stack = Stack::prepare(&spec);
    add_devices(&stack);
    stack.up();
    let mut most = 0;
    // 20,000 payloads of one device that are no frames: its share is full, and its own oldest go.
    let flood = std::thread::spawn({
        let to = stack.mqtt;
        move || garbage(to)
    });
    wait_for("evictions", Duration::from_secs(90), || {
        most = most.max(stack.resident_bytes());
        let evicted = stack.metric("gateway_quarantine_evicted_total");
        if evicted >= GARBAGE as f64 - SHARE {
            Ok(())
        } else {
            Err(evicted)
        }
    });
    flood.join().unwrap();

    // 200 clients that publish as fast as they may and never read an answer, and a store that is down.
    let stop = Arc::new(AtomicBool::new(false));
    let floods: Vec<_> = (0..4)
        .map(|part| {
            let (stop, to) = (Arc::clone(&stop), stack.mqtt);
            std::thread::spawn(move || deaf_clients(part, to, &stop))
        })
        .collect();
    let shed = "spool_shed_records_total{log=\"telemetry\"}";
    stack.wait_metric(shed, 1.0);
    // In the middle of it, a pen's hazard is paged.
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    let hazard = pen.hazard();
    assert_eq!(mqtt.put(&pen.topic(), &hazard), Some(0));
    let so_far = stack.metric(shed);
    wait_for(
        "the page, and a log that was full several times",
        Duration::from_secs(60),
        || {
            most = most.max(stack.resident_bytes());
            let paged = webhook
                .of_rule("depth-above-limit")
                .iter()
                .any(|page| page["device"] == "pen-1");
            let shed = stack.metric(shed);
            if paged && shed > so_far + 20_000.0 {
                Ok(())
            } else {
                Err((paged, shed))
            }
        },
    );
    stop.store(true, Ordering::SeqCst);
    floods.into_iter().for_each(|flood| flood.join().unwrap());
    println!("at most {} MiB resident", most >> 20);
    assert!(most < RESIDENT_MAX, "{most} bytes resident");

    assert!(stack.metric("gateway_quarantine_messages") <= SHARE);
    assert!(stack.metric("gateway_quarantine_bytes") <= 1024.0 * 1024.0);
    let log = stack.folder().join("data/spool/telemetry");
    assert!(
        folder_bytes(&log) <= CAP + 64 * 1024,
        "{} bytes of log",
        folder_bytes(&log)
    );
    assert!(stack.metric("spool_bytes{log=\"telemetry\"}") <= CAP as f64);
    assert!(stack.metric("gateway_unacked_bytes") <= 64.0 * 1024.0 * 1024.0);
    assert!(stack.metric("ingestor_records_held") <= 40_000.0);
    let closed = stack.metric("gateway_connections_closed_total{reason=\"intake_lost\"}");
    assert!(closed < 1.0, "nothing that was taken was forgotten");
    assert!(stack.resident_bytes() < RESIDENT_MAX);
}

#[test]
fn a_refused_connection_at_the_limit_is_counted_and_those_that_are_in_stay() {
    let webhook = Webhook::start();
    let mut stack = Stack::prepare(&StackSpec::plain(&webhook));
    stack.edit(
        "dermatel.toml",
        "[gateway.endpoint]\n",
        "[gateway.endpoint]\nmax_connections = 2\n",
    );
    stack.up();
    let mut first = Source::new("pen-1");
    let mut inside = Mqtt::connect(&first.login(stack.mqtt, Version::V5)).unwrap();
    let _second = Mqtt::connect(&Source::new("pen-2").login(stack.mqtt, Version::V311)).unwrap();
    assert!(Mqtt::connect(&Source::new("ipl-1").login(stack.mqtt, Version::V5)).is_err());
    stack.wait_metric("gateway_connections_closed_total{reason=\"too_many_connections\"}", 1.0);
    let frame = first.good(10);
    assert_eq!(inside.put(&first.topic(), &frame), Some(0));
    // Its own place is never the one that is missing: a device that comes back takes over.
    assert!(Mqtt::connect(&first.login(stack.mqtt, Version::V5)).is_ok());
}

fn deaf_name(at: usize) -> String {
    format!("deaf-{at}")
}

/// Registers [`DEAF`] more pens.
fn add_devices(stack: &Stack) {
    let mut rows = String::from("device = [\n");
    for at in 0..DEAF {
        let name = deaf_name(at);
        let digest = registry::sha256(secret(TENANT, &name).as_bytes());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(
            rows,
            "  {{ id = \"{name}\", clinic = \"{CLINIC}\", model = \"np-25\", serial = \"S-{at}\", secret_sha256 = \"{digest}\" }},"
        );
    }
    let file = format!("registry/tenants/{TENANT}/devices.toml");
    stack.edit(&file, "device = [\n", &rows);
}

/// A quarter of the clients: each publishes large frames for as long as it may, and takes no answer.
fn deaf_clients(part: usize, to: std::net::SocketAddr, stop: &AtomicBool) {
    let mut clients: Vec<(Source, Mqtt)> = (0..DEAF)
        .filter(|at| at % 4 == part)
        .map(|at| {
            let source = Source::new(&deaf_name(at));
            let mqtt = Mqtt::connect(&source.login(to, Version::V311)).unwrap();
            mqtt.write_timeout(Duration::from_millis(50));
            (source, mqtt)
        })
        .collect();
    while !stop.load(Ordering::SeqCst) && !clients.is_empty() {
        for (source, mqtt) in &mut clients {
            let frame = source.good(512);
            let topic = source.topic();
            // A write that would block has cut a packet in two: such a client is as broken as clients get.
            let _ = mqtt.publish(&topic, &frame);
        }
    }
}

fn garbage(to: std::net::SocketAddr) {
    let pen = Source::new("pen-2");
    let mut mqtt = Mqtt::connect(&pen.login(to, Version::V311)).unwrap();
    let mut under_way = 0;
    for at in 0..GARBAGE {
        let payload = format!("{at} is no frame, and it is not the last one either").repeat(2);
        mqtt.publish(&pen.topic(), payload.as_bytes()).unwrap();
        under_way += 1;
        if under_way == 200 {
            wait_for("a PUBACK", SOON, || mqtt.puback().ok_or(()));
            under_way -= 1;
        }
    }
    for _ in 0..under_way {
        assert!(mqtt.puback().is_some());
    }
}
