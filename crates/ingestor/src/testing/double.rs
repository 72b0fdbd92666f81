//! A double of InfluxDB 2.x's write endpoint, for its documented answers to trouble (API reference, `POST /api/v2/write`):
//! 401, 404, 413, 422 for partial writes, 429 with `Retry-After`, 503, and silence. What rests on it is what we do at these
//! answers; that real servers take what we write is tested with real servers.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::TestServerError;

/// What is wrong with a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// 401.
    Unauthorized,
    /// 404: the bucket is not there.
    NotFound,
    /// 429 with `Retry-After`, so many times.
    RateLimited(u32),
    /// 503, so many times.
    Unavailable(u32),
    /// No answer at all.
    Hangs,
    /// 413 for more lines than this.
    TooLarge(usize),
    /// 422, field type conflict: lines with this text are refused, the others are written.
    Conflict(String),
    /// 400: a batch with this text in it is refused as a whole.
    Unparsable(String),
    /// 422: lines older than this are dropped, the others are written.
    RetentionFrom(i64),
}

#[derive(Debug, Default)]
struct Bucket {
    trouble: Option<Trouble>,
    /// By measurement, tags and time: the same point twice is one.
    points: BTreeMap<(String, i64), String>,
    requests: u64,
}

type Buckets = Arc<Mutex<HashMap<String, Bucket>>>;

/// The double. Buckets are there when first written to, unless in trouble.
#[derive(Debug)]
pub struct InfluxDouble {
    url: String,
    buckets: Buckets,
    task: JoinHandle<()>,
}

impl InfluxDouble {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// No port.
    pub async fn start() -> Result<Self, TestServerError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let buckets = Buckets::default();
        let router = Router::new()
            .route("/api/v2/write", post(write))
            .with_state(Arc::clone(&buckets));
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, buckets, task })
    }

    /// Where to write.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Gives a bucket a trouble, or takes it away.
    pub fn trouble(&self, bucket: &str, trouble: Option<Trouble>) {
        lock(&self.buckets).entry(bucket.to_owned()).or_default().trouble = trouble;
    }

    /// The points of a bucket as lines, by series and time.
    pub fn lines(&self, bucket: &str) -> Vec<String> {
        lock(&self.buckets)
            .get(bucket)
            .map_or_else(Vec::new, |b| b.points.values().cloned().collect())
    }

    /// Requests that named a bucket, whatever became of them.
    pub fn requests(&self, bucket: &str) -> u64 {
        lock(&self.buckets).get(bucket).map_or(0, |b| b.requests)
    }
}

impl Drop for InfluxDouble {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(buckets: &Buckets) -> MutexGuard<'_, HashMap<String, Bucket>> {
    buckets.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(serde::Deserialize)]
struct WriteQuery {
    bucket: String,
    org: String,
    precision: String,
}

async fn write(
    State(buckets): State<Buckets>,
    Query(query): Query<WriteQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let trouble = {
        let mut buckets = lock(&buckets);
        let bucket = buckets.entry(query.bucket.clone()).or_default();
        bucket.requests += 1;
        bucket.trouble.clone()
    };
    if trouble == Some(Trouble::Hangs) {
        std::future::pending::<()>().await;
    }
    if query.org.is_empty() || query.precision != "ns" || !headers.contains_key("authorization") {
        return error(StatusCode::BAD_REQUEST, "invalid", "org, precision or token is missing");
    }
    let mut text = String::new();
    if headers.get("content-encoding").is_none_or(|value| value != "gzip")
        || flate2::read::GzDecoder::new(body.as_ref())
            .read_to_string(&mut text)
            .is_err()
    {
        return error(StatusCode::BAD_REQUEST, "invalid", "the body is not gzip");
    }
    take(lock(&buckets).entry(query.bucket).or_default(), &text)
}

fn take(bucket: &mut Bucket, text: &str) -> Response {
    let lines: Vec<&str> = text.lines().collect();
    let mut refused = 0;
    let mut why = "";
    match bucket.trouble.clone() {
        Some(Trouble::Unauthorized) => {
            return error(StatusCode::UNAUTHORIZED, "unauthorized", "unauthorized access");
        }
        Some(Trouble::NotFound) => return error(StatusCode::NOT_FOUND, "not found", "bucket not found"),
        Some(Trouble::RateLimited(left)) => {
            bucket.trouble = (left > 1).then(|| Trouble::RateLimited(left - 1));
            let answer = error(
                StatusCode::TOO_MANY_REQUESTS,
                "too many requests",
                "org write rate exceeded",
            );
            return ([("retry-after", "1")], answer).into_response();
        }
        Some(Trouble::Unavailable(left)) => {
            bucket.trouble = (left > 1).then(|| Trouble::Unavailable(left - 1));
            return error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "engine is closed");
        }
        Some(Trouble::TooLarge(max)) if lines.len() > max => {
            return error(StatusCode::PAYLOAD_TOO_LARGE, "request too large", "too many points");
        }
        Some(Trouble::Unparsable(part)) if text.contains(&part) => {
            return error(
                StatusCode::BAD_REQUEST,
                "invalid",
                "unable to parse a line: missing fields",
            );
        }
        Some(Trouble::Conflict(part)) => {
            why = "field type conflict: input field \\\"value\\\" is type integer, already exists as type float";
            for line in &lines {
                if line.contains(&part) {
                    refused += 1
                } else {
                    keep(bucket, line)
                }
            }
        }
        Some(Trouble::RetentionFrom(from)) => {
            why = "points beyond retention policy";
            for line in &lines {
                if time(line) < from {
                    refused += 1
                } else {
                    keep(bucket, line)
                }
            }
        }
        _ => lines.iter().for_each(|line| keep(bucket, line)),
    }
    if refused == 0 {
        return StatusCode::NO_CONTENT.into_response();
    }
    let message = format!("failure writing points to database: partial write: {why} dropped={refused}");
    error(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable entity", &message)
}

fn keep(bucket: &mut Bucket, line: &str) {
    let series = line.split(' ').next().unwrap_or("").to_owned();
    bucket.points.insert((series, time(line)), line.to_owned());
}

fn time(line: &str) -> i64 {
    line.rsplit(' ')
        .next()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, format!(r#"{{"code":"{code}","message":"{message}"}}"#)).into_response()
}
