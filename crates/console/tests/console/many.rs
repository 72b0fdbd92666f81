//! Ten thousand alerts are a list of which one page is read.
use alerting::engine::{Alert, Changes};
use alerting::id::AlertId;
use alerting::store::{Batch, Store};
use axum::http::StatusCode;
use telemetry::UnixMicros;

use crate::support::{World, open};

const MANY: u32 = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_alerts_a_page_shows_fifty_and_counts_all() {
    let world = World::start(open());
    let one = world.hazard("acme", "pen-1").await;
    let all = (0..MANY).map(|n| {
        let mut id = [0xee; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        let alert = Alert {
            id: AlertId(id),
            device: "pen-2".to_owned(),
            ..one.clone()
        };
        (alert.id, alert)
    });
    let changes = Changes {
        alerts: all.collect(),
        ..Changes::default()
    };
    let batch = Batch {
        changes,
        now: UnixMicros(1),
        ..Batch::default()
    };
    // Beside the process, whose engine knows nothing of them.
    Store::open(&world.file()).unwrap().commit(&batch).unwrap();
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
    assert!(
        browser
            .get("/?device=pen-2&page=201")
            .await
            .body
            .contains("No alert fits")
    );
}
