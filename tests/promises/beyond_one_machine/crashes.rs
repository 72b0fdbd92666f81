//! SIGKILL of each process and of the broker while devices publish: nothing that was acknowledged is lost, no hazard stays untold.
use std::time::Duration;

use tests::{Apart, Mqtt, SOON, Source, Stack, StackSpec, Treating, Version, Webhook, deliver_all, wait_for};

use service::testing::Mosquitto;

use super::one_broker::broker;

#[test]
fn apart_nothing_is_lost_and_no_page_is_missing_when_each_process_and_the_broker_are_killed_in_the_middle() {
    let webhook = Webhook::start();
    let mut broker = broker();
    let mut apart = Apart::start(&StackSpec::plain(&webhook), broker.port());
    let to = apart.gateway.mqtt;
    let devices = Treating::start(["pen-1", "pen-2"].map(|id| (Source::new(id), to)));
    let hold = || std::thread::sleep(Duration::from_millis(900));
    wait_for("frames on their way", SOON, || {
        let stored = apart.ingestor.number("SELECT count(*) FROM stroke_window")?;
        if stored > 5 { Ok(()) } else { Err(stored.to_string()) }
    });
    apart.ingestor.kill();
    hold();
    apart.ingestor.up();
    apart.alerting.kill();
    hold();
    apart.alerting.up();
    apart.gateway.kill();
    hold();
    apart.gateway.up();
    broker.kill();
    hold();
    broker.restart();
    hold();
    let sent = devices.finish();
    apart
        .ingestor
        .wait_number("SELECT sum(count) FROM stroke_window", sent.strokes);
    apart.ingestor.wait_number(
        "SELECT count(*) FROM session_summary WHERE complete = 1 AND strokes_stored > 0",
        sent.treatments as i64,
    );
    wait_for("a page of each hazard", SOON, || {
        let mut alerts: Vec<String> = webhook
            .of_rule("depth-above-limit")
            .iter()
            .map(|page| page["alert_id"].to_string())
            .collect();
        alerts.sort();
        alerts.dedup();
        if alerts.len() == sent.treatments {
            Ok(())
        } else {
            Err(alerts)
        }
    });
    apart.ingestor.wait_number(
        "SELECT count(DISTINCT alert_id) FROM alert_transition WHERE rule = 'depth-above-limit' AND to_state = 'firing'",
        sent.treatments as i64,
    );
    let mut last = Mqtt::connect(&Source::new("pen-1").login(apart.gateway.mqtt, Version::V5));
    assert!(last.as_mut().is_ok(), "devices may connect after all that");
}

#[test]
fn apart_what_a_broker_acknowledged_and_had_not_saved_when_it_died_is_sent_again() {
    let webhook = Webhook::start();
    // The last line of a kind counts: it saves when it is told to, and not by itself.
    let mut broker =
        Mosquitto::start_with("user root\nallow_anonymous true\nautosave_on_changes false\nautosave_interval 3600\n");
    let mut apart = Apart::start(&StackSpec::plain(&webhook), broker.port());
    let pid = broker.pid().unwrap().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-USR1", &pid])
            .status()
            .unwrap()
            .success()
    );
    let saved = broker.dir().join("mosquitto.db");
    wait_for("the broker to have saved its sessions", SOON, || saved.metadata());
    apart.ingestor.kill();
    let mut pen = Source::new("pen-1");
    let login = pen.login(apart.gateway.mqtt, Version::V5);
    let frames = [pen.start(), pen.good(100), pen.hazard(), pen.end(Some(103), None)];
    deliver_all(&login, &pen.topic(), &frames, |_| {});
    // Alerting has it, so the broker had: and holds it for the ingestor, in memory.
    wait_for("the page of the hazard", SOON, || {
        match webhook.of_rule("depth-above-limit").len() {
            0 => Err(apart.alerting.log()),
            _ => Ok(()),
        }
    });
    broker.kill();
    broker.restart();
    apart.ingestor.up();
    apart
        .ingestor
        .wait_number("SELECT coalesce(sum(count), 0) FROM stroke_window", 103);
    let told = "SELECT count(DISTINCT alert_id) FROM alert_transition WHERE rule = 'depth-above-limit' AND to_state = 'firing'";
    apart.ingestor.wait_number(told, 1);
    assert_eq!(webhook.of_rule("depth-above-limit").len(), 1, "{:#?}", webhook.pages());
}

#[test]
fn apart_an_ingestor_whose_disk_is_lost_gets_again_what_the_gateway_still_keeps() {
    let webhook = Webhook::start();
    let broker = broker();
    let mut apart = Apart::start(&StackSpec::plain(&webhook), broker.port());
    let treat = |gateway: &Stack| {
        let mut pen = Source::new("pen-1");
        let frames = [pen.start(), pen.good(100), pen.hazard(), pen.end(Some(103), None)];
        deliver_all(&pen.login(gateway.mqtt, Version::V5), &pen.topic(), &frames, |_| {});
    };
    const STROKES: &str = "SELECT coalesce(sum(count), 0) FROM stroke_window";
    for before in 1..=3 {
        treat(&apart.gateway);
        apart.ingestor.wait_number(STROKES, before * 103);
    }
    // It goes on to write how far it is.
    wait_for("every reader to have what was treated", SOON, || {
        let behind = apart.gateway.metric("spool_backlog_records");
        if behind < 4.0 { Ok(()) } else { Err(behind) }
    });
    // Everybody had everything, and the gateway starts again meanwhile: it begins behind all of it.
    apart.ingestor.kill();
    std::fs::remove_dir_all(apart.ingestor.folder().join("data")).unwrap();
    apart.gateway.kill();
    apart.gateway.up();
    treat(&apart.gateway);
    apart.ingestor.up();
    apart.ingestor.wait_number(STROKES, 4 * 103);
    let whole = "SELECT count(*) FROM session_summary WHERE complete = 1";
    apart.ingestor.wait_number(whole, 4);
    // It was paged before, and is not again.
    let hazards = || webhook.of_rule("depth-above-limit").len();
    wait_for("the page of the last hazard", SOON, || match hazards() {
        4 => Ok(()),
        other => Err(other),
    });
}
