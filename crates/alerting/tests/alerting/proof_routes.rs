//! Proof over HTTP: why an alert, for programs and for people, and erasing what people wrote about it.
use alerting::intake::Action;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::desk::{Desk, Running, depth_pages, hazard, nothing_waits, receiver, until};

/// The interface of a running alerting.
pub(crate) struct Api {
    base: String,
}

impl Api {
    pub(crate) async fn serve(running: &Running) -> Self {
        let router = alerting::api::router(running.handle.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base }
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, String) {
        let mut request = reqwest::Client::new().request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_explained_over_http_and_what_people_wrote_about_it_can_be_erased_and_the_journal_stays_whole() {
    const SAID: &str = "the client with the red scarf fainted";
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    let running = Running::start(dir.path(), vec![receiver(desk.listen().await)]);
    let api = Api::serve(&running).await;
    running.append(&[hazard("pen-1", 1).record()]);
    let page = until("a page", || depth_pages(&desk).pop()).await;
    let id = page.body["alert_id"].as_str().unwrap().to_owned();
    let alert = id.parse().unwrap();
    let annotate = Action::Annotate(alert);
    running.handle.on_alert(annotate, "ann", SAID).await.unwrap();
    nothing_waits(&running).await;

    let explain = format!("/alerts/{id}/explain");
    let (status, json) = api.ask(Method::GET, &explain, None).await;
    assert_eq!(status, 200, "{json}");
    let story: Value = serde_json::from_str(&json).unwrap();
    assert!(
        story["delays"].as_array().is_some_and(|delays| !delays.is_empty()),
        "{story}"
    );
    assert!(json.contains(SAID) && json.contains("depth-above-limit"), "{json}");
    let (status, text) = api.ask(Method::GET, &format!("{explain}?format=text"), None).await;
    assert!(
        status == 200 && text.contains("pen-1") && text.contains("desk") && text.contains(SAID),
        "{text}"
    );
    assert!(serde_json::from_str::<Value>(&text).is_err(), "for people");

    // What is asked wrongly is said, and erases nothing.
    let nobody = "0".repeat(32);
    let erase = format!("/alerts/{id}/erase-text");
    let ann = || Some(json!({"actor": "ann"}));
    for (method, path, body, expected) in [
        (Method::GET, format!("{explain}?format=pdf"), None, 400),
        (Method::GET, "/alerts/xyz/explain".to_owned(), None, 400),
        (Method::GET, format!("/alerts/{nobody}/explain"), None, 404),
        (Method::POST, "/alerts/xyz/erase-text".to_owned(), ann(), 400),
        (Method::POST, erase.clone(), Some(json!({"actor": ""})), 400),
        (Method::POST, erase.clone(), Some(json!({"who": "ann"})), 422),
        (Method::GET, erase.clone(), None, 405),
    ] {
        let (status, said) = api.ask(method, &path, body).await;
        assert_eq!(status, expected, "{path}: {said}");
    }
    let (_, json) = api.ask(Method::GET, &explain, None).await;
    assert!(json.contains(SAID));

    let (status, said) = api.ask(Method::POST, &erase, ann()).await;
    assert_eq!((status.as_u16(), said.as_str()), (200, r#"{"erased":1}"#));
    for path in [explain.clone(), format!("{explain}?format=text")] {
        let (status, said) = api.ask(Method::GET, &path, None).await;
        assert!(status == 200 && !said.contains("scarf"), "{said}");
    }
    let (_, said) = api.ask(Method::POST, &erase, ann()).await;
    assert_eq!(said, r#"{"erased":0}"#, "nothing is left");
    let (status, said) = api.ask(Method::GET, "/journal/verify", None).await;
    let verified: Value = serde_json::from_str(&said).unwrap();
    assert!(status == 200 && verified["whole"] == true, "{said}");
    running.stop().await;
}
