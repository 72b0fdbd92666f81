//! Ten thousand alerts are a list of which one page is read, and many of one device are one entry of it.
use alerting::engine::Alert;
use alerting::id::AlertId;
use axum::http::StatusCode;
use serde_json::Value;
use telemetry::Priority;

use crate::support::{World, open, staffed};

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
    // There are alerts: they end before this page, and one gets back to them.
    assert!(beyond.body.contains("This page is empty now.") && !beyond.body.contains("No alert fits"));
    assert!(beyond.body.contains("To the page before"));
}

/// A flood: 14 low alerts and a high one of each of 30 pens, beside the one that is copied.
async fn flood(world: &World) -> Alert {
    let one = world.hazard("acme", "pen-1").await;
    let of = |device: u8, n: u8| Alert {
        id: AlertId([&[device, n][..], &[0xee; 14]].concat().try_into().unwrap()),
        device: format!("flood-{device}"),
        priority: if n == 7 { Priority::High } else { Priority::Low },
        ..one.clone()
    };
    world.put((0..30).flat_map(|device| (0..15).map(move |n| of(device, n))));
    one
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_flood_each_device_is_one_entry_behind_its_most_urgent_alert_and_says_how_many_more_there_are() {
    let world = World::start(open());
    flood(&world).await;
    let mut browser = world.browser();
    let page = browser.get("/?rule=depth-above-limit").await.body;
    assert!(
        page.contains("451 alerts, by device: 31") && page.contains("Page 1 of 2"),
        "{page}"
    );
    // 24 of the flood at least: each with its high alert, and the low ones folded away.
    let entries: Vec<&str> = page.split("<details class=\"more\"").collect();
    assert!((25..=26).contains(&entries.len()), "{}", entries.len());
    for folded in &entries[1..] {
        assert!(
            folded.contains("and 14 more on this device") && folded.contains("14 Low"),
            "{folded}"
        );
        assert_eq!(folded.matches("class=\"alert low").count(), 9, "{folded}");
        assert!(folded.contains("All 15 of flood-"), "{folded}");
    }
    for entry in &entries[..entries.len() - 1] {
        let at = entry.rfind("<li class=\"alert").unwrap();
        assert!(entry[at..].starts_with("<li class=\"alert high waits"), "{entry}");
    }
    // What one may choose counts alerts, not entries.
    let with_pages = page.contains("High</span> <b>31</b>") && page.contains("Low</span> <b>420</b>");
    assert!(with_pages, "{page}");
    let low = browser.get("/?rule=depth-above-limit&priority=low").await.body;
    assert!(
        low.contains("420 alerts, by device: 30") && low.contains("and 13 more on this device"),
        "{low}"
    );
    let each = browser.get("/?rule=depth-above-limit&by=alert").await.body;
    assert!(
        each.contains("Page 1 of 10") && !each.contains("<details class=\"more\""),
        "{each}"
    );
    assert_eq!(browser.get("/?by=rule").await.status, StatusCode::BAD_REQUEST);
    let beyond = browser.get("/?rule=depth-above-limit&page=3").await.body;
    assert!(
        beyond.contains("rel=\"prev\"") && beyond.contains("page=2\""),
        "{beyond}"
    );
    assert!(!beyond.contains("rel=\"next\""), "{beyond}");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_the_inbox_one_by_one_as_ever_and_by_device_if_they_ask() {
    let world = World::start(open());
    flood(&world).await;
    let mut api = world.browser();
    let mut ask = async |asked: &str| -> Value {
        let answer = api
            .get(&format!("/v1/console/inbox?rule=depth-above-limit{asked}"))
            .await;
        serde_json::from_str(&answer.body).unwrap()
    };
    let flat = ask("").await;
    assert_eq!((&flat["total"], &flat["pages"]), (&451.into(), &10.into()));
    assert_eq!(flat["alerts"].as_array().unwrap().len(), 50);
    assert_eq!(
        (&flat["groups"], &flat["groups_total"]),
        (&serde_json::json!([]), &Value::Null)
    );
    let grouped = ask("&by=device&page=2").await;
    assert_eq!((&grouped["total"], &grouped["groups_total"]), (&451.into(), &31.into()));
    let groups = grouped["groups"].as_array().unwrap();
    assert_eq!((groups.len(), &grouped["alerts"]), (6, &serde_json::json!([])));
    let of_flood = groups.iter().find(|group| group["first"]["device"] != "pen-1").unwrap();
    assert_eq!(
        (&of_flood["more"], &of_flood["first"]["priority"]),
        (&14.into(), &"high".into())
    );
    assert_eq!(
        of_flood["more_by_priority"],
        serde_json::json!([{"priority": "low", "alerts": 14}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn by_device_too_a_tenants_person_is_shown_and_counted_its_own_only() {
    let world = World::start(staffed());
    flood(&world).await;
    let foreign = world.hazard("other", "pen-2").await;
    let mut anna = world.signed_in("anna").await;
    for asked in ["/", "/?by=device&tenant=other", "/?by=device&page=2"] {
        let page = anna
            .get(&format!(
                "{asked}{}rule=depth-above-limit",
                if asked == "/" { "?" } else { "&" }
            ))
            .await;
        assert!(
            page.body.contains("451 alerts, by device: 31"),
            "{asked}: {}",
            page.body
        );
        assert!(!page.body.contains(&foreign.id.to_string()), "{asked}");
    }
}
