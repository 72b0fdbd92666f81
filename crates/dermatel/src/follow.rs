//! Changes of the registry by command where processes run apart: one alerting instance leads, takes them and hands out the lines of its
//! journal; all others follow. Who judges has a line before a gateway gets it, so that nothing is judged by a fleet that does not know it.
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use registry::{Change, Digest};
use serde::{Deserialize, Serialize};
use service::config::{Problems, Secret};
use service::health::Condition;
use telemetry::DeviceId;

use crate::api;
use crate::fleet::{Fleet, blocking};
use crate::standing::{Standing, Trouble};

/// How often a follower asks.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Longest time of one question, with an answer of [`ANSWER_MAX`].
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long a start waits for the leader: a process that begins with an empty disk knows no device that was entered by command.
const FIRST_WITHIN: Duration = Duration::from_secs(5);
/// Who judges and has not asked for so long is not waited for.
const GONE_AFTER: Duration = Duration::from_secs(30);
/// So long after its start the leader does not know yet who judges.
const KNOWS_AFTER: Duration = Duration::from_secs(5);
/// How long files may differ while they are rolled out.
const DIFFER_FOR: Duration = Duration::from_secs(30);
/// Most followers that are waited for.
const FOLLOWERS_MAX: usize = 256;
/// Longest answer, in bytes: a full journal.
const ANSWER_MAX: usize = 96 * 1024 * 1024;
/// Name of the condition for readiness.
pub(crate) const CONDITION: &str = "registry";

/// Where the process that leads is.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Leader {
    /// Its `…/v1/registry/lines`.
    pub(crate) url: String,
    /// Value of the `authorization` header.
    #[serde(default)]
    pub(crate) authorization: Option<Secret>,
}

impl Leader {
    pub(crate) fn validate(&self, at: &mut Problems) {
        let known = reqwest::Url::parse(&self.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        at.check("url", known, "must be a URL with http or https");
    }
}

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Gateway,
    Ingestor,
    Alerting,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Ingestor => "ingestor",
            Self::Alerting => "alerting",
        }
    }
}

/// What a follower asks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    role: Role,
    instance: DeviceId,
    /// Hash of its last line; zeros: it has none.
    have: Digest,
}

/// What it is answered.
#[derive(Debug, Serialize, Deserialize)]
struct Lines {
    /// The registry of the process that leads.
    version: String,
    /// Hash of its last line; zeros: it has none.
    head: Digest,
    /// All lines; none: they are known, or not for this follower yet.
    lines: Option<Vec<Change>>,
}

/// Who judges by the registry of the process that leads.
#[derive(Debug)]
pub(crate) struct Followers {
    started: Instant,
    judging: Mutex<BTreeMap<String, (Digest, Instant)>>,
}

impl Followers {
    pub(crate) fn new(now: Instant) -> Arc<Self> {
        Arc::new(Self {
            started: now,
            judging: Mutex::default(),
        })
    }

    fn heard(&self, who: String, have: Digest, now: Instant) {
        let mut judging = self.judging.lock().unwrap_or_else(PoisonError::into_inner);
        judging.retain(|_, (_, at)| now.duration_since(*at) < GONE_AFTER);
        if judging.len() < FOLLOWERS_MAX || judging.contains_key(&who) {
            judging.insert(who, (have, now));
        }
    }

    /// Whether everybody who judges has everything up to this line.
    fn all_have(&self, head: Digest, now: Instant) -> bool {
        let judging = self.judging.lock().unwrap_or_else(PoisonError::into_inner);
        let mut there = judging.values().filter(|(_, at)| now.duration_since(*at) < GONE_AFTER);
        now.duration_since(self.started) >= KNOWS_AFTER && there.all(|(have, _)| *have == head)
    }
}

/// What the process that leads answers besides.
pub(crate) fn routes(fleet: Fleet, followers: Arc<Followers>) -> Router {
    let lines = get(lines).with_state((fleet, followers));
    Router::new().route("/registry/lines", lines)
}

async fn lines(State((fleet, followers)): State<(Fleet, Arc<Followers>)>, Query(ask): Query<Ask>) -> Response {
    let ((version, head), changes) = blocking(move || {
        let head = fleet.book.head();
        let changes = (head.1 != ask.have).then(|| fleet.book.changes());
        (head, changes)
    })
    .await;
    let now = Instant::now();
    if ask.role != Role::Gateway {
        followers.heard(format!("{} {}", ask.role.as_str(), ask.instance), ask.have, now);
    }
    let due = ask.role != Role::Gateway || followers.all_have(head, now);
    let lines = changes
        .filter(|_| due)
        .map(|lines| lines.into_iter().map(|(line, _)| line).collect());
    api::done(Lines {
        version: version.to_string(),
        head,
        lines,
    })
}

/// Follows.
pub(crate) struct Follower {
    fleet: Fleet,
    leader: Leader,
    who: (Role, String),
    http: reqwest::Client,
    standing: Standing,
    /// Since when the files give another registry here.
    differs: Option<Instant>,
}

impl Follower {
    /// `mark`: a file of this process's own, see [`Standing`].
    pub(crate) fn new(
        fleet: Fleet,
        leader: Leader,
        who: (Role, String),
        (condition, mark): (Condition, PathBuf),
    ) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).build();
        let has_lines = fleet.book.head().1 != Digest([0; 32]);
        Ok(Self {
            fleet,
            leader,
            who,
            http: http.context("node.registry_from cannot be asked")?,
            standing: Standing::new(condition, mark, has_lines, Instant::now()),
            differs: None,
        })
    }

    /// Asks once; for a start, before the first message is let in.
    pub(crate) async fn begin(&mut self) {
        if tokio::time::timeout(FIRST_WITHIN, self.turn()).await.is_err() {
            self.standing.silent("it takes too long", Instant::now());
        }
    }

    /// Asks until `stop` resolves.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(ASK_EVERY) => {}
            }
            tokio::select! {
                () = &mut stop => return,
                () = self.turn() => {}
            }
        }
    }

    async fn turn(&mut self) {
        let book = Arc::clone(&self.fleet.book);
        let (version, head) = blocking(move || book.head()).await;
        let theirs = match self.ask(head).await {
            Ok(theirs) => theirs,
            Err(error) => return self.standing.silent(&format!("{error:#}"), Instant::now()),
        };
        self.standing.answered(Instant::now());
        match theirs.lines {
            Some(lines) => match self.fleet.follow(lines, theirs.head, theirs.version.clone()).await {
                Ok(followed) => self.compare(&followed.version.to_string(), &theirs.version),
                Err(error) => self.standing.trouble(Trouble::Refused, &error.to_string()),
            },
            None if theirs.head == head => self.compare(&version.to_string(), &theirs.version),
            None => self.standing.trouble(
                Trouble::Waits,
                "its changes come when every ingestor and alerting instance has them",
            ),
        }
    }

    fn compare(&mut self, ours: &str, theirs: &str) {
        if ours == theirs {
            self.differs = None;
            return self.standing.same();
        }
        self.standing.has();
        let since = *self.differs.get_or_insert_with(Instant::now);
        if since.elapsed() >= DIFFER_FOR {
            let why = format!(
                "the files of the registry give {ours} here and {theirs} at the process that leads: roll out the same ones and read \
                 them again (POST /v1/registry/reload)"
            );
            self.standing.trouble(Trouble::Differs, &why);
        }
    }

    async fn ask(&self, have: Digest) -> Result<Lines> {
        let query = [
            ("role", self.who.0.as_str().to_owned()),
            ("instance", self.who.1.clone()),
            ("have", have.to_string()),
        ];
        let mut request = self.http.get(&self.leader.url).query(&query);
        if let Some(authorization) = &self.leader.authorization {
            request = request.header("authorization", authorization.reveal());
        }
        let answer = request.send().await.and_then(reqwest::Response::error_for_status);
        let mut answer = answer.map_err(reqwest::Error::without_url)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            anyhow::ensure!(body.len() + chunk.len() <= ANSWER_MAX, "its answer is too long");
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).context("its answer cannot be read: is it another version?")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_gets_a_line_once_everybody_who_judges_and_is_there_has_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (old, new) = (Digest([1; 32]), Digest([2; 32]));
        let followers = Followers::new(start);
        assert!(!followers.all_have(new, at(0)), "nobody is known yet");
        assert!(followers.all_have(new, at(5)));
        followers.heard("ingestor a".to_owned(), old, at(6));
        followers.heard("alerting a".to_owned(), new, at(6));
        assert!(!followers.all_have(new, at(7)));
        followers.heard("ingestor a".to_owned(), new, at(8));
        assert!(followers.all_have(new, at(8)));
        followers.heard("ingestor b".to_owned(), old, at(9));
        assert!(!followers.all_have(new, at(38)));
        assert!(followers.all_have(new, at(40)), "it is gone");
    }
}
