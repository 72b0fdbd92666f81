//! PagerDuty, Events API v2: one incident per alert, by its id as `dedup_key`.
//!
//! Documentation: developer.pagerduty.com/docs/events-api-v2-overview and its schema,
//! github.com/PagerDuty/api-schema/blob/main/reference/events-v2/openapiv3.json.
use serde_json::{Value, json};

use super::failure::{FailReason, Failure};
use super::http::{self, Answer, Http};
use super::template::cut;
use super::{Message, TargetError};
use crate::config::Pagerduty;

/// Longest summary in bytes (1,024 characters are allowed).
const SUMMARY_MAX: usize = 1_024;

#[derive(Clone)]
pub(crate) struct PagerdutyReceiver {
    http: Http,
    routing_key: service::config::Secret,
}

impl PagerdutyReceiver {
    pub(super) fn new(config: &Pagerduty) -> Result<Self, TargetError> {
        Ok(Self {
            http: Http::new(config.url.reveal(), config.timeout, config.ca.as_deref())?,
            routing_key: config.routing_key.clone(),
        })
    }

    pub(super) async fn send(&self, message: &Message) -> Result<String, Failure> {
        let event = event(self.routing_key.reveal(), message);
        let answer = self.http.post(&[], event.to_string()).await?;
        judge(&answer)
    }
}

/// The event. Triggering an open incident again only adds to it, so every step is safe to repeat.
fn event(routing_key: &str, message: &Message) -> Value {
    let page = &message.page;
    let action = match page["state"].as_str() {
        Some("acknowledged") => "acknowledge",
        Some("resolved") => "resolve",
        _ => "trigger",
    };
    // A digest and a test page are incidents of their own: neither has a second step.
    let own = matches!(page["state"].as_str(), None | Some(super::page::TEST));
    let key = if own { &message.key } else { &message.alert };
    let mut event = json!({"routing_key": routing_key, "event_action": action, "dedup_key": key});
    if action != "trigger" {
        return event;
    }
    let severity = match page["priority"].as_str() {
        Some("high") => "critical",
        Some("medium") => "error",
        Some("low") => "warning",
        _ => "info",
    };
    let place = |field: &str| {
        page[field]
            .as_str()
            .filter(|text| !text.is_empty())
            .unwrap_or("dermatel")
            .to_owned()
    };
    event["payload"] = json!({
        "summary": cut(&message.words.title, SUMMARY_MAX), "source": place("device"), "severity": severity,
        "component": place("device"), "group": place("clinic"), "class": place("rule"),
        "custom_details": {"text": message.words.text, "page": page},
    });
    if let Some(time) = page["event_time"].as_str() {
        event["payload"]["timestamp"] = json!(time);
    }
    event["client"] = json!("Dermatel");
    if let Some(link) = message.link() {
        event["client_url"] = json!(link);
        event["links"] = json!([{"href": link, "text": "Open the alert"}]);
    }
    event
}

/// 202 is taken; 400 is an event that PagerDuty never will take; the rest is HTTP's.
fn judge(answer: &Answer) -> Result<String, Failure> {
    match answer.status.as_u16() {
        400 | 413 => Err(answer.failure(FailReason::Rejected)),
        _ => http::judge(answer),
    }
}
