//! What a PUBACK means, and when it leaves.

use gateway::endpoint::{Fault, Kind, TopicCheck, Verdict, answer_all};

use crate::harness::*;

#[tokio::test]
async fn a_puback_leaves_only_after_the_intake_has_answered() {
    for protocol in [V311, V5] {
        let mut gateway = gateway(quick()).await;
        let mut pen = Client::connect(&gateway, protocol, "pen-1").await;
        pen.publish(&topic("pen-1", "telemetry"), 7, b"strokes").await;
        let inbound = gateway.next().await;
        assert_eq!(
            (&*inbound.topic, &inbound.payload[..]),
            (&*topic("pen-1", "telemetry"), &b"strokes"[..])
        );
        assert_eq!(&*inbound.peer.identity, "acme/pen-1");
        assert_eq!(
            (inbound.kind, inbound.topic_check, inbound.qos),
            (Kind::Publish, TopicCheck::Own, 1)
        );
        // The answer to a later packet comes first: no PUBACK was on its way.
        pen.ping_pong().await;
        inbound.ack.answer(Verdict::Stored);
        assert_eq!(
            pen.packet().await,
            Some(Came {
                first: 0x40,
                body: vec![0, 7]
            })
        );
    }
}

#[tokio::test]
async fn pubacks_leave_in_the_order_of_the_publishes_whatever_the_order_of_the_answers() {
    for protocol in [V311, V5] {
        let mut gateway = gateway(quick()).await;
        let mut pen = Client::connect(&gateway, protocol, "pen-1").await;
        let own = topic("pen-1", "telemetry");
        let all: Vec<u8> = (1..=500).flat_map(|id| publish(protocol, &own, id, b"x")).collect();
        pen.send(&all).await;
        let mut slots = Vec::new();
        for _ in 0..500 {
            slots.push(gateway.next().await.ack);
        }
        let first = slots.remove(0);
        answer_all(slots.into_iter().rev().map(|slot| (slot, Verdict::Stored)));
        pen.ping_pong().await;
        first.answer(Verdict::Stored);
        for id in 1..=500 {
            assert_eq!(pen.packet().await.unwrap().puback(), (id, 0, String::new()));
        }
    }
}

#[tokio::test]
async fn qos_0_is_taken_and_not_acknowledged() {
    let mut gateway = gateway(quick()).await;
    let mut pen = Client::connect(&gateway, V5, "pen-1").await;
    pen.publish(&topic("pen-1", "telemetry"), 0, b"x").await;
    let inbound = gateway.next().await;
    assert_eq!(inbound.qos, 0);
    inbound.ack.answer(Verdict::Stored);
    pen.ping_pong().await;
}

#[tokio::test]
async fn a_publish_that_nobody_answers_is_never_acknowledged_and_its_connection_ends() {
    for protocol in [V311, V5] {
        let mut gateway = gateway(quick()).await;
        let mut pen = Client::connect(&gateway, protocol, "pen-1").await;
        let own = topic("pen-1", "telemetry");
        pen.publish(&own, 1, b"kept").await;
        pen.publish(&own, 2, b"lost").await;
        let (kept, lost) = (gateway.next().await, gateway.next().await);
        drop(lost);
        kept.ack.answer(Verdict::Stored);
        assert_eq!(pen.packet().await.unwrap().puback().0, 1);
        pen.ends_with(0x83).await;
    }
}

#[tokio::test]
async fn mqtt_5_is_told_what_was_wrong_and_goes_on() {
    let mut gateway = gateway(quick()).await;
    let mut pen = Client::connect(&gateway, V5, "pen-1").await;
    let quarantined = |fault, why| Verdict::Quarantined { fault, why };
    let cases = [
        (
            quarantined(Fault::PayloadFormatInvalid, "depth column is short"),
            0x99,
            "depth column is short",
        ),
        (quarantined(Fault::NotAuthorized, "other device"), 0x87, "other device"),
        (
            quarantined(Fault::TopicNameInvalid, "no such leaf"),
            0x90,
            "no such leaf",
        ),
        (quarantined(Fault::ImplementationSpecific, "odd"), 0x83, "odd"),
        (Verdict::QuotaExceeded, 0x97, "store is at its cap"),
        (Verdict::Stored, 0x00, ""),
    ];
    for (id, (verdict, code, why)) in (1..).zip(cases) {
        pen.publish(&topic("pen-1", "telemetry"), id, b"x").await;
        gateway.next().await.ack.answer(verdict);
        let (acked, told, text) = pen.packet().await.unwrap().puback();
        assert_eq!((acked, told), (id, code));
        assert!(text.contains(why), "{text:?} says nothing of {why:?}");
    }
}

#[tokio::test]
async fn mqtt_5_without_problem_information_gets_the_code_alone() {
    let mut gateway = gateway(quick()).await;
    let request_problem_information = [23, 0];
    let quiet = Hello {
        properties: &request_problem_information,
        ..hello(V5, "pen-1")
    };
    let mut pen = Client::connect_as(&gateway, quiet).await;
    pen.publish(&topic("pen-1", "telemetry"), 1, b"x").await;
    gateway.next().await.ack.answer(Verdict::QuotaExceeded);
    assert_eq!(pen.packet().await.unwrap().body, [0, 1, 0x97, 0]);
}

#[tokio::test]
async fn mqtt_3_is_told_of_quarantine_by_a_plain_puback_so_that_it_does_not_resend_for_ever() {
    let mut gateway = gateway(quick()).await;
    let mut pen = Client::connect(&gateway, V311, "pen-1").await;
    pen.publish(&topic("pen-1", "telemetry"), 9, b"rubbish").await;
    let verdict = Verdict::Quarantined {
        fault: Fault::PayloadFormatInvalid,
        why: "rubbish",
    };
    gateway.next().await.ack.answer(verdict);
    assert_eq!(
        pen.packet().await,
        Some(Came {
            first: 0x40,
            body: vec![0, 9]
        })
    );
    pen.ping_pong().await;
}

#[tokio::test]
async fn at_the_cap_mqtt_3_gets_its_earlier_pubacks_and_is_then_closed() {
    let mut gateway = gateway(quick()).await;
    let mut pen = Client::connect(&gateway, V311, "pen-1").await;
    let own = topic("pen-1", "telemetry");
    for id in 1..=3 {
        pen.publish(&own, id, b"x").await;
    }
    let slots = [
        gateway.next().await.ack,
        gateway.next().await.ack,
        gateway.next().await.ack,
    ];
    answer_all(
        slots
            .into_iter()
            .zip([Verdict::Stored, Verdict::QuotaExceeded, Verdict::Stored]),
    );
    assert_eq!(pen.packet().await.unwrap().puback().0, 1);
    assert_eq!(pen.packet().await, None);
}

#[tokio::test]
async fn an_intake_that_is_busy_ends_the_connection_without_a_puback() {
    let mut gateway = gateway(quick()).await;
    let mut pen = Client::connect(&gateway, V5, "pen-1").await;
    pen.publish(&topic("pen-1", "telemetry"), 1, b"x").await;
    gateway.next().await.ack.answer(Verdict::ServerBusy);
    pen.ends_with(0x89).await;
}

#[tokio::test]
async fn a_publish_to_another_devices_topic_is_flagged_and_costs_only_itself() {
    for protocol in [V311, V5] {
        let mut gateway = gateway(quick()).await;
        let mut pen = Client::connect(&gateway, protocol, "pen-1").await;
        let cases = [
            (topic("pen-2", "telemetry"), TopicCheck::NotOwn, 0x87),
            (topic("pen-1", "command"), TopicCheck::NotOwn, 0x87),
            (topic("pen-1", "telemetry/"), TopicCheck::NotOwn, 0x87),
            (topic("+", "telemetry"), TopicCheck::Wildcard, 0x90),
            ("#".to_owned(), TopicCheck::Wildcard, 0x90),
            (topic("pen-1", "telemetry"), TopicCheck::Own, 0x00),
        ];
        for (id, (topic, check, code)) in (1..).zip(cases) {
            pen.publish(&topic, id, b"x").await;
            let inbound = gateway.next().await;
            assert_eq!((&*inbound.topic, inbound.topic_check), (&*topic, check));
            // Even a committer that forgets to look cannot make it a success.
            inbound.ack.answer(Verdict::Stored);
            let told = if protocol == V5 { code } else { 0 };
            let (acked, code, _) = pen.packet().await.unwrap().puback();
            assert_eq!((acked, code), (id, told), "{topic}");
        }
    }
}
