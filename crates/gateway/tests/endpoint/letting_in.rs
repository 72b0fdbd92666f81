//! CONNECT: who gets in, who does not, and what each is told.

use std::time::Duration;

use crate::harness::*;

/// The CONNACK code, and that the connection ends after a refusal.
async fn refused(gateway: &Gateway, hello: Hello<'_>) -> u8 {
    let mut client = Client::raw(gateway, hello.protocol).await;
    let connack = client.say(&hello).await;
    assert_eq!(client.packet().await, None, "refused and not closed");
    connack.body[1]
}

#[tokio::test]
async fn a_client_that_is_not_let_in_is_told_why_in_its_own_version() {
    let gateway = gateway(quick()).await;
    for (protocol, codes) in [(V311, [4, 4, 5, 3, 2]), (V5, [0x86, 0x86, 0x87, 0x89, 0x85])] {
        let long = "x".repeat(300);
        let cases = [
            Hello {
                password: Some("wrong"),
                ..hello(protocol, "pen-1")
            },
            Hello {
                password: None,
                ..hello(V5, "pen-1")
            },
            hello(protocol, "locked"),
            hello(protocol, "busy"),
            Hello {
                client_id: &long,
                ..hello(protocol, "pen-1")
            },
        ];
        for (case, code) in cases.into_iter().zip(codes) {
            let told = refused(&gateway, Hello { protocol, ..case }).await;
            assert_eq!(told, code);
        }
    }
}

#[tokio::test]
async fn an_unknown_protocol_version_is_refused_as_such() {
    let gateway = gateway(quick()).await;
    for connect in [
        &b"\x10\x0c\0\x04MQTT\x09\x02\0\0\0\0"[..],
        b"\x10\x0e\0\x06MQIsdp\x03\x02\0\0\0\0",
    ] {
        let mut client = Client::raw(&gateway, V311).await;
        client.send(connect).await;
        assert_eq!(client.packet().await.unwrap().body, [0, 1]);
        assert_eq!(client.packet().await, None);
    }
}

#[tokio::test]
async fn both_versions_are_served_on_one_port_and_no_session_is_ever_present() {
    let gateway = gateway(quick()).await;
    for protocol in [V311, V5] {
        let mut client = Client::raw(&gateway, protocol).await;
        let connack = client
            .say(&Hello {
                clean: false,
                ..hello(protocol, "pen-1")
            })
            .await;
        assert_eq!(connack.body[..2], [0, 0]);
    }
}

#[tokio::test]
async fn an_mqtt_5_client_is_told_the_limits() {
    let gateway = gateway(quick()).await;
    let mut client = Client::raw(&gateway, V5).await;
    let ask = Hello {
        client_id: "",
        keep_alive: 0,
        clean: false,
        ..hello(V5, "pen-1")
    };
    let connack = client.say(&ask).await.body;
    let has = |property: &[u8]| connack.windows(property.len()).any(|window| window == property);
    assert!(has(&[17, 0, 0, 0, 0]), "session expiry 0");
    assert!(has(&[33, 0x03, 0xe8]), "receive maximum 1000");
    assert!(has(&[36, 1]), "maximum qos 1");
    assert!(has(&[37, 1]), "retain available");
    assert!(has(&[39, 0, 4, 0, 0]), "maximum packet size 256 KiB");
    assert!(
        has(&[40, 0]) && has(&[41, 0]) && has(&[42, 0]),
        "no wildcards, ids, shared"
    );
    assert!(has(&[19, 0x01, 0x2c]), "server keep alive 300 s");
    assert!(has(b"\x12\0\x0aacme/pen-1"), "assigned client identifier");
}

#[tokio::test]
async fn an_empty_client_id_needs_a_clean_session_in_mqtt_3() {
    let gateway = gateway(quick()).await;
    let anonymous = Hello {
        client_id: "",
        ..hello(V311, "pen-1")
    };
    Client::connect_as(&gateway, anonymous.clone()).await;
    assert_eq!(
        refused(
            &gateway,
            Hello {
                clean: false,
                ..anonymous
            }
        )
        .await,
        2
    );
}

#[tokio::test]
async fn a_will_for_somebody_elses_topic_keeps_the_client_out() {
    let gateway = gateway(quick()).await;
    for (protocol, code) in [(V311, 5), (V5, 0x87)] {
        let will = Some((topic("pen-2", "status"), &b"off"[..], 1));
        assert_eq!(
            refused(
                &gateway,
                Hello {
                    will,
                    ..hello(protocol, "pen-1")
                }
            )
            .await,
            code
        );
    }
    let will = Some((topic("pen-1", "status"), &b"off"[..], 2));
    assert_eq!(
        refused(
            &gateway,
            Hello {
                will,
                ..hello(V5, "pen-1")
            }
        )
        .await,
        0x9b
    );
}

#[tokio::test]
async fn extended_authentication_is_refused_by_its_name() {
    let gateway = gateway(quick()).await;
    let method = [21, 0, 1, b'x'];
    assert_eq!(
        refused(
            &gateway,
            Hello {
                properties: &method,
                ..hello(V5, "pen-1")
            }
        )
        .await,
        0x8c
    );
}

#[tokio::test]
async fn half_a_connect_is_given_up_after_the_handshake_timeout() {
    let config = gateway::endpoint::EndpointConfig {
        handshake_timeout: Duration::from_millis(100),
        ..quick()
    };
    let gateway = gateway(config).await;
    let connect = hello(V311, "pen-1").bytes();
    for sent in [&connect[..0], &connect[..1], &connect[..connect.len() - 1]] {
        let mut client = Client::raw(&gateway, V311).await;
        client.send(sent).await;
        assert_eq!(client.packet().await, None);
    }
    Client::connect(&gateway, V311, "pen-1").await;
}

#[tokio::test]
async fn silent_connections_do_not_keep_others_out_nor_grow_without_bound() {
    let config = gateway::endpoint::EndpointConfig {
        max_handshakes: 3,
        ..quick()
    };
    let gateway = gateway(config).await;
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(Client::raw(&gateway, V311).await);
    }
    Client::connect(&gateway, V311, "pen-1").await;
    // A third silent one and then no more: the next is closed before it has said a word. Which of
    // them is accepted last is the kernel's business, so look for one that ends.
    for _ in 0..4 {
        silent.push(Client::raw(&gateway, V311).await);
    }
    assert_eq!(silent.last_mut().unwrap().packet().await, None);
    drop(silent);
    until("a device gets in again", || gateway.commands.connected() <= 1).await;
}

#[tokio::test]
async fn what_is_no_connect_is_closed_at_its_first_byte() {
    let gateway = gateway(quick()).await;
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0x16, 3, 1, 2, 0],
        &[0xc0, 0],
        &[0x10, 0xff, 0xff, 0xff, 0xff],
    ] {
        let mut client = Client::raw(&gateway, V311).await;
        client.send(garbage).await;
        // A malformed CONNECT gets no CONNACK in 3.1.1, others get nothing at all.
        assert_eq!(client.packet().await, None);
    }
}

#[tokio::test]
async fn one_too_many_connections_is_told_so_and_a_takeover_is_none() {
    let config = gateway::endpoint::EndpointConfig {
        max_connections: 2,
        ..quick()
    };
    let gateway = gateway(config).await;
    let _one = Client::connect(&gateway, V5, "pen-1").await;
    let _two = Client::connect(&gateway, V5, "pen-2").await;
    assert_eq!(refused(&gateway, hello(V5, "pen-3")).await, 0x97);
    assert_eq!(refused(&gateway, hello(V311, "pen-3")).await, 3);
    Client::connect(&gateway, V5, "pen-2").await;
}
