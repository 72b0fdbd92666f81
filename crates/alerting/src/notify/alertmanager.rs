//! Prometheus's Alertmanager, API v2: an alert there for every alert here, told again while it is open.
//!
//! Documentation: prometheus.io/docs/alerting/latest/alerts_api and
//! github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml. An alert whose `endsAt` is over is resolved there: an
//! open one gets an `endsAt` far away, so that silence of ours never resolves it, and is told again and again, because an
//! Alertmanager that restarts has forgotten it.
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use telemetry::UnixMicros;
use tokio::sync::{Mutex, MutexGuard};

use super::failure::Failure;
use super::http::{self, Http};
use super::template::Words;
use super::{Message, TargetError, page, rfc3339};
use crate::config::Alertmanager;

/// How long a test page or a digest shows there: neither has an end that could be told.
const SHOWN_FOR: Duration = Duration::from_secs(300);

#[derive(Clone)]
pub(crate) struct AlertmanagerReceiver {
    http: Http,
    hold: Duration,
    pub(super) renew_every: Duration,
    /// One request at a time: see [`Turn`].
    turn: Arc<Mutex<()>>,
}

/// The right to tell it something. Two requests about one alert must not overtake one another.
pub(super) type Turn<'a> = MutexGuard<'a, ()>;

impl AlertmanagerReceiver {
    pub(super) fn new(config: &Alertmanager) -> Result<Self, TargetError> {
        let url = format!("{}/api/v2/alerts", config.url.reveal().trim_end_matches('/'));
        let http = Http::new(&url, config.timeout, config.ca.as_deref())?;
        Ok(Self {
            http: http.authorized(config.authorization.as_ref())?,
            hold: config.hold,
            renew_every: config.renew_every,
            turn: Arc::default(),
        })
    }

    pub(super) async fn send(&self, message: &Message, now: UnixMicros) -> Result<String, Failure> {
        let alerts: Vec<Value> = match message.page["alerts"].as_array() {
            // A digest: each of its alerts is told as it stands.
            Some(alerts) => alerts
                .iter()
                .map(|page| self.alert(page, &message.words, now))
                .collect(),
            None => vec![self.alert(&message.page, &message.words, now)],
        };
        let _turn = self.turn().await;
        self.post(alerts).await
    }

    /// Waits for the right to tell it something.
    pub(super) async fn turn(&self) -> Turn<'_> {
        self.turn.lock().await
    }

    /// Tells open alerts again, as they were told last.
    pub(super) async fn renew(
        &self,
        _turn: &Turn<'_>,
        pages: &[(Value, Words)],
        now: UnixMicros,
    ) -> Result<String, Failure> {
        self.post(pages.iter().map(|(page, words)| self.alert(page, words, now)).collect())
            .await
    }

    async fn post(&self, alerts: Vec<Value>) -> Result<String, Failure> {
        let answer = self.http.post(&[], Value::Array(alerts).to_string()).await?;
        http::judge(&answer)
    }

    /// One alert. Its labels are its identity there: only what never changes, and the state stands in the annotations.
    fn alert(&self, page: &Value, words: &Words, now: UnixMicros) -> Value {
        let mut labels = Map::new();
        let said = |field: &str| page[field].as_str().filter(|text| !text.is_empty());
        for (label, field) in [
            ("alertname", "rule"),
            ("dermatel_alert_id", "alert_id"),
            ("severity", "priority"),
            ("kind", "kind"),
            ("tenant", "tenant"),
            ("clinic", "clinic"),
            ("device", "device"),
            ("zone", "zone"),
        ] {
            // An empty label is none.
            labels.extend(said(field).map(|text| (label.to_owned(), json!(text))));
        }
        let mut annotations = Map::new();
        for (name, text) in [
            ("summary", Some(words.title.as_str())),
            ("description", Some(words.text.as_str())),
            ("state", said("state")),
            ("link", said("link")),
        ] {
            annotations.extend(text.map(|text| (name.to_owned(), json!(text))));
        }
        let ends = match said("state") {
            Some("resolved") => now,
            Some(page::TEST) => now.plus(SHOWN_FOR),
            _ => now.plus(self.hold),
        };
        // Never after its end: Alertmanager refuses that.
        let starts = parse(said("event_time")).map_or(now, |at| at.min(ends));
        json!({"labels": labels, "annotations": annotations, "startsAt": rfc3339(starts), "endsAt": rfc3339(ends)})
    }
}

fn parse(time: Option<&str>) -> Option<UnixMicros> {
    let time = chrono::DateTime::parse_from_rfc3339(time?).ok()?;
    Some(UnixMicros(time.timestamp_micros()))
}
