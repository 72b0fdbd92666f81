//! A chat with Slack's incoming webhooks: Slack itself, Mattermost, Rocket.Chat and others that take the same.
//!
//! Documentation: docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (errors, text),
//! docs.slack.dev/reference/block-kit/blocks (limits), docs.slack.dev/messaging/formatting-message-text (escaping).
use serde_json::{Value, json};

use super::failure::Failure;
use super::http::{self, Http};
use super::template::cut;
use super::{Message, TargetError};
use crate::config::Slack;

/// Longest text of a header block in bytes (150 characters are allowed).
const HEADER_MAX: usize = 150;
/// Longest text of a section block in bytes (3,000 characters are allowed), before escaping makes it longer.
const SECTION_MAX: usize = 2_400;

#[derive(Clone)]
pub(crate) struct SlackReceiver {
    http: Http,
}

impl SlackReceiver {
    pub(super) fn new(config: &Slack) -> Result<Self, TargetError> {
        Ok(Self {
            http: Http::new(config.url.reveal(), config.timeout, config.ca.as_deref())?,
        })
    }

    pub(super) async fn send(&self, message: &Message) -> Result<String, Failure> {
        let answer = self.http.post(&[], body(message).to_string()).await?;
        // 400 invalid_payload: useless to repeat. 403, 404 (no_service, channel_not_found), 410: somebody has to set it right.
        http::judge(&answer)
    }
}

/// `text` is what a notification shows, and all that a program without blocks shows.
fn body(message: &Message) -> Value {
    let (title, text) = (&message.words.title, &message.words.text);
    let mut blocks = vec![
        json!({"type": "header", "text": {"type": "plain_text", "text": cut(title, HEADER_MAX)}}),
        json!({"type": "section", "text": {"type": "mrkdwn", "text": escape(cut(text, SECTION_MAX))}}),
    ];
    if let Some(link) = message.link() {
        blocks.push(json!({"type": "actions", "elements": [
            {"type": "button", "text": {"type": "plain_text", "text": "Open the alert"}, "url": link}
        ]}));
    }
    json!({"text": escape(&format!("{title}\n{}", cut(text, SECTION_MAX))), "blocks": blocks})
}

/// The three characters that mean something; nobody is mentioned because an id looks like it.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
