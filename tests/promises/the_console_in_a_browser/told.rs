//! Who was told, how that came out and who is next stands on an alert's page in words; and a link in a page leads on to it.
use tests::{Browser, Look, Mqtt, SOON, Source, Stack, StackSpec, Version, Webhook, wait_for};

use super::{RULE, assert_fits, listed};

/// A file and a desk are told at once, and Lee an hour later; a third receiver is nowhere.
const PLAN: &str = "\
[[person]]
name = \"Lee\"
receivers = [\"lee-push\"]
[[chain]]
name = \"urgent\"
steps = [
    { tell = [\"receiver:hook\", \"receiver:paper\", \"receiver:gone\"], wait = \"1h\" },
    { tell = [\"person:Lee\"], wait = \"1h\" },
]
repeat_every = \"2h\"
[[route]]
chain = \"urgent\"
min_priority = \"info\"
";

fn planned(webhook: &Webhook) -> Stack {
    let nowhere = format!("http://127.0.0.1:{}/", tests::free_port());
    let push =
        |name: &str, url: &str| format!("[[alerting.receivers]]\nname = \"{name}\"\nwebhook = {{ url = \"{url}\" }}\n");
    let paper = "[[alerting.receivers]]\nname = \"paper\"\nlog = { path = \"paper.jsonl\" }\n";
    let mut stack = Stack::prepare(&StackSpec {
        more: push("gone", &nowhere) + &push("lee-push", &webhook.url()) + paper + "[console]\nopen = true\n",
        ..StackSpec::plain(webhook)
    });
    let links = format!("[alerting.links]\nbase_url = \"http://{}\"\n", stack.http);
    stack.edit(
        "dermatel.toml",
        "[[alerting.receivers]]",
        &format!("[alerting]\npaging = \"paging\"\n{links}[[alerting.receivers]]"),
    );
    std::fs::create_dir_all(stack.folder().join("paging")).unwrap();
    std::fs::write(stack.folder().join("paging/plan.toml"), PLAN).unwrap();
    stack.up();
    stack
}

#[test]
fn who_was_told_how_it_came_out_and_who_is_next_is_said_in_words_and_a_link_in_a_page_leads_there() {
    let webhook = Webhook::start();
    let stack = planned(&webhook);
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    let hazard = pen.hazard();
    assert_eq!(mqtt.put(&pen.topic(), &hazard), Some(0));
    let id = wait_for("the alert", SOON, || {
        let found = listed(&stack).into_iter().find(|alert| alert["rule"] == RULE);
        found.map(|alert| alert["id"].as_str().unwrap().to_owned()).ok_or(())
    });
    let link = wait_for("a page with a link", SOON, || {
        let pages = webhook.of_rule(RULE);
        let link = pages.iter().find_map(|page| page["link"].as_str().map(str::to_owned));
        link.ok_or_else(|| format!("{pages:?}"))
    });
    let browser = Browser::start(Look::Phone);
    browser.open(&link);
    browser.wait_text("main", "Acknowledge");
    browser.click("a[href^='../alerts/']");
    wait_for("the alert in the console", SOON, || match browser.url() {
        url if url.ends_with(&format!("/alerts/{id}")) => Ok(()),
        url => Err(url),
    });
    for (who, how) in [
        ("hook: delivered", "Call 1 of the plan “urgent”."),
        ("paper: delivered", "written to its file"),
        ("gone: waiting, will be tried again", "Attempt 1 failed"),
        ("The device itself, on its display:", "not reachable"),
        (
            "What comes next",
            "If nobody acknowledges, told next: lee-push (person Lee).",
        ),
    ] {
        browser.wait_text("#told", who);
        browser.wait_text("#told", how);
    }
    let said = browser.text("#told").unwrap();
    for jargon in [
        "@device",
        "appended",
        "puback",
        "receiver hook",
        "chain urgent",
        "waits",
        "gave_up",
    ] {
        assert!(!said.contains(jargon), "{jargon} in {said}");
    }
    assert_fits(&browser);
    browser.picture("console-told");
    // Once somebody knows, nobody else is called.
    browser.click("#acknowledge");
    browser.wait_text("#next", "Nothing: nobody else is called.");
    browser.wait_text("#told", "taken back before it left");
}
