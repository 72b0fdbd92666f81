//! The link in a page: shows without acting, acts once, for one alert, one recipient and a while.
use std::time::Duration;

use alerting::lifecycle::State;
use alerting::{Config, links};
use service::config::Secret;

use crate::process::{Desk, Running, depth_pages, file, hazard, receiver, until};

/// An installation with links at work, with one hazard that was paged, and the address of its pages.
struct Paged {
    running: Running,
    url: String,
    base: String,
    desk: Desk,
    _dir: tempfile::TempDir,
}

async fn paged(valid_for: Duration) -> Paged {
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
    let app = links::router(running.handle.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    running.append(&[hazard("pen-1", 1).record()]);
    let page = until("a page", || depth_pages(&desk).into_iter().next()).await;
    let url = page.body["link"].as_str().unwrap().to_owned();
    Paged {
        running,
        url,
        base,
        desk,
        _dir: dir,
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
    page.running.stop().await;
}
