//! A webhook receiver that remembers every page, and can be told to answer badly.
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;

/// One delivered page: its JSON.
pub type Page = Value;

/// In the place of a status: no answer at all.
const HANG: u16 = 0;

#[derive(Clone)]
struct Seen {
    pages: Arc<Mutex<Vec<Page>>>,
    status: Arc<AtomicU16>,
}

/// A running receiver on a free port of the loopback.
pub struct Webhook {
    port: u16,
    seen: Seen,
    _runtime: tokio::runtime::Runtime,
}

impl Webhook {
    /// Starts to listen.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let seen = Seen {
            pages: Arc::default(),
            status: Arc::new(AtomicU16::new(200)),
        };
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().route("/page", post(take)).with_state(seen.clone());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            port,
            seen,
            _runtime: runtime,
        }
    }

    /// Where pages go.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/page", self.port)
    }

    /// From now on it remembers each page and never answers, until [`Self::answer`].
    pub fn hang(&self) {
        self.seen.status.store(HANG, Ordering::SeqCst);
    }

    /// What it answers from now on; a page answered with anything but 2xx is not remembered.
    pub fn answer(&self, status: u16) {
        self.seen.status.store(status, Ordering::SeqCst);
    }

    /// Every page so far.
    pub fn pages(&self) -> Vec<Page> {
        self.seen.pages.lock().unwrap().clone()
    }

    /// The pages of one rule.
    pub fn of_rule(&self, rule: &str) -> Vec<Page> {
        self.pages().into_iter().filter(|page| page["rule"] == rule).collect()
    }
}

async fn take(State(seen): State<Seen>, Json(page): Json<Value>) -> StatusCode {
    let status = seen.status.load(Ordering::SeqCst);
    if status == HANG {
        seen.pages.lock().unwrap().push(page);
        return std::future::pending().await;
    }
    let status = StatusCode::from_u16(status).unwrap();
    if status.is_success() {
        seen.pages.lock().unwrap().push(page);
    }
    status
}
