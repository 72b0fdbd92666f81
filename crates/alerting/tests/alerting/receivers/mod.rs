//! Everything behind the outbox: real components where they can be installed, else a server that checks what the provider
//! documents.
mod alertmanager;
mod annunciator;
mod answers;
mod delivery;
mod in_flight;
mod mail;
mod provider;
mod schemas;
mod tls;

use std::path::Path;
use std::time::SystemTime;

use alerting::config::Receiver;
use alerting::intake::ReceiverState;
use serde_json::Value;
use service::config::Sources;

use crate::desk::{Running, file};

/// A receiver as it stands in a file, which is thereby checked too.
fn receiver(toml: &str) -> Receiver {
    receivers(&format!("[[receivers]]\n{toml}")).remove(0)
}

fn receivers(toml: &str) -> Vec<Receiver> {
    let config: alerting::Config = service::config::load(&Sources::new().file("test.toml", toml.to_owned()))
        .unwrap_or_else(|errors| panic!("{errors}"));
    config.receivers
}

/// Something that can fire, be acknowledged and end: a receiver elsewhere fails, or takes pages again.
fn elsewhere(running: &Running, failing: bool) {
    let state = ReceiverState {
        receiver: "elsewhere".to_owned(),
        failing,
        reason: "timeout".to_owned(),
        at: SystemTime::now().into(),
    };
    running.append(&[state.encode()]);
}

/// Bodies of the journal's rows of a kind, oldest first.
pub(crate) fn rows(dir: &Path, kind: &str) -> Vec<Value> {
    let db = rusqlite::Connection::open(file(dir)).unwrap();
    let mut statement = db
        .prepare("SELECT body FROM journal WHERE kind = ?1 ORDER BY n")
        .unwrap();
    let rows = statement.query_map([kind], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|body| serde_json::from_str(&body.unwrap()).unwrap()).collect()
}

/// Whether readiness says this about receivers.
fn readiness_says(running: &Running, what: &str) -> bool {
    let report = running.health.report();
    report
        .into_iter()
        .any(|c| c.name == "alerting_pages" && !c.green && c.reason.contains(what))
}
