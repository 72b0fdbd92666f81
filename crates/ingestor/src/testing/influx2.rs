//! A double of InfluxDB 2's management API as its reference documents it (`/api/v2/setup`, `orgs`, `buckets`,
//! `authorizations`, `dbrps`, `write`, `/ping`, `/health`, and `/query` as far as mapping and rights go: it holds no
//! InfluxQL). Strict where the lenient [`super::InfluxDouble`] is not: tokens, rights, organizations and buckets count.

mod answers;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::TestServerError;

/// The token that may do everything.
pub const OPERATOR: &str = "operator-token";

/// What it holds; tests look and meddle.
#[derive(Debug, Default)]
pub struct Influx2State {
    /// Ids and names.
    pub orgs: Vec<(String, String)>,
    /// Buckets.
    pub buckets: Vec<Influx2Bucket>,
    /// Tokens: id, description, permissions as given, the token.
    pub tokens: Vec<(String, String, Value, String)>,
    /// Mappings as given, with an id.
    pub mappings: Vec<Value>,
    /// Never set up.
    pub fresh: bool,
    /// As versions from 2.9 on: tokens are told once.
    pub hashes_tokens: bool,
    /// Writes answer as a server whose disk is full.
    pub disk_full: bool,
    /// Nothing is at `/query`.
    pub no_influxql: bool,
    /// Questions at `/query`.
    pub questions: u64,
    /// `Date` of its answers, if not the true one.
    pub date: Option<String>,
    /// It is an InfluxDB 3 of this version: the writes of version 2 and InfluxQL, its own endpoints, and no management API.
    pub three: Option<String>,
    /// Requests that changed something.
    pub changes: u64,
    next: u64,
}

/// A bucket.
#[derive(Debug, Clone, Default)]
pub struct Influx2Bucket {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// 0: for ever.
    pub keep_s: u64,
    /// Lines written.
    pub lines: Vec<String>,
}

impl Influx2State {
    fn id(&mut self) -> String {
        self.next += 1;
        format!("{:016x}", self.next)
    }

    /// Adds an organization; gives its id.
    pub fn add_org(&mut self, name: &str) -> String {
        let id = self.id();
        self.orgs.push((id.clone(), name.to_owned()));
        id
    }

    /// Adds a bucket; gives its id.
    pub fn add_bucket(&mut self, name: &str, keep_s: u64) -> String {
        let id = self.id();
        self.buckets.push(Influx2Bucket {
            id: id.clone(),
            name: name.to_owned(),
            keep_s,
            lines: Vec::new(),
        });
        id
    }

    /// The bucket of a name.
    pub fn bucket(&mut self, name: &str) -> Option<&mut Influx2Bucket> {
        self.buckets.iter_mut().find(|bucket| bucket.name == name)
    }
}

type Shared = Arc<Mutex<Influx2State>>;

/// The double.
#[derive(Debug)]
pub struct Influx2Double {
    url: String,
    state: Shared,
    task: JoinHandle<()>,
}

impl Influx2Double {
    /// Starts one on a free port, set up and empty.
    ///
    /// # Errors
    /// No port.
    pub async fn start() -> Result<Self, TestServerError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Shared::default();
        let router = answers::router(Arc::clone(&state));
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, state, task })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it holds.
    pub fn state(&self) -> MutexGuard<'_, Influx2State> {
        lock(&self.state)
    }
}

impl Drop for Influx2Double {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(state: &Shared) -> MutexGuard<'_, Influx2State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
