//! Microsoft Teams: an adaptive card to a workflow "when a Teams webhook request is received".
//!
//! Documentation: learn.microsoft.com/connectors/teams (the trigger's schema),
//! learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using (28 KB),
//! adaptivecards.io/explorer. A workflow answers before it has posted: its 202 is a receipt of the workflow, not of the chat.
use serde_json::{Value, json};

use super::failure::{FailReason, Failure};
use super::http::{self, Answer, Http};
use super::template::cut;
use super::{Message, TargetError};
use crate::config::Teams;

/// Longest text in bytes; a message may have 28 KB in all.
const TEXT_MAX: usize = 12_000;
/// Longest title in bytes.
const TITLE_MAX: usize = 500;

#[derive(Clone)]
pub(crate) struct TeamsReceiver {
    http: Http,
}

impl TeamsReceiver {
    pub(super) fn new(config: &Teams) -> Result<Self, TargetError> {
        Ok(Self {
            http: Http::new(config.url.reveal(), config.timeout, config.ca.as_deref())?,
        })
    }

    pub(super) async fn send(&self, message: &Message) -> Result<String, Failure> {
        let answer = self.http.post(&[], body(message).to_string()).await?;
        judge(&answer)
    }
}

fn body(message: &Message) -> Value {
    let color = match (message.page["state"].as_str(), message.page["priority"].as_str()) {
        (Some("resolved"), _) => "good",
        (_, Some("high")) => "attention",
        (_, Some("medium" | "low")) => "warning",
        _ => "default",
    };
    let text = |words: &str| json!({"type": "TextBlock", "text": words, "wrap": true});
    let mut title = text(cut(&message.words.title, TITLE_MAX));
    title["weight"] = json!("bolder");
    title["size"] = json!("large");
    title["color"] = json!(color);
    // One line break is none in the card's Markdown; each line becomes a block of its own.
    let lines = cut(&message.words.text, TEXT_MAX)
        .lines()
        .filter(|line| !line.trim().is_empty());
    let blocks: Vec<Value> = std::iter::once(title).chain(lines.map(text)).collect();
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
        "body": blocks,
    });
    if let Some(link) = message.link() {
        card["actions"] = json!([{"type": "Action.OpenUrl", "title": "Open the alert", "url": link}]);
    }
    json!({"type": "message", "attachments": [
        {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card}
    ]})
}

/// The retired connectors say 200 and put the real status into the text.
fn judge(answer: &Answer) -> Result<String, Failure> {
    if answer.status.is_success() && answer.body.contains("returned HTTP error 429") {
        return Err(answer.failure(FailReason::Throttled));
    }
    if answer.status.is_success() && answer.body.contains("Webhook message delivery failed") {
        return Err(answer.failure(FailReason::Receiver));
    }
    http::judge(answer)
}
