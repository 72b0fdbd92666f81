//! Pages out: from the durable outbox to receivers, with receipts. After a crash a page may go out once more, and says so.
mod advisory;
mod log;
mod page;
mod send;
mod standing;
mod webhook;

use std::sync::Arc;

pub use advisory::{Advise, Advised};
pub(crate) use advisory::{Advisor, advisory};
pub(crate) use page::{Place, Tells, body, outlet_message};
pub(crate) use send::Sender;
pub(crate) use standing::Standing;
use telemetry::UnixMicros;

use crate::config::Receiver;
use crate::notify::log::LogReceiver;
use crate::notify::webhook::WebhookReceiver;

/// How an attempt failed; a bounded label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailReason {
    /// No connection.
    Connect,
    /// No answer in time.
    Timeout,
    /// Too many requests.
    Throttled,
    /// The receiver's fault (5xx, or no HTTP).
    Receiver,
    /// It does not let us in, or is not there (401, 402, 403, 404, 405, 407, 410, or a redirect): somebody has to set it right, and then
    /// the page is still wanted.
    Denied,
    /// The request's fault (other 4xx): trying again is useless.
    Rejected,
    /// A file could not be written.
    File,
    /// Too many attempts.
    GaveUp,
}

impl FailReason {
    /// The label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Throttled => "throttled",
            Self::Receiver => "receiver",
            Self::Denied => "denied",
            Self::Rejected => "rejected",
            Self::File => "file",
            Self::GaveUp => "gave_up",
        }
    }

    /// Whether another attempt can help.
    const fn is_permanent(self) -> bool {
        matches!(self, Self::Rejected | Self::GaveUp)
    }

    /// Whether the receiver certainly has not taken it.
    const fn is_refused(self) -> bool {
        matches!(self, Self::Connect | Self::Throttled | Self::Denied)
    }
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    reason: FailReason,
    /// What the receiver asked to wait, in seconds.
    retry_after_s: Option<u64>,
}

/// What is sent: one page, or a digest.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Idempotency key: the transition's id; of a digest, a hash of its parts.
    key: String,
    alert: String,
    body: String,
}

/// A receiver that is ready.
#[derive(Clone)]
pub(crate) enum Target {
    Webhook(WebhookReceiver),
    Log(Arc<LogReceiver>),
}

impl Target {
    pub(crate) fn new(receiver: &Receiver) -> Result<Self, reqwest::Error> {
        match (&receiver.webhook, &receiver.log) {
            (Some(webhook), _) => Ok(Self::Webhook(WebhookReceiver::new(webhook)?)),
            (None, log) => Ok(Self::Log(Arc::new(LogReceiver::new(&receiver.name, log.as_ref())))),
        }
    }

    fn in_flight(&self) -> usize {
        match self {
            Self::Webhook(webhook) => webhook.in_flight,
            // One file: one writer.
            Self::Log(_) => 1,
        }
    }

    async fn send(&self, message: Message) -> Result<String, Failure> {
        match self {
            Self::Webhook(webhook) => webhook.send(message).await,
            Self::Log(log) => log.send(message).await,
        }
    }
}

/// RFC 3339 in UTC with milliseconds; the number itself where no calendar has it.
pub(crate) fn rfc3339(at: UnixMicros) -> String {
    chrono::DateTime::from_timestamp_micros(at.0).map_or_else(
        || at.0.to_string(),
        |time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
    )
}
