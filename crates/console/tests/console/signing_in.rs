//! Who may look and act: people of the configuration, for a time; without people only this machine.
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};

use crate::support::{PASSWORD, World, open, staffed};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_a_page_before_signing_in_and_goes_on_where_they_wanted_to_go() {
    let world = World::start(staffed());
    let alert = world.hazard("acme", "pen-1").await;
    let mut browser = world.browser();
    for (path, asked) in [
        ("/", "/sign-in?next=/"),
        ("/silences?done=silenced", "/sign-in?next=/silences%3Fdone%3Dsilenced"),
    ] {
        let answer = browser.get(path).await;
        assert_eq!((answer.status, answer.leads_to()), (StatusCode::SEE_OTHER, asked));
        assert!(answer.body.is_empty());
    }
    for path in [format!("/alerts/{}", alert.id), "/console/live".to_owned()] {
        assert_eq!(browser.get(&path).await.status, StatusCode::SEE_OTHER, "{path}");
    }
    let refused = browser.post(&format!("/alerts/{}/acknowledge", alert.id), &[]).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(refused.body.contains("<h1>Signed out</h1>"), "{}", refused.body);
    let fields = [("name", "anna"), ("password", PASSWORD), ("next", "/silences")];
    let answer = browser.post("/sign-in", &fields).await;
    assert_eq!((answer.status, answer.leads_to()), (StatusCode::SEE_OTHER, "/silences"));
    let cookie = answer.headers.get(header::SET_COOKIE).unwrap().to_str().unwrap();
    assert!(
        cookie.contains("; HttpOnly; SameSite=Strict; Max-Age=43200"),
        "{cookie}"
    );
    assert!(!cookie.contains("Secure"), "{cookie}");
    assert_eq!(browser.get("/").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_travels_over_https_only_where_the_proxy_or_the_configuration_says_so() {
    for (https, proxy) in [(true, false), (false, true)] {
        let world = World::start(console::Config { https, ..staffed() });
        let mut request = Request::post("/sign-in")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from("name=anna&password=correct+horse+battery"))
            .unwrap();
        if proxy {
            request
                .headers_mut()
                .insert("x-forwarded-proto", "https".parse().unwrap());
        }
        let answer = world.browser().ask(request).await;
        let cookie = answer.headers.get(header::SET_COOKIE).unwrap().to_str().unwrap();
        assert!(cookie.ends_with("; Secure"), "{cookie}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_its_time_or_by_signing_out_and_not_before() {
    let world = World::start(staffed());
    let mut anna = world.signed_in("anna").await;
    let mut stolen = anna.clone();
    world.clock.advance(Duration::from_secs(12 * 3_600 - 1));
    assert_eq!(anna.get("/").await.status, StatusCode::OK);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(anna.get("/").await.status, StatusCode::SEE_OTHER);
    let mut anna = world.signed_in("anna").await;
    stolen.cookie = anna.cookie.clone();
    let csrf = anna.get("/").await.csrf();
    assert_eq!(
        anna.post("/sign-out", &[]).await.status,
        StatusCode::FORBIDDEN,
        "without the token"
    );
    assert_eq!(anna.post("/sign-out", &[("csrf", &csrf)]).await.leads_to(), "/sign-in");
    assert_eq!(stolen.get("/").await.status, StatusCode::SEE_OTHER);
    stolen.cookie = Some("dermatel_session=0123456789abcdef".to_owned());
    assert_eq!(stolen.get("/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_say_nothing_about_names_and_soon_have_to_wait() {
    let world = World::start(staffed());
    let mut browser = world.browser();
    let wrong = browser
        .post("/sign-in", &[("name", "anna"), ("password", "wrong horse")])
        .await;
    let unknown = browser
        .post("/sign-in", &[("name", "nobody"), ("password", PASSWORD)])
        .await;
    assert_eq!(
        (wrong.status, unknown.status),
        (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED)
    );
    assert_eq!(wrong.body.replace("anna", "nobody"), unknown.body);
    assert!(browser.cookie.is_none());
    for _ in 0..4 {
        browser
            .post("/sign-in", &[("name", "anna"), ("password", "wrong horse")])
            .await;
    }
    // The right one too: else one could go on guessing and look for the other answer.
    let late = browser
        .post("/sign-in", &[("name", "anna"), ("password", PASSWORD)])
        .await;
    assert_eq!(late.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(late.body.contains("Try again in 30 s"), "{}", late.body);
    assert_eq!(
        browser
            .post("/sign-in", &[("name", "rob"), ("password", PASSWORD)])
            .await
            .status,
        StatusCode::SEE_OTHER
    );
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(
        browser
            .post("/sign-in", &[("name", "anna"), ("password", PASSWORD)])
            .await
            .status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_from_a_mail_finds_who_is_signed_in() {
    let world = World::start(staffed());
    // The browser keeps the cookie back, because another site has the link.
    let request = Request::get("/silences").header("sec-fetch-site", "cross-site");
    let bounced = world.browser().ask(request.body(Body::empty()).unwrap()).await;
    assert_eq!(bounced.status, StatusCode::OK);
    assert!(
        bounced.body.contains("<meta http-equiv=\"refresh\" content=\"0\">"),
        "{}",
        bounced.body
    );
    // The page asks again by itself, and is the same site then.
    let mut anna = world.signed_in("anna").await;
    let request = Request::get("/silences").header("sec-fetch-site", "same-origin");
    assert_eq!(
        anna.ask(request.body(Body::empty()).unwrap()).await.status,
        StatusCode::OK
    );
    let request = Request::get("/silences").header("sec-fetch-site", "same-origin");
    let nobody = world.browser().ask(request.body(Body::empty()).unwrap()).await;
    assert_eq!(nobody.leads_to(), "/sign-in?next=/silences");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_sign_in_another_name_for_this_machine_gets_no_answer() {
    let world = World::start(open());
    let alert = world.hazard("acme", "pen-1").await;
    let mut browser = world.browser();
    let csrf = browser.get(&format!("/alerts/{}", alert.id)).await.csrf();
    for host in ["rebound.example:9464", "192.168.1.7:9464"] {
        let request = Request::get("/")
            .header(header::HOST, host)
            .body(Body::empty())
            .unwrap();
        let refused = browser.ask(request).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        assert!(refused.body.contains("Only on this machine") && !refused.body.contains(&alert.id.to_string()));
        let request = Request::post(format!("/alerts/{}/acknowledge", alert.id))
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(format!("csrf={csrf}")))
            .unwrap();
        assert_eq!(browser.ask(request).await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(browser.get("/sign-in").await.leads_to(), "/");
}
