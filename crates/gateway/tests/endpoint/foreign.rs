//! Clients that others wrote: mosquitto's tools, paho and rumqttc, in both versions.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use bytes::Bytes;
use gateway::endpoint::Delivered;

use crate::harness::*;

const INSTALL: &str = "`cargo xtask test` installs it";

/// Runs a program to its end; one that does not end is killed, and the test fails.
async fn run(command: &mut Command) -> Output {
    let program = format!("{:?}", command.get_program());
    command.stdin(Stdio::null());
    ended(start(command, &program), &program).await
}

fn start(command: &mut Command, program: &str) -> Child {
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    spawned.unwrap_or_else(|error| panic!("cannot run {program}: {error}; {INSTALL}"))
}

async fn ended(mut child: Child, program: &str) -> Output {
    let exit = async {
        while child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE * 2, exit).await.is_ok();
    if !in_time {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert!(in_time, "{program} did not end: {output:?}");
    output
}

fn mosquitto(tool: &str, gateway: &Gateway, protocol: Protocol, device: &str) -> Command {
    let mut command = Command::new(tool);
    let version = if protocol == V5 { "mqttv5" } else { "mqttv311" };
    let port = gateway.address.port().to_string();
    command.args([
        "-V",
        version,
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-u",
        device,
        "-P",
        PASSWORD,
    ]);
    command
}

#[tokio::test]
async fn mosquitto_pub_publishes_in_both_versions_and_is_told_when_it_may_not() {
    let mut gateway = gateway(quick()).await;
    for protocol in [V311, V5] {
        let own = topic("pen-1", "telemetry");
        let mut publish = mosquitto("mosquitto_pub", &gateway, protocol, "pen-1");
        publish.args(["-q", "1", "-t", &own, "-m", "hello", "-i", "x"]);
        let answer = async {
            let inbound = gateway.next().await;
            assert_eq!(&inbound.payload[..], b"hello");
            inbound.ack.answer(gateway::endpoint::Verdict::Stored);
        };
        let (output, ()) = tokio::join!(run(&mut publish), answer);
        assert!(output.status.success(), "{output:?}");
    }
    let mut wrong = Command::new("mosquitto_pub");
    let port = gateway.address.port().to_string();
    wrong.args([
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-u",
        "pen-1",
        "-P",
        "no",
        "-t",
        "a",
        "-m",
        "b",
    ]);
    let output = run(&mut wrong).await;
    assert!(!output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("bad user name or password"),
        "{output:?}"
    );
}

#[tokio::test]
async fn mosquitto_pub_sends_a_thousand_lines_and_none_is_lost() {
    let (publishing, stored) = {
        let gateway = gateway(quick()).await;
        let mut publish = mosquitto("mosquitto_pub", &gateway, V311, "pen-1");
        publish.args(["-q", "1", "-t", &topic("pen-1", "telemetry"), "-l", "-i", "x"]);
        let (stored, running) = gateway.store_everything();
        let mut child = start(publish.stdin(Stdio::piped()), "mosquitto_pub");
        let lines: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        // Less than a pipe holds, so this does not block.
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(ended(child, "mosquitto_pub").await.status.success());
        (running, stored)
    };
    let expected: Vec<String> = (0..1000).map(|number| format!("line {number}")).collect();
    assert_eq!(stored.payloads(&topic("pen-1", "telemetry")), expected);
    drop(publishing);
}

#[tokio::test]
async fn mosquitto_sub_gets_commands_of_its_own_topic_and_no_other() {
    for protocol in [V311, V5] {
        let gateway = gateway(quick()).await;
        let mut own = mosquitto("mosquitto_sub", &gateway, protocol, "pen-1");
        own.args(["-q", "1", "-t", &topic("pen-1", "command"), "-C", "1"]);
        let commands = gateway.commands.clone();
        let command = async {
            loop {
                if let Ok(delivered) = commands.send("acme/pen-1", Bytes::from_static(b"pause")).await {
                    return delivered;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let (output, delivered) = tokio::join!(run(&mut own), command);
        assert_eq!(
            (&output.stdout[..], delivered),
            (&b"pause\n"[..], Delivered::Acknowledged)
        );

        let mut others = mosquitto("mosquitto_sub", &gateway, protocol, "pen-1");
        others.args(["-t", &topic("pen-2", "command"), "-C", "1", "-W", "18"]);
        let output = run(&mut others).await;
        assert!(String::from_utf8_lossy(&output.stderr).contains("denied"), "{output:?}");
    }
}

fn python() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let venv = root.join("target/test-venv/bin/python");
    let python = std::env::var_os("DERMATEL_TEST_PYTHON").map_or(venv, PathBuf::from);
    assert!(
        python.exists(),
        "no python with paho-mqtt at {}: {INSTALL}",
        python.display()
    );
    python
}

#[tokio::test]
async fn paho_publishes_and_takes_a_command_in_both_versions() {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/paho_device.py");
    for (version, protocol) in [("3.1.1", V311), ("5", V5)] {
        let gateway = gateway(quick()).await;
        let mut paho = Command::new(python());
        paho.arg(&script)
            .args([&gateway.address.port().to_string(), version, "pen-1", PASSWORD, "200"]);
        let commands = gateway.commands.clone();
        let (stored, running) = gateway.store_everything();
        let command = async {
            while commands.send("acme/pen-1", Bytes::from_static(b"pause")).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let (output, ()) = tokio::join!(run(&mut paho), command);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{output:?}");
        for part in [
            r#""ok": true"#,
            r#""acknowledged": 200"#,
            r#""command": ["pause"]"#,
            "puback Success",
        ] {
            assert!(said.contains(part), "{protocol:?}: {part} is not in {said}");
        }
        let expected: Vec<String> = (0..200).map(|number| format!("stroke {number}")).collect();
        assert_eq!(stored.payloads(&topic("pen-1", "telemetry")), expected);
        assert!(
            stored.payloads(&topic("pen-1", "status")).is_empty(),
            "it said goodbye, so no will"
        );
        drop(running);
    }
}

#[tokio::test]
async fn rumqttc_publishes_in_both_versions() {
    let gateway = gateway(quick()).await;
    let port = gateway.address.port();
    let (stored, running) = gateway.store_everything();
    rumqttc_v4(port).await;
    rumqttc_v5(port).await;
    let expected: Vec<String> = ["v4", "v5"]
        .iter()
        .flat_map(|v| (0..100).map(move |number| format!("{v} {number}")))
        .collect();
    assert_eq!(stored.payloads(&topic("pen-1", "telemetry")), expected);
    drop(running);
}

async fn rumqttc_v4(port: u16) {
    use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
    let mut options = MqttOptions::new("pen-1", "127.0.0.1", port);
    options.set_credentials("pen-1", PASSWORD);
    let (client, mut events) = AsyncClient::new(options, 200);
    for number in 0..100 {
        let payload = format!("v4 {number}");
        client
            .publish(topic("pen-1", "telemetry"), QoS::AtLeastOnce, false, payload)
            .await
            .unwrap();
    }
    let mut acknowledged = 0;
    while acknowledged < 100 {
        let event = tokio::time::timeout(PATIENCE, events.poll()).await.unwrap().unwrap();
        acknowledged += usize::from(matches!(event, Event::Incoming(Packet::PubAck(_))));
    }
}

async fn rumqttc_v5(port: u16) {
    use rumqttc::v5::mqttbytes::QoS;
    use rumqttc::v5::mqttbytes::v5::Packet;
    use rumqttc::v5::{AsyncClient, Event, MqttOptions};
    let mut options = MqttOptions::new("pen-1", "127.0.0.1", port);
    options.set_credentials("pen-1", PASSWORD);
    let (client, mut events) = AsyncClient::new(options, 200);
    for number in 0..100 {
        let payload = format!("v5 {number}");
        client
            .publish(topic("pen-1", "telemetry"), QoS::AtLeastOnce, false, payload)
            .await
            .unwrap();
    }
    let mut acknowledged = 0;
    while acknowledged < 100 {
        let event = tokio::time::timeout(PATIENCE, events.poll()).await.unwrap().unwrap();
        acknowledged += usize::from(matches!(event, Event::Incoming(Packet::PubAck(_))));
    }
}
