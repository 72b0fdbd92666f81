//! A webhook: HTTP POST of JSON, with the transition's id as idempotency key.
use super::failure::Failure;
use super::http::{self, Http};
use super::{Message, TargetError};
use crate::config::Webhook;

#[derive(Clone)]
pub(crate) struct WebhookReceiver {
    http: Http,
    pub(super) in_flight: usize,
}

impl WebhookReceiver {
    pub(super) fn new(webhook: &Webhook) -> Result<Self, TargetError> {
        let http = Http::new(webhook.url.reveal(), webhook.timeout, webhook.ca.as_deref())?;
        Ok(Self {
            http: http.authorized(webhook.authorization.as_ref())?,
            in_flight: webhook.in_flight.max(1),
        })
    }

    pub(super) async fn send(&self, message: &Message) -> Result<String, Failure> {
        let headers = [
            ("idempotency-key", message.key.as_str()),
            ("dermatel-alert-id", message.alert.as_str()),
            ("dermatel-transition-id", message.key.as_str()),
        ];
        let answer = self.http.post(&headers, message.json().to_string()).await?;
        http::judge(&answer)
    }
}
