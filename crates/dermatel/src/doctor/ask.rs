//! The question whether a process leads the registry, and which it has; asked without being taken for one that follows.
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::Value;
use service::config::Secret;

use crate::follow::Leader;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer, in bytes: what was changed by command stands in it.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// Hash of the last line of an empty journal.
const NO_LINE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What came back.
#[derive(Debug)]
pub(super) enum Answer {
    /// It leads: its registry, and the hash of its last line.
    Leads { version: String, head: String },
    /// It has a registry and does not lead.
    DoesNotLead,
    /// There is no such page.
    NoApi,
    /// It wants another token.
    Locked,
    /// Nothing that can be understood, and why.
    Silent(String),
}

/// Whom to ask.
pub(super) struct Place {
    /// Its `…/v1/registry`, if the configuration names one.
    registry: Option<String>,
    authorization: Option<Secret>,
}

impl Place {
    pub(super) fn of_leader(leader: &Leader) -> Self {
        Self {
            registry: leader.url.strip_suffix("/lines").map(str::to_owned),
            authorization: leader.authorization.clone(),
        }
    }

    pub(super) fn of_upstream(upstream: &alerting::upstream::Config) -> Self {
        let base = upstream.url.reveal().strip_suffix("/told");
        Self {
            registry: base.map(|base| format!("{base}/registry")),
            authorization: upstream.authorization.clone(),
        }
    }

    /// Host and port: a URL may carry a password.
    pub(super) fn name(&self) -> String {
        let url = self.registry.as_deref().and_then(|url| Url::parse(url).ok());
        let named = url.and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)));
        named.unwrap_or_else(|| "an address that cannot be read".to_owned())
    }

    /// Asks.
    pub(super) async fn ask(&self) -> Result<Answer> {
        let client = Client::builder().timeout(PATIENCE).build();
        let client = client.context("no question can be asked from here")?;
        let Some(registry) = &self.registry else {
            return Ok(Answer::NoApi);
        };
        Ok(match self.questions(&client, registry).await {
            Ok(answer) => answer,
            Err(error) => Answer::Silent(format!("{error:#}")),
        })
    }

    async fn questions(&self, client: &Client, registry: &str) -> Result<Answer> {
        let shown = self.get(client, registry, &[]).await?;
        if shown.status() == StatusCode::NOT_FOUND {
            return Ok(Answer::NoApi);
        }
        if matches!(shown.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(Answer::Locked);
        }
        let shown = body(shown.error_for_status()?).await?;
        let head = shown["journal_head"].as_str().unwrap_or(NO_LINE).to_owned();
        // As a gateway, which nobody waits for, and one that has everything, so that no line is sent.
        let as_whom = [("role", "gateway"), ("instance", "doctor"), ("have", &head)];
        let lines = self.get(client, &format!("{registry}/lines"), &as_whom).await?;
        if lines.status() == StatusCode::NOT_FOUND {
            return Ok(Answer::DoesNotLead);
        }
        let lines = body(lines.error_for_status()?).await?;
        let version = lines["version"].as_str().context("its answer says no version")?;
        Ok(Answer::Leads {
            version: version.to_owned(),
            head,
        })
    }

    async fn get(&self, client: &Client, url: &str, query: &[(&str, &str)]) -> Result<Response> {
        let mut request = client.get(url).query(query);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization.reveal());
        }
        Ok(request.send().await.map_err(reqwest::Error::without_url)?)
    }
}

async fn body(mut answer: Response) -> Result<Value> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        anyhow::ensure!(bytes.len() + chunk.len() <= ANSWER_MAX, "its answer is too long");
        bytes.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&bytes).context("its answer cannot be read: is it another version?")
}
