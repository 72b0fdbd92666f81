//! deploy/mosquitto on a real mosquitto: a device publishes as itself and as nobody else, the limits hold, and what was kept
//! is kept.
use std::process::{Command, Output, Stdio};

use tests::Mosquitto;

const PEN: &str = "acme/acme-north/pen-1";
const OTHER: &str = "acme/acme-north/pen-2";
const USERS: &[(&str, &str)] = &[(PEN, "pen-secret"), (OTHER, "other-secret"), ("dermatel", "our-secret")];

/// mosquitto_pub or mosquitto_sub as a user of [`USERS`].
fn client(program: &str, broker: &Mosquitto, user: &str, args: &[&str]) -> Command {
    let password = USERS
        .iter()
        .find(|(name, _)| *name == user)
        .map_or("wrong", |(_, password)| password);
    let mut command = Command::new(program);
    command
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &broker.port.to_string(),
            "-u",
            user,
            "-P",
            password,
            "-q",
            "1",
        ])
        .args(args);
    command
}

fn run(command: &mut Command) -> Output {
    let missing = "mosquitto-clients is missing: `cargo xtask test` installs it";
    command.output().expect(missing)
}

/// Makes the session of a subscriber, which stays when it goes.
fn subscribe(broker: &Mosquitto, user: &str, id: &str, topic: &str) {
    let out = run(&mut client(
        "mosquitto_sub",
        broker,
        user,
        &["-E", "-c", "-i", id, "-t", topic],
    ));
    assert!(out.status.success(), "{out:?}");
}

/// What waits for a subscriber, one payload a line.
fn waiting(broker: &Mosquitto, user: &str, id: &str, topic: &str, count: usize) -> Vec<String> {
    let count = count.to_string();
    let out = run(&mut client(
        "mosquitto_sub",
        broker,
        user,
        &["-c", "-i", id, "-t", topic, "-C", &count, "-W", "60"],
    ));
    String::from_utf8_lossy(&out.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// What waits for a subscriber before a last message, however much that is, one payload a line.
fn waiting_up_to(broker: &Mosquitto, user: &str, id: &str, topic: &str, last: &str) -> Vec<String> {
    use std::io::BufRead as _;
    let mut subscriber = client(
        "mosquitto_sub",
        broker,
        user,
        &["-c", "-i", id, "-t", topic, "-W", "60"],
    )
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let lines = std::io::BufReader::new(subscriber.stdout.take().unwrap()).lines();
    let found = lines.map_while(Result::ok).take_while(|line| line != last).collect();
    let _ = subscriber.kill();
    let _ = subscriber.wait();
    found
}

/// Publishes so many small messages over one connection and waits for their PUBACKs.
fn publish_many(broker: &Mosquitto, user: &str, topic: &str, numbers: std::ops::Range<usize>) {
    use std::io::Write as _;
    let mut publisher = client("mosquitto_pub", broker, user, &["-t", topic, "-l"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = publisher.stdin.take().unwrap();
    for n in numbers {
        writeln!(stdin, "{n}").unwrap();
    }
    drop(stdin);
    assert!(publisher.wait().unwrap().success());
}

fn telemetry(user: &str) -> String {
    format!("dermatel/v1/{user}/telemetry")
}

#[test]
fn a_device_publishes_as_itself_and_as_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start_with_users(folder.path(), USERS);
    let all = "dermatel/v1/+/+/+/telemetry";
    subscribe(&broker, "dermatel", "gateway", all);
    for (topic, payload) in [
        (telemetry(OTHER), "as another"),
        (telemetry("other/other-south/pen-1"), "as another tenant's"),
        ("dermatel/v1/uplink/1/acme/acme-north".to_owned(), "as a gateway"),
        (format!("dermatel/v1/{OTHER}/command"), "a command"),
        (telemetry(PEN), "as itself"),
    ] {
        // MQTT 3.1.1: acknowledged and dropped, so the answer says nothing.
        run(&mut client(
            "mosquitto_pub",
            &broker,
            PEN,
            &["-t", &topic, "-m", payload],
        ));
    }
    // It came last, and the order holds: before it would stand what is forbidden.
    assert_eq!(waiting(&broker, "dermatel", "gateway", all, 1), ["as itself"]);
    // MQTT 5 says no.
    let refused = run(&mut client(
        "mosquitto_pub",
        &broker,
        PEN,
        &["-V", "5", "-t", &telemetry(OTHER), "-m", "x"],
    ));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.to_lowercase().contains("not authorized"), "{refused:?}");
}

#[test]
fn a_device_hears_its_own_commands_and_nothing_else_and_nobody_comes_in_without_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start_with_users(folder.path(), USERS);
    subscribe(&broker, PEN, "pen", "dermatel/v1/#");
    let command = |user: &str, what: &str| {
        let topic = format!("dermatel/v1/{user}/command");
        run(&mut client(
            "mosquitto_pub",
            &broker,
            "dermatel",
            &["-t", &topic, "-m", what],
        ));
    };
    command(PEN, "own");
    command(OTHER, "of another");
    run(&mut client(
        "mosquitto_pub",
        &broker,
        OTHER,
        &["-t", &telemetry(OTHER), "-m", "a reading"],
    ));
    command(PEN, "the last");
    assert_eq!(waiting(&broker, PEN, "pen", "dermatel/v1/#", 2), ["own", "the last"]);
    let stranger = run(&mut client(
        "mosquitto_pub",
        &broker,
        "acme/acme-north/pen-9",
        &["-t", "x", "-m", "x"],
    ));
    assert!(!stranger.status.success(), "{stranger:?}");
    let port = broker.port.to_string();
    let nobody =
        run(Command::new("mosquitto_pub").args(["-h", "127.0.0.1", "-p", &port, "-t", "x", "-m", "x", "-q", "1"]));
    assert!(!nobody.status.success(), "{nobody:?}");
}

#[test]
fn more_waits_for_dermatel_than_the_default_would_keep_and_a_packet_that_is_too_large_does_not_pass() {
    const MESSAGES: usize = 5_000;
    let folder = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start_with_users(folder.path(), USERS);
    let topic = telemetry(PEN);
    subscribe(&broker, "dermatel", "gateway", &topic);
    let large = folder.path().join("large");
    std::fs::write(&large, vec![b'x'; 600_000]).unwrap();
    run(&mut client(
        "mosquitto_pub",
        &broker,
        PEN,
        &["-t", &topic, "-f", large.to_str().unwrap()],
    ));
    publish_many(&broker, PEN, &topic, 0..MESSAGES);
    let found = waiting(&broker, "dermatel", "gateway", &topic, MESSAGES);
    assert_eq!(found.len(), MESSAGES, "the default of 1,000 drops silently");
    assert_eq!((found[0].as_str(), found[MESSAGES - 1].as_str()), ("0", "4999"));
}

#[test]
fn what_waits_survives_a_stop_whole_and_a_kill_up_to_the_last_autosave() {
    const MESSAGES: usize = 5_000;
    // autosave_interval of the configuration: changes, of which a message that waits makes at least one.
    const SINCE_AUTOSAVE: usize = 1_000;
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Mosquitto::start_with_users(folder.path(), USERS);
    let topic = telemetry(PEN);
    subscribe(&broker, "dermatel", "gateway", &topic);
    publish_many(&broker, PEN, &topic, 0..MESSAGES);
    broker.stop_and_start();
    assert_eq!(
        waiting(&broker, "dermatel", "gateway", &topic, MESSAGES).len(),
        MESSAGES
    );

    publish_many(&broker, PEN, &topic, MESSAGES..2 * MESSAGES);
    broker.kill_and_start();
    publish_many(&broker, PEN, &topic, 2 * MESSAGES..2 * MESSAGES + 1);
    // What was taken before the kill may come again.
    let found = waiting_up_to(&broker, "dermatel", "gateway", &topic, &(2 * MESSAGES).to_string());
    let found = found.iter().filter(|n| n.parse::<usize>().unwrap() >= MESSAGES).count();
    assert!(
        found >= MESSAGES - SINCE_AUTOSAVE,
        "{found} of {MESSAGES}: docs/deploy/mosquitto.md promises more"
    );
}
