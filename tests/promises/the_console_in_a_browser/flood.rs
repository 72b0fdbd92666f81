//! Many alerts of one device are one entry that unfolds: with the keyboard, without a script, and while news come in.
use serde_json::{Value, json};
use telemetry::proto::Zone;
use telemetry::proto::frame::Body;
use tests::{Browser, HAZARD_UM, Look, Mqtt, SOON, Source, Stack, Version, Webhook, wait_for};

use super::{assert_fits, has_stayed, hazard, listed, open_console, stays};

/// A pen goes too deep in several zones: each of them has its alert.
fn flood(stack: &Stack, mut pen: Source) {
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    let mut frames = vec![pen.start()];
    for zone in [Zone::Cheek, Zone::Forehead, Zone::Nose] {
        let mut batch = pen.batch(&[HAZARD_UM]);
        batch.zone = Some(zone as i32);
        frames.push(pen.bytes(Body::StrokeBatch(batch)));
    }
    for frame in frames {
        assert_eq!(mqtt.put(&pen.topic(), &frame), Some(0));
    }
}

/// Two devices that go too deep, each in several zones.
fn flooded(webhook: &Webhook) -> Stack {
    let stack = open_console(webhook);
    for id in ["pen-1", "pen-2"] {
        flood(&stack, Source::new(id));
    }
    wait_for("several alerts of each device", SOON, || {
        let all = listed(&stack);
        let of = |device: &str| all.iter().filter(|alert| alert["device"] == device).count();
        if of("pen-1") > 1 && of("pen-2") > 1 {
            Ok(())
        } else {
            Err(all)
        }
    });
    stack
}

/// Entries of the inbox, and how many alerts can be seen.
const SHOWN: &str = "return [document.querySelectorAll('#inbox > ol.alerts > li').length,
    [...document.querySelectorAll('#inbox a.what')].filter((it) => it.checkVisibility()).length]";

#[test]
fn what_is_unfolded_of_a_device_stays_so_while_news_come_in_and_j_and_k_go_through_what_can_be_seen() {
    let webhook = Webhook::start();
    let stack = flooded(&webhook);
    let browser = Browser::start(Look::Desk);
    browser.open(&format!("http://{}/", stack.http));
    browser.wait_text("#live", "Live");
    wait_for("one entry for each device", SOON, || {
        match browser.run(SHOWN).unwrap() {
            shown if shown == json!([2, 2]) => Ok(()),
            other => Err(other),
        }
    });
    assert_fits(&browser);
    stays(&browser);
    let at = || {
        browser
            .run("return document.activeElement.closest('li').id + document.activeElement.tagName")
            .unwrap()
    };
    let mut path = Vec::new();
    for key in ["j", "j", "\u{e007}", "j", "k", "k"] {
        browser.press(key);
        path.push(at());
    }
    // The first alert, the others of its device, unfolded, the next of them, and back.
    let first = path[0].as_str().unwrap().trim_end_matches('A').to_owned();
    assert_eq!(path[1], format!("{first}SUMMARY"));
    assert_eq!(path[2], path[1]);
    assert!(
        path[3] != path[0] && path[3].as_str().unwrap().ends_with('A'),
        "{path:?}"
    );
    assert_eq!((&path[4], &path[5]), (&path[1], &path[0]));
    let open = "return [...document.querySelectorAll('#inbox details[open]')].map((it) => it.id)";
    let unfolded = browser.run(open).unwrap();
    assert_eq!(unfolded.as_array().map(Vec::len), Some(1));
    // News of another device: it comes in, and nothing folds itself up.
    hazard(&stack, &mut Source::of("other", "other-south", "pen-1"));
    browser.wait_text("#inbox", "· other");
    assert_eq!(browser.run(open).unwrap(), unfolded);
    assert!(has_stayed(&browser), "the page was loaded again");
    assert_fits(&browser);
    browser.picture("console-flood");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn an_alert_that_is_folded_away_is_acknowledged_for_itself_and_without_a_script_too() {
    let webhook = Webhook::start();
    let stack = flooded(&webhook);
    let browser = Browser::start(Look::Desk);
    browser.without_scripts();
    browser.open(&format!("http://{}/", stack.http));
    browser.click("#more-acme-pen-1 > summary");
    browser.click("#more-acme-pen-1 li form button");
    browser.wait_text("main", "Acknowledged.");
    let taken: Vec<Value> = listed(&stack)
        .into_iter()
        .filter(|alert| !alert["acknowledged_by"].is_null())
        .collect();
    assert!(taken.len() == 1 && taken[0]["device"] == "pen-1", "{taken:?}");
    assert_eq!(stack.journal("acknowledge").unwrap().len(), 1);
    assert_fits(&browser);
}
