//! A real Alertmanager receives, groups and resolves our alerts, and does not lose them.
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use service::testing::free_port;

use super::{elsewhere, receiver, rows};
use crate::desk::{Running, hazard, nothing_waits};

/// An Alertmanager on loopback, with its own folder; ends with the test.
struct Alertmanager {
    child: Child,
    url: String,
}

/// What is shipped, but: it would resolve by silence within a second.
fn config() -> String {
    let shipped = include_str!("../../../../../deploy/alertmanager/alertmanager.yml");
    assert!(shipped.contains("resolve_timeout: 5m"));
    shipped.replace("resolve_timeout: 5m", "resolve_timeout: 1s")
}

impl Alertmanager {
    fn start(dir: &Path, port: u16) -> Self {
        let config = dir.join("alertmanager.yml");
        std::fs::write(&config, self::config()).unwrap();
        let log = std::fs::File::create(dir.join("alertmanager.log")).unwrap();
        let child = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus-alertmanager is missing: `cargo xtask test` installs it");
        Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
        }
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let answer = reqwest::get(format!("{}/api/v2/{path}", self.url)).await.ok()?;
        serde_json::from_str(&answer.text().await.ok()?).ok()
    }

    async fn wait(&self, what: &str, path: &str, fine: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let found = self.get(path).await;
            if let Some(found) = found.as_ref().and_then(Value::as_array).filter(|found| fine(found)) {
                return found.clone();
            }
            assert!(Instant::now() < end, "waited in vain: {what}: {found:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn alerts(&self, what: &str, fine: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        self.wait(what, "alerts", fine).await
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(dir: &Path, there: &Alertmanager, renew_every: &str) -> Running {
    let toml = format!(
        "name = \"am\"\nalertmanager = {{ url = \"{}\", renew_every = \"{renew_every}\", hold = \"7d\" }}\n",
        there.url
    );
    Running::start(dir, vec![receiver(&toml)])
}

fn firing<'a>(alerts: &'a [Value], rule: &str) -> Vec<&'a Value> {
    alerts
        .iter()
        .filter(|alert| alert["labels"]["alertname"] == rule)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_alertmanager_receives_groups_and_resolves_our_alerts() {
    let dir = tempfile::tempdir().unwrap();
    let there = Alertmanager::start(dir.path(), free_port());
    there.alerts("its start", |_| true).await;
    let running = start(dir.path(), &there, "1h");
    running.append(&[hazard("pen-1", 1).record(), hazard("pen-2", 1).record()]);
    elsewhere(&running, true);
    let alerts = there
        .alerts("three alerts", |all| {
            firing(all, "depth-above-limit").len() == 2 && firing(all, "page-undelivered").len() == 1
        })
        .await;
    let deep = firing(&alerts, "depth-above-limit")[0];
    assert_eq!(
        (&deep["labels"]["severity"], &deep["status"]["state"]),
        (&"high".into(), &"active".into())
    );
    assert!(
        deep["annotations"]["description"]
            .as_str()
            .unwrap()
            .contains("Stop the pen now")
    );
    assert!(deep["labels"].get("visit").is_none() && deep["labels"].get("session").is_none());
    there
        .wait("both pens in one group", "alerts/groups", |groups| {
            let of = |g: &&Value| g["labels"]["alertname"] == "depth-above-limit";
            groups
                .iter()
                .find(of)
                .is_some_and(|g| g["alerts"].as_array().unwrap().len() == 2)
        })
        .await;
    // An acknowledged alert is not over there; a resolved one is.
    let id = deep["labels"]["dermatel_alert_id"].as_str().unwrap().parse().unwrap();
    running.handle.acknowledge(id, "ann", "").await.unwrap();
    elsewhere(&running, false);
    there
        .alerts("the end of one", |all| firing(all, "page-undelivered").is_empty())
        .await;
    nothing_waits(&running).await;
    let alerts = there
        .alerts("the others", |all| firing(all, "depth-above-limit").len() == 2)
        .await;
    assert!(alerts.iter().any(|a| a["annotations"]["state"] == "acknowledged"));
    running.stop().await;
    let delivered = rows(dir.path(), "delivered");
    assert!(
        delivered
            .iter()
            .all(|row| row["receiver"] == "am" && row["receipt"].as_str().unwrap().starts_with("200"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_that_restarted_is_told_again_what_is_open_and_silence_ends_nothing_there() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let there = Alertmanager::start(dir.path(), port);
    there.alerts("its start", |_| true).await;
    let running = start(dir.path(), &there, "300ms");
    elsewhere(&running, true);
    running.append(&[hazard("pen-1", 1).record()]);
    let both =
        |all: &[Value]| firing(all, "page-undelivered").len() == 1 && firing(all, "depth-above-limit").len() == 1;
    there.alerts("the alerts", both).await;
    nothing_waits(&running).await;
    drop(there);
    // Ends while it is away: it must come back as over, not as open.
    elsewhere(&running, false);
    let there = Alertmanager::start(dir.path(), port);
    let alerts = there
        .alerts("the open one", |all| firing(all, "depth-above-limit").len() == 1)
        .await;
    nothing_waits(&running).await;
    running.stop().await;
    // We are silent now, for longer than it believes anybody else.
    let end = chrono::DateTime::parse_from_rfc3339(firing(&alerts, "depth-above-limit")[0]["endsAt"].as_str().unwrap());
    let now: chrono::DateTime<chrono::Utc> = std::time::SystemTime::now().into();
    assert!(end.unwrap() > now + Duration::from_secs(6 * 86_400));
    there
        .alerts("what stays", |all| {
            firing(all, "depth-above-limit").len() == 1 && firing(all, "page-undelivered").is_empty()
        })
        .await;
}
