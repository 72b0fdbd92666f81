//! A server in a provider's place: it checks every request against what the provider documents, and answers as told.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::schemas::Schema;

/// How it answers once.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Status(u16),
    /// With a body.
    Body(u16, &'static str),
    /// With a header.
    RetryAfter(u16, String),
    /// Says nothing for a minute.
    Hang,
}

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) at: Instant,
    pub(super) body: Value,
    /// Whether it was answered as the provider answers what it takes.
    pub(super) taken: bool,
}

#[derive(Clone)]
pub(super) struct Provider {
    schema: Schema,
    script: Arc<Mutex<VecDeque<Answer>>>,
    /// What it does when the script is over; `None`: takes all.
    always: Arc<Mutex<Option<u16>>>,
    requests: Arc<Mutex<Vec<Request>>>,
    faults: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    pub(super) fn new(schema: Schema) -> Self {
        Self {
            schema,
            script: Arc::default(),
            always: Arc::default(),
            requests: Arc::default(),
            faults: Arc::default(),
        }
    }

    /// Starts to listen; returns `http://address`.
    pub(super) async fn listen(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(take).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        format!("http://{address}")
    }

    pub(super) fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script.lock().unwrap().extend(answers);
    }

    pub(super) fn always(&self, status: Option<u16>) {
        *self.always.lock().unwrap() = status;
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(super) fn taken(&self) -> Vec<Value> {
        let requests = self.requests().into_iter();
        requests
            .filter(|request| request.taken)
            .map(|request| request.body)
            .collect()
    }

    /// What was not as documented.
    pub(super) fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap().clone()
    }

    fn answer(&self) -> Option<Answer> {
        let scripted = self.script.lock().unwrap().pop_front();
        scripted.or_else(|| self.always.lock().unwrap().map(Answer::Status))
    }
}

async fn take(State(provider): State<Provider>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let json: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if let Err(fault) = (provider.schema.check)(&json, uri.path(), &headers) {
        provider.faults.lock().unwrap().push(format!("{fault}: {json}"));
    }
    let answer = provider.answer();
    provider.requests.lock().unwrap().push(Request {
        at: Instant::now(),
        body: json,
        taken: answer.is_none(),
    });
    let status = |status: u16| StatusCode::from_u16(status).unwrap();
    match answer {
        None => (status(provider.schema.takes.0), provider.schema.takes.1).into_response(),
        Some(Answer::Status(code)) => status(code).into_response(),
        Some(Answer::Body(code, body)) => (status(code), body).into_response(),
        Some(Answer::RetryAfter(code, value)) => (status(code), [("retry-after", value)]).into_response(),
        Some(Answer::Hang) => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            StatusCode::OK.into_response()
        }
    }
}
