//! A webhook: HTTP POST of JSON, with the transition's id as idempotency key.
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, redirect};
use service::config::Secret;

use super::{FailReason, Failure, Message};
use crate::config::Webhook;

/// Longest wait that a receiver can ask for, in seconds: an hour.
const MAX_RETRY_AFTER_S: u64 = 3_600;

#[derive(Clone)]
pub(crate) struct WebhookReceiver {
    client: Client,
    url: Secret,
    authorization: Option<Secret>,
    pub(super) in_flight: usize,
}

impl WebhookReceiver {
    pub(super) fn new(webhook: &Webhook) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .timeout(webhook.timeout)
            // A page must not wander to a place that nobody configured.
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self {
            client,
            url: webhook.url.clone(),
            authorization: webhook.authorization.clone(),
            in_flight: webhook.in_flight.max(1),
        })
    }

    pub(super) async fn send(&self, message: Message) -> Result<String, Failure> {
        let mut request = self
            .client
            .post(self.url.reveal())
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", &message.key)
            .header("dermatel-alert-id", &message.alert)
            .header("dermatel-transition-id", &message.key)
            .body(message.body);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.reveal());
        }
        match request.send().await {
            Ok(response) => judge(&response),
            Err(error) => Err(Failure {
                reason: match () {
                    () if error.is_timeout() => FailReason::Timeout,
                    () if error.is_connect() => FailReason::Connect,
                    () if error.is_builder() => FailReason::Rejected,
                    () => FailReason::Receiver,
                },
                retry_after_s: None,
            }),
        }
    }
}

fn judge(response: &Response) -> Result<String, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(status.as_u16().to_string());
    }
    let reason = match status {
        StatusCode::TOO_MANY_REQUESTS => FailReason::Throttled,
        StatusCode::REQUEST_TIMEOUT => FailReason::Timeout,
        status if status.is_redirection() || matches!(status.as_u16(), 401..=405 | 407 | 410) => FailReason::Denied,
        status if status.is_client_error() => FailReason::Rejected,
        _ => FailReason::Receiver,
    };
    let asked = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    Err(Failure {
        reason,
        retry_after_s: asked.map(|s| s.min(MAX_RETRY_AFTER_S)),
    })
}
