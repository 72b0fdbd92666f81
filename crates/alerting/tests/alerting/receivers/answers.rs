//! Every HTTP receiver, against what its provider documents: each step of an alert, and every bad answer.
use std::time::Duration;

use alerting::config::Receiver;
use serde_json::Value;

use super::provider::{Answer, Provider};
use super::schemas::{ALERTMANAGER, NTFY, PAGERDUTY, SLACK, Schema, TEAMS, WEBHOOK};
use super::{elsewhere, receiver, rows};
use crate::desk::{Running, nothing_waits, until};

/// An HTTP receiver under test.
struct Case {
    kind: &'static str,
    schema: Schema,
    settings: fn(&str) -> String,
    /// What a request is about, the same for every attempt and, where `by_alert`, for every step.
    identity: fn(&Value) -> Value,
}

const CASES: [Case; 6] = [
    Case {
        kind: "webhook",
        schema: WEBHOOK,
        settings: |url| format!("url = \"{url}/page\""),
        identity: |page| page["transition_id"].clone(),
    },
    Case {
        kind: "alertmanager",
        schema: ALERTMANAGER,
        settings: |url| format!("url = \"{url}/\", renew_every = \"1h\", hold = \"7d\""),
        identity: |alerts| alerts[0]["labels"].clone(),
    },
    Case {
        kind: "pagerduty",
        schema: PAGERDUTY,
        settings: |url| format!("url = \"{url}/v2/enqueue\", routing_key = \"{}\"", "0".repeat(32)),
        identity: |event| event["dedup_key"].clone(),
    },
    Case {
        kind: "slack",
        schema: SLACK,
        settings: |url| format!("url = \"{url}/services/T/B/X\""),
        identity: |message| message["blocks"][0]["text"]["text"].clone(),
    },
    Case {
        kind: "teams",
        schema: TEAMS,
        settings: |url| format!("url = \"{url}/workflows/x\""),
        identity: |message| message["attachments"][0]["content"]["body"][0]["text"].clone(),
    },
    Case {
        kind: "ntfy",
        schema: NTFY,
        settings: |url| format!("url = \"{url}\", topic = \"on-call_1\", token = \"tk_x\""),
        identity: |message| message["title"].clone(),
    },
];

impl Case {
    fn receiver(&self, url: &str, timeout: &str) -> Receiver {
        let settings = (self.settings)(url);
        receiver(&format!(
            "name = \"desk\"\n{} = {{ {settings}, timeout = \"{timeout}\" }}\n",
            self.kind
        ))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_of_an_alert_reaches_each_provider_as_its_documentation_asks() {
    for case in CASES {
        let dir = tempfile::tempdir().unwrap();
        let provider = Provider::new(case.schema);
        let running = Running::start(dir.path(), vec![case.receiver(&provider.listen().await, "20s")]);
        let taken = |count: usize| {
            let provider = provider.clone();
            until(case.kind, move || (provider.taken().len() >= count).then_some(()))
        };
        elsewhere(&running, true);
        taken(1).await;
        let alert = running.handle.alerts(None).await.unwrap().remove(0);
        running.handle.acknowledge(alert.id, "ann", "").await.unwrap();
        taken(2).await;
        elsewhere(&running, false);
        taken(3).await;
        nothing_waits(&running).await;
        running.stop().await;
        assert_eq!(provider.faults(), Vec::<String>::new(), "{}", case.kind);
        let bodies = provider.taken();
        assert_eq!(bodies.len(), 3, "{}", case.kind);
        steps(case.kind, &bodies, &alert.id.to_hex());
        assert_eq!(rows(dir.path(), "delivered").len(), 3, "{}", case.kind);
    }
}

/// What each provider must make of firing, acknowledged and resolved.
fn steps(kind: &str, bodies: &[Value], alert: &str) {
    let all = |of: fn(&Value) -> Value| bodies.iter().map(of).collect::<Vec<_>>();
    match kind {
        "webhook" => assert_eq!(all(|b| b["state"].clone()), ["firing", "acknowledged", "resolved"]),
        "pagerduty" => {
            assert_eq!(
                all(|b| b["event_action"].clone()),
                ["trigger", "acknowledge", "resolve"]
            );
            assert_eq!(all(|b| b["dedup_key"].clone()), [alert; 3], "one incident");
            assert_eq!(bodies[0]["payload"]["severity"], "critical");
        }
        "alertmanager" => {
            let labels = all(|b| b[0]["labels"].clone());
            assert!(labels.iter().all(|l| *l == labels[0]), "one alert: {labels:?}");
            let end = |b: &Value| chrono::DateTime::parse_from_rfc3339(b[0]["endsAt"].as_str().unwrap()).unwrap();
            let now: chrono::DateTime<chrono::Utc> = std::time::SystemTime::now().into();
            assert!(
                end(&bodies[1]) > now + Duration::from_secs(6 * 86_400),
                "acknowledged is not over"
            );
            assert!(end(&bodies[2]) <= now, "resolved is over");
        }
        "slack" | "teams" => {
            assert!(bodies[0].to_string().contains("firing"));
            assert!(bodies[2].to_string().contains("resolved"));
        }
        "ntfy" => assert_eq!(all(|b| b["priority"].clone()), [5, 2, 2]),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_provider_that_fails_throttles_or_hangs_gets_the_page_all_the_same_and_no_sooner_than_it_asked() {
    for case in CASES {
        let dir = tempfile::tempdir().unwrap();
        let provider = Provider::new(case.schema);
        let wait = || Answer::RetryAfter(429, "1".to_owned());
        provider.script([Answer::Status(500), wait(), Answer::Status(503), Answer::Hang]);
        let running = Running::start(dir.path(), vec![case.receiver(&provider.listen().await, "2s")]);
        elsewhere(&running, true);
        until(case.kind, || provider.taken().pop()).await;
        nothing_waits(&running).await;
        running.stop().await;
        let requests = provider.requests();
        assert_eq!(requests.len(), 5, "{}", case.kind);
        let asked = requests[2].at - requests[1].at;
        assert!(
            asked >= Duration::from_secs(1),
            "{}: came back after {asked:?}",
            case.kind
        );
        let first = (case.identity)(&requests[0].body);
        assert!(!first.is_null() && requests.iter().all(|r| (case.identity)(&r.body) == first));
        assert_eq!(provider.faults(), Vec::<String>::new(), "{}", case.kind);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_never_will_take_is_undelivered_at_once_and_told() {
    for case in CASES {
        let dir = tempfile::tempdir().unwrap();
        let provider = Provider::new(case.schema);
        provider.script([Answer::Body(400, "invalid_payload")]);
        let running = Running::start(dir.path(), vec![case.receiver(&provider.listen().await, "20s")]);
        elsewhere(&running, true);
        // The next thing that it gets is the alert about it.
        until(case.kind, || provider.taken().pop()).await;
        nothing_waits(&running).await;
        running.stop().await;
        let undelivered = rows(dir.path(), "undelivered");
        assert_eq!(undelivered.len(), 1, "{}", case.kind);
        assert_eq!(undelivered[0]["reason"], "rejected");
        let again = provider.requests();
        let lost = (case.identity)(&again[0].body);
        if matches!(case.kind, "webhook" | "pagerduty") {
            assert!(
                again[1..].iter().all(|r| (case.identity)(&r.body) != lost),
                "it was not tried again"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_does_not_let_us_in_needs_a_person_and_keeps_the_page_wanted() {
    for (case, answer) in CASES.iter().zip([
        Answer::Status(401),
        Answer::Status(404),
        Answer::Status(403),
        Answer::Body(404, "no_service"),
        Answer::Status(401),
        Answer::Status(403),
    ]) {
        let dir = tempfile::tempdir().unwrap();
        let provider = Provider::new(case.schema);
        provider.script([answer]);
        let running = Running::start(dir.path(), vec![case.receiver(&provider.listen().await, "20s")]);
        elsewhere(&running, true);
        // Set right by a person: the same page arrives.
        until(case.kind, || provider.taken().pop()).await;
        nothing_waits(&running).await;
        running.stop().await;
        assert_eq!(rows(dir.path(), "undelivered").len(), 0, "{}", case.kind);
        let requests = provider.requests();
        assert!(
            requests[1..]
                .iter()
                .any(|r| (case.identity)(&r.body) == (case.identity)(&requests[0].body)),
            "{}",
            case.kind
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_old_connectors_say_200_and_mean_429() {
    let dir = tempfile::tempdir().unwrap();
    let provider = Provider::new(TEAMS);
    let said = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429";
    provider.script([Answer::Body(200, said)]);
    let running = Running::start(dir.path(), vec![CASES[4].receiver(&provider.listen().await, "20s")]);
    elsewhere(&running, true);
    until("teams", || provider.taken().pop()).await;
    running.stop().await;
    assert_eq!(provider.requests().len(), 2);
}
