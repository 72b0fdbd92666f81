//! Batches that a reader refused are looked at and taken after a fix, as replayed: stored, judged, and nobody is paged for them.
use bytes::Bytes;
use rumqttc::{Client, MqttOptions, QoS};
use serde_json::Value;
use tests::{Apart, CLINIC, SOON, Source, Stack, StackSpec, TENANT, Webhook, foreign_stretch, wait_for};
use uplink::batch::pack_messages;
use uplink::topic::{Up, Way};

use super::one_broker::broker;
use super::trust::admitted;

/// Numbers of the refused batches by reason, as the command shows them.
fn refused(stack: &Stack, reason: &str) -> Vec<String> {
    let (done, said) = stack.command(&["quarantine", "ls", "--reason", reason]);
    assert!(done, "{said}");
    let rows = said.lines().skip(1).filter(|row| row.contains(reason));
    rows.map(|row| row.split_whitespace().next().unwrap().to_owned())
        .collect()
}

fn replay(stack: &Stack, id: &str) -> Value {
    let (done, said) = stack.command(&["quarantine", "replay", id]);
    assert!(done, "{said}");
    serde_json::from_str(&said).unwrap()
}

#[test]
fn apart_a_batch_that_a_reader_refused_is_taken_when_it_is_replayed_and_pages_nobody() {
    let (webhook, broker) = (Webhook::start(), broker());
    let apart = Apart::start(&StackSpec::plain(&webhook), broker.port());
    let topic = Up::clinic(Way::Uplink, TENANT.parse().unwrap(), CLINIC.parse().unwrap()).to_string();
    let mut pen = Source::new("pen-1");
    let frames = vec![Bytes::from(admitted(TENANT, pen.hazard()).encode())];
    let batch = pack_messages("forged", frames, Vec::new());
    let (client, mut connection) = Client::new(MqttOptions::new("somebody-else", "127.0.0.1", broker.port()), 8);
    let polls = std::thread::spawn(move || connection.iter().take_while(Result::is_ok).count());
    let put = |payload: Bytes| client.publish(&topic, QoS::AtLeastOnce, false, payload).unwrap();
    // Of a gateway that nobody introduced, and what nobody can read.
    put(batch.payload(&foreign_stretch("forged", 0, 1)));
    put(Bytes::from_static(b"\x01no zlib"));
    for reader in [&apart.ingestor, &apart.alerting] {
        let strangers = wait_for("what was refused", SOON, || {
            match (refused(reader, "stranger"), refused(reader, "packing")) {
                (strangers, packing)
                    if strangers.len() == 1 && packing.len() + refused(reader, "malformed").len() == 1 =>
                {
                    Ok(strangers)
                }
                other => Err(other),
            }
        });
        let (done, said) = reader.command(&["quarantine", "show", &strangers[0]]);
        assert!(
            done && said.contains("forged") && said.contains("payload_hex"),
            "{said}"
        );
        for _ in 0..2 {
            let made = replay(reader, &strangers[0]);
            assert_eq!(
                (&made["stored"], made["refused"].as_array().unwrap().len()),
                (&1.into(), 0),
                "{made}"
            );
        }
        let bad = [refused(reader, "packing"), refused(reader, "malformed")].concat();
        let made = replay(reader, &bad[0]);
        assert_eq!(made["stored"], 0, "{made}");
        assert!(
            made["refused"][0]["why"].as_str().unwrap().contains("refused again"),
            "{made}"
        );
        assert_eq!(
            replay(reader, "77")["refused"][0]["why"],
            "no refused batch has the number 77"
        );
    }
    apart.ingestor.wait_number("SELECT sum(count) FROM stroke_window", 3);
    wait_for("the alert in the inbox", SOON, || {
        let alerts = apart.alerting.json("/v1/alerts");
        let found = alerts
            .as_array()
            .unwrap()
            .iter()
            .filter(|alert| alert["device"] == "pen-1");
        match found.map(|alert| alert["class"].clone()).collect::<Vec<_>>() {
            classes if classes == ["replayed"] => Ok(()),
            classes => Err(classes),
        }
    });
    assert!(
        webhook.of_rule("depth-above-limit").is_empty(),
        "{:#?}",
        webhook.pages()
    );
    apart.alerting.wait_metric("uplink_batches_replayed_total", 2.0);
    client.disconnect().unwrap();
    polls.join().unwrap();
}
