//! The way down: a device's own command topic, and nothing else.

use bytes::Bytes;
use gateway::endpoint::{CommandError, Delivered};

use crate::harness::*;

async fn subscribed(gateway: &Gateway, protocol: Protocol, qos: u8) -> Client {
    let mut pen = Client::connect(gateway, protocol, "pen-1").await;
    pen.send(&subscribe(protocol, 5, &[(&topic("pen-1", "command"), qos)]))
        .await;
    let suback = pen.packet().await.unwrap();
    let expected: &[u8] = if protocol == V5 { &[0, 5, 0] } else { &[0, 5] };
    assert_eq!(
        (suback.first, suback.body.strip_prefix(expected)),
        (0x90, Some(&[qos.min(1)][..]))
    );
    pen
}

#[tokio::test]
async fn a_command_is_delivered_when_the_device_says_so() {
    for protocol in [V311, V5] {
        for qos in [1, 2] {
            let gateway = gateway(quick()).await;
            let mut pen = subscribed(&gateway, protocol, qos).await;
            let commands = gateway.commands.clone();
            let sent = tokio::spawn(async move { commands.send("acme/pen-1", Bytes::from_static(b"pause")).await });
            let came = pen.packet().await.unwrap();
            assert_eq!(came.first, 0x32, "QoS 1");
            let name = topic("pen-1", "command");
            assert_eq!(&came.body[2..2 + name.len()], name.as_bytes());
            assert!(came.body.ends_with(b"pause"));
            assert!(!sent.is_finished(), "delivered before the device said so");
            let id = &came.body[2 + name.len()..4 + name.len()];
            pen.send(&[0x40, 2, id[0], id[1]]).await;
            assert_eq!(sent.await.unwrap(), Ok(Delivered::Acknowledged));
        }
    }
}

#[tokio::test]
async fn a_command_at_qos_0_is_sent_and_no_more_is_claimed() {
    let gateway = gateway(quick()).await;
    let mut pen = subscribed(&gateway, V5, 0).await;
    let outcome = gateway.commands.send("acme/pen-1", Bytes::from_static(b"pause")).await;
    assert_eq!(outcome, Ok(Delivered::Sent));
    assert_eq!(pen.packet().await.unwrap().first, 0x30);
}

#[tokio::test]
async fn a_command_that_cannot_go_down_says_why() {
    let gateway = gateway(quick()).await;
    let send = |payload: &'static [u8]| gateway.commands.send("acme/pen-1", Bytes::from_static(payload));
    assert_eq!(send(b"x").await, Err(CommandError::NoSuchPeer));
    let mut pen = Client::connect(&gateway, V5, "pen-1").await;
    assert_eq!(send(b"x").await, Err(CommandError::NotSubscribed));
    drop(pen);
    until("it is gone", || gateway.commands.connected() == 0).await;

    let small = [39, 0, 0, 0, 100];
    pen = Client::connect_as(
        &gateway,
        Hello {
            properties: &small,
            ..hello(V5, "pen-1")
        },
    )
    .await;
    pen.send(&subscribe(V5, 5, &[(&topic("pen-1", "command"), 1)])).await;
    pen.packet().await;
    assert_eq!(send(&[7; 200]).await, Err(CommandError::TooLarge));

    let commands = gateway.commands.clone();
    let refused = tokio::spawn(async move { commands.send("acme/pen-1", Bytes::from_static(b"x")).await });
    let came = pen.packet().await.unwrap();
    let at = 2 + topic("pen-1", "command").len();
    pen.send(&[0x40, 3, came.body[at], came.body[at + 1], 0x83]).await;
    assert_eq!(refused.await.unwrap(), Err(CommandError::Refused));

    let commands = gateway.commands.clone();
    let lost = tokio::spawn(async move { commands.send("acme/pen-1", Bytes::from_static(b"x")).await });
    pen.packet().await.unwrap();
    drop(pen);
    assert_eq!(lost.await.unwrap(), Err(CommandError::ConnectionLost));
}

#[tokio::test]
async fn a_device_that_acknowledges_nothing_has_a_bounded_backlog() {
    let gateway = gateway(quick()).await;
    let mut pen = subscribed(&gateway, V5, 1).await;
    let mut sent = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let commands = gateway.commands.clone();
        sent.spawn(async move { commands.send("acme/pen-1", Bytes::from_static(b"x")).await });
    }
    // 16 wait for a PUBACK and up to 16 in the queue; all others are told.
    for _ in 0..16 {
        assert_eq!(pen.packet().await.unwrap().first, 0x32);
    }
    pen.ping_pong().await;
    let mut backlogged = 0;
    while let Some(outcome) = sent.try_join_next() {
        assert_eq!(outcome.unwrap(), Err(CommandError::Backlogged));
        backlogged += 1;
    }
    assert!((28..=44).contains(&backlogged), "{backlogged} of 60 were turned away");
}

#[tokio::test]
async fn nobody_subscribes_to_anything_but_its_own_command_topic() {
    let others = topic("pen-2", "command");
    let own = topic("pen-1", "command");
    let all = topic("+", "command");
    let shared = format!("$share/g/{own}");
    let filters = [(&*others, 1), ("#", 0), (&*all, 1), (&*shared, 1), (&*own, 1)];
    for (protocol, codes) in [(V311, [0x80, 0x80, 0x80, 0x80, 1]), (V5, [0x87, 0xa2, 0xa2, 0x9e, 1])] {
        let gateway = gateway(quick()).await;
        let mut pen = Client::connect(&gateway, protocol, "pen-1").await;
        pen.send(&subscribe(protocol, 1, &filters)).await;
        let suback = pen.packet().await.unwrap();
        assert_eq!(suback.body[suback.body.len() - 5..], codes);
    }
}

#[tokio::test]
async fn after_unsubscribe_nothing_goes_down() {
    for (protocol, properties) in [(V311, &[][..]), (V5, &[0][..])] {
        let gateway = gateway(quick()).await;
        let mut pen = subscribed(&gateway, protocol, 1).await;
        let mut body = vec![0, 6];
        body.extend_from_slice(properties);
        string(&mut body, topic("pen-1", "command").as_bytes());
        pen.send(&packet(0xa2, &body)).await;
        assert_eq!(pen.packet().await.unwrap().first, 0xb0);
        let outcome = gateway.commands.send("acme/pen-1", Bytes::from_static(b"x")).await;
        assert_eq!(outcome, Err(CommandError::NotSubscribed));
    }
}
