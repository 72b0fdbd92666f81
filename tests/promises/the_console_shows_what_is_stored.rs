//! The pages show what the store and alerting hold: a treatment whole, to its own tenant; what a person records is on disk, once; a
//! store that is down costs its place on a page.
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tests::{CLINIC, Mqtt, Source, Stack, StackSpec, Store, TENANT, Version, Webhook, wait_for};

use crate::end_to_end::treatment::{WITHIN, device, number, spec, wait_until_complete};

/// Nobody signs in: the harness asks from this machine.
const OPEN: &str = "[console]\nopen = true\n";

fn open(webhook: &Webhook) -> StackSpec {
    StackSpec {
        more: OPEN.to_owned(),
        ..spec(webhook)
    }
}

fn page(stack: &Stack, path: &str) -> String {
    let (status, html) = stack.get(path).unwrap();
    assert_eq!(status, 200, "{path}: {html}");
    html
}

/// What stands in a hidden field of a form; pages write them with name and value next to each other.
fn hidden<'h>(html: &'h str, name: &str) -> &'h str {
    let start = format!("name=\"{name}\" value=\"");
    let at = html.find(&start).unwrap_or_else(|| panic!("no {name} in {html}")) + start.len();
    html[at..].split('"').next().unwrap()
}

fn sum(rows: &Value, field: &str) -> i64 {
    rows.as_array()
        .unwrap()
        .iter()
        .filter_map(|row| row[field].as_i64())
        .sum()
}

#[test]
fn a_treatment_is_shown_whole_with_its_zones_lot_and_alerts_and_to_its_own_tenant_only() {
    let webhook = Webhook::start();
    let stack = Stack::start(&open(&webhook));
    let report = device(stack.folder(), stack.mqtt.port(), &[]).report();
    wait_until_complete(&stack, &report);
    let session = report["pen"]["session"].as_str().unwrap();
    let path = format!("/sessions/{TENANT}/pen-1/{session}");
    let view = stack.json(&format!("/v1/console{path}"));
    let strokes = number(&report, "pen", "strokes");
    let shown = &view["session"]["value"];
    assert_eq!(
        (&shown["complete"], &shown["strokes"]["stored"]),
        (&json!(true), &json!(strokes)),
        "{view:#}"
    );
    // Table and picture are made of the same trace, and that of every stored stroke.
    assert_eq!(sum(&view["trace"]["strokes"], "strokes"), strokes);
    assert_eq!(
        (sum(&view["zones"], "strokes"), &view["zones"][0]["zone"]),
        (strokes, &json!("cheek"))
    );
    assert_eq!(view["zones"][0]["greatest_um"], number(&report, "pen", "deepest_um"));
    let mean = number(&report, "pen", "depth_sum_um") / strokes;
    assert!(
        (view["zones"][0]["mean_um"].as_i64().unwrap() - mean).abs() <= 1,
        "{mean}: {view:#}"
    );
    assert_eq!(view["cartridge"]["lot"], "LOT-PY-7");
    let rules = |view: &Value| {
        view["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|a| a["rule"].clone())
            .collect::<Vec<_>>()
    };
    wait_for("the alert on the treatment's page", WITHIN, || {
        let view = stack.json(&format!("/v1/console{path}"));
        if rules(&view).contains(&json!("depth-above-limit")) {
            Ok(())
        } else {
            Err(view["alerts"].to_string())
        }
    });
    let html = page(&stack, &path);
    for said in [
        "LOT-PY-7",
        "strokes stored",
        "<svg class=\"chart\"",
        "Cheek",
        "/alerts/",
        "data-print",
    ] {
        assert!(html.contains(said), "{said} is missing in {html}");
    }
    assert!(
        !html.contains(report["pen"]["visit"].as_str().unwrap()),
        "the visit is nobody's to see"
    );
    let pulses = stack.json(&format!(
        "/v1/console/sessions/{TENANT}/ipl-1/{}",
        report["ipl"]["session"].as_str().unwrap()
    ));
    let fired = number(&report, "ipl", "pulses") as usize;
    assert_eq!(pulses["trace"]["pulses"].as_array().unwrap().len(), fired);
    // The same device name and session of another tenant, and ids that are none: a plain message.
    for elsewhere in [
        format!("/sessions/other/pen-1/{session}"),
        format!("/sessions/{TENANT}/pen-2/{session}"),
        format!("/sessions/{TENANT}/pen-1/<script>"),
        format!("/sessions/{TENANT}/pen-1/{}", "0".repeat(32)),
        "/devices/nobody/pen-1".to_owned(),
        format!("/clinics/{TENANT}/nowhere"),
        "/sterilization?tenant=nobody".to_owned(),
    ] {
        let (status, html) = stack.get(&elsewhere).unwrap();
        assert_eq!(status, 404, "{elsewhere}");
        assert!(
            html.contains("<h1>") && !html.contains("<script>"),
            "{elsewhere}: {html}"
        );
    }
    // Where the device stands, and the way to its treatment.
    for (path, said) in [
        ("/fleet".to_owned(), format!("/clinics/{TENANT}/{CLINIC}")),
        (
            format!("/clinics/{TENANT}/{CLINIC}"),
            format!("/sessions/{TENANT}/pen-1/{session}"),
        ),
        (
            format!("/devices/{TENANT}/pen-1"),
            format!("/sessions/{TENANT}/pen-1/{session}"),
        ),
        ("/pipeline".to_owned(), "alerting".to_owned()),
    ] {
        let html = page(&stack, &path);
        assert!(html.contains(&said), "{path} lacks {said}: {html}");
    }
}

/// What people recorded, as the store has it: what, device, cycle.
fn recorded(stack: &Stack) -> Vec<[Option<String>; 3]> {
    let db = Connection::open_with_flags(stack.store_file(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sql = "SELECT what, device, cycle FROM sterilization_event WHERE origin = 'recorded' ORDER BY received_at_us";
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement
        .query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))
        .unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn what_a_person_records_on_the_board_is_stored_once_and_a_foreign_form_records_nothing() {
    let webhook = Webhook::start();
    let stack = Stack::start(&open(&webhook));
    let board = page(&stack, "/sterilization");
    // As a scanner types it: in capitals, and an enter.
    let scanned = page(&stack, "/sterilization/scan?code=PEN-1");
    let (csrf, request) = (hidden(&scanned, "csrf"), hidden(&scanned, "request"));
    let wipe = |csrf: &str, device: &str| {
        let fields = [
            ("csrf", csrf),
            ("request", request),
            ("tenant", TENANT),
            ("what", "wipe"),
            ("device", device),
            ("level", "intermediate"),
        ];
        stack.post_form("/sterilization/record", &fields).unwrap()
    };
    let (status, said) = wipe("not-ours", "pen-1");
    assert_eq!(status, 403, "{said}");
    let (status, said) = wipe(csrf, "nobody");
    assert!(status == 422 && said.contains("<h1>"), "{status} {said}");
    for _ in 0..2 {
        let (status, said) = wipe(csrf, "pen-1");
        assert!(
            status == 200 && said.contains("The wipe of pen-1 is recorded."),
            "{status} {said}"
        );
    }
    // Two forms of one page, which carry one number, are two records.
    for what in ["cycle", "indicator"] {
        let fields = [
            ("csrf", hidden(&board, "csrf")),
            ("request", hidden(&board, "request")),
            ("tenant", TENANT),
            ("what", what),
            ("device", "autoclave-1"),
            ("cycle", "c-17"),
            ("items", "pen-1\r\nTIP-3\r\n"),
            ("outcome", "fail"),
            ("kind", "biological"),
        ];
        let (status, said) = stack.post_form("/sterilization/record", &fields).unwrap();
        assert_eq!(status, 200, "{said}");
    }
    let row = |what: &str, device: &str, cycle: Option<&str>| {
        [Some(what.to_owned()), Some(device.to_owned()), cycle.map(str::to_owned)]
    };
    let expected = [
        row("disinfection", "pen-1", None),
        row("cycle", "autoclave-1", Some("c-17")),
        row("indicator", "autoclave-1", Some("c-17")),
    ];
    wait_for("the records in the store", WITHIN, || {
        let stored = recorded(&stack);
        if stored == expected {
            Ok(())
        } else {
            Err(format!("{stored:?}"))
        }
    });
    wait_for("the failed cycle on the board", WITHIN, || {
        let view = stack.json("/v1/console/sterilization");
        let names: Vec<&str> = view["failed"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap())
            .collect();
        if names == ["pen-1", "TIP-3"] {
            Ok(())
        } else {
            Err(view["failed"].to_string())
        }
    });
    // The API says of the same request that it knows it.
    let event =
        json!({"what": "wipe", "device": "pen-2", "level": "low", "contact_time_s": null, "performed_at_us": null});
    let record = json!({"request": 4711, "tenant": TENANT, "clinic": CLINIC, "event": event});
    let verdicts = [(); 2].map(|()| stack.post("/v1/record", &record).unwrap().1);
    assert!(
        verdicts[0].contains("\"stored\"") && verdicts[1].contains("recorded before"),
        "{verdicts:?}"
    );
}

#[test]
fn a_store_that_says_nothing_costs_its_place_on_a_page_and_not_the_page() {
    let webhook = Webhook::start();
    // Takes connections and never answers.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stack = Stack::prepare(&StackSpec {
        store: Store::Influx {
            url: format!("http://{}", mute.local_addr().unwrap()),
            bucket: "dermatel-{tenant}".to_owned(),
        },
        ..open(&webhook)
    });
    stack.spawn();
    wait_for("the process", WITHIN, || match stack.get("/healthz") {
        Ok((200, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let trouble = "The store does not answer now (timeout)";
    let session = format!("/sessions/{TENANT}/pen-1/{}", "7".repeat(32));
    for path in [
        &session,
        &format!("/devices/{TENANT}/pen-1"),
        &format!("/clinics/{TENANT}/{CLINIC}"),
        "/sterilization",
    ] {
        let html = page(&stack, path);
        assert!(html.contains(trouble), "{path}: {html}");
    }
    // What the store has no part in is as ever.
    for path in ["/fleet", "/", "/pipeline"] {
        assert!(!page(&stack, path).contains(trouble), "{path}");
    }
    let view = stack.json(&format!("/v1/console/devices/{TENANT}/pen-1"));
    assert_eq!(
        (&view["trace"]["value"], &view["device"]["presence"]),
        (&Value::Null, &json!("never_seen"))
    );
    // An alert has its evidence and can be taken care of; the minutes around it are the store's.
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    let frame = pen.hazard();
    assert_eq!(mqtt.put(&pen.topic(), &frame), Some(0));
    let id = wait_for("the alert", WITHIN, || {
        let alerts = stack.json("/v1/alerts");
        let all = alerts.as_array().unwrap().iter();
        let mut ids = all
            .filter(|alert| alert["rule"] == "depth-above-limit")
            .map(|alert| alert["id"].clone());
        ids.next().ok_or(alerts.to_string())
    });
    let html = page(&stack, &format!("/alerts/{}", id.as_str().unwrap()));
    for part in [trouble, "class=\"first\"", "id=\"acknowledge\""] {
        assert!(html.contains(part), "{part}: {html}");
    }
}
