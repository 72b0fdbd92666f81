//! What a page shows, to whom.
use axum::http::StatusCode;

use crate::support::{World, open, staffed};

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_says_what_where_since_when_why_and_what_to_do() {
    let world = World::start(open());
    let alert = world.hazard("acme", "pen-1").await;
    let page = world.browser().get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    let high = "<span class=\"mark high\"><span class=\"sign\" aria-hidden=\"true\">!!!</span>High</span>";
    for part in [
        high,
        "Firing",
        "2.900 mm deep",
        "<b>pen-1</b> · North · acme · Back",
        "Stop the pen",
        "depth-above-limit",
        &format!("href=\"/alerts/{}\"", alert.id),
        "<time datetime=\"20",
    ] {
        assert!(page.body.contains(part), "{part} in {}", page.body);
    }
    for (asked, shown) in [
        ("/?state=firing&priority=high&device=pen-1", true),
        ("/?clinic=north&tenant=acme&rule=depth-above-limit", true),
        ("/?state=acknowledged", false),
        ("/?device=pen-2", false),
        ("/?tenant=other", false),
        ("/?page=2", false),
    ] {
        let page = world.browser().get(asked).await;
        assert_eq!(page.status, StatusCode::OK, "{asked}");
        assert_eq!(page.body.contains(&alert.id.to_string()), shown, "{asked}");
        assert!(!page.body.contains("Nothing needs anybody."), "{asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_alert_shows_its_readings_as_a_picture_that_is_also_said_in_words() {
    let world = World::start(open());
    let alert = world.hazard("acme", "pen-1").await;
    let page = world.browser().get(&format!("/alerts/{}", alert.id)).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    for part in [
        "<svg class=\"chart\"",
        "role=\"img\"",
        "<desc>20 strokes.",
        "class=\"first\"",
        "limit 1.50 mm",
        "set 0.80 mm",
        "number 110: 2.90 mm",
        "It goes on and needs somebody.",
        "Acknowledge: I know and take care",
        "In force when it was raised",
    ] {
        assert!(page.body.contains(part), "{part} in {}", page.body);
    }
    // Whose device it is, and where there is more about it.
    for part in ["href=\"/devices/acme/pen-1\"", "North · acme · Back", "serial"] {
        assert!(page.body.contains(part), "{part} in {}", page.body);
    }
    let treatment = world.browser().get(&format!("/alerts/{}/treatment", alert.id)).await;
    assert_eq!(treatment.status, StatusCode::SEE_OTHER, "{}", treatment.body);
    let nothing = world.browser().get("/alerts/00/treatment").await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
    // No session and no visit leaves the engine.
    for secret in ["03030303", "04040404", "AwMDAw", "BAQEBA"] {
        assert!(!page.body.contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_also_json_with_the_same_view() {
    let world = World::start(open());
    let alert = world.hazard("acme", "pen-1").await;
    let mut api = world.browser();
    let inbox: serde_json::Value = serde_json::from_str(
        &api.get("/v1/console/inbox?state=firing&rule=depth-above-limit")
            .await
            .body,
    )
    .unwrap();
    assert_eq!(inbox["alerts"][0]["id"], alert.id.to_string());
    assert_eq!(inbox["alerts"][0]["waits"], true);
    let one = api.get(&format!("/v1/console/alerts/{}", alert.id)).await;
    let one: serde_json::Value = serde_json::from_str(&one.body).unwrap();
    assert_eq!(one["trace"]["first"]["ordinal"], 110);
    assert_eq!(one["trace"]["columns"].as_array().unwrap().len(), 20);
    let refused = api.get("/v1/console/alerts/nothing").await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    assert!(refused.body.starts_with("{\"error\":"), "{}", refused.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_person_sees_its_own_alerts_and_silences_and_nothing_else() {
    let world = World::start(staffed());
    let (own, foreign) = (
        world.hazard("acme", "pen-1").await,
        world.hazard("other", "pen-2").await,
    );
    let mut lea = world.signed_in("lea").await;
    let fields = [("scope", "clinic"), ("span", "1h"), ("reason", "being moved")];
    let made = lea.send(&foreign, "silence", &fields).await;
    assert_eq!(made.leads_to(), "/silences?done=silenced", "{}", made.body);
    let silence = world.handle.silences().await.unwrap()[0].0;
    let mut anna = world.signed_in("anna").await;
    let inbox = anna.get("/").await.body;
    assert!(inbox.contains(&own.id.to_string()));
    for asked in [
        "/",
        "/?tenant=other",
        "/?device=pen-2",
        "/?state=firing",
        "/silences",
        &format!("/alerts/{}", own.id),
    ] {
        let page = anna.get(asked).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(!page.body.contains(&foreign.id.to_string()), "{asked}");
        assert!(
            !page.body.contains("pen-2 ·") && !page.body.contains("· other"),
            "{asked}: {}",
            page.body
        );
    }
    for asked in [
        format!("/alerts/{}", foreign.id),
        format!("/alerts/{}/silence", foreign.id),
    ] {
        assert_eq!(anna.get(&asked).await.status, StatusCode::NOT_FOUND, "{asked}");
    }
    let csrf = anna.get(&format!("/alerts/{}", own.id)).await.csrf();
    for what in ["acknowledge", "unacknowledge", "assign", "comment", "silence"] {
        let path = format!("/alerts/{}/{what}", foreign.id);
        let refused = anna
            .post(&path, &[("csrf", &csrf), ("comment", "x"), ("reason", "x")])
            .await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{what}");
    }
    let ended = anna.post(&format!("/silences/{silence}/end"), &[("csrf", &csrf)]).await;
    assert_eq!(ended.status, StatusCode::NOT_FOUND);
    assert!(
        world
            .handle
            .alert(foreign.id)
            .await
            .unwrap()
            .unwrap()
            .acknowledged_by
            .is_none()
    );
    assert_eq!(world.handle.silences().await.unwrap().len(), 1);
}
