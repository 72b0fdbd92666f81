//! A connection's life: takeover, will, keep alive, what ends it, and the stop of the endpoint.

use std::time::Duration;

use gateway::endpoint::{CloseReason, Drained, EndpointConfig, Kind, TopicCheck, Verdict};

use crate::harness::*;

fn with_will(protocol: Protocol, user: &str) -> Hello<'_> {
    Hello {
        will: Some((topic(user, "status"), b"gone", 1)),
        ..hello(protocol, user)
    }
}

async fn will_of(gateway: &mut Gateway) -> CloseReason {
    let inbound = gateway.next().await;
    assert_eq!(&inbound.payload[..], b"gone");
    assert_eq!(
        (&*inbound.topic, inbound.topic_check),
        (&*topic("pen-1", "status"), TopicCheck::Own)
    );
    inbound.ack.answer(Verdict::Stored);
    match inbound.kind {
        Kind::Will { cause } => cause,
        Kind::Publish => panic!("not a will"),
    }
}

#[tokio::test]
async fn a_takeover_goes_by_identity_and_the_old_will_comes_before_the_new_ones_words() {
    for protocol in [V311, V5] {
        let mut gateway = gateway(quick()).await;
        let mut old = Client::connect_as(&gateway, with_will(protocol, "pen-1")).await;
        let other_id = Hello {
            client_id: "quite-another-id",
            ..hello(protocol, "pen-1")
        };
        let mut new = Client::raw(&gateway, protocol).await;
        // In one segment, so that the publish is at hand as soon as the new one is let in.
        let mut bytes = other_id.bytes();
        bytes.extend(publish(protocol, &topic("pen-1", "telemetry"), 1, b"x"));
        new.send(&bytes).await;
        assert_eq!(will_of(&mut gateway).await, CloseReason::SessionTakenOver);
        gateway.next().await.ack.answer(Verdict::Stored);
        assert_eq!(new.packet().await.unwrap().first, 0x20);
        assert_eq!(new.packet().await.unwrap().puback().0, 1);
        old.ends_with(0x8e).await;
        assert_eq!(gateway.commands.connected(), 1);
    }
}

#[tokio::test]
async fn the_same_client_id_of_another_identity_takes_nothing_over() {
    let gateway = gateway(quick()).await;
    let mut one = Client::connect(&gateway, V5, "pen-1").await;
    let mut two = Client::connect(&gateway, V5, "pen-2").await;
    one.ping_pong().await;
    two.ping_pong().await;
}

#[tokio::test]
async fn many_takeovers_at_once_leave_exactly_one_connection() {
    let gateway = gateway(quick()).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Client::raw(&gateway, V5).await;
        client.send(&hello(V5, "pen-1").bytes()).await;
        clients.push(client);
    }
    let mut alive = 0;
    for client in &mut clients {
        assert_eq!(client.packet().await.unwrap().first, 0x20);
        client.try_send(&[0xc0, 0]).await;
        match client.packet().await {
            Some(came) if came.first == 0xd0 => alive += 1,
            _ => {}
        }
    }
    assert!(alive >= 1);
    until("one is left", || gateway.commands.connected() == 1).await;
}

#[tokio::test]
async fn a_will_is_due_when_a_connection_breaks_and_not_when_it_says_goodbye() {
    for protocol in [V311, V5] {
        let mut gateway = gateway(quick()).await;
        let broken = Client::connect_as(&gateway, with_will(protocol, "pen-1")).await;
        drop(broken);
        assert_eq!(will_of(&mut gateway).await, CloseReason::ConnectionLost);

        let mut polite = Client::connect_as(&gateway, with_will(protocol, "pen-1")).await;
        polite.send(&[0xe0, 0]).await;
        assert_eq!(polite.packet().await, None);
        until("it is gone", || gateway.commands.connected() == 0).await;

        let mut next = Client::connect(&gateway, protocol, "pen-1").await;
        next.publish(&topic("pen-1", "telemetry"), 1, b"x").await;
        assert_eq!(gateway.next().await.kind, Kind::Publish, "no will came in between");
    }
}

#[tokio::test]
async fn mqtt_5_may_say_goodbye_and_leave_its_will() {
    let mut gateway = gateway(quick()).await;
    let mut pen = Client::connect_as(&gateway, with_will(V5, "pen-1")).await;
    pen.send(&[0xe0, 1, 4]).await;
    assert_eq!(will_of(&mut gateway).await, CloseReason::DisconnectWithWill);
}

#[tokio::test]
async fn silence_of_one_and_a_half_keep_alives_ends_a_connection_and_its_will_is_due() {
    for protocol in [V311, V5] {
        let mut gateway = gateway(quick()).await;
        // Of some seconds: one who is held up for one and a half keep alives has been silent.
        let short = Hello {
            keep_alive: 3,
            ..with_will(protocol, "pen-1")
        };
        let mut silent = Client::connect_as(&gateway, short).await;
        let mut chatty = Client::connect_as(
            &gateway,
            Hello {
                keep_alive: 3,
                ..hello(protocol, "pen-2")
            },
        )
        .await;
        let pings = async {
            loop {
                chatty.ping_pong().await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::select! {
            () = silent.ends_with(0x8d) => {}
            () = pings => {}
        }
        assert_eq!(will_of(&mut gateway).await, CloseReason::KeepAlive);
        chatty.ping_pong().await;
    }
}

#[tokio::test]
async fn a_client_without_keep_alive_has_the_endpoints_own() {
    let config = EndpointConfig {
        max_keep_alive: Duration::from_secs(1),
        ..quick()
    };
    let gateway = gateway(config).await;
    let mut silent = Client::connect_as(
        &gateway,
        Hello {
            keep_alive: 0,
            ..hello(V311, "pen-1")
        },
    )
    .await;
    silent.ends_with(0x8d).await;
}

#[tokio::test]
async fn what_ends_a_connection_is_told_to_mqtt_5_by_its_code() {
    let gateway = gateway(quick()).await;
    let own = topic("pen-1", "telemetry");
    let mut qos2 = publish(V5, &own, 1, b"x");
    qos2[0] = 0x34;
    let cases = [
        (qos2, 0x9b),
        (hello(V5, "pen-1").bytes(), 0x82),
        (vec![0x62, 2, 0, 1], 0x82),
        (vec![0xf0, 0], 0x82),
        (vec![0x30, 3, 0, 1, 0], 0x81),
        (vec![0x00, 0x00], 0x81),
        (vec![0x30, 0xff, 0xff, 0x7f], 0x95),
        (vec![0x30, 7, 0, 1, b'a', 3, 35, 0, 1], 0x94),
        (vec![0x82, 9, 0, 1, 2, 11, 1, 0, 1, b'a', 0], 0xa1),
    ];
    for (bytes, code) in cases {
        let mut pen = Client::connect(&gateway, V5, "pen-1").await;
        pen.send(&bytes).await;
        pen.ends_with(code).await;
    }
}

#[tokio::test]
async fn mqtt_3_is_closed_for_qos_2_for_a_second_connect_and_for_garbage() {
    let gateway = gateway(quick()).await;
    let mut qos2 = publish(V311, &topic("pen-1", "telemetry"), 1, b"x");
    qos2[0] = 0x34;
    for bytes in [
        qos2,
        hello(V311, "pen-1").bytes(),
        vec![0xff; 64],
        vec![0x30, 0xff, 0xff, 0x7f],
    ] {
        let mut pen = Client::connect(&gateway, V311, "pen-1").await;
        pen.send(&bytes).await;
        assert_eq!(pen.packet().await, None);
    }
}

#[tokio::test]
async fn a_stop_answers_what_is_in_flight_and_then_says_why_it_closes() {
    for protocol in [V311, V5] {
        let mut gateway = gateway(quick()).await;
        let mut pen = Client::connect(&gateway, protocol, "pen-1").await;
        let own = topic("pen-1", "telemetry");
        for id in 1..=3 {
            pen.publish(&own, id, b"x").await;
        }
        let slots = [
            gateway.next().await.ack,
            gateway.next().await.ack,
            gateway.next().await.ack,
        ];
        gateway.begin_stop();
        let address = gateway.address;
        let refused = async {
            while tokio::net::TcpStream::connect(address).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, refused).await.expect("still lets in");
        for slot in slots {
            slot.answer(Verdict::Stored);
        }
        for id in 1..=3 {
            assert_eq!(pen.packet().await.unwrap().puback().0, id);
        }
        pen.ends_with(0x8b).await;
        drop(pen);
        assert_eq!(gateway.stopped().await, Drained { closed: 1, cut: 0 });
    }
}

#[tokio::test]
async fn a_stop_waits_no_longer_than_its_grace_for_an_intake_that_does_not_answer() {
    let config = EndpointConfig {
        drain_grace: Duration::from_secs(2),
        ..quick()
    };
    let mut gateway = gateway(config).await;
    let mut pen = Client::connect(&gateway, V5, "pen-1").await;
    let _handshaking = Client::raw(&gateway, V5).await;
    pen.publish(&topic("pen-1", "telemetry"), 1, b"x").await;
    let held = gateway.next().await;
    gateway.begin_stop();
    pen.ends_with(0x8b).await;
    drop(pen);
    let drained = gateway.stopped().await;
    assert_eq!(drained.cut, 0);
    drop(held);
}
