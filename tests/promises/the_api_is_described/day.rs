//! A day on which everything happens that the API has a word for: treatments with and without alerts, what people do to alerts,
//! devices and records, and messages that are refused. Every answer is kept with the route that gave it.
use serde_json::{Value, json};
use telemetry::proto::{self, frame::Body};
use tests::{CLINIC, Mqtt, SOON, Source, Stack, TENANT, Version, now_us, wait_for};

use crate::end_to_end::treatment::{WITHIN, device, wait_until_complete};

/// What was asked and what came back.
pub(super) struct Asked<'s> {
    stack: &'s Stack,
    routes: Vec<String>,
    pub(super) answers: Vec<Value>,
}

/// Whether a path is one of a route's; what is in braces is anything.
fn fits(route: &str, path: &str) -> bool {
    let (mut route, mut path) = (route.split('/'), path.split('/'));
    loop {
        match (route.next(), path.next()) {
            (None, None) => return true,
            (Some(wanted), Some(part)) if wanted == part || wanted.starts_with('{') => {}
            _ => return false,
        }
    }
}

impl<'s> Asked<'s> {
    pub(super) fn new(stack: &'s Stack, document: &Value) -> Self {
        let mut routes: Vec<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
        // A route of plain words before one with braces.
        routes.sort_by_key(|route| route.matches('{').count());
        Self {
            stack,
            routes,
            answers: Vec::new(),
        }
    }

    fn keep(&mut self, method: &str, path: &str, (status, body): (u16, String)) -> (u16, Value) {
        let plain = path.split('?').next().unwrap();
        let route = self.routes.iter().find(|route| fits(route, plain));
        let route = route.unwrap_or_else(|| panic!("{path} is not described"));
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        self.answers
            .push(json!({"method": method, "path": route, "status": status.to_string(), "body": body}));
        (status, body)
    }

    pub(super) fn get(&mut self, path: &str) -> (u16, Value) {
        let answer = self.stack.get(path).unwrap();
        self.keep("get", path, answer)
    }

    pub(super) fn post(&mut self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.stack.post(path, body).unwrap();
        self.keep("post", path, answer)
    }

    /// The same of what must be done.
    fn done(&mut self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.post(path, body);
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    fn seen(&mut self, path: &str) -> Value {
        let (status, answer) = self.get(path);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }
}

/// A pen in a treatment that goes on, and goes wrong, and an IPL unit that says all it can.
fn treat(stack: &Stack) -> (Mqtt, Mqtt) {
    let mut pen = Source::new("pen-2");
    let mut pen_line = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    let birth = proto::Birth {
        kind: Some(proto::DeviceKind::Pen as i32),
        model: Some("np-25".to_owned()),
        firmware: Some("1.2.3".to_owned()),
        serial: Some("acme-pen-2".to_owned()),
        depth_offset_um: Some(4),
        depth_sigma_um: Some(9),
        calibrated_day: Some(20_000),
        cartridge_serial: Some("C-1".to_owned()),
        ..proto::Birth::default()
    };
    let start = proto::SessionStart {
        cartridge_serial: Some("C-1".to_owned()),
        cartridge_lot: Some("LOT-1".to_owned()),
        pack_expiry_day: Some(30_000),
        skin_type: Some(proto::SkinType::Ii as i32),
        ..proto::SessionStart::default()
    };
    let mut batch = pen.batch(&[500, 510, 0, 490]);
    batch.depth_limit_um = Some(2_000);
    let heartbeat = proto::Heartbeat {
        in_session: Some(true),
        battery_percent: Some(80),
        queued_frames: Some(1),
        dropped_frames: Some(2),
    };
    let topic = pen.topic();
    let frames = [
        pen.bytes(Body::Birth(birth)),
        pen.bytes(Body::SessionStart(start)),
        pen.bytes(Body::StrokeBatch(batch)),
        pen.hazard(),
        pen.bytes(Body::Heartbeat(heartbeat)),
    ];
    for frame in frames {
        assert_eq!(pen_line.put(&topic, &frame), Some(0));
    }
    let mut ipl = Source::new("ipl-1");
    let mut ipl_line = Mqtt::connect(&ipl.login(stack.mqtt, Version::V5)).unwrap();
    let birth = proto::Birth {
        kind: Some(proto::DeviceKind::Ipl as i32),
        lamp_serial: Some("L-1".to_owned()),
        lamp_shot_count: Some(4_000),
        ..proto::Birth::default()
    };
    let start = proto::SessionStart {
        lamp_serial: Some("L-1".to_owned()),
        skin_type: Some(proto::SkinType::Ii as i32),
        ..proto::SessionStart::default()
    };
    let pulse = |ordinal: u64, fluence: u32| proto::Pulse {
        ordinal: Some(ordinal),
        uptime_us: Some(60_000_000 + ordinal),
        energy_set_mj: Some(28_800),
        energy_measured_mj: Some(28_810),
        fluence_set_mj_per_cm2: Some(6_000),
        fluence_measured_mj_per_cm2: Some(fluence),
        width_us: Some(15_000),
        filter_cutoff_nm: Some(560),
        spot_area_mm2: Some(480),
        zone: Some(proto::Zone::Cheek as i32),
        skin_type: Some(proto::SkinType::Ii as i32),
        skin_temperature_mdegc: Some(33_000),
        tip_temperature_mdegc: Some(12_000),
        lamp_shot_count: Some(4_001 + ordinal),
        fired: Some(true),
        ..proto::Pulse::default()
    };
    let pulses = proto::PulseBatch {
        pulses: vec![pulse(0, 6_010), pulse(1, 14_800)],
        flush_reason: Some(proto::FlushReason::Period as i32),
    };
    let topic = ipl.topic();
    for body in [Body::Birth(birth), Body::SessionStart(start), Body::PulseBatch(pulses)] {
        assert_eq!(ipl_line.put(&topic, &ipl.bytes(body)), Some(0));
    }
    (pen_line, ipl_line)
}

/// A treatment with the cartridge of another client, some of whose strokes never come.
fn lose(stack: &Stack) {
    let mut pen = Source::new("pen-1");
    let mut line = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    let start = proto::SessionStart {
        cartridge_serial: Some("C-1".to_owned()),
        ..proto::SessionStart::default()
    };
    let frames = [
        pen.bytes(Body::SessionStart(start)),
        pen.good(20),
        pen.end(Some(30), None),
    ];
    for frame in frames {
        assert_eq!(line.put(&pen.topic(), &frame), Some(0));
    }
}

/// What a sterilizer tells and what people record.
fn clean(stack: &Stack, asked: &mut Asked<'_>) {
    let mut autoclave = Source::new("autoclave-1");
    let mut line = Mqtt::connect(&autoclave.login(stack.mqtt, Version::V5)).unwrap();
    let cycle = |name: &str, outcome: proto::Outcome, items: &[&str]| proto::SterilizationCycle {
        cycle_id: Some(name.to_owned()),
        items: items.iter().map(|&item| item.to_owned()).collect(),
        outcome: Some(outcome as i32),
        ended_at_us: Some(now_us() - 7_200_000_000),
        hold_temperature_mdegc: Some(134_000),
        hold_time_s: Some(300),
        ..proto::SterilizationCycle::default()
    };
    let topic = autoclave.topic();
    for told in [
        cycle("c-1", proto::Outcome::Pass, &["pen-1", "pen-2", "TIP-1"]),
        cycle("c-2", proto::Outcome::Fail, &["pen-2", "TIP-2"]),
    ] {
        assert_eq!(
            line.put(&topic, &autoclave.bytes(Body::SterilizationCycle(told))),
            Some(0)
        );
    }
    let hour_ago = now_us() - 3_600_000_000;
    let mut record = |request: u64, event: Value| {
        let body = json!({"request": request, "tenant": TENANT, "clinic": CLINIC, "actor": "ann", "event": event});
        asked.done("/v1/record", &body)
    };
    let wipe = json!({"what": "wipe", "device": "pen-1", "level": "intermediate", "contact_time_s": 60,
        "performed_at_us": hour_ago});
    assert_eq!(record(1, wipe.clone())["verdict"], "stored");
    assert_eq!(record(1, wipe)["verdict"], "recorded before");
    record(
        2,
        json!({"what": "indicator", "sterilizer": "autoclave-1", "kind": "biological", "outcome": "pass", "cycle": "c-1"}),
    );
}

/// What people do to an alert, and ask of it.
fn act(asked: &mut Asked<'_>, id: &str) {
    let of = |action: &str| format!("/v1/alerts/{id}/{action}");
    let said = json!({"actor": "anna", "comment": "on my way"});
    asked.done(&of("acknowledge"), &said);
    asked.done(&of("unacknowledge"), &json!({"actor": "anna"}));
    asked.done(&of("assign"), &json!({"actor": "anna", "assignee": "ben"}));
    asked.done(&of("annotate"), &json!({"actor": "anna", "comment": "see the needle"}));
    asked.done(&of("acknowledge"), &said);
    let wanted = json!({"tenant": TENANT, "device": "pen-1", "until": "2099-01-01T00:00:00Z", "owner": "anna", "reason": "it moves"});
    asked.done("/v1/silences/preview", &wanted);
    // It is too long.
    assert_eq!(asked.post("/v1/silences", &wanted).0, 422);
}

/// A silence that holds while the answers are gathered.
fn silence(stack: &Stack, asked: &mut Asked<'_>) -> String {
    let until = in_an_hour();
    let wanted = json!({"tenant": TENANT, "clinic": CLINIC, "until": until, "owner": "anna", "reason": "moving"});
    let id = asked.done("/v1/silences", &wanted)["id"].as_str().unwrap().to_owned();
    wait_for("the silence", SOON, || {
        let held = stack.json("/v1/silences");
        if held.as_array().unwrap().is_empty() {
            Err(held)
        } else {
            Ok(())
        }
    });
    id
}

/// RFC 3339.
fn in_an_hour() -> String {
    let out = std::process::Command::new("date")
        .args(["-u", "-d", "1 hour", "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// Devices are entered, moved and taken out of use.
fn change(asked: &mut Asked<'_>) {
    let author = |more: Value| {
        let mut body = json!({"actor": "anna", "why": "a new one"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let digest = "ab".repeat(32);
    let new = json!({"tenant": TENANT, "id": "pen-9", "clinic": CLINIC, "model": "np-25", "serial": "s-9",
        "expected_since": "2099-12-01", "secret_sha256": digest});
    asked.done("/v1/devices", &author(json!({"device": new})));
    asked.done(&format!("/v1/devices/{TENANT}/pen-9/retire"), &author(json!({})));
    asked.done(&format!("/v1/devices/{TENANT}/pen-9/restore"), &author(json!({})));
    let csv = format!(
        "tenant,id,clinic,model,serial,secret_sha256\n{TENANT},pen-8,{CLINIC},np-25,s-8,{}\n",
        "cd".repeat(32)
    );
    asked.done("/v1/devices/import", &author(json!({"list": "new.csv", "csv": csv})));
    // It stands there already; nowhere; and what is no device.
    for (path, body) in [
        (
            format!("/v1/devices/{TENANT}/pen-9/move"),
            author(json!({"to": CLINIC})),
        ),
        (
            format!("/v1/devices/{TENANT}/pen-9/move"),
            author(json!({"to": "nowhere"})),
        ),
        (format!("/v1/devices/{TENANT}/pen-7/retire"), author(json!({}))),
    ] {
        let (status, said) = asked.post(&path, &body);
        assert!((400..500).contains(&status), "{path}: {status} {said}");
    }
    asked.seen("/v1/registry");
    asked.done("/v1/registry/fold", &author(json!({})));
    asked.done("/v1/registry/reload", &json!({}));
}

/// Lives through it. What is shown has come to rest.
pub(super) fn live(stack: &Stack, asked: &mut Asked<'_>) -> Value {
    clean(stack, asked);
    let report = device(stack.folder(), stack.mqtt.port(), &[("garbage", "1")]).report();
    wait_until_complete(stack, &report);
    let silence = silence(stack, asked);
    let lines = treat(stack);
    lose(stack);
    let high = wait_for("the hazards, and the cartridge that was used twice", SOON, || {
        let alerts = stack.json("/v1/alerts");
        let alerts = alerts.as_array().unwrap();
        let about = |device: &str, rule: &str| alerts.iter().any(|a| a["device"] == device && a["rule"] == rule);
        let all = about("pen-2", "depth-above-limit")
            && about("ipl-1", "pulse-above-set")
            && about("pen-1", "cartridge-reused");
        let high = alerts
            .iter()
            .filter(|alert| alert["priority"] == "high")
            .cloned()
            .collect::<Vec<_>>();
        if all { Ok(high) } else { Err(alerts.clone()) }
    });
    let running = high.iter().find(|alert| alert["device"] == "pen-2").unwrap();
    let explain = format!("/v1/alerts/{}/explain", running["id"].as_str().unwrap());
    // The pen has no ear for what it should be told, and the hook has.
    wait_for("a page that arrived and one that did not", SOON, || {
        let told = stack.json(&explain)["told"].clone();
        let pages = told.as_array().unwrap();
        let delivered = pages.iter().any(|page| page["outcome"] == "delivered");
        let failed = pages.iter().any(|page| page["attempts"][0]["reason"].is_string());
        if delivered && failed { Ok(()) } else { Err(told) }
    });
    act(asked, running["id"].as_str().unwrap());
    change(asked);
    wait_for("the other treatments in the store", WITHIN, || {
        let view = |device: &str| stack.json(&format!("/v1/console/devices/{TENANT}/{device}"));
        let pulses = view("ipl-1")["trace"]["value"]["pulses"].as_array().map_or(0, Vec::len);
        let missing = view("pen-1")["sessions"]["value"][0]["strokes"]["missing"].clone();
        if pulses > 0 && missing == 10 {
            Ok(())
        } else {
            Err((pulses, missing))
        }
    });
    look(asked, &report);
    asked.done("/v1/quarantine/replay", &json!({"ids": [1, 2]}));
    for alert in &high {
        asked.done(
            &format!("/v1/alerts/{}/erase-text", alert["id"].as_str().unwrap()),
            &json!({"actor": "anna"}),
        );
    }
    asked.done(&format!("/v1/silences/{silence}/end"), &json!({"actor": "anna"}));
    drop(lines);
    report
}

/// Every page and list.
fn look(asked: &mut Asked<'_>, report: &Value) {
    // Between two looks at the counters.
    wait_for(
        "rates",
        SOON,
        || match &asked.stack.json("/v1/console/pipeline")["rates"] {
            Value::Null => Err(()),
            _ => Ok(()),
        },
    );
    let alerts = asked.seen("/v1/alerts");
    for alert in alerts.as_array().unwrap() {
        let id = alert["id"].as_str().unwrap();
        asked.seen(&format!("/v1/alerts/{id}"));
        asked.seen(&format!("/v1/alerts/{id}/explain"));
        asked.seen(&format!("/v1/console/alerts/{id}"));
        asked.seen(&format!("/v1/console/alerts/{id}/silence"));
    }
    for path in [
        "/readyz",
        "/v1/alerts/summary",
        "/v1/journal/verify",
        "/v1/silences",
        "/v1/quarantine",
        "/v1/quarantine/1",
        "/v1/devices",
        "/v1/console/silences",
        "/v1/console/fleet",
        "/v1/console/sterilization",
        "/v1/console/inbox",
        "/v1/console/inbox?by=device",
        "/v1/console/inbox?state=acknowledged",
        "/v1/console/inbox?by=device",
        "/v1/console/inbox?page=2&priority=high",
        "/v1/console/pipeline?reason=malformed",
        "/v1/console/sterilization?clinic=acme-north",
        "/v1/console/pipeline",
    ] {
        asked.seen(path);
    }
    for device in ["pen-1", "pen-2", "ipl-1", "autoclave-1", "pen-9"] {
        asked.seen(&format!("/v1/devices/{TENANT}/{device}"));
        asked.seen(&format!("/v1/console/devices/{TENANT}/{device}"));
    }
    asked.seen(&format!("/v1/console/clinics/{TENANT}/{CLINIC}"));
    // That of the independent device, and those of the day.
    for (device, of) in [("pen-1", Some("pen")), ("ipl-1", Some("ipl")), ("pen-2", None)] {
        let listed = asked.seen(&format!("/v1/console/devices/{TENANT}/{device}"));
        let listed = listed["sessions"]["value"].as_array().unwrap();
        for session in of.map(|of| &report[of]).into_iter().chain(listed) {
            let session = session["session"].as_str().unwrap();
            asked.seen(&format!("/v1/console/sessions/{TENANT}/{device}/{session}"));
        }
    }
}
