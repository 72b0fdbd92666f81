//! Ten thousand alerts are a list of which one page is read.
use axum::http::StatusCode;

use crate::support::{World, open};

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_alerts_a_page_shows_fifty_and_counts_all() {
    let world = World::start(open());
    let one = world.hazard("acme", "pen-1").await;
    world.put_many(&one, 10_000);
    let mut browser = world.browser();
    let first = browser.get("/?device=pen-2").await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.body.matches("<li class=\"alert ").count(), 50);
    assert!(
        first.body.contains("Page 1 of 200") && first.body.contains("10000 alerts"),
        "{}",
        first.body
    );
    let last = browser.get("/?device=pen-2&page=200").await;
    assert_eq!(last.body.matches("<li class=\"alert ").count(), 50);
    assert!(!last.body.contains("rel=\"next\""));
    let beyond = browser.get("/?device=pen-2&page=201").await;
    assert!(beyond.body.contains("No alert fits"));
}
