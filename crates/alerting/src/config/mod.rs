//! What an operator decides about alerting.
mod kinds;
mod receiver;

use std::path::PathBuf;
use std::time::Duration;

pub use kinds::{Alertmanager, Email, LogFile, Mqtt, Ntfy, Pagerduty, Slack, SmtpTls, Teams, Webhook};
pub use receiver::{Receiver, Template, UndeliveredAfter, Words};
use serde::{Deserialize, Serialize};
use service::config::{ByteSize, Problems, Setting, Validate};

use crate::{deadman, links, upstream};

/// Alerting's configuration.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The SQLite file with state, journal and outbox.
    pub file: PathBuf,
    /// Directory with rule files; absent: the rules that come with the program.
    #[serde(default)]
    pub rules: Option<PathBuf>,
    /// Directory with the paging plan; absent: each receiver is told once, by its own tenants and priority.
    #[serde(default)]
    pub paging: Option<PathBuf>,
    /// Who is told.
    #[serde(default)]
    pub receivers: Vec<Receiver>,
    /// How often late alerts leave, gathered into one digest.
    #[serde(default = "default_digest_after", with = "service::config::duration")]
    pub digest_after: Duration,
    /// How long the journal keeps a row, with its evidence and the comments of people; facts about items and cartridges that
    /// were not touched for as long go too. 3 years by default: Toronto Public Health asks personal services settings to keep
    /// their records for that long (the first of them on site).
    #[serde(default = "default_journal_keep", with = "service::config::duration")]
    pub journal_keep: Duration,
    /// How long an alert can be listed after it ended; it stays in the journal.
    #[serde(default = "default_resolved_keep", with = "service::config::duration")]
    pub resolved_keep: Duration,
    /// Most evidence (frames around transitions) in bytes; at the bound the oldest goes.
    #[serde(default = "default_evidence_max")]
    pub evidence_max: ByteSize,
    /// Links in pages; absent: none.
    #[serde(default)]
    pub links: Option<links::Config>,
    /// Whom we call while we are well; absent: nobody.
    #[serde(default)]
    pub deadman: Option<deadman::Config>,
    /// The instance upstream that judges the same frames; absent: there is none.
    #[serde(default)]
    pub upstream: Option<upstream::Config>,
}

const DAY: Duration = Duration::from_secs(86_400);

fn default_journal_keep() -> Duration {
    DAY * 1_095
}

fn default_resolved_keep() -> Duration {
    DAY * 30
}

fn default_evidence_max() -> ByteSize {
    ByteSize::mib(256)
}

fn default_digest_after() -> Duration {
    Duration::from_secs(300)
}

/// Name of the file with state, journal and outbox if none is set.
pub const DEFAULT_FILE: &str = "alerting.sqlite";

impl Default for Config {
    fn default() -> Self {
        Self::new(DEFAULT_FILE)
    }
}

impl Config {
    /// The defaults, with a file and no receiver.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            rules: None,
            paging: None,
            receivers: Vec::new(),
            digest_after: default_digest_after(),
            journal_keep: default_journal_keep(),
            resolved_keep: default_resolved_keep(),
            evidence_max: default_evidence_max(),
            links: None,
            deadman: None,
            upstream: None,
        }
    }
}

impl Validate for Config {
    fn validate(&self, problems: &mut Problems) {
        problems.check("resolved_keep", self.resolved_keep >= DAY, "must be at least 1d");
        let longer = self.journal_keep >= self.resolved_keep;
        problems.check("journal_keep", longer, "must not be shorter than resolved_keep");
        let some = self.evidence_max >= ByteSize::mib(1);
        problems.check("evidence_max", some, "must be at least 1MiB");
        if let Some(links) = &self.links {
            problems.section("links", |problems| links.validate(problems));
        }
        if let Some(deadman) = &self.deadman {
            problems.section("deadman", |problems| deadman.validate(problems));
        }
        if let Some(upstream) = &self.upstream {
            problems.section("upstream", |problems| upstream.validate(problems));
        }
        receiver::validate_all(&self.receivers, problems);
    }
}

/// Every setting of the section, for the commented default file; paths are relative to the section.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "file",
        "\"alerting.sqlite\"",
        "File with alerts, state, journal and outbox, below the data folder.",
    ),
    Setting::new(
        "rules",
        "# \"rules\"",
        "Folder of rule files; not set: the rules that come with the program.",
    ),
    Setting::new(
        "paging",
        "# \"paging\"",
        "Folder of the paging plan (routes, chains, rotas from calendars); not set: each receiver is told once, by its own tenants and priority.",
    ),
    Setting::new(
        "digest_after",
        "\"5m\"",
        "How often alerts about things older than a day leave, gathered into one digest.",
    ),
    Setting::new(
        "journal_keep",
        "\"1095d\"",
        "How long the journal keeps a row, with its evidence and comments, and how long the use of a cartridge is remembered.",
    ),
    Setting::new(
        "resolved_keep",
        "\"30d\"",
        "How long an alert can be listed after it ended; it stays in the journal.",
    ),
    Setting::new(
        "evidence_max",
        "\"256MiB\"",
        "Most frames around transitions that are kept; at the bound the oldest go, counted.",
    ),
    Setting::new(
        "links",
        "# { base_url = \"https://alerts.example.org\", valid_for = \"24h\" }",
        "Links in pages, by which a person looks and acts without a login; base_url is where http.listen is reached from outside.",
    ),
    Setting::new(
        "deadman",
        "# { url = { file = \"deadman-url\" }, every = \"1m\" }",
        "Whom we call regularly while we are well: our silence is their alarm.",
    ),
    Setting::new(
        "upstream",
        "# { url = \"https://…/v1/told\", authorization = { file = \"upstream-token\" }, instance = \"clinic-north\" }",
        "The instance upstream over the same frames: it hears what was paged and acknowledged here, and does not page again.",
    ),
    Setting::new(
        "receivers",
        "[]",
        "Who is told; with none nobody is paged, and readiness says so. One entry is, for example:\n\
         [[alerting.receivers]]\n\
         name = \"on-call\"\n\
         min_priority = \"medium\"        # info, low, medium, high; not set: low, and with a paging plan whatever that says\n\
         tenants = [\"aurora\"]           # not set: all\n\
         fallback = \"chat\"              # who gets what this one refuses for good, or has not taken in time:\n\
         undelivered_after = { high = \"1m\", medium = \"5m\", low = \"30m\" }\n\
         test_every = \"7d\"              # not set: no test pages\n\
         template = { title = \"{{ priority }}: {{ what_happened }}\", text = { file = \"page.j2\" } }\n\
         and exactly one of (HTTP ones may have timeout = \"10s\" and ca = \"ca.pem\"; secrets: \"…\", { file = … }, { env = … })\n\
         webhook = { url = { file = \"webhook-url\" }, authorization = { file = \"token\" }, in_flight = 8 }\n\
         alertmanager = { url = \"http://127.0.0.1:9093\", renew_every = \"1m\", hold = \"7d\" }\n\
         pagerduty = { routing_key = { file = \"pagerduty-key\" } }\n\
         slack = { url = { file = \"slack-url\" } }   # also Mattermost, Rocket.Chat\n\
         teams = { url = { file = \"workflow-url\" } }\n\
         email = { host = \"mail.example.org\", tls = \"starttls\", username = \"pager\", password = { file = \"mail-password\" },\n\
         from = \"pager@example.org\", to = [\"on-call@example.org\"] }   # tls: starttls, implicit, none; one line in the file\n\
         ntfy = { url = \"https://ntfy.sh\", topic = { file = \"ntfy-topic\" }, token = { file = \"ntfy-token\" } }\n\
         mqtt = { host = \"broker.local\", topic = \"buzzer/{{ tenant }}/{{ clinic }}\" }\n\
         log = { path = \"pages.jsonl\" }",
    ),
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_default_file_is_the_truth() {
        service::config::check_settings::<Config>(SETTINGS).unwrap();
    }
}
