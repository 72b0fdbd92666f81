//! Apart and in one process, the same frames give the same points, alerts and pages; what goes down reaches the device.
use std::collections::BTreeSet;

use service::testing::Mosquitto;
use tests::{
    Apart, IndependentDevice, Mqtt, SOON, Source, Stack, StackSpec, TENANT, Version, Webhook, deliver_all, secret,
    wait_for,
};

use crate::offline_is_not_resolved::SILENT_AFTER;

/// Debian's mosquitto gives up root, and then may not write where the test wants it.
pub(super) fn broker() -> Mosquitto {
    Mosquitto::start_with("user root\nallow_anonymous true\n")
}

/// What a device says: (topic, payload), and what the store must then hold.
struct Said {
    source: Source,
    frames: Vec<Vec<u8>>,
}

fn treatments() -> [Said; 3] {
    let mut pen = Source::new("pen-1");
    let mut frames = vec![pen.start()];
    for at in 0..40 {
        frames.push(if at == 20 { pen.hazard() } else { pen.good(100) });
    }
    frames.push(pen.end(Some(pen.ordinal), None));
    let mut light = Source::new("ipl-1");
    let mut pulses = vec![light.start()];
    pulses.extend((0..20).map(|_| light.pulse()));
    pulses.push(light.end(None, Some(20)));
    let mut other = Source::of("other", "other-south", "pen-1");
    let elsewhere = vec![
        other.start(),
        other.good(100),
        other.hazard(),
        other.end(Some(103), None),
    ];
    let said = |source, frames| Said { source, frames };
    [said(pen, frames), said(light, pulses), said(other, elsewhere)]
}

fn deliver(to: &Stack, treatments: &[Said]) {
    for said in treatments {
        let mut mqtt = Mqtt::connect(&said.source.login(to.mqtt, Version::V5)).unwrap();
        for frame in &said.frames {
            assert_eq!(mqtt.put(&said.source.topic(), frame), Some(0));
        }
    }
}

const POINTS: [&str; 4] = [
    "SELECT time_ns, tenant, clinic, device, model, kind, zone, session, first_ordinal, count, unread, depth_mean_um, \
     depth_min_um, depth_max_um, depth_sum_um, setpoint_um FROM stroke_window ORDER BY 1, 2, 4",
    "SELECT time_ns, tenant, device, session, ordinal, fluence_measured_mj_per_cm2 FROM pulse ORDER BY 1, 2, 3, 5",
    "SELECT time_ns, tenant, device, session, text, complete FROM session_summary ORDER BY 1, 2, 3",
    // Their time is when the engine took the step.
    "SELECT tenant, device, rule, alert_id, priority, event_time_us, value, \"limit\" FROM alert_transition \
     WHERE to_state = 'firing' ORDER BY 1, 2, 3, 4",
];

fn points(stack: &Stack) -> Result<BTreeSet<String>, String> {
    let mut points = BTreeSet::new();
    for (at, sql) in POINTS.iter().enumerate() {
        points.extend(
            stack
                .rows(sql)?
                .into_iter()
                .map(|row| format!("{at}: {}", row.join(" "))),
        );
    }
    Ok(points)
}

/// Waits until both are the same; says in what they differ.
fn wait_same(what: &str, mut both: impl FnMut() -> Result<[BTreeSet<String>; 2], String>) {
    wait_for(what, SOON, || {
        let [one, apart] = both()?;
        let only: Vec<_> = one.symmetric_difference(&apart).cloned().collect();
        if only.is_empty() { Ok(()) } else { Err(only.join("\n")) }
    });
}

fn pages(webhook: &Webhook) -> BTreeSet<String> {
    let told = webhook.pages().into_iter().map(|page| {
        let part = |name: &str| page[name].to_string();
        let parts = [
            "alert_id",
            "rule",
            "tenant",
            "clinic",
            "device",
            "zone",
            "priority",
            "value",
            "limit",
            "what_to_do",
        ];
        parts.map(part).join(" ")
    });
    told.collect()
}

#[test]
fn apart_the_same_frames_give_the_same_points_alerts_and_pages_as_in_one_process() {
    let treatments = treatments();
    let (here, there) = (Webhook::start(), Webhook::start());
    let one = Stack::start(&StackSpec::plain(&here));
    deliver(&one, &treatments);
    let broker = broker();
    let apart = Apart::start(&StackSpec::plain(&there), broker.port());
    deliver(&apart.gateway, &treatments);
    wait_for("three whole sessions and two hazards in one process", SOON, || {
        let whole = one.number("SELECT count(*) FROM session_summary WHERE complete = 1")?;
        let told = here.of_rule("depth-above-limit").len();
        if (whole, told) == (3, 2) {
            Ok(())
        } else {
            Err(format!("{whole} whole, {told} told"))
        }
    });
    wait_for("the one process to have stored its alerts", SOON, || {
        let stored = one.number("SELECT count(*) FROM alert_transition WHERE rule = 'depth-above-limit'")?;
        if stored >= 2 { Ok(()) } else { Err(stored.to_string()) }
    });
    wait_same("the same pages apart", || Ok([pages(&here), pages(&there)]));
    wait_same("the same points apart", || {
        Ok([points(&one)?, points(&apart.ingestor)?])
    });
    assert_eq!(there.of_rule("depth-above-limit").len(), 2, "{:#?}", there.pages());
}

#[test]
fn apart_what_a_gateway_took_before_anybody_read_is_stored_and_paged_once_they_do() {
    let webhook = Webhook::start();
    let broker = broker();
    let mut apart = Apart::prepare(&StackSpec::plain(&webhook), broker.port());
    apart.gateway.spawn();
    let mut pen = Source::new("pen-1");
    let login = pen.login(apart.gateway.mqtt, Version::V5);
    let frames = [pen.start(), pen.good(100), pen.hazard(), pen.end(Some(103), None)];
    deliver_all(&login, &pen.topic(), &frames, |_| {});
    wait_for("the gateway to say that nobody reads", SOON, || {
        let (_, body) = apart.gateway.get("/readyz")?;
        if body.contains("lack an ingestor or an alerting instance") {
            Ok(())
        } else {
            Err(body)
        }
    });
    apart.read();
    apart
        .ingestor
        .wait_number("SELECT count(*) FROM session_summary WHERE complete = 1", 1);
    apart.ingestor.wait_number("SELECT sum(count) FROM stroke_window", 103);
    wait_for("the page of the hazard", SOON, || {
        match webhook.of_rule("depth-above-limit").len() {
            1 => Ok(()),
            other => Err(other),
        }
    });
}

#[test]
fn apart_a_high_alert_goes_down_to_the_device_that_caused_it() {
    let webhook = Webhook::start();
    let broker = broker();
    let apart = Apart::start(&StackSpec::plain(&webhook), broker.port());
    let mut pen = Source::new("pen-1");
    let frames = [pen.start(), pen.good(50), pen.hazard()]
        .map(|frame| frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        .join(",");
    let topic = pen.topic();
    let args = [
        ("host", apart.gateway.mqtt.ip().to_string()),
        ("port", apart.gateway.mqtt.port().to_string()),
        ("name", format!("{}/{}", pen.tenant, pen.device)),
        ("secret", secret(&pen.tenant, &pen.device)),
        ("topic", topic.strip_suffix("/telemetry").unwrap().to_owned()),
        ("frames", frames),
    ];
    let said = IndependentDevice::start_listening(apart.gateway.folder(), &args).report();
    let page = wait_for("a page of the same alert", SOON, || {
        let pages = webhook.pages();
        let same = pages.iter().find(|page| page["alert_id"] == said["alert"]).cloned();
        same.ok_or(pages)
    });
    assert_eq!(said["happened"], page["what_happened"]);
}

#[test]
fn apart_what_a_gateway_acknowledged_before_it_was_told_to_stop_is_paged_and_stored_while_it_is_away() {
    let webhook = Webhook::start();
    let broker = broker();
    let mut apart = Apart::start(&StackSpec::plain(&webhook), broker.port());
    let mut pen = Source::new("pen-1");
    let mut frames = vec![pen.start()];
    frames.extend((0..300).map(|_| pen.good(10)));
    frames.push(pen.hazard());
    deliver_all(
        &pen.login(apart.gateway.mqtt, Version::V5),
        &pen.topic(),
        &frames,
        |_| {},
    );
    assert_eq!(apart.gateway.stop(), Some(0), "{}", apart.gateway.log());
    wait_for("the page", SOON, || {
        webhook
            .of_rule("depth-above-limit")
            .pop()
            .ok_or_else(|| webhook.pages())
    });
    apart.ingestor.wait_number("SELECT count(*) FROM stroke_window", 301);
}

#[test]
fn apart_a_gateway_that_falls_silent_is_told_and_its_progress_is_known() {
    let webhook = Webhook::start();
    let broker = broker();
    let mut apart = Apart::prepare(&StackSpec::plain(&webhook), broker.port());
    for stack in [&apart.gateway, &apart.ingestor, &apart.alerting] {
        let file = format!("registry/tenants/{TENANT}/tenant.toml");
        stack.edit(&file, "\n[[clinic]]", &format!("{SILENT_AFTER}\n[[clinic]]"));
    }
    apart.gateway.spawn();
    apart.read();
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(apart.gateway.mqtt, Version::V5)).unwrap();
    assert_eq!(mqtt.put(&pen.topic(), &pen.start()), Some(0));
    // A device that falls silent in a session is judged by the watermark of its gateway, which must have come through.
    drop(mqtt);
    wait_for(
        "the page of the silent device",
        std::time::Duration::from_secs(90),
        || {
            let silent: Vec<_> = webhook
                .pages()
                .into_iter()
                .filter(|page| page["device"] == "pen-1")
                .collect();
            if silent.is_empty() {
                Err(apart.alerting.metric("alerting_inputs_total"))
            } else {
                Ok(())
            }
        },
    );
    assert_eq!(apart.gateway.stop(), Some(0), "{}", apart.gateway.log());
    assert_eq!(apart.ingestor.stop(), Some(0), "{}", apart.ingestor.log());
    assert_eq!(apart.alerting.stop(), Some(0), "{}", apart.alerting.log());
}
