//! Whatever comes in: a plain message, never a blank page, and nothing done.
use axum::body::Body;
use axum::http::{Request, StatusCode, header};

use crate::support::{World, open, staffed};

const XSS: &str = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>{{ 123456789 * 1000003 }}";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_so_on_a_page() {
    let world = World::start(open());
    for path in [
        "/nowhere",
        "/alerts/00000000000000000000000000000000",
        "/alerts/not-an-id",
        "/alerts/%00",
        "/alerts/00000000000000000000000000000000/silence",
        "/console/other.css",
    ] {
        let page = world.browser().get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert!(page.body.contains("<h1>Not here</h1>"), "{path}: {}", page.body);
    }
    for path in [
        "/?state=on",
        "/?priority=severe",
        "/?page=-1",
        "/?page=1&page=2",
        "/?state=%FF",
    ] {
        let page = world.browser().get(path).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(
            page.body.contains("<h1>This cannot be read</h1>"),
            "{path}: {}",
            page.body
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_people_is_shown_as_text_wherever_it_comes_from() {
    let world = World::start(open());
    let alert = world.hazard("acme", "pen-1").await;
    let mut browser = world.browser();
    assert_eq!(
        browser.send(&alert, "comment", &[("comment", XSS)]).await.status,
        StatusCode::SEE_OTHER
    );
    let name = &XSS[..60];
    assert_eq!(
        browser.send(&alert, "assign", &[("assignee", name)]).await.status,
        StatusCode::SEE_OTHER
    );
    // What others wrote by the API, under a name of their own.
    world.handle.acknowledge(alert.id, name, XSS).await.unwrap();
    let silence = alerting::intake::Silence {
        tenant: "acme".to_owned(),
        clinic: name.to_owned(),
        device: XSS.to_owned(),
        rule: XSS.to_owned(),
        max_priority: telemetry::Priority::Low,
        from: telemetry::UnixMicros(0),
        until: telemetry::UnixMicros(alert.decided_at.0 + 3_600_000_000),
    };
    world.handle.silence(silence, name, XSS).await.unwrap();
    let query = "/?device=%3Cscript%3Ealert('x')%3C/script%3E%22%3E&done=%3Cscript%3E";
    for path in [
        &format!("/alerts/{}", alert.id),
        "/",
        "/silences",
        query,
        "/?state=%3Cscript%3Ealert('x')%3C/script%3E",
    ] {
        let page = browser.get(path).await;
        assert!(!page.body.contains("<script>"), "{path}: {}", page.body);
        assert!(!page.body.contains("<img"), "{path}: {}", page.body);
        assert!(!page.body.contains("123457159370367"), "{path}: text is no template");
        assert!(page.body.contains("&lt;script&gt;"), "{path}: {}", page.body);
    }
    let late = browser.send(&alert, "acknowledge", &[]).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(
        late.body.contains("&lt;script&gt;") && !late.body.contains("<script>"),
        "{}",
        late.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_the_token_or_from_another_site_does_nothing() {
    for config in [open(), staffed()] {
        let world = World::start(config);
        let alert = world.hazard("acme", "pen-1").await;
        let mut browser = world.browser();
        browser
            .post("/sign-in", &[("name", "lea"), ("password", crate::support::PASSWORD)])
            .await;
        let path = format!("/alerts/{}/acknowledge", alert.id);
        for fields in [&[][..], &[("csrf", "")], &[("csrf", "0123")]] {
            let refused = browser.post(&path, fields).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN);
            assert!(refused.body.contains("<h1>Nothing was done</h1>"), "{}", refused.body);
        }
        let csrf = browser.get(&format!("/alerts/{}", alert.id)).await.csrf();
        for site in ["cross-site", "same-site"] {
            let request = Request::post(&path)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header("sec-fetch-site", site)
                .body(Body::from(format!("csrf={csrf}")))
                .unwrap();
            assert_eq!(browser.ask(request).await.status, StatusCode::FORBIDDEN);
        }
        // JSON, or a form that is larger than any of ours, is no form either.
        let request = Request::post(&path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(format!("{{\"csrf\":\"{csrf}\"}}")))
            .unwrap();
        assert_eq!(browser.ask(request).await.status, StatusCode::FORBIDDEN);
        let large = browser
            .post(&path, &[("csrf", &csrf), ("comment", &"x".repeat(200_000))])
            .await;
        assert_eq!(large.status, StatusCode::BAD_REQUEST);
        assert!(world.handle.alert(alert.id).await.unwrap().unwrap().life.needs_person());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_said_so_on_every_page_and_nothing_is_lost_silently() {
    let world = World::start(open());
    let alert = world.hazard("acme", "pen-1").await;
    let mut browser = world.browser();
    let csrf = browser.get(&format!("/alerts/{}", alert.id)).await.csrf();
    let db = rusqlite::Connection::open(world.file()).unwrap();
    db.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    db.execute_batch("ALTER TABLE alert RENAME TO elsewhere; ALTER TABLE silence RENAME TO also_elsewhere")
        .unwrap();
    for path in [
        "/",
        &format!("/alerts/{}", alert.id),
        &format!("/alerts/{}/silence", alert.id),
        "/silences",
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(
            page.body.contains("<h1>Cannot be shown now</h1>"),
            "{path}: {}",
            page.body
        );
    }
    let refused = browser
        .post(&format!("/alerts/{}/acknowledge", alert.id), &[("csrf", &csrf)])
        .await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        refused.body.contains("<h1>Cannot be shown now</h1>"),
        "{}",
        refused.body
    );
    let json = browser.get("/v1/console/inbox").await;
    assert_eq!(json.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(json.body.contains("error"), "{}", json.body);
    db.execute_batch("ALTER TABLE elsewhere RENAME TO alert; ALTER TABLE also_elsewhere RENAME TO silence")
        .unwrap();
    assert_eq!(browser.get("/").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_that_is_too_long_or_empty_is_refused_in_words() {
    let world = World::start(open());
    let alert = world.hazard("acme", "pen-1").await;
    let mut browser = world.browser();
    let long = browser
        .send(&alert, "comment", &[("comment", &"x".repeat(20_000))])
        .await;
    assert_eq!(long.status, StatusCode::BAD_REQUEST);
    assert!(long.body.contains("<h1>Too long</h1>"), "{}", long.body);
    let empty = browser.send(&alert, "comment", &[("comment", "  ")]).await;
    assert!(empty.body.contains("A comment needs words."), "{}", empty.body);
    let scope = browser
        .send(&alert, "silence", &[("scope", "everything"), ("reason", "x")])
        .await;
    assert_eq!(scope.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_forbids_frames_foreign_content_and_keeping_it() {
    let world = World::start(open());
    let mut browser = world.browser();
    for path in [
        "/",
        "/nowhere",
        "/silences",
        "/console/console.css",
        "/console/console.js",
    ] {
        let answer = browser.get(path).await;
        let said = |name: &str| answer.headers.get(name).map_or("", |value| value.to_str().unwrap());
        let csp = said("content-security-policy");
        assert!(
            csp.starts_with("default-src 'none'; style-src 'self'; script-src 'self'"),
            "{path}: {csp}"
        );
        assert!(!csp.contains("unsafe"), "{csp}");
        assert_eq!(
            (said("x-frame-options"), said("x-content-type-options")),
            ("DENY", "nosniff"),
            "{path}"
        );
        assert_eq!(
            said("cache-control").contains("no-store"),
            !path.starts_with("/console/"),
            "{path}"
        );
        // The policy would stop them.
        assert!(
            !answer.body.contains("style=\"") && !answer.body.contains(" onclick"),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_a_form_that_is_opened_without_one_says_so_and_leads_back() {
    let world = World::start(open());
    let alert = world.hazard("acme", "pen-1").await;
    let id = alert.id;
    for (path, back) in [
        (
            format!("/alerts/{id}/acknowledge"),
            format!("href=\"&#x2f;alerts&#x2f;{id}\""),
        ),
        (
            "/sterilization/record".to_owned(),
            "href=\"&#x2f;sterilization\"".to_owned(),
        ),
        ("/pipeline/replay".to_owned(), "href=\"&#x2f;pipeline\"".to_owned()),
    ] {
        let page = world.browser().get(&path).await;
        assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert!(
            page.body.contains("Nothing was done") && page.body.contains(&back),
            "{path}: {}",
            page.body
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_no_name_is_said_to_be_none_before_anybody_fills_in_a_form() {
    let world = World::start(open());
    let page = world
        .browser()
        .get("/sterilization/scan?tenant=acme&code=https%3A%2F%2Fexample.org%2F%3Cb%3E")
        .await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(
        page.body.contains("no name of a device") && !page.body.contains("<b>"),
        "{}",
        page.body
    );
    let page = world.browser().get("/sterilization/scan?tenant=acme&code=TIP.3").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
}
