//! ntfy: push to phones, published as JSON.
//!
//! Documentation: docs.ntfy.sh/publish ("Publish as JSON", "Message priority", "Tags & emojis", "Click action", "Limitations").
use serde_json::{Value, json};
use service::config::Secret;

use super::failure::Failure;
use super::http::{self, Http};
use super::template::cut;
use super::{Message, TargetError};
use crate::config::Ntfy;

/// Longest message in bytes: what is longer becomes an attachment.
const MESSAGE_MAX: usize = 4_096;
/// Longest title in bytes; the documentation names no limit.
const TITLE_MAX: usize = 250;

#[derive(Clone)]
pub(crate) struct NtfyReceiver {
    http: Http,
    topic: Secret,
}

impl NtfyReceiver {
    pub(super) fn new(config: &Ntfy) -> Result<Self, TargetError> {
        let token = config
            .token
            .as_ref()
            .map(|token| Secret::new(format!("Bearer {}", token.reveal())));
        let http = Http::new(&config.url, config.timeout, config.ca.as_deref())?;
        Ok(Self {
            http: http.authorized(token.as_ref())?,
            topic: config.topic.clone(),
        })
    }

    pub(super) async fn send(&self, message: &Message) -> Result<String, Failure> {
        let answer = self
            .http
            .post(&[], body(self.topic.reveal(), message).to_string())
            .await?;
        http::judge(&answer)
    }
}

fn body(topic: &str, message: &Message) -> Value {
    let state = message.page["state"].as_str();
    let ended = matches!(state, Some("resolved" | "acknowledged"));
    // 5 breaks through "do not disturb" and vibrates long, 1 is silent.
    let (priority, tag) = match message.page["priority"].as_str() {
        _ if ended => (2, "white_check_mark"),
        _ if state == Some(super::page::TEST) => (3, "test_tube"),
        Some("high") => (5, "rotating_light"),
        Some("medium") => (4, "warning"),
        Some("low") => (3, "information_source"),
        _ => (2, "information_source"),
    };
    let mut tags = vec![tag];
    tags.extend(message.page["rule"].as_str());
    let mut body = json!({
        "topic": topic, "title": cut(&message.words.title, TITLE_MAX), "message": cut(&message.words.text, MESSAGE_MAX),
        "priority": priority, "tags": tags,
    });
    if let Some(link) = message.link() {
        body["click"] = json!(link);
    }
    body
}
