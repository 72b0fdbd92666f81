//! Over alerting alone, of which another instance has some of the shards: nothing is said of a clinic that is not judged here.
use telemetry::shard;

use crate::support::{World, open};

fn only_acme() -> u64 {
    let of = |tenant: &str| shard(&tenant.parse().unwrap(), &"north".parse().unwrap());
    assert_ne!(of("acme"), of("other"), "the test needs two shards");
    1 << of("acme")
}

#[tokio::test]
async fn a_clinic_of_another_instance_is_counted_and_its_pages_say_whose_they_are() {
    let world = World::apart(open(), only_acme());
    let browser = &mut world.browser();
    let fleet = browser.get("/fleet").await;
    assert_eq!(fleet.status, 200);
    assert!(
        fleet
            .body
            .contains("1 clinic is looked after by another alerting instance"),
        "{}",
        fleet.body
    );
    assert!(
        fleet.body.contains("/clinics/acme/north") && !fleet.body.contains("/clinics/other/north"),
        "{}",
        fleet.body
    );
    // No alert here says nothing of theirs.
    let inbox = browser.get("/").await.body;
    assert!(
        inbox.contains("1 clinic is looked after by another alerting instance"),
        "{inbox}"
    );
    for theirs in [
        "/clinics/other/north",
        "/devices/other/pen-1",
        "/sessions/other/pen-1/00000000000000000000000000000001",
        "/sterilization?tenant=other&clinic=north",
    ] {
        let page = browser.get(theirs).await;
        assert_eq!(page.status, 421, "{theirs}");
        assert!(
            page.body.contains("<h1>Another instance has it</h1>"),
            "{theirs}: {}",
            page.body
        );
    }
    // What nobody heard of here is not overdue there.
    let board = browser.get("/sterilization?tenant=other").await;
    assert_eq!(board.status, 200);
    assert!(
        board.body.contains("looked after by another") && !board.body.contains("pen-1"),
        "{}",
        board.body
    );
    let ours = browser.get("/sterilization?tenant=acme").await;
    assert!(
        ours.body.contains("pen-1") && !ours.body.contains("looked after by another"),
        "{}",
        ours.body
    );
}

#[tokio::test]
async fn what_gateways_and_the_store_have_is_said_to_be_theirs_and_nothing_is_taken_for_them() {
    let world = World::apart(open(), u64::MAX);
    let alert = world.hazard("acme", "pen-1").await;
    let browser = &mut world.browser();
    let page = browser.get(&format!("/alerts/{}", alert.id)).await;
    assert!(page.status == 200 && page.body.contains("<svg"), "{}", page.body);
    let csrf = page.csrf();
    let device = browser.get("/devices/acme/pen-1").await;
    assert!(
        device.body.contains("dermatel ingestor") && !device.body.contains("/sterilization/scan"),
        "{}",
        device.body
    );
    let pipeline = browser.get("/pipeline").await;
    assert!(
        pipeline.body.contains("dermatel quarantine") && !pipeline.body.contains("Nothing was refused"),
        "{}",
        pipeline.body
    );
    for form in ["/sterilization/record", "/pipeline/replay"] {
        let fields = [("csrf", csrf.as_str()), ("reason", "malformed")];
        let refused = browser.post(form, &fields).await;
        assert_eq!(refused.status, 421, "{form}: {}", refused.body);
    }
}
