//! The link in a page: shows without acting, acts once, for one alert, one recipient and a while.
use std::time::{Duration, Instant};

use alerting::intake::{ReceiverState, RotaState};
use alerting::lifecycle::State;
use alerting::{Config, links};
use service::config::Secret;

use crate::desk::{Desk, Running, file, hazard, receiver, until};
use crate::support::{T0, tick};

/// An installation with links at work, with one hazard that was paged, and the address of its pages.
struct Paged {
    running: Running,
    url: String,
    base: String,
    desk: Desk,
    dir: tempfile::TempDir,
}

async fn paged(valid_for: Duration) -> Paged {
    paged_of(valid_for, hazard("pen-1", 1).record(), "depth-above-limit").await
}

/// The same with something else wrong.
async fn paged_of(valid_for: Duration, wrong: Vec<u8>, rule: &str) -> Paged {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let config = Config {
        receivers: vec![receiver(desk.listen().await)],
        links: Some(links::Config {
            base_url: base.clone(),
            valid_for,
            key: Some(Secret::new("0123456789abcdef0123456789abcdef".to_owned())),
        }),
        ..Config::new(file(dir.path()))
    };
    let running = Running::start_with(dir.path(), config);
    let app = links::router(running.handle.clone(), true);
    tokio::spawn(async move { axum::serve(listener, app).await });
    running.append(&[wrong]);
    let page = until("a page", || {
        desk.accepted().into_iter().find(|got| got.body["rule"] == rule)
    })
    .await;
    let url = page.body["link"].as_str().unwrap().to_owned();
    Paged {
        running,
        url,
        base,
        desk,
        dir,
    }
}

async fn get(url: &str) -> (u16, String) {
    let answer = reqwest::get(url).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn post(url: &str, form: &str) -> (u16, String) {
    let request = reqwest::Client::new().post(url);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let answer = request.body(form.to_owned()).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Where the form with this button posts to.
fn action(page: &Paged, html: &str, button: &str) -> String {
    let form = html
        .split("<form ")
        .find(|form| form.contains(button))
        .unwrap_or_else(|| panic!("no {button} in {html}"));
    let token = form.split("action=\"").nth(1).unwrap().split('"').next().unwrap();
    format!("{}/a/{token}", page.base)
}

async fn state(page: &Paged) -> (State, Option<String>) {
    let alerts = page.running.handle.alerts(None).await.unwrap();
    let alert = alerts.into_iter().find(|a| a.rule == "depth-above-limit").unwrap();
    (alert.state(), alert.acknowledged_by)
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_changes_nothing_however_often_and_acting_works_once_for_whom_it_was_sent_to() {
    let page = paged(Duration::from_secs(3_600)).await;
    for _ in 0..3 {
        let (status, html) = get(&page.url).await;
        assert_eq!(status, 200);
        assert!(html.contains("Acknowledge") && html.contains("pen-1"), "{html}");
        // A scanner that follows the forms' addresses too.
        assert_eq!(get(&action(&page, &html, "Acknowledge")).await.0, 200);
    }
    assert_eq!(state(&page).await.0, State::Firing);
    let html = get(&page.url).await.1;
    let acknowledge = action(&page, &html, "Acknowledge");
    let (status, html) = post(&acknowledge, "").await;
    assert_eq!(status, 200, "{html}");
    assert_eq!(state(&page).await, (State::Acknowledged, Some("desk".to_owned())));
    // Taken back by another form of the same page; the used one does not work a second time.
    let unacknowledge = action(&page, &html, "Take the acknowledgement back");
    assert_eq!(post(&unacknowledge, "").await.0, 200);
    assert_eq!(state(&page).await, (State::Firing, None));
    assert_eq!(post(&acknowledge, "").await.0, 409);
    assert_eq!(state(&page).await, (State::Firing, None));
    // The page's own link never acts.
    assert_eq!(post(&page.url, "").await.0, 405);
    assert!(!page.desk.got().is_empty());
    page.running.stop().await;
}

/// The form is opened by one; another one is faster.
#[tokio::test(flavor = "multi_thread")]
async fn who_acknowledges_second_by_a_link_is_told_who_was_first_and_nothing_changes() {
    let page = paged(Duration::from_secs(3_600)).await;
    let html = get(&page.url).await.1;
    let (acknowledge, assign) = (
        action(&page, &html, "Acknowledge"),
        action(&page, &html, "Assign to me"),
    );
    let alerts = page.running.handle.alerts(None).await.unwrap();
    let id = alerts.iter().find(|a| a.rule == "depth-above-limit").unwrap().id;
    page.running.handle.acknowledge(id, "anna", "").await.unwrap();
    let before = page.running.handle.alert(id).await.unwrap();
    let (status, html) = post(&acknowledge, "").await;
    assert_eq!(status, 409, "{html}");
    assert!(html.contains("anna acknowledged this at 20"), "{html}");
    assert!(!html.contains("Done."), "{html}");
    assert_eq!(page.running.handle.alert(id).await.unwrap(), before);
    // Looked at again, the page offers what makes sense now; the link was not spent, for nothing was done by it.
    page.running
        .handle
        .on_alert(alerting::intake::Action::Unacknowledge(id), "anna", "")
        .await
        .unwrap();
    assert_eq!(post(&acknowledge, "").await.0, 200);
    assert_eq!(state(&page).await, (State::Acknowledged, Some("desk".to_owned())));
    // It ends while somebody looks: who acts then is told so.
    page.running.append(&[hazard("pen-1", 2).record()]);
    let end = Instant::now() + Duration::from_secs(60);
    while page.running.handle.alert(id).await.unwrap().unwrap().state() != State::Resolved {
        assert!(Instant::now() < end, "the next session did not end it");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (status, html) = post(&assign, "").await;
    assert_eq!(status, 409, "{html}");
    assert!(html.contains("This is over"), "{html}");
    page.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_has_expired_says_so_and_what_to_do_and_nothing_is_done() {
    let page = paged(Duration::from_millis(1)).await;
    // Its millisecond is over by the time the page has come here, or a little later.
    let end = Instant::now() + Duration::from_secs(60);
    let (status, html) = loop {
        let (status, html) = get(&page.url).await;
        if status != 200 {
            break (status, html);
        }
        assert!(Instant::now() < end, "it never expires");
    };
    assert_eq!(status, 410, "{html}");
    assert!(
        html.contains("This link has expired, and nothing was done.") && html.contains("console"),
        "{html}"
    );
    assert!(!html.contains("pen-1") && !html.contains("<form"), "{html}");
    let (status, html) = post(&page.url, "").await;
    assert_eq!(status, 410, "{html}");
    assert_eq!(state(&page).await.0, State::Firing);
    page.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_file_cannot_be_read_a_link_says_so_and_that_others_are_told_as_planned() {
    let page = paged(Duration::from_secs(3_600)).await;
    let html = get(&page.url).await.1;
    let acknowledge = action(&page, &html, "Acknowledge");
    let db = rusqlite::Connection::open(file(page.dir.path())).unwrap();
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    db.execute_batch("ALTER TABLE alert RENAME TO elsewhere").unwrap();
    for (status, html) in [get(&page.url).await, post(&acknowledge, "").await] {
        assert_eq!(status, 503, "{html}");
        assert!(
            html.contains("cannot be read now, and nothing was done") && html.contains("others are told as planned"),
            "{html}"
        );
    }
    db.execute_batch("ALTER TABLE elsewhere RENAME TO alert").unwrap();
    assert_eq!(post(&acknowledge, "").await.0, 200, "the link was not spent");
    page.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_changed_is_nobodys_and_shows_nothing() {
    let page = paged(Duration::from_secs(3_600)).await;
    let (head, last) = page.url.split_at(page.url.len() - 1);
    let other = if last == "A" { "B" } else { "A" };
    // The last character may carry spare bits: change one in the middle too.
    let middle = head.len() - 20;
    let mut bytes = page.url.clone().into_bytes();
    bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
    for wrong in [
        String::from_utf8(bytes).unwrap(),
        format!("{}/a/{}", page.base, "A".repeat(80)),
        format!("{head}{other}{other}"),
    ] {
        let (status, html) = get(&wrong).await;
        assert_eq!(status, 404, "{wrong}");
        assert!(!html.contains("pen-1"), "{html}");
        assert_eq!(post(&wrong, "").await.0, 404);
    }
    page.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_shows_no_session_and_no_visit_and_is_kept_by_no_cache() {
    let page = paged(Duration::from_secs(3_600)).await;
    let answer = reqwest::get(&page.url).await.unwrap();
    let headers = answer.headers().clone();
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    let html = answer.text().await.unwrap();
    assert!(!html.contains(&"01".repeat(16)), "{html}");
    // It leads on to the console, below whatever path a proxy has both.
    let alerts = page.running.handle.alerts(None).await.unwrap();
    let alert = alerts.into_iter().find(|a| a.rule == "depth-above-limit").unwrap();
    assert!(html.contains(&format!("href=\"../alerts/{}\"", alert.id)), "{html}");
    page.running.stop().await;
}

/// A rota that has ended is of medium priority: it may be silenced.
#[tokio::test(flavor = "multi_thread")]
async fn a_silence_by_link_is_made_by_a_post_with_a_reason_and_once_and_never_for_what_is_high() {
    let now = std::time::SystemTime::now().into();
    let fails = ReceiverState {
        receiver: "elsewhere".to_owned(),
        failing: true,
        reason: "timeout".to_owned(),
        at: now,
    };
    let page = paged_of(Duration::from_secs(3_600), fails.encode(), "page-undelivered").await;
    let silence = "Silence this rule on this device for an hour";
    let high = get(&page.url).await.1;
    assert!(!high.contains(silence), "{high}");
    let ended = RotaState {
        rota: "duty".to_owned(),
        ends: Some(now),
        at: now,
    };
    page.running.append(&[ended.encode()]);
    let told = until("a page about the rota", || {
        page.desk
            .accepted()
            .into_iter()
            .find(|got| got.body["rule"] == "rota-ends")
    })
    .await;
    let url = told.body["link"].as_str().unwrap().to_owned();
    let html = get(&url).await.1;
    let make = action(&page, &html, silence);
    assert_eq!(get(&make).await.0, 200);
    let held = || async { page.running.handle.silences().await.unwrap() };
    assert!(held().await.is_empty(), "looking makes none");
    // Without a reason none is made, and the link is not spent.
    let (status, said) = post(&make, "").await;
    assert!(
        (400..500).contains(&status) && said.contains("reason"),
        "{status} {said}"
    );
    assert!(held().await.is_empty());
    assert_eq!(post(&make, "comment=the+rota+is+being+written").await.0, 200);
    let made = held().await;
    let [(_, one)] = &made[..] else { panic!("{made:?}") };
    assert_eq!(
        (one.owner.as_str(), one.what.rule.as_str(), one.what.device.as_str()),
        ("desk", "rota-ends", "duty")
    );
    assert_eq!(one.until.since(one.from).as_secs().div_ceil(60), 60);
    assert_eq!(post(&make, "comment=once+more").await.0, 409);
    assert_eq!(held().await.len(), 1);
    page.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_that_is_over_by_the_logs_clock_is_not_said_to_hold() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), vec![receiver(Desk::default().listen().await)]);
    let now: telemetry::UnixMicros = std::time::SystemTime::now().into();
    running.append(&[tick(now.0 - T0 + 86_400_000_000)]);
    let silence = alerting::intake::Silence {
        tenant: "acme".to_owned(),
        clinic: String::new(),
        device: String::new(),
        rule: String::new(),
        max_priority: telemetry::Priority::Low,
        from: now,
        until: now.plus(Duration::from_secs(3_600)),
    };
    let made = running.handle.silence(silence, "desk", "because").await;
    let refused = made.unwrap_err();
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert!(why.contains("not made"), "{why}");
    assert!(running.handle.silences().await.unwrap().is_empty());
    running.stop().await;
}
