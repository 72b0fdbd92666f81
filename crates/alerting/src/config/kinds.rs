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

/// What only one kind asks of its settings.
trait Own {
    fn check(&self, _at: &mut Problems) {}
}

/// Receivers on a network: settings of their own, and what all of them have. A macro, because serde does not support a shared
/// struct (`flatten`) together with refusing what it does not know (`deny_unknown_fields`).
macro_rules! on_a_network {
    ($($(#[$doc:meta])* $kind:ident within $default:literal { $($(#[$of:meta])* $field:ident: $type:ty,)* })+) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        pub struct $kind {
            $($(#[$of])* pub $field: $type,)*
            /// CA that vouches for it, PEM, instead of the public ones; MQTT has no TLS without.
            #[serde(default)]
            pub ca: Option<PathBuf>,
            /// Longest time for one attempt.
            #[serde(default = $default, with = "service::config::duration")]
            pub timeout: Duration,
        }

        impl $kind {
            pub(super) fn validate(&self, at: &mut Problems) {
                let fine = (TIMEOUT_MIN..=TIMEOUT_MAX).contains(&self.timeout);
                at.check("timeout", fine, "must be 10ms to 10m");
                self.check(at);
            }
        }
    )+ };
}

fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

on_a_network! {
    /// An HTTP endpoint that takes pages as JSON.
    Webhook within "default_timeout" {
        /// Its URL; secret, because many services put their token there.
        url: Secret,
        /// Value of the `authorization` header.
        #[serde(default)]
        authorization: Option<Secret>,
        /// Most attempts at the same time.
        #[serde(default = "default_in_flight")]
        in_flight: usize,
    }

    /// Prometheus's Alertmanager, API v2.
    Alertmanager within "default_timeout" {
        /// Its URL without `/api/v2/alerts`.
        url: Secret,
        /// Value of the `authorization` header.
        #[serde(default)]
        authorization: Option<Secret>,
        /// How often open alerts are told again: it forgets them when it restarts.
        #[serde(default = "default_renew_every", with = "service::config::duration")]
        renew_every: Duration,
        /// For how long it goes on to show an alert as firing when it hears nothing more of us.
        #[serde(default = "default_hold", with = "service::config::duration")]
        hold: Duration,
    }

    /// PagerDuty, Events API v2.
    Pagerduty within "default_timeout" {
        /// The integration's routing key, 32 characters.
        routing_key: Secret,
        /// Where events go; another one for the EU, or one that speaks the same.
        #[serde(default = "default_pagerduty")]
        url: Secret,
    }

    /// A chat that takes Slack's incoming webhooks.
    Slack within "default_timeout" {
        /// The webhook's URL; whoever has it can post.
        url: Secret,
    }

    /// Microsoft Teams: a workflow "when a Teams webhook request is received".
    Teams within "default_timeout" {
        /// The workflow's URL; whoever has it can post.
        url: Secret,
    }

    /// E-mail through an SMTP server.
    Email within "default_email_timeout" {
        /// The server's name; its certificate must say the same.
        host: String,
        /// Its port; not set: 587, 465 or 25, as `tls` says.
        #[serde(default)]
        port: Option<u16>,
        /// How it is protected.
        #[serde(default)]
        tls: SmtpTls,
        /// User; not set: no login.
        #[serde(default)]
        username: Option<String>,
        /// Password.
        #[serde(default)]
        password: Option<Secret>,
        /// From whom; its domain stands in the messages' ids.
        from: String,
        /// To whom.
        to: Vec<String>,
    }

    /// ntfy: push to phones.
    Ntfy within "default_timeout" {
        /// The server's URL, without the topic.
        #[serde(default = "default_ntfy")]
        url: String,
        /// The topic; without access control it is like a password.
        topic: Secret,
        /// Access token.
        #[serde(default)]
        token: Option<Secret>,
    }

    /// An annunciator on MQTT: a buzzer or a lamp in the clinic.
    Mqtt within "default_timeout" {
        /// The broker.
        host: String,
        /// Its port; not set: 1883, or 8883 with `ca`.
        #[serde(default)]
        port: Option<u16>,
        /// User; not set: no login.
        #[serde(default)]
        username: Option<String>,
        /// Password.
        #[serde(default)]
        password: Option<Secret>,
        /// Client id; not set: `dermatel-` and the receiver's name.
        #[serde(default)]
        client_id: Option<String>,
        /// The topic, a template: `buzzer/{{ tenant }}/{{ clinic }}`.
        topic: String,
    }
}

fn default_in_flight() -> usize {
    16
}

impl Own for Webhook {
    fn check(&self, at: &mut Problems) {
        let fine = (1..=MAX_IN_FLIGHT).contains(&self.in_flight);
        at.check("in_flight", fine, format!("must be 1 to {MAX_IN_FLIGHT}"));
    }
}

/// Prometheus's documentation asks clients for 30 seconds to 3 minutes (prometheus.io/docs/alerting/latest/clients).
fn default_renew_every() -> Duration {
    Duration::from_secs(60)
}

/// Longer than any repair of ours takes: it must not resolve an alert because we are silent.
fn default_hold() -> Duration {
    Duration::from_secs(7 * 86_400)
}

impl Own for Alertmanager {
    fn check(&self, at: &mut Problems) {
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

fn default_pagerduty() -> Secret {
    Secret::new("https://events.pagerduty.com/v2/enqueue")
}

impl Own for Pagerduty {
    fn check(&self, at: &mut Problems) {
        let fine = self.routing_key.reveal().len() == 32;
        at.check("routing_key", fine, "must have 32 characters");
    }
}

impl Own for Slack {}

impl Own for Teams {}

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

/// RFC 5321 4.5.3.2 allows minutes for each step; greylisting and virus scanners take some of it.
fn default_email_timeout() -> Duration {
    Duration::from_secs(30)
}

impl Own for Email {
    fn check(&self, at: &mut Problems) {
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

fn default_ntfy() -> String {
    "https://ntfy.sh".to_owned()
}

impl Own for Ntfy {
    fn check(&self, at: &mut Problems) {
        // As ntfy's own server demands (docs.ntfy.sh/publish, "Publishing").
        let topic = self.topic.reveal();
        let fine = (1..=64).contains(&topic.len())
            && topic
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        at.check("topic", fine, "must have 1 to 64 letters, digits, - or _");
    }
}

impl Own for Mqtt {
    fn check(&self, at: &mut Problems) {
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
