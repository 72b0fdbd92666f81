//! From the fleet to one treatment, the board that is written on, and every page at every width.
use tests::{Browser, Look, Mqtt, SOON, Source, Stack, Version, Webhook, wait_for};

use super::{assert_fits, assert_legible, has_stayed, open_console, stays};

/// A pen that is connected and treats.
struct Treating {
    pen: Source,
    mqtt: Mqtt,
}

impl Treating {
    fn start(stack: &Stack) -> Self {
        let mut pen = Source::new("pen-1");
        let mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
        let start = pen.start();
        let mut treating = Self { pen, mqtt };
        treating.put(&start);
        treating.go_on();
        treating
    }

    fn put(&mut self, frame: &[u8]) {
        assert_eq!(self.mqtt.put(&self.pen.topic(), frame), Some(0));
    }

    fn go_on(&mut self) {
        let frame = self.pen.good(100);
        self.put(&frame);
    }
}

fn page(stack: &Stack, path: &str) -> String {
    format!("http://{}{path}", stack.http)
}

#[test]
fn the_fleet_leads_to_a_treatment_whose_trace_goes_on_by_itself_and_which_can_be_printed() {
    let webhook = Webhook::start();
    let stack = open_console(&webhook);
    let mut treating = Treating::start(&stack);
    stack.wait_number("SELECT count(*) FROM stroke_window", 1);
    let browser = Browser::start(Look::Desk);
    browser.open(&page(&stack, "/fleet"));
    browser.wait_text("#fleet", "acme-north");
    browser.click("#fleet a[href='/clinics/acme/acme-north']");
    browser.click("main a[href='/devices/acme/pen-1']");
    browser.wait_text("h1", "pen-1");
    wait_for("a trace", SOON, || browser.size("#now svg.chart"));
    stays(&browser);
    let trace = || browser.run("return document.querySelector('#now svg.chart').outerHTML");
    let before = trace().unwrap();
    treating.go_on();
    wait_for("the trace to go on", SOON, || match trace() {
        Ok(now) if now != before => Ok(()),
        other => Err(other),
    });
    assert!(has_stayed(&browser), "the page was loaded again");

    let end = treating.pen.end(Some(200), None);
    treating.put(&end);
    stack.wait_number("SELECT count(*) FROM session_summary WHERE complete", 1);
    let session = format!("/sessions/acme/pen-1/{}", treating.pen.session_hex());
    browser.reload();
    browser.click(&format!("main a[href='{session}']"));
    browser.wait_text("article.sheet", "200 of 200");
    browser.picture("console-session");
    // On paper there is nothing to click.
    let paper = browser.print("console-session");
    assert!(
        paper.starts_with(b"%PDF-") && paper.len() > 5_000,
        "{} bytes",
        paper.len()
    );
    browser.look_printed();
    for what in ["header.top", "[data-print]"] {
        let (width, height) = browser.size(what).unwrap();
        assert!(width * height == 0.0, "{what} is on paper, {width} x {height}");
    }
    browser.picture("console-session-printed");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_wipe_is_recorded_by_a_scan_and_a_tap_and_a_failed_load_shows_what_was_in_it() {
    let webhook = Webhook::start();
    let stack = open_console(&webhook);
    let browser = Browser::start(Look::Phone);
    browser.open(&page(&stack, "/sterilization?tenant=acme"));
    // A scanner types and presses Enter.
    browser.write("#code", "pen-1\u{e007}");
    browser.wait_text("h1", "pen-1");
    assert_fits(&browser);
    browser.picture("console-scan");
    browser.click("form.card button[name='level'][value='intermediate']");
    browser.wait_text("main p.note", "recorded");
    stack.wait_number(
        "SELECT count(*) FROM sterilization_event WHERE what = 'disinfection'",
        1,
    );
    browser.open(&page(&stack, "/sterilization?tenant=acme"));
    browser.write("#code", "autoclave-1\u{e007}");
    browser.write("#cycle", "load-7");
    browser.write("#items", "pen-1\npen-2");
    browser.click("form.card button[name='outcome'][value='fail']");
    // What is opened over a form that is still on its way takes its place, and nothing is recorded.
    browser.wait_text("main", "The cycle of autoclave-1 is recorded.");
    wait_for("the failed load on the board", SOON, || {
        browser.open(&page(&stack, "/sterilization?tenant=acme"));
        match browser.text("main") {
            Ok(text) if text.contains("load-7") => Ok(()),
            other => Err(other),
        }
    });
    // Each says whose it is, also where a person recorded it.
    let told = browser.text("#told").unwrap();
    for says in [
        "Disinfection, Intermediate level (recorded by a person) · pen-1",
        "Sterilization, cycle load-7, Failed (recorded by a person) · autoclave-1 · pen-1, pen-2",
    ] {
        assert!(told.contains(says), "{told}");
    }
    assert_fits(&browser);
    browser.picture("console-sterilization");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn every_page_fits_a_phone_and_a_desk_and_the_browser_complains_of_none() {
    let webhook = Webhook::start();
    let stack = open_console(&webhook);
    let mut treating = Treating::start(&stack);
    let hazard = treating.pen.hazard();
    treating.put(&hazard);
    stack.wait_metric("alerting_alerts", 1.0);
    stack.wait_number("SELECT count(*) FROM stroke_window", 2);
    for look in Look::ALL {
        let browser = Browser::start(look);
        for (name, path) in [
            ("inbox", "/"),
            ("silences", "/silences"),
            ("fleet", "/fleet"),
            ("clinic", "/clinics/acme/acme-north"),
            ("device", "/devices/acme/pen-1"),
            ("sterilization", "/sterilization?tenant=acme"),
            ("pipeline", "/pipeline"),
        ] {
            browser.open(&page(&stack, path));
            assert_fits(&browser);
            assert_legible(&browser, "svg text");
            browser.picture(&format!("page-{name}"));
            let unnamed = browser.run(UNNAMED).unwrap();
            assert_eq!(
                unnamed.as_array().map(Vec::len),
                Some(0),
                "{path} has fields without a name: {unnamed}"
            );
        }
        assert_eq!(browser.complaints(), Vec::<String>::new(), "{look:?}");
    }
}

/// Fields, buttons, links and pictures that a screen reader has no words for.
const UNNAMED: &str = "
    const said = (it) => (it.textContent + (it.getAttribute('aria-label') || '')).trim();
    const fields = [...document.querySelectorAll('input:not([type=hidden]), select, textarea')].filter((it) => !it.labels.length);
    const others = [...document.querySelectorAll('a, button, summary')].filter((it) => !said(it));
    const charts = [...document.querySelectorAll('svg.chart')].filter((it) => !it.querySelector('title'));
    return [...fields, ...others, ...charts].map((it) => it.outerHTML);
";
