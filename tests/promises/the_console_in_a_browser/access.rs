//! Nobody is shut out: axe-core finds nothing to object to on any page, at a phone's width and a desk's, in the light and in the dark;
//! and what a page shows anew takes nothing from whoever works on it.
use std::process::Command;

use serde_json::Value;
use tests::{Browser, Look, Mqtt, SOON, Source, Stack, StackSpec, Version, Webhook, python, wait_for};

use super::{RULE, assert_fits, has_stayed, listed, open_console, stays};

/// axe-core, as its package carries it.
fn axe() -> String {
    let find = "import importlib.util as i, pathlib; \
        print(pathlib.Path(i.find_spec('axe_playwright_python').origin).with_name('axe.min.js').read_text())";
    let found = Command::new(python()).args(["-c", find]).output().unwrap();
    assert!(
        found.status.success(),
        "axe-core is missing: `cargo xtask test` installs axe-playwright-python, which carries it: {}",
        String::from_utf8_lossy(&found.stderr)
    );
    String::from_utf8(found.stdout).unwrap()
}

/// Looks at everything, also at what is folded in.
const LOOK: &str = "
    const done = arguments[arguments.length - 1];
    for (const fold of document.querySelectorAll('details')) fold.open = true;
    axe.run(document, { resultTypes: ['violations'] }).then(
        (found) => done(found.violations.map((it) => [it.id, it.impact, it.help, it.nodes.map((node) => node.html.slice(0, 200))])),
        (error) => done([String(error)]),
    );
";

/// A treatment that went too deep, a refused message: every page has something to show.
fn something_to_show(stack: &Stack) -> (String, String) {
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    for frame in [pen.start(), pen.good(60), pen.hazard(), pen.good(60)] {
        assert_eq!(mqtt.put(&pen.topic(), &frame), Some(0));
    }
    assert!(mqtt.put(&pen.topic(), b"\xff\xff").is_some());
    stack.wait_number("SELECT count(*) FROM stroke_window", 3);
    let alert = wait_for("the alert", SOON, || {
        let found = listed(stack).into_iter().find(|alert| alert["rule"] == RULE);
        found.map(|alert| alert["id"].as_str().unwrap().to_owned()).ok_or(())
    });
    (alert, pen.session_hex())
}

#[test]
fn no_page_shuts_anybody_out_on_a_phone_or_a_desk_in_the_light_or_the_dark() {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec {
        more: "[console]\nopen = true\n[alerting.links]\nbase_url = \"https://link.example\"\n".to_owned(),
        ..StackSpec::plain(&webhook)
    });
    let (alert, session) = something_to_show(&stack);
    // What somebody who is woken opens first.
    let link = wait_for("a page with a link", SOON, || {
        let pages = webhook.of_rule(RULE);
        let link = pages.iter().find_map(|page| {
            page["link"]
                .as_str()?
                .strip_prefix("https://link.example")
                .map(str::to_owned)
        });
        link.ok_or_else(|| format!("{pages:?}"))
    });
    let axe = axe();
    let pages = [
        "/".to_owned(),
        "/?state=resolved&priority=low".to_owned(),
        format!("/alerts/{alert}"),
        format!("/alerts/{alert}/silence"),
        "/silences".to_owned(),
        "/fleet".to_owned(),
        "/clinics/acme/acme-north".to_owned(),
        "/devices/acme/pen-1".to_owned(),
        format!("/sessions/acme/pen-1/{session}"),
        "/sterilization?tenant=acme".to_owned(),
        "/sterilization/scan?tenant=acme&code=pen-1".to_owned(),
        "/sterilization/scan?tenant=acme&code=autoclave-1".to_owned(),
        "/pipeline".to_owned(),
        "/nothing-here".to_owned(),
        link,
        "/a/cut-off".to_owned(),
    ];
    let mut found = Vec::new();
    for look in Look::ALL {
        let browser = Browser::start(look);
        for dark in [false, true] {
            if dark {
                browser.go_dark();
            }
            for path in &pages {
                browser.open(&format!("http://{}{path}", stack.http));
                if path.starts_with("/a/") {
                    assert_fits(&browser);
                    browser.picture(&format!("link-{}-{dark}", path.len() > 20));
                }
                browser.run(&axe).unwrap();
                let violations = browser.run_until_done(LOOK).unwrap();
                for violation in violations.as_array().unwrap() {
                    found.push(format!("{path} ({}, dark: {dark}): {violation}", look.as_str()));
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new(), "{found:#?}");
}

#[test]
fn the_board_follows_what_others_record_and_takes_nothing_from_who_works_on_it() {
    let webhook = Webhook::start();
    let stack = open_console(&webhook);
    let (desk, phone) = (Browser::start(Look::Desk), Browser::start(Look::Phone));
    let board = format!("http://{}/sterilization?tenant=acme", stack.http);
    desk.open(&board);
    desk.wait_text("#live", "Live");
    stays(&desk);
    // Somebody has a form open and has begun to write, and has half a code in the field of the scanner.
    desk.click("#cycle-autoclave-1 > summary");
    desk.write("#name-of-autoclave-1", "C-half");
    desk.write("#code", "pen-");
    phone.open(&format!("{board}#"));
    phone.write("#code", "pen-1\u{e007}");
    phone.wait_text("h1", "pen-1");
    phone.click("form.card button[name='level'][value='intermediate']");
    phone.wait_text("main p.note", "recorded");
    desk.wait_text("#told", "Disinfection");
    assert!(has_stayed(&desk), "the page was loaded again");
    let left = desk.run(
        "return [document.getElementById('name-of-autoclave-1').value, document.getElementById('code').value,
            document.getElementById('cycle-autoclave-1').open, document.activeElement.id]",
    );
    let left = left.unwrap();
    let wanted: Value = serde_json::json!(["C-half", "pen-", true, "code"]);
    assert_eq!(left, wanted);
    // What is only folded out follows all the same, and stays folded out.
    desk.click("#fine-all > summary");
    phone.open(&board);
    phone.write("#code", "pen-2\u{e007}");
    phone.click("form.card button[name='level'][value='high']");
    phone.wait_text("main p.note", "recorded");
    desk.wait_text("#told", "High level");
    assert_eq!(
        desk.run("return document.getElementById('fine-all').open").unwrap(),
        true
    );
    assert_eq!(desk.complaints(), Vec::<String>::new());
}
