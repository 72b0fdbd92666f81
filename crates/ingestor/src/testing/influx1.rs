//! A real InfluxDB 1.6 for real InfluxQL over what we wrote. It has no `/api/v2/write` (1.8 has), so a small listener before
//! it turns `POST /api/v2/write?org&bucket&precision=ns` into `POST /write?db=bucket&rp=…&precision=n` and passes body, encoding
//! and answer on as they are.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::store::influxql::{DETAIL_POLICY, ROLLUP_POLICY};

use service::testing::free_port;

use super::{Server, TestServerError, answers};

const PROGRAM: &str = "influxd";
const TIMEOUT: Duration = Duration::from_secs(10);

/// A running InfluxDB 1.x behind its translating listener.
#[derive(Debug)]
pub struct Influx1 {
    url: String,
    inner: String,
    listener: JoinHandle<()>,
    server: Option<Server>,
    ports: (u16, u16),
    dir: tempfile::TempDir,
}

impl Influx1 {
    /// Starts one with an empty directory.
    ///
    /// # Errors
    /// [`TestServerError`].
    pub async fn start() -> Result<Self, TestServerError> {
        let dir = tempfile::tempdir()?;
        let (http, rpc) = (free_port(), free_port());
        let inner = format!("http://127.0.0.1:{http}");
        let (url, listener) = translate(inner.clone()).await?;
        let mut influx = Self {
            url,
            inner,
            listener,
            server: None,
            ports: (http, rpc),
            dir,
        };
        influx.start_again().await?;
        Ok(influx)
    }

    /// Ends the server at once, as a power cut would; the listener before it answers 502 from now on.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts the server on the data that it has, and waits until it answers.
    ///
    /// # Errors
    /// [`TestServerError`].
    pub async fn start_again(&mut self) -> Result<(), TestServerError> {
        let (dir, (http, rpc)) = (self.dir.path(), self.ports);
        let config = dir.join("influxdb.conf");
        std::fs::write(&config, "")?;
        let mut command = Command::new(PROGRAM);
        command
            .arg("-config")
            .arg(&config)
            .env("INFLUXDB_REPORTING_DISABLED", "true")
            .env("INFLUXDB_BIND_ADDRESS", format!("127.0.0.1:{rpc}"))
            .env("INFLUXDB_HTTP_BIND_ADDRESS", format!("127.0.0.1:{http}"))
            .env("INFLUXDB_META_DIR", dir.join("meta"))
            .env("INFLUXDB_DATA_DIR", dir.join("data"))
            .env("INFLUXDB_DATA_WAL_DIR", dir.join("wal"))
            .env("INFLUXDB_MONITOR_STORE_ENABLED", "false");
        self.server = Some(Server::start(PROGRAM, "influxdb", &mut command)?);
        answers(PROGRAM, &format!("{}/ping", self.inner)).await
    }

    /// Where to write, as to an InfluxDB 2.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server itself, without `/api/v2/write`.
    pub fn server_url(&self) -> &str {
        &self.inner
    }

    /// Makes a database with the retention policies `detail`, which is the default, and `rollup`; its name is the bucket's.
    ///
    /// # Errors
    /// [`TestServerError`].
    pub async fn create_bucket(&self, bucket: &str) -> Result<(), TestServerError> {
        for q in [
            format!("CREATE DATABASE \"{bucket}\" WITH DURATION INF REPLICATION 1 NAME \"{DETAIL_POLICY}\""),
            format!("CREATE RETENTION POLICY \"{ROLLUP_POLICY}\" ON \"{bucket}\" DURATION INF REPLICATION 1"),
        ] {
            self.ask(&format!("q={q}")).await?;
        }
        Ok(())
    }

    /// Asks in InfluxQL; gives the rows of the first series.
    ///
    /// # Errors
    /// [`TestServerError`].
    pub async fn query(&self, bucket: &str, influxql: &str) -> Result<Vec<Vec<Value>>, TestServerError> {
        let answer = self.ask(&format!("db={bucket}&q={influxql}")).await?;
        let rows = answer.pointer("/results/0/series/0/values").and_then(Value::as_array);
        Ok(rows
            .into_iter()
            .flatten()
            .filter_map(|row| row.as_array().cloned())
            .collect())
    }

    /// Asks in InfluxQL for points; gives each as texts by name of column, without what is absent, its time as `time_ns`.
    ///
    /// # Errors
    /// [`TestServerError`].
    pub async fn rows(&self, bucket: &str, influxql: &str) -> Result<Vec<BTreeMap<String, String>>, TestServerError> {
        let answer = self.ask(&format!("db={bucket}&epoch=ns&q={influxql}")).await?;
        let text = |value: &Value| match value {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        };
        let list = |at: &str| {
            answer
                .pointer(at)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        let columns: Vec<String> = list("/results/0/series/0/columns").iter().filter_map(text).collect();
        let name = |name: &str| {
            if name == "time" {
                "time_ns".to_owned()
            } else {
                name.to_owned()
            }
        };
        Ok(list("/results/0/series/0/values")
            .iter()
            .filter_map(Value::as_array)
            .map(|row| {
                let cells = columns.iter().zip(row);
                cells
                    .filter_map(|(column, value)| Some((name(column), text(value)?)))
                    .collect()
            })
            .collect())
    }

    async fn ask(&self, query: &str) -> Result<Value, TestServerError> {
        let mut url = reqwest::Url::parse(&format!("{}/query", self.inner))
            .map_err(|e| TestServerError::Answer(e.to_string()))?;
        url.set_query(Some(query));
        let text = reqwest::Client::new()
            .post(url)
            .timeout(TIMEOUT)
            .send()
            .await?
            .text()
            .await?;
        let answer: Value = serde_json::from_str(&text).map_err(|_| TestServerError::Answer(text.clone()))?;
        match answer.pointer("/results/0/error").or_else(|| answer.get("error")) {
            Some(error) => Err(TestServerError::Answer(error.to_string())),
            None => Ok(answer),
        }
    }
}

impl Drop for Influx1 {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn translate(inner: String) -> Result<(String, JoinHandle<()>), TestServerError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let client = reqwest::Client::new();
    let router = Router::new()
        .route("/api/v2/write", post(pass))
        .route("/query", post(ask))
        .with_state((client, inner));
    let task = tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    });
    Ok((url, task))
}

#[derive(serde::Deserialize)]
struct WriteQuery {
    bucket: String,
    precision: String,
}

async fn pass(
    State((client, inner)): State<(reqwest::Client, String)>,
    Query(query): Query<WriteQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    if query.precision != "ns" {
        return (StatusCode::BAD_REQUEST, "precision is not ns".to_owned());
    }
    // A bucket of roll-ups is a retention policy of the same database here.
    let (database, policy) = match query.bucket.strip_suffix("-rollup") {
        Some(database) => (database, ROLLUP_POLICY),
        None => (query.bucket.as_str(), DETAIL_POLICY),
    };
    let mut request = client
        .post(format!("{inner}/write"))
        .query(&[("db", database), ("rp", policy), ("precision", "n")])
        .timeout(TIMEOUT)
        .body(body.to_vec());
    if let Some(encoding) = headers.get("content-encoding").and_then(|value| value.to_str().ok()) {
        request = request.header("content-encoding", encoding);
    }
    answer_of(request).await
}

/// A question goes on as it is: InfluxQL is the same.
async fn ask(
    State((client, inner)): State<(reqwest::Client, String)>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> (StatusCode, String) {
    let request = client
        .post(format!("{inner}/query?{}", query.unwrap_or_default()))
        .header("content-type", "application/x-www-form-urlencoded")
        .timeout(TIMEOUT)
        .body(body.to_vec());
    answer_of(request).await
}

async fn answer_of(request: reqwest::RequestBuilder) -> (StatusCode, String) {
    match request.send().await {
        Ok(answer) => {
            let status = StatusCode::from_u16(answer.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
            (status, answer.text().await.unwrap_or_default())
        }
        Err(e) => (StatusCode::BAD_GATEWAY, e.to_string()),
    }
}
