//! One HTTP client for everything that is called over HTTP (receivers, the dead-man, the instance upstream): which URLs can be
//! used, how it asks, what it reads, and what an answer means unless the provider says otherwise.
use std::path::Path;
use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode, Url, redirect};
use service::config::{Problems, Secret};

use super::TargetError;
use super::failure::{FailReason, Failure};

/// Longest wait that a receiver can ask for, in seconds: an hour.
pub(super) const MAX_RETRY_AFTER_S: u64 = 3_600;
/// Most bytes of an answer that are read.
const ANSWER_MAX: usize = 4_096;

/// A client for one place.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(super) retry_after_s: Option<u64>,
    pub(crate) body: String,
}

/// A URL that can be called. The text may be a secret: it is not repeated.
fn usable(url: &str) -> Result<Url, TargetError> {
    let url = Url::parse(url).map_err(|error| TargetError::Url(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(TargetError::Url(
            "it must begin with http:// or https:// and a host".to_owned(),
        ));
    }
    Ok(url)
}

/// Checks the setting `url` of a section.
pub(crate) fn check_url(url: &Secret, at: &mut Problems) {
    at.check("url", usable(url.reveal()).is_ok(), "must be an http or https URL");
}

impl Http {
    pub(crate) fn new(url: &str, timeout: Duration, ca: Option<&Path>) -> Result<Self, TargetError> {
        let url = usable(url)?;
        let mut builder = Client::builder()
            .timeout(timeout)
            // A page must not wander to a place that nobody configured.
            .redirect(redirect::Policy::none());
        if let Some(path) = ca {
            builder = builder.tls_built_in_root_certs(false);
            for der in service::tls::authorities(path)? {
                builder = builder.add_root_certificate(Certificate::from_der(&der).map_err(TargetError::Http)?);
            }
        }
        Ok(Self {
            client: builder.build().map_err(TargetError::Http)?,
            url,
            authorization: None,
        })
    }

    /// The same with the value of the `authorization` header.
    pub(crate) fn authorized(mut self, value: Option<&Secret>) -> Result<Self, TargetError> {
        if let Some(value) = value {
            let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| TargetError::Authorization)?;
            value.set_sensitive(true);
            self.authorization = Some(value);
        }
        Ok(self)
    }

    /// POSTs JSON. An answer of any kind is an answer.
    pub(crate) async fn post(&self, headers: &[(&'static str, &str)], body: String) -> Result<Answer, Failure> {
        let mut all = HeaderMap::new();
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            // Ids of ours: always a header's characters.
            if let Ok(value) = HeaderValue::from_str(value) {
                all.insert(HeaderName::from_static(name), value);
            }
        }
        self.send(all, body).await
    }

    /// POSTs nothing: that we call is all that is said.
    pub(crate) async fn call(&self) -> Result<Answer, Failure> {
        self.send(HeaderMap::new(), String::new()).await
    }

    /// GETs what stands there, or below it; of an answer at most `most` bytes.
    pub(crate) async fn get(&self, below: &str, most: usize) -> Result<Answer, Failure> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{below}", self.url.path()));
        self.request(self.client.get(url), HeaderMap::new(), most).await
    }

    async fn send(&self, headers: HeaderMap, body: String) -> Result<Answer, Failure> {
        let request = self.client.post(self.url.clone()).body(body);
        self.request(request, headers, ANSWER_MAX).await
    }

    async fn request(&self, request: RequestBuilder, mut headers: HeaderMap, most: usize) -> Result<Answer, Failure> {
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        match request.headers(headers).send().await {
            Ok(response) => Ok(read(response, most).await),
            Err(error) => Err(failure(error)),
        }
    }
}

async fn read(mut response: Response, most: usize) -> Answer {
    let status = response.status();
    let header = |name| {
        response
            .headers()
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let there = header(DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    let retry_after_s = header(RETRY_AFTER).and_then(|asked| retry_after(asked, there));
    let mut body = Vec::new();
    // What breaks off here was answered: the status stands.
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(
            chunk
                .get(..most.saturating_sub(body.len()).min(chunk.len()))
                .unwrap_or_default(),
        );
        if body.len() >= most {
            break;
        }
    }
    Answer {
        status,
        retry_after_s,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

/// Seconds to wait, as a number or as a date (RFC 9110, 10.2.3). A date is measured against the receiver's own clock, `there`;
/// without that, nothing can be said of it.
fn retry_after(asked: &str, there: Option<SystemTime>) -> Option<u64> {
    let seconds = match asked.trim().parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let until = httpdate::parse_http_date(asked.trim()).ok()?;
            until.duration_since(there?).unwrap_or_default().as_secs()
        }
    };
    Some(seconds.min(MAX_RETRY_AFTER_S))
}

fn failure(error: reqwest::Error) -> Failure {
    // The URL is a secret.
    let error = error.without_url();
    let reason = match () {
        () if error.is_timeout() => FailReason::Timeout,
        () if error.is_connect() => FailReason::Connect,
        () if error.is_builder() => FailReason::Rejected,
        () => FailReason::Broken,
    };
    Failure::of(reason, &error)
}

/// What an answer means in HTTP itself. The receipt is the status with the first words of the body.
pub(super) fn judge(answer: &Answer) -> Result<String, Failure> {
    let status = answer.status;
    if status.is_success() {
        let words = service::logging::clean(&answer.body, 100);
        return Ok(format!("{} {words}", status.as_u16()).trim_end().to_owned());
    }
    let reason = match status {
        StatusCode::TOO_MANY_REQUESTS => FailReason::Throttled,
        StatusCode::REQUEST_TIMEOUT => FailReason::Timeout,
        status if status.is_redirection() || matches!(status.as_u16(), 401..=405 | 407 | 410) => FailReason::Denied,
        status if status.is_client_error() => FailReason::Rejected,
        _ => FailReason::Receiver,
    };
    Err(answer.failure(reason))
}

impl Answer {
    pub(super) fn failure(&self, reason: FailReason) -> Failure {
        Failure {
            retry_after_s: self.retry_after_s,
            ..Failure::new(reason, format!("{} {}", self.status.as_u16(), self.body))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_can_ask_for_a_wait_in_seconds_or_by_a_date_of_its_own_clock_and_for_an_hour_at_most() {
        let there = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").ok();
        assert_eq!(retry_after("120", None), Some(120));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:07 GMT", there), Some(30));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", there), Some(0));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:07 GMT", None), None);
        assert_eq!(retry_after("99999999", None), Some(MAX_RETRY_AFTER_S));
        assert_eq!(retry_after("soon", there), None);
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused_without_being_repeated() {
        for url in ["", "hooks.example/secret", "ftp://hooks.example/secret", "http://"] {
            let error = Http::new(url, Duration::from_secs(1), None).err().unwrap();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
