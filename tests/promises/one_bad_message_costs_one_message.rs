//! Promise 5: one bad message costs one message. Each kind of bad input comes through a real socket and has a clear reason, a
//! counter, a place in quarantine, and a good frame beside it that is stored.
use std::time::Duration;

use prost::Message as _;
use telemetry::proto;
use telemetry::proto::frame::Body;
use tests::{
    CLINIC, Mqtt, NOT_AUTHORIZED, PAYLOAD_FORMAT_INVALID, SOON, Source, Stack, StackSpec, TENANT, Version, Webhook,
    now_us, wait_for,
};

/// A pen with a connection, and how many good frames it has sent.
struct Bench {
    stack: Stack,
    pen: Source,
    mqtt: Mqtt,
    good: i64,
    webhook: Webhook,
}

impl Bench {
    fn new() -> Self {
        let webhook = Webhook::start();
        let stack = Stack::start(&StackSpec::plain(&webhook));
        let pen = Source::new("pen-1");
        let mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
        Self {
            stack,
            pen,
            mqtt,
            good: 0,
            webhook,
        }
    }

    /// A good frame is taken, on the same connection, right now.
    fn good(&mut self) {
        let frame = self.pen.good(10);
        assert_eq!(
            self.mqtt.put(&self.pen.topic(), &frame),
            Some(0),
            "the good frame beside it"
        );
        self.good += 1;
    }

    /// The payload is refused with this reason, and costs nothing else.
    fn refused(&mut self, payload: &[u8], reason: &str) {
        self.refused_with(PAYLOAD_FORMAT_INVALID, payload, reason);
    }

    fn refused_with(&mut self, code: u8, payload: &[u8], reason: &str) {
        let counter = format!("gateway_deliveries_rejected_total{{reason=\"{reason}\"}}");
        let before = self.stack.metric(&counter);
        let id = self.mqtt.publish(&self.pen.topic(), payload).unwrap();
        let puback = self.mqtt.puback().expect("the connection stays");
        assert_eq!((puback.id, puback.code), (id, code), "{reason}");
        let why = String::from_utf8_lossy(&puback.rest).into_owned();
        assert!(
            why.contains(' ') && why.len() > 10,
            "{reason}: a sentence is said: {why:?}"
        );
        self.stack.wait_metric(&counter, before + 1.0);
        let kept = self.stack.json(&format!("/v1/quarantine?reason={reason}&limit=1"));
        assert_eq!(kept[0]["payload_bytes"], payload.len(), "{reason}: {kept}");
        assert!(kept[0]["detail"].as_str().is_some_and(|text| text.len() > 5), "{kept}");
        self.good();
    }

    /// The payload is taken as it is, and this counter says what was odd about it.
    fn taken(&mut self, payload: &[u8], counter: &str, by: f64) {
        let before = self.stack.metric(counter);
        assert_eq!(self.mqtt.put(&self.pen.topic(), payload), Some(0), "{counter}");
        self.good += 1;
        self.stack.wait_metric(counter, before + by);
        self.good();
    }

    /// All that was good is stored, and nothing else.
    fn all_good_frames_are_stored(&self) {
        let sql = format!(
            "SELECT count(*) FROM stroke_window WHERE boot = '{}'",
            self.pen.boot_hex()
        );
        self.stack.wait_number(&sql, self.good);
    }
}

#[test]
fn bytes_that_are_no_frame_of_this_device_are_quarantined_with_their_reason() {
    let mut bench = Bench::new();
    let garbage: Vec<u8> = (0..200_u8).map(|n| n.wrapping_mul(151) ^ 0xa5).collect();
    bench.refused(&garbage, "malformed");

    let mut whole = bench.pen.clone().good(100);
    whole.truncate(whole.len() - 7);
    bench.refused(&whole, "malformed");

    let mut foreign = bench.pen.clone();
    foreign.device = "pen-2".to_owned();
    bench.refused_with(NOT_AUTHORIZED, &foreign.good(10), "identity_mismatch");
    bench.all_good_frames_are_stored();
}

#[test]
fn columns_of_unequal_length_and_absurd_numbers_are_quarantined_with_their_reason() {
    let mut bench = Bench::new();
    let strokes = |pen: &mut Source, change: &dyn Fn(&mut proto::StrokeBatch)| {
        let mut batch = pen.batch(&[800; 10]);
        change(&mut batch);
        pen.bytes(Body::StrokeBatch(batch))
    };
    let mut pen = bench.pen.clone();
    bench.refused(
        &strokes(&mut pen, &|batch| batch.interval_us = vec![8_000; 9]),
        "columns",
    );
    bench.refused(&strokes(&mut pen, &|batch| batch.unread_index = vec![10]), "columns");
    // No pen's needle is four kilometres long.
    bench.refused(
        &strokes(&mut pen, &|batch| batch.depth_um[3] = u32::MAX),
        "out_of_range",
    );
    bench.refused(
        &strokes(&mut pen, &|batch| batch.first_uptime_us = Some(u64::MAX)),
        "out_of_range",
    );
    bench.refused(&strokes(&mut pen, &|batch| batch.depth_um = vec![800; 600]), "too_many");
    bench.all_good_frames_are_stored();
    // Five within ten minutes: somebody is told that this device needs a look, once.
    wait_for("the page about what was refused", SOON, || {
        let pages = bench.webhook.of_rule("frames-rejected");
        let told = |page: &tests::Page| page["device"] == "pen-1" && page["state"] == "firing";
        if pages.len() == 1 && pages.iter().all(told) {
            Ok(())
        } else {
            Err(pages)
        }
    });
}

#[test]
fn a_payload_that_is_too_large_costs_itself_and_a_packet_that_is_too_large_its_connection() {
    let mut bench = Bench::new();
    bench.refused(&vec![0x0a; 70 * 1024], "too_large");
    let closed = "gateway_connections_closed_total{reason=\"packet_too_large\"}";
    let mut other = Source::new("pen-2");
    let mut second = Mqtt::connect(&other.login(bench.stack.mqtt, Version::V5)).unwrap();
    // The gateway refuses by the header alone; whether the rest still goes out is the network's affair.
    let _ = second.publish(&other.topic(), &vec![0; 1024 * 1024]);
    let _ = second.puback();
    bench.stack.wait_metric(closed, 1.0);
    bench.good();
    // The device itself is not locked out.
    let mut second = Mqtt::connect(&other.login(bench.stack.mqtt, Version::V5)).unwrap();
    let frame = other.good(10);
    assert_eq!(second.put(&other.topic(), &frame), Some(0));
    bench.all_good_frames_are_stored();
}

#[test]
fn future_and_ancient_clocks_are_stored_at_the_time_of_arrival_and_say_so() {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec::plain(&webhook));
    for (device, off_us) in [("pen-1", 400 * 86_400_000_000_i64), ("pen-2", -20_000 * 86_400_000_000)] {
        let before = stack.metric("gateway_anchor_skewed_total");
        let mut pen = Source::new(device);
        let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
        let batch = pen.batch(&[800; 10]);
        let mut frame = pen.frame(Body::StrokeBatch(batch));
        frame.header.as_mut().unwrap().wall_time_us = Some(now_us() + off_us);
        assert_eq!(mqtt.put(&pen.topic(), &frame.encode_to_vec()), Some(0));
        stack.wait_metric("gateway_anchor_skewed_total", before + 1.0);
        let where_ = format!("boot = '{}' AND clock = 'skewed'", pen.boot_hex());
        stack.wait_number(&format!("SELECT count(*) FROM stroke_window WHERE {where_}"), 1);
        let time = stack
            .number(&format!("SELECT time_ns FROM stroke_window WHERE {where_}"))
            .unwrap();
        let off_s = (time / 1_000 - now_us()) / 1_000_000;
        assert!((-600..=5).contains(&off_s), "{off_s} s from now");
    }
}

#[test]
fn duplicate_reordered_and_reused_sequence_numbers_lose_nothing_and_add_nothing() {
    let mut bench = Bench::new();
    let frames: Vec<Vec<u8>> = (0..6).map(|_| bench.pen.good(10)).collect();
    let topic = bench.pen.topic();
    for at in [0, 3, 1, 5, 4, 2, 3, 0, 5] {
        assert_eq!(bench.mqtt.put(&topic, &frames[at]), Some(0), "frame {at}");
    }
    bench.good += 6;
    bench.stack.wait_metric("gateway_deliveries_duplicate_total", 3.0);
    // Another message under a number that was used: kept, and told.
    let next = bench.pen.sequence;
    bench.pen.sequence = 2;
    let other = bench.pen.good(20);
    bench.pen.sequence = next;
    bench.taken(&other, "gateway_sequence_reused_total", 1.0);
    bench.all_good_frames_are_stored();
}

#[test]
fn what_a_newer_firmware_says_is_kept_and_counted_never_refused() {
    let mut bench = Bench::new();
    let mut unknown_field = bench.pen.good(10);
    // Field 900, a varint: tag (900 << 3) in two bytes, then the value.
    unknown_field.extend([0xa0, 0x38, 0x07]);
    bench.taken(&unknown_field, "gateway_unknown_fields_total", 1.0);
    let mut batch = bench.pen.batch(&[800; 10]);
    batch.zone = Some(99);
    let unknown_value = bench.pen.bytes(Body::StrokeBatch(batch));
    bench.taken(&unknown_value, "gateway_unknown_enum_values_total", 1.0);
    bench.all_good_frames_are_stored();
}

#[test]
fn a_client_that_never_reads_and_half_a_connect_harm_nobody_else() {
    let webhook = Webhook::start();
    let mut stack = Stack::prepare(&StackSpec::plain(&webhook));
    stack.edit(
        "dermatel.toml",
        "[gateway.endpoint]\n",
        "[gateway.endpoint]\nhandshake_timeout = \"1s\"\n",
    );
    stack.up();
    let deaf = Source::new("pen-2");
    let mut never_reads = Mqtt::connect(&deaf.login(stack.mqtt, Version::V311)).unwrap();
    never_reads.write_timeout(Duration::from_secs(2));
    let pings = [0xc0, 0x00].repeat(32 * 1024);
    // Until neither side's buffers take any more.
    let written = (0..1_000).take_while(|_| never_reads.raw(&pings).is_ok()).count();
    assert!(
        written < 1_000,
        "it was read from without end although it takes no answers"
    );

    let login = Source::new("ipl-1").login(stack.mqtt, Version::V5).packet();
    let mut half = std::net::TcpStream::connect(stack.mqtt).unwrap();
    std::io::Write::write_all(&mut half, &login[..login.len() / 2]).unwrap();

    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    for reason in ["handshake_timeout", "write_timeout"] {
        let closed = format!("gateway_connections_closed_total{{reason=\"{reason}\"}}");
        wait_for(&closed, SOON, || {
            let frame = pen.good(10);
            assert_eq!(mqtt.put(&pen.topic(), &frame), Some(0), "the neighbour goes on");
            if stack.metric(&closed) >= 1.0 { Ok(()) } else { Err(()) }
        });
    }
    let stored = format!("SELECT count(*) FROM stroke_window WHERE boot = '{}'", pen.boot_hex());
    stack.wait_number(&stored, i64::try_from(pen.sequence).unwrap());
}

#[test]
fn quarantine_keeps_what_was_refused_and_lets_it_in_after_a_fix_without_a_page() {
    let webhook = Webhook::start();
    let mut stack = Stack::start(&StackSpec::plain(&webhook));
    // The pen was moved to another clinic, and the registry does not know it yet.
    let mut pen = Source::of(TENANT, "acme-south", "pen-2");
    let hazard = pen.hazard();
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V311)).unwrap();
    assert_eq!(
        mqtt.put(&pen.topic(), &hazard),
        Some(0),
        "kept: no resend loop with MQTT 3.1.1"
    );
    let (_, list) = stack.command(&["quarantine", "ls"]);
    assert!(list.contains("wrong_clinic") && list.contains("acme/pen-2"), "{list}");
    let id = stack.json("/v1/quarantine?reason=wrong_clinic")[0]["id"].to_string();
    let (_, shown) = stack.command(&["quarantine", "show", &id]);
    let payload: String = hazard.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(shown.contains(&payload), "the payload as it came: {shown}");
    let (done, said) = stack.command(&["quarantine", "replay", &id]);
    assert!(!said.contains("\"stored\": 1"), "nothing was fixed yet: {done} {said}");

    assert_eq!(stack.stop(), Some(0));
    let folder = format!("registry/tenants/{TENANT}");
    let clinic = "\n[[clinic]]\nid = \"acme-south\"\nname = \"South\"\ntime_zone = \"Europe/Berlin\"\n";
    stack.edit(
        &format!("{folder}/tenant.toml"),
        "\n[[clinic]]",
        &format!("{clinic}\n[[clinic]]"),
    );
    let row = |clinic: &str| format!("id = \"pen-2\", clinic = \"{clinic}\"");
    stack.edit(&format!("{folder}/devices.toml"), &row(CLINIC), &row("acme-south"));
    stack.edit("registry/registry.toml", "version = 1", "version = 2");
    stack.up();
    let (done, said) = stack.command(&["quarantine", "replay", "--reason", "wrong_clinic"]);
    assert!(done && said.contains("\"stored\": 1"), "{said}");
    let stored = format!("SELECT count(*) FROM stroke_window WHERE boot = '{}'", pen.boot_hex());
    stack.wait_number(&stored, 1);
    // Twice is once.
    stack.command(&["quarantine", "replay", "--reason", "wrong_clinic"]);

    // An old hazard stands in the inbox; a new one, behind it in the log, pages.
    let mut fresh = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&fresh.login(stack.mqtt, Version::V5)).unwrap();
    let frame = fresh.hazard();
    assert_eq!(mqtt.put(&fresh.topic(), &frame), Some(0));
    wait_for("the new page", SOON, || {
        let pages = webhook.of_rule("depth-above-limit");
        if pages.iter().any(|page| page["device"] == "pen-1") {
            Ok(())
        } else {
            Err(pages)
        }
    });
    let alerts = stack.json("/v1/alerts");
    let old = alerts
        .as_array()
        .unwrap()
        .iter()
        .find(|alert| alert["device"] == "pen-2");
    assert_eq!(old.unwrap()["class"], "replayed", "{alerts}");
    let paged: Vec<_> = webhook
        .pages()
        .into_iter()
        .filter(|page| page["device"] == "pen-2")
        .collect();
    assert!(paged.is_empty(), "{paged:?}");
    assert_eq!(stack.number(&stored), Ok(1));
}
