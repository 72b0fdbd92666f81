//! Somebody who is told: who of, from which priority on, by which way, in which words, and who instead when it fails.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::config::Problems;
use telemetry::{Priority, TenantId};

use super::kinds::{Alertmanager, Email, LogFile, Mqtt, Ntfy, Pagerduty, Slack, Teams, Webhook};

/// Shortest time between test pages of a receiver: a person is to look at each of them.
const TEST_EVERY_MIN: Duration = Duration::from_secs(3_600);

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// Name, for metrics, journal and the outbox: renaming it leaves its waiting pages behind.
    pub name: String,
    /// Only of these tenants; none: of all. A gateway's own alerts go to receivers of all tenants only.
    #[serde(default)]
    pub tenants: Vec<TenantId>,
    /// Only from this priority on, with a paging plan too. Not set: low without a plan, and whatever the plan's routes say with one.
    #[serde(default)]
    pub min_priority: Option<Priority>,
    /// Who is told instead when this receiver refuses a page for good, or has not taken it `undelivered_after`.
    #[serde(default)]
    pub fallback: Option<String>,
    /// When a page that was not taken counts as undelivered: it is copied to the fallback, and that is an alert itself.
    #[serde(default)]
    pub undelivered_after: UndeliveredAfter,
    /// How often a test page goes out; not set: never.
    #[serde(default, with = "optional_duration")]
    pub test_every: Option<Duration>,
    /// Own words.
    #[serde(default)]
    pub template: Template,
    /// An HTTP endpoint.
    #[serde(default)]
    pub webhook: Option<Webhook>,
    /// Prometheus's Alertmanager.
    #[serde(default)]
    pub alertmanager: Option<Alertmanager>,
    /// PagerDuty.
    #[serde(default)]
    pub pagerduty: Option<Pagerduty>,
    /// A chat that takes Slack's incoming webhooks.
    #[serde(default)]
    pub slack: Option<Slack>,
    /// Microsoft Teams.
    #[serde(default)]
    pub teams: Option<Teams>,
    /// E-mail.
    #[serde(default)]
    pub email: Option<Email>,
    /// ntfy.
    #[serde(default)]
    pub ntfy: Option<Ntfy>,
    /// An annunciator on MQTT.
    #[serde(default)]
    pub mqtt: Option<Mqtt>,
    /// A file of JSON lines, and the process's log.
    #[serde(default)]
    pub log: Option<LogFile>,
}

impl Receiver {
    /// A receiver of everything from low on, by no way yet.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            tenants: Vec::new(),
            min_priority: None,
            fallback: None,
            undelivered_after: UndeliveredAfter::default(),
            test_every: None,
            template: Template::default(),
            webhook: None,
            alertmanager: None,
            pagerduty: None,
            slack: None,
            teams: None,
            email: None,
            ntfy: None,
            mqtt: None,
            log: None,
        }
    }

    /// Makes relative paths absolute: what is read is found beside the configuration, what is written below the data folder.
    pub fn resolve(&mut self, folder: &Path, data: &Path) {
        if let Some(log) = &mut self.log {
            log.path = data.join(&log.path);
        }
        let authorities = [
            self.webhook.as_mut().map(|kind| &mut kind.ca),
            self.alertmanager.as_mut().map(|kind| &mut kind.ca),
            self.pagerduty.as_mut().map(|kind| &mut kind.ca),
            self.slack.as_mut().map(|kind| &mut kind.ca),
            self.teams.as_mut().map(|kind| &mut kind.ca),
            self.email.as_mut().map(|kind| &mut kind.ca),
            self.ntfy.as_mut().map(|kind| &mut kind.ca),
            self.mqtt.as_mut().map(|kind| &mut kind.ca),
        ];
        for ca in authorities.into_iter().flatten().flatten() {
            *ca = folder.join(&*ca);
        }
        for part in [&mut self.template.title, &mut self.template.text] {
            if let Some(Words::File { file }) = part {
                *file = folder.join(&*file);
            }
        }
    }

    /// How many ways there are; one is right.
    fn ways(&self) -> usize {
        [
            self.webhook.is_some(),
            self.alertmanager.is_some(),
            self.pagerduty.is_some(),
            self.slack.is_some(),
            self.teams.is_some(),
            self.email.is_some(),
            self.ntfy.is_some(),
            self.mqtt.is_some(),
            self.log.is_some(),
        ]
        .into_iter()
        .filter(|way| *way)
        .count()
    }

    fn validate(&self, problems: &mut Problems) {
        // An alert about a receiver is named after it, as one about a device is.
        let named = telemetry::DeviceId::new(&self.name).is_ok();
        let allowed = "must be a-z, 0-9 and, after the first character, -; at most 63";
        problems.check("name", named, allowed);
        let one = "exactly one of webhook, alertmanager, pagerduty, slack, teams, email, ntfy, mqtt and log is needed";
        problems.check("", self.ways() == 1, one);
        if let Some(every) = self.test_every {
            problems.check("test_every", every >= TEST_EVERY_MIN, "must be at least 1h");
        }
        problems.section("undelivered_after", |at| self.undelivered_after.validate(at));
        problems.section("template", |at| self.template.validate(at));
        self.validate_kind(problems);
    }

    fn validate_kind(&self, at: &mut Problems) {
        if let Some(kind) = &self.webhook {
            at.section("webhook", |at| kind.validate(at));
        }
        if let Some(kind) = &self.alertmanager {
            at.section("alertmanager", |at| kind.validate(at));
        }
        if let Some(kind) = &self.pagerduty {
            at.section("pagerduty", |at| kind.validate(at));
        }
        if let Some(kind) = &self.slack {
            at.section("slack", |at| kind.validate(at));
        }
        if let Some(kind) = &self.teams {
            at.section("teams", |at| kind.validate(at));
        }
        if let Some(kind) = &self.email {
            at.section("email", |at| kind.validate(at));
        }
        if let Some(kind) = &self.ntfy {
            at.section("ntfy", |at| kind.validate(at));
        }
        if let Some(kind) = &self.mqtt {
            at.section("mqtt", |at| kind.validate(at));
        }
    }
}

/// Looks at every receiver, and at what they are to one another.
pub(super) fn validate_all(receivers: &[Receiver], problems: &mut Problems) {
    for (n, receiver) in receivers.iter().enumerate() {
        problems.entry("receivers", n, |problems| {
            receiver.validate(problems);
            let twice = receivers.iter().take(n).any(|other| other.name == receiver.name);
            problems.check("name", !twice, "is there twice");
            if let Some(fallback) = &receiver.fallback {
                problems.check(
                    "fallback",
                    find(receivers, fallback).is_some(),
                    "no receiver has this name",
                );
                let allowed = find(receivers, fallback).is_none_or(|fallback| covers(fallback, receiver));
                let why = "that receiver is for some tenants only, and must not get what others' pages say";
                problems.check("fallback", allowed, why);
                let fine = !is_in_circle(receivers, receiver);
                problems.check("fallback", fine, "the chain of fallbacks comes back here, it must end");
            }
        });
    }
}

fn find<'r>(receivers: &'r [Receiver], name: &str) -> Option<&'r Receiver> {
    receivers.iter().find(|receiver| receiver.name == name)
}

/// Whether one receiver may get all that another gets.
fn covers(fallback: &Receiver, receiver: &Receiver) -> bool {
    let all =
        |tenants: &[TenantId]| !tenants.is_empty() && tenants.iter().all(|tenant| fallback.tenants.contains(tenant));
    fallback.tenants.is_empty() || all(&receiver.tenants)
}

/// Whether the fallbacks of a receiver lead back to it.
fn is_in_circle(receivers: &[Receiver], start: &Receiver) -> bool {
    let mut seen = BTreeSet::new();
    let mut at = start;
    while let Some(next) = at.fallback.as_deref().and_then(|name| find(receivers, name)) {
        if next.name == start.name {
            return true;
        }
        // A circle further on is told where it is.
        if !seen.insert(next.name.as_str()) {
            return false;
        }
        at = next;
    }
    false
}

/// When a page that nobody took counts as undelivered, by its priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct UndeliveredAfter {
    /// High.
    #[serde(with = "service::config::duration")]
    pub high: Duration,
    /// Medium.
    #[serde(with = "service::config::duration")]
    pub medium: Duration,
    /// Low, and info.
    #[serde(with = "service::config::duration")]
    pub low: Duration,
}

impl Default for UndeliveredAfter {
    fn default() -> Self {
        Self {
            high: Duration::from_secs(60),
            medium: Duration::from_secs(300),
            low: Duration::from_secs(1_800),
        }
    }
}

impl UndeliveredAfter {
    fn validate(&self, problems: &mut Problems) {
        let fine = self.high >= Duration::from_millis(100);
        problems.check("high", fine, "must be at least 100ms");
        let grows = self.high <= self.medium && self.medium <= self.low;
        problems.check("", grows, "what is more urgent must not wait longer: high, medium, low");
    }
}

/// Own words of a receiver; what is not set is in the words that come with the program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Template {
    /// One line.
    pub title: Option<Words>,
    /// The rest.
    pub text: Option<Words>,
}

/// A template of minijinja, in place or in a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged, expecting = "a template: a string, or { file = \"path\" }")]
pub enum Words {
    /// In place.
    Inline(String),
    /// In a file.
    File {
        /// Relative to the configuration.
        file: PathBuf,
    },
}

impl Template {
    /// What stands in place; files are looked at by [`crate::check_receivers`].
    fn validate(&self, problems: &mut Problems) {
        for (key, part) in [("title", &self.title), ("text", &self.text)] {
            if let Some(Words::Inline(source)) = part
                && let Err(error) = crate::notify::check_template(source)
            {
                problems.problem(key, error);
            }
        }
    }
}

/// A duration that may be absent.
mod optional_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => service::config::duration::serialize(duration, to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        #[derive(Deserialize)]
        struct Wrapped(#[serde(with = "service::config::duration")] Duration);
        Ok(Option::<Wrapped>::deserialize(from)?.map(|wrapped| wrapped.0))
    }
}
