//! Fleet, devices, treatments, sterilization and pipeline: to whom they are shown, and who may record and replay.
use axum::http::StatusCode;
use bytes::Bytes;
use gateway::quarantine::Filter;
use gateway::{Submission, Verdict};

use crate::support::{World, open, staffed};

/// Something that no frame is, from a device.
async fn garbage(world: &World, tenant: &str) {
    let submission = Submission {
        topic: format!("dermatel/v1/{tenant}/north/pen-1/telemetry").parse().unwrap(),
        payload: Bytes::from_static(b"\xff\xff\xff"),
        recorded_by: None,
    };
    let verdict = world.gateway.submit(submission).await;
    assert!(matches!(verdict, Verdict::Quarantined(_)), "{verdict:?}");
}

const NOBODYS: &str = "00000000000000000000000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn who_belongs_to_a_tenant_sees_its_fleet_and_nothing_of_another() {
    let world = World::start(staffed());
    world.hazard("acme", "pen-1").await;
    world.hazard("other", "pen-1").await;
    for tenant in ["acme", "other"] {
        garbage(&world, tenant).await;
    }
    let mut anna = world.signed_in("anna").await;
    for path in [
        "/fleet",
        "/fleet?tenant=other",
        "/sterilization",
        "/pipeline",
        "/clinics/acme/north",
        "/devices/acme/pen-1",
    ] {
        let page = anna.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
        assert!(!page.body.contains("other"), "{path}: {}", page.body);
    }
    for path in [
        "/clinics/other/north",
        "/devices/other/pen-1",
        &format!("/sessions/other/pen-1/{NOBODYS}"),
        "/sterilization?tenant=other",
        "/sterilization/scan?tenant=other&code=pen-1",
    ] {
        let page = anna.get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}: {}", page.body);
    }
    // What all tenants do together is for whoever sees all.
    assert!(!anna.get("/pipeline").await.body.contains("Log telemetry"));
    let mut rob = world.signed_in("rob").await;
    let all = rob.get("/fleet").await.body;
    assert!(
        all.contains("/clinics/acme/north") && all.contains("/clinics/other/north"),
        "{all}"
    );
    let all = rob.get("/pipeline").await.body;
    assert!(
        all.contains("other&#x2f;pen-1") && all.contains("Log telemetry"),
        "{all}"
    );
    // A hazard stands on the clinic's card and on the device's page.
    let clinic = anna.get("/clinics/acme/north").await.body;
    // Too deep, and never sterilized: by one frame.
    assert!(clinic.contains("2 High"), "{clinic}");
    assert!(anna.get("/devices/acme/pen-1").await.body.contains("2.900 mm deep"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_anothers_trouble_a_tenant_is_told_that_there_is_some_and_not_whose() {
    let world = World::start(staffed());
    let (parked, store) = (
        world.health.condition("parked-tenants"),
        world.health.condition("store"),
    );
    let (anna, rob) = (world.signed_in("anna").await, world.signed_in("rob").await);
    let said = |of: &str| (of.to_owned(), format!("tenant {of} since noon: refused"));
    for stuck in [&["other"][..], &["acme", "other"]] {
        let told: Vec<_> = stuck.iter().map(|tenant| said(tenant)).collect();
        let all: Vec<_> = told.iter().map(|(_, said)| said.as_str()).collect();
        parked.remark(&all.join("; "));
        parked.tell_tenants(told.clone());
        store.red(&all.join("; "));
        store.tell_tenants(told);
        for (path, served) in [("/pipeline", &world.router), ("/v1/console/pipeline", &world.json)] {
            let of_one = anna.at(served).get(path).await.body;
            assert!(!of_one.contains("other"), "{path}: {of_one}");
            assert!(
                of_one.contains("parked-tenants") && of_one.contains("store"),
                "{path}: {of_one}"
            );
            let own = of_one.matches("tenant acme since noon").count();
            assert_eq!(own, if stuck.len() == 1 { 0 } else { 2 }, "{path}: {of_one}");
            assert_eq!(
                of_one.contains("looks after the whole installation"),
                stuck.len() == 1,
                "{of_one}"
            );
            let of_all = rob.at(served).get(path).await.body;
            assert!(of_all.contains("tenant other since noon"), "{path}: {of_all}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recording_takes_a_responder_and_reaches_no_other_tenant() {
    let world = World::start(staffed());
    let wipe = |csrf: &str, tenant: &str| {
        [
            ("csrf", csrf.to_owned()),
            ("request", "7".to_owned()),
            ("tenant", tenant.to_owned()),
            ("what", "wipe".to_owned()),
            ("device", "pen-1".to_owned()),
            ("level", "high".to_owned()),
        ]
    };
    fn fields<'f>(form: &'f [(&'f str, String)]) -> Vec<(&'f str, &'f str)> {
        form.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
    let mut anna = world.signed_in("anna").await;
    let csrf = anna.get("/sterilization").await.csrf();
    let done = anna.post("/sterilization/record", &fields(&wipe(&csrf, "acme"))).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let board = "/sterilization?tenant=acme&clinic=north&done=wipe&recorded=pen-1";
    assert_eq!(done.leads_to(), board);
    let board = anna.get(board).await.body;
    assert!(board.contains("The wipe of pen-1 is recorded."), "{board}");
    let theirs = anna.post("/sterilization/record", &fields(&wipe(&csrf, "other"))).await;
    assert_eq!(theirs.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", theirs.body);
    assert!(theirs.body.contains("no such device"), "{}", theirs.body);
    let device = anna.get("/devices/acme/pen-1").await.body;
    assert!(device.contains("/sterilization/scan?tenant=acme"), "{device}");
    let mut vera = world.signed_in("vera").await;
    let device = vera.get("/devices/acme/pen-1").await.body;
    assert!(!device.contains("/sterilization/scan"), "{device}");
    let board = vera.get("/sterilization").await;
    assert!(
        board.status == StatusCode::OK && !board.body.contains("/sterilization/record"),
        "{}",
        board.body
    );
    assert_eq!(
        vera.get("/sterilization/scan?code=pen-1").await.status,
        StatusCode::FORBIDDEN
    );
    let csrf = vera.get("/").await.csrf();
    let refused = vera.post("/sterilization/record", &fields(&wipe(&csrf, "acme"))).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn replaying_takes_a_lead_and_says_what_was_stored() {
    let world = World::start(staffed());
    garbage(&world, "acme").await;
    let id = world.gateway.quarantine().latest(&Filter::default(), 1).unwrap()[0]
        .id
        .to_string();
    for (name, status) in [("rob", StatusCode::FORBIDDEN), ("lea", StatusCode::SEE_OTHER)] {
        let mut browser = world.signed_in(name).await;
        let csrf = browser.get("/pipeline").await.csrf();
        let answer = browser.post("/pipeline/replay", &[("csrf", &csrf), ("id", &id)]).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        if status == StatusCode::SEE_OTHER {
            // Garbage stays garbage, and the page says so.
            let page = browser.get(answer.leads_to()).await.body;
            let said = "0 messages were stored. 1 is refused again: the list says why now.";
            assert!(page.contains(said), "{page}");
        }
    }
    let mut lea = world.signed_in("lea").await;
    let csrf = lea.get("/pipeline").await.csrf();
    // Neither a number that is none nor nothing at all is a reason to replay everything.
    for (fields, status) in [
        ([("csrf", csrf.as_str()), ("id", "x")], StatusCode::BAD_REQUEST),
        ([("csrf", csrf.as_str()), ("id", "")], StatusCode::BAD_REQUEST),
        (
            [("csrf", csrf.as_str()), ("reason", "nonsense")],
            StatusCode::BAD_REQUEST,
        ),
    ] {
        assert_eq!(lea.post("/pipeline/replay", &fields).await.status, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_types_into_an_address_is_text_on_the_page() {
    let world = World::start(open());
    let mut browser = world.browser();
    for (path, status) in [
        (
            "/sterilization/scan?code=%3Cscript%3Ealert(1)%3C/script%3E",
            StatusCode::BAD_REQUEST,
        ),
        ("/sterilization?done=%3Cscript%3Ealert(1)%3C/script%3E", StatusCode::OK),
        ("/pipeline?done=%3Cscript%3Ealert(1)%3C/script%3E", StatusCode::OK),
        (
            "/pipeline?reason=%3Cscript%3Ealert(1)%3C/script%3E",
            StatusCode::BAD_REQUEST,
        ),
        ("/sterilization/scan?code=", StatusCode::BAD_REQUEST),
        ("/sterilization?tenant=%00", StatusCode::BAD_REQUEST),
        (
            "/sterilization?done=wipe&recorded=%3Cscript%3E",
            StatusCode::BAD_REQUEST,
        ),
        ("/devices/acme/%3Cscript%3E", StatusCode::NOT_FOUND),
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, status, "{path}: {}", page.body);
        assert!(
            !page.body.contains("<script>alert") && page.body.contains("<h1>"),
            "{path}: {}",
            page.body
        );
    }
}
