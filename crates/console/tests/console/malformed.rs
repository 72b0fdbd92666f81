//! Whatever a request looks like, its answer can be read: a page, or JSON where JSON is asked for; never nothing, never bare text.
use std::collections::BTreeSet;
use std::path::Path;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode, header};
use futures_util::stream;

use crate::support::{Answer, Browser, World, open, staffed};

/// What stands where a route has a name, apart from names that are there.
const PIECES: [&str; 5] = ["x", "%FF", "%00", "%0D%0A", "%2F..%2F"];
/// Every name that a query or form of the console knows.
const NAMES: [&str; 22] = [
    "next", "name", "password", "csrf", "state", "page", "priority", "scope", "span", "tenant", "clinic", "device",
    "reason", "done", "code", "by", "id", "seen", "comment", "assignee", "request", "what",
];

/// All routes of the code, the pages and their JSON.
fn routes(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            routes(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let pages = text.split(".route(\"").skip(1);
            let json = text
                .split("json::<")
                .skip(1)
                .filter_map(|call| Some(call.split_once(">(\"")?.1));
            found.extend(pages.chain(json).map(|call| call.split('"').next().unwrap().to_owned()));
        }
    }
}

/// The route with something in the place of its names.
fn filled(route: &str, alert: &str, piece: Option<&str>) -> String {
    let good = [
        ("{id}", alert),
        ("{tenant}", "acme"),
        ("{clinic}", "north"),
        ("{device}", "pen-1"),
        ("{session}", "00000000000000000000000000000001"),
    ];
    good.iter().fold(route.to_owned(), |path, (name, good)| {
        path.replace(name, piece.unwrap_or(good))
    })
}

/// Every name, each said so; between them.
fn all(said: &str) -> String {
    NAMES.map(|name| format!("{name}={said}")).join("&")
}

fn can_be_read(of: &str, answer: &Answer) {
    let kind = answer
        .headers
        .get(header::CONTENT_TYPE)
        .map_or("", |kind| kind.to_str().unwrap());
    let said = format!("{of}: {} {kind}: {:.200}", answer.status, answer.body);
    if answer.status.is_redirection() {
        assert!(answer.leads_to().starts_with('/'), "{said}");
    } else if of.contains(" /v1/") {
        let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{said}"));
        assert!(kind.starts_with("application/json"), "{said}");
        assert!(answer.status == StatusCode::OK || json["error"].is_string(), "{said}");
    } else {
        assert!(kind.starts_with("text/html") && answer.body.contains("<h1"), "{said}");
    }
}

async fn ask(browser: &mut Browser, method: Method, path: &str, kind: Option<&str>, body: &[u8]) {
    let of = format!("{method} {path} {kind:?} {:.40}", String::from_utf8_lossy(body));
    let mut request = Request::builder().method(method).uri(path);
    if let Some(kind) = kind {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    let answer = browser.ask(request.body(Body::from(body.to_vec())).unwrap()).await;
    can_be_read(&of, &answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_an_address_or_a_form_says_the_answer_is_a_page_or_json() {
    let mut all_routes = BTreeSet::new();
    routes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all_routes);
    assert!(
        all_routes.len() > 20 && all_routes.contains("/v1/console/inbox"),
        "{all_routes:?}"
    );
    let form = Some("application/x-www-form-urlencoded");
    for config in [open(), staffed()] {
        let signs_in = !config.open;
        let world = World::start(config);
        let alert = world.hazard("acme", "pen-1").await.id.to_string();
        let mut browser = match signs_in {
            true => world.signed_in("lea").await,
            false => world.browser(),
        };
        let csrf = browser.get("/").await.csrf();
        let queries = [
            "%".to_owned(),
            "=&&=;".to_owned(),
            all("%FF"),
            all("%0D%0A"),
            [all("a"), all("b")].join("&"),
        ];
        let odd = [all("%0D%0A"), all("%FF"), [all("a"), all("b")].join("&")].map(|said| said.replace("csrf=", "c="));
        let odd = odd.map(|said| format!("csrf={csrf}&{said}"));
        let forms = [
            (None, &b""[..]),
            (form, b""),
            (form, b"\xff\x00"),
            (form, odd[0].as_bytes()),
            (form, odd[1].as_bytes()),
            (form, odd[2].as_bytes()),
            (Some("application/json"), b"{}"),
            (Some("\u{ff}"), b"{"),
        ];
        for route in &all_routes {
            for piece in [None].into_iter().chain(PIECES.map(Some)) {
                let path = filled(route, &alert, piece);
                for query in &queries {
                    ask(&mut browser, Method::GET, &format!("{path}?{query}"), None, b"").await;
                }
                for (kind, body) in forms {
                    // It would sign out whoever asks on.
                    let mut sender = browser.clone();
                    ask(&mut sender, Method::POST, &path, kind, body).await;
                }
                ask(&mut browser, Method::PUT, &path, form, b"a=b").await;
                ask(&mut world.browser(), Method::DELETE, &path, None, b"").await;
                ask(&mut world.browser(), Method::GET, &path, None, b"").await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_cannot_be_read_is_the_sign_in_again_and_says_so() {
    let world = World::start(staffed());
    let mut browser = world.browser();
    let odd = [
        browser.get("/sign-in?next=a&next=b").await,
        browser.post("/sign-in", &[("name", "anna")]).await,
        browser
            .post("/sign-in", &[("name", "anna"), ("name", "anna"), ("password", "x")])
            .await,
    ];
    for answer in odd {
        assert_eq!(answer.status.as_u16() / 100, 4, "{}", answer.body);
        assert!(
            answer.body.contains("name=\"password\"") && answer.body.contains("role=\"alert\""),
            "{}",
            answer.body
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_answered_whatever_the_form_says_about_where_to_go_on() {
    let world = World::start(open());
    let alert = world.hazard("acme", "pen-1").await;
    let mut browser = world.browser();
    let to_alert = format!("/alerts/{}?done=commented", alert.id);
    for (next, goes) in [
        ("/?state=firing", "/?state=firing&done=commented"),
        ("/?a\r\nset-cookie: a=b", &to_alert),
        ("/?a\0", &to_alert),
        ("/?a\u{7f}", &to_alert),
        ("/?a\u{85}", &to_alert),
        ("/?a ü", &to_alert),
        ("//evil.example", &to_alert),
        ("/\\evil.example", &to_alert),
        (&format!("/?{}", "x".repeat(5_000)), &to_alert),
    ] {
        let answer = browser
            .send(&alert, "comment", &[("comment", "seen"), ("next", next)])
            .await;
        assert_eq!(
            (answer.status, answer.leads_to()),
            (StatusCode::SEE_OTHER, goes),
            "{next:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_form_that_never_comes_whole_is_answered_by_a_page() {
    let world = World::start(open());
    for path in ["/sign-in", "/pipeline/replay"] {
        let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(never)
            .unwrap();
        let mut browser = world.browser();
        let answer = tokio::time::timeout(service::http::ANSWER_WITHIN, browser.ask(request))
            .await
            .expect("an answer");
        assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT, "{path}");
        assert!(answer.body.contains("<h1>Given up</h1>"), "{path}: {}", answer.body);
    }
}
