//! The console of processes apart: that of alerting. What other processes have is asked of them or said to be theirs, in its place.
use ingestor::testing::Influx1;
use tests::{Apart, CLINIC, SOON, Source, Stack, StackSpec, Store, TENANT, Version, Webhook, deliver_all, wait_for};

use super::one_broker::broker;
use super::standby::{TAKEN_OVER, part, spec, treat};
use crate::the_console::{Browser, between, staffed};

/// A treatment of 103 strokes with a hazard in it. Gives its session.
fn treated(gateway: &Stack) -> String {
    let mut pen = Source::new("pen-1");
    let frames = [
        pen.start(),
        pen.good(50),
        pen.hazard(),
        pen.good(50),
        pen.end(Some(103), None),
    ];
    deliver_all(&pen.login(gateway.mqtt, Version::V5), &pen.topic(), &frames, |_| {});
    pen.session_hex()
}

/// The address of the hazard's alert, once it is in the inbox.
fn hazard(browser: &mut Browser) -> String {
    wait_for("the hazard in the inbox", SOON, || {
        let inbox = browser.get("/?rule=depth-above-limit").body;
        match inbox.contains("class=\"what\"") {
            true => Ok(between(&inbox, "class=\"what\" href=\"", "\"").to_owned()),
            false => Err(inbox),
        }
    })
}

fn acknowledge(browser: &mut Browser, alert: &str) -> crate::the_console::Answer {
    let page = browser.get(alert).body;
    let csrf = between(&page, "name=\"csrf\" value=\"", "\"").to_owned();
    browser.post(&format!("{alert}/acknowledge"), &[("csrf", &csrf)])
}

#[test]
fn apart_a_hazard_is_opened_with_its_picture_and_acknowledged_at_alertings_console_and_every_page_says_who_has_what() {
    let (webhook, broker) = (Webhook::start(), broker());
    let apart = Apart::start(&staffed(&webhook), broker.port());
    let mut anna = Browser::new(&apart.alerting);
    assert_eq!(anna.get("/").location, "/sign-in?next=/");
    assert_eq!(anna.sign_in("anna").status, 303);
    let session = treated(&apart.gateway);
    let alert = hazard(&mut anna);
    let page = anna.get(&alert).body;
    assert!(
        page.contains("<svg class=\"chart\"") && page.contains("class=\"first\""),
        "{page}"
    );
    let done = acknowledge(&mut anna, &alert);
    assert_eq!(
        (done.status, done.location),
        (303, format!("{alert}?done=acknowledged"))
    );
    let id = alert.trim_start_matches("/alerts/");
    let (fine, said) = apart.alerting.command(&["alert", "show", id]);
    assert!(fine && said.contains("anna"), "{said}");

    wait_for("the end of the treatment", SOON, || {
        let fleet = anna.get("/fleet").body;
        if fleet.contains("1 more on line") {
            Ok(())
        } else {
            Err(fleet)
        }
    });
    let of_store = "in the store of `dermatel ingestor`";
    for (path, says) in [
        ("/fleet".to_owned(), ["know who is connected", "1 more on line"]),
        (
            format!("/clinics/{TENANT}/{CLINIC}"),
            ["know who is connected", of_store],
        ),
        (
            format!("/devices/{TENANT}/pen-1"),
            [of_store, "with `dermatel record` on its machine"],
        ),
        (
            format!("/sessions/{TENANT}/pen-1/{session}"),
            [of_store, "<h1>Treatment</h1>"],
        ),
        (
            "/sterilization".to_owned(),
            ["with `dermatel record` on its machine", of_store],
        ),
        (
            "/pipeline".to_owned(),
            [
                "known to each `dermatel gateway`",
                "with `dermatel quarantine` on its machine",
            ],
        ),
        ("/silences".to_owned(), ["Silences", "anna"]),
    ] {
        let answer = anna.get(&path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        for said in says {
            assert!(
                answer.body.contains(said),
                "{path}: {said} is missing in {}",
                answer.body
            );
        }
    }
    // What is recorded goes the way of a device's message, which begins elsewhere: nothing is taken and lost.
    let scanned = anna.get("/sterilization/scan?code=pen-1");
    assert!(
        scanned.status == 421 && scanned.body.contains("dermatel record"),
        "{}",
        scanned.body
    );
    let csrf = between(&page, "name=\"csrf\" value=\"", "\"");
    let recorded = anna.post("/sterilization/record", &[("csrf", csrf), ("what", "wipe")]);
    assert!(
        recorded.status == 421 && recorded.body.contains("dermatel record"),
        "{}",
        recorded.body
    );

    let mut otto = Browser::new(&apart.alerting);
    otto.sign_in("otto");
    assert_eq!(otto.get(&alert).status, 404);
    // One console, and its JSON behind the API's token; the others have none, with the same configuration.
    let told = apart.alerting.json(&format!("/v1/console/alerts/{id}"));
    assert_eq!(told["alert"]["acknowledged_by"], "anna", "{told}");
    let pipeline = apart.alerting.json("/v1/console/pipeline");
    assert!(
        pipeline["figures"].is_null() && pipeline["elsewhere"].is_string(),
        "{pipeline}"
    );
    for other in [&apart.gateway, &apart.ingestor] {
        assert_eq!(other.get("/").unwrap().0, 404);
    }
}

#[test]
fn apart_treatments_are_shown_from_an_influxdb_that_alerting_may_ask_too() {
    let (webhook, broker) = (Webhook::start(), broker());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let influx = runtime.block_on(async {
        let influx = Influx1::start().await.unwrap();
        for tenant in [TENANT, "other"] {
            influx.create_bucket(tenant).await.unwrap();
        }
        influx
    });
    let spec = StackSpec {
        store: Store::Influx {
            url: influx.url().to_owned(),
            bucket: "{tenant}".to_owned(),
        },
        more: "[console]\nopen = true\n".to_owned(),
        ..StackSpec::plain(&webhook)
    };
    let apart = Apart::start(&spec, broker.port());
    let session = treated(&apart.gateway);
    wait_for("the whole treatment on its page", SOON, || {
        let (status, page) = apart.alerting.get(&format!("/sessions/{TENANT}/pen-1/{session}"))?;
        match status == 200 && page.contains("103 of 103 strokes stored") && page.contains("<svg class=\"chart\"") {
            true => Ok(()),
            false => Err(format!("{status}: {page}")),
        }
    });
}

#[test]
fn apart_an_instance_that_stands_by_shows_the_alerts_and_says_so_and_refuses_what_people_do() {
    let (webhook, broker) = (Webhook::start(), broker());
    let port = broker.port();
    let (mut gateway, mut ingestor) = (part(&webhook, port, "gateway"), part(&webhook, port, "ingestor"));
    let mut both = ["a", "b"].map(|name| {
        let mut spec = spec(&webhook, port, name);
        spec.more += "[console]\nopen = true\n";
        Stack::prepare_part(&spec, "alerting")
    });
    gateway.spawn();
    ingestor.up();
    both.iter_mut().for_each(Stack::up);
    gateway.wait_ready();
    let holder = wait_for("one that pages", TAKEN_OVER, || {
        let holds = |at: &usize| both[*at].metric("uplink_fence_held") == 1.0;
        (0..2).find(holds).ok_or_else(|| both[0].log())
    });
    treat(&gateway, 1);
    let mut standing = Browser::new(&both[1 - holder]);
    let alert = hazard(&mut standing);
    assert!(standing.get("/").body.contains("This instance stands by"));
    let refused = acknowledge(&mut standing, &alert);
    assert!(
        refused.status == 409 && refused.body.contains("<h1>This instance stands by</h1>"),
        "{}: {}",
        refused.status,
        refused.body
    );
    let mut paging = Browser::new(&both[holder]);
    assert!(!paging.get("/").body.contains("stands by"));
    assert_eq!(acknowledge(&mut paging, &alert).status, 303);
}
