//! Pages out: from the durable outbox to receivers, with receipts. After a crash a page may go out once more, and says so.
mod advisory;
mod alertmanager;
mod backoff;
mod duty;
mod email;
mod failure;
mod http;
mod log;
mod mqtt;
mod ntfy;
mod page;
mod pagerduty;
mod parcel;
mod renew;
mod send;
mod slack;
mod standing;
mod teams;
mod template;
mod webhook;

use std::sync::Arc;

pub use advisory::{Advise, Advised};
pub(crate) use advisory::{Advisor, DEVICE, advisory};
pub(crate) use failure::{FailReason, Failure};
pub(crate) use http::{Http, check_url};
pub(crate) use mqtt::check_topic;
pub use page::outlet_message;
pub(crate) use page::{Place, TEST, Tells, body};
pub(crate) use renew::Renewer;
pub(crate) use send::{Sender, Terms};
use serde_json::{Value, json};
pub(crate) use standing::Standing;
use telemetry::UnixMicros;
pub(crate) use template::check as check_template;
use template::{Style, Templates, Words};

use crate::config::{Config, Receiver};

/// Why a receiver cannot be used. No secret is repeated.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Its URL.
    #[error("url cannot be used: {0}")]
    Url(String),
    /// Its `authorization` header.
    #[error("authorization has characters that no HTTP header may have")]
    Authorization,
    /// The HTTP client.
    #[error("the HTTP client refuses it")]
    Http(#[source] reqwest::Error),
    /// Its CA.
    #[error("ca cannot be used")]
    Tls(#[source] Box<service::tls::TlsError>),
    /// The mail client.
    #[error("the mail client refuses it")]
    Smtp(#[source] lettre::transport::smtp::Error),
    /// An address.
    #[error("'{0}' is no e-mail address")]
    Address(String),
    /// Its words.
    #[error("{0}")]
    Template(String),
    /// It says no way.
    #[error("no way to tell it is configured")]
    Nothing,
}

impl From<service::tls::TlsError> for TargetError {
    fn from(error: service::tls::TlsError) -> Self {
        Self::Tls(Box::new(error))
    }
}

/// Something that is wrong with a receiver.
#[derive(Debug, thiserror::Error)]
#[error("receiver {receiver} cannot be used")]
pub struct Problem {
    /// Its name.
    pub receiver: String,
    /// What.
    #[source]
    pub source: TargetError,
}

/// Builds every receiver and its words, sends nothing: certificates, URLs and templates, in place and in files.
pub fn check_receivers(config: &Config) -> Vec<Problem> {
    let built = config
        .receivers
        .iter()
        .map(|receiver| (receiver, Target::new(receiver)));
    built
        .filter_map(|(receiver, built)| {
            let source = built.err()?;
            Some(Problem {
                receiver: receiver.name.clone(),
                source,
            })
        })
        .collect()
}

/// What is sent: one page, or a digest.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Idempotency key: the transition's id; of a digest, a hash of its parts.
    key: String,
    /// The alert's id, or `digest`.
    alert: String,
    /// The body as it stands in the outbox, completed: see [`page`].
    page: Value,
    /// In words.
    words: Words,
}

impl Message {
    /// All of it in one object, for receivers that take any JSON.
    fn json(&self) -> Value {
        let mut page = self.page.clone();
        page["title"] = json!(self.words.title);
        page["text"] = json!(self.words.text);
        page
    }

    /// Where a person can look and act.
    fn link(&self) -> Option<&str> {
        self.page["link"].as_str()
    }
}

/// The way of a receiver.
#[derive(Clone)]
enum Way {
    Webhook(webhook::WebhookReceiver),
    Alertmanager(alertmanager::AlertmanagerReceiver),
    Pagerduty(pagerduty::PagerdutyReceiver),
    Slack(slack::SlackReceiver),
    Teams(teams::TeamsReceiver),
    Email(email::EmailReceiver),
    Ntfy(ntfy::NtfyReceiver),
    Mqtt(mqtt::MqttReceiver),
    Log(Arc<log::LogReceiver>),
}

/// A receiver that is ready: its way and its words.
#[derive(Clone)]
pub(crate) struct Target {
    way: Way,
    templates: Arc<Templates>,
}

impl Target {
    pub(crate) fn new(receiver: &Receiver) -> Result<Self, TargetError> {
        let (way, style) = way(receiver)?;
        let templates = Templates::new(&receiver.template, style);
        let templates = templates.map_err(|error| TargetError::Template(error.to_string()))?;
        Ok(Self {
            way,
            templates: Arc::new(templates),
        })
    }

    /// Most attempts at the same time.
    fn in_flight(&self) -> usize {
        match &self.way {
            Way::Webhook(webhook) => webhook.in_flight,
            Way::Pagerduty(_) | Way::Mqtt(_) => 4,
            Way::Email(_) | Way::Ntfy(_) => 2,
            // Requests to an Alertmanager take turns. Slack and Teams allow a message a second or so. One file: one writer.
            Way::Alertmanager(_) | Way::Slack(_) | Way::Teams(_) | Way::Log(_) => 1,
        }
    }

    /// Whether it takes several alerts in one message. An incident there is one alert here, or its end would end nothing.
    fn gathers(&self) -> bool {
        !matches!(self.way, Way::Pagerduty(_))
    }

    /// Whether it has to be told again what is open, and how often.
    fn renews(&self) -> Option<&alertmanager::AlertmanagerReceiver> {
        match &self.way {
            Way::Alertmanager(alertmanager) => Some(alertmanager),
            _ => None,
        }
    }

    async fn send(&self, message: &Message, now: UnixMicros) -> Result<String, Failure> {
        match &self.way {
            Way::Webhook(way) => way.send(message).await,
            Way::Alertmanager(way) => way.send(message, now).await,
            Way::Pagerduty(way) => way.send(message).await,
            Way::Slack(way) => way.send(message).await,
            Way::Teams(way) => way.send(message).await,
            Way::Email(way) => way.send(message).await,
            Way::Ntfy(way) => way.send(message).await,
            Way::Mqtt(way) => way.send(message).await,
            Way::Log(way) => way.send(message).await,
        }
    }
}

fn way(receiver: &Receiver) -> Result<(Way, Style), TargetError> {
    if let Some(config) = &receiver.webhook {
        return Ok((Way::Webhook(webhook::WebhookReceiver::new(config)?), Style::Full));
    }
    if let Some(config) = &receiver.alertmanager {
        return Ok((
            Way::Alertmanager(alertmanager::AlertmanagerReceiver::new(config)?),
            Style::Full,
        ));
    }
    if let Some(config) = &receiver.pagerduty {
        return Ok((Way::Pagerduty(pagerduty::PagerdutyReceiver::new(config)?), Style::Full));
    }
    if let Some(config) = &receiver.slack {
        return Ok((Way::Slack(slack::SlackReceiver::new(config)?), Style::Full));
    }
    if let Some(config) = &receiver.teams {
        return Ok((Way::Teams(teams::TeamsReceiver::new(config)?), Style::Full));
    }
    if let Some(config) = &receiver.email {
        return Ok((Way::Email(email::EmailReceiver::new(config)?), Style::Mail));
    }
    if let Some(config) = &receiver.ntfy {
        return Ok((Way::Ntfy(ntfy::NtfyReceiver::new(config)?), Style::Short));
    }
    if let Some(config) = &receiver.mqtt {
        return Ok((
            Way::Mqtt(mqtt::MqttReceiver::new(&receiver.name, config)?),
            Style::Short,
        ));
    }
    if let Some(config) = &receiver.log {
        return Ok((
            Way::Log(Arc::new(log::LogReceiver::new(&receiver.name, Some(config)))),
            Style::Full,
        ));
    }
    Err(TargetError::Nothing)
}

/// RFC 3339 in UTC with milliseconds; the number itself where no calendar has it.
pub(crate) fn rfc3339(at: UnixMicros) -> String {
    chrono::DateTime::from_timestamp_micros(at.0).map_or_else(
        || at.0.to_string(),
        |time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
    )
}
