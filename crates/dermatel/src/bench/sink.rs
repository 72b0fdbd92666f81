//! A receiver of InfluxDB's writes that counts lines and keeps nothing: what is measured is the sender.
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use flate2::read::GzDecoder;

/// A listener that can be absent for a while.
pub(super) struct Sink {
    address: SocketAddr,
    lines: Arc<AtomicU64>,
    serving: Option<tokio::task::JoinHandle<()>>,
}

impl Sink {
    /// Takes an address; nobody listens there yet.
    pub(super) fn absent() -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("there is no free port")?;
        Ok(Self {
            address: listener.local_addr()?,
            lines: Arc::default(),
            serving: None,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Begins to listen.
    pub(super) async fn come_up(&mut self) -> Result<()> {
        let listener = tokio::net::TcpListener::bind(self.address)
            .await
            .context("the port was taken meanwhile")?;
        let router = Router::new()
            .route("/api/v2/write", post(write))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&self.lines));
        self.serving = Some(tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        }));
        Ok(())
    }

    /// Lines so far.
    pub(super) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

async fn write(State(lines): State<Arc<AtomicU64>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let gzip = headers.get("content-encoding").is_some_and(|v| v.as_bytes() == b"gzip");
    let count = if gzip {
        let mut text = Vec::new();
        if GzDecoder::new(&body[..]).read_to_end(&mut text).is_err() {
            return StatusCode::BAD_REQUEST;
        }
        count(&text)
    } else {
        count(&body)
    };
    lines.fetch_add(count, Ordering::Relaxed);
    StatusCode::NO_CONTENT
}

fn count(text: &[u8]) -> u64 {
    let newlines = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    newlines + u64::from(!text.is_empty() && !text.ends_with(b"\n"))
}
