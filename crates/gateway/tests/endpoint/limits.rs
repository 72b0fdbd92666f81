//! Bounds: what one client may cost, and that it is not its neighbours who pay.

use std::time::{Duration, SystemTime};

use gateway::endpoint::{EndpointConfig, Inbound, Verdict};
use tokio::net::TcpSocket;

use crate::harness::*;

#[tokio::test]
async fn a_payload_of_one_mebibyte_arrives_whole_where_it_is_allowed() {
    let config = EndpointConfig {
        max_packet_size: 2 * 1024 * 1024,
        ..quick()
    };
    let mut gateway = gateway(config).await;
    let payload: Vec<u8> = (0..1024 * 1024u32).map(|at| (at % 251) as u8).collect();
    for protocol in [V311, V5] {
        let mut pen = Client::connect(&gateway, protocol, "pen-1").await;
        pen.publish(&topic("pen-1", "telemetry"), 1, &payload).await;
        let inbound = gateway.next().await;
        assert!(inbound.payload == payload);
        inbound.ack.answer(Verdict::Stored);
        assert_eq!(pen.packet().await.unwrap().puback().0, 1);
    }
}

#[tokio::test]
async fn a_packet_above_the_limit_is_refused_by_its_header_alone() {
    let gateway = gateway(EndpointConfig {
        max_packet_size: 2048,
        ..quick()
    })
    .await;
    for protocol in [V311, V5] {
        let mut pen = Client::connect(&gateway, protocol, "pen-1").await;
        let bytes = publish(protocol, &topic("pen-1", "telemetry"), 1, &[0; 4096]);
        pen.send(&bytes[..3]).await;
        pen.ends_with(0x95).await;
    }
}

#[tokio::test]
async fn a_client_that_is_refused_in_mid_sentence_hears_why_before_its_socket_breaks() {
    let gateway = gateway(EndpointConfig {
        max_packet_size: 2048,
        ..quick()
    })
    .await;
    let mut pen = Client::connect(&gateway, V5, "pen-1").await;
    let bytes = publish(V5, &topic("pen-1", "telemetry"), 1, &[0; 4096]);
    let (header, rest) = bytes.split_at(3);
    pen.send(header).await;
    assert_eq!(pen.packet().await.unwrap().body[0], 0x95);
    // It is still sending, and a reset would fail its second write and, on small stacks, lose the DISCONNECT.
    for piece in rest.chunks(rest.len() / 3) {
        pen.send(piece).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(pen.packet().await, None);
}

#[tokio::test]
async fn mqtt_5_that_overruns_its_receive_maximum_is_told_and_mqtt_3_is_made_to_wait() {
    let config = EndpointConfig {
        max_unacked_messages: 3,
        ..quick()
    };
    let mut gateway = gateway(config).await;
    let own = topic("pen-1", "telemetry");
    let mut v5 = Client::connect(&gateway, V5, "pen-1").await;
    for id in 1..=4 {
        v5.publish(&own, id, b"x").await;
    }
    let held = [gateway.next().await, gateway.next().await, gateway.next().await];
    v5.ends_with(0x93).await;
    drop(held);

    let mut v311 = Client::connect(&gateway, V311, "pen-1").await;
    for id in 1..=10 {
        v311.publish(&own, id, b"x").await;
    }
    let mut held: Vec<Inbound> = Vec::new();
    for _ in 0..3 {
        held.push(gateway.next().await);
    }
    // Another connection's publish comes next, not this one's fourth.
    let mut other = Client::connect(&gateway, V311, "pen-2").await;
    other.publish(&topic("pen-2", "telemetry"), 1, b"other").await;
    let next = gateway.next().await;
    assert_eq!(&*next.peer.identity, "acme/pen-2");
    for inbound in held.drain(..) {
        inbound.ack.answer(Verdict::Stored);
    }
    for _ in 0..7 {
        gateway.next().await.ack.answer(Verdict::Stored);
    }
    for id in 1..=10 {
        assert_eq!(v311.packet().await.unwrap().puback().0, id);
    }
}

#[tokio::test]
async fn a_greedy_connection_takes_what_is_free_and_never_a_neighbours_share() {
    let config = EndpointConfig {
        max_connections: 10,
        max_packet_size: 4 * 1024,
        max_unacked_bytes: 1024 * 1024,
        unacked_budget: 80 * 1024, // 40 KiB lent, 4 KiB guaranteed to each
        ..quick()
    };
    let mut gateway = gateway(config).await;
    let mut greedy = Client::connect(&gateway, V311, "pen-1").await;
    let own = topic("pen-1", "telemetry");
    let flood: Vec<u8> = (1..=200).flat_map(|id| publish(V311, &own, id, &[0; 1000])).collect();
    greedy.send(&flood).await;
    let mut held = Vec::new();
    // 44 KiB of room and packets of 1,044 bytes: three in its share, 39 lent.
    for _ in 0..42 {
        held.push(gateway.next().await);
    }
    for device in ["pen-2", "pen-3", "pen-4"] {
        let mut modest = Client::connect(&gateway, V311, device).await;
        for id in 1..=3 {
            modest.publish(&topic(device, "telemetry"), id, &[0; 1000]).await;
            let inbound = gateway.next().await;
            assert_eq!(
                &*inbound.peer.identity,
                format!("acme/{device}"),
                "the greedy one overtook"
            );
            inbound.ack.answer(Verdict::Stored);
            assert_eq!(modest.packet().await.unwrap().puback().0, id);
        }
    }
    // One that wants more than its share gets its turn while the greedy one wants ever more.
    let mut large = Client::connect(&gateway, V311, "pen-5").await;
    large.publish(&topic("pen-5", "telemetry"), 1, &[0; 4000]).await;
    large.send(&[0xc0, 0]).await;
    let mut greedy_came = 42;
    let mut large_came = false;
    while greedy_came < 200 || !large_came {
        held.drain(..)
            .for_each(|inbound: Inbound| inbound.ack.answer(Verdict::Stored));
        let inbound = gateway.next().await;
        if &*inbound.peer.identity == "acme/pen-5" {
            large_came = true;
            assert!(greedy_came < 200, "it had to wait for the greedy one to end");
        } else {
            greedy_came += 1;
        }
        held.push(inbound);
    }
    held.drain(..).for_each(|inbound| inbound.ack.answer(Verdict::Stored));
    for id in 1..=200 {
        assert_eq!(greedy.packet().await.unwrap().puback().0, id);
    }
}

#[tokio::test]
async fn a_full_intake_holds_connections_back_and_loses_nothing() {
    let mut gateway = gateway_with(quick(), 2, None).await;
    let mut pens = Vec::new();
    for device in ["pen-1", "pen-2", "pen-3"] {
        let mut pen = Client::connect(&gateway, V5, device).await;
        let own = topic(device, "telemetry");
        let flood: Vec<u8> = (1..=300).flat_map(|id| publish(V5, &own, id, b"x")).collect();
        pen.send(&flood).await;
        pens.push(pen);
    }
    let mut last = std::collections::HashMap::new();
    for _ in 0..900 {
        let inbound = gateway.next().await;
        *last.entry(inbound.peer.identity.to_string()).or_insert(0) += 1;
        inbound.ack.answer(Verdict::Stored);
    }
    assert!(last.values().all(|count| *count == 300));
    for pen in &mut pens {
        for id in 1..=300 {
            assert_eq!(pen.packet().await.unwrap().puback().0, id);
        }
    }
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_off_and_its_neighbours_do_not_notice() {
    let config = EndpointConfig {
        write_timeout: Duration::from_millis(300),
        socket_send_buffer: Some(4096),
        ..quick()
    };
    let mut gateway = gateway(config).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(gateway.address).await.unwrap();
    let mut deaf = Client::over(stream, V311);
    deaf.send(&hello(V311, "pen-1").bytes()).await;
    until("it is in", || gateway.commands.is_connected("acme/pen-1")).await;
    let flood = tokio::spawn(async move {
        let pings = [0xc0, 0].repeat(1000);
        while deaf.try_send(&pings).await {}
    });
    let mut other = Client::connect(&gateway, V311, "pen-2").await;
    until("it is cut off", || !gateway.commands.is_connected("acme/pen-1")).await;
    other.publish(&topic("pen-2", "telemetry"), 1, b"x").await;
    gateway.next().await.ack.answer(Verdict::Stored);
    assert_eq!(other.packet().await.unwrap().puback().0, 1);
    flood.await.unwrap();
}

#[tokio::test]
async fn a_packet_that_is_begun_and_not_finished_ends_the_connection() {
    let config = EndpointConfig {
        packet_timeout: Duration::from_millis(100),
        ..quick()
    };
    let gateway = gateway(config).await;
    let mut pen = Client::connect(&gateway, V5, "pen-1").await;
    let bytes = publish(V5, &topic("pen-1", "telemetry"), 1, &[0; 1000]);
    pen.send(&bytes[..500]).await;
    pen.ends_with(0x8d).await;
}

#[tokio::test]
async fn a_packet_in_pieces_is_put_together() {
    let mut gateway = gateway(quick()).await;
    let mut pen = Client::connect(&gateway, V5, "pen-1").await;
    let bytes = publish(V5, &topic("pen-1", "telemetry"), 1, b"in pieces");
    for byte in &bytes {
        pen.send(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    let inbound = gateway.next().await;
    assert_eq!(&inbound.payload[..], b"in pieces");
}

#[tokio::test]
async fn what_follows_the_connect_in_the_same_segment_is_not_lost() {
    let mut gateway = gateway(quick()).await;
    let mut pen = Client::raw(&gateway, V311).await;
    let mut bytes = hello(V311, "pen-1").bytes();
    bytes.extend(publish(V311, &topic("pen-1", "telemetry"), 1, b"at once"));
    pen.send(&bytes).await;
    let inbound = gateway.next().await;
    assert_eq!(&inbound.payload[..], b"at once");
    inbound.ack.answer(Verdict::Stored);
    assert_eq!(pen.packet().await.unwrap().first, 0x20);
    assert_eq!(pen.packet().await.unwrap().puback().0, 1);
}

#[tokio::test]
async fn what_waits_for_room_in_the_intake_was_not_received_before_there_was_room() {
    let mut gateway = gateway_with(quick(), 1, None).await;
    let own = topic("pen-1", "telemetry");
    let mut pen = Client::connect(&gateway, V311, "pen-1").await;
    let both: Vec<u8> = (1..=2).flat_map(|id| publish(V311, &own, id, b"x")).collect();
    pen.send(&both).await;
    until("the first is in the intake", || gateway.intake.len() == 1).await;
    // The second was read together with the first, and there is no room until the first is taken.
    let taken_at = SystemTime::now();
    gateway.next().await.ack.answer(Verdict::Stored);
    let second = gateway.next().await;
    assert!(second.received_at >= taken_at, "watermarks would pass it");
    second.ack.answer(Verdict::Stored);
}
