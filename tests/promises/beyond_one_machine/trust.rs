//! What somebody else puts on the uplink costs that batch: kept aside with its reason, and nobody beside it notices.
use bytes::Bytes;
use rumqttc::{Client, MqttOptions, QoS};
use telemetry::{Admitted, ClockQuality, Content, Origin, UnixMicros};
use tests::{Apart, CLINIC, Mqtt, Source, StackSpec, TENANT, Version, Webhook, foreign_stretch, introduction, now_us};
use uplink::batch::{pack, pack_messages};
use uplink::stretch::Stretch;
use uplink::topic::{Up, Way};

use super::one_broker::broker;

pub(super) fn admitted(tenant: &str, frame: Vec<u8>) -> Admitted {
    Admitted {
        recorded_by: None,
        tenant: tenant.parse().unwrap(),
        clinic: CLINIC.parse().unwrap(),
        device: "pen-1".parse().unwrap(),
        content: Content::Telemetry,
        payload: frame.into(),
        received_at: UnixMicros(now_us()),
        anchor: Some(UnixMicros(now_us() - 100_000_000)),
        clock: ClockQuality::Device,
        origin: Origin::Endpoint,
        sequence_reused: false,
        maybe_seen_before: false,
        gateway: "forged".parse().unwrap(),
        retained: false,
    }
}

/// The forger's log from `after` to `next`, in one part.
fn stretch(after: u64, next: u64) -> Stretch {
    foreign_stretch("forged", after, next)
}

#[test]
fn apart_a_bad_batch_costs_that_batch_and_a_copy_of_a_good_one_counts_once() {
    let webhook = Webhook::start();
    let broker = broker();
    let apart = Apart::start(&StackSpec::plain(&webhook), broker.port());
    let topic = Up::clinic(Way::Uplink, TENANT.parse().unwrap(), CLINIC.parse().unwrap()).to_string();
    let mut options = MqttOptions::new("somebody-else", "127.0.0.1", broker.port());
    options.set_max_packet_size(1 << 21, 1 << 21);
    let (client, mut connection) = Client::new(options, 64);
    let polls = std::thread::spawn(move || connection.iter().take_while(Result::is_ok).count());
    let put = |topic: &str, payload: Bytes| client.publish(topic, QoS::AtLeastOnce, false, payload).unwrap();

    let batch = |frames: &[Vec<u8>]| {
        let encoded = frames.iter().map(|frame| frame.clone().into()).collect();
        pack_messages("forged", encoded, Vec::new())
    };
    let mut forged = Source::new("pen-1");
    let bad = batch(&[admitted("other", forged.hazard()).encode()]);
    put(&topic, bad.payload(&stretch(0, 1)));
    let (own_topic, hello) = introduction("forged", Up::parse(&topic).unwrap().shard());
    put(&own_topic, hello);
    put(&topic, bad.payload(&stretch(0, 1)));
    put(&topic, Bytes::from_static(b"\x01no zlib"));
    put(&topic, pack(&vec![0; 32 << 20]).payload(&stretch(1, 2)));
    put("dermatel/v1/uplink/0/nobody/nowhere", Bytes::from_static(b"\x01"));
    for reader in [&apart.ingestor, &apart.alerting] {
        for reason in ["stranger", "identity", "packing", "too_large", "topic"] {
            reader.wait_metric(&format!("uplink_batches_refused_total{{reason=\"{reason}\"}}"), 1.0);
        }
        assert!(reader.is_ready(), "{}", reader.log());
    }

    let mut pen = Source::new("pen-1");
    let good = batch(&[admitted(TENANT, pen.hazard()).encode()]);
    for _ in 0..3 {
        put(&topic, good.payload(&stretch(2, 3)));
    }
    // What follows something that has not come is not taken, until that has.
    let frame = admitted(TENANT, pen.good(5)).encode();
    let later = batch(&[admitted(TENANT, pen.good(7)).encode()]);
    put(&topic, later.payload(&stretch(4, 5)));
    apart.alerting.wait_metric("uplink_batches_ahead_total", 1.0);
    // Not the same batch, and still the same message.
    put(&topic, batch(std::slice::from_ref(&frame)).payload(&stretch(3, 4)));
    put(&topic, batch(&[frame.clone(), frame]).payload(&stretch(4, 5)));
    apart.ingestor.wait_number("SELECT sum(count) FROM stroke_window", 8);
    apart.alerting.wait_metric("uplink_batches_repeated_total", 2.0);

    let mut neighbour = Source::new("pen-2");
    let mut mqtt = Mqtt::connect(&neighbour.login(apart.gateway.mqtt, Version::V5)).unwrap();
    assert_eq!(mqtt.put(&neighbour.topic(), &neighbour.hazard()), Some(0));
    apart.ingestor.wait_number("SELECT sum(count) FROM stroke_window", 11);
    tests::wait_for("both pages", tests::SOON, || {
        let pages = webhook.of_rule("depth-above-limit");
        if pages.len() == 2 {
            Ok(())
        } else {
            Err(format!("{pages:#?}"))
        }
    });
    client.disconnect().unwrap();
    polls.join().unwrap();
}
