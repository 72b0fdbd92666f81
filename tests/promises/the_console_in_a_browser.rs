//! What a person with a browser relies on: an alert comes in by itself, is opened, seen, acknowledged, silenced, on a phone as at
//! a desk, and the browser has nothing to complain of.
mod access;
mod demo;
mod flood;
mod paper;
mod told;
mod views;

use serde_json::Value;
use tests::{Browser, Look, Mqtt, SOON, Source, Stack, StackSpec, Version, Webhook, wait_for};

const RULE: &str = "depth-above-limit";

fn open_console(webhook: &Webhook) -> Stack {
    Stack::start(&StackSpec {
        more: "[console]\nopen = true\n".to_owned(),
        ..StackSpec::plain(webhook)
    })
}

fn hazard(stack: &Stack, pen: &mut Source) {
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    for frame in [pen.start(), pen.good(60), pen.hazard(), pen.good(60)] {
        assert_eq!(mqtt.put(&pen.topic(), &frame), Some(0));
    }
}

/// The alerts that are listed, newest last.
fn listed(stack: &Stack) -> Vec<Value> {
    stack.json("/v1/alerts").as_array().unwrap().clone()
}

/// How often the script of the page was begun: 1 as long as nobody loads it again.
fn stays(browser: &Browser) {
    browser.run("window.stays = true").unwrap();
}

fn has_stayed(browser: &Browser) -> bool {
    browser.run("return window.stays === true").unwrap() == true
}

/// What does not fit the window's width makes a phone's page slide to and fro.
fn assert_fits(browser: &Browser) {
    let wide = browser
        .run("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        .unwrap();
    assert!(
        wide[0].as_i64() <= wide[1].as_i64(),
        "{} is too wide: {wide}",
        browser.url()
    );
    // Nor is a table within it, but for one that is as long as the evidence.
    let pushed = "return [...document.querySelectorAll('.scroll:not([tabindex])')]
        .filter((it) => it.scrollWidth > it.clientWidth + 1).map((it) => it.textContent)";
    assert_eq!(browser.run(pushed).unwrap(), serde_json::json!([]), "{}", browser.url());
}

/// Letters that are lower than this are none on a phone, in points: half of what the text around them has.
const LEAST_LINE: f64 = 9.0;

fn assert_legible(browser: &Browser, css: &str) {
    let lowest = format!(
        "return Math.min(...[...document.querySelectorAll({css:?})].map((text) => text.getBoundingClientRect().height))"
    );
    // Nothing: there is none.
    let lowest = browser.run(&lowest).unwrap().as_f64().unwrap_or(LEAST_LINE);
    assert!(lowest >= LEAST_LINE, "{css} at {}: {lowest} points high", browser.url());
}

#[test]
fn an_alert_comes_in_by_itself_is_opened_seen_and_acknowledged_on_a_phone_and_at_a_desk() {
    for look in Look::ALL {
        let webhook = Webhook::start();
        let stack = open_console(&webhook);
        let browser = Browser::start(look);
        browser.open(&format!("http://{}/", stack.http));
        browser.wait_text("#live", "Live");
        browser.wait_text("#inbox", "Nothing needs anybody.");
        assert_fits(&browser);
        stays(&browser);

        let mut pen = Source::new("pen-1");
        hazard(&stack, &mut pen);
        let alert = wait_for("the alert", SOON, || {
            let all = listed(&stack);
            all.iter().find(|alert| alert["rule"] == RULE).cloned().ok_or(all)
        });
        let id = alert["id"].as_str().unwrap();
        browser.wait_text(&format!("#alert-{id}"), alert["what_happened"].as_str().unwrap());
        assert!(has_stayed(&browser), "the page was loaded again");
        assert_fits(&browser);
        browser.picture("console-inbox");

        browser.click(&format!("#alert-{id} a.what"));
        browser.wait_text("#what .state", "Firing");
        browser.wait_text("#told", "hook");
        // The picture is one that can be seen: its lines and marks have a place on the page.
        let (width, height) = wait_for("the picture", SOON, || browser.size("#picture svg"));
        assert!(width > 250.0 && height > 80.0, "{width} x {height}");
        assert_legible(&browser, "#picture svg text");
        assert_fits(&browser);
        browser.picture("console-alert");
        if look == Look::Phone {
            // Under the thumb, whatever is read above it, and as high as a thumb is wide.
            let at = "const it = document.getElementById('acknowledge').getBoundingClientRect();
                return [it.top > innerHeight / 2 && it.bottom <= innerHeight, it.height >= 44]";
            assert_eq!(browser.run(at).unwrap(), serde_json::json!([true, true]));
        }

        browser.click("#acknowledge");
        browser.wait_text("#what .state", "Acknowledged");
        wait_for("the acknowledgement", SOON, || {
            match &stack.json(&format!("/v1/alerts/{id}"))["state"] {
                state if state == "acknowledged" => Ok(()),
                other => Err(other.to_string()),
            }
        });
        assert_eq!(stack.journal("acknowledge").unwrap().len(), 1);
        browser.picture("console-acknowledged");
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}

#[test]
fn what_one_person_does_another_sees_without_a_reload_and_a_stale_page_does_no_harm() {
    let webhook = Webhook::start();
    let stack = open_console(&webhook);
    let mut pen = Source::new("pen-1");
    hazard(&stack, &mut pen);
    let id = wait_for("the alert", SOON, || {
        let found = listed(&stack).into_iter().find(|alert| alert["rule"] == RULE);
        found.map(|alert| alert["id"].as_str().unwrap().to_owned()).ok_or(())
    });
    let page = format!("http://{}/alerts/{id}", stack.http);
    let (desk, phone) = (Browser::start(Look::Desk), Browser::start(Look::Phone));
    for browser in [&desk, &phone] {
        browser.open(&page);
        browser.wait_text("#live", "Live");
        stays(browser);
    }
    // Something is written on the desk: nobody takes it away.
    desk.write("#comment", "the tip was changed");
    phone.click("#acknowledge");
    phone.wait_text("#what .state", "Acknowledged");
    desk.wait_text("#what .state", "Acknowledged");
    assert!(has_stayed(&desk), "the page was loaded again");
    let written = desk.run("return document.getElementById('comment').value").unwrap();
    assert_eq!(written, "the tip was changed");
    // Its button is that of a page from before: a second acknowledgement is none.
    desk.click("#acknowledge");
    desk.wait_text("#content", "Somebody was faster");
    desk.picture("console-stale");
    assert_eq!(stack.journal("acknowledge").unwrap().len(), 1);
    assert_eq!(phone.complaints(), Vec::<String>::new());
    // Of the answer to that button only: it is a conflict.
    let complaints = desk.complaints();
    assert!(complaints.len() == 1 && complaints[0].contains("409"), "{complaints:?}");
}

#[test]
fn pages_work_without_a_script_and_in_the_dark() {
    let webhook = Webhook::start();
    let stack = open_console(&webhook);
    let mut pen = Source::new("pen-1");
    hazard(&stack, &mut pen);
    wait_for("the alert", SOON, || {
        let found = listed(&stack).iter().any(|alert| alert["rule"] == RULE);
        if found { Ok(()) } else { Err(()) }
    });
    let browser = Browser::start(Look::Desk);
    browser.go_dark();
    browser.without_scripts();
    browser.open(&format!("http://{}/", stack.http));
    browser.click("#inbox a.what");
    browser.wait_text("#what .state", "Firing");
    browser.picture("console-alert-dark");
    browser.click("#acknowledge");
    browser.wait_text("#what .state", "Acknowledged");
}

#[test]
fn at_a_desk_no_mouse_is_needed_and_what_somebody_writes_is_shown_and_not_run() {
    let webhook = Webhook::start();
    let stack = open_console(&webhook);
    for id in ["pen-1", "pen-2"] {
        hazard(&stack, &mut Source::new(id));
    }
    wait_for("both alerts", SOON, || {
        let all = listed(&stack);
        let of_rule = all.iter().filter(|alert| alert["rule"] == RULE).count();
        if of_rule == 2 { Ok(()) } else { Err(all) }
    });
    let browser = Browser::start(Look::Desk);
    browser.open(&format!("http://{}/?rule={RULE}", stack.http));
    browser.wait_text("#live", "Live");
    // Down to the first, the second, up again, and in.
    for key in ["j", "j", "k"] {
        browser.press(key);
    }
    let first = browser
        .run("return document.querySelector('#inbox a.what').getAttribute('href')")
        .unwrap();
    browser.press("\u{e007}");
    wait_for("the first alert", SOON, || match browser.url() {
        url if url.ends_with(first.as_str().unwrap()) => Ok(()),
        url => Err(url),
    });
    let script = "<script>window.ran = true</script><img src=x onerror='window.ran = true'>";
    browser.write("#comment", script);
    browser.click("form[action$='/comment'] button");
    browser.wait_text("#happened", script);
    assert!(browser.run("return window.ran === undefined").unwrap() == true);
    // What is not there is a page that says so, and only its address is a complaint.
    assert_eq!(browser.complaints(), Vec::<String>::new());
    browser.open(&format!(
        "http://{}/alerts/00000000000000000000000000000000",
        stack.http
    ));
    browser.wait_text("h1", "");
    browser.picture("console-not-here");
    assert!(browser.text("main").unwrap().len() > 20, "{:?}", browser.text("main"));
}
