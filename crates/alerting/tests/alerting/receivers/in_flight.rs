//! Attempts that are under way when something happens: the receiver breaks off, or a person acknowledges.
use std::sync::{Arc, Mutex};

use alerting::Config;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::provider::{Answer, Provider};
use super::schemas::WEBHOOK;
use super::{elsewhere, receivers, rows};
use crate::desk::{Running, file, nothing_waits, until};

type Bodies = Arc<Mutex<Vec<Value>>>;

/// Takes each POST whole, says as much of an answer as `script` has for it, and resets the connection; when the script is over it
/// answers well.
async fn resetting(script: &'static [&'static str]) -> (String, Bodies) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/page", listener.local_addr().unwrap());
    let bodies = Bodies::default();
    let seen = Arc::clone(&bodies);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let Some(body) = post(&mut stream).await else { continue };
            let nth = {
                let mut seen = seen.lock().unwrap();
                seen.push(body);
                seen.len() - 1
            };
            let whole = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(script.get(nth).unwrap_or(&whole).as_bytes()).await;
            if nth < script.len() {
                // No FIN: whoever reads on gets ECONNRESET.
                let _ = stream.set_zero_linger();
            }
        }
    });
    (url, bodies)
}

/// The body of one request.
async fn post(stream: &mut tokio::net::TcpStream) -> Option<Value> {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4_096];
        let read = stream.read(&mut part).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some(body) = text
            .split("\r\n\r\n")
            .nth(1)
            .and_then(|body| serde_json::from_str(body).ok())
        {
            return Some(body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_resets_before_its_status_is_asked_again_with_the_mark_and_after_it_the_status_stands() {
    // Cut within the status line; a status that refuses for now, cut within its body; one that takes it, cut within its body.
    const CUT: &[&str] = &[
        "HTTP/1.1 20",
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 100\r\n\r\nsor",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nta",
    ];
    let dir = tempfile::tempdir().unwrap();
    let (url, bodies) = resetting(CUT).await;
    let toml = format!("[[receivers]]\nname = \"pager\"\nwebhook = {{ url = \"{url}\", timeout = \"5s\" }}\n");
    let running = Running::start(dir.path(), receivers(&toml));
    elsewhere(&running, true);
    until("a receipt", || rows(dir.path(), "delivered").pop()).await;
    nothing_waits(&running).await;
    running.stop().await;
    let marks: Vec<Value> = bodies
        .lock()
        .unwrap()
        .iter()
        .map(|b| b["possible_repeat"].clone())
        .collect();
    assert_eq!(marks, [false, true, true], "nobody knows whether the first was taken");
    let reasons: Vec<Value> = rows(dir.path(), "failed")
        .iter()
        .map(|row| row["reason"].clone())
        .collect();
    assert_eq!(reasons, ["broken", "receiver"]);
    let delivered = rows(dir.path(), "delivered");
    assert_eq!(
        (delivered.len(), &delivered[0]["attempts"]),
        (1, &3.into()),
        "{delivered:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_takes_back_the_page_and_its_copy_for_the_fallback_also_while_an_attempt_is_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let (pager, chat) = (Provider::new(WEBHOOK), Provider::new(WEBHOOK));
    pager.script([Answer::Hang]);
    chat.always(Some(500));
    let mut both = receivers(&format!(
        "[[receivers]]\nname = \"pager\"\nfallback = \"chat\"\nundelivered_after = {{ high = \"100ms\", medium = \"10m\", low = \"30m\" }}\n\
         webhook = {{ url = \"{}/page\", timeout = \"10s\" }}\n\
         [[receivers]]\nname = \"chat\"\nwebhook = {{ url = \"{}/chat\" }}\n",
        pager.listen().await,
        chat.listen().await
    ));
    // Nothing goes there but copies.
    both[1].tenants = vec!["other".parse().unwrap()];
    let running = Running::start(dir.path(), both);
    elsewhere(&running, true);
    let calls = |to: &Provider| {
        let requests = to.requests().into_iter();
        requests
            .filter(|r| r.body["device"] == "elsewhere" && r.body["state"] == "firing")
            .collect::<Vec<_>>()
    };
    // The pager has it and says nothing; the fallback does not take its copy.
    until("the copy is refused", || (calls(&chat).len() >= 2).then_some(())).await;
    let id = calls(&pager)[0].body["alert_id"].as_str().unwrap().parse().unwrap();
    running.handle.acknowledge(id, "ann", "").await.unwrap();
    let cancelled = rows(dir.path(), "cancelled");
    assert_eq!(
        (cancelled.len(), &cancelled[0]["pages"]),
        (1, &2.into()),
        "{cancelled:?}"
    );
    // One attempt of each may be under way; they end, and none follows.
    until("the end of the attempt", || {
        let failed = rows(dir.path(), "failed");
        let ended = |row: &&Value| row["receiver"] == "pager" && row["reason"] == "timeout";
        failed.iter().find(ended).map(drop)
    })
    .await;
    chat.always(None);
    nothing_waits(&running).await;
    // What comes later is through, so nothing of the first is on its way any more.
    elsewhere(&running, false);
    until("the end is told", || {
        let taken = pager.taken();
        taken
            .iter()
            .any(|page| page["device"] == "elsewhere" && page["state"] == "resolved")
            .then_some(())
    })
    .await;
    nothing_waits(&running).await;
    running.stop().await;
    assert_eq!(calls(&pager).len(), 1, "not tried again");
    let taken = calls(&chat).into_iter().filter(|call| call.taken).count();
    assert_eq!(taken, 0, "the copy never arrives after the acknowledgement");
}

/// Three calls of one receiver, a second apart, and then none for an hour.
const CALLS: &str = "[[chain]]\nname = \"c\"\nrepeat_every = \"1h\"\nsteps = [{ tell = [\"receiver:pager\"], wait = \"1s\" }, \
    { tell = [\"receiver:pager\"], wait = \"1s\" }, { tell = [\"receiver:pager\"], wait = \"1h\" }]\n\
    [[route]]\nchain = \"c\"\nmin_priority = \"info\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_comes_back_hears_of_the_first_page_and_of_the_last_call_and_not_of_each_between() {
    let dir = tempfile::tempdir().unwrap();
    let pager = Provider::new(WEBHOOK);
    pager.always(Some(503));
    std::fs::create_dir(dir.path().join("paging")).unwrap();
    std::fs::write(dir.path().join("paging/plan.toml"), CALLS).unwrap();
    let toml = format!(
        "[[receivers]]\nname = \"pager\"\nwebhook = {{ url = \"{}/page\" }}\n",
        pager.listen().await
    );
    let config = Config {
        receivers: receivers(&toml),
        paging: Some(dir.path().join("paging")),
        ..Config::new(file(dir.path()))
    };
    let running = Running::start_with(dir.path(), config);
    elsewhere(&running, true);
    until("three calls", || (rows(dir.path(), "paged").len() == 3).then_some(())).await;
    // It has been wanted since the second call: that one was replaced, and what is overdue stays so.
    let db = rusqlite::Connection::open(file(dir.path())).unwrap();
    let last = "SELECT made_us, due_us FROM outbox WHERE json_extract(body, '$.step') = 3";
    let (made, wanted): (i64, i64) = db.query_row(last, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert!(0 < wanted && wanted < made, "{wanted} {made}");
    pager.always(None);
    nothing_waits(&running).await;
    let taken: Vec<Value> = pager.taken();
    let id = taken[0]["alert_id"].as_str().unwrap().parse().unwrap();
    let told = running.handle.explain(id).await.unwrap().unwrap().told;
    running.stop().await;
    assert_eq!(
        taken.iter().map(|page| page["step"].clone()).collect::<Vec<_>>(),
        [1, 3]
    );
    let outcomes: Vec<&str> = told.iter().map(|page| page.outcome.as_str()).collect();
    assert_eq!(
        outcomes,
        ["delivered", "superseded by a later call", "delivered"],
        "{told:?}"
    );
    let superseded = rows(dir.path(), "superseded");
    assert_eq!(superseded.len(), 1);
    assert_eq!(superseded[0]["by"], told[2].page.as_str());
}
