//! Asks the running process over its Unix socket: whoever changes something goes through it.
use std::path::Path;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

/// Largest answer that is read.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// The running process said no: nothing was changed.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    why: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "refused ({}): {}", self.status, self.why)
    }
}

impl std::error::Error for Refused {}

/// The running process has no such thing.
pub(crate) fn is_not_found(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    refused.is_some_and(|refused| refused.status == StatusCode::NOT_FOUND)
}

/// One request; the answer's JSON.
pub(crate) async fn ask(socket: &Path, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
    let stream = UnixStream::connect(socket).await.with_context(|| {
        format!(
            "no running dermatel answers at {}: start `dermatel up` first, or name its socket with --socket",
            socket.display()
        )
    })?;
    exchange(stream, method, path, body).await
}

/// One request over a connection; the answer's JSON, or its text.
pub(crate) async fn exchange<S>(stream: S, method: Method, path: &str, body: Option<&Value>) -> Result<Value>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "dermatel")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let response = sender
        .send_request(request)
        .await
        .context("the running process did not answer")?;
    let status = response.status();
    let bytes = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
        .collect()
        .await
        .map_err(|e| anyhow::anyhow!("reading the answer failed: {e}"))?
        .to_bytes();
    drop(sender);
    driver.abort();
    let answer: Value = if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()))
    };
    if !status.is_success() {
        return Err(Refused {
            status,
            why: why(&answer),
        }
        .into());
    }
    Ok(answer)
}

/// What an answer says is wrong, with every fault that it names on a line of its own.
fn why(answer: &Value) -> String {
    let Some(error) = answer["error"].as_str() else {
        return answer.to_string();
    };
    let faults = answer["faults"].as_array().into_iter().flatten();
    let faults = faults.filter_map(Value::as_str);
    std::iter::once(error).chain(faults).collect::<Vec<_>>().join("\n")
}
