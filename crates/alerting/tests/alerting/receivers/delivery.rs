//! Who hears of a page that its receiver does not take; test pages; words that fail.
use std::path::Path;

use serde_json::Value;

use super::provider::{Answer, Provider};
use super::schemas::{PAGERDUTY, SLACK, WEBHOOK};
use super::{elsewhere, readiness_says, receivers, rows, tls};
use crate::desk::{Running, nothing_waits, until};

/// Slack-like chat `chat` instead of the webhook `pager`.
async fn two(pager: &Provider, chat: &Provider, more: &str) -> Vec<alerting::config::Receiver> {
    receivers(&format!(
        "[[receivers]]\nname = \"pager\"\nfallback = \"chat\"\nundelivered_after = {{ high = \"400ms\", medium = \"10m\", low = \"30m\" }}\n\
         webhook = {{ url = \"{}/page\", timeout = \"20s\" }}\n{more}\n\
         [[receivers]]\nname = \"chat\"\nwebhook = {{ url = \"{}/chat\" }}\n",
        pager.listen().await,
        chat.listen().await
    ))
}

/// What came to a fallback instead of to `pager`, about a device.
fn copies(chat: &Provider, device: &str) -> Vec<Value> {
    let taken = chat.taken().into_iter();
    taken
        .filter(|page| page["device"] == device && page["fallback_for"] == "pager")
        .collect()
}

fn about<'b>(bodies: &'b [Value], device: &str) -> Vec<&'b Value> {
    bodies.iter().filter(|body| body["device"] == device).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_refused_for_good_goes_to_the_fallback_at_once_and_says_so() {
    for (answer, reason) in [(Answer::Status(400), "rejected"), (Answer::Status(404), "denied")] {
        let dir = tempfile::tempdir().unwrap();
        let (pager, chat) = (Provider::new(WEBHOOK), Provider::new(WEBHOOK));
        pager.script([answer]);
        let mut receivers = two(&pager, &chat, "").await;
        // Only the refusal can bring it there.
        receivers[0].undelivered_after = alerting::config::UndeliveredAfter::default();
        let running = Running::start(dir.path(), receivers);
        elsewhere(&running, true);
        let copy = until(reason, || copies(&chat, "elsewhere").pop()).await;
        assert_eq!(
            (&copy["fallback_for"], &copy["fallback_reason"]),
            (&"pager".into(), &reason.into())
        );
        assert!(
            copy["text"]
                .as_str()
                .unwrap()
                .contains("because receiver pager did not take it")
        );
        nothing_waits(&running).await;
        running.stop().await;
        let given: Vec<_> = rows(dir.path(), "fallback")
            .into_iter()
            .filter(|row| row["alert"] == copy["alert_id"])
            .collect();
        assert_eq!(given.len(), 1, "{given:?}");
        assert_eq!(
            (&given[0]["receiver"], &given[0]["fallback"]),
            (&"pager".into(), &"chat".into())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_not_taken_in_time_is_copied_once_and_the_receiver_still_gets_it() {
    let dir = tempfile::tempdir().unwrap();
    let (pager, chat) = (Provider::new(WEBHOOK), Provider::new(WEBHOOK));
    pager.always(Some(500));
    let running = Running::start(dir.path(), two(&pager, &chat, "").await);
    elsewhere(&running, true);
    until("the copy", || copies(&chat, "elsewhere").pop()).await;
    let attempts = pager.requests().len();
    until("more attempts", || {
        (pager.requests().len() > attempts + 1).then_some(())
    })
    .await;
    pager.always(None);
    until("the page itself", || {
        (!about(&pager.taken(), "elsewhere").is_empty()).then_some(())
    })
    .await;
    nothing_waits(&running).await;
    running.stop().await;
    assert_eq!(copies(&chat, "elsewhere").len(), 1, "copied once");
    let overdue = rows(dir.path(), "overdue");
    assert!(overdue.iter().all(|row| row["receiver"] == "pager"), "{overdue:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_receiver_fails_is_an_alert_itself_and_ends_when_it_takes_pages_again() {
    let dir = tempfile::tempdir().unwrap();
    let (pager, chat) = (Provider::new(WEBHOOK), Provider::new(WEBHOOK));
    pager.always(Some(503));
    let mut receivers = two(&pager, &chat, "").await;
    // Longer than its own page waits for its turn once it takes pages again.
    receivers[0].undelivered_after.high = std::time::Duration::from_secs(3);
    let running = Running::start(dir.path(), receivers);
    elsewhere(&running, true);
    let told = until("the alert about it", || {
        about(&chat.taken(), "pager").first().map(|p| (*p).clone())
    })
    .await;
    assert_eq!(
        (&told["kind"], &told["state"]),
        (&"page_undelivered".into(), &"firing".into())
    );
    assert!(told["what_happened"].as_str().unwrap().contains("overdue"), "{told}");
    pager.always(None);
    // Its page and the end of it reach the receiver that works again; firing never comes after resolved.
    until("its end", || {
        let taken = pager.taken();
        about(&taken, "pager")
            .iter()
            .any(|page| page["state"] == "resolved")
            .then_some(())
    })
    .await;
    nothing_waits(&running).await;
    running.stop().await;
    let taken = pager.taken();
    let states: Vec<_> = about(&taken, "pager")
        .iter()
        .map(|page| page["state"].clone())
        .collect();
    assert_eq!(states, ["firing", "resolved"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_receiver_fails_is_never_told_to_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (pager, chat) = (Provider::new(WEBHOOK), Provider::new(WEBHOOK));
    pager.always(Some(401));
    let mut receivers = two(&pager, &chat, "").await;
    // No fallback, and no route leads to the other one.
    receivers[0].fallback = None;
    receivers[1].tenants = vec!["other".parse().unwrap()];
    let running = Running::start(dir.path(), receivers);
    elsewhere(&running, true);
    let told = until("the alert about it", || {
        about(&chat.taken(), "pager").first().map(|p| (*p).clone())
    })
    .await;
    assert_eq!(
        (&told["fallback_for"], &told["fallback_reason"]),
        (&"pager".into(), &"about_itself".into())
    );
    assert!(about(&chat.taken(), "elsewhere").is_empty(), "nothing else goes there");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_alert_never_overtakes_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let pager = Provider::new(PAGERDUTY);
    // The beginning has to wait, the end would be taken at once.
    pager.script([Answer::RetryAfter(429, "1".to_owned())]);
    let running = Running::start(
        dir.path(),
        receivers(&format!(
            "[[receivers]]\nname = \"pager\"\npagerduty = {{ url = \"{}/v2/enqueue\", routing_key = \"{}\" }}\n",
            pager.listen().await,
            "k".repeat(32)
        )),
    );
    elsewhere(&running, true);
    elsewhere(&running, false);
    until("both", || (pager.taken().len() == 2).then_some(())).await;
    running.stop().await;
    let actions: Vec<_> = pager
        .taken()
        .iter()
        .map(|event| event["event_action"].clone())
        .collect();
    assert_eq!(actions, ["trigger", "resolve"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_page_goes_the_way_of_every_page_when_its_time_has_come_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let (pager, chat) = (Provider::new(WEBHOOK), Provider::new(WEBHOOK));
    pager.script([Answer::Status(500)]);
    let receivers = two(&pager, &chat, "test_every = \"1h\"").await;
    let running = Running::start(dir.path(), receivers.clone());
    let page = until("the test page", || pager.taken().pop()).await;
    assert_eq!((&page["state"], &page["device"]), (&"test".into(), &"".into()));
    assert!(page["text"].as_str().unwrap().contains("nothing happened"));
    nothing_waits(&running).await;
    running.stop().await;
    // A restart within the hour sends none.
    let running = Running::start(dir.path(), receivers);
    elsewhere(&running, true);
    until("another page", || (pager.taken().len() >= 2).then_some(())).await;
    nothing_waits(&running).await;
    running.stop().await;
    let tests = rows(dir.path(), "test");
    assert_eq!(tests.len(), 1);
    assert_eq!(
        (&tests[0]["outcome"], &tests[0]["attempts"]),
        (&"delivered".into(), &2.into())
    );
    assert_eq!(pager.faults(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_page_that_fails_is_told_like_any_other_and_wakes_nobody_else_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (pager, chat) = (Provider::new(WEBHOOK), Provider::new(WEBHOOK));
    pager.always(Some(422));
    let running = Running::start(dir.path(), two(&pager, &chat, "test_every = \"1h\"").await);
    until("the alert about it", || {
        (!about(&chat.taken(), "pager").is_empty()).then_some(())
    })
    .await;
    running.stop().await;
    assert!(
        chat.taken().iter().all(|page| page["state"] != "test"),
        "the test itself was not copied"
    );
    let tests = rows(dir.path(), "test");
    assert_eq!(
        (&tests[0]["outcome"], &tests[0]["reason"]),
        (&"undelivered".into(), &"rejected".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_fails_costs_its_words_and_is_counted_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let pager = Provider::new(WEBHOOK);
    // Works for every sample, and not for a value of 0.
    let own = receivers(&format!(
        "[[receivers]]\nname = \"pager\"\ntemplate = {{ title = \"{{{{ 1 // (value|int) }}}}!\" }}\nwebhook = {{ url = \"{}/page\" }}\n",
        pager.listen().await
    ));
    let running = Running::start(dir.path(), own);
    elsewhere(&running, true);
    let page = until("the page", || pager.taken().pop()).await;
    nothing_waits(&running).await;
    running.stop().await;
    assert!(
        page["title"]
            .as_str()
            .unwrap()
            .contains("receiver elsewhere does not take its pages")
    );
    assert!(
        page["text"]
            .as_str()
            .unwrap()
            .contains("template of this receiver failed")
    );
    assert_eq!(rows(dir.path(), "template_failed")[0]["receiver"], "pager");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_words_reach_the_receiver() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("text.j2"), "{{ where }} & <{{ rule }}>").unwrap();
    let chat = Provider::new(SLACK);
    let mut own = receivers(&format!(
        "[[receivers]]\nname = \"chat\"\nslack = {{ url = \"{}\" }}\n\
         template = {{ title = \"{{{{ priority }}}} in {{{{ device }}}}\", text = {{ file = \"text.j2\" }} }}\n",
        chat.listen().await
    ));
    own[0].resolve(dir.path(), dir.path());
    let running = Running::start(dir.path(), own);
    elsewhere(&running, true);
    let message = until("the message", || chat.taken().pop()).await;
    running.stop().await;
    assert_eq!(message["blocks"][0]["text"]["text"], "high in elsewhere");
    assert_eq!(
        message["blocks"][1]["text"]["text"], "receiver elsewhere &amp; &lt;page-undelivered&gt;",
        "escaped: nobody is mentioned by accident"
    );
    assert_eq!(chat.faults(), Vec::<String>::new());
}

fn over_tls(dir: &Path, port: u16, ca: Option<&Path>) -> Vec<alerting::config::Receiver> {
    let ca = ca.map(|ca| format!(", ca = \"{}\"", ca.display())).unwrap_or_default();
    receivers(&format!(
        "[[receivers]]\nname = \"pager\"\nfallback = \"file\"\nwebhook = {{ url = \"https://localhost:{port}/\"{ca} }}\n\
         [[receivers]]\nname = \"file\"\nlog = {{ path = \"{}\" }}\n",
        dir.join("pages.jsonl").display()
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_trusts_is_its_own_reason_and_needs_a_person() {
    let dir = tempfile::tempdir().unwrap();
    let files = tls::files(dir.path(), "real");
    let port = tls::server(&files).await;
    let other = tls::files(dir.path(), "other");
    for ca in [None, Some(other.ca.as_path())] {
        let dir = tempfile::tempdir().unwrap();
        let running = Running::start(dir.path(), over_tls(dir.path(), port, ca));
        elsewhere(&running, true);
        until("readiness", || readiness_says(&running, "certificate").then_some(())).await;
        until("the fallback", || {
            (!rows(dir.path(), "fallback").is_empty()).then_some(())
        })
        .await;
        until("word that it fails", || {
            let told = rows(dir.path(), "receiver_state");
            told.into_iter()
                .find(|row| row["receiver"] == "pager" && row["reason"] == "certificate" && row["failing"] == true)
        })
        .await;
        running.stop().await;
        assert_eq!(rows(dir.path(), "fallback")[0]["reason"], "certificate");
        assert_eq!(rows(dir.path(), "undelivered").len(), 0, "it is still wanted");
    }
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), over_tls(dir.path(), port, Some(&files.ca)));
    elsewhere(&running, true);
    until("a receipt", || {
        let delivered = rows(dir.path(), "delivered");
        delivered.into_iter().find(|row| row["receiver"] == "pager")
    })
    .await;
    running.stop().await;
}

#[test]
fn receivers_that_cannot_work_are_all_found_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("no-ca.pem"), "no certificate").unwrap();
    std::fs::write(dir.path().join("bad.j2"), "{{ patient }}").unwrap();
    let ca = dir.path().join("no-ca.pem");
    let toml = format!(
        "[[receivers]]\nname = \"a\"\nwebhook = {{ url = \"hooks.example/x\" }}\n\
         [[receivers]]\nname = \"b\"\nslack = {{ url = \"https://hooks.example/x\", ca = \"{0}\" }}\n\
         [[receivers]]\nname = \"c\"\nemail = {{ host = \"mail.example\", ca = \"{0}\", from = \"a@b.example\", to = [\"c@d.example\"] }}\n\
         [[receivers]]\nname = \"d\"\nmqtt = {{ host = \"h\", topic = \"x\", ca = \"{0}\" }}\n\
         [[receivers]]\nname = \"e\"\nntfy = {{ topic = \"x\" }}\ntemplate = {{ text = {{ file = \"{1}\" }} }}\n\
         [[receivers]]\nname = \"f\"\nntfy = {{ topic = \"x\" }}\n",
        ca.display(),
        dir.path().join("bad.j2").display()
    );
    let config = alerting::Config {
        receivers: receivers(&toml),
        ..alerting::Config::new("x")
    };
    let problems = alerting::check_receivers(&config);
    let names: Vec<_> = problems.iter().map(|problem| problem.receiver.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e"], "{problems:?}");
}

#[test]
fn what_contradicts_itself_is_refused_with_its_line() {
    let refused = |toml: &str| {
        let sources = service::config::Sources::new().file("a.toml", toml.to_owned());
        service::config::load::<alerting::Config>(&sources)
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    let circle = "[[receivers]]\nname = \"a\"\nfallback = \"b\"\nntfy = { topic = \"x\" }\n\
                  [[receivers]]\nname = \"b\"\nfallback = \"a\"\nntfy = { topic = \"x\" }\n";
    assert!(
        refused(circle).contains("a.toml:3") && refused(circle).contains("comes back here"),
        "{}",
        refused(circle)
    );
    for (toml, said) in [
        (
            "fallback = \"nobody\"\nntfy = { topic = \"x\" }",
            "no receiver has this name",
        ),
        ("ntfy = { topic = \"x\" }\nlog = { path = \"x\" }", "exactly one of"),
        ("", "exactly one of"),
        ("ntfy = { topic = \"a b\" }", "letters, digits"),
        (
            "ntfy = { topic = \"x\" }\ntemplate = { title = \"{{ visit }}\" }",
            "template does not render",
        ),
        ("ntfy = { topic = \"x\" }\ntest_every = \"1m\"", "at least 1h"),
        (
            "ntfy = { topic = \"x\" }\nundelivered_after = { high = \"9m\" }",
            "must not wait longer",
        ),
        ("pagerduty = { routing_key = \"short\" }", "32 characters"),
        ("mqtt = { host = \"h\", topic = \"a/#\" }", "wildcards"),
        ("mqtt = { host = \"h\", topic = \"{{ visit }}\" }", "does not render"),
        (
            "email = { host = \"h\", from = \"x\", to = [\"a@b.c\"] }",
            "no e-mail address",
        ),
        ("email = { host = \"h\", from = \"x@y.z\", to = [] }", "nobody"),
        (
            "email = { host = \"h\", from = \"x@y.z\", to = [\"a@b.c\"], tls = \"none\", username = \"u\", password = \"p\" }",
            "in the clear",
        ),
        (
            "alertmanager = { url = \"http://h\", hold = \"1m\" }",
            "ends there by silence",
        ),
    ] {
        let told = refused(&format!("[[receivers]]\nname = \"a\"\n{toml}\n"));
        assert!(told.contains(said) && told.contains("a.toml:"), "{toml}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_fallbacks_is_gone_down_until_somebody_takes_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second, third] = [WEBHOOK, WEBHOOK, WEBHOOK].map(Provider::new);
    first.always(Some(400));
    second.always(Some(403));
    let of = |name: &str, url: String, fallback: &str| {
        format!("[[receivers]]\nname = \"{name}\"\n{fallback}webhook = {{ url = \"{url}/page\" }}\n")
    };
    let toml = of("first", first.listen().await, "fallback = \"second\"\n")
        + &of("second", second.listen().await, "fallback = \"third\"\n")
        + &of("third", third.listen().await, "");
    let running = Running::start(dir.path(), receivers(&toml));
    elsewhere(&running, true);
    let page = until("the page", || {
        let mut taken = third.taken().into_iter();
        taken.find(|page| page["device"] == "elsewhere" && page["fallback_for"] == "second")
    })
    .await;
    assert_eq!(page["state"], "firing");
    running.stop().await;
}

#[test]
fn the_receipt_of_a_page_that_was_cancelled_under_way_takes_no_other_page_with_it() {
    use alerting::store::{Due, PageOutcome, Settlement, Store};
    use telemetry::UnixMicros;
    let outcomes = [
        PageOutcome::Delivered { receipt: "200".into() },
        PageOutcome::Undelivered { reason: "rejected" },
        PageOutcome::Retry {
            at: UnixMicros(9),
            reason: "denied",
            refused: true,
            hopeless: true,
        },
    ];
    for outcome in outcomes {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&crate::desk::file(dir.path())).unwrap();
        let db = rusqlite::Connection::open(crate::desk::file(dir.path())).unwrap();
        let put = |transition: &str| {
            let sql = "INSERT INTO outbox (receiver, transition_id, alert_id, body, attempts, sent, next_us, priority) \
                       VALUES ('pager', ?1, 'a', '{}', 0, 0, 1, 3)";
            db.execute(sql, [transition]).unwrap();
        };
        put("first");
        let under_way = store
            .take_due("pager", UnixMicros(2), 9, UnixMicros(99), Due::Any)
            .unwrap()
            .remove(0);
        // A person acknowledges: what waits is cancelled, and the news of it gets the number that is free again.
        db.execute("DELETE FROM outbox", []).unwrap();
        put("second");
        let settled = Settlement {
            receiver: "pager".into(),
            fallbacks: vec!["chat".into()],
            renews: false,
            outcomes: vec![(under_way, outcome)],
        };
        store.settle(&settled, UnixMicros(3)).unwrap();
        let waiting = store
            .take_due("pager", UnixMicros(4), 9, UnixMicros(99), Due::Any)
            .unwrap();
        assert_eq!(
            waiting.iter().map(|page| page.transition.as_str()).collect::<Vec<_>>(),
            ["second"]
        );
        assert_eq!(store.waiting_pages().unwrap(), 1, "and nothing was copied");
    }
}
