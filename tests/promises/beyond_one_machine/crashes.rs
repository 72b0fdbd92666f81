//! SIGKILL of each process and of the broker while devices publish: nothing that was acknowledged is lost, no hazard stays untold.
use std::time::Duration;

use tests::{Apart, Mqtt, SOON, Source, StackSpec, Version, Webhook, deliver_all, wait_for};

use service::testing::Mosquitto;

use super::one_broker::broker;

/// Treatments of each pen, batches of each, and strokes in each.
const TREATMENTS: usize = 4;
const BATCHES: usize = 60;
const STROKES: usize = 50;
/// Pause between batches: the treatments last longer than all that happens.
const PACE: Duration = Duration::from_millis(60);

/// Treatments of a pen, a boot each, so that a hazard in each is an alert of its own and falls into an outage of its own.
fn treatments(id: &str) -> Vec<(Source, Vec<Vec<u8>>)> {
    let treatment = |_| {
        let mut pen = Source::new(id);
        let mut frames = vec![pen.start()];
        frames.extend((0..BATCHES).map(|at| {
            if at == BATCHES / 2 {
                pen.hazard()
            } else {
                pen.good(STROKES)
            }
        }));
        frames.push(pen.end(Some(pen.ordinal), None));
        (pen, frames)
    };
    (0..TREATMENTS).map(treatment).collect()
}

#[test]
fn apart_nothing_is_lost_and_no_page_is_missing_when_each_process_and_the_broker_are_killed_in_the_middle() {
    let webhook = Webhook::start();
    let mut broker = broker();
    let mut apart = Apart::start(&StackSpec::plain(&webhook), broker.port());
    let devices: Vec<_> = ["pen-1", "pen-2"]
        .into_iter()
        .map(|id| {
            let to = apart.gateway.mqtt;
            std::thread::spawn(move || {
                for (pen, frames) in treatments(id) {
                    let login = pen.login(to, Version::V5);
                    for frame in frames {
                        deliver_all(&login, &pen.topic(), &[frame], |_| {});
                        std::thread::sleep(PACE);
                    }
                }
            })
        })
        .collect();
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
    let in_the_middle = devices.iter().any(|device| !device.is_finished());
    assert!(in_the_middle, "the session was over before everything had died");
    for device in devices {
        device.join().unwrap();
    }
    let strokes = (2 * TREATMENTS * ((BATCHES - 1) * STROKES + 3)) as i64;
    apart
        .ingestor
        .wait_number("SELECT sum(count) FROM stroke_window", strokes);
    apart.ingestor.wait_number(
        "SELECT count(*) FROM session_summary WHERE complete = 1 AND strokes_stored > 0",
        8,
    );
    wait_for("a page of each of eight hazards", SOON, || {
        let mut alerts: Vec<String> = webhook
            .of_rule("depth-above-limit")
            .iter()
            .map(|page| page["alert_id"].to_string())
            .collect();
        alerts.sort();
        alerts.dedup();
        if alerts.len() == 8 { Ok(()) } else { Err(alerts) }
    });
    apart.ingestor.wait_number(
        "SELECT count(DISTINCT alert_id) FROM alert_transition WHERE rule = 'depth-above-limit' AND to_state = 'firing'",
        8,
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
