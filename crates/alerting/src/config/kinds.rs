//! The ways by which a page can leave, and what each of them needs to know.
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::config::{Problems, Secret};

/// Most attempts at the same time that can be configured.
const MAX_IN_FLIGHT: usize = 256;
/// Shortest time for one attempt.
const TIMEOUT_MIN: Duration = Duration::from_millis(10);
/// Longest time for one attempt: shorter than a page is held for its attempt.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

fn check_timeout(timeout: Duration, at: &mut Problems) {
    let fine = (TIMEOUT_MIN..=TIMEOUT_MAX).contains(&timeout);
    at.check("timeout", fine, "must be 10ms to 10m");
}

/// An HTTP endpoint that takes pages as JSON.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its URL; secret, because many services put their token there.
    pub url: Secret,
    /// Value of the `authorization` header.
    #[serde(default)]
    pub authorization: Option<Secret>,
    /// CA that vouches for it, PEM, instead of the public ones.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Longest time for one attempt.
    #[serde(default = "default_timeout", with = "service::config::duration")]
    pub timeout: Duration,
    /// Most attempts at the same time.
    #[serde(default = "default_in_flight")]
    pub in_flight: usize,
}

fn default_in_flight() -> usize {
    8
}

impl Webhook {
    pub(super) fn validate(&self, at: &mut Problems) {
        let fine = (1..=MAX_IN_FLIGHT).contains(&self.in_flight);
        at.check("in_flight", fine, format!("must be 1 to {MAX_IN_FLIGHT}"));
        check_timeout(self.timeout, at);
    }
}

/// Prometheus's Alertmanager, API v2.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Alertmanager {
    /// Its URL without `/api/v2/alerts`.
    pub url: Secret,
    /// Value of the `authorization` header.
    #[serde(default)]
    pub authorization: Option<Secret>,
    /// CA that vouches for it, PEM, instead of the public ones.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Longest time for one attempt.
    #[serde(default = "default_timeout", with = "service::config::duration")]
    pub timeout: Duration,
    /// How often open alerts are told again: it forgets them when it restarts.
    #[serde(default = "default_renew_every", with = "service::config::duration")]
    pub renew_every: Duration,
    /// For how long it goes on to show an alert as firing when it hears nothing more of us.
    #[serde(default = "default_hold", with = "service::config::duration")]
    pub hold: Duration,
}

/// Prometheus's documentation asks clients for 30 seconds to 3 minutes (prometheus.io/docs/alerting/latest/clients).
fn default_renew_every() -> Duration {
    Duration::from_secs(60)
}

/// Longer than any repair of ours takes: it must not resolve an alert because we are silent.
fn default_hold() -> Duration {
    Duration::from_secs(7 * 86_400)
}

impl Alertmanager {
    pub(super) fn validate(&self, at: &mut Problems) {
        check_timeout(self.timeout, at);
        let fine = self.renew_every >= Duration::from_millis(100);
        at.check("renew_every", fine, "must be at least 100ms");
        let fine = self.hold >= self.renew_every.saturating_mul(10);
        at.check(
            "hold",
            fine,
            "must be at least 10 times renew_every, or an alert ends there by silence",
        );
    }
}

/// PagerDuty, Events API v2.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pagerduty {
    /// The integration's routing key, 32 characters.
    pub routing_key: Secret,
    /// Where events go; another one for the EU, or one that speaks the same.
    #[serde(default = "default_pagerduty")]
    pub url: Secret,
    /// CA that vouches for it, PEM, instead of the public ones.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Longest time for one attempt.
    #[serde(default = "default_timeout", with = "service::config::duration")]
    pub timeout: Duration,
}

fn default_pagerduty() -> Secret {
    Secret::new("https://events.pagerduty.com/v2/enqueue")
}

impl Pagerduty {
    pub(super) fn validate(&self, at: &mut Problems) {
        check_timeout(self.timeout, at);
        let fine = self.routing_key.reveal().len() == 32;
        at.check("routing_key", fine, "must have 32 characters");
    }
}

/// A chat that takes Slack's incoming webhooks.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Slack {
    /// The webhook's URL; whoever has it can post.
    pub url: Secret,
    /// CA that vouches for it, PEM, instead of the public ones.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Longest time for one attempt.
    #[serde(default = "default_timeout", with = "service::config::duration")]
    pub timeout: Duration,
}

impl Slack {
    pub(super) fn validate(&self, at: &mut Problems) {
        check_timeout(self.timeout, at);
    }
}

/// Microsoft Teams: a workflow "when a Teams webhook request is received".
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Teams {
    /// The workflow's URL; whoever has it can post.
    pub url: Secret,
    /// CA that vouches for it, PEM, instead of the public ones.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Longest time for one attempt.
    #[serde(default = "default_timeout", with = "service::config::duration")]
    pub timeout: Duration,
}

impl Teams {
    pub(super) fn validate(&self, at: &mut Problems) {
        check_timeout(self.timeout, at);
    }
}

/// How SMTP is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// Begins in the clear and must go over to TLS (port 587).
    #[default]
    Starttls,
    /// TLS from the first byte (port 465).
    Implicit,
    /// None at all: for a relay on the same machine.
    None,
}

/// E-mail through an SMTP server.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// The server's name; its certificate must say the same.
    pub host: String,
    /// Its port; not set: 587, 465 or 25, as `tls` says.
    #[serde(default)]
    pub port: Option<u16>,
    /// How it is protected.
    #[serde(default)]
    pub tls: SmtpTls,
    /// CA that vouches for it, PEM, instead of the public ones.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// User; not set: no login.
    #[serde(default)]
    pub username: Option<String>,
    /// Password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// From whom; its domain stands in the messages' ids.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// Longest time for one attempt.
    #[serde(default = "default_email_timeout", with = "service::config::duration")]
    pub timeout: Duration,
}

/// RFC 5321 4.5.3.2 allows minutes for each step; greylisting and virus scanners take some of it.
fn default_email_timeout() -> Duration {
    Duration::from_secs(30)
}

impl Email {
    pub(super) fn validate(&self, at: &mut Problems) {
        check_timeout(self.timeout, at);
        at.check("host", !self.host.is_empty(), "it is empty");
        at.check("to", !self.to.is_empty(), "nobody stands there");
        let both = self.username.is_some() == self.password.is_some();
        at.check("username", both, "goes with password: both, or neither");
        let clear = self.tls == SmtpTls::None && self.password.is_some();
        at.check("tls", !clear, "a password must not go out in the clear");
        for (key, address) in std::iter::once(("from", &self.from)).chain(self.to.iter().map(|to| ("to", to))) {
            if address.parse::<lettre::message::Mailbox>().is_err() {
                at.problem(key, format!("'{address}' is no e-mail address"));
            }
        }
    }
}

/// ntfy: push to phones.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ntfy {
    /// The server's URL, without the topic.
    #[serde(default = "default_ntfy")]
    pub url: String,
    /// The topic; without access control it is like a password.
    pub topic: Secret,
    /// Access token.
    #[serde(default)]
    pub token: Option<Secret>,
    /// CA that vouches for it, PEM, instead of the public ones.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Longest time for one attempt.
    #[serde(default = "default_timeout", with = "service::config::duration")]
    pub timeout: Duration,
}

fn default_ntfy() -> String {
    "https://ntfy.sh".to_owned()
}

impl Ntfy {
    pub(super) fn validate(&self, at: &mut Problems) {
        check_timeout(self.timeout, at);
        // As ntfy's own server demands (docs.ntfy.sh/publish, "Publishing").
        let topic = self.topic.reveal();
        let fine = (1..=64).contains(&topic.len())
            && topic
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        at.check("topic", fine, "must have 1 to 64 letters, digits, - or _");
    }
}

/// An annunciator on MQTT: a buzzer or a lamp in the clinic.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    /// The broker.
    pub host: String,
    /// Its port; not set: 1883, or 8883 with `ca`.
    #[serde(default)]
    pub port: Option<u16>,
    /// CA that vouches for it, PEM; not set: no TLS.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// User; not set: no login.
    #[serde(default)]
    pub username: Option<String>,
    /// Password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Client id; not set: `dermatel-` and the receiver's name.
    #[serde(default)]
    pub client_id: Option<String>,
    /// The topic, a template: `buzzer/{{ tenant }}/{{ clinic }}`.
    pub topic: String,
    /// Longest time until the broker has acknowledged.
    #[serde(default = "default_timeout", with = "service::config::duration")]
    pub timeout: Duration,
}

impl Mqtt {
    pub(super) fn validate(&self, at: &mut Problems) {
        check_timeout(self.timeout, at);
        at.check("host", !self.host.is_empty(), "it is empty");
        if let Err(error) = crate::notify::check_topic(&self.topic) {
            at.problem("topic", error);
        }
    }
}

/// A file of JSON lines.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LogFile {
    /// The file; appended to, synced, never rotated by us.
    pub path: PathBuf,
}
