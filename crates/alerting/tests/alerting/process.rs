//! The whole way: a record in the log, a page at a real HTTP receiver.
use alerting::lifecycle::State;
use serde_json::Value;

use std::time::Duration;

use crate::desk::{
    Answer, Desk, Running, depth_pages, file, hasty_receiver, hazard, nothing_waits, open_log, pulse, receiver, until,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_hazard_in_the_log_becomes_a_page_that_says_what_where_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    let running = Running::start(dir.path(), vec![receiver(desk.listen().await)]);
    running.append(&[hazard("pen-1", 1).record()]);
    let page = until("a page", || depth_pages(&desk).pop()).await;
    assert_eq!(page.body["priority"], "high");
    assert_eq!(page.body["where"], "device pen-1 at north, zone cheek");
    assert_eq!(
        page.body["what_happened"],
        "one stroke 1.400 mm deep, the limit is 1.000 mm"
    );
    assert!(
        page.body["what_to_do"]
            .as_str()
            .unwrap()
            .starts_with("Stop the pen now")
    );
    assert_eq!(page.body["possible_repeat"], false);
    assert_eq!(page.key, page.body["transition_id"].as_str().unwrap());
    assert!(running.health.is_ready());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_log_when_a_stop_begins_is_judged_and_paged_before_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    {
        let log = open_log(dir.path());
        for n in 1..=10u64 {
            crate::crash::append(&log, &hazard(&format!("pen-{}", n % 6 + 1), n).record());
        }
    }
    // It begins with what is there, and is told to end before it has read anything.
    // The first attempts fail: as long as there is time they are tried again.
    desk.script(&[Answer::Status(503), Answer::Status(500)]);
    let running = Running::start(dir.path(), vec![receiver(desk.listen().await)]);
    running.stop().await;
    assert_eq!(depth_pages(&desk).len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_answers_when_it_is_durable_and_applied() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    let running = Running::start(dir.path(), vec![receiver(desk.listen().await)]);
    running.append(&[hazard("pen-1", 1).record()]);
    let page = until("a page", || depth_pages(&desk).pop()).await;
    let id = page.body["alert_id"].as_str().unwrap().parse().unwrap();
    let router = alerting::api::router(running.handle.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let client = reqwest::Client::new();
    let url = format!("{base}/alerts/{id}/acknowledge");
    let body = r#"{"actor": "ann", "comment": "on my way"}"#;
    let said = client
        .post(&url)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(said.status(), 200);
    let said: Value = serde_json::from_str(&said.text().await.unwrap()).unwrap();
    assert_eq!(
        (&said["state"], &said["acknowledged_by"]),
        (&"acknowledged".into(), &"ann".into())
    );
    let list = client
        .get(format!("{base}/alerts?state=acknowledged"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert!(list[0].get("visit").is_none() && list[0].get("session").is_none());
    assert_eq!(
        client
            .get(format!("{base}/alerts?state=odd"))
            .send()
            .await
            .unwrap()
            .status(),
        400
    );
    assert_eq!(
        client
            .get(format!("{base}/alerts/{}", "0".repeat(32)))
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    assert_eq!(client.post(&url).body("{}").send().await.unwrap().status(), 415);
    running.stop().await;
    // A row of its own says who, when and to what effect; the comment stands beside the chain.
    assert_eq!(crate::journal::count(dir.path(), "acknowledge"), 1);
    let db = rusqlite::Connection::open(file(dir.path())).unwrap();
    let body: String = db
        .query_row("SELECT body FROM journal WHERE kind = 'acknowledge'", [], |row| {
            row.get(0)
        })
        .unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["actor"], &body["effect"]), (&"ann".into(), &true.into()));
    assert_eq!(body["alert"], page.body["alert_id"]);
    let text: String = db
        .query_row(
            "SELECT text FROM free_text WHERE digest = unhex(?1)",
            [body["comment_digest"].as_str().unwrap()],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(text, "on my way");
    // It is on disk, not only in memory.
    let again = alerting::store::Store::open(&file(dir.path())).unwrap();
    assert_eq!(again.alert(id).unwrap().unwrap().state(), State::Acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_throttles_and_hangs_gets_its_page_all_the_same_and_a_repeat_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    desk.script(&[Answer::Status(500), Answer::Status(429), Answer::Hang]);
    let hasty = hasty_receiver(desk.listen().await, Duration::from_secs(2));
    let running = Running::start(dir.path(), vec![hasty]);
    let mut said = hazard("pen-1", 1);
    // Only the depth rule: the pen's other alerts would take part of the script.
    said.device = "ipl-1".into();
    said.body = pulse(said.at_us);
    running.append(&[said.record()]);
    until("a page", || desk.accepted().pop()).await;
    let got = desk.got();
    assert_eq!(got.len(), 4);
    assert!(
        got.iter().all(|g| g.key == got[0].key),
        "every attempt has one idempotency key"
    );
    let repeats: Vec<_> = got
        .iter()
        .map(|g| g.body["possible_repeat"].as_bool().unwrap())
        .collect();
    assert_eq!(repeats, [false, true, true, true]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_a_receiver_refuses_for_ever_is_undelivered_and_seen() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    desk.script(&[Answer::Status(422)]);
    let running = Running::start(dir.path(), vec![receiver(desk.listen().await)]);
    let mut said = hazard("ipl-1", 1);
    said.body = pulse(said.at_us);
    running.append(&[said.record()]);
    let told = until("the alert about it", || {
        let accepted = desk.accepted().into_iter();
        accepted
            .map(|page| page.body)
            .find(|body| body["kind"] == "page_undelivered")
    })
    .await;
    assert!(told["what_happened"].as_str().unwrap().contains("rejected"), "{told}");
    nothing_waits(&running).await;
    running.stop().await;
    let got = desk.got();
    let (lost, others) = got.split_first().unwrap();
    assert!(others.iter().all(|page| page.key != lost.key), "it was not tried again");
    assert_eq!(crate::journal::count(dir.path(), "undelivered"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_input_costs_only_itself_and_stands_in_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    let running = Running::start(dir.path(), vec![receiver(desk.listen().await)]);
    running.append(&[
        b"no protobuf at all".to_vec(),
        Vec::new(),
        hazard("pen-1", 1).record(),
        vec![0xff; 300],
    ]);
    until("a page", || depth_pages(&desk).pop()).await;
    running.stop().await;
    assert_eq!(crate::journal::count(dir.path(), "rejected"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transition_reaches_the_store_with_the_frames_that_show_it() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    let running = Running::start(dir.path(), vec![receiver(desk.listen().await)]);
    let said = hazard("pen-1", 1);
    running.append(&[said.record()]);
    let page = until("a page", || depth_pages(&desk).pop()).await;
    let id: alerting::id::TransitionId = page.body["transition_id"].as_str().unwrap().parse().unwrap();
    let found = until("a transition", || {
        let kept = running.outlet.0.lock().unwrap();
        kept.iter().find_map(|m| {
            let t: telemetry::proto::AlertTransition = prost::Message::decode(&m.payload[..]).unwrap();
            (t.transition_id == id.0).then_some((m.clone(), t))
        })
    })
    .await;
    assert_eq!(
        (found.1.to_state.as_str(), found.1.value, found.0.device.as_str()),
        ("firing", 1400.0, "pen-1")
    );
    // What the time to acknowledge is counted from.
    assert_eq!(found.1.raised_at_us, Some(found.1.decided_at_us));
    running.stop().await;
    let store = alerting::store::Store::open(&file(dir.path())).unwrap();
    let evidence = store.evidence(id).unwrap();
    assert_eq!(evidence.last().unwrap().1.as_deref(), Some(&said.record()[..]));
    // The next step after a restart is after all of them.
    let last = crate::journal::last_step(dir.path());
    assert_eq!(store.load().unwrap().0.stepped.0, last);
}

#[tokio::test(flavor = "multi_thread")]
async fn transitions_whose_store_is_away_wait_and_hold_up_nobody_elses() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), Vec::new());
    *running.outlet.1.lock().unwrap() = Some("pen-1");
    let kept = |device: &str| {
        let kept = running.outlet.0.lock().unwrap();
        kept.iter().any(|one| one.device.as_str() == device).then_some(())
    };
    running.append(&[hazard("pen-1", 1).record()]);
    running.append(&[hazard("pen-2", 1).record()]);
    until("the neighbour's transition", || kept("pen-2")).await;
    assert_eq!(kept("pen-1"), None);
    *running.outlet.1.lock().unwrap() = None;
    until("what had to wait", || kept("pen-1")).await;
    running.stop().await;
    let store = alerting::store::Store::open(&file(dir.path())).unwrap();
    assert_eq!(store.outlet(0, 1).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_it_was_and_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    let address = desk.listen().await;
    let running = Running::start(dir.path(), vec![receiver(address)]);
    running.append(&[hazard("pen-1", 1).record()]);
    until("a page", || depth_pages(&desk).pop()).await;
    nothing_waits(&running).await;
    running.stop().await;
    let before = desk.got().len();
    let running = Running::start(dir.path(), vec![receiver(address)]);
    running.append(&[hazard("pen-2", 1).record()]);
    until("the second page", || (depth_pages(&desk).len() == 2).then_some(())).await;
    running.stop().await;
    let keys: std::collections::BTreeSet<_> = desk.got().into_iter().map(|g| g.key).collect();
    assert_eq!(keys.len(), desk.got().len(), "nothing came twice");
    assert!(before >= 1);
}
