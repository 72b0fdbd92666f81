//! What is new reaches a page that is open, and nobody holds more than their place.
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::support::{World, open};

const SOON: Duration = Duration::from_secs(30);

async fn listen(world: &World) -> axum::response::Response {
    let request = Request::get("/console/live").header(header::HOST, "localhost");
    let request = request.body(Body::empty()).unwrap();
    world.router.clone().oneshot(request).await.unwrap()
}

/// The next piece of what is told; `None`: it is over.
async fn told(body: &mut Body) -> Option<String> {
    let frame = tokio::time::timeout(SOON, body.frame())
        .await
        .expect("something is told in time")?;
    Some(String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_is_told_of_a_new_alert_and_of_what_others_do_and_not_what() {
    let world = World::start(open());
    let answer = listen(&world).await;
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut body = answer.into_body();
    assert!(told(&mut body).await.unwrap().contains("event: live"));
    let alert = world.hazard("acme", "pen-1").await;
    let news = told(&mut body).await.unwrap();
    assert!(news.contains("event: changed") && !news.contains("acme"), "{news}");
    world.handle.acknowledge(alert.id, "ann", "").await.unwrap();
    assert!(told(&mut body).await.unwrap().contains("event: changed"));
    world.shutdown.begin("the test is over");
    while let Some(last) = told(&mut body).await {
        assert!(last.contains("changed"), "{last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_pages_as_may_be_are_live_and_one_that_goes_makes_room() {
    let world = World::start(open());
    let mut open = Vec::new();
    let refused = loop {
        let answer = listen(&world).await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
        open.push(answer);
        assert!(open.len() <= 256, "there is no bound");
    };
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(open.len() >= 32, "{}", open.len());
    open.pop();
    assert_eq!(listen(&world).await.status(), StatusCode::OK);
}
