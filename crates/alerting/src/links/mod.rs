//! The link in a page: whoever was paged can look and act from a phone without a login.
//!
//! A link is bound to alert, step, recipient, action and expiry by an HMAC (RFC 2104, SHA-256); its GET only shows, because mail
//! scanners fetch links; a POST from the page that it shows acts, once.
mod html;
mod routes;
mod token;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::config::{Problems, Secret};

pub(crate) use routes::Links;
pub use routes::router;
pub(crate) use token::{Act, Bound, Signer};

/// Whether and how pages carry links.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where people reach `http.listen` from outside, for example through a proxy with TLS: `https://alerts.example.org`.
    pub base_url: String,
    /// How long a link can be used.
    #[serde(default = "default_valid_for", with = "service::config::duration")]
    pub valid_for: Duration,
    /// What links are signed with, at least 32 characters; not set: drawn once and kept in alerting's file.
    #[serde(default)]
    pub key: Option<Secret>,
}

fn default_valid_for() -> Duration {
    Duration::from_secs(24 * 3_600)
}

/// Shortest key in characters.
const MIN_KEY: usize = 32;

impl Config {
    pub(crate) fn validate(&self, problems: &mut Problems) {
        let url = reqwest::Url::parse(&self.base_url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        problems.check("base_url", url, "must be an http or https URL");
        let fine = (Duration::from_secs(60)..=Duration::from_secs(30 * 86_400)).contains(&self.valid_for);
        problems.check("valid_for", fine, "must be 1m to 30d");
        let long = self.key.as_ref().is_none_or(|key| key.reveal().len() >= MIN_KEY);
        problems.check("key", long, "must have at least 32 characters");
    }
}
