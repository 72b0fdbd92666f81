//! Rules are reloaded while it runs: state stays, a fault leaves the old ones, and the journal says by what was judged.
use std::path::Path;

use alerting::Config;
use alerting::lifecycle::State;
use serde_json::Value;

use crate::desk::{Desk, Running, depth_pages, file, hazard, receiver, until};

const RULES: &str = include_str!("../../../../deploy/rules/default.toml");

fn write(dir: &Path, text: &str) {
    std::fs::write(dir.join("rules/rules.toml"), text).unwrap();
}

async fn reload(running: &Running) -> (u16, Value) {
    let router = alerting::api::router(running.handle.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/rules/reload", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let answer = reqwest::Client::new().post(url).send().await.unwrap();
    let status = answer.status().as_u16();
    let said = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    server.abort();
    (status, said)
}

/// Rows of the journal, as (number, kind, body).
fn rows(dir: &Path) -> Vec<(i64, String, Value)> {
    let db = rusqlite::Connection::open(file(dir)).unwrap();
    let mut statement = db.prepare("SELECT n, kind, body FROM journal ORDER BY n").unwrap();
    let rows = statement.query_map([], |row| {
        let body: String = row.get(2)?;
        Ok((row.get(0)?, row.get(1)?, serde_json::from_str(&body).unwrap()))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn configured(dir: &Path, version: &Value) -> Option<i64> {
    let rows = rows(dir).into_iter();
    rows.filter(|(_, kind, body)| kind == "configured" && body["rules"] == *version)
        .map(|(n, ..)| n)
        .next_back()
}

#[tokio::test(flavor = "multi_thread")]
async fn reloaded_rules_hold_once_the_log_says_so_with_state_kept_and_a_fault_leaves_the_old_ones() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("rules")).unwrap();
    write(dir.path(), RULES);
    let desk = Desk::default();
    let config = Config {
        rules: Some(dir.path().join("rules")),
        receivers: vec![receiver(desk.listen().await)],
        ..Config::new(file(dir.path()))
    };
    let running = Running::start_with(dir.path(), config);
    running.append(&[hazard("pen-1", 1).record()]);
    let first = until("a page", || depth_pages(&desk).pop()).await;
    let id = first.body["alert_id"].as_str().unwrap().parse().unwrap();

    // A fault: every one is named, nothing changes.
    write(dir.path(), &RULES.replace("k_strokes = 3", "k_strokes = 11"));
    let (status, said) = reload(&running).await;
    assert_eq!(status, 422);
    assert!(
        said["faults"][0]
            .as_str()
            .unwrap()
            .contains("k_strokes and n_strokes must be"),
        "{said}"
    );
    running.append(&[hazard("pen-2", 1).record()]);
    until("a page by the old rules", || {
        (depth_pages(&desk).len() == 2).then_some(())
    })
    .await;

    // Without the depth rule nothing is too deep any more, and what fires goes on.
    write(
        dir.path(),
        &RULES.replacen(
            "kind = \"depth_above_limit\"",
            "kind = \"depth_above_limit\"\nenabled = false",
            1,
        ),
    );
    let (status, said) = reload(&running).await;
    assert_eq!(status, 200);
    let at = until("the new rules in the journal", || {
        configured(dir.path(), &said["version"])
    })
    .await;
    running.append(&[hazard("pen-3", 1).record()]);
    let told = |rule: &str| {
        let rows = rows(dir.path()).into_iter();
        rows.filter(|(n, kind, body)| {
            kind == "transition" && *n > at && body["device"] == "pen-3" && body["rule"] == rule
        })
        .count()
    };
    until("another rule for pen-3", || {
        (told("sterilization-overdue") > 0).then_some(())
    })
    .await;
    assert_eq!(told("depth-above-limit"), 0);
    let alert = running.handle.acknowledge(id, "ann", "").await.unwrap();
    assert_eq!(alert.state(), State::Acknowledged);

    // And back: every page by the new rules stands after the row that says so.
    write(dir.path(), RULES);
    let (_, said) = reload(&running).await;
    let again = until("the old rules again", || {
        configured(dir.path(), &said["version"]).filter(|n| *n > at)
    })
    .await;
    running.append(&[hazard("pen-4", 1).record()]);
    until("a page", || (depth_pages(&desk).len() == 3).then_some(())).await;
    running.stop().await;
    let rows = rows(dir.path());
    let paged = rows
        .iter()
        .find(|(_, _, b)| b["device"] == "pen-4" && b["rule"] == "depth-above-limit")
        .unwrap();
    assert!(paged.0 > again);
}
