//! What answers at the configured address: which InfluxDB, and what its clock says.

use std::time::SystemTime;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::api::{ApiError, no_answer};
use crate::store::influx::InfluxConfigError;
use crate::store::{InfluxConfig, clock};

/// Which server it is, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// InfluxDB 2, or a cloud with its API.
    Two,
    /// InfluxDB 1 with its version; whether it takes the writes of version 2 (1.8 and later do).
    One {
        /// As it says.
        version: String,
        /// `/api/v2/write` is there.
        takes_v2_writes: bool,
    },
    /// InfluxDB 3 with its version, and which of its endpoints answer.
    Three {
        /// As it says.
        version: String,
        /// Paths that are there.
        answers: Vec<&'static str>,
    },
    /// Something else; whether it takes the writes of version 2.
    Other {
        /// `/api/v2/write` is there.
        takes_v2_writes: bool,
    },
}

impl Server {
    /// What to do about a server that is not InfluxDB 2.
    pub fn advice(&self) -> String {
        match self {
            Self::Two => "InfluxDB 2".to_owned(),
            Self::One {
                version,
                takes_v2_writes,
            } => {
                let writes = if *takes_v2_writes {
                    "takes our writes, but has no management API"
                } else {
                    "has no v2 API (/api/v2/write answers 404)"
                };
                format!(
                    "this is InfluxDB {version}, which {writes}: use InfluxDB 2, or 1.8 and later with databases and \
                     retention policies made by hand as docs/influxdb.md says"
                )
            }
            Self::Three { version, answers } => format!(
                "this is InfluxDB {version}, which answers at {}: it takes our writes, and its databases and tokens are made \
                 with its own tools as docs/influxdb.md says",
                answers.join(", ")
            ),
            Self::Other { takes_v2_writes: true } => {
                "this is no InfluxDB that we know, but takes the writes of version 2: \
                 set ingestor.rollups = false unless it answers InfluxQL"
                    .to_owned()
            }
            Self::Other { takes_v2_writes: false } => {
                "this is no InfluxDB: /ping names none and /api/v2/write is not there; look at ingestor.influx.url"
                    .to_owned()
            }
        }
    }
}

/// What a first look says.
#[derive(Debug, Clone)]
pub(super) struct Probed {
    pub(super) server: Server,
    /// How far its clock is ahead of ours, in seconds; whole ones, as HTTP says them.
    pub(super) ahead_s: Option<i64>,
}

/// Endpoints of InfluxDB 3 that matter here, each with whether it wants a body.
const OF_THREE: [&str; 4] = ["/api/v2/write", "/query", "/api/v3/write_lp", "/api/v3/query_sql"];

pub(super) async fn probe(config: &InfluxConfig) -> Result<Probed, ApiError> {
    let http = config.http()?.build().map_err(InfluxConfigError::Asker)?;
    let url = config.url.trim_end_matches('/');
    let get = |path: &str| {
        let request = http.get(format!("{url}{path}"));
        // Version 3 wants a token even here.
        request.header("authorization", format!("Token {}", config.token.reveal()))
    };
    let asked = SystemTime::now();
    let ping = get("/ping").send().await.map_err(|e| no_answer(&e))?;
    let ahead_s = clock::ahead(ping.headers(), asked, SystemTime::now());
    let mut version = header(ping.headers(), "x-influxdb-version");
    if version.is_none() {
        version = ping.text().await.ok().and_then(|text| version_in(&text));
    }
    let version = version.unwrap_or_default();
    let takes_v2_writes = is_there(&http, url, "/api/v2/write").await?;
    let number = version.trim_start_matches('v');
    let server = if number.starts_with("3.") {
        let mut answers = Vec::new();
        for path in OF_THREE {
            if is_there(&http, url, path).await? {
                answers.push(path);
            }
        }
        Server::Three { version, answers }
    } else if has_management(get("/api/v2/setup")).await? {
        Server::Two
    } else if number.starts_with("1.") {
        Server::One {
            version,
            takes_v2_writes,
        }
    } else {
        Server::Other { takes_v2_writes }
    };
    Ok(Probed { server, ahead_s })
}

/// Whether a path is there, whatever it answers to a GET.
async fn is_there(http: &reqwest::Client, url: &str, path: &str) -> Result<bool, ApiError> {
    let answer = http
        .get(format!("{url}{path}"))
        .send()
        .await
        .map_err(|e| no_answer(&e))?;
    if answer.status() != StatusCode::NOT_FOUND {
        return Ok(true);
    }
    // A resource that is not found has an error in JSON; a path that is not there has a page.
    let text = answer.text().await.unwrap_or_default();
    Ok(serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|value| value.get("code").is_some()))
}

/// Whether the management API of version 2 is there: others may answer anything at its paths.
async fn has_management(request: reqwest::RequestBuilder) -> Result<bool, ApiError> {
    let text = request.send().await.map_err(|e| no_answer(&e))?.text().await;
    let answer = text
        .ok()
        .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
    Ok(answer.is_some_and(|answer| answer.get("allowed").is_some_and(serde_json::Value::is_boolean)))
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

fn version_in(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    value.get("version")?.as_str().map(str::to_owned)
}
