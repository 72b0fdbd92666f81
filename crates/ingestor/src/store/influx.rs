//! InfluxDB 2 (and 3, and whatever takes its writes) through `influxdb2`: compressed line protocol, a bucket per tenant.
//!
//! `influxdb2` compresses only streams of its own points, at the slowest level. So this client stands on a reqwest builder
//! that says `Content-Encoding: gzip` in every request, and is handed bytes that are compressed already: it must not be used
//! for anything but writes. `influxdb2` also hides the headers of an answer, so a `Retry-After` cannot be read: the wait
//! after a 429 or 503 is our own jittered backoff.
//!
//! What an answer means is InfluxDB 2.x's documented behaviour, replayed in tests by a double where no real server with that
//! answer can be installed.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use influxdb2::{Client, ClientBuilder, RequestError};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use telemetry::TenantId;

use super::clock::{self, StoreClock};
use super::{Reason, WriteError, Written, oldest};
use crate::line;
use crate::record::Record;
use crate::value::cut;

/// Longest text of an answer that is kept, in bytes.
const MAX_DETAIL_BYTES: usize = 512;

/// What stands for the tenant in a bucket template.
pub const TENANT_PLACE: &str = "{tenant}";

/// Where InfluxDB is and how to write to it.
#[derive(Debug, Clone)]
pub struct InfluxConfig {
    /// `http://host:port` or `https://host:port`, without a path.
    pub url: String,
    /// Organization.
    pub org: String,
    /// Token; may be empty for a server without authentication.
    pub token: service::config::Secret,
    /// Bucket of a tenant, with `{tenant}` in it.
    pub bucket: String,
    /// Bucket of a tenant's roll-ups, with `{tenant}` in it.
    pub rollup_bucket: String,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// More root certificates, PEM.
    pub ca: Option<Vec<u8>>,
}

/// Why the client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InfluxConfigError {
    /// No URL of a server.
    #[error("influx url '{0}' is not http://host:port or https://host:port without a path")]
    Url(String),
    /// All tenants would share a bucket.
    #[error("influx bucket '{0}' has no {{tenant}} in it: each tenant needs a bucket of its own")]
    Bucket(String),
    /// The certificates are no PEM.
    #[error("influx ca is not a PEM certificate")]
    Ca(#[source] reqwest::Error),
    /// The client said no.
    #[error("influx client cannot be made")]
    Client(#[source] influxdb2::BuildError),
    /// The client for questions said no.
    #[error("influx client cannot be made")]
    Asker(#[source] reqwest::Error),
}

/// A client for writes, and one for questions. Clones share their connections.
#[derive(Debug, Clone)]
pub struct InfluxStore {
    client: Client,
    org: String,
    bucket: String,
    rollup_bucket: String,
    pub(super) asker: reqwest::Client,
    pub(super) url: String,
    pub(super) token: service::config::Secret,
    /// What its answers say of its clock.
    pub(super) clock: Arc<StoreClock>,
}

impl InfluxConfig {
    /// What every client of this server has in common.
    pub(crate) fn http(&self) -> Result<reqwest::ClientBuilder, InfluxConfigError> {
        let mut builder = reqwest::ClientBuilder::new()
            .connect_timeout(self.connect_timeout)
            .timeout(self.timeout)
            // A redirect would carry the token to another host.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = &self.ca {
            builder = builder.add_root_certificate(reqwest::Certificate::from_pem(pem).map_err(InfluxConfigError::Ca)?);
        }
        Ok(builder)
    }
}

impl InfluxStore {
    /// Makes the client; connects to nothing yet.
    ///
    /// # Errors
    /// [`InfluxConfigError`]: the configuration is wrong.
    pub fn new(config: &InfluxConfig) -> Result<Self, InfluxConfigError> {
        // `influxdb2` panics at a bad URL and drops a path: neither may reach it.
        let url = reqwest::Url::parse(&config.url).ok();
        if !url.is_some_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host() && u.path() == "/") {
            return Err(InfluxConfigError::Url(config.url.clone()));
        }
        for bucket in [&config.bucket, &config.rollup_bucket] {
            if !bucket.contains(TENANT_PLACE) {
                return Err(InfluxConfigError::Bucket(bucket.clone()));
            }
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        let builder = config.http()?;
        let asker = builder.build().map_err(InfluxConfigError::Asker)?;
        let builder = config.http()?.default_headers(headers);
        let client = ClientBuilder::with_builder(builder, &config.url, &config.org, config.token.reveal())
            .build()
            .map_err(InfluxConfigError::Client)?;
        Ok(Self {
            client,
            org: config.org.clone(),
            bucket: config.bucket.clone(),
            rollup_bucket: config.rollup_bucket.clone(),
            asker,
            url: config.url.trim_end_matches('/').to_owned(),
            token: config.token.clone(),
            clock: Arc::default(),
        })
    }

    /// Tells of the server's clock in a condition of readiness too.
    #[must_use]
    pub(crate) fn telling_of_its_clock(self, condition: service::health::Condition) -> Self {
        Self {
            clock: Arc::new(StoreClock::telling(condition)),
            ..self
        }
    }

    /// Asks for nothing but an answer with a `Date`, whatever its status: those of writes are hidden by `influxdb2`.
    pub(crate) async fn look_at_clock(&self) {
        let asked = SystemTime::now();
        if let Ok(answer) = self
            .authorized(self.asker.get(format!("{}/ping", self.url)))
            .send()
            .await
        {
            self.clock
                .seen(clock::ahead(answer.headers(), asked, SystemTime::now()));
        }
    }

    pub(super) fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match self.token.reveal() {
            "" => request,
            token => request.header("authorization", format!("Token {token}")),
        }
    }

    /// The bucket of a tenant's roll-ups.
    pub fn rollup_bucket(&self, tenant: &TenantId) -> String {
        self.rollup_bucket.replace(TENANT_PLACE, tenant.as_str())
    }

    /// The bucket of a tenant.
    pub fn bucket(&self, tenant: &TenantId) -> String {
        self.bucket.replace(TENANT_PLACE, tenant.as_str())
    }

    /// Writes a batch of one tenant, of roll-ups only or without any.
    ///
    /// # Errors
    /// [`WriteError`] by what to do.
    pub async fn write(&self, tenant: Option<&TenantId>, batch: &[Record]) -> Result<Written, WriteError> {
        let Some(tenant) = tenant.or_else(|| batch.first().map(|record| &record.tags().tenant)) else {
            return Ok(Written::default());
        };
        let rollup = batch.first().is_some_and(|record| record.measurement().rollup);
        let bucket = if rollup {
            self.rollup_bucket(tenant)
        } else {
            self.bucket(tenant)
        };
        let body = compress(&lines(batch));
        match self.client.write_line_protocol(&self.org, &bucket, body).await {
            Ok(()) => Ok(Written::default()),
            Err(RequestError::Http { status, text }) => answer(status, &text, batch),
            Err(RequestError::ReqwestProcessing { source }) => Err(no_answer(&source)),
            Err(other) => Err(retry(Reason::Protocol, &other.to_string())),
        }
    }
}

/// A batch as line protocol.
pub fn lines(batch: &[Record]) -> String {
    // A window has some 700 bytes.
    let mut out = String::with_capacity(batch.len() * 768);
    for record in batch {
        line::write(&mut out, record);
    }
    out
}

/// Gzip at its fastest level: line protocol repeats itself so much that more effort gains little.
pub fn compress(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 6), Compression::fast());
    // Writing to a Vec does not fail.
    let _ = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default()
}

/// What an answer other than 204 means.
fn answer(status: StatusCode, text: &str, batch: &[Record]) -> Result<Written, WriteError> {
    let detail = clean(text);
    match status.as_u16() {
        400 | 422 => match beyond_retention(text) {
            // The others of the batch are stored. Those dropped are the oldest, because the horizon is a time.
            Some(count) => Ok(Written {
                expired: oldest(batch, count),
            }),
            None => Err(WriteError::Reject {
                reason: Reason::Refused,
                detail,
            }),
        },
        413 => Err(WriteError::Split { detail }),
        401 | 403 | 404 => {
            let reason = refusal_of(status.as_u16(), text);
            Err(WriteError::Fatal {
                reason,
                detail: in_words(reason, detail),
            })
        }
        408 => Err(retry(Reason::Timeout, text)),
        429 => Err(retry(Reason::RateLimited, text)),
        500..=599 => {
            let reason = refusal_of(status.as_u16(), text);
            Err(retry(reason, &in_words(reason, detail)))
        }
        // Also every 2xx but 204: a proxy or a portal may say 200 to anything, and nothing is stored there.
        _ => Err(WriteError::Fatal {
            reason: Reason::Unexpected,
            detail: format!("{status}: {detail}"),
        }),
    }
}

/// Why a server refuses what is right, by its status and words.
pub(crate) fn refusal_of(status: u16, text: &str) -> Reason {
    match status {
        401 => Reason::Unauthorized,
        403 => Reason::Forbidden,
        404 if text.contains("organization") => Reason::WrongOrganization,
        // Version 2 answers in JSON with a code, a path that is not there is answered by a page.
        404 if !text.contains("\"code\"") && text.contains("page not found") => Reason::NoV2Api,
        404 => Reason::NotFound,
        429 => Reason::RateLimited,
        _ if text.contains("no space left on device") => Reason::DiskFull,
        500..=599 => Reason::Server,
        _ => Reason::Unexpected,
    }
}

/// What a person should know besides what the server said.
fn in_words(reason: Reason, said: String) -> String {
    let more = match reason {
        Reason::Unauthorized => "the token is wrong",
        Reason::Forbidden => "the token may not write to this bucket",
        Reason::WrongOrganization => "the organization is wrong",
        Reason::NotFound => "the bucket is missing",
        Reason::NoV2Api => "this server has no v2 API: it is InfluxDB 1 before 1.8, or none",
        Reason::DiskFull => "the disk of InfluxDB is full",
        _ => return said,
    };
    format!("{more}: {said}")
}

/// How many points a partial write dropped because they are beyond the bucket's retention; `None` if it is another refusal.
fn beyond_retention(text: &str) -> Option<usize> {
    let after = text.split("points beyond retention policy").nth(1)?;
    let digits = after.split("dropped=").nth(1)?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

fn no_answer(error: &reqwest::Error) -> WriteError {
    let (reason, detail) = trouble_of(error);
    retry(reason, &detail)
}

/// Why there was no answer.
pub(crate) fn trouble_of(error: &reqwest::Error) -> (Reason, String) {
    let reason = if error.is_timeout() {
        Reason::Timeout
    } else if error.is_connect() {
        Reason::Connect
    } else {
        Reason::Protocol
    };
    // Without the URL: the organization is nobody's business in a log.
    let mut detail = String::new();
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(inner) = source {
        detail.push_str(if detail.is_empty() { "" } else { ": " });
        detail.push_str(&inner.to_string());
        source = inner.source();
    }
    (reason, clean(&detail))
}

fn retry(reason: Reason, detail: &str) -> WriteError {
    WriteError::Retry {
        reason,
        detail: clean(detail),
        after: None,
    }
}

/// A foreign text, short and without control characters.
pub(crate) fn clean(text: &str) -> String {
    cut(text, MAX_DETAIL_BYTES).replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_write_beyond_retention_is_told_from_other_refusals() {
        let expired = r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: points beyond retention policy dropped=17"}"#;
        assert_eq!(beyond_retention(expired), Some(17));
        assert_eq!(
            beyond_retention(r#"{"error":"partial write: points beyond retention policy dropped=3"}"#),
            Some(3)
        );
        let conflict = r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: input field \"count\" on measurement \"stroke_window\" is type integer, already exists as type float dropped=1"}"#;
        assert_eq!(beyond_retention(conflict), None);
        assert!(matches!(
            answer(StatusCode::UNPROCESSABLE_ENTITY, conflict, &[]),
            Err(WriteError::Reject { .. })
        ));
    }

    #[test]
    fn a_url_that_the_client_would_panic_at_is_a_configuration_error() {
        let config = |url: &str, bucket: &str| InfluxConfig {
            url: url.to_owned(),
            org: "acme".to_owned(),
            token: service::config::Secret::default(),
            bucket: bucket.to_owned(),
            rollup_bucket: "r-{tenant}".to_owned(),
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            ca: None,
        };
        for bad in ["", "localhost:8086", "ftp://host", "http://host/influx", "/3242/23"] {
            assert!(
                matches!(
                    InfluxStore::new(&config(bad, "b-{tenant}")),
                    Err(InfluxConfigError::Url(_))
                ),
                "{bad}"
            );
        }
        assert!(matches!(
            InfluxStore::new(&config("http://localhost:8086", "all")),
            Err(InfluxConfigError::Bucket(_))
        ));
        let store = InfluxStore::new(&config("http://localhost:8086", "dermatel-{tenant}")).unwrap();
        assert_eq!(store.bucket(&TenantId::new("acme").unwrap()), "dermatel-acme");
    }
}
